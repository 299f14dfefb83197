"""Refinement: sweeps of conditional SMC after a first run, so that more work at fixed N gets nearer the posterior.

The first run's population is drawn from, and the path drawn is kept through a sweep of conditional SMC; a
path drawn from that sweep is kept through the next. This chain has the program's posterior as its law in the
limit, for any number of particles from two on, and a draw of the first run is already near it.

The result is the populations of the sweeps, each with its weights normalised, side by side. The first
population is left out: it is the one that is furthest off. The evidence, its error and the Eves stay the
first run's, since a sweep that keeps a path overrates it (see `sandwich`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from smcdsl.errors import PotentialError
from smcdsl.inference.conditional import Retained, check_plan
from smcdsl.inference.draws import Draws, Purpose, shares
from smcdsl.inference.results.pooling import pool
from smcdsl.inference.results.posterior import Posterior
from smcdsl.inference.results.reading import Reader
from smcdsl.inference.rules import Rules
from smcdsl.inference.runtime import Runtime
from smcdsl.inference.settings import Interrupted

Path = tuple[int, ...]
"""All tokens of a finished transcript."""

FIRST_SALT = 1 << 16
"""Rounds of randomness from here on are those of sweeps with retained paths."""


def refine(runtime: Runtime, first: Sequence[Posterior]) -> list[Posterior]:
    """`settings.refine` sweeps for every group that has survivors; as many as there is time for.

    Raises:
        UsageError: a potential does not always answer the same.
        Interrupted, PotentialError: with the results of the sweeps before.
    """
    number = runtime.settings.refine
    if not number:
        return list(first)
    check_plan(runtime.interpreter.plan, "refine")
    kept: list[list[Posterior]] = [[] for _ in first]
    paths = choose(first, runtime.draws(FIRST_SALT, runtime.settings.particles))
    for sweep in range(1, number + 1):
        if all(path is None for path in paths):
            break
        try:
            found = conditional_sweep(runtime, paths, FIRST_SALT + sweep)
        except Interrupted:
            raise Interrupted(_results(first, kept, runtime)) from None
        except PotentialError as error:
            error.partial = _results(first, kept, runtime)
            raise
        late = runtime.begun.late().tolist()
        chosen = choose(found, runtime.draws(FIRST_SALT + sweep, runtime.settings.particles))
        for own, posterior, old, new, is_late in zip(kept, found, paths, chosen, late, strict=True):
            if old is not None and not is_late:
                own.append(replace(posterior, moves=int(old != new)))
        paths = [None if is_late else path for path, is_late in zip(chosen, late, strict=True)]
    return _results(first, kept, runtime)


def conditional_sweep(runtime: Runtime, paths: Sequence[Path | None], salt: int) -> list[Posterior]:
    """One sweep that keeps a path in each group; groups without one have a result without survivors.

    Raises:
        Interrupted: Ctrl-C, without results.
        PotentialError: a potential failed.
    """
    sampler = runtime.sampler(salt, rules=_rules(runtime), speculates=False)
    sampler.retained = Retained(paths)
    sampler.rest(np.flatnonzero([path is None for path in paths]))
    try:
        sampler.sweep()
    except KeyboardInterrupt:
        raise Interrupted([]) from None
    reader = Reader(sampler)
    reader.prepare(np.arange(len(runtime.seeds)))
    return [reader.posterior(group, seed, runtime.settings, False) for group, seed in enumerate(runtime.seeds)]


def _rules(runtime: Runtime) -> Rules:
    """Free particles must be independent given the past, so that they draw their tokens, each for itself."""
    rules, settings = runtime.rules, runtime.settings
    return replace(
        rules,
        scheme="multinomial",
        selection="",
        ess_threshold=settings.ess_threshold if settings.method == "smc" else None,
        tokens=replace(rules.tokens, stratified=False),
    )


def choose(posteriors: Sequence[Posterior], draws: Draws) -> list[Path | None]:
    """A path of each group, drawn by weight; None where nothing has weight, or the result is incomplete."""
    able = [posterior.complete and bool((posterior.log_weights > -np.inf).any()) for posterior in posteriors]
    groups = np.flatnonzero(able)
    weights = [posteriors[group].normalized_weights for group in groups.tolist()]
    edges = [np.cumsum(own) for own in weights]
    zeros = np.zeros(len(groups), dtype=np.int64)
    numbers = draws.uniforms(Purpose.RETAIN, zeros, groups, zeros, lambda _: map(shares, weights))
    paths: list[Path | None] = [None] * len(posteriors)
    for group, own, number in zip(groups.tolist(), edges, numbers.tolist(), strict=True):
        slot = _slot(posteriors[group], own, number)
        paths[group] = posteriors[group].particles[slot].path
    return paths


def _slot(posterior: Posterior, edges: NDArray[np.float64], number: float) -> int:
    """The slot at a point of the weights' distribution function; never one without weight."""
    found = int(np.searchsorted(edges, number, side="right"))
    return min(found, int(np.flatnonzero(posterior.log_weights > -np.inf)[-1]))


def _results(first: Sequence[Posterior], kept: Sequence[Sequence[Posterior]], runtime: Runtime) -> list[Posterior]:
    return [
        _refined(own, sweeps, runtime.begun.total_seconds(group))
        for group, (own, sweeps) in enumerate(zip(first, kept, strict=True))
    ]


def _refined(first: Posterior, sweeps: Sequence[Posterior], seconds: float) -> Posterior:
    """The sweeps' populations side by side, scaled so that the mean weight is the first run's evidence."""
    if not sweeps or first.log_z is None:
        return first
    log_factors = [first.log_z - (sweep.log_z or 0.0) for sweep in sweeps]
    made = pool(sweeps, log_factors)
    everything = pool([first, *sweeps], [0.0] * (len(sweeps) + 1))
    return replace(
        made,
        log_z=first.log_z,
        log_z_error=first.log_z_error,
        log_z_note=first.log_z_note,
        eves=first.eves,
        attempts=first.attempts,
        sweeps=len(sweeps),
        moves=sum(sweep.moves for sweep in sweeps),
        tokens=everything.tokens,
        speculated=first.speculated,
        deaths=everything.deaths,
        resamplings=everything.resamplings,
        seconds={**made.seconds, "total": seconds},
    )
