"""Owns the arrays behind a machine's pointer table, and makes room in them."""

from __future__ import annotations

import mmap
import sys
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smcdsl.automaton import layout
from smcdsl.automaton.interning import refill
from smcdsl.automaton.layout import CAPACITY, FIRST, FIRST_POOL, POOL_SLOTS, POOLS, SECOND, TABLE, TABLE_MASK, USED

_MADV_POPULATE_WRITE = 23
"""Of Linux 5.14; Python has no name for it."""
_COLUMNS: dict[str, tuple[tuple[int, Any, int], ...]] = {
    "nodes": ((layout.NODE_HEIGHT, np.int32, -1), (layout.NODE_FRAME, np.int32, 0)),
    "unions": ((layout.UNION, np.int32, 0),),
    "omegas": (
        (layout.OMEGA_Q, np.int32, 0),
        (layout.OMEGA_R, np.int32, 0),
        (layout.OMEGA_BLOCK, np.int64, 0),
        (layout.OMEGA_ENDS, np.int64, 0),
        (layout.OMEGA_FREE, np.int32, -1),
    ),
    "hypotheses": ((layout.HYPOTHESIS_POSSIBLE, np.int32, -1),),
    "configs": ((layout.CONFIG_POSSIBLE, np.int32, -1),),
    "places": ((layout.PLACE_ROW, np.int32, -1), (layout.PLACE_AGE, np.int32, 0)),
    "states": (
        (layout.STATE_DONE, np.int32, 0),
        (layout.STATE_ROW, np.int32, -1),
        (layout.STATE_AGE, np.int32, 0),
    ),
    "successors": ((layout.SUCCESSOR, np.int32, 0),),
    "decisions": (
        (layout.DECISION_BASE, np.int32, -1),
        (layout.DECISION_AGE, np.int32, 0),
        (layout.DECISION_LIST, np.int32, -1),
        (layout.DECISION_TREE, np.int32, 0),
    ),
    "branches": ((layout.BRANCH_ROW, np.int32, -1), (layout.BRANCH_AGE, np.int32, 0)),
}
"""Columns beside the pairs of a pool: (slot, type, value of a new entry)."""


class Pools:
    """The pointer table, and every array that kernels write; pools begin with room for `capacity` pairs."""

    def __init__(self, capacity: int = 256) -> None:
        self.table = np.zeros(layout.NUM_SLOTS, dtype=np.int64)
        self.address = int(self.table.ctypes.data)
        self._arrays: dict[int, NDArray[Any]] = {}
        self._shared: Pools | None = None
        for pool in range(len(POOLS)):
            self._allot(pool, capacity)
            self.clear(pool)

    @property
    def nbytes(self) -> int:
        """Memory held by all arrays."""
        return sum(array.nbytes for array in self._arrays.values())

    def set(self, slot: int, array: NDArray[Any]) -> None:
        """Put an array behind a slot; it is kept alive, and must be contiguous."""
        assert array.flags.c_contiguous
        self._arrays[slot] = array
        self.table[slot] = array.ctypes.data

    def get(self, slot: int) -> NDArray[Any]:
        """The array behind a slot."""
        return self._arrays[slot]

    def share(self, other: Pools) -> None:
        """Take what does not change from another table."""
        self._shared = other
        self.table[: layout.FLAG] = other.table[: layout.FLAG]

    def shared(self, slot: int) -> NDArray[Any]:
        """The array behind a slot that was taken from another table."""
        assert self._shared is not None
        return self._shared.get(slot)

    def used(self, pool: int) -> int:
        """How many numbers of a pool are taken, 0 included."""
        return int(self.table[FIRST_POOL + POOL_SLOTS * pool + USED])

    def column(self, pool: int, which: int) -> NDArray[np.int32]:
        """FIRST or SECOND of all pairs of a pool."""
        return self._arrays[FIRST_POOL + POOL_SLOTS * pool + which][: self.used(pool)]

    def item(self, pool: int, which: int, number: int) -> int:
        """FIRST or SECOND of one pair of a pool."""
        return int(self._arrays[FIRST_POOL + POOL_SLOTS * pool + which][number])

    def grow(self, pool: int) -> None:
        """Double the room of a pool."""
        at = FIRST_POOL + POOL_SLOTS * pool
        self._allot(pool, 2 * int(self.table[at + CAPACITY]))
        refill(self.address, pool)

    def clear(self, pool: int) -> None:
        """Forget all pairs of a pool."""
        at = FIRST_POOL + POOL_SLOTS * pool
        self._arrays[at + TABLE].fill(-1)
        self._arrays[at + FIRST][0] = self._arrays[at + SECOND][0] = -1
        self.table[at + USED] = 1
        for slot, _, value in _COLUMNS.get(POOLS[pool], ()):
            self._arrays[slot].fill(value)

    def _allot(self, pool: int, capacity: int) -> None:
        at = FIRST_POOL + POOL_SLOTS * pool
        for which in (FIRST, SECOND):
            self.set(at + which, self._longer(at + which, capacity, np.int32, 0))
        for slot, kind, value in _COLUMNS.get(POOLS[pool], ()):
            self.set(slot, self._longer(slot, capacity, kind, value))
        size = 2 * capacity
        self.set(at + TABLE, np.full(size, -1, dtype=np.int32))
        self.table[at + TABLE_MASK] = size - 1
        self.table[at + CAPACITY] = capacity

    def _longer(self, slot: int, length: int, kind: Any, value: int) -> NDArray[Any]:
        new = np.full(length, value, dtype=kind)
        old = self._arrays.get(slot)
        if old is not None:
            new[: len(old)] = old
        return new

    def lengthen(self, slot: int, length: int, kind: Any) -> None:
        """Give a plain array more room, what is in it kept."""
        self.set(slot, self._longer(slot, length, kind, 0))


def untouched(size: int, ready: slice = slice(0)) -> NDArray[np.uint64]:
    """Zeros, fresh from the system, which holds memory for them as they are written to, and for `ready` at once.

    numpy's own zeros may lie in memory that was used before, and is cleared all at once.
    """
    if sys.platform == "win32":
        return np.zeros(size, dtype=np.uint64)
    # Private: a process that is forked off writes to rows of its own.
    memory = mmap.mmap(-1, 8 * size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    first, end, _ = ready.indices(size)
    first -= first % (mmap.PAGESIZE // 8)
    if sys.platform == "linux" and first < end:
        # A page asked for at its first write costs several times as much; a system that cannot do this leaves it so.
        with suppress(OSError):
            memory.madvise(_MADV_POPULATE_WRITE, 8 * first, 8 * (end - first))
    return np.frombuffer(memory, dtype=np.uint64)
