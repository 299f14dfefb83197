"""Resampling: choose which particles go on, without bias.

A scheme maps normalised weights to ancestors so that particle n is expected N * weights[n] times. All
take G independent groups at once. Particles of weight zero never have offspring.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Weights = NDArray[np.float64]
Ancestors = NDArray[np.int64]


def systematic(weights: Weights, offsets: NDArray[np.float64]) -> Ancestors:
    """Ancestors at evenly spaced points of the weights' distribution function; every count is within one of its mean.

    Args:
        weights: (G, N), each row non-negative and summing to 1.
        offsets: (G, 1), uniform on [0, 1).

    Returns:
        (G, N) ancestors, ascending in each row.

    Source: Douc, Cappé and Moulines (2005), arXiv:cs/0507025, as are `stratified` and `residual`.
    """
    return _inverse(weights, (np.arange(weights.shape[1]) + offsets) / weights.shape[1])


def stratified(weights: Weights, offsets: NDArray[np.float64]) -> Ancestors:
    """One point in each of N equal strata; `offsets` (G, N) place them inside. See `systematic`."""
    return _inverse(weights, (np.arange(weights.shape[1]) + offsets) / weights.shape[1])


def multinomial(weights: Weights, offsets: NDArray[np.float64]) -> Ancestors:
    """N independent points; `offsets` (G, N). See `systematic`."""
    return np.sort(_inverse(weights, offsets), axis=1)


def residual(weights: Weights, offsets: NDArray[np.float64]) -> Ancestors:
    """floor(N * weight) copies for certain, the rest by independent draws with `offsets` (G, N). See `systematic`."""
    certain, remainder = _parts(weights)
    drawn = _inverse(remainder, offsets)
    ancestors = np.empty(weights.shape, dtype=np.int64)
    for group, counts in enumerate(certain):
        kept = np.repeat(np.arange(len(counts)), counts)
        ancestors[group] = np.sort(np.concatenate([kept, drawn[group, : len(counts) - len(kept)]]))
    return ancestors


def _parts(weights: Weights) -> tuple[NDArray[np.int64], Weights]:
    """Certain copies (G, N), and normalised weights for the rest."""
    expected = weights * weights.shape[1]
    # A weight of k/N may come out just below k, by a rounding; more leeway would lose rare particles.
    certain = np.floor(expected * (1 + 4 * np.finfo(np.float64).eps)).astype(np.int64)
    remainder = np.maximum(expected - certain, 0.0)
    total = remainder.sum(axis=1, keepdims=True)
    return certain, np.where(total > 0, remainder / np.where(total > 0, total, 1.0), weights)


def _inverse(weights: Weights, positions: NDArray[np.float64]) -> Ancestors:
    """The particle at each position of the distribution function."""
    edges = np.cumsum(weights, axis=1)
    if weights.shape[1] <= 64:
        found = (edges[:, None, :] <= positions[:, :, None]).sum(axis=2)
    else:
        pairs = zip(edges, positions, strict=True)
        found = np.stack([np.searchsorted(row, points, side="right") for row, points in pairs])
    # Rounding can carry a position past the last edge.
    last = weights.shape[1] - 1 - np.argmax(weights[:, ::-1] > 0, axis=1)
    return np.minimum(found, last[:, None])


def _strata_breaks(weights: Weights) -> Iterator[NDArray[np.float64]]:
    for row in weights:
        points = np.cumsum(row) * len(row)
        yield from (points - stratum for stratum in range(len(row)))


def _offset_breaks(weights: Weights) -> Iterator[NDArray[np.float64]]:
    for row in weights:
        yield np.sort((np.cumsum(row) * len(row)) % 1.0)


def _free_breaks(weights: Weights) -> Iterator[NDArray[np.float64]]:
    for row in weights:
        yield from [np.cumsum(row)] * len(row)


def _residual_breaks(weights: Weights) -> Iterator[NDArray[np.float64]]:
    certain, remainder = _parts(weights)
    for counts, row in zip(certain, remainder, strict=True):
        drawn = len(row) - int(counts.sum())
        yield from [np.cumsum(row)] * drawn
        yield from [np.empty(0)] * (len(row) - drawn)


class Scheme(NamedTuple):
    """A resampling scheme: how many numbers it takes a group, and between which its ancestors are constant."""

    ancestors: Callable[[Weights, NDArray[np.float64]], Ancestors]
    numbers: Callable[[int], int]
    breakpoints: Callable[[Weights], Iterator[NDArray[np.float64]]]


SCHEMES: Mapping[str, Scheme] = {
    "systematic": Scheme(systematic, lambda _: 1, _offset_breaks),
    "stratified": Scheme(stratified, lambda num_particles: num_particles, _strata_breaks),
    "residual": Scheme(residual, lambda num_particles: num_particles, _residual_breaks),
    "multinomial": Scheme(multinomial, lambda num_particles: num_particles, _free_breaks),
}
