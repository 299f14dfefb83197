"""Attempts: runs that are made again when too little survives.

Two policies, neither of which throws honesty away. `grow` doubles the particles until some survive, or
until the effective sample size suffices, and returns the last population; having been kept because it
turned out well, its evidence is biased upwards, by one over the probability to survive. `retry` keeps the
number of particles and goes on to the second population that survives, attempt n: both populations, their
weights divided by n - 1, are properly weighted, since 1 / (n - 1) is unbiased for the probability to
survive and independent of what the survivors weigh. If attempts are limited to m, a single survivor's
weights are divided by m, which is unbiased too.

Source: Haldane (1945), "On a method of estimating frequencies", for inverse binomial sampling.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from smcdsl.errors import NoSurvivors, PotentialError
from smcdsl.inference.results.error_bars import rejection_variance
from smcdsl.inference.results.pooling import pool
from smcdsl.inference.results.posterior import Posterior
from smcdsl.inference.results.reading import Reader
from smcdsl.inference.runtime import Runtime
from smcdsl.inference.sampler import Sampler
from smcdsl.inference.settings import Interrupted, Settings
from smcdsl.inference.speculation.tally import Speculated, total
from smcdsl.logspace import normalize

GROWN = "biased upwards: populations were run until one turned out well"
"""What `grow` does to the evidence."""


ALONE = "unbiased, but its error is unknown: a single population survived"
"""What is to be said where `retry` ends with one population."""


@dataclass
class _Group:
    """The populations of a group: the last one, those that survived, and what all of them took."""

    last: Posterior | None = None
    alive: list[Posterior] = field(default_factory=list)
    attempts: int = 0
    tokens: Counter[str] = field(default_factory=Counter)
    speculated: Speculated | None = None

    def add(self, posterior: Posterior) -> None:
        """One more population."""
        self.last = posterior
        self.attempts += 1
        self.tokens.update(posterior.tokens)
        self.speculated = total((self.speculated, posterior.speculated))
        if posterior.complete and posterior.log_z != -math.inf:
            self.alive.append(posterior)

    def is_done(self, settings: Settings) -> bool:
        """Whether another attempt would change nothing, or need not be made."""
        if self.last is None:
            return False
        if not self.last.complete:
            return True
        if settings.retry:
            return len(self.alive) == 2
        return bool(self.alive) and self.alive[-1] is self.last and self.last.ess >= settings.grow_ess


def attempt(runtime: Runtime) -> Iterator[tuple[int, Posterior]]:
    """Run all groups, again where the policy of `settings` says so; each group's number and result once it is known.

    Groups that a run too large does not begin have none.

    Raises:
        Interrupted, PotentialError: with what there is so far.
    """
    settings, groups = runtime.settings, [_Group() for _ in runtime.seeds]
    open_groups = np.ones(len(groups), dtype=np.bool_)
    sampler: Sampler | None = None
    last = (settings.retry or settings.grow + 1) - 1
    for number in range(last + 1):
        if not open_groups.any():
            break
        sampler = _next(runtime, number, sampler)
        sampler.rest(np.flatnonzero(~open_groups))
        unread = open_groups.copy()
        try:
            for ended in sampler.ended():
                _read(runtime, sampler, groups, ended)
                unread[ended] = False
                late = runtime.begun.late()
                for index in ended.tolist():
                    if number == last or late[index] or groups[index].is_done(settings):
                        open_groups[index] = False
                        yield index, _result(groups[index], runtime, index)
        except (KeyboardInterrupt, PotentialError) as error:
            with suppress(PotentialError):
                # What `return` computes may fail as well.
                _read(runtime, sampler, groups, np.flatnonzero(unread), interrupted=True)
            _stop(error, groups, runtime)
    if sampler is not None and sampler.recorder is not None:
        sampler.recorder.finish(sampler)


def in_order(results: Iterable[tuple[int, Posterior]]) -> list[Posterior]:
    """All groups' results by their numbers."""
    return [posterior for _, posterior in sorted(results, key=lambda result: result[0])]


def _read(
    runtime: Runtime, sampler: Sampler, groups: list[_Group], which: NDArray[np.int64], *, interrupted: bool = False
) -> None:
    """Add what these groups have come to."""
    reader = Reader(sampler)
    reader.prepare(which)
    for index in which.tolist():
        groups[index].add(reader.posterior(index, runtime.seeds[index], runtime.settings, interrupted))


def _next(runtime: Runtime, number: int, earlier: Sampler | None) -> Sampler:
    """The sampler of an attempt; time is counted over all of them."""
    size = runtime.settings.particles << (0 if runtime.settings.retry else number)
    sampler = runtime.sampler(number, size)
    sampler.recorder = runtime.recorder
    if earlier is not None:
        sampler.seconds = earlier.seconds
    return sampler


def _stop(error: KeyboardInterrupt | PotentialError, groups: list[_Group], runtime: Runtime) -> NoReturn:
    """Raise with what there is."""
    is_whole = all(group.last is not None for group in groups)
    partial = [_result(group, runtime, index) for index, group in enumerate(groups)] if is_whole else []
    if isinstance(error, PotentialError):
        error.partial = partial or None
        raise error
    raise Interrupted(partial) from None


def _result(group: _Group, runtime: Runtime, index: int) -> Posterior:
    """What a group's attempts come to."""
    assert group.last is not None, "no attempt was made"
    made, settings = group.last, runtime.settings
    if settings.retry:
        made = _of_survivors(group)
    elif group.alive:
        # One that ran out of time, or that did not survive, takes nothing from what was there before it.
        made = group.alive[-1]
    if settings.grow and made.log_z is not None and group.attempts > 1:
        made = replace(made, log_z_note=GROWN)
    if group.attempts > 1 and isinstance(made.failure, NoSurvivors):
        made = replace(made, failure=_after(made.failure, group.attempts, made.num_particles))
    seconds = {**made.seconds, "total": runtime.begun.total_seconds(index)}
    return replace(
        made, attempts=group.attempts, tokens=dict(group.tokens), speculated=group.speculated, seconds=seconds
    )


def _of_survivors(group: _Group) -> Posterior:
    """`retry`: both populations that survived, or the one, or the last."""
    assert group.last is not None, "no attempt was made"
    if not group.alive or not group.last.complete:
        return group.last
    if len(group.alive) == 1:
        (alone,) = group.alive
        note = ALONE if group.attempts > 1 else ""
        factor = -math.log(group.attempts)
        made = replace(pool([alone], [factor]), log_z_note=note, warnings=alone.warnings)
        error = alone.log_z_error if group.attempts == 1 else None
        return replace(made, log_z_error=error, eves=alone.eves)
    first, second = group.alive
    made = pool(group.alive, [-math.log(group.attempts - 1)] * 2)
    eves = None if first.eves is None or second.eves is None else first.eves + second.eves
    warnings = first.warnings if first.warnings and second.warnings else ()
    return replace(made, log_z_error=_error_of_two(first, second, group.attempts), eves=eves, warnings=warnings)


def _error_of_two(first: Posterior, second: Posterior, attempts: int) -> float | None:
    """Of the mean of two populations over the number of attempts but one."""
    if first.log_z_error is None or second.log_z_error is None:
        return None
    shares = normalize(np.array([first.log_z, second.log_z], dtype=np.float64))
    own = float(np.sum((shares * [first.log_z_error, second.log_z_error]) ** 2))
    # Finney's estimate of the relative variance of 1 / (n - 1): it is one after the first death.
    of_survival = rejection_variance(2, attempts) or 0.0
    return math.sqrt(own + of_survival + own * of_survival)


def _after(failure: NoSurvivors, attempts: int, particles: int) -> NoSurvivors:
    """R0901, saying what was tried."""
    diagnostic = failure.diagnostics[0]
    fact = f"{attempts} attempts were made, the last one with {particles:,} particles"
    again = replace(diagnostic, facts=(*diagnostic.facts, fact))
    return NoSurvivors(again, failure.deaths, failure.partial)
