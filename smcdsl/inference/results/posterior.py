"""Posterior: what a run found, as weighted values with the evidence and an account of the work."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from smcdsl.errors import Diagnostic, SmcdslError
from smcdsl.inference.draws import Purpose, philox
from smcdsl.inference.results.error_bars import RELIABLE_EVES, entropy_sample_size
from smcdsl.inference.results.meaning import entropy, identity, not_dominated
from smcdsl.inference.speculation.tally import Speculated
from smcdsl.logspace import effective_sample_size, log_mean_exp, log_sum_exp, normalize
from smcdsl.program.evaluation import freeze


@dataclass(frozen=True)
class WeightedValue:
    """A value with its probability and its log weight; the mean weight of a slot, so that they sum to Z.

    With `return ... by KEY` it stands for its class: `members` are the class's values, itself first, and `key` is what
    they share, None for one that stands alone. `factors` are the logs of what each `score` line multiplied into
    its density, by the line's text: the log of their mean where particles of one value differ.
    """

    value: Any
    probability: float
    log_weight: float
    factors: Mapping[str, float] = field(default_factory=dict)
    members: tuple[WeightedValue, ...] = ()
    key: Any = None


@dataclass(frozen=True)
class ParticleView:
    """One slot at the end, dead ones included.

    `text` is what follows the prompt, holes and given text; `holes` are texts by name; `log_weight` is
    not normalised: the mean of exp(log_weight) over all slots estimates the total mass. `cause` of a
    death is a potential's name, `grammar`, `observe` or `budget`. `eve` is the slot its line began in.
    `path` is the whole transcript as tokens, given ones included. `names` are all values by name, inputs and
    `let`s among them.
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
    path: tuple[int, ...] = ()
    factors: Mapping[str, float] = field(default_factory=dict)
    names: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True)
class Posterior:
    """The result of one group. `failure` is what `run` for a single result raises; data is there all the same.

    `values` and `finished` are by slot; the value of an unfinished or dead particle is None. `log_z` is
    the log of the unbiased estimate of the total mass, -inf if every particle died and None for methods
    that do not estimate it. `calls` and `seconds` are those of the whole batch that the group ran in.

    `keys` are by slot, None for a program without `by`. `factors` are the texts of the `score` lines, and
    `log_factors` what each gave every slot, (N, F); both empty where factors are not judged.
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
    lookahead: Mapping[str, float] = field(default_factory=dict)
    """Versions of the lookaheads that tokens were proposed with, and the power of each; see `inference.learned`."""
    proposal: str = ""
    """How tokens were proposed and why, where the factors decided that (`proposal: auto`)."""
    tries: int | None = None
    """How many complete draws `rejection` made."""
    log_z_error: float | None = None
    """The standard error of `log_z`, as far as the run itself can tell (`error_bars`); None where it cannot."""
    eves: int | None = None
    """From how many of the first slots the surviving particles descend; None where lines mean nothing."""
    log_z_note: str = ""
    """How `log_z` may be wrong, where it is not unbiased."""
    attempts: int = 1
    """How many populations were run for this one; those before it had no survivors, or too few."""
    sweeps: int = 0
    """How many sweeps of conditional SMC the population is of; 0 where it is a plain run's."""
    moves: int = 0
    """After how many of the sweeps another path was drawn than the one kept: where it is few, they say little new."""
    islands: tuple[float, ...] = ()
    """The log evidence of each independent island, if there are some; `log_z` is the log of their mean."""
    speculated: Speculated | None = None
    """What drafts did, where there were any."""
    view_particles: Callable[[], tuple[ParticleView, ...]] = field(default=tuple, repr=False, compare=False)
    keys: tuple[Any, ...] | None = None
    factors: tuple[str, ...] = ()
    log_factors: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 0)), repr=False)

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
    def entropy_ess(self) -> float:
        """exp of the entropy of the weights: an effective sample size that the largest weight rules less."""
        return entropy_sample_size(self.normalized_weights)

    @property
    def is_reliable(self) -> bool:
        """Whether `log_z_error` means something: enough families are left for it."""
        if self.log_z_error is None:
            return False
        return bool(self.islands) or self.eves is None or self.eves >= RELIABLE_EVES

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
        """Distinct values, or one for each class of equal keys: the most probable first; weights are added.

        A class is represented by its most probable value.
        """
        slots: dict[Hashable, list[int]] = {}
        for slot in np.flatnonzero(self.log_weights > -np.inf).tolist():
            slots.setdefault(freeze(self.values[slot]), []).append(slot)
        if self.keys is None:
            return _by_probability(self._weighted(own) for own in slots.values())
        classes: dict[Hashable, list[list[int]]] = {}
        for value, own in slots.items():
            for slots_of_key in self._by_key(own):
                key = self.keys[slots_of_key[0]]
                meaning = ("alone", value) if key is None else ("key", identity(key))
                classes.setdefault(meaning, []).append(slots_of_key)
        return _by_probability(self._class(members) for members in classes.values())

    def _by_key(self, slots: list[int]) -> list[list[int]]:
        """Slots of one value, those of equal keys together: a key may depend on more than the value."""
        assert self.keys is not None
        found: dict[Hashable, list[int]] = {}
        for slot in slots:
            found.setdefault(identity(self.keys[slot]), []).append(slot)
        return list(found.values())

    def _weighted(self, slots: list[int], members: tuple[WeightedValue, ...] = ()) -> WeightedValue:
        return WeightedValue(
            members[0].value if members else self.values[slots[0]],
            # Rounded weights may sum to a little more than one.
            min(float(self.normalized_weights[slots].sum()), 1.0),
            float(log_sum_exp(self.log_weights[slots])) - math.log(self.num_particles),
            members[0].factors if members else self._factors_of(slots),
            members,
            self.keys[slots[0]] if members and self.keys is not None else None,
        )

    def _class(self, members: list[list[int]]) -> WeightedValue:
        values = _by_probability(map(self._weighted, members))
        return self._weighted([slot for own in members for slot in own], values)

    def _factors_of(self, slots: list[int]) -> dict[str, float]:
        if not self.factors:
            return {}
        logs = self.log_factors[slots]
        means = logs[0]
        if (logs != means).any():
            means = log_sum_exp(logs + self.log_weights[slots, None], axis=0) - log_sum_exp(self.log_weights[slots])
        return dict(zip(self.factors, means.tolist(), strict=True))

    @cached_property
    def front(self) -> tuple[WeightedValue, ...]:
        """The Pareto front of `support` over several `score` lines: what nothing else beats in all. Empty with one."""
        if len(self.factors) < 2 or not self.support:
            return ()
        scores = np.array([list(item.factors.values()) for item in self.support])
        return tuple(item for item, kept in zip(self.support, not_dominated(scores), strict=True) if kept)

    @property
    def semantic_entropy(self) -> float | None:
        """Entropy of the classes in nats; None for a program without `by`, and without survivors.

        It is that of the particles' weights, which is too low on average while there are few of them.
        """
        if self.keys is None or not self.support:
            return None
        return entropy(item.probability for item in self.support)

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


def _by_probability(found: Iterable[WeightedValue]) -> tuple[WeightedValue, ...]:
    return tuple(sorted(found, key=lambda item: -item.probability))


def evidence(log_weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """(G,) log of the mean weight over all slots of (G, N)."""
    return log_mean_exp(log_weights, axis=1)
