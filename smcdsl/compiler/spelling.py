"""Texts that the tokens of a vocabulary can spell: bytes that no token contains are in none of them.

Without their edges every text that an automaton allows can be written, so that nobody has to search for what can.
(Of the vocabularies in wide use StarCoder's lacks bytes that UTF-8 needs.)
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smcdsl.automaton.tables import TrieTables
from smcdsl.compiler.minimal import Dfa
from smcdsl.compiler.operations import minimize


class Spelling:
    """Takes what cannot be spelled out of automata; `missing` collects the bytes that they lost."""

    def __init__(self, trie: TrieTables | None = None) -> None:
        """All bytes can be written if there is no vocabulary."""
        self._absent = np.zeros(256, dtype=np.bool_) if trie is None else _absent_bytes(trie)
        self.missing: set[int] = set()

    def spelled(self, dfa: Dfa) -> Dfa:
        """The texts of `dfa` without absent bytes."""
        lost = np.flatnonzero(self._absent & dfa.next_state.any(axis=0))
        if not len(lost):
            return dfa
        self.missing.update(lost.tolist())
        next_state = dfa.next_state.copy()
        next_state[:, lost] = 0
        return minimize(next_state, dfa.accepting, dfa.start)


def _absent_bytes(trie: TrieTables) -> NDArray[np.bool_]:
    """(256,) whether no token contains a byte. In most vocabularies every byte begins one: few nodes are looked at."""
    absent = np.ones(256, dtype=np.bool_)
    node = 1
    while node < len(trie.byte):
        absent[trie.byte[node]] = False
        node = int(trie.skip[node])
    if absent.any():
        absent[trie.byte[1:]] = False
    return absent
