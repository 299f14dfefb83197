"""Through the plan: particles that wait are taken to where they next need the model, their factors judged together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from smcdsl.errors import PotentialError
from smcdsl.inference.course import Arrival
from smcdsl.inference.courses import Courses
from smcdsl.inference.judgement import Calling, T
from smcdsl.inference.particles import (
    RUNNING,
)
from smcdsl.inference.tokens import Tokens


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


@dataclass
class Advancing(Tokens):
    """Particles that are taken through the plan."""

    arrivals: dict[tuple[int, int], tuple[Arrival, Counter[str]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._is_pure = self.interpreter.plan.is_pure

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
        if self.recorder is not None:
            self.recorder.arrived(self, slots, arrivals, rows)
        twists = self._twists_at(slots, arrivals, rows)
        particles.frames[slots] = np.array([arrival.frame for arrival in arrivals])[rows]
        particles.prefixes[slots] = np.array([arrival.prefix for arrival in arrivals])[rows]
        particles.states[slots] = np.array([arrival.state for arrival in arrivals])[rows]
        particles.log_weights[slots] += np.array([arrival.log_weight for arrival in arrivals])[rows]
        particles.log_twists[slots] = twists
        # Last, as Ctrl-C may come in between: what has finished is whole.
        particles.status[slots] = np.array([arrival.status for arrival in arrivals], dtype=np.int8)[rows]
        for row, arrival in enumerate(arrivals):
            if arrival.death is not None:
                self._bury(slots[rows == row], arrival.death)
        self._note_farthest(slots)
        if failure is not None:
            raise failure
        return slots, arrivals, rows

    def _twists_at(
        self, slots: NDArray[np.int64], arrivals: Sequence[Arrival], rows: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """(n,) log psi of particles that stopped and have arrived.

        Where they go on with a hole and nothing was judged, it is what their last token was drawn with, which may know
        the text.
        """
        particles, automata = self.particles, self.interpreter.frames.automata
        same = np.array(
            [arrival.status == RUNNING and arrival.log_weight == 0.0 for arrival in arrivals], dtype=np.bool_
        )
        after = automata[np.array([arrival.frame for arrival in arrivals], dtype=np.int64)]
        same = (same & (after >= 0))[rows] & (after[rows] == automata[particles.frames[slots]])
        same &= np.array([arrival.prefix for arrival in arrivals], dtype=np.int64)[rows] == particles.prefixes[slots]
        return np.where(same, particles.log_twists[slots], self._twists(arrivals)[rows])

    def _twists(self, arrivals: Sequence[Arrival]) -> NDArray[np.float64]:
        """(A,) log psi of the states where particles have arrived; 0 outside holes."""
        values = np.zeros(len(arrivals))
        for index, arrival in enumerate(arrivals):
            automaton = int(self.interpreter.frames.automata[arrival.frame])
            lookahead = self.lookaheads(automaton) if arrival.status == RUNNING and automaton >= 0 else None
            if lookahead is not None:
                values[index] = lookahead.log_values(np.array([arrival.state]))[0]
        return values

    def _arrivals(
        self, situations: Sequence[tuple[int, int, int, int]], who: Sequence[int]
    ) -> tuple[list[Arrival | None], PotentialError | None]:
        """Where (frame, prefix, state, count) go, and the failure that kept some from arriving.

        Known answers are kept where everything is pure. `who` are particles to name in errors.
        """
        found: list[Arrival | None] = [None] * len(situations)
        courses: dict[int, Calling[Arrival]] = {}
        for index, (frame, prefix, state, count) in enumerate(situations):
            known = self.arrivals.get((frame, prefix)) if self._is_pure else None
            if known is None:
                courses[index] = self.interpreter.advance(frame, prefix, state)
                continue
            found[index] = known[0]
            for name, number in known[1].items():
                self.calls.counts[name].n += number * count
                self.calls.counts[name].cached += number * count
        together = Courses(self.calls, self.seconds, courses, {index: situations[index][3] for index in courses})
        together.run()
        for index, arrival in together.found.items():
            found[index] = arrival
        if together.failure is not None:
            error, failed = together.failure
            return found, error if failed is None else _named(error, who[failed])
        if self._is_pure:
            for index, names in together.made.items():
                self.arrivals[situations[index][:2]] = (together.found[index], names)
        return found, None

    def evaluate(self, courses: Sequence[Calling[T]]) -> list[T]:
        """Run courses side by side to their ends, deadline or not."""
        deadline, self.calls.deadline = self.calls.deadline, None
        try:
            return Courses(self.calls, self.seconds, dict(enumerate(courses))).results()
        finally:
            self.calls.deadline = deadline
