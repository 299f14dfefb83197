"""How far the end of a text is at least: what a search for one is guided by.

For every LR state, the ways in which the rules that are being read there can be finished: (states popped, nonterminal),
each with the fewest bytes that it takes, whatever lookaheads and lexing say. From a stack they lead to shorter stacks,
and at last to one that may end. Other costs of terminals than bytes are added up in the same way (`closing`).
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush

import numpy as np
from numpy.typing import NDArray

from smcdsl.automaton.stacks import BOTTOM, LinearStacks
from smcdsl.automaton.tables import LexerTables, ParserTables

FAR = 1 << 30
"""More bytes than any text has."""

Finish = dict[tuple[int, int], int]
"""(states popped, nonterminal) -> bytes."""


class ShortestEnds:
    """Lower bounds for stacks of a deterministic parser without columns.

    Args:
        costs: of each terminal but `$end`, in place of the fewest bytes of its lexemes.
    """

    def __init__(
        self, lexer: LexerTables, parser: ParserTables, stacks: LinearStacks, costs: Sequence[int] | None = None
    ) -> None:
        self._lexer, self._parser, self._stacks = lexer, parser, stacks
        self._end = parser.shift.shape[1] - 1
        # Bytes that the lexer does not tell apart are one column.
        self._after = np.unique(lexer.next_state, axis=1)
        self._to_accept: dict[int, NDArray[np.int32]] = {}
        self._lengths = [self._length(t) for t in range(self._end)] if costs is None else list(costs)
        self._shortest = [FAR] * parser.goto.shape[1]
        self._finishes = self._all_finishes()
        # The whole text is read by no rule: what it takes from the first state on.
        wholes = np.flatnonzero((parser.goto[0] >= 0) & (parser.shift[parser.goto[0], self._end] >= 0))
        self._whole = min((self._shortest[n] for n in wholes.tolist()), default=FAR)
        self._known: dict[int, int] = {}
        self._wanted = BOTTOM
        self._by_pair: dict[tuple[int, int], tuple[int, list[tuple[int, int, int]]]] = {}
        self._goto: list[list[int]] = parser.goto.tolist()

    def to_end(self, node: int) -> int:
        """At least so much (bytes, if nothing else) from between lexemes, with this stack, to a possible end."""
        known = self._known.get(node)
        if known is not None:
            return known
        # A stack's answer needs those of shorter ones, which may be many: no recursion.
        agenda = [node]
        while agenda:
            found = self._least(agenda[-1])
            if found is None:
                agenda.append(self._wanted)
            else:
                self._known[agenda.pop()] = found
        return self._known[node]

    def bytes_to_lexeme(self, state: int, terminal: int) -> int:
        """The fewest bytes from a lexer state to where the lexeme can be a terminal."""
        distances = self._to_accept.get(terminal)
        if distances is None:
            distances = self._to_accept[terminal] = self._distances(terminal)
        return int(distances[state])

    def _distances(self, terminal: int) -> NDArray[np.int32]:
        accepts = (self._lexer.accepts[:, terminal >> 6] >> np.uint64(terminal & 63) & np.uint64(1)).astype(bool)
        distances = np.where(accepts, 0, FAR).astype(np.int32)
        while True:
            # State 0 is dead and accepts nothing.
            shorter = np.minimum(distances, distances[self._after].min(axis=1) + 1)
            if np.array_equal(shorter, distances):
                return distances
            distances = shorter

    def _length(self, terminal: int) -> int:
        starts = np.unique(self._parser.start_of)
        return min((self.bytes_to_lexeme(int(start), terminal) for start in starts if start), default=FAR)

    def _all_finishes(self) -> list[Finish]:
        parser, shortest = self._parser, self._shortest
        states = len(parser.shift)
        finishes = self._reductions()
        shifts = [np.flatnonzero(row[: self._end] >= 0).tolist() for row in parser.shift]
        gotos = [np.flatnonzero(row >= 0).tolist() for row in parser.goto]
        sources: list[list[int]] = [[] for _ in range(states)]
        users: list[list[int]] = [[] for _ in shortest]
        edges: list[list[tuple[int, int, int]]] = []
        for state in range(states):
            found = [(self._lengths[t], -1, int(parser.shift[state, t])) for t in shifts[state]]
            found += [(0, n, int(parser.goto[state, n])) for n in gotos[state]]
            edges.append([edge for edge in found if edge[0] < FAR])
            for _, nonterminal, to in edges[state]:
                sources[to].append(state)
                if nonterminal >= 0:
                    users[nonterminal].append(state)
        pending = dict.fromkeys(range(states - 1, -1, -1))
        while pending:
            state = next(iter(pending))
            del pending[state]
            mine, grown = finishes[state], False
            for length, nonterminal, to in edges[state]:
                cost = length if nonterminal < 0 else shortest[nonterminal]
                if cost >= FAR:
                    continue
                for (popped, lhs), rest in finishes[to].items():
                    total = cost + rest
                    if popped == 1:
                        if total < shortest[lhs]:
                            shortest[lhs] = total
                            pending.update(dict.fromkeys(users[lhs]))
                    elif total < mine.get((popped - 1, lhs), FAR):
                        mine[popped - 1, lhs], grown = total, True
            if grown:
                pending.update(dict.fromkeys(sources[state]))
        return finishes

    def _reductions(self) -> list[Finish]:
        """What can be finished without another byte; empty rules are noted in `_shortest`."""
        parser = self._parser
        finishes: list[Finish] = [{} for _ in parser.shift]
        cells = np.flatnonzero(np.diff(parser.first_reduce))
        for cell in cells.tolist():
            production = int(parser.reduce[parser.first_reduce[cell]])
            length, lhs = int(parser.length[production]), int(parser.lhs[production])
            if length:
                finishes[cell // parser.shift.shape[1]][length, lhs] = 0
            else:
                self._shortest[lhs] = 0
        return finishes

    def _least(self, node: int) -> int | None:
        """The cheapest way to an end over shorter stacks; None, and one of them is `_wanted`, if one is not known."""
        parents, states, goto = self._stacks.parent, self._stacks.state, self._goto
        below = parents[node]
        if below == BOTTOM:
            return 0 if self._ends_in(states[node]) else self._whole
        least, ways = self._ways(states[below], states[node])
        for popped, lhs, cost in ways:
            if cost >= least:
                break
            base = node
            for _ in range(popped):
                base = parents[base]
                if base == BOTTOM:
                    break
            if base == BOTTOM or goto[states[base]][lhs] < 0:
                continue
            after = self._stacks.push(base, goto[states[base]][lhs])
            rest = self._known.get(after)
            if rest is None:
                self._wanted = after
                return None
            least = min(least, cost + rest)
        return least

    def _ways(self, below: int, state: int) -> tuple[int, list[tuple[int, int, int]]]:
        """How a stack with `state` on `below` becomes shorter.

        Returns:
            the cost of an end at this height, and (states popped, two at least, nonterminal, cost), the cheapest
            first; rules of one state are followed until something shorter comes of them.
        """
        known = self._by_pair.get((below, state))
        if known is None:
            least, shorter = FAR, dict[tuple[int, int], int]()
            best, agenda = {state: 0}, [(0, state)]
            while agenda:
                distance, here = heappop(agenda)
                if distance > best[here]:
                    continue
                if self._ends_in(here):
                    least = min(least, distance)
                for (popped, lhs), cost in self._finishes[here].items():
                    total = distance + cost
                    if popped > 1:
                        shorter[popped, lhs] = min(shorter.get((popped, lhs), FAR), total)
                        continue
                    after = self._goto[below][lhs]
                    if after >= 0 and total < best.get(after, FAR):
                        best[after] = total
                        heappush(agenda, (total, after))
            ways = sorted(((popped, lhs, cost) for (popped, lhs), cost in shorter.items()), key=lambda way: way[2])
            known = self._by_pair[below, state] = least, ways
        return known

    def _ends_in(self, state: int) -> bool:
        return bool(self._parser.shift[state, self._end] >= 0)
