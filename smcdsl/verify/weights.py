"""Runs of a program on the table model against its enumerated mass."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from smcdsl.errors import Diagnostic, PotentialError
from smcdsl.inference.draws import Draws
from smcdsl.inference.factors.calls import Functions
from smcdsl.inference.gate import Judgement, judge
from smcdsl.inference.holes import Automata
from smcdsl.inference.methods import RunRequest, run
from smcdsl.inference.results.posterior import Posterior
from smcdsl.inference.settings import BIASED, Settings
from smcdsl.plan import Plan
from smcdsl.program.evaluation import freeze
from smcdsl.protocols import LanguageModel
from smcdsl.verify.branches import BranchDraws, TooManyPaths, exact_means
from smcdsl.verify.enumeration import Enumerated
from smcdsl.workers import WorkerPools

PARTICLES = 6
TOLERANCE = 1e-9
"""How far an exact mean may be off, relative to the mass."""
MOST_PATHS = 20_000
_AT_ONCE = 500
MORE = 4
"""How many times more runs are made where the gate could not say anything, up to twice."""


@dataclass(frozen=True)
class Setup:
    """A program with all that it runs on."""

    plan: Plan
    model: LanguageModel
    automata: Automata
    functions: Functions
    inputs: Mapping[str, Any]
    pools: WorkerPools | None = None

    def run(self, seeds: range, settings: Settings) -> list[Posterior]:
        """One result a seed."""
        starts = range(0, len(seeds), _AT_ONCE)
        return [each for start in starts for each in self.posteriors(seeds[start : start + _AT_ONCE], settings)]

    def posteriors(
        self, seeds: range, settings: Settings, draws: Callable[[int], Draws] | None = None
    ) -> list[Posterior]:
        """The results of one batch."""
        return run(
            self.plan,
            self.model,
            [RunRequest(self.inputs, seed) for seed in seeds],
            automata=self.automata,
            functions=self.functions,
            settings=settings,
            draws=draws,
            pools=self.pools,
        )


@dataclass(frozen=True)
class Exact:
    """The mean over every branch of the draws of a run: its largest deviation from the enumerated masses, relative.

    `paths` is how many branches there were; None if they were too many to visit.
    """

    paths: int | None
    deviation: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether it was visited, and right."""
        return self.paths is not None and self.deviation <= TOLERANCE


@dataclass(frozen=True)
class Tested:
    """One way to run the program: what the gate says of it, or the potential's failure that ended its runs."""

    name: str
    runs: int
    judgement: Judgement | None
    failure: Diagnostic | None = None

    @property
    def passed(self) -> bool:
        """Whether the runs' weights may be proper."""
        return self.judgement is not None and self.judgement.passed


def modes(own: Settings) -> dict[str, Settings]:
    """Ways to run that leave the target as it is, the program's own first."""
    base = replace(own, particles=min(own.particles, PARTICLES), timeout_seconds=None, check_potentials=False)
    # What is done to a run that went badly has a bias of its own, which the result names.
    base = replace(base, islands=1, grow=0, grow_ess=0.0, retry=0, refine=0)
    if own.method in BIASED or own.method == "rejection":
        base = replace(base, method="smc", particles=PARTICLES)
    base = replace(base, particles=max(base.particles, 2))
    own_name = "the program's own settings" if own.method == base.method else "smc in place of the program's method"
    return {
        own_name: base,
        "smc, resampled whenever weights differ": replace(
            base, method="smc", resample="multinomial", ess_threshold=1.0, proposal="mask"
        ),
        "importance sampling": replace(base, method="is", proposal="mask"),
    }


def exact_weights(setup: Setup, enumerated: Enumerated, limit: int = MOST_PATHS) -> Exact:
    """Two particles, resampled whenever weights differ, along every branch, if they are few enough."""
    # The checks of `awrs` may race, and a race's times have no branches.
    settings = replace(
        Settings(proposal="mask"),
        particles=2,
        ess_threshold=1.0,
        max_tokens=None if enumerated.whole else enumerated.tokens,
    )
    paths = 0

    def masses(draws: BranchDraws, count: int) -> list[dict[Hashable, float]]:
        nonlocal paths
        paths += count
        return [masses_of(each) for each in setup.posteriors(range(count), settings, lambda salt: draws)]

    try:
        means = exact_means(masses, batch=1024, limit=limit)
    except TooManyPaths:
        return Exact(None)
    masses_by_key = enumerated.masses
    deviations = (
        abs(means.get(key, 0.0) - masses_by_key.get(key, 0.0)) / (masses_by_key.get(key, 0.0) or 1e-300)
        for key in means.keys() | masses_by_key.keys()
    )
    return Exact(paths, float(max(deviations)))


def gate_weights(setup: Setup, enumerated: Enumerated, own: Settings, seed: int, runs: int) -> list[Tested]:
    """Every mode through the gate: false alarms of 1e-6 each. Where so many runs say nothing, more are made."""
    limit = None if enumerated.whole else enumerated.tokens
    return [
        _gated(setup, enumerated, name, replace(settings, max_tokens=limit), seed, runs)
        for name, settings in modes(own).items()
    ]


def _gated(setup: Setup, enumerated: Enumerated, name: str, settings: Settings, seed: int, runs: int) -> Tested:
    for number in [runs, MORE * runs, MORE**2 * runs]:
        # Fresh ones: to go on with runs for what they have said so far would bias their mean.
        seeds, seed = range(seed, seed + number), seed + number
        try:
            found = setup.run(seeds, settings)
        except PotentialError as error:
            return Tested(name, number, None, error.diagnostics[0])
        evidence = [math.exp(-math.inf if posterior.log_z is None else posterior.log_z) for posterior in found]
        masses = [masses_of(posterior) for posterior in found]
        judgement = judge(enumerated.masses, masses, texts=enumerated.texts, evidence=evidence)
        if judgement.conclusive or judgement.impossible:
            break
    return Tested(name, number, judgement)


def masses_of(posterior: Posterior) -> dict[Hashable, float]:
    """A run's estimate of the mass of every value: the mean of the weights over all slots."""
    found: dict[Hashable, float] = {}
    for value, log_weight in zip(posterior.values, posterior.log_weights.tolist(), strict=True):
        if log_weight > -math.inf:
            key = freeze(value)
            found[key] = found.get(key, 0.0) + math.exp(log_weight) / posterior.num_particles
    return found
