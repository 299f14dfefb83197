"""The enumerated automaton with its answers kept in arrays by state, for tests that make many runs."""

from __future__ import annotations

import numpy as np
from oracles.enumerated import EnumeratedAutomaton, Language, Site

from smcdsl.automaton.applying import Allowed
from smcdsl.vocabulary import Vocabulary


class TabulatedAutomaton(EnumeratedAutomaton):
    """Equal to `EnumeratedAutomaton`; a state is asked once."""

    def __init__(self, language: Language, vocabulary: Vocabulary, following: bytes | None) -> None:
        super().__init__(language, vocabulary, following)
        self._next = np.empty((0, len(vocabulary)), dtype=np.int64)
        self._ends = np.empty(0, dtype=np.bool_)
        self._allowed: list[np.ndarray] = []
        self._new_sites: dict[tuple[int, int], int] = {}
        self._texts: frozenset[bytes] | None = None
        self._sites: dict[tuple[bytes, bool], tuple[Site, ...]] = {}

    def _is_possible(self, text: bytes) -> bool:
        if self._texts is None:
            whole = (other + (self.following or b"") for other in self.language.texts)
            self._texts = frozenset(other[:end] for other in whole for end in range(len(other) + 1))
        return text in self._texts

    def _know(self, states: np.ndarray) -> None:
        while (last := int(states.max(initial=-1))) >= len(self._allowed):
            for state in range(len(self._allowed), last + 1):
                after = self._successors(*self._states[state])
                row = np.full(len(self.vocabulary), -1, dtype=np.int64)
                for token, each in after.items():
                    if self._can_finish(*each):
                        row[token] = self._number(*each)
                self._allowed.append(np.flatnonzero(row >= 0).astype(np.int32))
                self._next = np.vstack([self._next, row])
                self._ends = np.append(self._ends, self._is_finished(*self._states[state]))

    def masks(self, states):
        self._know(states)
        bits = np.zeros((len(states), -(-len(self.vocabulary) // 32) * 32), dtype=np.uint8)
        bits[:, : len(self.vocabulary)] = self._next[states] >= 0
        return np.packbits(bits, axis=1, bitorder="little").view(np.uint32)

    def pick(self, states, values, rows):
        self._know(states)
        tokens = [self._allowed[state] for state in states.tolist()]
        sizes = np.array([len(own) for own in tokens], dtype=np.int64)
        starts = np.concatenate([[0], np.cumsum(sizes)])
        every = np.concatenate(tokens)
        return Allowed(starts, every, values[np.repeat(rows, sizes), every])

    def advance(self, states, tokens):
        self._know(states)
        return np.where(states < 0, -1, self._next[np.maximum(states, 0), tokens])

    def finished(self, states):
        self._know(states)
        return np.where(states < 0, False, self._ends[np.maximum(states, 0)])

    def sites(self, text, complete):
        key = (text, complete)
        if key not in self._sites:
            self._sites[key] = super().sites(text, complete)
        return self._sites[key]

    def noticed(self, states, tokens, text_before):
        found = np.empty(len(states), dtype=np.uint64)
        for place, pair in enumerate(zip(states.tolist(), tokens.tolist(), strict=True)):
            if pair not in self._new_sites:
                self._new_sites[pair] = int(super().noticed(np.array([pair[0]]), np.array([pair[1]]), text_before)[0])
            found[place] = self._new_sites[pair]
        return found
