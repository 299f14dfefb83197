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
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from time import perf_counter
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from smcdsl.errors import PotentialError
from smcdsl.inference.advance import Arrival, Death, Interpreter
from smcdsl.inference.collapse import FEWEST, Collapses, is_heavy
from smcdsl.inference.draws import Draws, Purpose
from smcdsl.inference.events import Died, Event, Listener, Resampled, Site
from smcdsl.inference.factors import DeadlinePassed, PotentialCalls, Request
from smcdsl.inference.judgement import Calling
from smcdsl.inference.particles import DEAD, FINISHED, RUNNING, WAITING, Particles
from smcdsl.inference.proposals import Particular, Rows, Seconds, log_probabilities, propose
from smcdsl.inference.resampling import SCHEMES
from smcdsl.logspace import effective_sample_size, log_mean_exp, normalize
from smcdsl.prefixes import ROOT
from smcdsl.program.evaluation import PotentialCall
from smcdsl.protocols import Session

GRAMMAR, BUDGET, OBSERVED = 0, 1, 2
"""Causes of death that are no factor's."""
CAUSES = ("grammar", "budget", "observe")

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


def _those_found(arrivals: Sequence[Arrival | None]) -> tuple[list[Arrival], NDArray[np.int64]]:
    """The arrivals that there are, and where each place of the list went; -1 for none."""
    kept = np.cumsum([arrival is not None for arrival in arrivals], dtype=np.int64) - 1
    kept[[arrival is None for arrival in arrivals]] = -1
    return [arrival for arrival in arrivals if arrival is not None], kept


def _named(error: PotentialError, particle: int) -> PotentialError:
    """The error with where it happened, if it is known where in a text."""
    if error.place:
        error.at(f"on particle {particle}, {error.place}")
    return error


def _blamed(
    error: PotentialError,
    asked: Mapping[int, Sequence[PotentialCall]],
    courses: dict[int, Calling[Arrival]],
    who: Sequence[int],
) -> PotentialError:
    """The error of a batch of calls, as the course sees it that asked for the call that failed."""
    owners = [index for index, calls in asked.items() for _ in calls]
    if error.request is None:
        return error
    index = owners[error.request]
    try:
        courses.pop(index).throw(error)
    except PotentialError as placed:
        return _named(placed, who[index])
    raise AssertionError("a course goes on after its call failed")


@dataclass(frozen=True)
class Rules:
    """What a method is made of: how tokens are drawn, what goes into the weights, when to resample.

    `ess_threshold` is a fraction of the particles; None never resamples. With `normalizes` false the
    probability of the allowed tokens stays out of the weights (`rerank`, `lcd`).
    """

    proposal: Literal["mask", "lm"] = "mask"
    normalizes: bool = True
    ess_threshold: float | None = None
    scheme: str = "systematic"
    max_tokens: int | None = None
    deadline: float | None = None


@dataclass
class Sampler:
    """A sweep over G groups of N particles and all that it counts."""

    interpreter: Interpreter
    session: Session
    calls: PotentialCalls
    rules: Rules
    particles: Particles
    draws: Draws
    listener: Listener | None = None
    started: float = field(default_factory=perf_counter)
    seconds: Seconds = field(default_factory=Seconds)
    resamplings: NDArray[np.int64] = field(init=False)
    tokens: NDArray[np.int64] = field(init=False)
    deaths: NDArray[np.int64] = field(init=False)
    last_deaths: dict[tuple[int, int], Death] = field(default_factory=dict)
    collapses: Collapses = field(default_factory=Collapses)
    first_prefixes: NDArray[np.int64] = field(init=False)
    barriers: NDArray[np.int64] = field(init=False)
    arrivals: dict[tuple[int, int], tuple[Arrival, Counter[str]]] = field(default_factory=dict)
    farthest: NDArray[np.int64] = field(init=False)
    """(G,) the longest prefix that was alive after factors looked at it; at first the empty one."""
    step: int = 0

    def __post_init__(self) -> None:
        groups = self.particles.num_groups
        self.resamplings = np.zeros(groups, dtype=np.int64)
        self.tokens = np.zeros(groups, dtype=np.int64)
        self.barriers = np.zeros(groups, dtype=np.int64)
        self.first_prefixes = np.zeros(groups, dtype=np.int64)
        self.farthest = np.full(groups, ROOT, dtype=np.int64)
        self.deaths = np.zeros((groups, len(CAUSES) + len(self.interpreter.plan.factors)), dtype=np.int64)
        vocabulary = self.interpreter.model.vocabulary
        self._newlines = np.array([b"\n" in token for token in vocabulary.token_bytes])
        self._is_pure = self.interpreter.plan.is_pure

    def sweep(self) -> None:
        """Run all groups to their ends, or to the budget's."""
        began, before = perf_counter(), self._spent()
        with _rare_collections(len(self.particles.status)):
            try:
                self._take_turns()
            except DeadlinePassed:
                status = self.particles.status
                self._kill(np.flatnonzero((status == RUNNING) | (status == WAITING)), BUDGET)
        self.seconds.masks += self.interpreter.automata_seconds
        self.interpreter.automata_seconds = 0.0
        self.seconds.bookkeeping += perf_counter() - began - (self._spent() - before)

    def _spent(self) -> float:
        """Seconds of all parts but bookkeeping, which is what remains."""
        parts = self.seconds
        return parts.model + parts.masks + parts.sampling + parts.potentials

    def _take_turns(self) -> None:
        while True:
            self._meet()
            self._stop_late_ones()
            active = np.flatnonzero(self.particles.status == RUNNING)
            if not len(active):
                return
            self._take_tokens(active)
            self.step += 1

    def _stop_late_ones(self) -> None:
        """Particles over a budget, or at the end of the model's context, die of it; the result is incomplete."""
        particles, rules = self.particles, self.rules
        late = np.zeros(len(particles.status), dtype=np.bool_)
        if rules.deadline is not None and time.monotonic() > rules.deadline:
            late[:] = True
        if rules.max_tokens is not None:
            late |= particles.written >= rules.max_tokens
        late |= self.interpreter.prefixes.lengths[particles.prefixes] >= self.interpreter.model.context_length
        late &= particles.status == RUNNING
        if late.any():
            self._kill(np.flatnonzero(late), BUDGET)
            self._meet()

    def _kill(self, slots: NDArray[np.int64], cause: int) -> None:
        self.particles.kill(slots, cause)
        groups = slots // self.particles.num_particles
        np.add.at(self.deaths[:, cause], groups, 1)
        if self.listener is not None:
            for slot in slots.tolist():
                self._tell_death(slot, cause, "", self.text(slot))

    def _take_tokens(self, active: NDArray[np.int64]) -> None:
        """One token for every running particle."""
        particles, interpreter = self.particles, self.interpreter
        frames, prefixes = particles.frames[active], particles.prefixes[active]
        keys = frames * len(interpreter.prefixes) + prefixes
        _, first, rows = np.unique(keys, return_index=True, return_inverse=True)
        row_frames, row_prefixes, row_states = frames[first], prefixes[first], particles.states[active][first]
        model_prefixes, model_rows = np.unique(row_prefixes, return_inverse=True)
        began = perf_counter()
        logprobs = self.session.next_logprobs(model_prefixes)
        self.seconds.model += perf_counter() - began
        log_rows = log_probabilities(logprobs, interpreter.plan.program.model.temperature)
        automata = interpreter.frames.automata[row_frames]
        tokens = np.empty(len(active), dtype=np.int64)
        log_weights = np.zeros(len(active))
        writing = automata[rows] >= 0
        situation = Rows(model_rows, automata, row_states)
        if writing.all():
            tokens, log_weights = self._draw(log_rows, situation, rows, active)
        else:
            chosen = np.flatnonzero(writing)
            if len(chosen):
                tokens[chosen], log_weights[chosen] = self._draw(log_rows, situation, rows[chosen], active[chosen])
            self._observe(log_rows, situation, row_frames, rows, np.flatnonzero(~writing), tokens, log_weights)
        self._extend(active, rows, row_frames, row_prefixes, situation, tokens, log_weights)

    def _draw(
        self, log_rows: NDArray[np.floating[Any]], rows: Rows, own: NDArray[np.int64], slots: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Tokens of particles that write a hole."""
        groups, places = np.divmod(slots, self.particles.num_particles)
        used = np.unique(own) if len(own) else own
        if len(used) < len(rows.states):
            rows = Rows(rows.logprobs[used], rows.automata[used], rows.states[used])
            own = np.searchsorted(used, own)
        who = Particular(own, groups, places)
        automata = self.interpreter.automata
        drawn = propose(self.rules.proposal, log_rows, automata, rows, who, self.step, self.draws, self.seconds)
        self.particles.written[slots] += 1
        np.add.at(self.tokens, groups, 1)
        weights = drawn.log_weights
        if not self.rules.normalizes:
            weights = np.where(weights > -np.inf, 0.0, weights)
        return drawn.tokens, weights

    def _observe(
        self,
        log_rows: NDArray[np.floating[Any]],
        situation: Rows,
        row_frames: NDArray[np.int64],
        rows: NDArray[np.int64],
        chosen: NDArray[np.int64],
        tokens: NDArray[np.int64],
        log_weights: NDArray[np.float64],
    ) -> None:
        """The next token of each observed text, and its probability."""
        expected = np.full(len(row_frames), -1, dtype=np.int64)
        for row in np.unique(rows[chosen]).tolist():
            observing = self.interpreter.frames[int(row_frames[row])].observing
            expected[row] = observing[int(situation.states[row])]
        tokens[chosen] = expected[rows[chosen]]
        if self.interpreter.applies_factors:
            log_weights[chosen] = log_rows[situation.logprobs[rows[chosen]], tokens[chosen]]

    def _extend(
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
        particles.log_weights[active] += log_weights
        dead = log_weights == -np.inf
        if dead.any():
            observing = situation.automata[rows] < 0
            self._kill(active[dead & ~observing], GRAMMAR)
            self._kill(active[dead & observing], OBSERVED)
            active, rows, tokens = active[~dead], rows[~dead], tokens[~dead]
        if not len(active):
            return
        vocab_size = len(self._newlines)
        pairs, inverse = np.unique(rows * vocab_size + tokens, return_inverse=True)
        pair_rows, pair_tokens = np.divmod(pairs, vocab_size)
        children = self.interpreter.prefixes.extend_each(row_prefixes[pair_rows], pair_tokens)
        began = perf_counter()
        states, stops = self._next_states(situation, row_frames, pair_rows, pair_tokens)
        self.seconds.masks += perf_counter() - began
        particles.prefixes[active] = children[inverse]
        particles.states[active] = states[inverse]
        particles.status[active] = np.where(stops[inverse], WAITING, RUNNING)

    def _next_states(
        self,
        situation: Rows,
        row_frames: NDArray[np.int64],
        rows: NDArray[np.int64],
        tokens: NDArray[np.int64],
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """(P,) states after distinct (row, token) pairs, and whether the particle has to stop there."""
        interpreter = self.interpreter
        old, numbers, frames = situation.states[rows], situation.automata[rows], row_frames[rows]
        new = old + 1
        stops = np.zeros(len(rows), dtype=np.bool_)
        for number in np.unique(numbers).tolist():
            own = np.flatnonzero(numbers == number)
            if number < 0:
                lengths = [len(interpreter.frames[frame].observing) for frame in frames[own].tolist()]
                stops[own] = new[own] >= np.array(lengths)
                continue
            automaton = interpreter.automata[number]
            new[own] = automaton.advance(old[own], tokens[own])
            stops[own] = automaton.finished(new[own])
            watched = interpreter.frames.watched[frames[own]]
            if watched.any():
                stops[own] |= (automaton.noticed(old[own], tokens[own]).astype(np.uint64) & watched) != 0
            stops[own] |= interpreter.frames.every_token[frames[own]]
            stops[own] |= interpreter.frames.every_line[frames[own]] & self._newlines[tokens[own]]
        return new, stops

    def _meet(self) -> None:
        """Advance, judge and resample the groups that have arrived at a boundary."""
        particles = self.particles
        status = particles.status.reshape(particles.num_groups, particles.num_particles)
        ready = np.flatnonzero((status == WAITING).any(axis=1) & ~(status == RUNNING).any(axis=1))
        if not len(ready):
            return
        slots = particles.slots_of(ready).ravel()
        before = self.total_log_weights()[ready]
        waiting = slots[particles.status[slots] == WAITING]
        self._note_collapses(ready, before, *self._advance(waiting))
        self.barriers[ready] += 1
        begun = ready[self.barriers[ready] == 1]
        self.first_prefixes[begun] = particles.prefixes[begun * particles.num_particles]
        if self.listener is not None:
            self._tell_sites(ready)
        self._resample(ready)

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

    def _advance(self, slots: NDArray[np.int64]) -> tuple[NDArray[np.int64], list[Arrival], NDArray[np.int64]]:
        """Take waiting particles through the plan to where each next needs the model; equal ones together.

        Returns:
            The slots, distinct arrivals, and which of them is each slot's.

        Raises:
            PotentialError: a potential failed; particles that did not need that call have been taken on.
        """
        particles = self.particles
        frames, prefixes = particles.frames[slots], particles.prefixes[slots]
        keys = frames * len(self.interpreter.prefixes) + prefixes
        if self._is_pure:
            _, first, rows, counts = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
        else:
            first = rows = np.arange(len(slots))
            counts = np.ones(len(slots), dtype=np.int64)
        situations = list(
            zip(
                frames[first].tolist(),
                prefixes[first].tolist(),
                particles.states[slots][first].tolist(),
                counts.tolist(),
                strict=True,
            )
        )
        found, failure = self._arrivals(situations, (slots[first] % particles.num_particles).tolist())
        arrivals, kept = _those_found(found)
        if failure is not None:
            slots, rows = slots[kept[rows] >= 0], kept[rows][kept[rows] >= 0]
        particles.frames[slots] = np.array([arrival.frame for arrival in arrivals])[rows]
        particles.prefixes[slots] = np.array([arrival.prefix for arrival in arrivals])[rows]
        particles.states[slots] = np.array([arrival.state for arrival in arrivals])[rows]
        particles.log_weights[slots] += np.array([arrival.log_weight for arrival in arrivals])[rows]
        # Last, as Ctrl-C may come in between: what has finished is whole.
        particles.status[slots] = np.array([arrival.status for arrival in arrivals], dtype=np.int8)[rows]
        for row, arrival in enumerate(arrivals):
            if arrival.death is not None:
                self._bury(slots[rows == row], arrival.death)
        self._note_farthest(slots)
        if failure is not None:
            raise failure
        return slots, arrivals, rows

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

    def _bury(self, slots: NDArray[np.int64], death: Death) -> None:
        particles, cause = self.particles, len(CAUSES) + death.factor
        particles.kill(slots, cause)
        groups = slots // particles.num_particles
        np.add.at(self.deaths[:, cause], groups, 1)
        for group in set(groups.tolist()):
            # Deaths are remembered in order: the last one is the last of the dictionary.
            self.last_deaths.pop((group, cause), None)
            self.last_deaths[group, cause] = death
        if self.listener is not None:
            for slot in slots.tolist():
                self._tell_death(slot, cause, death.place, death.text)

    def _arrivals(
        self, situations: Sequence[tuple[int, int, int, int]], who: Sequence[int]
    ) -> tuple[list[Arrival | None], PotentialError | None]:
        """Where (frame, prefix, state, count) go, and the failure that kept some from arriving.

        Known answers are kept where everything is pure. `who` are particles to name in errors.
        """
        found: list[Arrival | None] = [None] * len(situations)
        courses: dict[int, Calling[Arrival]] = {}
        made: dict[int, Counter[str]] = {}
        for index, (frame, prefix, state, count) in enumerate(situations):
            known = self.arrivals.get((frame, prefix)) if self._is_pure else None
            if known is None:
                courses[index] = self.interpreter.advance(frame, prefix, state)
                made[index] = Counter()
                continue
            found[index] = known[0]
            for name, number in known[1].items():
                self.calls.counts[name].n += number * count
                self.calls.counts[name].cached += number * count
        failure: PotentialError | None = None
        answers: dict[int, Any] = dict.fromkeys(courses)
        while courses:
            asked: dict[int, list[PotentialCall]] = {}
            for index, course in list(courses.items()):
                try:
                    asked[index] = course.send(answers[index])
                except StopIteration as stop:
                    found[index] = stop.value
                    del courses[index]
                except PotentialError as error:
                    failure = failure or _named(error, who[index])
                    del courses[index]
            if failure is None:
                try:
                    answers = self._answers(asked, [count for *_, count in situations])
                except PotentialError as error:
                    failure = _blamed(error, asked, courses, who)
            if failure is not None:
                # What was answered already is enough for some. No more calls are made.
                answers = {index: self.calls.known(calls) for index, calls in asked.items()}
                answers = {index: results for index, results in answers.items() if results is not None}
                # A course that was blamed is gone, though its own call may have gone well when made alone.
                courses = {index: courses[index] for index in answers if index in courses}
            for index in courses:
                made[index].update(call.signature.name for call in asked[index] if call.signature.is_potential)
        if self._is_pure and failure is None:
            for index, names in made.items():
                arrival = found[index]
                assert arrival is not None
                self.arrivals[situations[index][:2]] = (arrival, names)
        return found, failure

    def _answers(self, asked: dict[int, list[PotentialCall]], counts: list[int]) -> dict[int, Any]:
        """The results of all courses' calls, made in one batch."""
        if not asked:
            return {}
        began = perf_counter()
        requests = [Request(call, counts[index]) for index, calls in asked.items() for call in calls]
        results = iter(self.calls.answer(requests))
        self.seconds.potentials += perf_counter() - began
        return {index: [next(results) for _ in calls] for index, calls in asked.items()}

    def evaluate(self, course: Calling[Any]) -> Any:
        """Run one course to its end, deadline or not."""
        deadline, self.calls.deadline = self.calls.deadline, None
        try:
            asked = next(course)
            while True:
                asked = course.send(self.calls.answer([Request(call) for call in asked]))
        except StopIteration as stop:
            return stop.value
        finally:
            self.calls.deadline = deadline

    def total_log_weights(self) -> NDArray[np.float64]:
        """(G, N) log weights with previews: what decides on resampling."""
        particles = self.particles
        total = particles.log_weights + self.interpreter.frames.previews[particles.frames]
        return total.reshape(particles.num_groups, particles.num_particles)

    def _resample(self, groups: NDArray[np.int64]) -> None:
        """Resample those of the groups whose effective sample size is low and that go on."""
        rules, particles = self.rules, self.particles
        size = particles.num_particles
        if rules.ess_threshold is None or size == 1:
            return
        log_weights = self.total_log_weights()[groups]
        running = (particles.status.reshape(-1, size)[groups] == RUNNING).any(axis=1)
        low = effective_sample_size(log_weights, axis=1) < rules.ess_threshold * size
        chosen = np.flatnonzero(running & low & (log_weights.max(axis=1) > -np.inf))
        if not len(chosen):
            return
        groups, log_weights = groups[chosen], log_weights[chosen]
        ancestors = self._ancestors(groups, normalize(log_weights, axis=1))
        slots = particles.slots_of(groups)
        sources = np.take_along_axis(slots, ancestors, axis=1)
        particles.take(slots.ravel(), sources.ravel())
        means = np.repeat(log_mean_exp(log_weights, axis=1), size)
        previews = self.interpreter.frames.previews[particles.frames[slots.ravel()]]
        particles.log_weights[slots.ravel()] = means - previews
        self.resamplings[groups] += 1
        self.collapses.levelled(groups.tolist())
        self.session.retain(np.unique(particles.prefixes[particles.status == RUNNING]))
        if self.listener is not None:
            for group, own in zip(groups.tolist(), ancestors.tolist(), strict=True):
                number = int(self.resamplings[group])
                self.listener(Resampled(group, perf_counter() - self.started, number, tuple(own)))

    def _ancestors(self, groups: NDArray[np.int64], weights: NDArray[np.float64]) -> NDArray[np.int64]:
        scheme = SCHEMES[self.rules.scheme]
        count = scheme.numbers(self.particles.num_particles)
        numbers = self.draws.uniforms(
            Purpose.RESAMPLE,
            np.repeat(self.resamplings[groups], count),
            np.repeat(groups, count),
            np.tile(np.arange(count), len(groups)),
            lambda: scheme.breakpoints(weights),
        )
        return scheme.ancestors(weights, numbers.reshape(len(groups), count))

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

    def _tell(self, event: Event) -> None:
        assert self.listener is not None
        self.listener(event)

    def _tell_death(self, slot: int, cause: int, place: str, text: str) -> None:
        group, own = divmod(slot, self.particles.num_particles)
        self._tell(Died(group, perf_counter() - self.started, own, self.cause_name(cause), place, text))

    def _tell_sites(self, groups: NDArray[np.int64]) -> None:
        weights = self.total_log_weights()
        calls = {name: (counts.n, counts.cached) for name, counts in self.calls.counts.items()}
        for group in groups.tolist():
            slots = self.particles.slots_of(np.array([group]))[0].tolist()
            self._tell(
                Site(
                    group=group,
                    seconds=perf_counter() - self.started,
                    number=int(self.barriers[group]),
                    texts=tuple(self.text(slot) for slot in slots),
                    log_weights=tuple(weights[group].tolist()),
                    finished=tuple((self.particles.status[slots] == FINISHED).tolist()),
                    ess=float(effective_sample_size(weights[group])),
                    tokens=int(self.tokens[group]),
                    calls=calls,
                )
            )
