"""Laws on the processor by logits and what is summed of them: nothing is written a token (`automaton.masked_laws`)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from smcdsl.automaton.applying import gather
from smcdsl.automaton.masked_laws import masses_of, sums_of, tokens_at
from smcdsl.log_rows import Allowed


class HostLogits:
    """See `DrawingRows`.

    Args:
        logits: (M, V) float32, kept as it is.
    """

    def __init__(self, logits: NDArray[np.float32]) -> None:
        self._logits = logits
        self._sums = sums_of(logits)
        self._log_totals = self._sums.log_totals()

    @property
    def shape(self) -> tuple[int, int]:
        """(M, V)."""
        count, size = self._logits.shape
        return count, size

    def __getitem__(self, key: Any) -> NDArray[np.floating[Any]]:
        """Log-probabilities of whole rows, float32, or of single tokens, float64."""
        if isinstance(key, tuple):
            return np.asarray(self._logits[key] - self._log_totals[key[0]])
        return np.asarray(self._logits[key] - self._log_totals[key].astype(np.float32)[..., None])

    def allowed(self, table: NDArray[np.uint64], numbers: NDArray[np.int64], rows: NDArray[np.int64]) -> Allowed:
        """What masks allow; see `gather`."""
        return gather(table, numbers, self._logits, rows, self._log_totals)

    def tempered(self, temperature: float) -> HostLogits:
        """The law whose logits are these by a temperature."""
        return HostLogits(self._logits / np.float32(temperature))

    def drawn(
        self,
        words: NDArray[np.uint64],
        rows: NDArray[np.int64],
        which: NDArray[np.int64],
        numbers: NDArray[np.float64],
        power: float,
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """See `DrawingRows`."""
        masses = masses_of(self._logits, self._sums, words, rows, power)
        tokens = tokens_at(self._logits, words, rows, power, masses, which, numbers)
        return tokens, masses.logs(self._log_totals[rows], power)
