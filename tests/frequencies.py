"""Assertions about chance with a proved false-alarm rate."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from smcdsl.inference.gate import CONCLUSIVE, effective_count, hall_p_value

__all__ = ["assert_frequencies", "binomial_tail", "chi_square_p", "hall_p_value", "is_conclusive"]


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


def is_conclusive(values: Sequence[float]) -> bool:
    """Whether a mean is carried by enough values' worth of runs, so that testing it says anything."""
    return effective_count(values) >= CONCLUSIVE


def chi_square_p(counts: Mapping[Any, int], law: Mapping[Any, float], fewest: float = 5.0) -> float:
    """Pearson's test of counts against a law; outcomes expected less than `fewest` times are one together.

    By Wilson and Hilferty's cube root. An outcome that the law does not have gives 0.
    """
    number = sum(counts.values())
    if any(law.get(outcome, 0.0) == 0 for outcome, count in counts.items() if count):
        return 0.0
    expected = {outcome: number * chance for outcome, chance in law.items()}
    often = [outcome for outcome, mean in expected.items() if mean >= fewest]
    pairs = [(counts.get(outcome, 0), expected[outcome]) for outcome in often]
    rest = number - sum(count for count, _ in pairs), number - math.fsum(mean for _, mean in pairs)
    if rest[1] >= fewest:
        pairs.append(rest)
    freedom = len(pairs) - 1
    statistic = math.fsum((count - mean) ** 2 / mean for count, mean in pairs)
    spread = 2 / (9 * freedom)
    return math.erfc(((statistic / freedom) ** (1 / 3) - 1 + spread) / math.sqrt(2 * spread)) / 2
