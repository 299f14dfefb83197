"""The one loop: particles of many groups take tokens at their own pace and meet at boundaries.

A sweep takes every group from the program's start to its end. In each round all running particles of
all groups take one token, in one call of the model over their distinct prefixes. A group none of whose
particles runs has arrived: they are advanced through the plan together, their factors are judged in one
batch, and they are resampled if the effective sample size is low. Finished and dead particles keep
their slots (language reference, 2.2.6).
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from smcdsl.inference.factors.calls import DeadlinePassed
from smcdsl.inference.meeting import Meeting
from smcdsl.inference.particles import (
    BUDGET,
    RUNNING,
    WAITING,
)

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
        began, before = perf_counter(), self._spent()
        if self.teller is not None:
            self.teller.started(self)
        with _rare_collections(len(self.particles.status)):
            try:
                self._take_turns()
            except DeadlinePassed:
                status = self.particles.status
                self.kill(np.flatnonzero((status == RUNNING) | (status == WAITING)), BUDGET)
        self.seconds.masks += self.interpreter.automata_seconds
        self.interpreter.automata_seconds = 0.0
        self.seconds.bookkeeping += perf_counter() - began - (self._spent() - before)

    def _spent(self) -> float:
        """Seconds of all parts but bookkeeping, which is what remains."""
        parts = self.seconds
        return parts.model + parts.masks + parts.sampling + parts.potentials + parts.drafts

    def _take_turns(self) -> None:
        while True:
            self._meet()
            while self._stop_late_ones():
                # Those that were met have gone on from a boundary, and may be late themselves.
                self._meet()
            active = np.flatnonzero(self.particles.status == RUNNING)
            if not len(active):
                return
            if self.rounds is None:
                self._take_tokens(active)
            else:
                self.rounds.take(active)
            self.step += 1

    def _stop_late_ones(self) -> bool:
        """Particles over a budget, or at the end of the model's context, die of it; whether there were any."""
        late = self.room() <= 0
        if self.rules.deadline is not None and time.monotonic() > self.rules.deadline:
            late[:] = True
        late &= self.particles.status == RUNNING
        if late.any():
            self.kill(np.flatnonzero(late), BUDGET)
        return bool(late.any())

    def _take_tokens(self, active: NDArray[np.int64]) -> None:
        """One token for every running particle."""
        situations = self.situations(active)
        began = perf_counter()
        logprobs = self.session.next_logprobs(situations.asked)
        self.seconds.model += perf_counter() - began
        self.take_one(active, situations, self.law_rows(logprobs))
