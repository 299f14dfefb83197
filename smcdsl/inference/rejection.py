"""Rejection sampling: complete draws from the model, each accepted with the probability that is its weight.

In every round a group makes N draws, until it has accepted N; they are exact and independent. Then its
evidence is (N - 1) over the draws before the last accepted one, which is unbiased (the number of draws
is negative binomial). A group that gives up has accepted / drawn and is incomplete.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smcdsl.errors import Diagnostic, Label, PotentialError, UsageError
from smcdsl.inference.draws import Purpose
from smcdsl.inference.particles import BUDGET, FINISHED
from smcdsl.inference.results.error_bars import rejection_variance
from smcdsl.inference.results.posterior import ParticleView, Posterior
from smcdsl.inference.results.reading import Reader, judged
from smcdsl.inference.runtime import Runtime
from smcdsl.inference.sampler import Sampler
from smcdsl.inference.settings import Interrupted

_MAX_ROUNDS = 10_000
"""Give up after this many draws for every sample asked for."""

_NONE_OF = 1_000
"""After so many draws of which none is accepted somebody who waits is told."""
_NONE_WITHIN_SECONDS = 10.0
"""Or after so long: a large model makes few draws."""

_ROUNDING = 1e-5
"""By how much a log weight may exceed zero: the model's float32 rows sum to one but for rounding."""


@dataclass
class _Group:
    """What a group has accepted: the reader of the round and the slot; and its draws up to the last one counted."""

    accepted: list[tuple[Reader, int]] = field(default_factory=list)
    tries: int = 0


def reject(runtime: Runtime, max_rounds: int | None = None) -> Iterator[tuple[int, Posterior]]:
    """Draw until every group has `settings.particles` samples, or for that many rounds (10,000).

    Each group's number and result once it is known.
    """
    wanted, groups = runtime.settings.particles, [_Group() for _ in runtime.seeds]
    open_groups = np.ones(len(groups), dtype=np.bool_)
    sampler: Sampler | None = None
    last = (max_rounds or _MAX_ROUNDS) - 1
    told = runtime.notices is None
    try:
        for salt in range(last + 1):
            if not open_groups.any():
                return
            sampler = runtime.sampler(salt) if sampler is None else _next_round(runtime.sampler(salt), sampler)
            sampler.rest(np.flatnonzero(~open_groups))
            for ended in sampler.ended():
                reader = Reader(sampler)
                _accept(reader, salt, groups, wanted, ended)
                late = runtime.begun.late()
                for number in ended.tolist():
                    if salt == last or late[number] or len(groups[number].accepted) >= wanted:
                        open_groups[number] = False
                        yield number, _posterior(runtime, reader, number, groups[number])
            told = told or _tell(runtime, groups)
    except KeyboardInterrupt:
        raise Interrupted([] if sampler is None else _so_far(runtime, sampler, groups)) from None
    except PotentialError as error:
        # What `return` computes may fail as well.
        if sampler is not None:
            with suppress(PotentialError):
                error.partial = _so_far(runtime, sampler, groups)
        raise


def _so_far(runtime: Runtime, sampler: Sampler, groups: list[_Group]) -> list[Posterior]:
    """What all groups have when something stops them."""
    reader = Reader(sampler)
    return [_posterior(runtime, reader, number, group, interrupted=True) for number, group in enumerate(groups)]


def _tell(runtime: Runtime, groups: list[_Group]) -> bool:
    """Say that nothing is accepted, once that has gone on for long."""
    draws = sum(group.tries for group in groups)
    is_early = draws < _NONE_OF and perf_counter() - runtime.began < _NONE_WITHIN_SECONDS
    if is_early or runtime.notices is None or any(group.accepted for group in groups):
        return False
    most = _MAX_ROUNDS * runtime.settings.particles * len(groups)
    runtime.notices(
        f"note: none of {draws:,} draws was accepted so far; it gives up after {most:,}. "
        "`--infer smc` needs no draw to be accepted whole; Ctrl-C stops"
    )
    return True


def _next_round(sampler: Sampler, earlier: Sampler) -> Sampler:
    """A fresh sampler that goes on counting."""
    sampler.seconds = earlier.seconds
    sampler.tokens, sampler.deaths = earlier.tokens, earlier.deaths
    sampler.last_deaths = earlier.last_deaths
    return sampler


def _accept(reader: Reader, salt: int, groups: list[_Group], wanted: int, ended: NDArray[np.int64]) -> None:
    """Decide on the draws that groups have made in a round, in the order of their slots."""
    particles = reader.sampler.particles
    finished = particles.slots_of(ended).ravel()
    finished = finished[particles.status[finished] == FINISHED]
    log_weights = particles.log_weights[finished]
    if (log_weights > _ROUNDING).any():
        raise _exceeds_one(reader.sampler)
    chances: NDArray[np.float64] = np.exp(np.minimum(log_weights, 0.0))
    owners, slots = np.divmod(finished, particles.num_particles)
    numbers = reader.sampler.draws.uniforms(
        Purpose.ACCEPT,
        np.full(len(finished), salt, dtype=np.int64),
        owners,
        slots,
        lambda _: (np.array([chance]) for chance in chances),
    )
    taken = np.zeros(len(particles.status), dtype=np.bool_)
    taken[finished[numbers < chances]] = True
    for number in ended.tolist():
        group = groups[number]
        for slot in range(number * particles.num_particles, (number + 1) * particles.num_particles):
            if len(group.accepted) >= wanted:
                break
            group.tries += 1
            if taken[slot]:
                group.accepted.append((reader, slot))


def _posterior(runtime: Runtime, reader: Reader, number: int, group: _Group, *, interrupted: bool = False) -> Posterior:
    sampler, settings = reader.sampler, runtime.settings
    missing = settings.particles - len(group.accepted)
    frames = [int(own.sampler.particles.frames[slot]) for own, slot in group.accepted]
    values = [own.values([frame])[0] for (own, _), frame in zip(group.accepted, frames, strict=True)]
    finished = np.arange(settings.particles) < len(values)
    log_z = _log_evidence(group, missing)
    # Equal weights, whose mean over all slots is the evidence.
    log_weight = log_z + math.log(settings.particles / len(values)) if values else -math.inf
    variance = None if missing else rejection_variance(len(values), group.tries)
    meanings = _meanings(group, frames, settings.particles)
    base = reader.posterior(number, runtime.seeds[number], settings, interrupted=True)
    result = replace(
        base,
        values=tuple(values + [None] * missing),
        finished=finished,
        log_weights=np.where(finished, log_weight, -np.inf),
        log_z=log_z,
        log_z_error=None if variance is None else math.sqrt(variance),
        eves=None,
        complete=missing == 0 and not sampler.deaths[number, BUDGET],
        tries=group.tries,
        view_particles=lambda: _views(group, log_weight),
        **meanings,
    )
    return judged(result, sampler, number, settings, interrupted)


def _meanings(group: _Group, frames: list[int], size: int) -> dict[str, Any]:
    """Keys and factors of the accepted draws, which come from several rounds."""
    rounds = [
        own.meanings([frame], np.array([place]), size)
        for place, ((own, _), frame) in enumerate(zip(group.accepted, frames, strict=True))
    ]
    if not rounds:
        return {}
    made = dict(rounds[0])
    made["log_factors"] = sum(found["log_factors"] for found in rounds)
    if made["keys"] is not None:
        made["keys"] = tuple(rounds[slot]["keys"][slot] if slot < len(rounds) else None for slot in range(size))
    return made


def _log_evidence(group: _Group, missing: int) -> float:
    accepted = len(group.accepted)
    if not accepted:
        return -math.inf
    if missing or accepted == 1:
        return math.log(accepted) - math.log(group.tries)
    return math.log(accepted - 1) - math.log(group.tries - 1)


def _views(group: _Group, log_weight: float) -> tuple[ParticleView, ...]:
    views = (own.view(slot) for own, slot in group.accepted)
    return tuple(replace(view, slot=number, log_weight=log_weight) for number, view in enumerate(views))


def _exceeds_one(sampler: Sampler) -> UsageError:
    scores = [factor for factor in sampler.interpreter.plan.factors if factor.verb == "score"]
    labels = tuple(Label(factor.span, "can exceed 1", primary=rank == 0) for rank, factor in enumerate(scores))
    fix = "use `infer smc`, or bound it with `min(1, ...)`"
    message = "rejection sampling needs every `score` to be at most 1"
    if not scores and sampler.rules.tokens.power < 1:
        message = f"rejection sampling needs a power of 1 or more, and this one is {sampler.rules.tokens.power:g}"
        fix = "use `infer smc`"
    return UsageError(Diagnostic("E0703", message, labels, help=fix))
