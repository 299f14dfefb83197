"""The proposal `awrs`: tokens that hard factors have judged before they are taken.

The target of a step is the mask's with the factors' yes or no, which promise that a no is final. Weighted
rejection draws from it without knowing its normaliser: `head_and_tail` where the most probable tokens have half of
the mass, `race` on flatter laws, so the scheme follows from the row alone. The checked factors need no previews
then; their final values are judged as always.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from smcdsl.automaton.site import boundary_bit, safe_length
from smcdsl.errors import PotentialError
from smcdsl.inference.advance import Interpreter
from smcdsl.inference.course import Death
from smcdsl.inference.courses import Courses
from smcdsl.inference.draws import Draws, Purpose
from smcdsl.inference.factors.calls import PotentialCalls
from smcdsl.inference.judgement import Calling, reach, weigh, whole_characters
from smcdsl.inference.judging import placed
from smcdsl.inference.particles import Frame
from smcdsl.inference.proposals import (
    Chosen,
    Drawn,
    Local,
    Lookaheads,
    Particular,
    Places,
    Rows,
    Seconds,
    TokenRule,
    by_chunks,
    local_targets,
)
from smcdsl.inference.weighted_rejection import Number, Row, Scheme, head_and_tail, race, settle
from smcdsl.log_rows import Laws
from smcdsl.plan import Write
from smcdsl.program.evaluation import free_names

_FLAT = 0.5
"""A row is flat where the outcomes that are checked together have less than this share of its mass."""

SchemeOf = Callable[[Row, int], Scheme]


def by_flatness(row: Row, size: int) -> Scheme:
    """The scheme that varies less: what the head has of the mass is exact, and the race spreads over a flat row."""
    head = float(row.masses[row.largest(size)].sum())
    return race(row, size) if head < _FLAT * row.total else head_and_tail(row, size)


def check_token(
    interpreter: Interpreter, frame: Frame, prefix: int, token: int, written: int | None
) -> Calling[Death | None]:
    """Which of the checked factors refuses the text with one more token, for good; None is a yes.

    Args:
        interpreter: of the run.
        frame: where a hole is written.
        prefix: what has been written.
        token: one that the hole's automaton allows.
        written: where the token ends the hole, bytes of what follows it; else None.
    """
    hole, write = frame.hole, interpreter.plan.instructions[frame.position]
    assert hole is not None
    assert isinstance(write, Write)
    text = interpreter.hole_text(hole, prefix) + interpreter.model.vocabulary.token_bytes[token]
    text = text[: safe_length(text, hole.following) if written is None else len(text) - written]
    sites = interpreter.automata[hole.automaton].sites(text, written is not None)
    place = f"at a token of `{write.name}`"
    for watch in hole.checked:
        factor = interpreter.plan.factors[watch.factor]
        length = len(text) if written is not None else reach(watch, text, sites)
        environment = None if length is None else interpreter.unfinished(write, frame.environment, text[:length])
        if environment is None:
            continue
        is_final = written is not None and free_names(factor.expression) <= environment.keys()
        if written is not None and not is_final and "token" not in watch.boundaries:
            continue
        with placed(place):
            verdict = yield from weigh(factor, environment, frozenset() if is_final else {write.name})
        if verdict.log_weight == -math.inf:
            shown = whole_characters(text[:length])
            if not is_final:
                interpreter.refusals.remember(factor, write.name, environment, shown)
            return Death(factor.index, place, shown, verdict.calls)
    return None


@dataclass
class TokenChecks:
    """Draws tokens that the checked factors accept.

    Args:
        size: how many tokens of a row are checked together.
        scheme: what to draw by, for a row.
    """

    interpreter: Interpreter
    calls: PotentialCalls
    size: int
    num_slots: int
    scheme: SchemeOf = by_flatness
    refusals: dict[int, Death] = field(default_factory=dict)
    """The last refusal of the particles that found no token, by their slot; taken by whoever buries them."""
    newlines: NDArray[np.bool_] = field(init=False)
    _looks: dict[int, tuple[int, bool, bool]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        vocabulary = self.interpreter.model.vocabulary
        self.newlines = np.array([b"\n" in token for token in vocabulary.token_bytes])

    def looks(self, frame: int) -> tuple[int, bool, bool]:
        """At which tokens a hole's factors are asked: bits of its boundaries, at all, at those with a newline."""
        if frame not in self._looks:
            hole = self.interpreter.frames[frame].hole
            assert hole is not None
            names = {name for watch in hole.checked for name in watch.boundaries}
            boundaries = enumerate(self.interpreter.automata[hole.automaton].boundaries)
            bits = reduce(or_, (boundary_bit(number) for number, name in boundaries if name in names), 0)
            self._looks[frame] = bits, "token" in names, "line" in names
        return self._looks[frame]

    def are_needed(self, frames: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(n,) whether particles at these frames write a hole that a factor checks."""
        known = self.interpreter.frames.frames
        holes = [known[frame].hole for frame in frames.tolist()]
        return np.array([hole is not None and bool(hole.checked) for hole in holes], dtype=np.bool_)

    def propose(
        self,
        rule: TokenRule,
        log_rows: Laws,
        rows: Rows,
        who: Particular,
        draws: Draws,
        seconds: Seconds,
        lookaheads: Lookaheads,
    ) -> Drawn:
        """One token for every particle; see `proposals.propose`."""
        automata = self.interpreter.automata

        def drawn(here: Rows, own: Particular, _: Chosen) -> Drawn:
            started = perf_counter()
            local = local_targets(log_rows, automata, here, rule.power, lookaheads)
            seconds.masks += perf_counter() - started
            started, before = perf_counter(), seconds.potentials + seconds.masks
            found = _Step(self, local, here, own, seconds).draw(draws)
            seconds.sampling += perf_counter() - started - (seconds.potentials + seconds.masks - before)
            return found

        return by_chunks(drawn, rows, who, log_rows.shape[1])


@dataclass
class _Step:
    """One token of the particles on some rows."""

    checks: TokenChecks
    local: Local
    rows: Rows
    who: Particular
    seconds: Seconds
    known: dict[int, Row] = field(default_factory=dict)
    log_scales: dict[int, float] = field(default_factory=dict)
    deaths: dict[int, Death] = field(default_factory=dict)

    def draw(self, draws: Draws) -> Drawn:
        """Weighted rejection for every particle, side by side."""
        log_target = self.local.log_twisted()
        for row in np.unique(self.who.rows).tolist():
            own = log_target[self.local.starts[row] : self.local.starts[row + 1]].astype(np.float64)
            peak = float(own.max(initial=-np.inf))
            self.log_scales[row] = peak if np.isfinite(peak) else 0.0
            self.known[row] = Row(np.exp(own - self.log_scales[row]))
        courses = [self.checks.scheme(self.known[row], self.checks.size) for row in self.who.rows.tolist()]

        def numbers(who: NDArray[np.int64], had: NDArray[np.int64], asked: list[Number]) -> NDArray[np.float64]:
            slots = self.who.slots[who] + self.checks.num_slots * had
            return draws.uniforms(
                Purpose.CHECK,
                self.who.steps[who],
                self.who.groups[who],
                slots,
                lambda _: (one.breakpoints() for one in asked),
            )

        drawn = settle(courses, self._check, numbers)
        return self._weighed(
            np.array([one.place for one in drawn], dtype=np.int64), np.array([one.weight for one in drawn])
        )

    def _weighed(self, places: NDArray[np.int64], weights: NDArray[np.float64]) -> Drawn:
        """Weights as logs without psi, and psi, of what was drawn; -1 for nothing."""
        rows, some = self.who.rows, weights > 0
        found = self.local.starts[rows[some]] + places[some]
        tokens = np.zeros(len(rows), dtype=np.int64)
        log_weights, log_twists = np.full(len(rows), -np.inf), np.zeros(len(rows))
        tokens[some] = self.local.tokens[found]
        log_weights[some] = np.log(weights[some]) + np.array([self.log_scales[row] for row in rows[some].tolist()])
        if self.local.log_twists is not None:
            after, now = self.local.log_twists
            log_twists[some] = after[found]
            log_weights[some] -= after[found] - now[rows[some]]
        for index in np.flatnonzero(~some).tolist():
            if int(rows[index]) in self.deaths:
                slot = int(self.who.groups[index]) * self.checks.num_slots + int(self.who.slots[index])
                self.checks.refusals[slot] = self.deaths[int(rows[index])]
        return Drawn(tokens, log_weights, log_twists)

    def _check(self, asked: list[tuple[int, NDArray[np.int64]]]) -> list[NDArray[np.bool_]]:
        """Whether the factors accept outcomes; each (row, outcome) is judged once."""
        wanted: dict[int, list[int]] = {}
        for index, outcomes in asked:
            row = int(self.who.rows[index])
            known, more = self.known[row].known, wanted.setdefault(row, [])
            more += [place for place in outcomes.tolist() if place not in known and place not in more]
        self._judge([(row, place) for row, places in wanted.items() for place in places])
        known_of = [self.known[int(self.who.rows[index])].known for index, _ in asked]
        return [
            np.array([known[place] for place in outcomes.tolist()], dtype=np.bool_)
            for known, (_, outcomes) in zip(known_of, asked, strict=True)
        ]

    def _judge(self, wanted: list[tuple[int, int]]) -> None:
        """Judge (row, outcome) pairs, in one batch a round."""
        if not wanted:
            return
        interpreter, places = self.checks.interpreter, self.rows.places
        assert places is not None, "rows that are checked say where they are"
        rows = np.array([row for row, _ in wanted])
        tokens = self.local.tokens[self.local.starts[rows] + np.array([place for _, place in wanted])].astype(np.int64)
        started = perf_counter()
        written, asked = self._written(rows, tokens, places)
        self.seconds.masks += perf_counter() - started
        courses = [
            check_token(interpreter, interpreter.frames[int(places.frames[row])], int(places.prefixes[row]), token, end)
            for row, token, end in zip(rows[asked].tolist(), tokens[asked].tolist(), written, strict=True)
        ]
        for row, place in wanted:
            self.known[row].known[place] = True
        for index, death in zip(np.flatnonzero(asked).tolist(), self._answered(courses), strict=True):
            if death is not None:
                row, place = wanted[index]
                self.known[row].known[place] = False
                self.deaths[row] = death

    def _written(
        self, rows: NDArray[np.int64], tokens: NDArray[np.int64], places: Places
    ) -> tuple[list[int | None], NDArray[np.bool_]]:
        """Which tokens there is something to ask of, and for those the bytes behind the hole where it ends."""
        automata = self.checks.interpreter.automata
        lengths = np.full(len(rows), -1, dtype=np.int64)
        asked = np.zeros(len(rows), dtype=np.bool_)
        numbers = self.rows.automata[rows]
        for number in np.unique(numbers).tolist():
            own = np.flatnonzero(numbers == number)
            before = self.rows.states[rows[own]]
            states = automata[number].advance(before, tokens[own])
            ended = automata[number].finished(states)
            lengths[own[ended]] = automata[number].written(states[ended])
            looks = [self.checks.looks(frame) for frame in places.frames[rows[own]].tolist()]
            watched = np.array([bits for bits, _, _ in looks], dtype=np.uint64)
            asked[own] = ended | np.array([every for _, every, _ in looks])
            if watched.any():
                noticed = automata[number].noticed(before, tokens[own], self._text_before(rows[own], places))
                asked[own] |= (noticed & watched) != 0
            asked[own] |= np.array([line for _, _, line in looks]) & self.checks.newlines[tokens[own]]
        return [None if length < 0 else length for length in lengths[asked].tolist()], asked

    def _text_before(self, rows: NDArray[np.int64], places: Places) -> Callable[[int], bytes]:
        return self.checks.interpreter.text_before(places.frames[rows], places.prefixes[rows])

    def _answered(self, courses: Sequence[Calling[Death | None]]) -> list[Death | None]:
        """What judgements come to, their calls made together."""
        try:
            return Courses(self.checks.calls, self.seconds, dict(enumerate(courses))).results()
        except PotentialError as error:
            if error.place:
                error.at(error.place)
            raise
