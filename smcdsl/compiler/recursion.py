"""Which rules contain themselves, and whether only in their first or only in their last place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from smcdsl.compiler.bnf import strongly_connected
from smcdsl.program.grammar import (
    Alternatives,
    Concatenation,
    GrammarExpression,
    Reference,
    Repeat,
    references,
)


@dataclass(frozen=True)
class Component:
    """Rules that all contain each other.

    `side` says where references among them stand: all last or all first in what they stand in, so that the
    rules are regular; None if neither is so, because of `culprit`.
    """

    members: frozenset[str]
    side: Literal["first", "last"] | None
    culprit: Reference

    def recurs_in(self, expression: GrammarExpression) -> bool:
        """Whether the expression refers to a member."""
        return any(reference.name in self.members for reference in references(expression))


def reachable(start: str, rules: Mapping[str, GrammarExpression]) -> list[str]:
    """The rules that `start` needs, itself included, in order of first use."""
    return needed_by(Reference((start,)), rules)


def needed_by(expression: GrammarExpression, rules: Mapping[str, GrammarExpression]) -> list[str]:
    """The rules that an expression needs, in order of first use."""
    found: dict[str, None] = {}
    agenda = [expression]
    for body in agenda:  # grows on the way
        for reference in references(body):
            if reference.name in rules and reference.name not in found:
                found[reference.name] = None
                agenda.append(rules[reference.name])
    return list(found)


def recursive_components(rules: Mapping[str, GrammarExpression]) -> dict[str, Component]:
    """The component of every rule that contains itself."""
    names = list(rules)
    numbers = {name: number for number, name in enumerate(names)}
    uses = {
        number: {numbers[r.name] for r in references(rules[name]) if r.name in numbers}
        for name, number in numbers.items()
    }
    found = {}
    for members in strongly_connected(uses):
        if len(members) > 1 or members[0] in uses[members[0]]:
            component = _component(frozenset(names[member] for member in members), rules)
            found.update(dict.fromkeys(component.members, component))
    return found


def _component(members: frozenset[str], rules: Mapping[str, GrammarExpression]) -> Component:
    ordered = [rules[name] for name in rules if name in members]
    culprit = next(r for body in ordered for r in references(body) if r.name in members)
    undecided = Component(members, None, culprit)
    for side in ("last", "first"):
        if all(_is_linear(body, side, undecided) for body in ordered):
            return Component(members, "last" if side == "last" else "first", culprit)
    return undecided


def _is_linear(expression: GrammarExpression, side: str, component: Component) -> bool:
    """Whether every reference into the component stands last (or first) and at most once in each text."""
    if not component.recurs_in(expression):
        return True
    match expression:
        case Reference():
            return True
        case Alternatives(items):
            return all(_is_linear(item, side, component) for item in items)
        case Repeat(item, _, 1):
            return _is_linear(item, side, component)
        case Concatenation(items):
            inner = items[:-1] if side == "last" else items[1:]
            outer = items[-1] if side == "last" else items[0]
            return not any(map(component.recurs_in, inner)) and _is_linear(outer, side, component)
    return False
