"""Rules for finding sites in grammars without a deterministic parser; read by `automaton.derivations`.

Only rules that lead to a boundary keep their structure; every other regular part becomes one automaton.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from smcdsl.automaton.tables import RegularTables
from smcdsl.compiler.dfa import Dfa, NotRegular, from_expression
from smcdsl.compiler.forms import references
from smcdsl.program.grammar import (
    Alternatives,
    Automaton,
    Concatenation,
    Difference,
    Embedded,
    Grammar,
    GrammarExpression,
    Intersection,
    LiteralText,
    Pattern,
    Reference,
    Repeat,
    Restricted,
    SubstringOf,
)

Node = list[Any]


class SiteRules:
    """Collects rules and automata of one grammar."""

    def __init__(self, grammar: Grammar, terminals: dict[str, int], state_limit: int) -> None:
        self._grammar, self._terminals, self._limit = grammar, terminals, state_limit
        self._numbers: dict[str, int] = {}
        self._rules: list[Node] = []
        self._boundaries: list[str | None] = []
        self._leaves: dict[GrammarExpression, int] = {}
        self._dfas: list[Dfa] = []
        self._size = 1
        self._leading = self._lead_to_boundaries()
        self._start = self._rule(grammar.start)

    def collected(self, ignored: set[int]) -> dict[str, Any]:
        """The rules as plain data."""
        return {
            "start": self._start,
            "rules": self._rules,
            "boundaries": self._boundaries,
            "lexed": self._grammar.lexing != "scannerless",
            "ignored": sorted(ignored),
        }

    def leaves(self) -> RegularTables | None:
        """The automata of all regular parts, side by side; state 0 is dead."""
        if not self._dfas:
            return None
        table = np.zeros((self._size, 256), dtype=np.int32)
        accepting = np.zeros(self._size, dtype=np.bool_)
        offset = 0
        for dfa in self._dfas:
            states = len(dfa) - 1
            table[offset + 1 : offset + 1 + states] = np.where(dfa.next_state[1:] > 0, dfa.next_state[1:] + offset, 0)
            accepting[offset + 1 : offset + 1 + states] = dfa.accepting[1:]
            offset += states
        return RegularTables(table, accepting)

    def _boundary(self, name: str) -> str | None:
        boundary = self._grammar.boundary_of.get(name, name)
        return boundary if boundary in self._grammar.boundaries else None

    def _lead_to_boundaries(self) -> set[str]:
        rules = self._grammar.rules
        leading = {name for name in rules if self._boundary(name) is not None}
        while True:
            wider = leading | {name for name, rule in rules.items() if leading.intersection(references(rule))}
            if wider == leading:
                return leading
            leading = wider

    def _rule(self, name: str) -> int:
        if name not in self._numbers:
            number = self._numbers[name] = len(self._rules)
            self._rules.append([])
            self._boundaries.append(self._boundary(name))
            self._rules[number] = self._node(self._grammar.rules[name])
        return self._numbers[name]

    def _node(self, expression: GrammarExpression) -> Node:
        if self._grammar.lexing == "scannerless" and not self._leading.intersection(references(expression)):
            try:
                return ["leaf", self._leaf(expression)]
            except NotRegular:
                pass
        match expression:
            case Reference():
                name = expression.name
                return ["terminal", self._terminals[name]] if name in self._terminals else ["rule", self._rule(name)]
            case Concatenation(items):
                return ["sequence", *(self._node(item) for item in items)]
            case Alternatives(items):
                return ["choice", *(self._node(item) for item in items)]
            case Repeat(item, least, most):
                return ["repeat", self._node(item), least, most]
            case Intersection(left, right):
                return self._restricted("keep", left, right)
            case Difference(left, right):
                return self._restricted("drop", left, right)
            case Restricted(item, conditions):
                everything = Pattern("(?s:.*)")
                allowed = Restricted(everything, conditions)
                return ["keep", self._node(item), self._leaf(allowed)]
            case LiteralText() | Pattern() | SubstringOf() | Automaton():
                return ["leaf", self._leaf(expression)]
            case Embedded(grammar):
                return self._embedded(grammar)
        raise AssertionError(f"no node for {type(expression).__name__}")

    def _restricted(self, kind: str, left: GrammarExpression, right: GrammarExpression) -> Node:
        try:
            return [kind, self._node(left), self._leaf(right)]
        except NotRegular:
            return [kind, self._node(right), self._leaf(left)]

    def _embedded(self, grammar: Grammar) -> Node:
        raise NotRegular(Embedded(grammar), "sites around an embedded grammar are not found yet")

    def _leaf(self, expression: GrammarExpression) -> int:
        if expression not in self._leaves:
            dfa = from_expression(expression, self._grammar.rules, self._limit)
            self._leaves[expression] = 0 if dfa.start == 0 else self._size - 1 + dfa.start
            if dfa.start:
                self._dfas.append(dfa)
                self._size += len(dfa) - 1
        return self._leaves[expression]
