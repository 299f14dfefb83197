"""Arithmetic on log-weights, in float64. `-inf` is a weight (impossible); NaN is an error of the caller."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def log_sum_exp(log_values: NDArray[np.float64], axis: int = -1) -> NDArray[np.float64]:
    """log(sum(exp(log_values))) along `axis`; -inf where nothing has mass, also for an empty axis."""
    if log_values.shape[axis] == 0:
        return np.full(np.delete(log_values.shape, axis), -np.inf)
    peak = np.max(log_values, axis=axis, keepdims=True)
    safe = np.where(np.isfinite(peak), peak, 0.0)
    with np.errstate(divide="ignore"):
        total = np.log(np.sum(np.exp(log_values - safe), axis=axis))
    return np.asarray(total + np.squeeze(safe, axis=axis), dtype=np.float64)


def log_mean_exp(log_values: NDArray[np.float64], axis: int = -1) -> NDArray[np.float64]:
    """log of the mean of exp(log_values) along `axis`."""
    return log_sum_exp(log_values, axis) - np.log(log_values.shape[axis])


def normalize(log_weights: NDArray[np.float64], axis: int = -1) -> NDArray[np.float64]:
    """Weights that sum to one along `axis`; all zero where nothing has mass."""
    total = np.expand_dims(log_sum_exp(log_weights, axis), axis)
    return np.exp(log_weights - np.where(np.isfinite(total), total, 0.0))


def effective_sample_size(log_weights: NDArray[np.float64], axis: int = -1) -> NDArray[np.float64]:
    """(sum w)^2 / sum w^2, from 1 to N; 0 where nothing has mass. Dead particles count in N, not here."""
    with np.errstate(invalid="ignore"):
        twice = 2.0 * log_sum_exp(log_weights, axis) - log_sum_exp(2.0 * log_weights, axis)
    return np.where(np.isnan(twice), 0.0, np.exp(np.where(np.isnan(twice), 0.0, twice)))
