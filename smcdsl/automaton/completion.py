"""Can a configuration be completed to a text of the language? Mostly seen at once, else searched for.

A hypothesis without obligations can be completed whenever its lexeme may become a terminal that the parser can
shift, if lexemes can always be kept apart; the compiler proves that per grammar (`separable`). Obligations,
grammars without that proof, and filters beside a grammar that is not regular are decided by a search over bytes.
"""

from __future__ import annotations

from functools import cached_property
from heapq import heappop, heappush

import numpy as np

from smcdsl.automaton.recognizers import ParsedRecognizer
from smcdsl.automaton.tables import AutomatonTables

SMALL_PARSER = 128
"""Parsers with more states than this get less time: their shortest completions are too far to be searched for."""
SEARCH_STEPS = {True: 3000, False: 200}
"""For small parsers and others: configurations looked at before a search gives up and answers yes."""
ALL_STEPS = {True: 100_000, False: 2_000}
"""The same for all searches of an automaton together; then every answer is yes."""


class Completion:
    """Answers of one recogniser, remembered."""

    def __init__(self, tables: AutomatonTables, recognizer: ParsedRecognizer) -> None:
        self._recognizer = recognizer
        self.is_local = tables.separable and tables.filter is None
        """Whether one hypothesis without obligations can always be completed."""
        self.undecided = 0
        small = tables.parser is None or len(tables.parser.shift) <= SMALL_PARSER
        self._steps, self._steps_left = SEARCH_STEPS[small], ALL_STEPS[small]
        self._known: dict[int, bool] = {}
        self._tables = tables

    @cached_property
    def _bytes(self) -> list[int]:
        return _representatives(self._tables)

    @property
    def has_given_up(self) -> bool:
        """Whether searches took so long altogether that there will be no more."""
        return self._steps_left <= 0

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
        parents = {configuration: 0}
        agenda = [(0, configuration)]
        while agenda:
            distance, current = heappop(agenda)
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
            for byte in self._bytes:
                after = recognizer.step(current, byte)
                if after and after not in parents:
                    parents[after] = current
                    heappush(agenda, (distance + 1, after))
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
