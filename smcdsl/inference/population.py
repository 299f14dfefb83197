"""The particles of many groups, what is counted of them, and how they die."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from smcdsl.inference.advance import Interpreter
from smcdsl.inference.collapse import Collapses
from smcdsl.inference.course import Death
from smcdsl.inference.draws import Draws
from smcdsl.inference.factors.calls import PotentialCalls
from smcdsl.inference.line import Begun, Line
from smcdsl.inference.particles import (
    CAUSES,
    DEAD,
    Particles,
)
from smcdsl.inference.proposals import (
    Lookaheads,
    Rows,
    Seconds,
    no_lookahead,
)
from smcdsl.inference.rules import Rules
from smcdsl.inference.telling import Teller
from smcdsl.prefixes import ROOT
from smcdsl.protocols import Session


@dataclass
class Population:
    """G groups of N particles of a sweep and all that it counts."""

    interpreter: Interpreter
    session: Session
    calls: PotentialCalls
    rules: Rules
    particles: Particles
    draws: Draws
    begun: Begun
    teller: Teller | None = None
    lookaheads: Lookaheads = no_lookahead
    started: float = field(default_factory=perf_counter)
    seconds: Seconds = field(default_factory=Seconds)
    width: int | None = None
    """How many groups are in flight at a time; None for all. With a width, groups are handed out as they end."""
    comes_back: bool = False
    """Whether a later sweep may ask for the prompts of groups that have ended in this one."""
    resamplings: NDArray[np.int64] = field(init=False)
    tokens: NDArray[np.int64] = field(init=False)
    deaths: NDArray[np.int64] = field(init=False)
    last_deaths: dict[tuple[int, int], Death] = field(default_factory=dict)
    collapses: Collapses = field(default_factory=Collapses)
    first_prefixes: NDArray[np.int64] = field(init=False)
    barriers: NDArray[np.int64] = field(init=False)
    exponents: NDArray[np.float64] = field(init=False)
    """(G,) the power of previews that is in the weights now."""
    farthest: NDArray[np.int64] = field(init=False)
    """(G,) the longest prefix that was alive after factors looked at it; at first the empty one."""
    first_steps: NDArray[np.int64] = field(init=False)
    """(G,) the step at which each group began."""
    clocks: NDArray[np.int64] = field(init=False)
    """(G * N,) the step of each particle's next number; at a barrier all of a group go on with the latest."""
    step: int = 0

    def __post_init__(self) -> None:
        groups = self.particles.num_groups
        self.clocks = np.zeros(len(self.particles.status), dtype=np.int64)
        self.resamplings = np.zeros(groups, dtype=np.int64)
        self.tokens = np.zeros(groups, dtype=np.int64)
        self.first_steps = np.zeros(groups, dtype=np.int64)
        self.barriers = np.zeros(groups, dtype=np.int64)
        self.first_prefixes = np.zeros(groups, dtype=np.int64)
        self.farthest = np.full(groups, ROOT, dtype=np.int64)
        self.exponents = np.full(groups, 1.0 if self.rules.temper == "auto" else float(self.rules.temper))
        self.deaths = np.zeros((groups, len(CAUSES) + len(self.interpreter.plan.factors)), dtype=np.int64)
        self.line = Line(range(groups), self.width)

    def rest(self, groups: NDArray[np.int64]) -> None:
        """These groups want no more: their particles are dead from the start, of nothing."""
        slots = self.particles.slots_of(groups).ravel()
        self.particles.status[slots] = DEAD
        self.particles.log_weights[slots] = -np.inf
        self.line = Line(sorted(set(self.line.waiting) - set(groups.tolist())), self.width)

    def room(self) -> NDArray[np.int64]:
        """(G * N,) how many more tokens each particle may have."""
        particles, limit = self.particles, self.rules.max_tokens
        room = self.interpreter.model.context_length - self.interpreter.prefixes.lengths[particles.prefixes]
        return room if limit is None else np.minimum(room, limit - particles.written)

    def kill(self, slots: NDArray[np.int64], cause: int) -> None:
        """Particles die of a cause that is no factor's."""
        self.particles.kill(slots, cause)
        groups = slots // self.particles.num_particles
        np.add.at(self.deaths[:, cause], groups, 1)
        if self.teller is not None:
            for slot in slots.tolist():
                self.teller.died(self, slot, cause)

    def _bury(self, slots: NDArray[np.int64], death: Death) -> None:
        particles, cause = self.particles, len(CAUSES) + death.factor
        particles.kill(slots, cause)
        groups = slots // particles.num_particles
        np.add.at(self.deaths[:, cause], groups, 1)
        for group in set(groups.tolist()):
            # Deaths are remembered in order: the last one is the last of the dictionary.
            self.last_deaths.pop((group, cause), None)
            self.last_deaths[group, cause] = death
        if self.teller is not None:
            for slot in slots.tolist():
                self.teller.died(self, slot, cause, death)

    def _note_farthest(self, slots: NDArray[np.int64]) -> None:
        """Remember the longest prefix of each group that passed all that was asked of it."""
        particles = self.particles
        alive = slots[particles.status[slots] != DEAD]
        groups, prefixes = alive // particles.num_particles, particles.prefixes[alive]
        lengths = self.interpreter.prefixes.lengths
        order = np.lexsort((lengths[prefixes], groups))
        groups, prefixes = groups[order], prefixes[order]
        longest = np.flatnonzero(np.diff(groups, append=-1))
        groups, prefixes = groups[longest], prefixes[longest]
        farther = lengths[prefixes] > lengths[self.farthest[groups]]
        self.farthest[groups[farther]] = prefixes[farther]

    def total_log_weights(self) -> NDArray[np.float64]:
        """(G, N) log weights with previews and twists: what decides on resampling."""
        particles = self.particles
        total = particles.log_weights + particles.log_twists + self.log_previews(np.arange(len(particles.status)))
        return total.reshape(particles.num_groups, particles.num_particles)

    def log_previews(self, slots: NDArray[np.int64]) -> NDArray[np.float64]:
        """(n,) what previews count for in decisions on copies: the power of them that is in force now."""
        exponents = self.exponents[slots // self.particles.num_particles]
        return np.asarray(exponents * self.interpreter.frames.previews[self.particles.frames[slots]])

    def observed(self, row_frames: NDArray[np.int64], situation: Rows, chosen: NDArray[np.int64]) -> NDArray[np.int64]:
        """(D,) the next token that the chosen rows observe, -1 for the others."""
        expected = np.full(len(row_frames), -1, dtype=np.int64)
        for row in chosen.tolist():
            observing = self.interpreter.frames[int(row_frames[row])].observing
            expected[row] = observing[int(situation.states[row])]
        return expected

    def text(self, slot: int) -> str:
        """What a particle has behind the prompt: holes and given text."""
        return self.written_text(slot // self.particles.num_particles, int(self.particles.prefixes[slot]))

    def written_text(self, group: int, prefix: int) -> str:
        """What a prefix of a group has behind the prompt."""
        interpreter, first = self.interpreter, int(self.first_prefixes[group])
        tokens = interpreter.prefixes.sequence(prefix, first)
        return interpreter.model.vocabulary.spell(tokens).decode(errors="replace")

    def cause_name(self, cause: int) -> str:
        """What a death is counted under."""
        if cause < len(CAUSES):
            return CAUSES[cause]
        return self.interpreter.plan.factors[cause - len(CAUSES)].name
