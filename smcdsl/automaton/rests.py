"""Rests: what may still come in the body of a rule, as far as the rules alone say it.

A rest is a node of the rules of `derivations` and the rest behind it; the last one of a rule is its end. How it may go
on is found out once: regular parts that it may begin with, rules, and whether the body may be over. Everything here
may err on the side of more texts, never of fewer: restrictions around rules are left out, embedded grammars may be
anything, and a repeated part that may be empty may be repeated at will.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import reduce
from operator import or_

import numpy as np

from smcdsl.automaton.bits import bits
from smcdsl.automaton.derivations import Node, Rules
from smcdsl.automaton.tables import RegularTables

_MOST_PASSES = 100
"""Rounds over all rules to find what bytes these may begin with; after that any."""
_EVERY_BYTE = (1 << 256) - 1

Onward = tuple[tuple[tuple[int, "Rest"], ...], tuple[tuple[int, "Rest"], ...], bool]
"""(states of regular parts after a byte and the rests behind, rules to read it in, whether it may be read behind)."""


class Rest:
    """What is left of the body of a rule; `Rests.of` makes equal ones once, `Rests.known` fills them in."""

    __slots__ = (
        *("rule", "node", "least", "most", "then"),
        *("is_known", "leaves", "calls", "may_end", "is_over", "takes", "on"),
    )

    def __init__(self, rule: int, node: Node | None, least: int, most: int | None, then: Rest | None) -> None:
        self.rule, self.node, self.least, self.most, self.then = rule, node, least, most, then
        self.is_known = False
        self.leaves: tuple[tuple[int, Rest], ...] = ()
        """(first state of a regular part, the rest behind it)."""
        self.calls: tuple[tuple[int, Rest], ...] = ()
        """(rule, the rest behind it)."""
        self.may_end = False
        self.is_over = False
        """Whether the body can do nothing but end."""
        self.takes: frozenset[int] = frozenset()
        """Bytes that may come next, what follows the rule included."""
        self.on: dict[int, Onward] = {}


class Rests:
    """All rests of one grammar.

    Args:
        rules: of a grammar over bytes.
        leaves: the automata of its regular parts.
    """

    def __init__(self, rules: Rules, leaves: RegularTables | None) -> None:
        self.rules = rules
        self.boundaries = (*rules.boundaries, None)
        """By rule, the last for the whole text."""
        size = 1 if leaves is None else len(leaves.accepting)
        self.anything = size
        """A state in which every text is read, for what is not looked into."""
        self.accepting: list[bool] = [*([False] if leaves is None else leaves.accepting.tolist()), True]
        grows = {self.anything} if leaves is None else {self.anything, *np.nonzero(leaves.next_state)[0].tolist()}
        self.is_final = [accepts and state not in grows for state, accepts in enumerate(self.accepting)]
        """By state, whether a part ends there for certain."""
        self._tables = leaves
        self._rows: list[list[int] | None] = [None] * (size + 1)
        self._rests: dict[tuple[int, int, int | None, int], Rest] = {}
        self._ends: dict[int, Rest] = {}
        self._bytes: dict[int, frozenset[int]] = {}
        bounds = _Bounds(rules, self)
        self.first, self.follow = bounds.first, bounds.follow
        """By rule, sets of bytes as bits: with which it may begin; which may come behind it."""
        self._bounds = bounds
        # The whole text is a call of the first rule, from a rule that does not exist.
        self.start = self.of(["rule", rules.start], self.end_of(len(rules.bodies)))
        self._bodies: dict[int, Rest] = {}

    def row(self, state: int) -> list[int]:
        """The states of a regular part after all bytes."""
        row = self._rows[state]
        if row is None:
            if self._tables is None or state == self.anything:
                row = [state] * 256
            else:
                row = self._tables.next_state[state].tolist()
            self._rows[state] = row
        return row

    def body(self, rule: int) -> Rest:
        """All of a rule's body."""
        found = self._bodies.get(rule)
        if found is None:
            found = self._bodies[rule] = self.known(self.of(self.rules.bodies[rule], self.end_of(rule)))
        return found

    def end_of(self, rule: int) -> Rest:
        """Nothing more of a rule's body."""
        if rule not in self._ends:
            self._ends[rule] = Rest(rule, None, 0, 0, None)
        return self._ends[rule]

    def of(self, node: Node, then: Rest, least: int = 0, most: int | None = 0) -> Rest:
        """A node and what is behind it; of a repetition so many items."""
        key = (id(node), least, most, id(then))
        found = self._rests.get(key)
        if found is None:
            if node[0] == "repeat" and not least and most == 0:
                _, item, least, most = node
                if self._bounds.may_be_empty(item):
                    least, most = 0, None
            found = self._rests[key] = Rest(then.rule, node, least, most, then)
        return found

    def known(self, rest: Rest) -> Rest:
        """The same rest, filled in."""
        if rest.is_known:
            return rest
        leaves: dict[tuple[int, Rest], None] = {}
        calls: dict[tuple[int, Rest], None] = {}
        for part in self._reached(rest, into_empty_rules=False):
            if part.node is None:
                rest.may_end = True
            elif part.node[0] == "rule":
                assert part.then is not None
                calls[part.node[1], part.then] = None
            elif (state := self._leaf(part.node)) and not (self.accepting[state] and self.is_final[state]):
                assert part.then is not None
                leaves[state, part.then] = None
        rest.leaves, rest.calls = tuple(leaves), tuple(calls)
        rest.is_over = rest.may_end and not leaves and not calls
        rest.takes = self._numbers(
            reduce(or_, [self._begins(part) for part in self._reached(rest, into_empty_rules=True)], 0)
        )
        rest.is_known = True
        return rest

    def onward(self, rest: Rest, byte: int) -> Onward:
        """What may come of a byte at a rest."""
        found = rest.on.get(byte)
        if found is None:
            leaves = tuple((q, self.known(then)) for state, then in rest.leaves if (q := self.row(state)[byte]))
            calls = tuple(
                (rule, self.known(then))
                for rule, then in rest.calls
                if self.first[rule] >> byte & 1 or self._bounds.empty[rule]
            )
            found = rest.on[byte] = leaves, calls, rest.may_end and bool(self.follow[rest.rule] >> byte & 1)
        return found

    def _leaf(self, node: Node) -> int:
        if node[0] == "leaf":
            return int(node[1])
        assert node[0] == "embedded", "a grammar over bytes has no terminals"
        return self.anything

    def _reached(self, rest: Rest, *, into_empty_rules: bool) -> Iterable[Rest]:
        """Rests with a regular part, a rule or nothing in front, reached without reading anything."""
        found = [rest]
        seen = {rest}

        def reach(other: Rest | None) -> None:
            assert other is not None
            if other not in seen:
                seen.add(other)
                found.append(other)

        for each in found:
            if each.node is None:
                yield each
            else:
                self._open(each, each.node, reach, into_empty_rules)
                if each.node[0] in ("leaf", "embedded", "rule"):
                    yield each

    def _open(self, rest: Rest, node: Node, reach: Callable[[Rest | None], None], into_empty_rules: bool) -> None:
        """Reach what the first node of a rest consists of, or what is behind it where it may be empty."""
        assert rest.then is not None
        kind = node[0]
        if kind == "sequence":
            then = rest.then
            for item in reversed(node[1:]):
                then = self.of(item, then)
            reach(then)
        elif kind == "choice":
            for item in node[1:]:
                reach(self.of(item, rest.then))
        elif kind in ("keep", "drop"):
            reach(self.of(node[1], rest.then))
        elif kind == "repeat":
            if not rest.least:
                reach(rest.then)
            if rest.most is None or rest.most > 0:
                reach(self.of(node[1], self._one_less(rest, node)))
        elif kind == "rule":
            if into_empty_rules and self._bounds.empty[node[1]]:
                reach(rest.then)
        elif self.accepting[self._leaf(node)]:
            reach(rest.then)

    def _one_less(self, rest: Rest, node: Node) -> Rest:
        """A repetition after one item of it."""
        assert rest.then is not None
        if rest.most is None and not rest.least:
            return rest
        most = None if rest.most is None else rest.most - 1
        return rest.then if most == 0 else self.of(node, rest.then, max(rest.least - 1, 0), most)

    def _begins(self, rest: Rest) -> int:
        """Bytes with which the node in front may begin; behind the end, what may follow the rule."""
        return self.follow[rest.rule] if rest.node is None else self._bounds.begins(rest.node)

    def _numbers(self, mask: int) -> frozenset[int]:
        if mask not in self._bytes:
            self._bytes[mask] = frozenset(bits(mask))
        return self._bytes[mask]


class _Bounds:
    """Which rules may be empty, with which bytes they begin, and which may follow them."""

    def __init__(self, rules: Rules, rests: Rests) -> None:
        self._rules, self._rests = rules, rests
        size = len(rules.bodies)
        self.empty, self.first, self.follow = [False] * size, [0] * size, [0] * (size + 1)
        self._leaves: dict[int, int] = {}
        if not self._settle(self._begin_all):
            self.empty, self.first = [True] * size, [_EVERY_BYTE] * size
        if not self._settle(self._follow_all):
            self.follow = [_EVERY_BYTE] * size + [0]

    def may_be_empty(self, node: Node) -> bool:
        kind = node[0]
        if kind == "rule":
            return self.empty[node[1]]
        if kind == "leaf":
            return self._rests.accepting[node[1]]
        if kind == "sequence":
            return all(map(self.may_be_empty, node[1:]))
        if kind == "choice":
            return any(map(self.may_be_empty, node[1:]))
        if kind == "repeat":
            return node[2] == 0 or self.may_be_empty(node[1])
        return kind == "embedded" or self.may_be_empty(node[1])

    def begins(self, node: Node) -> int:
        """Bytes with which a node may begin, as bits."""
        kind = node[0]
        if kind == "rule":
            return self.first[node[1]]
        if kind == "leaf":
            return self._leaf(node[1])
        if kind == "sequence":
            found = 0
            for item in node[1:]:
                found |= self.begins(item)
                if not self.may_be_empty(item):
                    break
            return found
        if kind == "choice":
            return reduce(or_, map(self.begins, node[1:]))
        return _EVERY_BYTE if kind == "embedded" else self.begins(node[1])

    def _leaf(self, state: int) -> int:
        if state not in self._leaves:
            row = self._rests.row(state) if state else []
            self._leaves[state] = sum(1 << byte for byte, after in enumerate(row) if after)
        return self._leaves[state]

    def _settle(self, once: Callable[[], bool]) -> bool:
        """Do something until it changes nothing; whether it came to that."""
        return any(not once() for _ in range(_MOST_PASSES))

    def _begin_all(self) -> bool:
        changed = False
        for rule, body in enumerate(self._rules.bodies):
            found = self.may_be_empty(body), self.begins(body)
            changed |= found != (self.empty[rule], self.first[rule])
            self.empty[rule], self.first[rule] = found
        return changed

    def _follow_all(self) -> bool:
        before = list(self.follow)
        for rule, body in enumerate(self._rules.bodies):
            self._follow(body, self.follow[rule])
        return before != self.follow

    def _follow(self, node: Node, behind: int) -> None:
        """Note what follows the rules in a node that these bytes may follow."""
        kind = node[0]
        if kind == "rule":
            self.follow[node[1]] |= behind
        elif kind == "sequence":
            for item in reversed(node[1:]):
                self._follow(item, behind)
                behind = self.begins(item) | (behind if self.may_be_empty(item) else 0)
        elif kind == "choice":
            for item in node[1:]:
                self._follow(item, behind)
        elif kind == "repeat":
            self._follow(node[1], behind | self.begins(node[1]))
        elif kind in ("keep", "drop"):
            self._follow(node[1], behind)
