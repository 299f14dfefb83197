"""What rounds of speculation know ahead of the particles: the target's laws by prefix, and verified tokens by slot."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from smcdsl.inference.proposals import Drawn
from smcdsl.prefixes import ROOT, Prefixes

Rows = NDArray[np.floating[Any]]
_NONE = np.empty(0, dtype=np.int64)
_SHIFT = 40
_PREFIX = np.int64((1 << _SHIFT) - 1)


class KnownLaws:
    """The target's log-probabilities behind prefixes: those of the last pass, and older ones that were kept.

    Groups do not share what they know, so that how a group goes on does not depend on the others.
    """

    _new: NDArray[np.int64]
    _old: NDArray[np.int64]
    _new_rows: Rows
    _old_rows: Rows
    _new_places: NDArray[np.int64]

    def __init__(self) -> None:
        self.forget()

    def add(self, groups: NDArray[np.int64], prefixes: NDArray[np.int64], asked: NDArray[np.int64], rows: Rows) -> None:
        """Laws of a pass, in place of those of the pass before.

        Args:
            groups: with `prefixes`, who may know what; duplicates are welcome.
            asked: (U,) ascending prefixes.
            rows: (U, V) the laws behind them.
        """
        self._new, self._new_rows = np.unique(_keys(groups, prefixes)), rows
        self._new_places = np.searchsorted(asked, self._new & _PREFIX)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is known."""
        return not (len(self._new) or len(self._old))

    def has(self, groups: NDArray[np.int64], prefixes: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(n,) whether a group knows the law behind a prefix."""
        keys = _keys(groups, prefixes)
        return (_places(self._new, keys) >= 0) | (_places(self._old, keys) >= 0)

    def find(self, groups: NDArray[np.int64], prefixes: NDArray[np.int64]) -> tuple[Rows, NDArray[np.int64]]:
        """A table, and the row of each group's prefix in it. All must be known."""
        keys = _keys(groups, prefixes)
        places = _places(self._new, keys)
        missing = np.flatnonzero(places < 0)
        if not len(missing):
            return self._new_rows, self._new_places[places]
        old = _places(self._old, keys[missing])
        if len(missing) == len(keys):
            return self._old_rows, old
        rows = self._new_rows[self._new_places[places]]
        rows[missing] = self._old_rows[old]
        return rows, np.arange(len(keys))

    def keep_behind(self, groups: NDArray[np.int64], waiting: NDArray[np.int64], prefixes: Prefixes) -> None:
        """Before the next pass: keep the laws at and behind the prefixes of waiting particles, forget the others."""
        known = np.union1d(self._new, self._old)
        if not len(waiting) or not len(known):
            self.forget()
            return
        places, lengths = np.unique(_keys(groups, waiting)), prefixes.lengths
        owners, above = known & ~_PREFIX, known & _PREFIX
        keep = np.isin(known, places)
        for _ in range(int(lengths[above].max() - lengths[waiting].min())):
            above = np.where(above == ROOT, ROOT, prefixes.parents[above])
            keep |= np.isin(owners | above, places)
        kept = known[keep]
        if not len(kept):
            self.forget()
            return
        rows, numbers = self.find(kept >> _SHIFT, kept & _PREFIX)
        self.forget()
        self._old, self._old_rows = kept, rows[numbers]

    def forget(self) -> None:
        """Forget all."""
        self._new = self._old = self._new_places = _NONE
        self._new_rows = self._old_rows = np.empty((0, 0))


def _keys(groups: NDArray[np.int64], prefixes: NDArray[np.int64]) -> NDArray[np.int64]:
    return (groups << _SHIFT) | prefixes


def _places(ordered: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each is among ascending numbers; -1 where it is not."""
    if not len(ordered):
        return np.full(len(wanted), -1, dtype=np.int64)
    places = np.minimum(np.searchsorted(ordered, wanted), len(ordered) - 1)
    return np.where(ordered[places] == wanted, places, -1)


class VerifiedTokens:
    """Tokens that particles have drawn but not taken yet, with what they add to the weight and the twist after them.

    Args:
        most: the most tokens of a draft.
    """

    def __init__(self, slots: int, most: int) -> None:
        shape = (slots, most + 1)
        self._tokens = np.zeros(shape, dtype=np.int64)
        self._log_weights, self._log_twists = np.zeros(shape), np.zeros(shape)
        self._at, self._end = np.zeros(slots, dtype=np.int64), np.zeros(slots, dtype=np.int64)

    def is_filled(self, slots: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether there are tokens for these slots."""
        return self._at[slots] < self._end[slots]

    def start(self, slots: NDArray[np.int64]) -> None:
        """Empty the slots' lists."""
        self._at[slots] = self._end[slots] = 0

    def append(self, slots: NDArray[np.int64], places: NDArray[np.int64], drawn: Drawn) -> None:
        """Put tokens at places of slots' lists; in the end the places of a list are without gaps."""
        self._tokens[slots, places] = drawn.tokens
        self._log_weights[slots, places] = drawn.log_weights
        self._log_twists[slots, places] = drawn.log_twists
        np.maximum.at(self._end, slots, places + 1)

    def next(self, slots: NDArray[np.int64]) -> Drawn:
        """Take the next token of each slot."""
        places = self._at[slots]
        self._at[slots] += 1
        entry = (slots, places)
        return Drawn(self._tokens[entry], self._log_weights[entry], self._log_twists[entry])

    def copied(self, slots: NDArray[np.int64], sources: NDArray[np.int64]) -> None:
        """Slots are copies of sources now: one copy of each has its tokens, the source itself if it goes on."""
        if not self.is_filled(sources).any():
            self.start(slots)
            return
        for array in (self._tokens, self._log_weights, self._log_twists, self._at, self._end):
            array[slots] = array[sources]
        # A stable sort with the source itself first among its copies.
        order = np.lexsort((slots != sources, sources))
        again = np.flatnonzero(np.diff(sources[order], prepend=-1) == 0)
        self.start(slots[order[again]])
