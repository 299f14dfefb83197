"""Whether a lookahead would have helped: what a run's weighted particles say of the counts of earlier runs.

With W = gamma / q over a whole text, gamma the target's mass of it and q the proposal's, the relative variance of
weights is E[W] / Z - 1, the mean over the posterior. So the particles of a run, weighted, estimate how much smaller it
would have been with each power of psi, whatever they were drawn from. E[1 / W] is 1 / Z if nothing dies, and smaller
else, so it serves where the run's own Z is too large. Only a power that helps is used (`twists.chosen_strength`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from smcdsl.inference.lookahead.counts import Counts
from smcdsl.inference.lookahead.twists import STRENGTHS, Twist
from smcdsl.inference.proposals import TokenRule
from smcdsl.logspace import log_sum_exp

_FLOOR, _MOST = 0.01, 50.0
"""Variances below the first are as good as none; logs of more than the second are no more than that."""
_FADES = 0.75
"""What a run's verdict counts after each later one: psi changes with what is learned."""


class Step(NamedTuple):
    """A token that was drawn: from which state, with how much of the budget left, behind which tokens.

    `able` is the mass of each group of tokens, `likely` that of some tokens, `group_of` a token's group.
    """

    state: int
    left: int
    history: int
    able: NDArray[np.float64]
    likely: Mapping[int, float]
    group_of: Callable[[int], int]
    token: int


def judge(
    twist: Twist,
    paths: Sequence[Sequence[Step]],
    log_rest: NDArray[np.float64],
    shares: NDArray[np.float64],
    log_masses: NDArray[np.float64],
    after: Counts,
) -> None:
    """Add to the gains in `after` how a twist, at power 1, would have done in a run.

    Args:
        paths: of G * N particles.
        log_rest: (G * N,) what else their weights are made of, with masks alone: other holes, factors.
        shares: (G * N,) of the posterior of their group.
        log_masses: (G,) log Z of the run.
    """
    logs = np.array([_log_weights(twist, path) for path in paths])
    logs += np.where(np.isfinite(log_rest), log_rest, 0.0)[:, None]
    groups = np.arange(len(shares)).reshape(len(log_masses), -1)
    some = [(group, mass) for group, mass in zip(groups, log_masses.tolist()) if shares[group].any()]
    variances = np.mean([_variances(logs[group], shares[group], mass) for group, mass in some], axis=0)
    gains = np.log(variances[0] + _FLOOR) - np.log(variances + _FLOOR)
    after.gains = gains + (_FADES * after.gains if len(after.gains) else 0.0)
    after.judged = 1.0 + _FADES * after.judged


def _variances(log_weights: NDArray[np.float64], shares: NDArray[np.float64], log_mass: float) -> NDArray[np.float64]:
    """(S,) relative variances of weights, given the (n, S) logs and posterior shares of n particles, and log Z."""
    some = np.flatnonzero(shares > 0)
    logs = np.log(shares[some])[:, None]
    inverse = np.maximum(log_sum_exp((logs - log_weights[some]).T), -log_mass)
    means = log_sum_exp((log_weights[some] + logs).T) + inverse
    return np.expm1(np.clip(means, 0.0, _MOST))


def _log_weights(twist: Twist, path: Sequence[Step]) -> NDArray[np.float64]:
    """(S,) log of the product of g / q along a path, for each strength."""
    total = np.zeros(len(STRENGTHS))
    defensive = TokenRule().defensive
    for step in path:
        values = twist.group_values(step.state, step.left)
        plain = step.able.sum()
        known = {other: value for other, value in twist.remembered(step.history).items() if other in step.likely}
        own_value = known.get(step.token, float(values[step.group_of(step.token)]))
        for i, strength in enumerate(STRENGTHS):
            scaled = np.exp(strength * (values - own_value))
            ratio = float(step.able @ scaled)
            for other, value in known.items():
                place = step.group_of(other)
                if step.able[place] > 0:
                    ratio += step.likely[other] * (np.exp(strength * (value - own_value)) - scaled[place])
            total[i] -= np.log((1 - defensive) / max(ratio, 1e-300) + defensive / plain)
    return total
