"""Islands: independent runs of one request, side by side, that make one result.

The mean of unbiased estimates is unbiased, and their spread says how far it may be off, which a single run
can only guess from its family tree (`error_bars`). Their slots with their unnormalised weights, put one
after another, are the combined population.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from smcdsl.errors import BudgetExceeded, Diagnostic, NoSurvivors, SmcdslError
from smcdsl.inference.draws import Breakpoints, Draws, Purpose
from smcdsl.inference.events import Event, Listener
from smcdsl.inference.results.error_bars import spread_of_islands
from smcdsl.inference.results.pooling import pool
from smcdsl.inference.results.posterior import Posterior
from smcdsl.inference.settings import RunRequest


def requests_of(groups: Sequence[RunRequest], count: int) -> list[RunRequest]:
    """`count` requests for each one, in order; the first with its own seed, the others with seeds made of it."""
    return [replace(group, seed=island_seed(group.seed, island)) for group in groups for island in range(count)]


def island_seed(seed: int, island: int) -> int:
    """A seed of 64 bits. Neighbouring seeds have nothing in common, so that neighbouring runs share no island."""
    if island == 0:
        return seed
    return int.from_bytes(hashlib.sha256(f"{seed % 2**64}/{island}".encode()).digest()[:8], "little")


def listener_of(listener: Listener, count: int) -> Listener:
    """Tells a listener of the islands' events under the numbers of the requests."""

    def tell(event: Event) -> None:
        group, island = divmod(event.group, count)
        listener(replace(event, group=group, island=island))

    return tell


class IslandDraws:
    """The draws of requests, shared out to their islands: island r has the slots from r * N on."""

    def __init__(self, draws: Draws, count: int, num_slots: int) -> None:
        self._draws, self._count, self._num_slots = draws, count, num_slots

    def uniforms(
        self,
        purpose: Purpose,
        steps: NDArray[np.int64],
        groups: NDArray[np.int64],
        slots: NDArray[np.int64],
        breakpoints: Breakpoints,
    ) -> NDArray[np.float64]:
        """See `Draws`."""
        groups, islands = np.divmod(groups, self._count)
        return self._draws.uniforms(purpose, steps, groups, slots + islands * self._num_slots, breakpoints)


def combine(posteriors: Sequence[Posterior], count: int) -> list[Posterior]:
    """The results of requests from those of their islands."""
    if count == 1:
        return list(posteriors)
    return [_combined(posteriors[start : start + count]) for start in range(0, len(posteriors), count)]


def combine_each(results: Iterable[tuple[int, Posterior]], count: int) -> Iterator[tuple[int, Posterior]]:
    """The same from results that come one by one, with their islands' numbers: each request's once all are there."""
    parts: dict[int, dict[int, Posterior]] = {}
    for number, posterior in results:
        request, island = divmod(number, count)
        own = parts.setdefault(request, {})
        own[island] = posterior
        if len(own) == count:
            del parts[request]
            yield request, _combined([own[island] for island in range(count)])


def _combined(parts: Sequence[Posterior]) -> Posterior:
    log_evidence = np.array([-math.inf if part.log_z is None else part.log_z for part in parts])
    variance = spread_of_islands(log_evidence)
    combined = replace(
        pool(parts, _log_factors(parts)),
        log_z_error=None if variance is None else math.sqrt(variance),
        eves=sum(part.eves or 0 for part in parts),
        islands=tuple(log_evidence.tolist()),
        attempts=max(part.attempts for part in parts),
        sweeps=sum(part.sweeps for part in parts),
        moves=sum(part.moves for part in parts),
        log_z_note=next((part.log_z_note for part in parts if part.log_z_note), ""),
        warnings=_warnings(parts),
    )
    return replace(combined, failure=_failure(parts, combined))


def _log_factors(parts: Sequence[Posterior]) -> list[float]:
    """What makes the mean over all slots the mean of the islands' estimates, even where only some have grown."""
    mean = sum(part.num_particles for part in parts) / len(parts)
    return [math.log(mean / part.num_particles) for part in parts]


def _failure(parts: Sequence[Posterior], combined: Posterior) -> SmcdslError | None:
    """What keeps the islands together from being a result: one ran out of something, or none has survivors."""
    for part in parts:
        if isinstance(part.failure, BudgetExceeded):
            return BudgetExceeded(part.failure.diagnostics[0], combined)
    if combined.log_z == -math.inf and isinstance(parts[0].failure, NoSurvivors):
        return NoSurvivors(parts[0].failure.diagnostics[0], combined.deaths, combined)
    return None


def _warnings(parts: Sequence[Posterior]) -> tuple[Diagnostic, ...]:
    """Each kind once, where most islands have it: one that collapses alone is what islands are for."""
    seen = Counter(warning.code for part in parts for warning in {w.code: w for w in part.warnings}.values())
    common = [code for code, number in seen.items() if 2 * number > len(parts)]
    found = {warning.code: warning for part in reversed(parts) for warning in part.warnings}
    return tuple(found[code] for code in common)
