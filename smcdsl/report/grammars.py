"""A closed grammar as text: one rule a line, in the notation of the language where it has one."""

from __future__ import annotations

import json
from collections.abc import Iterator

from smcdsl.program.grammar import (
    Alternatives,
    Concatenation,
    Condition,
    Difference,
    Embedded,
    Grammar,
    GrammarExpression,
    Intersection,
    Limit,
    LiteralText,
    Pattern,
    Reference,
    Repeat,
    Restricted,
    SubstringOf,
)

_ALTERNATIVES, _SET, _SEQUENCE, _ATOM = range(4)
_LONGEST = 200


def grammar_text(grammar: Grammar) -> str:
    """Rules, the start first; terminals; what restricts whole texts. Ends in a newline."""
    return "\n".join(_lines(grammar)) + "\n"


def _lines(grammar: Grammar) -> Iterator[str]:
    restrictions = [_condition(condition) for condition in grammar.conditions]
    head = f"grammar {grammar.name}"
    yield head if grammar.lexing == "scannerless" else f"{head} (lexing: {grammar.lexing})"
    names = [grammar.start, *(name for name in grammar.rules if name != grammar.start)]
    width = max(len(name) for name in names)
    for name in names:
        yield f"  {name:<{width}} = {expression_text(grammar.rules[name])}"
    if grammar.terminals:
        yield "terminals"
        width = max(map(len, grammar.terminals))
        for terminal in grammar.terminals.values():
            skipped = "   (skipped)" if terminal.name in grammar.ignored else ""
            yield f"  {terminal.name:<{width}} = {_cut(expression_text(terminal.definition))}{skipped}"
    if grammar.fragments:
        yield "parts of terminals"
        width = max(map(len, grammar.fragments))
        for name, part in grammar.fragments.items():
            yield f"  {name:<{width}} = {_cut(expression_text(part))}"
    for expression, keeps in grammar.filters:
        yield f"{'&' if keeps else '-'} {_cut(expression_text(expression))}"
    if restrictions:
        yield f"where {', '.join(restrictions)}"
    if grammar.boundaries:
        yield f"boundaries: {', '.join(grammar.boundaries)}"


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def expression_text(expression: GrammarExpression, level: int = _ALTERNATIVES) -> str:
    """One expression; parentheses where an outer one binds tighter than `level`."""
    match expression:
        case LiteralText(text=text, ignore_case=ignore_case):
            return json.dumps(text, ensure_ascii=False) + ("i" if ignore_case else "")
        case Pattern(regex=regex, flags=flags):
            return f"/{regex.replace('/', chr(92) + '/') if '/' in regex else regex}/{flags}"
        case Reference():
            return expression.name
        case Repeat(item=item, least=least, most=most):
            return expression_text(item, _ATOM) + _repeat(least, most)
        case Concatenation(items=items):
            text = " ".join(expression_text(item, _SEQUENCE) for item in items) or '""'
            return _wrapped(text, level > _SEQUENCE or (level == _SEQUENCE and len(items) != 1))
        case Alternatives(items=items):
            text = " | ".join(expression_text(item, _SET) for item in items)
            return _wrapped(text, level > _ALTERNATIVES)
        case Intersection(left=left, right=right):
            return _wrapped(f"{expression_text(left, _SET)} & {expression_text(right, _SEQUENCE)}", level > _SET)
        case Difference(left=left, right=right):
            return _wrapped(f"{expression_text(left, _SET)} - {expression_text(right, _SEQUENCE)}", level > _SET)
        case Restricted(item=item, conditions=conditions):
            wheres = ", ".join(_condition(condition) for condition in conditions)
            return f"({expression_text(item)} where {wheres})"
        case SubstringOf(text=text):
            return f"substring_of({json.dumps(text[:40], ensure_ascii=False)}{' ...' if len(text) > 40 else ''})"
        case Embedded(grammar=grammar):
            return f"<{grammar.name}>"
        case _:
            return str(expression)


def _wrapped(text: str, needed: bool) -> str:
    return f"({text})" if needed else text


def _repeat(least: int, most: int | None) -> str:
    short = {(0, None): "*", (1, None): "+", (0, 1): "?"}.get((least, most))
    if short is not None:
        return short
    return f"{{{least}}}" if least == most else f"{{{least},{'' if most is None else most}}}"


def _condition(condition: Condition) -> str:
    if not isinstance(condition, Limit):
        return f"{'excludes' if condition.excludes else 'matches'} {expression_text(condition.pattern)}"
    if condition.least is None:
        return f"{condition.unit} <= {condition.most}"
    if condition.most is None:
        return f"{condition.unit} >= {condition.least}"
    return f"{condition.unit} in {condition.least}..{condition.most}"
