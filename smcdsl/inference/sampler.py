"""The one loop: particles of many groups take tokens at their own pace and meet at boundaries.

A sweep takes every group from the program's start to its end. In each round all running particles of
all groups take one token, in one call of the model over their distinct prefixes. A group none of whose
particles runs has arrived: they are advanced through the plan together, their factors are judged in one
batch, and they are resampled if the effective sample size is low. Finished and dead particles keep
their slots (language reference, 2.2.6).
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from smcdsl.inference.factors.calls import DeadlinePassed
from smcdsl.inference.line import MOST_AUTOMATA, MOST_PREFIXES
from smcdsl.inference.meeting import Meeting
from smcdsl.inference.particles import (
    BUDGET,
    RUNNING,
    VACANT,
    WAITING,
)
from smcdsl.protocols import next_law

_MANY_PARTICLES = 512
_collector = Lock()
_thresholds: list[tuple[int, int, int]] = []


@contextmanager
def _rare_collections(num_particles: int) -> Iterator[None]:
    """Spare large batches the garbage collector's many passes over what they keep (a third of their time)."""
    if num_particles < _MANY_PARTICLES:
        yield
        return
    with _collector:
        _thresholds.append(gc.get_threshold())
        gc.set_threshold(100 * max(_thresholds[0][0], 1), *_thresholds[0][1:])
    try:
        yield
    finally:
        with _collector:
            # Sweeps may go on in other threads; the last one restores what the first one found.
            found = _thresholds[0]
            _thresholds.pop()
            if not _thresholds:
                gc.set_threshold(*found)


@dataclass
class Sampler(Meeting):
    """A sweep from the program's start to its end."""

    def sweep(self) -> None:
        """Run all groups to their ends, or to the budget's."""
        for _ in self.ended():
            pass

    def ended(self) -> Iterator[NDArray[np.int64]]:
        """Run all groups to their ends, or to the budget's; those that have ended, with a `width` as soon as they have.

        Groups that rest are not among them, nor are those that a run too large does not begin.
        """
        self.particles.status[self.particles.slots_of(np.array(self.line.waiting, dtype=np.int64))] = VACANT
        while self.line.in_flight or self.line.waiting:
            began, before = perf_counter(), self._spent()
            with _rare_collections(len(self.particles.status)):
                groups = self._go_on()
            self.seconds.masks += self.interpreter.automata_seconds
            self.interpreter.automata_seconds = 0.0
            self.seconds.bookkeeping += perf_counter() - began - (self._spent() - before)
            if not len(groups):
                return
            yield groups

    def _spent(self) -> float:
        """Seconds of all parts but bookkeeping, which is what remains."""
        parts = self.seconds
        return parts.model + parts.masks + parts.sampling + parts.potentials + parts.drafts

    def _go_on(self) -> NDArray[np.int64]:
        """Until groups have ended that are to be handed out; none if none is left."""
        while True:
            self._begin_groups()
            try:
                active = self._arrive()
                ended = self._through(active)
                if len(ended) or not len(active):
                    self.line.end(ended)
                    return ended
                if self.line.has_shrunk and self.width is not None:
                    # Only now, as what has begun instead may go on with what those that have ended leave behind.
                    self.line.has_shrunk = False
                    self.forget()
                if self.rounds is None:
                    self._take_tokens(active)
                else:
                    self.rounds.take(active)
            except DeadlinePassed:
                # The limit in force was that of the last group in flight.
                status = self.particles.status
                self.kill(np.flatnonzero((status == RUNNING) | (status == WAITING)), BUDGET)
            self.step += 1

    def _begin_groups(self) -> None:
        """As many groups as there is room for stand at the program's start."""
        if not self.line.waiting or self._is_full:
            return
        groups = self.line.begin()
        if not len(groups):
            return
        self.particles.status[self.particles.slots_of(groups)] = WAITING
        self.first_steps[groups] = self.step
        self.begun.begin(groups, self.calls.counts, self.seconds)
        if self.teller is not None:
            self.teller.started(self, groups)

    @property
    def _is_full(self) -> bool:
        """Whether what a run keeps to its end is too much for more groups; those with sweeps to come begin in all."""
        if self.width is None or self.comes_back:
            return False
        interpreter = self.interpreter
        return len(interpreter.prefixes) > MOST_PREFIXES or len(interpreter.automata) > MOST_AUTOMATA

    def _arrive(self) -> NDArray[np.int64]:
        """The particles that want a token, once those that wait have gone as far as they can."""
        self.calls.deadline = self.begun.latest(self.line.in_flight)
        self._meet()
        while self._stop_late_ones():
            # Those that were met have gone on from a boundary, and may be late themselves.
            self._meet()
        return np.flatnonzero(self.particles.status == RUNNING)

    def _through(self, active: NDArray[np.int64]) -> NDArray[np.int64]:
        """The groups that have ended, to be handed out: with a width at once, else all together."""
        groups = np.array(self.line.in_flight, dtype=np.int64)
        if self.width is None:
            return groups if not len(active) else groups[:0]
        return np.setdiff1d(groups, active // self.particles.num_particles)

    def _stop_late_ones(self) -> bool:
        """Particles over a budget, or at the end of the model's context, die of it; whether there were any."""
        late = self.room() <= 0
        if self.begun.timeout_seconds is not None:
            late |= np.repeat(self.begun.late(), self.particles.num_particles)
        late &= self.particles.status == RUNNING
        if late.any():
            self.kill(np.flatnonzero(late), BUDGET)
        return bool(late.any())

    def _take_tokens(self, active: NDArray[np.int64]) -> None:
        """One token for every running particle."""
        situations = self.situations(active)
        began = perf_counter()
        law = next_law(self.session, situations.asked)
        self.seconds.model += perf_counter() - began
        self.take_one(active, situations, self.law_rows(law))
