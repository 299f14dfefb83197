"""Taking a token: where particles stand, what they draw, and where that takes them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from smcdsl.automaton.distinct import distinct
from smcdsl.inference.conditional import Retained
from smcdsl.inference.direct_draws import draw_there
from smcdsl.inference.lookahead.learning import Recorder
from smcdsl.inference.particles import (
    GRAMMAR,
    OBSERVED,
    RUNNING,
    WAITING,
)
from smcdsl.inference.population import Population
from smcdsl.inference.proposals import (
    AnyLaws,
    Drawn,
    Particular,
    Places,
    Rows,
    Tilts,
    log_probabilities,
    no_lookahead,
    propose,
    used,
)
from smcdsl.inference.selecting import select
from smcdsl.inference.speculation.speculation import Speculation
from smcdsl.inference.token_checks import TokenChecks
from smcdsl.log_rows import Laws


@dataclass(frozen=True)
class Situations:
    """Where n particles stand: `rows` of D distinct (frame, prefix), which need the U distinct `asked` prefixes."""

    rows: NDArray[np.int64]
    frames: NDArray[np.int64]
    prefixes: NDArray[np.int64]
    places: Rows
    asked: NDArray[np.int64]


@dataclass
class Tokens(Population):
    """Particles that take tokens, one at a time."""

    checks: TokenChecks | None = None
    retained: Retained | None = None
    speculation: Speculation | None = None
    recorder: Recorder | None = None
    tilts: Tilts | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._newlines = np.frombuffer(self.interpreter.model.vocabulary.newlines, dtype=np.bool_)

    def law_rows(self, logprobs: AnyLaws) -> AnyLaws:
        """The model's law, as the program wants it."""
        return log_probabilities(logprobs, self.interpreter.plan.program.model.temperature)

    def situations(self, active: NDArray[np.int64]) -> Situations:
        """Where particles stand; equal ones together."""
        particles, interpreter = self.particles, self.interpreter
        frames, prefixes = particles.frames[active], particles.prefixes[active]
        first, rows = distinct(prefixes * len(interpreter.frames) + frames)
        frames, prefixes = frames[first], prefixes[first]
        # Ascending, so that equal prefixes follow one another.
        is_new = np.ones(len(prefixes), dtype=np.bool_)
        np.not_equal(prefixes[1:], prefixes[:-1], out=is_new[1:])
        where = Places(frames, prefixes)
        states = particles.states[active[first]]
        places = Rows(is_new.cumsum() - 1, interpreter.frames.automata[frames], states, where)
        return Situations(rows, frames, prefixes, places, prefixes[is_new])

    def take_one(self, active: NDArray[np.int64], situations: Situations, log_rows: Laws) -> None:
        """One token for every active particle, given the model's law after every asked prefix."""
        rows, situation = situations.rows, situations.places
        if self.rules.selection:
            moved = select(self, active, rows, situations.frames, situation, log_rows)
            if moved is not None:
                slots, own, tokens = moved
                weights = np.zeros(len(slots))
                self.extend(slots, own, situations.frames, situations.prefixes, situation, tokens, weights)
            return
        writes = situation.automata >= 0
        if writes.all():
            tokens, log_weights = self._draw(log_rows, situation, rows, active)
        else:
            tokens, log_weights = np.empty(len(active), dtype=np.int64), np.zeros(len(active))
            writing = writes[rows]
            chosen = np.flatnonzero(writing)
            if len(chosen):
                where, which = used(situation, rows[chosen])
                tokens[chosen], log_weights[chosen] = self._draw(log_rows, where, which, active[chosen])
            others = np.flatnonzero(~writing)
            self._observe(log_rows, situation, situations.frames, rows, others, tokens, log_weights)
        self.extend(active, rows, situations.frames, situations.prefixes, situation, tokens, log_weights)

    def _draw(
        self, log_rows: Laws, rows: Rows, own: NDArray[np.int64], slots: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Tokens of particles that write a hole."""
        groups, places = np.divmod(slots, self.particles.num_particles)
        if self.recorder is not None:
            self.recorder.note(self, log_rows, rows, own, slots)
        forced = None if self.retained is None else self._forced(self.retained, slots)
        drawn = self._propose(log_rows, rows, Particular(own, groups, places, self.clocks[slots]), forced)
        return drawn.tokens, self.write(slots, drawn)

    def write(self, slots: NDArray[np.int64], drawn: Drawn) -> NDArray[np.float64]:
        """Count what particles write, and the logs to add to their weights."""
        self.particles.written[slots] += 1
        self.particles.log_twists[slots] = drawn.log_twists
        self.tokens += np.bincount(slots // self.particles.num_particles, minlength=len(self.tokens))
        weights = drawn.log_weights
        return weights if self.rules.normalizes else np.where(weights > -np.inf, 0.0, weights)

    def _propose(
        self,
        log_rows: Laws,
        rows: Rows,
        who: Particular,
        forced: NDArray[np.int64] | None = None,
    ) -> Drawn:
        """Tokens of particles, by the checks of factors where there are some."""
        if self.checks is None:
            return self._propose_by(None, log_rows, rows, who, forced)
        assert rows.places is not None
        assert forced is None, "a retained path has no weight under weighted rejection"
        checked = self.checks.are_needed(rows.places.frames)[who.rows]
        parts = []
        for checks, own in ((self.checks, np.flatnonzero(checked)), (None, np.flatnonzero(~checked))):
            if len(own):
                part, which = used(rows, who.rows[own])
                parts.append((own, self._propose_by(checks, log_rows, part, replace(who.part(own), rows=which))))
        return Drawn.of_parts(len(checked), parts)

    def _propose_by(
        self,
        checks: TokenChecks | None,
        log_rows: Laws,
        rows: Rows,
        who: Particular,
        forced: NDArray[np.int64] | None = None,
    ) -> Drawn:
        """Tokens of particles, all by the mask or all by checks."""
        tokens = self.rules.tokens
        if checks is not None:
            return checks.propose(tokens, log_rows, rows, who, self.draws, self.seconds, self.lookaheads)
        if self.lookaheads is not no_lookahead and rows.places is not None and self.speculation is None:
            # Only here, where no weight is made of psi now: what is known of a text is in psi of its next states only.
            rows = replace(rows, histories=self.interpreter.prefixes.histories[rows.places.prefixes])
        how = tokens, log_rows, self.interpreter.automata, rows, who, self.draws, self.seconds, self.lookaheads
        drawn = draw_there(*how) if forced is None and self.tilts is None else None
        return propose(*how, forced, self.tilts) if drawn is None else drawn

    def _forced(self, retained: Retained, slots: NDArray[np.int64]) -> NDArray[np.int64]:
        """(n,) the next token of particles whose path is given; -1 for free ones."""
        groups, places = np.divmod(slots, self.particles.num_particles)
        return retained.next_tokens(groups, places, self.interpreter.prefixes.lengths[self.particles.prefixes[slots]])

    def _observe(
        self,
        log_rows: Laws,
        situation: Rows,
        row_frames: NDArray[np.int64],
        rows: NDArray[np.int64],
        chosen: NDArray[np.int64],
        tokens: NDArray[np.int64],
        log_weights: NDArray[np.float64],
    ) -> None:
        """The next token of each observed text, and its probability."""
        tokens[chosen] = self.observed(row_frames, situation, np.unique(rows[chosen]))[rows[chosen]]
        if self.interpreter.applies_factors:
            log_weights[chosen] = log_rows[situation.logprobs[rows[chosen]], tokens[chosen]]
            log_weights[chosen] *= self.rules.tokens.power

    def extend(
        self,
        active: NDArray[np.int64],
        rows: NDArray[np.int64],
        row_frames: NDArray[np.int64],
        row_prefixes: NDArray[np.int64],
        situation: Rows,
        tokens: NDArray[np.int64],
        log_weights: NDArray[np.float64],
    ) -> None:
        """Move particles on by their tokens; those at a boundary wait."""
        particles = self.particles
        self.clocks[active] += 1
        particles.log_weights[active] += log_weights
        dead = log_weights == -np.inf
        if dead.any():
            observing = situation.automata[rows] < 0
            self.kill(self._bury_refused(active[dead & ~observing]), GRAMMAR)
            self.kill(active[dead & observing], OBSERVED)
            active, rows, tokens = active[~dead], rows[~dead], tokens[~dead]
        if not len(active):
            return
        vocab_size = len(self._newlines)
        first, inverse = distinct(rows * vocab_size + tokens)
        pair_rows, pair_tokens = rows[first], tokens[first]
        children = self.interpreter.prefixes.extend_each(row_prefixes[pair_rows], pair_tokens)
        began = perf_counter()
        states, stops = self._next_states(situation, row_frames, row_prefixes, pair_rows, pair_tokens)
        self.seconds.masks += perf_counter() - began
        particles.prefixes[active] = children[inverse]
        particles.states[active] = states[inverse]
        particles.status[active] = np.where(stops[inverse], WAITING, RUNNING)

    def _bury_refused(self, slots: NDArray[np.int64]) -> NDArray[np.int64]:
        """Bury those of the dead whose tokens were refused by factors; the others."""
        refusals = {} if self.checks is None else self.checks.refusals
        for slot in slots.tolist():
            if slot in refusals:
                self._bury(np.array([slot]), refusals[slot])
        others = slots[[slot not in refusals for slot in slots.tolist()]]
        refusals.clear()
        return others

    def _next_states(
        self,
        situation: Rows,
        row_frames: NDArray[np.int64],
        row_prefixes: NDArray[np.int64],
        rows: NDArray[np.int64],
        tokens: NDArray[np.int64],
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """(P,) states after distinct (row, token) pairs, and whether the particle has to stop there."""
        interpreter = self.interpreter
        old, numbers, frames = situation.states[rows], situation.automata[rows], row_frames[rows]
        new = old + 1
        stops = np.zeros(len(rows), dtype=np.bool_)
        for number in set(numbers.tolist()):
            own = np.flatnonzero(numbers == number)
            if number < 0:
                lengths = [len(interpreter.frames[frame].observing) for frame in frames[own].tolist()]
                stops[own] = new[own] >= np.array(lengths)
                continue
            automaton = interpreter.automata[number]
            new[own] = automaton.advance(old[own], tokens[own])
            stops[own] = automaton.finished(new[own])
            own = own[interpreter.frames.watches[frames[own]]]
            if not len(own):
                continue
            watched = interpreter.frames.watched[frames[own]]
            if watched.any():
                text_before = interpreter.text_before(frames[own], row_prefixes[rows[own]])
                stops[own] |= (automaton.noticed(old[own], tokens[own], text_before) & watched) != 0
            stops[own] |= interpreter.frames.every_token[frames[own]]
            stops[own] |= interpreter.frames.every_line[frames[own]] & self._newlines[tokens[own]]
        return new, stops
