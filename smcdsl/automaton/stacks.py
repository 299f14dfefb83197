"""Parser states as ints: interned LR stacks, and interned sets of them for generalised parsing.

Both offer the same: `shift`, `acceptable`, `start`. A deterministic parser's stacks are linked nodes in flat
arrays on which the kernels work. A generalised parser's state is a graph-structured stack, canonical and
hashed: the set of its top nodes (LR state, nodes below). Grammars for it have no empty productions and no unit
cycles, so a reduction always goes to older nodes and ends.

Source of the graph-structured stack: Tomita (1986); here it is a value, so equal futures are one int.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from smcdsl.automaton import kernels
from smcdsl.automaton.kernels import NO_NODE, NO_SPACE, UNKNOWN, Stacks
from smcdsl.automaton.tables import LexerTables, ParserTables

_FIRST_CAPACITY = 1 << 12


class LinearStacks:
    """Interned stacks of a deterministic parser. Node 0 is the empty stack with state 0."""

    def __init__(self, lexer: LexerTables, parser: ParserTables) -> None:
        self.lexer, self.parser = lexer, parser
        self.arrays = _new_arrays(lexer, parser, deterministic=True)
        self.first = kernels.push(lexer, parser, self.arrays, -1, 0)
        self._shifts: dict[tuple[int, int], tuple[int, ...]] = {}
        self._accepted: dict[int, int] = {}

    def shift(self, node: int, terminal: int) -> tuple[int, ...]:
        """The node after `terminal`, as a sequence of one or none."""
        key = (node, terminal)
        known = self._shifts.get(key)
        if known is None:
            after = kernels.shift(self.lexer, self.parser, self.arrays, node, terminal)
            while after == NO_SPACE:
                self.grow()
                after = kernels.shift(self.lexer, self.parser, self.arrays, node, terminal)
            known = self._shifts[key] = () if after == NO_NODE else (after,)
        return known

    def acceptable(self, node: int) -> int:
        """Bitmask of the terminals that can be shifted next, ignored ones included."""
        known = self._accepted.get(node)
        if known is None:
            kernels.accept_set(self.parser, self.arrays, node)
            known = self._accepted[node] = int.from_bytes(self.arrays.yes[node].tobytes(), "little")
        return known

    def start(self, node: int, mode: int) -> int:
        """The lexer state in which the next lexeme begins."""
        return int(self.arrays.start[node, mode])

    def merge(self, nodes: Iterable[int]) -> tuple[int, ...]:
        """Parser states that stand for all of `nodes` together."""
        return tuple(sorted(set(nodes)))

    def grow(self) -> None:
        """Double the room for nodes."""
        self.arrays = _doubled(self.arrays)

    def mark(self) -> int:
        """The number of nodes, to `release` to."""
        return int(self.arrays.used[0])

    def release(self, mark: int) -> None:
        """Forget nodes made since `mark`; only for nodes that no one has kept."""
        kernels.forget(self.arrays, mark)


class Node:
    """A node of a graph-structured stack: an LR state and the nodes below; equal nodes are one object."""

    __slots__ = ("below", "number", "state")

    def __init__(self, state: int, below: frozenset[Node], number: int) -> None:
        self.state, self.below, self.number = state, below, number


class GraphStacks:
    """Interned graph-structured stacks: a parser state is the number of a set of top nodes.

    With lexers that depend on the LR state (contextual), tops with different lexers are kept apart.
    """

    def __init__(self, lexer: LexerTables, parser: ParserTables) -> None:
        self.lexer, self.parser = lexer, parser
        self.arrays = _new_arrays(lexer, parser, deterministic=False)
        self.num_terminals = parser.shift.shape[1]
        self._nodes: dict[tuple[int, frozenset[Node]], Node] = {}
        self._tops: list[frozenset[Node]] = []
        self._numbers: dict[frozenset[Node], int] = {}
        self._shifts: dict[tuple[int, int], tuple[int, ...]] = {}
        self._accepted: list[int] = []
        self._ignored = int.from_bytes(lexer.ignored.tobytes(), "little")
        self._reductions = _reductions(parser)
        self.first = self._number(frozenset({self._node(0, frozenset())}))

    def shift(self, number: int, terminal: int) -> tuple[int, ...]:
        """The parser states after `terminal`, one for each lexer that may read on."""
        key = (number, terminal)
        known = self._shifts.get(key)
        if known is None:
            known = self._shifts[key] = self._grouped(self._after(self._tops[number], terminal))
            value = known[0] if len(known) == 1 else UNKNOWN if known else NO_NODE
            if 2 * (self.arrays.used[1] + 1) > len(self.arrays.memo_keys):
                self._grow_memo()
            kernels.remember(self.arrays, number * self.num_terminals + terminal, value)
        return known

    def acceptable(self, number: int) -> int:
        """Bitmask of the terminals that can be shifted next, ignored ones included."""
        return self._accepted[number]

    def start(self, number: int, mode: int) -> int:
        """The lexer state in which the next lexeme begins."""
        return int(self.arrays.start[number, mode])

    def merge(self, numbers: Iterable[int]) -> tuple[int, ...]:
        """Parser states that stand for all of `numbers` together: one for each lexer."""
        distinct = set(numbers)
        if len(distinct) == 1:
            return tuple(distinct)
        return self._grouped(top for number in distinct for top in self._tops[number])

    def grow(self) -> None:
        """Double the room for parser states."""
        self.arrays = _doubled(self.arrays)

    def mark(self) -> int:
        """Nothing is released here: shifts are remembered."""
        return 0

    def release(self, mark: int) -> None:
        """Nothing is released here: shifts are remembered."""

    def _after(self, tops: frozenset[Node], terminal: int) -> list[Node]:
        """Top nodes after all reductions before `terminal` and its shift, not yet canonical."""
        shift = self.parser.shift
        shifted: dict[int, set[Node]] = {}
        for top in self._reduced(tops, terminal):
            target = int(shift[top.state, terminal])
            if target >= 0:
                shifted.setdefault(target, set()).add(top)
        return [self._node(state, self._canonical(below)) for state, below in shifted.items()]

    def _reduced(self, tops: Iterable[Node], terminal: int) -> set[Node]:
        """The nodes that reductions before `terminal` may put on top, the given ones included."""
        seen = set(tops)
        agenda = list(seen)
        while agenda:
            top = agenda.pop()
            for production in self._reductions(top.state, terminal):
                lhs = int(self.parser.lhs[production])
                for base in self._below(top, int(self.parser.length[production])):
                    node = self._node(int(self.parser.goto[base.state, lhs]), frozenset({base}))
                    if node not in seen:
                        seen.add(node)
                        agenda.append(node)
        return seen

    def _below(self, top: Node, length: int) -> set[Node]:
        """Nodes that are `length` levels below."""
        level = {top}
        for _ in range(length):
            level = {node for upper in level for node in upper.below}
        return level

    def _canonical(self, nodes: Iterable[Node]) -> frozenset[Node]:
        """One node for each LR state: those with equal states stand for the union of what is below them."""
        by_state: dict[int, set[Node]] = {}
        for node in nodes:
            by_state.setdefault(node.state, set()).add(node)
        return frozenset(
            next(iter(group))
            if len(group) == 1
            else self._node(state, self._canonical({below for node in group for below in node.below}))
            for state, group in by_state.items()
        )

    def _grouped(self, tops: Iterable[Node]) -> tuple[int, ...]:
        groups: dict[bytes, set[Node]] = {}
        for top in self._canonical(tops):
            groups.setdefault(self.parser.start_of[top.state].tobytes(), set()).add(top)
        return tuple(sorted(self._number(frozenset(group)) for group in groups.values()))

    def _node(self, state: int, below: frozenset[Node]) -> Node:
        key = (state, below)
        node = self._nodes.get(key)
        if node is None:
            node = self._nodes[key] = Node(state, below, len(self._nodes))
        return node

    def _number(self, tops: frozenset[Node]) -> int:
        number = self._numbers.get(tops)
        if number is None:
            number = self._numbers[tops] = len(self._tops)
            self._tops.append(tops)
            mask = self._ignored
            for terminal in range(self.num_terminals):
                reduced = self._reduced(tops, terminal)
                if any(self.parser.shift[top.state, terminal] >= 0 for top in reduced):
                    mask |= 1 << terminal
            self._accepted.append(mask)
            self._publish(number, next(iter(tops)).state, mask)
        return number

    def _publish(self, number: int, state: int, mask: int) -> None:
        """Let the kernels know what is acceptable."""
        if number == len(self.arrays.parent):
            self.grow()
        words = self.arrays.yes.shape[1]
        row = np.frombuffer(mask.to_bytes(8 * words, "little"), dtype="<u8")
        self.arrays.yes[number] = row
        self.arrays.no[number] = ~row
        self.arrays.state[number] = 0
        self.arrays.start[number] = self.parser.start_of[state]
        self.arrays.used[0] = number + 1

    def _grow_memo(self) -> None:
        old = self.arrays
        size = 2 * len(old.memo_keys)
        self.arrays = old._replace(
            memo_keys=np.full(size, -1, dtype=np.int64), memo_values=np.zeros(size, dtype=np.int32)
        )
        used = np.flatnonzero(old.memo_keys >= 0)
        self.arrays.used[1] = 0
        for key, value in zip(old.memo_keys[used].tolist(), old.memo_values[used].tolist()):
            kernels.remember(self.arrays, key, value)


class _reductions:  # noqa: N801 (used as a function)
    """Productions to reduce by LR state and lookahead, as Python ints."""

    def __init__(self, parser: ParserTables) -> None:
        self.first, self.reduce = parser.first_reduce, parser.reduce
        self.num_terminals = parser.shift.shape[1]
        self.known: dict[int, list[int]] = {}

    def __call__(self, state: int, terminal: int) -> list[int]:
        cell = state * self.num_terminals + terminal
        found = self.known.get(cell)
        if found is None:
            found = self.known[cell] = self.reduce[self.first[cell] : self.first[cell + 1]].tolist()
        return found


def _new_arrays(lexer: LexerTables, parser: ParserTables, *, deterministic: bool) -> Stacks:
    capacity = _FIRST_CAPACITY
    words, modes = lexer.alive.shape[1], parser.start_of.shape[1]
    memo = 4 if deterministic else 1 << 12
    return Stacks(
        parent=np.full(capacity, -1, dtype=np.int32),
        state=np.zeros(capacity, dtype=np.int32),
        yes=np.zeros((capacity, words), dtype=np.uint64),
        no=np.zeros((capacity, words), dtype=np.uint64),
        start=np.zeros((capacity, modes), dtype=np.int32),
        slot=np.zeros(capacity, dtype=np.int64),
        table=np.full(4 * capacity, -1, dtype=np.int32),
        used=np.zeros(2, dtype=np.int64),
        memo_keys=np.full(memo, -1, dtype=np.int64),
        memo_values=np.zeros(memo, dtype=np.int32),
        scratch=np.zeros(4096, dtype=np.int32),
        deterministic=np.array([deterministic]),
        marked=np.array([parser.start_of.shape[1] > 1]),
    )


def _doubled(old: Stacks) -> Stacks:
    """The same nodes with twice the room. The table is filled in order of age, as `forget` needs it."""
    capacity = 2 * len(old.parent)
    new = old._replace(
        parent=_extended(old.parent, capacity),
        state=_extended(old.state, capacity),
        yes=_extended(old.yes, capacity),
        no=_extended(old.no, capacity),
        start=_extended(old.start, capacity),
        slot=_extended(old.slot, capacity),
        table=np.full(4 * capacity, -1, dtype=np.int32),
    )
    if old.deterministic[0]:
        kernels.refill(new)
    return new


def _extended(array: NDArray, capacity: int) -> NDArray:  # type: ignore[type-arg]
    larger = np.zeros((capacity, *array.shape[1:]), dtype=array.dtype)
    larger[: len(array)] = array
    return larger
