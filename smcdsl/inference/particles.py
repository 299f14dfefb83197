"""Particles: weighted partial transcripts, as arrays; frames: where in the plan one stands.

All that is not a number a particle carries as one int, its *frame*: position, environment, the hole it
is writing, previews. Frames are immutable and interned, so copying a particle copies five numbers, and
particles in the same place with the same past are equal ints.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smcdsl.automaton.site import boundary_bit
from smcdsl.program.evaluation import freeze
from smcdsl.protocols import Role

RUNNING, WAITING, FINISHED, DEAD, VACANT = 0, 1, 2, 3, 4
"""Status of a particle: wants a token; has arrived at a boundary; is through the program; has weight zero.

A vacant slot holds no particle: selection leaves slots over where there are fewer candidates.
"""


GRAMMAR, BUDGET, OBSERVED = 0, 1, 2
"""Causes of death that are no factor's; a factor's are counted from there."""
CAUSES = ("grammar", "budget", "observe")


class Environments:
    """Interned environments: immutable mappings of names to values, one int each."""

    def __init__(self) -> None:
        self._values: list[Mapping[str, Any]] = [{}]
        self._children: dict[Hashable, int] = {}

    def __getitem__(self, environment: int) -> Mapping[str, Any]:
        return self._values[environment]

    def bind(self, environment: int, name: str, value: Any) -> int:
        """The environment with one more value, or another for the same name."""
        key = (environment, name, freeze(value))
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = self._add({**self._values[environment], name: value})
        return child

    def drop(self, environment: int, name: str) -> int:
        """The environment without a name."""
        key = (environment, name)
        child = self._children.get(key)
        if child is None:
            rest = {other: value for other, value in self._values[environment].items() if other != name}
            child = self._children[key] = self._add(rest)
        return child

    def _add(self, values: Mapping[str, Any]) -> int:
        self._values.append(values)
        return len(self._values) - 1


@dataclass(frozen=True)
class Watch:
    """A factor with something to say before its hole is finished.

    `boundaries` are names of rules, `token` or `line`; `each` says that they are a factor's occurrences,
    and `keeps` that these do not depend on the rest of the hole and are judged for good.
    """

    factor: int
    boundaries: tuple[str, ...]
    each: bool = False
    keeps: bool = False


@dataclass(frozen=True)
class OpenHole:
    """The hole that a particle writes: its automaton's number, the prefix it began at, what is given after it.

    `checked` are the watches of factors that judge tokens before they are taken, and so have nothing to say after.
    """

    automaton: int
    start: int
    following: bytes | None
    watches: tuple[Watch, ...] = ()
    checked: tuple[Watch, ...] = ()


@dataclass(frozen=True)
class Frame:
    """Where a particle stands.

    `previews` are (factor, log value) in the weight now; `judged` the occurrences judged for good:
    (factor, number of the text, start, end). `observing` are the tokens being observed. `scores` are
    (factor, log value) of what `score` lines have multiplied into the weight for good. `late` are (factor,
    length of the hole's text) whose previews are under way.
    """

    position: int
    environment: int
    roles: tuple[Role, ...] = ()
    hole: OpenHole | None = None
    observing: tuple[int, ...] = ()
    previews: tuple[tuple[int, float], ...] = ()
    judged: frozenset[tuple[int, int, int, int]] = frozenset()
    scores: tuple[tuple[int, float], ...] = ()
    late: tuple[tuple[int, int], ...] = ()


@dataclass
class Frames:
    """Interned frames with what the token loop needs of them, as arrays by frame.

    `automata` is -1 outside holes; `previews` is the log of all previews in the weight; `watched` has a
    bit for every boundary of the automaton at which the particle must stop. `watches` says whether a particle may
    have to stop within its hole.
    """

    frames: list[Frame] = field(default_factory=list)
    automata: NDArray[np.int64] = field(default_factory=lambda: np.empty(64, dtype=np.int64))
    previews: NDArray[np.float64] = field(default_factory=lambda: np.empty(64))
    watched: NDArray[np.uint64] = field(default_factory=lambda: np.empty(64, dtype=np.uint64))
    every_token: NDArray[np.bool_] = field(default_factory=lambda: np.empty(64, dtype=np.bool_))
    every_line: NDArray[np.bool_] = field(default_factory=lambda: np.empty(64, dtype=np.bool_))
    watches: NDArray[np.bool_] = field(default_factory=lambda: np.empty(64, dtype=np.bool_))
    _numbers: dict[Frame, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, number: int) -> Frame:
        return self.frames[number]

    def number(self, frame: Frame, boundaries: tuple[str, ...] = ()) -> int:
        """The int of a frame; `boundaries` are those of its hole's automaton, in the order of their bits."""
        number = self._numbers.get(frame)
        if number is None:
            number = self._numbers[frame] = len(self.frames)
            self.frames.append(frame)
            if number == len(self.automata):
                self._grow()
            watches = () if frame.hole is None else frame.hole.watches
            names = {name for watch in watches for name in watch.boundaries}
            self.automata[number] = -1 if frame.hole is None else frame.hole.automaton
            self.previews[number] = sum(value for _, value in frame.previews)
            bits = (boundary_bit(bit) for bit, name in enumerate(boundaries) if name in names)
            self.watched[number] = reduce(or_, bits, 0)
            self.every_token[number] = "token" in names
            self.every_line[number] = "line" in names
            self.watches[number] = bool(names)
        return number

    def _grow(self) -> None:
        for name in ("automata", "previews", "watched", "every_token", "every_line", "watches"):
            array = getattr(self, name)
            setattr(self, name, np.concatenate([array, np.empty_like(array)]))


@dataclass
class Particles:
    """G groups of N particles; every array is (G * N,), group by group.

    `states` are the automaton's states in a hole, the number of observed tokens while observing.
    `log_weights` leave out the previews, which are `Frames.previews` of the frame, and `log_twists`, the
    lookahead's log psi of the state. `written` counts the
    tokens that the model wrote, `eves` is the slot that a particle's line began in, `origins` the one it was in
    when the last event told of it.
    """

    num_groups: int
    num_particles: int
    frames: NDArray[np.int64]
    prefixes: NDArray[np.int64]
    states: NDArray[np.int64]
    status: NDArray[np.int8]
    log_weights: NDArray[np.float64]
    log_twists: NDArray[np.float64]
    written: NDArray[np.int64]
    eves: NDArray[np.int64]
    causes: NDArray[np.int64]
    origins: NDArray[np.int64]

    @classmethod
    def at(cls, frames: NDArray[np.int64], num_particles: int) -> Particles:
        """N particles a group, each group at its one frame, with weight one and an empty prefix."""
        total = len(frames) * num_particles
        return cls(
            num_groups=len(frames),
            num_particles=num_particles,
            frames=np.repeat(frames, num_particles),
            prefixes=np.zeros(total, dtype=np.int64),
            states=np.zeros(total, dtype=np.int64),
            status=np.full(total, WAITING, dtype=np.int8),
            log_weights=np.zeros(total),
            log_twists=np.zeros(total),
            written=np.zeros(total, dtype=np.int64),
            eves=np.tile(np.arange(num_particles), len(frames)),
            causes=np.full(total, -1, dtype=np.int64),
            origins=np.tile(np.arange(num_particles), len(frames)),
        )

    def take(self, slots: NDArray[np.int64], sources: NDArray[np.int64]) -> None:
        """Copy the particles at `sources` into `slots`, but for their weights."""
        for array in (
            self.frames,
            self.prefixes,
            self.states,
            self.status,
            self.log_twists,
            self.written,
            self.eves,
            self.causes,
            self.origins,
        ):
            array[slots] = array[sources]

    def slots_of(self, groups: NDArray[np.int64]) -> NDArray[np.int64]:
        """(len(groups), N) indices of the groups' particles."""
        return groups[:, None] * self.num_particles + np.arange(self.num_particles)

    def vacate(self, slots: NDArray[np.int64]) -> None:
        """Leave slots without a particle."""
        self.status[slots] = VACANT
        self.log_weights[slots] = -np.inf
        self.log_twists[slots] = 0.0
        self.causes[slots] = -1

    def kill(self, slots: NDArray[np.int64], causes: NDArray[np.int64] | int) -> None:
        """Weight zero from here on; a dead particle keeps its place in the population."""
        self.status[slots] = DEAD
        self.log_weights[slots] = -np.inf
        self.log_twists[slots] = 0.0
        self.causes[slots] = causes
