"""Token masks as rows of bits: stored once each, handed out by number, bounded in memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MASK_BYTES_LIMIT = 256 * 2**20
"""Beyond this an automaton forgets its masks and computes them again when asked."""


class MaskRows:
    """Distinct masks of W words; equal ones are one row."""

    def __init__(self, vocab_size: int) -> None:
        self.words = (vocab_size + 31) // 32
        self._table = np.zeros((16, self.words), dtype=np.uint32)
        self._numbers: dict[bytes, int] = {}
        self._limit = max(64, MASK_BYTES_LIMIT // (8 * self.words))

    def __len__(self) -> int:
        return len(self._numbers)

    @property
    def nbytes(self) -> int:
        """Memory held by the rows."""
        return self._table.nbytes

    @property
    def is_full(self) -> bool:
        """Whether another row would pass the limit."""
        return len(self._numbers) >= self._limit

    def empty(self) -> NDArray[np.uint32]:
        """A mask that allows nothing."""
        return np.zeros(self.words, dtype=np.uint32)

    def add(self, mask: NDArray[np.uint32]) -> int:
        """The number of a mask."""
        key = mask.tobytes()
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self._numbers)
            if number == len(self._table):
                self._table = np.concatenate([self._table, np.zeros_like(self._table)])
            self._table[number] = mask
        return number

    def take(self, numbers: NDArray[np.int64]) -> NDArray[np.uint32]:
        """(N, W) copies of rows."""
        return self._table[numbers]

    def clear(self) -> None:
        """Forget all rows; numbers given out lose their meaning."""
        self._numbers.clear()
