"""Runs an algorithm along every branch of its draws, so that its mean is known and not estimated.

`BranchDraws` answers like `Draws`, but where a draw has outcomes it follows a path: the number of the
interval between the draw's breakpoints. Groups follow different paths in one batch. `exact_means` visits
every path once; its cost is the number of paths.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smcdsl.inference.draws import Breakpoints, Purpose

NARROWEST = 1e-13
"""Intervals below this are rounding, not outcomes."""
LIMIT = 200_000


class TooManyPaths(Exception):
    """There are more branches than were to be visited."""


class BranchDraws:
    """Draws of groups that each follow a path, then take the first outcome of every further draw."""

    def __init__(self, paths: Sequence[Sequence[int]]) -> None:
        self.paths = paths
        self.trails: list[list[tuple[int, int]]] = [[] for _ in paths]
        self.probabilities = np.ones(len(paths))
        self._known: dict[int, tuple[NDArray[Any], list[tuple[float, float]]]] = {}

    def uniforms(
        self,
        purpose: Purpose,
        steps: NDArray[np.int64],
        groups: NDArray[np.int64],
        slots: NDArray[np.int64],
        breakpoints: Breakpoints,
    ) -> NDArray[np.float64]:
        """The middle of each draw's interval."""
        numbers = np.empty(len(groups))
        for index, (group, breaks) in enumerate(zip(groups.tolist(), breakpoints(numbers), strict=True)):
            outcomes = self._intervals(breaks)
            trail, path = self.trails[group], self.paths[group]
            choice = path[len(trail)] if len(trail) < len(path) else 0
            trail.append((choice, len(outcomes)))
            numbers[index], width = outcomes[choice]
            self.probabilities[group] *= width
        return numbers

    def _intervals(self, breaks: NDArray[Any]) -> list[tuple[float, float]]:
        """The intervals of a draw. Numbers that nobody writes to are those of many draws (`shares`)."""
        if breaks.flags.writeable:
            return intervals(breaks.tolist())
        if id(breaks) not in self._known:
            # Kept with its outcomes, so that no other array has its id.
            self._known[id(breaks)] = breaks, intervals(breaks.tolist())
        return self._known[id(breaks)][1]


def intervals(breaks: Sequence[float | Fraction]) -> list[tuple[float, float]]:
    """The middle and the width of every interval between ascending numbers, 0 and 1, that is no rounding."""
    edges = [0, *(each for each in breaks if 0 < each < 1), 1]
    pairs = [(before, after, float(after - before)) for before, after in pairwise(edges)]
    return [(float((before + after) / 2), width) for before, after, width in pairs if width > NARROWEST]


def exact_means(
    values: Callable[[BranchDraws, int], Sequence[Mapping[Hashable, float]]], batch: int = 4096, limit: int = LIMIT
) -> dict[Hashable, float]:
    """The exact mean of what a group's result says: `values` gives each group a mapping of name -> number.

    Raises:
        TooManyPaths: more than `limit`.
    """
    frontier: list[tuple[int, ...]] = [()]
    terms: dict[Hashable, list[float]] = {}
    total, visited = 0.0, 0
    while frontier:
        paths, frontier = frontier[:batch], frontier[batch:]
        draws = BranchDraws(paths)
        results = values(draws, len(paths))
        visited += len(paths)
        for path, trail, probability, result in zip(paths, draws.trails, draws.probabilities, results, strict=True):
            total += probability
            for name, number in result.items():
                terms.setdefault(name, []).append(probability * number)
            taken = [choice for choice, _ in trail]
            for position in range(len(path), len(trail)):
                frontier += [(*taken[:position], other) for other in range(1, trail[position][1])]
        if visited + len(frontier) > limit:
            raise TooManyPaths
    assert abs(total - 1) < 1e-9, f"the paths' probabilities sum to {total}"
    return {name: math.fsum(own) for name, own in terms.items()}
