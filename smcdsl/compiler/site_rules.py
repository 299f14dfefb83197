"""Rules for finding sites in grammars without a deterministic parser; read by `automaton.derivations`.

Only rules that lead to a boundary keep their structure; every other regular part becomes one automaton.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from smcdsl.automaton.tables import RegularTables
from smcdsl.compiler.dfa import Dfa, NotRegular, from_expression
from smcdsl.compiler.forms import Forms, identity
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
    names_in,
)

Node = list[Any]


class Automata:
    """The automata of all regular parts, side by side."""

    def __init__(self) -> None:
        self._dfas: list[Dfa] = []
        self._size = 1

    def add(self, dfa: Dfa) -> int:
        """The start state of a copy of `dfa` among the others; 0 if it accepts nothing."""
        if not dfa.start:
            return 0
        start = self._size - 1 + dfa.start
        self._dfas.append(dfa)
        self._size += len(dfa) - 1
        return start

    def tables(self) -> RegularTables | None:
        """All of them as one table, state 0 dead; None if there are none."""
        if not self._dfas:
            return None
        table = np.zeros((self._size, 256), dtype=np.int32)
        accepting = np.zeros(self._size, dtype=np.bool_)
        offset = 0
        for dfa in self._dfas:
            end = offset + len(dfa)
            table[offset + 1 : end] = np.where(dfa.next_state[1:] > 0, dfa.next_state[1:] + offset, 0)
            accepting[offset + 1 : end] = dfa.accepting[1:]
            offset = end - 1
        return RegularTables(table, accepting)


class SiteRules:
    """Collects the rules of one grammar, and of those embedded in it."""

    def __init__(
        self,
        grammar: Grammar,
        forms: Forms | None,
        automata: Automata,
        state_limit: int,
        *,
        prefix: str = "",
        mode: int = 0,
        wanted: frozenset[str] | None = None,
    ) -> None:
        self._grammar, self._forms, self._automata, self._limit = grammar, forms, automata, state_limit
        self._mode = mode
        self._wanted = frozenset(grammar.boundaries) if wanted is None else wanted
        names = [] if forms is None else forms.grammar.terminals
        self._terminals = {name.removeprefix(prefix): n for n, name in enumerate(names) if name.startswith(prefix)}
        self._ignored = sorted(self._terminals[name] for name in grammar.ignored)
        self._embedded: dict[int, int] = {}
        self._inner: list[dict[str, Any]] = []
        self._numbers: dict[str, int] = {}
        self._rules: list[Node] = []
        self._boundaries: list[str | None] = []
        self._leaves: dict[object, int] = {}
        self._leading = self._lead_to_boundaries()
        self._start = self._rule(grammar.start)

    def collected(self) -> dict[str, Any]:
        """The rules as plain data."""
        return {
            "start": self._start,
            "rules": self._rules,
            "boundaries": self._boundaries,
            "lexed": self._grammar.lexing != "scannerless",
            "ignored": self._ignored,
            "mode": self._mode,
            "embedded": self._inner,
        }

    def _boundary(self, name: str) -> str | None:
        boundary = self._grammar.boundary_of.get(name, name)
        return boundary if boundary in self._wanted else None

    def _lead_to_boundaries(self) -> set[str]:
        rules = self._grammar.rules
        leading = {name for name in rules if self._boundary(name) is not None}
        while True:
            wider = leading | {name for name, rule in rules.items() if leading & names_in(rule)}
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
        if self._grammar.lexing == "scannerless" and not self._leading & names_in(expression):
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
                return self._embed(grammar)
        raise AssertionError(f"no node for {type(expression).__name__}")

    def _restricted(self, kind: str, left: GrammarExpression, right: GrammarExpression) -> Node:
        try:
            return [kind, self._node(left), self._leaf(right)]
        except NotRegular:
            return [kind, self._node(right), self._leaf(left)]

    def _embed(self, grammar: Grammar) -> Node:
        """A lexed grammar inside. Its restrictions are no matter: the text is known to meet them."""
        if id(grammar) not in self._embedded:
            assert self._forms is not None, "a grammar with a lexer inside is never regular"
            prefix, mode = next((p, m) for inner, p, m in self._forms.embedded if inner is grammar)
            # A name that both grammars use is the outer one's.
            wanted = self._wanted - set(self._grammar.rules)
            inner = SiteRules(
                grammar, self._forms, self._automata, self._limit, prefix=prefix, mode=mode, wanted=wanted
            )
            self._embedded[id(grammar)] = len(self._inner)
            self._inner.append(inner.collected())
        return ["embedded", self._embedded[id(grammar)]]

    def _leaf(self, expression: GrammarExpression) -> int:
        key = identity(expression)
        if key not in self._leaves:
            self._leaves[key] = self._automata.add(from_expression(expression, self._grammar.rules, self._limit))
        return self._leaves[key]
