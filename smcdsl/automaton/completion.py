"""Can a configuration be completed to a text of the language? Mostly seen at once, else searched for.

A hypothesis without obligations can be completed whenever its lexeme may become a terminal that the parser can
shift, if lexemes can always be kept apart; the compiler proves that per grammar (`separable`). Obligations,
grammars without that proof, and filters beside a grammar that is not regular are decided by a search over bytes, which
goes first where the parser has the shortest way to an end.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from heapq import heappop, heappush

import numpy as np

from smcdsl.automaton.bits import bits
from smcdsl.automaton.recognizers import ParsedRecognizer
from smcdsl.automaton.shortest import FAR, ShortestEnds
from smcdsl.automaton.stacks import LinearStacks
from smcdsl.automaton.tables import AutomatonTables

SMALL_PARSER = 128
"""Parsers with more states than this get less time: their shortest completions are too far to be searched for."""
SEARCH_STEPS = {True: 3000, False: 200}
"""For small parsers and others: configurations looked at before a search gives up and answers yes."""
ALL_STEPS = {True: 100_000, False: 20_000}
"""The same for all searches of an automaton together; then every answer is yes."""
BLIND_STEPS = 400
"""The same for parsers that are not small where nothing guides a search: it seldom finds anything."""

MOST_GUIDED = 2_000
"""LR states of parsers at most for which the way to an end is worked out, in less than a second."""


class Completion:
    """Answers of one recogniser, remembered."""

    def __init__(self, tables: AutomatonTables, recognizer: ParsedRecognizer) -> None:
        self._recognizer = recognizer
        self.is_local = tables.separable and tables.filter is None
        """Whether one hypothesis without obligations can always be completed."""
        self._tables = tables
        self.undecided = 0
        small = tables.parser is None or len(tables.parser.shift) <= SMALL_PARSER
        self._steps, self._steps_left = SEARCH_STEPS[small], ALL_STEPS[small]
        if not small and not self._is_guided:
            self._steps_left = BLIND_STEPS
        self._known: dict[int, bool] = {}
        self._left: dict[tuple[int, int], int] = {}

    @cached_property
    def _bytes(self) -> list[int]:
        return _representatives(self._tables)

    @property
    def _is_guided(self) -> bool:
        parser = self._tables.parser
        assert parser is not None
        is_plain = type(self._recognizer.stacks) is LinearStacks and len(parser.markers) <= 1
        return is_plain and len(parser.shift) <= MOST_GUIDED

    @cached_property
    def _ends(self) -> ShortestEnds | None:
        stacks, parser, lexer = self._recognizer.stacks, self._tables.parser, self._tables.lexer
        if not self._is_guided:
            return None
        assert type(stacks) is LinearStacks
        assert lexer is not None
        assert parser is not None
        return ShortestEnds(lexer, parser, stacks)

    def bytes_left(self, configuration: int) -> int:
        """A guess, seldom too high, of how many bytes there are to the nearest end."""
        if self._ends is None:
            return 0
        _, hypotheses = self._recognizer.content(configuration)
        return min([self._of_hypothesis(h.lexer, h.parser) for h in hypotheses], default=0)

    def _of_hypothesis(self, state: int, parser: int) -> int:
        known = self._left.get((state, parser))
        if known is None:
            known = self._left[state, parser] = self._least(state, parser)
        return known

    def _least(self, state: int, parser: int) -> int:
        ends, lexer, stacks = self._ends, self._recognizer.plain_lexer, self._recognizer.stacks
        assert ends is not None
        if lexer.is_start[state]:
            return ends.to_end(parser)
        least = FAR
        for terminal in bits(lexer.alive(state) & stacks.acceptable(parser)):
            after = parser if lexer.ignored >> terminal & 1 else stacks.shift(parser, terminal)[0]
            least = min(least, ends.bytes_to_lexeme(state, terminal) + ends.to_end(after))
        return least

    @property
    def has_given_up(self) -> bool:
        """Whether searches took so long altogether that there will be no more."""
        return self._steps_left <= 0

    def takes_for_granted(self) -> bool:
        """Whether there will be no more searches; counts a text that is allowed without one."""
        self.undecided += self.has_given_up
        return self.has_given_up

    def possible(self, configuration: int) -> bool:
        """Whether some text of the language begins like the text so far (or the search gave up)."""
        known = self._known.get(configuration)
        if known is None:
            known = self._known[configuration] = self._search(configuration, self._recognizer)
        return known

    def _is_goal(self, configuration: int, recognizer: ParsedRecognizer) -> bool:
        known = self._known.get(configuration)
        if known is not None:
            return known
        if self.is_local and any(not h.obligations for h in recognizer.content(configuration)[1]):
            return True
        return recognizer.may_end(configuration)

    def _search(self, configuration: int, recognizer: ParsedRecognizer) -> bool:
        if not configuration:
            return False
        if self._is_goal(configuration, recognizer):
            # Most often; and then nothing has to guide a search, which takes long to work out.
            self._steps_left -= 1
            return True
        parents = {configuration: 0}
        agenda = [(self.bytes_left(configuration), 0, configuration)]
        onward: dict[int, Iterator[int]] = {}
        while agenda:
            least, depth, current = heappop(agenda)
            if current not in onward:
                self._steps_left -= 1
                if self._is_goal(current, recognizer):
                    self._prove(parents, current)
                    return True
                if self._known.get(current) is False:
                    continue
                if len(parents) > self._steps or self.has_given_up:
                    self.undecided += 1
                    self._prove(parents, configuration)
                    return True
                onward[current] = iter(tuple(self._bytes))
            for byte in onward[current]:
                after = recognizer.step(current, byte)
                if after and after not in parents:
                    parents[after] = current
                    its_least = 1 - depth + self.bytes_left(after)
                    heappush(agenda, (its_least, depth - 1, after))
                    if its_least <= least:
                        # As short as can be: the other bytes wait. What led on once does so again.
                        heappush(agenda, (least, depth, current))
                        self._bytes.remove(byte)
                        self._bytes.insert(0, byte)
                        break
        for visited in parents:
            self._known[visited] = False
        return False

    def _prove(self, parents: dict[int, int], configuration: int) -> None:
        while configuration:
            self._known[configuration] = True
            configuration = parents[configuration]


def _representatives(tables: AutomatonTables) -> list[int]:
    """One byte of each class that neither lexer nor filter tells apart, without those that lead nowhere."""
    assert tables.lexer is not None
    rows = [tables.lexer.next_state]
    if tables.filter is not None:
        rows.append(tables.filter.next_state)
    stacked = np.concatenate(rows)
    _, first = np.unique(stacked, axis=1, return_index=True)
    return [int(byte) for byte in sorted(first) if tables.lexer.next_state[:, byte].any()]
