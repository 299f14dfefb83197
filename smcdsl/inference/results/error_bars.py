"""Error bars of the evidence, and how concentrated weights are.

One run says how far its evidence may be off by its family tree: lines that began in different slots
(*Eves*) are nearly independent, so what the weights of the Eves' families vary by is what the estimate
varies by. Several independent runs (*islands*) say it by their spread.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from smcdsl.logspace import log_mean_exp, normalize

RELIABLE_EVES = 8
"""Below as many surviving Eves an error bar from the family tree says little."""


def surviving_eves(log_weights: NDArray[np.float64], eves: NDArray[np.int64]) -> int:
    """In how many of the first slots the (N,) particles that have weight began."""
    return len(np.unique(eves[log_weights > -np.inf]))


def genealogical_variance(
    log_weights: NDArray[np.float64], eves: NDArray[np.int64], resamplings: int, *, independent: bool
) -> float | None:
    """The squared relative error of the mean weight of one run, estimated from that run.

    With S the sum over Eves of their families' squared shares of the weight, Lee and Whiteley's

        1 - (N / (N - 1))^(R + 1) * (1 - S)

    times the squared mean weight is unbiased for the variance of the mean weight under multinomial
    resampling. Schemes that copy particles more evenly let families coalesce more slowly, so that it
    falls far below the truth, and below zero; there Chan and Lai's S - 1/N is used if it is larger.

    Args:
        log_weights: (N,) at the end, -inf for the dead.
        eves: (N,) the slot that each particle's line began in.
        resamplings: how often the particles were resampled (R).
        independent: whether ancestors were drawn independently (multinomial).

    Returns:
        Not negative; at most one, which it is when all weight is in one family. None where nothing
        can be said: a single particle, or none alive.

    Source: Lee and Whiteley (2018), "Variance estimation in the particle filter", arXiv:1509.00394; Chan and
    Lai (2013), "A general theory of particle filters in hidden Markov models", Annals of Statistics 41.
    """
    size = len(log_weights)
    if size < 2 or not (log_weights > -np.inf).any():
        return None
    shares = np.bincount(eves, weights=normalize(log_weights), minlength=size)
    concentration = float(np.sum(shares**2))
    log_factor = (resamplings + 1) * (math.log(size) - math.log(size - 1))
    found = 1.0 - math.exp(log_factor) * (1.0 - concentration)
    if resamplings and not independent:
        found = max(found, concentration - 1.0 / size)
    return min(max(found, 0.0), 1.0)


def spread_of_islands(log_evidence: NDArray[np.float64]) -> float | None:
    """The squared relative error of the mean of (R,) independent estimates; None for fewer than two, or none alive."""
    count = len(log_evidence)
    if count < 2 or not (log_evidence > -np.inf).any():
        return None
    relative = np.exp(log_evidence - log_mean_exp(log_evidence))
    return float(np.var(relative, ddof=1)) / count


def rejection_variance(accepted: int, tries: int) -> float | None:
    """The squared relative error of (accepted - 1) / (tries - 1) when draws end with the last one accepted.

    Source: Finney (1949), "On a method of estimating frequencies": with p this estimate, p (1 - p) / (tries - 2)
    is unbiased for its variance.
    """
    if accepted < 2 or tries < 3:
        return None
    probability = (accepted - 1) / (tries - 1)
    return (1.0 - probability) / (probability * (tries - 2))


def entropy_sample_size(normalized_weights: NDArray[np.float64]) -> float:
    """exp of the entropy of (N,) weights: as many equal weights are as spread out. 0 where nothing has mass.

    It is never below the usual effective sample size, and less ruled by the one largest weight.
    """
    positive = normalized_weights[normalized_weights > 0]
    return float(np.exp(-np.sum(positive * np.log(positive)))) if len(positive) else 0.0
