"""Assertions about chance with a proved false-alarm rate."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def binomial_tail(successes: int, trials: int, probability: float) -> float:
    """The smaller of P(X <= successes) and P(X >= successes), exactly, for X binomial."""
    if probability in (0.0, 1.0):
        return 1.0 if successes == trials * probability else 0.0
    counts = np.arange(trials + 1)
    logs = np.array([math.lgamma(trials + 1) - math.lgamma(k + 1) - math.lgamma(trials - k + 1) for k in counts])
    law = np.exp(logs + counts * math.log(probability) + (trials - counts) * math.log1p(-probability))
    return float(min(law[: successes + 1].sum(), law[successes:].sum()))


def assert_frequencies(counts: Mapping[Any, int], probabilities: Mapping[Any, float], alpha: float = 1e-6) -> None:
    """Independent draws with these counts may come from these probabilities.

    A right sampler fails with probability `alpha` at most: exact binomial tails, Bonferroni over outcomes.
    """
    trials = sum(counts.values())
    assert abs(sum(probabilities.values()) - 1) < 1e-6, "probabilities must sum to one"
    assert set(counts) <= set(probabilities), "an impossible outcome was drawn"
    for outcome, probability in probabilities.items():
        tail = binomial_tail(counts.get(outcome, 0), trials, probability)
        assert tail >= alpha / (2 * len(probabilities)), f"{outcome!r}: {counts.get(outcome, 0)} of {trials}"


def hall_p_value(values: Sequence[float], mean: float) -> float:
    """Two-sided p-value of the mean of skewed values, by Hall's transformation of the studentised mean.

    Source: P. Hall, "On the removal of skewness by transformation" (1992).
    """
    array = np.asarray(values, dtype=np.float64)
    size, spread = len(array), float(array.std())
    if spread == 0:
        return 1.0 if math.isclose(array[0], mean, rel_tol=1e-9) else 0.0
    skewness = float(((array - array.mean()) ** 3).mean() / spread**3)
    shift = (array.mean() - mean) / spread
    inner = shift + skewness * shift**2 / 3 + skewness**2 * shift**3 / 27 + skewness / (6 * size)
    return math.erfc(abs(inner) * math.sqrt(size / 2))


def is_conclusive(values: Sequence[float]) -> bool:
    """Whether a mean is carried by at least 40 values' worth of runs, so that testing it says anything."""
    array = np.asarray(values, dtype=np.float64)
    square = float((array**2).sum())
    return square > 0 and float(array.sum()) ** 2 / square >= 40
