"""Posterior: what a run found, as weighted values with the evidence and an account of the work."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from smcdsl.errors import Diagnostic, SmcdslError
from smcdsl.inference.draws import Purpose, philox
from smcdsl.logspace import effective_sample_size, log_mean_exp, log_sum_exp, normalize
from smcdsl.program.evaluation import freeze


@dataclass(frozen=True)
class WeightedValue:
    """A value with its probability and its log weight; the mean weight of a slot, so that they sum to Z."""

    value: Any
    probability: float
    log_weight: float


@dataclass(frozen=True)
class ParticleView:
    """One slot at the end, dead ones included.

    `text` is what follows the prompt, holes and given text; `holes` are texts by name; `log_weight` is
    not normalised: the mean of exp(log_weight) over all slots estimates the total mass. `cause` of a
    death is a potential's name, `grammar`, `observe` or `budget`. `eve` is the slot its line began in.
    """

    slot: int
    text: str
    holes: Mapping[str, Any]
    value: Any
    log_weight: float
    finished: bool
    cause: str
    tokens: int
    eve: int


@dataclass(frozen=True)
class Posterior:
    """The result of one group. `failure` is what `run` for a single result raises; data is there all the same.

    `values` and `finished` are by slot; the value of an unfinished or dead particle is None. `log_z` is
    the log of the unbiased estimate of the total mass, -inf if every particle died and None for methods
    that do not estimate it. `calls` and `seconds` are those of the whole batch that the group ran in.
    """

    values: tuple[Any, ...]
    finished: NDArray[np.bool_] = field(repr=False)
    log_weights: NDArray[np.float64] = field(repr=False)
    log_z: float | None
    target: Literal["exact", "biased"]
    target_reason: str
    method: str
    seed: int
    complete: bool
    resamplings: int
    deaths: Mapping[str, int]
    calls: Mapping[str, Mapping[str, float]]
    tokens: Mapping[str, int]
    seconds: Mapping[str, float]
    warnings: tuple[Diagnostic, ...] = ()
    failure: SmcdslError | None = field(default=None, compare=False)
    tries: int | None = None
    """How many complete draws `rejection` made."""
    view_particles: Callable[[], tuple[ParticleView, ...]] = field(default=tuple, repr=False, compare=False)

    @property
    def num_particles(self) -> int:
        """All slots, dead ones included."""
        return len(self.log_weights)

    @property
    def ess(self) -> float:
        """Effective sample size over all slots."""
        size = float(effective_sample_size(self.log_weights)) if len(self.log_weights) else 0.0
        return min(size, float(len(self.log_weights)))

    @property
    def expected_tries(self) -> float | None:
        """For `rejection`: complete draws that one sample takes."""
        if self.tries is None or self.log_z is None or self.log_z == -math.inf:
            return None
        return math.exp(-self.log_z)

    @cached_property
    def particles(self) -> tuple[ParticleView, ...]:
        """Every slot."""
        return self.view_particles()

    @cached_property
    def support(self) -> tuple[WeightedValue, ...]:
        """Distinct values, the most probable first; equal values add their weights."""
        slots: dict[Hashable, list[int]] = {}
        for slot in np.flatnonzero(self.log_weights > -np.inf).tolist():
            slots.setdefault(freeze(self.values[slot]), []).append(slot)
        weights = self.normalized_weights
        found = [
            WeightedValue(
                self.values[own[0]],
                # Rounded weights may sum to a little more than one.
                min(float(weights[own].sum()), 1.0),
                float(log_sum_exp(self.log_weights[own])) - math.log(len(weights)),
            )
            for own in slots.values()
        ]
        return tuple(sorted(found, key=lambda item: -item.probability))

    @cached_property
    def normalized_weights(self) -> NDArray[np.float64]:
        """(N,) weights that sum to one, or all zero."""
        return normalize(self.log_weights) if len(self.log_weights) else self.log_weights

    @property
    def best(self) -> Any:
        """The most probable value; None without survivors."""
        return self.support[0].value if self.support else None

    def samples(self, number: int, seed: int | None = None) -> list[Any]:
        """Values drawn by weight with replacement; by default with the run's own seed. Empty without survivors."""
        if not self.support:
            return []
        keys = np.full(number, (self.seed if seed is None else seed) % 2**64, dtype=np.uint64)
        places = np.arange(number, dtype=np.int64)
        numbers = philox(keys, np.zeros_like(places), places, int(Purpose.RETURN), 0)
        edges = np.cumsum([item.probability for item in self.support])
        drawn = np.searchsorted(edges, numbers * edges[-1], side="right")
        return [self.support[index].value for index in drawn.tolist()]


def evidence(log_weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """(G,) log of the mean weight over all slots of (G, N)."""
    return log_mean_exp(log_weights, axis=1)
