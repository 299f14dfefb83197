"""Resampling: choose which particles go on, without bias.

A scheme maps normalised weights to ancestors so that particle n is expected N * weights[n] times. All
take G independent groups at once. Particles of weight zero never have offspring.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from smcdsl.inference.draws import shares

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


def ssp(weights: Weights, offsets: NDArray[np.float64]) -> Ancestors:
    """Srinivasan's sampling process: every count is within one of its mean, and counts are negatively associated.

    What is left of the counts beside whole numbers is moved between two particles at a time, until one of the two has
    none or a whole one; `offsets` (G, N - 1) decide which. Converges for any order of the particles, as `systematic`
    does not.

    Source: Gerber, Chopin and Whiteley (2019), "Negative association, ordering and convergence of resampling methods",
    Annals of Statistics 47(4), arXiv:1707.01845.
    """
    ancestors = np.empty(weights.shape, dtype=np.int64)
    for group, (row, numbers) in enumerate(zip(weights, offsets, strict=True)):
        walk = _move_remainders(row)
        try:
            next(walk)
            for number in numbers.tolist():
                walk.send(number)
        except StopIteration as stop:
            ancestors[group] = np.repeat(np.arange(len(row)), stop.value)
    return ancestors


def _move_remainders(
    weights: NDArray[np.float64], remainders: Sequence[Any] | None = None
) -> Generator[Any, float, NDArray[np.int64]]:
    """Yields the chance that the first of two particles gains, takes the number that decides, returns (N,) counts.

    `remainders` (N,) stand for what the weights leave beside certain copies: the same numbers, better known.
    """
    counts, _ = _parts(weights)
    left = list(np.maximum(weights * len(weights) - counts, 0.0).tolist() if remainders is None else remainders)
    first = 0
    for second in range(1, len(left)):
        both = left[first] + left[second]
        if both < 1:
            # One of the two gets all.
            number = yield left[first] / both if both > 0 else 1
            gains = both > 0 and number < left[first] / both
            loser = second if gains or both == 0 else first
            winner = first + second - loser
            left[winner], left[loser] = both, 0
        else:
            # One of the two becomes whole, the other keeps what is over.
            chance = (1 - left[second]) / (2 - both) if both < 2 else 1
            number = yield chance
            whole = first if number < chance else second
            winner = first + second - whole
            left[whole], left[winner] = 0, both - 1
            counts[whole] += 1
        first = winner
    # What is left is a whole number, but for rounding.
    counts[first if weights[first] > 0 else int(weights.argmax())] += len(weights) - int(counts.sum())
    return counts


def exact_remainders(weights: NDArray[np.float64]) -> list[Any]:
    """(N,) fractions: what weights leave beside certain copies."""
    counts, points = _parts(weights)[0].tolist(), [0, *(shares(weights) * len(weights))]
    return [max(after - before - count, 0) for (before, after), count in zip(pairwise(points), counts, strict=True)]


def _parts(weights: Weights) -> tuple[NDArray[np.int64], Weights]:
    """Certain copies (..., N), and normalised weights for the rest."""
    expected = weights * weights.shape[-1]
    # A weight of k/N may come out just below k, by a rounding; more leeway would lose rare particles.
    certain = np.floor(expected * (1 + 4 * np.finfo(np.float64).eps)).astype(np.int64)
    remainder = np.maximum(expected - certain, 0.0)
    total = remainder.sum(axis=-1, keepdims=True)
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


def _strata_breaks(weights: Weights, numbers: NDArray[np.float64]) -> Iterator[NDArray[np.object_]]:
    for row in weights:
        points = shares(row) * len(row)
        yield from (points - stratum for stratum in range(len(row)))


def _offset_breaks(weights: Weights, numbers: NDArray[np.float64]) -> Iterator[NDArray[np.object_]]:
    for row in weights:
        yield np.sort((shares(row) * len(row)) % 1)


def _free_breaks(weights: Weights, numbers: NDArray[np.float64]) -> Iterator[NDArray[np.object_]]:
    for row in weights:
        yield from [shares(row)] * len(row)


def _residual_breaks(weights: Weights, numbers: NDArray[np.float64]) -> Iterator[NDArray[np.object_]]:
    certain, remainder = _parts(weights)
    for counts, row in zip(certain, remainder, strict=True):
        drawn = len(row) - int(counts.sum())
        yield from [shares(row)] * drawn
        yield from [shares(row[:0])] * (len(row) - drawn)


def _moving_breaks(weights: Weights, numbers: NDArray[np.float64]) -> Iterator[NDArray[np.object_]]:
    index = 0
    for row in weights:
        walk = _move_remainders(row, exact_remainders(row))
        chance = next(walk, None)
        while chance is not None:
            yield np.array([chance], dtype=object)
            try:
                chance = walk.send(float(numbers[index]))
            except StopIteration:
                chance = None
            index += 1


class Scheme(NamedTuple):
    """A resampling scheme: how many numbers it takes a group, and between which its ancestors are constant.

    `breakpoints` of (G, N) weights read from the second argument, which is being filled, what was drawn before.
    """

    ancestors: Callable[[Weights, NDArray[np.float64]], Ancestors]
    numbers: Callable[[int], int]
    breakpoints: Callable[[Weights, NDArray[np.float64]], Iterator[NDArray[np.object_]]]


SCHEMES: Mapping[str, Scheme] = {
    "ssp": Scheme(ssp, lambda num_particles: num_particles - 1, _moving_breaks),
    "systematic": Scheme(systematic, lambda _: 1, _offset_breaks),
    "stratified": Scheme(stratified, lambda num_particles: num_particles, _strata_breaks),
    "residual": Scheme(residual, lambda num_particles: num_particles, _residual_breaks),
    "multinomial": Scheme(multinomial, lambda num_particles: num_particles, _free_breaks),
}
