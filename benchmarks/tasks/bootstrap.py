"""Bootstrap intervals of means over rows: rows are drawn anew, each with all of its replicates.

Replicates of a row share its question and are far from independent; drawing them one by one would give intervals
that are too short. Source: Efron and Tibshirani (1993), "An Introduction to the Bootstrap", chapter 13 (percentiles).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

DRAWS = 10_000


@dataclass(frozen=True)
class Interval:
    """A mean and the ends of its 95 % interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"

    def overlaps(self, other: Interval) -> bool:
        """Whether the two have a number in common."""
        return self.low <= other.high and other.low <= self.high


def interval(rows: Sequence[float], seed: int = 0, draws: int = DRAWS) -> Interval:
    """The mean of the rows' means with its 95 % percentile interval.

    Raises:
        ValueError: there are no rows.
    """
    values = np.asarray(rows, dtype=np.float64)
    if not len(values):
        raise ValueError("there are no rows")
    random = np.random.default_rng(seed)
    # In parts, so that many rows do not need much memory.
    means = np.concatenate(
        [values[random.integers(0, len(values), (500, len(values)))].mean(axis=1) for _ in range(-(-draws // 500))]
    )
    low, high = np.percentile(means[:draws], [2.5, 97.5])
    return Interval(float(values.mean()), float(low), float(high))


def difference(first: Sequence[float], second: Sequence[float], seed: int = 0) -> Interval:
    """The interval of the mean of second - first, row by row (the rows are the same ones)."""
    return interval([b - a for a, b in zip(first, second, strict=True)], seed)
