"""Rows of log-probabilities, written out or not, and what masks allow of them."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray


class Allowed(NamedTuple):
    """What each of D masks allows of a row of numbers, one after another."""

    starts: NDArray[np.int64]  # (D + 1,) those of mask i are at starts[i] : starts[i + 1]
    tokens: NDArray[np.int32]  # (starts[D],) ascending in each mask
    values: NDArray[np.floating[Any]]  # (starts[D],)


class LogRows(Protocol):
    """(M, V) log-probabilities that are nowhere written out: logits, wherever they are, and their log normalisers."""

    @property
    def shape(self) -> tuple[int, int]:
        """(M, V)."""
        ...

    def __getitem__(self, key: Any) -> NDArray[np.floating[Any]]:
        """`rows`: log-probabilities of whole rows; `(rows, tokens)`: (n,) those of single ones. As of an array."""
        ...

    def allowed(self, table: NDArray[np.uint64], numbers: NDArray[np.int64], rows: NDArray[np.int64]) -> Allowed:
        """What masks allow of the log-probabilities; see `automaton.applying.gather`."""
        ...

    def tempered(self, temperature: float) -> LogRows:
        """The law whose logits are these by a temperature."""
        ...


class DrawingRows(LogRows, Protocol):
    """Rows that are drawn from where they are, what masks allow not being gathered."""

    def drawn(
        self,
        words: NDArray[np.uint64],
        rows: NDArray[np.int64],
        which: NDArray[np.int64],
        numbers: NDArray[np.float64],
        power: float,
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Draw from what masks allow, without fetching it.

        Args:
            words: (D, ceil(V / 64)) masks; no bit beyond V is set.
            rows: (D,) the row that each mask goes with.
            which: (n,) the mask that each draw goes by.
            numbers: (n,) uniform on [0, 1).
            power: of the probabilities.

        Returns:
            (n,) tokens, and (D,) logs of the masked sums of p^power. A token means nothing where that is -inf.
        """
        ...


Laws: TypeAlias = NDArray[np.floating[Any]] | LogRows
"""(M, V) log-probabilities, as an array or by what they follow from."""
