"""Selection among successors: all next tokens of all particles are candidates, and as many go on as there are slots.

After one forward pass the weights of all successors are known exactly, so drawing one a particle throws
information away. `thin` keeps the heaviest candidates as they are and draws among the rest, each kept with
a probability in proportion to its weight; those drawn weigh 1 over the scale c of that proportion, so every
candidate keeps its weight in the mean. `best` keeps the heaviest and forgets the rest: a beam, which is biased.

Source: Fearnhead and Clifford (2003), "On-line inference for hidden Markov models via particle filters", JRSS B
65(4), for discrete states.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smcdsl.inference.draws import shares
from smcdsl.logspace import log_sum_exp


@dataclass(frozen=True)
class Kept:
    """(m,) candidates that go on, ascending, with the logs of their weights."""

    places: NDArray[np.int64]
    log_weights: NDArray[np.float64]


def best(log_weights: NDArray[np.float64], number: int) -> Kept:
    """The heaviest of (K,) candidates, at most `number`; of equal ones the first."""
    alive = np.flatnonzero(log_weights > -np.inf)
    if len(alive) > number:
        alive = np.sort(alive[np.argsort(-log_weights[alive], kind="stable")[:number]])
    return Kept(alive, log_weights[alive])


def thin(log_weights: NDArray[np.float64], number: int, offset: float) -> Kept:
    """At most `number` of (K,) candidates, so that every candidate's mean weight is its weight.

    Args:
        offset: uniform on [0, 1).
    """
    alive = np.flatnonzero(log_weights > -np.inf)
    if len(alive) <= number:
        return Kept(alive, log_weights[alive])
    certain, edges, log_scale = _chances(log_weights[alive], number)
    rest = np.flatnonzero(~certain)
    points = offset + np.arange(number - len(alive) + len(rest))
    drawn = rest[np.minimum(np.searchsorted(edges, points, side="right"), len(rest) - 1)]
    places = np.sort(np.concatenate([np.flatnonzero(certain), drawn]))
    return Kept(alive[places], np.where(certain[places], log_weights[alive[places]], -log_scale))


def thinning_breaks(log_weights: NDArray[np.float64], number: int) -> NDArray[Any]:
    """Offsets between which `thin` keeps the same candidates."""
    alive = log_weights[log_weights > -np.inf]
    if len(alive) <= number:
        return np.empty(0)
    certain, _, _ = _chances(alive, number)
    wanted = number - int(certain.sum())
    return np.sort((shares(np.exp(alive[~certain] - alive[~certain].max())) * wanted) % 1)


def _chances(log_weights: NDArray[np.float64], number: int) -> tuple[NDArray[np.bool_], NDArray[np.float64], float]:
    """Who is kept for certain, the sums of the others' chances, and log c; `number` < K.

    c solves sum of min(1, c w) = number.
    """
    peak = log_weights.max()
    logs = log_weights - peak
    ordered = np.partition(logs, len(logs) - number)
    others, heaviest = ordered[: len(logs) - number], -np.sort(-ordered[len(logs) - number :])
    # With the k heaviest kept, c is what is left of `number` over what is left of the weights; the right k is
    # the first whose next candidate is not certain as well.
    # Summed from the lightest on, as a difference of sums would lose what is light; as logs, as it may vanish.
    left = np.logaddexp.accumulate(np.concatenate([[log_sum_exp(others)], heaviest[::-1]]))[:0:-1]
    log_scales = np.log(number - np.arange(number)) - left
    fits = np.flatnonzero(log_scales + heaviest <= 0.0)
    log_scale = float(log_scales[fits[0]]) if len(fits) else float(log_scales[-1])
    certain = log_scale + logs >= 0.0
    chances = np.exp(log_scale + logs[~certain])
    wanted = number - int(certain.sum())
    edges = np.cumsum(chances)
    if len(edges) and edges[-1] > 0:
        edges *= wanted / edges[-1]
    return certain, edges, log_scale - float(peak)


def merged(log_weights: NDArray[np.float64], rows: NDArray[np.int64], num_rows: int) -> NDArray[np.float64]:
    """(num_rows,) logs of the weights of the particles in one place, added up."""
    return np.array([log_sum_exp(log_weights[rows == row]) for row in range(num_rows)])
