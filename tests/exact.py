"""Runs an algorithm along every branch of its draws, so that its mean is known and not estimated.

`BranchDraws` answers like `Draws`, but where a draw has outcomes it follows a path: the number of the
interval between the draw's breakpoints. Groups follow different paths in one batch. `exact_mean` visits
every path once; its cost is the number of paths.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

NARROWEST = 1e-13
"""Intervals below this are rounding, not outcomes."""


class BranchDraws:
    """Draws of groups that each follow a path, then take the first outcome of every further draw."""

    def __init__(self, paths: Sequence[Sequence[int]]) -> None:
        self.paths = paths
        self.trails: list[list[tuple[int, int]]] = [[] for _ in paths]
        self.probabilities = np.ones(len(paths))

    def uniforms(self, purpose: Any, steps: Any, groups: Any, slots: Any, breakpoints: Any) -> Any:
        numbers = np.empty(len(groups))
        for index, (group, breaks) in enumerate(zip(groups.tolist(), breakpoints(), strict=True)):
            inside = breaks[(breaks > 0) & (breaks < 1)]
            edges = np.unique(np.concatenate([[0.0], inside, [1.0]]))
            widths = np.diff(edges)
            outcomes = np.flatnonzero(widths > NARROWEST)
            trail, path = self.trails[group], self.paths[group]
            choice = path[len(trail)] if len(trail) < len(path) else 0
            trail.append((choice, len(outcomes)))
            outcome = outcomes[choice]
            numbers[index] = (edges[outcome] + edges[outcome + 1]) / 2
            self.probabilities[group] *= widths[outcome]
        return numbers


def exact_means(
    values: Callable[[BranchDraws, int], Sequence[Any]], batch: int = 4096, limit: int = 200_000
) -> dict[Any, float]:
    """The exact mean of what a group's result says: `values` gives each group a mapping of name -> number.

    Raises:
        AssertionError: more than `limit` paths.
    """
    frontier: list[tuple[int, ...]] = [()]
    means: dict[Any, float] = {}
    total, visited = 0.0, 0
    while frontier:
        paths, frontier = frontier[:batch], frontier[batch:]
        draws = BranchDraws(paths)
        results = values(draws, len(paths))
        visited += len(paths)
        assert visited <= limit, "too many paths"
        for path, trail, probability, result in zip(paths, draws.trails, draws.probabilities, results, strict=True):
            total += probability
            for name, number in result.items():
                means[name] = means.get(name, 0.0) + probability * number
            taken = [choice for choice, _ in trail]
            for position in range(len(path), len(trail)):
                frontier += [(*taken[:position], other) for other in range(1, trail[position][1])]
    assert abs(total - 1) < 1e-9, f"the paths' probabilities sum to {total}"
    return means
