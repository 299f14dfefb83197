"""Plan -> Posterior: `run`, and the methods as settings of the one sampler.

| method | draws from | weight | resamples | target |
|---|---|---|---|---|
| `smc` | mask (or lm) | local normalisers, factors, previews | when the ESS is low | exact |
| `is` | mask (or lm) | local normalisers, factors | never | exact |
| `rejection` | lm, accepted with probability weight | one | never | exact |
| `rerank` | mask | factors only | never | biased |
| `lcd` | mask | one | never | biased |
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from time import perf_counter

import numpy as np

from smcdsl.errors import PotentialError
from smcdsl.inference.advance import Arrival, Automata, Interpreter
from smcdsl.inference.draws import CounterDraws, Draws
from smcdsl.inference.events import Finished, Listener, Started
from smcdsl.inference.factors import Functions, PotentialCalls
from smcdsl.inference.particles import Particles
from smcdsl.inference.posterior import Posterior
from smcdsl.inference.rejection import reject
from smcdsl.inference.results import Reader
from smcdsl.inference.sampler import Rules, Sampler
from smcdsl.inference.settings import BIASED, Interrupted, RunRequest, Settings
from smcdsl.plan import Plan
from smcdsl.prefixes import Prefixes
from smcdsl.protocols import LanguageModel
from smcdsl.workers import WorkerPools

__all__ = ["Interrupted", "RunRequest", "Settings", "run"]


def run(
    plan: Plan,
    model: LanguageModel,
    groups: Sequence[RunRequest],
    *,
    automata: Automata,
    functions: Functions,
    settings: Settings,
    events: Listener | None = None,
    draws: Callable[[int], Draws] | None = None,
    pools: WorkerPools | None = None,
) -> list[Posterior]:
    """Run a plan for independent groups in one batch.

    Args:
        plan: from `compiler.compile.compile_program`.
        model: where tokens come from.
        groups: inputs and seeds; a group's result does not depend on the others.
        automata: makes the token automaton of a hole.
        functions: gives the Python function of a signature.
        settings: the method and its numbers.
        events: is told what happens.
        draws: randomness by round, in place of the groups' seeds (tests).
        pools: worker processes that outlive the run; without it they end with it.

    Returns:
        A posterior a group. What failed in a group alone (no survivors, budget) is its `failure`.

    Raises:
        PotentialError: a potential failed and the policy is to fail; `partial` has a posterior a group.
        ModelError: the model failed.
        UsageError: the inputs do not fit the program or the model.
        Interrupted: Ctrl-C.
    """
    began = perf_counter()
    prefixes = Prefixes()
    interpreter = Interpreter(
        plan,
        model,
        prefixes,
        automata,
        applies_factors=settings.method != "lcd",
        previews=settings.method == "smc",
    )
    deadline = None if settings.timeout_seconds is None else time.monotonic() + settings.timeout_seconds
    rules = Rules(
        proposal="lm" if settings.method == "rejection" else settings.proposal,
        normalizes=settings.method not in BIASED,
        ess_threshold=settings.ess_threshold if settings.method == "smc" else None,
        scheme=settings.resample,
        max_tokens=settings.max_tokens,
        deadline=deadline,
    )
    calls = PotentialCalls(functions, deadline, pools=pools, checks=settings.check_potentials)
    session = model.start(prefixes)
    seeds = [group.seed for group in groups]
    arrivals: dict[tuple[int, int], tuple[Arrival, Counter[str]]] = {}

    def sampler(salt: int) -> Sampler:
        starts = np.array([interpreter.begin(group.inputs) for group in groups], dtype=np.int64)
        chosen = CounterDraws(seeds, settings.particles, salt) if draws is None else draws(salt)
        particles = Particles.at(starts, settings.particles)
        return Sampler(interpreter, session, calls, rules, particles, chosen, events, began, arrivals=arrivals)

    try:
        if events is not None:
            for number, seed in enumerate(seeds):
                events(Started(number, perf_counter() - began, settings.particles, seed))
        results = (reject if settings.method == "rejection" else _weighted)(sampler, seeds, settings, began)
        _check(calls, results)
        if results and calls.warnings:
            # Once, not for every group.
            results[0] = replace(results[0], warnings=(*results[0].warnings, *calls.warnings))
    finally:
        calls.close()
        session.close()
    if events is not None:
        for number, result in enumerate(results):
            events(Finished(number, perf_counter() - began, result.log_z, result.ess, result.complete))
    return results


def _check(calls: PotentialCalls, results: list[Posterior]) -> None:
    """Consistency mode, where it is on."""
    try:
        calls.check()
    except PotentialError as error:
        error.partial = results
        raise


def _weighted(
    sampler_of: Callable[[int], Sampler], seeds: list[int], settings: Settings, began: float
) -> list[Posterior]:
    """All methods but rejection: one sweep."""
    sampler = sampler_of(0)
    try:
        sampler.sweep()
    except KeyboardInterrupt:
        raise Interrupted(_posteriors(sampler, seeds, settings, began, interrupted=True)) from None
    except PotentialError as error:
        # What `return` computes may fail as well.
        with suppress(PotentialError):
            error.partial = _posteriors(sampler, seeds, settings, began, interrupted=True)
        raise
    return _posteriors(sampler, seeds, settings, began)


def _posteriors(
    sampler: Sampler, seeds: list[int], settings: Settings, began: float, interrupted: bool = False
) -> list[Posterior]:
    reader = Reader(sampler)
    return [reader.posterior(group, seed, settings, began, interrupted) for group, seed in enumerate(seeds)]
