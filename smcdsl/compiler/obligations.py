"""Which lexemes cannot get rid of an obligation.

A lexeme has ended early if it could have gone on to a longer one: that one is owed. The new lexeme must lead it
to its death, or end before it accepts. Where it cannot, the early end need not be looked at: a name that might go on
with a letter of several bytes is never followed by a name that begins with it. Few pairs of states ever meet, so
they are found forward from where lexemes can follow each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from smcdsl.automaton.tables import LexerTables

_MOST_PAIRS = 500_000
"""Beyond this nothing is said of any pair, which costs searches but no exactness."""


def with_trapped(lexer: LexerTables, kinds: NDArray[np.int64], followers: Mapping[int, int]) -> LexerTables:
    """The same lexer with `trapped` computed.

    Args:
        lexer: the shared automaton of the terminals.
        kinds: (K,) one byte of each class that no state tells apart.
        followers: for each terminal that is ever read a bit set of the terminals that may come right after it.
    """
    states, owed = _Pairs(lexer, kinds, followers).trapped()
    order = np.lexsort((states, owed))
    bounds = np.searchsorted(owed[order], np.arange(len(lexer.next_state) + 1))
    return lexer._replace(trapped_start=bounds.astype(np.int32), trapped=states[order].astype(np.int32))


class _Pairs:
    """Pairs (state of a lexeme, state owed) as numbers `state * S + owed`."""

    def __init__(self, lexer: LexerTables, kinds: NDArray[np.int64], followers: Mapping[int, int]) -> None:
        self.lexer, self.followers = lexer, followers
        self.table = np.ascontiguousarray(lexer.next_state[:, kinds].astype(np.int64))
        self.size = len(self.table)
        # What may be owed after a byte: an obligation that accepts is broken.
        self.owed = np.where(lexer.accepting[self.table], 0, self.table)
        self.first = {
            mode: np.unique(self.table[lexer.is_start & (lexer.mode == mode)], axis=0)
            for mode in np.flatnonzero(lexer.exclusive).tolist()
        }

    def trapped(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """All pairs that can be met and not escaped from: (states, owed)."""
        pairs = self._met()
        if len(pairs) > _MOST_PAIRS:
            pairs = pairs[:0]
        states, owed = pairs // self.size, pairs % self.size
        after, owed_after = self.table[states], self.table[owed]
        escapes = self.lexer.accepting[states] | ((after > 0) & (owed_after == 0)).any(axis=1)
        row, column = np.nonzero((after > 0) & (self.owed[owed] > 0))
        target = np.searchsorted(pairs, after[row, column] * self.size + owed_after[row, column])
        while True:
            wider = escapes.copy()
            wider[row[escapes[target]]] = True
            if (wider == escapes).all():
                return states[~escapes], owed[~escapes]
            escapes = wider

    def _met(self) -> NDArray[np.int64]:
        """Pairs that reading can come to, in ascending order."""
        new = np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *self._begun()]))
        met, restarted = new, np.zeros(self.size, dtype=np.bool_)
        while len(new) and len(met) <= _MOST_PAIRS:
            states, owed = new // self.size, new % self.size
            ended = np.unique(owed[self.lexer.accepting[states]])
            ended = ended[~restarted[ended]]
            restarted[ended] = True
            found = [_joined(self.table[states], self.owed[owed], self.size)]
            for state in ended.tolist():
                mode = int(self.lexer.mode[state])
                found.append(_joined(self.first[mode], self.owed[state][None, :], self.size))
            new = np.setdiff1d(np.concatenate(found), met)
            met = np.union1d(met, new)
        return met

    def _begun(self) -> Iterator[NDArray[np.int64]]:
        """Pairs after the first byte of a lexeme that another's early end made room for."""
        lexer = self.lexer
        for winner, mask in self.followers.items():
            ends = np.flatnonzero((lexer.winner == winner) & lexer.exclusive[lexer.mode])
            owed = {row.tobytes(): row for row in self.owed[ends] if row.any()}
            if not owed:
                continue
            words = lexer.alive.shape[1]
            follows = np.frombuffer(mask.to_bytes(8 * words, "little"), dtype="<u8")
            first = self.first[int(lexer.mode[ends[0]])]
            first = np.where((lexer.alive[first] & follows).any(axis=2), first, 0)
            for row in owed.values():
                yield _joined(first, row[None, :], self.size)


def _joined(states: NDArray[np.int64], owed: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """The pairs of two tables, (n, kinds) or one row for all, where neither is dead."""
    both = (states > 0) & (owed > 0)
    return np.unique((states * size + owed)[both])
