"""Calls of potentials that run in worker processes while something else is done.

A call is begun when it is known that its result will be asked for at the next boundary, and waited for there.
Only one thread uses a pool at a time: whoever wants it for other calls waits for those that run, and those
that have not begun by then are not made, unless they are among the wanted ones.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from smcdsl.program.evaluation import PotentialCall
from smcdsl.workers import Interest, Outcome

PATIENCE_SECONDS = 2.0
"""How long to wait at the end for calls that nobody wants, before their processes are ended."""


Batch = dict[Hashable, PotentialCall]
"""Calls by their keys that one call of the function answers together, in order."""


@dataclass
class _Job:
    """Batches of calls of one pool, under way in a thread."""

    pool: Hashable
    batches: list[Batch]
    interest: Interest = field(default_factory=Interest)
    outcomes: Future[list[Outcome]] = field(default_factory=Future)


class BegunCalls:
    """The calls under way."""

    def __init__(self) -> None:
        self._jobs: list[_Job] = []

    def __contains__(self, key: Hashable) -> bool:
        return any(key in batch for job in self._jobs for batch in job.batches)

    def begin(self, pool: Hashable, batches: Sequence[Batch], make: Callable[[Interest], list[Outcome]]) -> None:
        """Begin batches of one pool; `make` makes their calls, in a thread of its own, and is told what is wanted."""
        job = _Job(pool, list(batches))
        before = [earlier for earlier in self._jobs if earlier.pool == pool]
        self._jobs.append(job)
        threading.Thread(target=_run, args=(job, before, make), daemon=True).start()

    def collect(self, wanted: Collection[Hashable]) -> Iterator[tuple[Batch, Outcome]]:
        """Wait for the batches that have one of these keys; others that went well come with them."""
        for job in list(self._jobs):
            numbers = [number for number, batch in enumerate(job.batches) if any(key in wanted for key in batch)]
            if not numbers:
                continue
            outcomes = job.outcomes.result()
            self._jobs.remove(job)
            for number, (batch, outcome) in enumerate(zip(job.batches, outcomes, strict=True)):
                if number in numbers or outcome.kind == "value":
                    yield batch, outcome

    def make_room(self, pool: Hashable) -> Iterator[tuple[Batch, Outcome]]:
        """Wait until nobody uses a pool. Calls that have not begun are given up; those that went well come back."""
        jobs = [job for job in self._jobs if job.pool == pool]
        for job in jobs:
            _give_up(job)
        for job in jobs:
            error = job.outcomes.exception()
            self._jobs.remove(job)
            outcomes = [] if error is not None else job.outcomes.result()
            yield from (pair for pair in zip(job.batches, outcomes) if pair[1].kind == "value")

    def close(self) -> None:
        """Give up all calls, and see them end."""
        for job in self._jobs:
            _give_up(job)
        for job in self._jobs:
            try:
                job.outcomes.exception(PATIENCE_SECONDS)
            except TimeoutError:
                job.interest.ended.set()
                job.outcomes.exception()
        self._jobs.clear()


def _give_up(job: _Job) -> None:
    job.interest.unwanted.update(range(len(job.batches)))


def _run(job: _Job, before: list[_Job], make: Callable[[Interest], list[Outcome]]) -> None:
    """Make a job's calls behind those of earlier jobs."""
    try:
        for earlier in before:
            earlier.outcomes.exception()
        job.outcomes.set_result(make(job.interest))
    except BaseException as error:
        # Whoever waits gets it.
        job.outcomes.set_exception(error)
