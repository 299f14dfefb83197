"""Tempering: previews count for less where in full they would leave few particles.

Previews only steer which particles are copied; they leave the weight again, whatever power of them was in
it. So a boundary may use any exponent between 0 and 1, and may choose it by looking at the particles that
stand there: given these, a particle's expected number of copies times the weight that each copy keeps is
its weight for every exponent. The mean evidence is the same, adaptively chosen or not. (It is not where
exponents move the target itself, and the particles are moved to it.)

The exponent is chosen anew at every boundary: the largest under which half of the particles effectively
remain, or the one under which most do if none is large enough. Where that is below 1 the particles are
resampled under it.

Source: the choice by bisection is that of Jasra, Stephens, Doucet and Tsagaris (2011), "Inference for
Lévy-driven stochastic volatility models via adaptive sequential Monte Carlo".
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smcdsl.logspace import effective_sample_size

KEPT = 0.5
"""The share of the particles that must effectively remain."""
_STEPS = 16
_HALVINGS = 30


def tempered(log_weights: NDArray[np.float64], log_previews: NDArray[np.float64]) -> float:
    """The exponent from 0 to 1 for (N,) particles.

    The effective sample size need not fall all the way from 0 to 1, so that a grid is tried from above first.

    Args:
        log_weights: without previews; -inf for the dead.
        log_previews: 0 where none is in force.
    """
    wanted = KEPT * len(log_weights)
    grid = np.linspace(1.0, 0.0, _STEPS + 1)
    sizes = effective_sample_size(log_weights + grid[:, None] * log_previews, axis=1)
    enough = np.flatnonzero(sizes >= wanted)
    if not len(enough):
        return float(grid[sizes.argmax()])
    if enough[0] == 0:
        return 1.0
    low, high = float(grid[enough[0]]), float(grid[enough[0] - 1])
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        remains = float(effective_sample_size(log_weights + middle * log_previews)) >= wanted
        low, high = (middle, high) if remains else (low, middle)
    return low
