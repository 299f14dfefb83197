"""Conditional SMC: a sweep in which one particle of each group follows a path that is given.

The particle in slot 0 takes the path's tokens and is its own ancestor whenever the group is resampled; all
others are free, and draw their ancestors independently, from all particles. A particle drawn from the
population by weight at the end is then a Markov chain's next state, and the chain leaves the program's
posterior as it is, for any number of particles from two on.

A path is a finished transcript. Given text, states, boundaries and what factors say follow from its tokens,
so that its weight is found again on the way. That takes potentials that answer the same each time.

Source: Andrieu, Doucet and Holenstein (2010), "Particle Markov chain Monte Carlo methods", section 4.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smcdsl.errors import Diagnostic, Label, UsageError
from smcdsl.inference.draws import Draws, Purpose, shares
from smcdsl.inference.resampling import multinomial
from smcdsl.plan import Plan

RETAINED_SLOT = 0


@dataclass(frozen=True)
class Retained:
    """The path of each group that keeps one, as all tokens of a finished transcript."""

    paths: Sequence[Sequence[int] | None]

    def next_tokens(
        self, groups: NDArray[np.int64], slots: NDArray[np.int64], lengths: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """(n,) the token that each particle must take after as many tokens; -1 if it is free."""
        tokens = np.full(len(groups), -1, dtype=np.int64)
        for index in np.flatnonzero(slots == RETAINED_SLOT).tolist():
            path = self.paths[int(groups[index])]
            if path is not None:
                assert lengths[index] < len(path), "a retained path ends before its program does"
                tokens[index] = path[int(lengths[index])]
        return tokens

    def ancestors(
        self, groups: NDArray[np.int64], resamplings: NDArray[np.int64], weights: NDArray[np.float64], draws: Draws
    ) -> NDArray[np.int64]:
        """(G, N) ancestors: the retained particle's is itself, the others are independent."""
        count, size = weights.shape
        numbers = draws.uniforms(
            Purpose.RESAMPLE,
            np.repeat(resamplings, size - 1),
            np.repeat(groups, size - 1),
            np.tile(np.arange(1, size), count),
            lambda _: (shares(row) for row in weights for _ in range(size - 1)),
        )
        found = np.full((count, size), RETAINED_SLOT, dtype=np.int64)
        found[:, 1:] = multinomial(weights, numbers.reshape(count, size - 1))
        return found


def check_plan(plan: Plan, what: str) -> None:
    """Raise UsageError (E0711) for a program whose paths have no weight of their own."""
    for factor in plan.factors:
        if not factor.is_pure:
            label = Label(factor.span, "may answer differently for the same text", primary=True)
            message = f"`{what}` needs pure potentials: a path that is kept must keep its weight"
            raise UsageError(Diagnostic("E0711", message, (label,), help=f"leave `{what}` out, or use `islands`"))
