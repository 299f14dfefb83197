"""Numbers that take long to find, remembered by place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

UNKNOWN = -1
Ask = Callable[[NDArray[np.int64]], NDArray[np.int64]]
"""(K,) the numbers of some columns, none negative and all less than 2**31."""


class Remembered:
    """Rows of `width` numbers each; beyond `most` numbers all are forgotten."""

    def __init__(self, width: int, most: int) -> None:
        self._width, self._most_rows = width, max(most // max(width, 1), 1)
        self._rows: dict[int, NDArray[np.int32]] = {}

    def of(self, row: int, columns: NDArray[np.integer[Any]], ask: Ask) -> NDArray[np.int64]:
        """(K,) the numbers of distinct columns of a row; those that are not known are asked for."""
        return recalled(self.row(row), columns, ask)

    def row(self, row: int) -> NDArray[np.int32]:
        """(width,) what is known of a row, UNKNOWN elsewhere."""
        known = self._rows.get(row)
        if known is None:
            if len(self._rows) == self._most_rows:
                self._rows.clear()
            known = self._rows[row] = np.full(self._width, UNKNOWN, dtype=np.int32)
        return known


class Column:
    """Numbers by small numbers, of which there may be ever more: `known` as far as they have been asked for."""

    def __init__(self) -> None:
        self.known = np.full(256, UNKNOWN, dtype=np.int32)

    def of(self, places: NDArray[np.integer[Any]], ask: Ask) -> NDArray[np.int64]:
        """(K,) the numbers of places, none negative."""
        size = int(places.max(initial=0)) + 1
        if size > len(self.known):
            more = np.full(2 * size - len(self.known), UNKNOWN, dtype=np.int32)
            self.known = np.concatenate([self.known, more])
        return recalled(self.known, places, ask)


def recalled(known: NDArray[np.int32], places: NDArray[np.integer[Any]], ask: Ask) -> NDArray[np.int64]:
    """(K,) `known` at some places; where it is not, what is asked for is written there."""
    found = known[places].astype(np.int64)
    if found.min(initial=0) < 0:
        missing = np.flatnonzero(found < 0)
        asked = places[missing].astype(np.int64)
        found[missing] = known[asked] = ask(asked)
    return found
