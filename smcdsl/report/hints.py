"""Factors that could be part of a grammar: then masks keep to them, and no particle dies of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from smcdsl.program.evaluation import function_calls
from smcdsl.program.expressions import Binary, BuiltinCall, Constant, Expression, Name, Unary
from smcdsl.program.program import Program
from smcdsl.program.references import DeclaredReference, LibraryReference
from smcdsl.program.statements import Factor, Statement
from smcdsl.report.density import inner_bodies, one_line

_COUNTS = ("chars", "words", "lines")
_TURNED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "=="}
_IN_GRAMMARS = {"sql.known_column": ("sql.select", "columns"), "sql.known_table": ("sql.select", "tables")}
"""Potentials that a grammar answers by itself once it has a `schema:`, and what it then lists."""


def masking_hints(program: Program) -> list[str]:
    """A line for each factor that `where` or a parameter of the grammar would say better."""
    holes = {hole.name for hole in program.holes.values()}
    lines = []
    for factor in _requirements(program.body):
        text = one_line(factor.expression)
        condition = _condition(factor.expression, holes) if factor.each is None else None
        if condition is not None:
            lines.append(f"`require {text}` could be part of the grammar: `where {condition}`")
        for call in function_calls(factor.expression):
            rule, listed = _IN_GRAMMARS.get(call.signature.name, ("", ""))
            if rule and _has_schema(program, rule):
                lines.append(
                    f"`{call.signature.name}` is part of the grammar: {rule}(schema: ...) already lists {listed}"
                )
            elif rule:
                lines.append(
                    f"`{call.signature.name}` could be part of the grammar: {rule}(schema: ...) lists {listed}"
                )
    return lines


def _requirements(body: Sequence[Statement]) -> Iterator[Factor]:
    for statement in body:
        if isinstance(statement, Factor) and statement.verb == "require":
            yield statement
        for inner in inner_bodies(statement):
            yield from _requirements(inner)


def _condition(expression: Expression, holes: set[str]) -> str | None:
    """The `where` condition that says the same of one hole, where there is one."""
    match expression:
        case Binary(operator=operator, left=left, right=right) if operator in _TURNED:
            if isinstance(left, Constant):
                return _limit(right, _TURNED[operator], left, holes)
            return _limit(left, operator, right, holes)
        case Unary(
            operator="not",
            operand=BuiltinCall(function="contains", arguments=(Name(name=name), Constant(value=str(text)))),
        ):
            return f"excludes /{_pattern(text)}/" if name in holes else None
        case BuiltinCall(function=function, arguments=(Name(name=name), Constant(value=str(text)))) if name in holes:
            patterns = {
                "starts_with": f"/{_pattern(text)}.*/s",
                "ends_with": f"/.*{_pattern(text)}/s",
                "contains": f"/.*{_pattern(text)}.*/s",
            }
            return f"matches {patterns[function]}" if function in patterns else None
    return None


def _limit(counted: Expression, operator: str, bound: Expression, holes: set[str]) -> str | None:
    match counted, bound:
        case BuiltinCall(function=function, arguments=(Name(name=name),)), Constant(value=int(most)):
            return f"{function} {operator} {most}" if function in _COUNTS and name in holes else None
    return None


def _pattern(text: str) -> str:
    return re.escape(text).replace("/", "\\/").replace("\n", "\\n").replace("\\ ", " ")


def _has_schema(program: Program, rule: str) -> bool:
    """Whether a hole's grammar is that rule with an argument `schema`."""
    for hole in program.holes.values():
        pending, seen = [hole.grammar], set()
        while pending:
            for part in pending.pop().parts:
                if isinstance(part, LibraryReference) and part.signature.name == rule:
                    if any(name == "schema" for name, _ in part.arguments):
                        return True
                elif isinstance(part, DeclaredReference) and part.declaration not in seen:
                    seen.add(part.declaration)
                    pending += program.grammars[part.declaration].rules.values()
    return False
