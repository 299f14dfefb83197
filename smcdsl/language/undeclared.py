"""The project's own Python functions that judge without saying what they are (W0515).

Without `@potential` a function is a helper: it has no facts, promises nothing about beginnings of texts, and is not
counted or checked as potentials are. Without types, nothing that it gets or answers is checked before the run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from smcdsl.errors import Diagnostic
from smcdsl.language import mistakes_judging as judging
from smcdsl.language.factors import FactorUse
from smcdsl.program import expressions as tree
from smcdsl.program.expressions import Expression, FunctionCall

_KEEPS_JUDGING = frozenset({"and", "or", "+", "-", "*", "/", "^"})
"""Operators whose result is a judgement if an operand is. A comparison makes one of a mere value."""


def undeclared_potentials(uses: Iterable[FactorUse]) -> Iterator[Diagnostic]:
    """A warning for each such function, at its first use."""
    seen: set[str] = set()
    for use in uses:
        for call in _judgements(use.factor.expression):
            found = call.signature
            if not found.location.path or found.name in seen or (found.is_potential and not found.untyped):
                continue
            seen.add(found.name)
            yield judging.undeclared_potential(found, call.span, "bool" if use.factor.verb == "require" else "Weight")


def _judgements(expression: Expression) -> Iterator[FunctionCall]:
    """The calls whose results are the factor's value, or combined into it."""
    match expression:
        case FunctionCall():
            yield expression
        case tree.Inlined(body=body):
            yield from _judgements(body)
        case tree.Unary(operand=operand):
            yield from _judgements(operand)
        case tree.Binary(operator=operator, left=left, right=right) if operator in _KEEPS_JUDGING:
            yield from _judgements(left)
            yield from _judgements(right)
