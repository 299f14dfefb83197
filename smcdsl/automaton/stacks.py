"""Parser states as ints: interned LR stacks, and interned sets of them for generalised parsing.

Both offer the same: `shift`, `acceptable`, `start`, `merge`, `of_stacks`. This is the plain reading of what the kernels
in `parsing.py` do, for searches and sites; masks do not use it. A generalised parser's state is a graph-structured
stack, canonical and hashed: the set of its top nodes (LR state, nodes below). Grammars for it have no empty
productions and no unit cycles, so a reduction always goes to older nodes and ends.

Source of the graph-structured stack: Tomita (1986); here it is a value, so equal futures are one int.
"""

from __future__ import annotations

from collections.abc import Iterable

from smcdsl.automaton.bits import bits
from smcdsl.automaton.layout import CLOSED, DEDENTED, INDENTED, OPENED, STATE_BITS
from smcdsl.automaton.tables import LayoutTables, LexerTables, ParserTables

BOTTOM = -1


class LinearStacks:
    """Interned stacks of a deterministic parser. Node n is `state[n]` on top of `parent[n]`; node 0 is the first."""

    line_breaks = 0
    """Bitmask of the terminals that are line breaks with a column."""

    def __init__(self, lexer: LexerTables, parser: ParserTables) -> None:
        self.lexer, self.parser = lexer, parser
        self.parent: list[int] = []
        self.state: list[int] = []
        self._nodes: dict[tuple[int, int], int] = {}
        self._ignored = int.from_bytes(lexer.ignored.tobytes(), "little")
        self._tables = _PlainTables(parser)
        self._starts: list[list[int]] = parser.start_of.tolist()
        self._shifts: dict[tuple[int, int], tuple[int, ...]] = {}
        self._accepted: dict[int, int] = {}
        self.first = self.push(BOTTOM, 0)

    def push(self, node: int, state: int) -> int:
        """The stack with `state` on top of `node`."""
        key = (node, state)
        known = self._nodes.get(key)
        if known is None:
            known = self._nodes[key] = len(self.state)
            self.parent.append(node)
            self.state.append(state)
        return known

    def shift(self, node: int, terminal: int) -> tuple[int, ...]:
        """The node after `terminal`, as a sequence of one or none."""
        key = (node, terminal)
        known = self._shifts.get(key)
        if known is None:
            base, pushed, target = self._settle(node, terminal)
            if target >= 0:
                for state in (*pushed, target):
                    base = self.push(base, state)
            known = self._shifts[key] = (base,) if target >= 0 else ()
        return known

    def steps(self, node: int, terminal: int) -> list[tuple[int, int]]:
        """What the parser shifts for a terminal: (terminal, node before it)."""
        return [(terminal, node)]

    def in_brackets(self, node: int) -> bool:
        """Whether line breaks are passed over."""
        return False

    def acceptable(self, node: int) -> int:
        """Bitmask of the terminals that can be shifted next, ignored ones included."""
        known = self._accepted.get(node)
        if known is None:
            known = self._ignored
            for terminal in bits(self._tables.possible[self.state[node]]):
                if self._settle(node, terminal)[2] >= 0:
                    known |= 1 << terminal
            self._accepted[node] = known
        return known

    def possible(self, node: int) -> int:
        """Bitmask of terminals, `acceptable` ones among them, by the top state alone."""
        return self._tables.possible[self.state[node]]

    def start(self, node: int, mode: int) -> int:
        """The lexer state in which the next lexeme begins."""
        return self._starts[self.state[node]][mode]

    def merge(self, nodes: Iterable[int]) -> tuple[int, ...]:
        """Parser states that stand for all of `nodes` together."""
        return tuple(sorted(set(nodes)))

    def of_stacks(self, stacks: Stacks) -> int:
        """The number of a stack given as the one pair (LR state, stacks below)."""
        ((state, below),) = stacks
        return self.push(self.of_stacks(below) if below else BOTTOM, state)

    def _settle(self, node: int, terminal: int) -> tuple[int, list[int], int]:
        """Do all reductions before `terminal`: (node below, states pushed on it, next state or -1)."""
        tables = self._tables
        pushed: list[int] = []
        while True:
            state = pushed[-1] if pushed else self.state[node]
            reductions = tables.reductions(state, terminal)
            if not reductions:
                return node, pushed, tables.shift(state, terminal)
            production = reductions[0]
            for _ in range(tables.length[production]):
                if pushed:
                    pushed.pop()
                else:
                    node = self.parent[node]
            pushed.append(tables.goto(pushed[-1] if pushed else self.state[node], tables.lhs[production]))


class IndentedStacks(LinearStacks):
    """Stacks of a parser whose line breaks bring indents and dedents: `column[n]` of a block that node n begins."""

    def __init__(self, lexer: LexerTables, parser: ParserTables, layout: LayoutTables) -> None:
        self._columns: list[int] = layout.column.tolist()
        self._access: list[int] = layout.access.tolist()
        self._indent, self._dedent, self._most = layout.numbers.tolist()
        self._end = parser.shift.shape[1] - 1
        self._blocks: dict[tuple[int, int], int] = {}
        self._frame: list[int] = []
        self.column: list[int] = []
        self.line_breaks = sum(1 << terminal for terminal, column in enumerate(self._columns) if column >= 0)
        super().__init__(lexer, parser)

    def push(self, node: int, state: int, column: int = -1) -> int:
        """The stack with `state` on top of `node`; with `column` a block begins."""
        key = (node, state | (column + 1) << STATE_BITS)
        known = self._nodes.get(key)
        if known is None:
            known = self._nodes[key] = len(self.state)
            self.parent.append(node)
            self.state.append(state)
            self.column.append(column)
            self._frame.append(self._frame_after(node, known, self._access[state]))
        return known

    def _frame_after(self, node: int, new: int, access: int) -> int:
        """The node of the innermost open bracket or block, -1 for none."""
        if access in (OPENED, INDENTED):
            return new
        frame = self._frame[node] if node >= 0 else -1
        return self._frame[self.parent[frame]] if frame >= 0 and access in (CLOSED, DEDENTED) else frame

    def in_brackets(self, node: int) -> bool:
        """Whether line breaks are passed over."""
        frame = self._frame[node]
        return frame >= 0 and self._access[self.state[frame]] == OPENED

    def steps(self, node: int, terminal: int) -> list[tuple[int, int]]:
        """What the parser shifts for a terminal: (terminal, node before it); nothing where it is passed over."""
        if terminal == self._end and not self.in_brackets(node):
            return [*self._dedents(node, 0), (terminal, self._after(self._dedents(node, 0), node))]
        column = self._columns[terminal]
        if column < 0:
            return [(terminal, node)]
        if self.in_brackets(node):
            return []
        found = [(terminal, node)]
        after = self._one(node, terminal)
        if after >= 0:
            level = self._level(after)
            if column > level:
                found.append((self._indent, after))
            else:
                found += self._dedents(after, column)
        return found

    def shift(self, node: int, terminal: int) -> tuple[int, ...]:
        """The node after `terminal` and what its column brings, as a sequence of one or none."""
        column = self._columns[terminal]
        if column < 0:
            return super().shift(node, terminal)
        if self.in_brackets(node):
            return (node,)
        after = self._one(node, terminal) if column <= self._most else -1
        if after >= 0 and column > self._level(after):
            base, pushed, target = self._settle(after, self._indent)
            for state in pushed:
                base = self.push(base, state)
            return (self.push(base, target, column),) if target >= 0 else ()
        while after >= 0 and column < self._level(after):
            after = self._one(after, self._dedent)
        return (after,) if after >= 0 and column == self._level(after) else ()

    def acceptable(self, node: int) -> int:
        """Bitmask of the terminals that can be shifted next, ignored ones included."""
        known = self._accepted.get(node)
        if known is None:
            known = super().acceptable(node) & ~self.line_breaks & ~(1 << self._end)
            for terminal in bits(self.line_breaks):
                if self.shift(node, terminal):
                    known |= 1 << terminal
            last = self._after(self._dedents(node, 0), node)
            if last >= 0 and self._settle(last, self._end)[2] >= 0:
                known |= 1 << self._end
            self._accepted[node] = known
        return known

    def possible(self, node: int) -> int:
        """Bitmask of terminals, `acceptable` ones among them, by the top state alone."""
        return super().possible(node) | self.line_breaks | 1 << self._end

    def of_stacks(self, stacks: Stacks) -> int:
        """The number of a stack given as the one pair (column and LR state, stacks below)."""
        ((content, below),) = stacks
        column, state = (content >> STATE_BITS) - 1, content & ((1 << STATE_BITS) - 1)
        return self.push(self.of_stacks(below) if below else BOTTOM, state, column)

    def _level(self, node: int) -> int:
        """The column of the innermost block."""
        frame = self._frame[node]
        return self.column[frame] if frame >= 0 else 0

    def _one(self, node: int, terminal: int) -> int:
        """The node after one terminal that is no indent, -1 if it cannot be shifted."""
        after = LinearStacks.shift(self, node, terminal)
        return after[0] if after else -1

    def _dedents(self, node: int, column: int) -> list[tuple[int, int]]:
        """The dedents that end the blocks deeper than a column, each with the node before it."""
        found = []
        while node >= 0 and not self.in_brackets(node) and column < self._level(node):
            found.append((self._dedent, node))
            node = self._one(node, self._dedent)
        return found

    def _after(self, steps: list[tuple[int, int]], node: int) -> int:
        return self._one(steps[-1][1], steps[-1][0]) if steps else node


Stacks = frozenset[tuple[int, "Stacks"]]
"""Stacks from the top: each an LR state and the stacks below it, empty at the bottom."""


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
        self._nodes: dict[tuple[int, frozenset[Node]], Node] = {}
        self._tops: list[frozenset[Node]] = []
        self._numbers: dict[frozenset[Node], int] = {}
        self._shifts: dict[tuple[int, int], tuple[int, ...]] = {}
        self._accepted: list[int] = []
        self._ignored = int.from_bytes(lexer.ignored.tobytes(), "little")
        self._tables = _PlainTables(parser)
        self._starts: list[list[int]] = parser.start_of.tolist()
        self.first = self._number(frozenset({self._node(0, frozenset())}))

    def shift(self, number: int, terminal: int) -> tuple[int, ...]:
        """The parser states after `terminal`, one for each lexer that may read on."""
        key = (number, terminal)
        known = self._shifts.get(key)
        if known is None:
            known = self._shifts[key] = self._grouped(self._after(self._tops[number], terminal))
        return known

    def acceptable(self, number: int) -> int:
        """Bitmask of the terminals that can be shifted next, ignored ones included."""
        return self._accepted[number]

    def start(self, number: int, mode: int) -> int:
        """The lexer state in which the next lexeme begins."""
        return self._starts[next(iter(self._tops[number])).state][mode]

    def merge(self, numbers: Iterable[int]) -> tuple[int, ...]:
        """Parser states that stand for all of `numbers` together: one for each lexer."""
        distinct = set(numbers)
        if len(distinct) == 1:
            return tuple(distinct)
        return self._grouped(top for number in distinct for top in self._tops[number])

    def of_stacks(self, stacks: Stacks) -> int:
        """The number of some stacks whose tops agree on the next lexer."""
        return self._number(self._canonical(self._nodes_of(stacks)))

    def _nodes_of(self, stacks: Stacks) -> frozenset[Node]:
        return frozenset(self._node(state, self._nodes_of(below)) for state, below in stacks)

    def _after(self, tops: frozenset[Node], terminal: int) -> list[Node]:
        """Top nodes after all reductions before `terminal` and its shift, not yet canonical."""
        shifted: dict[int, set[Node]] = {}
        for top in self._reduced(tops, terminal):
            target = self._tables.shift(top.state, terminal)
            if target >= 0:
                shifted.setdefault(target, set()).add(top)
        return [self._node(state, self._canonical(below)) for state, below in shifted.items()]

    def _reduced(self, tops: Iterable[Node], terminal: int) -> set[Node]:
        """The nodes that reductions before `terminal` may put on top, the given ones included."""
        seen = set(tops)
        agenda = list(seen)
        while agenda:
            top = agenda.pop()
            for production in self._tables.reductions(top.state, terminal):
                lhs = self._tables.lhs[production]
                for base in self._below(top, self._tables.length[production]):
                    node = self._node(self._tables.goto(base.state, lhs), frozenset({base}))
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
            possible = 0
            for top in tops:
                possible |= self._tables.possible[top.state]
            for terminal in bits(possible):
                if any(self._tables.shift(top.state, terminal) >= 0 for top in self._reduced(tops, terminal)):
                    mask |= 1 << terminal
            self._accepted.append(mask)
        return number


class _PlainTables:
    """The parser's tables for single steps: Python ints, looked up once."""

    def __init__(self, parser: ParserTables) -> None:
        self._shift, self._goto = parser.shift, parser.goto
        self._first, self._reduce = parser.first_reduce, parser.reduce
        self._num_terminals = parser.shift.shape[1]
        self.lhs: list[int] = parser.lhs.tolist()
        self.length: list[int] = parser.length.tolist()
        self.possible = [int.from_bytes(row.tobytes(), "little") for row in parser.possible]
        self._known: dict[int, list[int]] = {}

    def shift(self, state: int, terminal: int) -> int:
        """The next state or -1."""
        return int(self._shift[state, terminal])

    def goto(self, state: int, nonterminal: int) -> int:
        """The state after a reduction."""
        return int(self._goto[state, nonterminal])

    def reductions(self, state: int, terminal: int) -> list[int]:
        """Productions to reduce by an LR state and a lookahead."""
        cell = state * self._num_terminals + terminal
        found = self._known.get(cell)
        if found is None:
            found = self._known[cell] = self._reduce[self._first[cell] : self._first[cell + 1]].tolist()
        return found
