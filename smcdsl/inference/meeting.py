"""Boundaries: groups whose particles have all arrived are judged and resampled."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smcdsl.inference.advancing import Advancing
from smcdsl.inference.collapse import FEWEST, is_heavy
from smcdsl.inference.course import Arrival
from smcdsl.inference.draws import Purpose
from smcdsl.inference.particles import (
    RUNNING,
    WAITING,
)
from smcdsl.inference.resampling import SCHEMES
from smcdsl.inference.speculation.rounds import Rounds
from smcdsl.inference.tempering import tempered
from smcdsl.logspace import effective_sample_size, log_mean_exp, normalize
from smcdsl.prefixes import ROOT


@dataclass
class Meeting(Advancing):
    """Particles that meet at boundaries."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.rounds = None if self.speculation is None else Rounds(self, self.speculation)

    def _meet(self) -> None:
        """Advance, judge and resample the groups that have arrived at a boundary."""
        particles = self.particles
        if not (particles.status == WAITING).any():
            return
        status = particles.status.reshape(particles.num_groups, particles.num_particles)
        ready = np.flatnonzero((status == WAITING).any(axis=1) & ~(status == RUNNING).any(axis=1))
        if not len(ready):
            return
        slots = particles.slots_of(ready).ravel()
        before = self.total_log_weights()[ready]
        waiting = slots[particles.status[slots] == WAITING]
        clocks = self.clocks.reshape(-1, particles.num_particles)
        clocks[ready] = clocks[ready].max(axis=1, keepdims=True)
        arrived = self._advance(waiting)
        self._note_collapses(ready, before, *arrived)
        if self.rules.temper == "auto":
            self._temper(ready)
        self.barriers[ready] += 1
        begun = ready[self.barriers[ready] == 1]
        self.first_prefixes[begun] = particles.prefixes[begun * particles.num_particles]
        if self.teller is not None:
            self.teller.sites(self, ready, *arrived)
        self._resample(ready)
        if self.interpreter.late:
            self._begin_calls(ready)

    def _begin_calls(self, groups: NDArray[np.int64]) -> None:
        """Begin what particles that go on will ask for at their next boundary."""
        particles, ahead = self.particles, self.interpreter.ahead
        slots = particles.slots_of(groups).ravel()
        slots = slots[particles.status[slots] == RUNNING]
        places = set(zip(particles.frames[slots].tolist(), particles.prefixes[slots].tolist()))
        calls = {call.key: call for place in sorted(places) for call in ahead.get(place, ())}
        if calls:
            self.calls.begin(calls.values())

    def _note_collapses(
        self,
        groups: NDArray[np.int64],
        before: NDArray[np.float64],
        slots: NDArray[np.int64],
        arrivals: list[Arrival],
        rows: NDArray[np.int64],
    ) -> None:
        """Remember the factors that leave one particle with nearly all the weight."""
        size = self.particles.num_particles
        if size < FEWEST:
            return
        after = self.total_log_weights()[groups]
        for line in np.flatnonzero(is_heavy(before) | is_heavy(after)).tolist():
            group = int(groups[line])
            own = np.flatnonzero(slots // size == group)
            changes = [()] * size
            for slot, row in zip(slots[own].tolist(), rows[own].tolist()):
                changes[slot % size] = arrivals[row].changes
            self.collapses.note(group, before[line], after[line], changes)

    def _temper(self, groups: NDArray[np.int64]) -> None:
        """Choose anew how much previews count for in these groups."""
        particles = self.particles
        slots = particles.slots_of(groups)
        previews = self.interpreter.frames.previews[particles.frames[slots]]
        log_weights = (particles.log_weights + particles.log_twists)[slots]
        for group, own, log_previews in zip(groups.tolist(), log_weights, previews, strict=True):
            self.exponents[group] = tempered(own, log_previews)

    def _resample(self, groups: NDArray[np.int64]) -> None:
        """Resample those of the groups whose effective sample size is low and that go on."""
        rules, particles = self.rules, self.particles
        size = particles.num_particles
        if rules.ess_threshold is None or size == 1:
            return
        log_weights = self.total_log_weights()[groups]
        running = (particles.status.reshape(-1, size)[groups] == RUNNING).any(axis=1)
        low = effective_sample_size(log_weights, axis=1) < rules.ess_threshold * size
        if rules.temper == "auto":
            low |= self.exponents[groups] < 1.0
        chosen = np.flatnonzero(running & low & (log_weights.max(axis=1) > -np.inf))
        if not len(chosen):
            return
        groups, log_weights = groups[chosen], log_weights[chosen]
        ancestors = self._ancestors(groups, normalize(log_weights, axis=1))
        slots = particles.slots_of(groups)
        sources = np.take_along_axis(slots, ancestors, axis=1)
        particles.take(slots.ravel(), sources.ravel())
        if self.rounds is not None:
            self.rounds.copied(slots.ravel(), sources.ravel())
        log_means = log_mean_exp(log_weights, axis=1)
        means = np.repeat(log_means, size)
        previews = self.log_previews(slots.ravel())
        particles.log_weights[slots.ravel()] = means - previews - particles.log_twists[slots.ravel()]
        self.resamplings[groups] += 1
        self.collapses.levelled(groups.tolist())
        self.forget()
        if self.teller is not None:
            self.teller.resampled(self, groups, ancestors, log_means)

    def forget(self) -> None:
        """Let models free what is asked for no more."""
        kept = self.particles.prefixes[self.particles.status <= WAITING]
        if self.comes_back:
            kept = np.concatenate([kept, self.first_prefixes[self.barriers > 0]])
        kept = np.unique(kept[kept != ROOT])
        self.session.retain(kept)
        if self.speculation is not None:
            self.speculation.source.retain(kept)

    def _ancestors(self, groups: NDArray[np.int64], weights: NDArray[np.float64]) -> NDArray[np.int64]:
        if self.retained is not None:
            return self.retained.ancestors(groups, self.resamplings[groups], weights, self.draws)
        scheme = SCHEMES[self.rules.scheme]
        count = scheme.numbers(self.particles.num_particles)
        numbers = self.draws.uniforms(
            Purpose.RESAMPLE,
            np.repeat(self.resamplings[groups], count),
            np.repeat(groups, count),
            np.tile(np.arange(count), len(groups)),
            lambda numbers: scheme.breakpoints(weights, numbers),
        )
        return scheme.ancestors(weights, numbers.reshape(len(groups), count))
