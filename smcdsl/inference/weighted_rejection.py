"""Weighted rejection: one draw from a law restricted by a check that cannot be made a mask, with a proper weight.

A scheme draws an outcome x of a row with masses g and gives it a weight w such that

    E[w 1{x = v}] = g(v) 1{the check accepts v}        for every outcome v

so w stands for the local normaliser of the restricted row, of which only a few outcomes were checked.

A scheme is a generator that asks for checks and for random numbers and returns a `Draw`, so the checks of all
particles go out in one batch (`settle`). How many outcomes are checked may depend on what the checks said only
where the weight makes up for it; what is looked at ahead of need (`batch`) never changes the result.

Source: Lipkin, LeBrun, Vigly et al., "Fast controlled generation from language models with adaptive weighted
rejection sampling" (COLM 2025), arXiv:2504.05410, for `accepts`; the proofs of the others are in their docstrings.
"""

from __future__ import annotations

import math
from bisect import bisect, insort
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from smcdsl.inference.draws import shares

MOST_REJECTIONS = 1 << 10
"""After so many outcomes were rejected, one more is drawn and then the particle lives or dies of it."""

_LITTLE = 1e-6
"""Sums over what remains of a row are made anew when that is less than this share of it."""


@dataclass(frozen=True)
class Checks:
    """Asks whether the check accepts each of these outcomes; the answer is (n,) bool."""

    places: NDArray[np.int64]


@dataclass(frozen=True)
class Number:
    """Asks for a uniform number on [0, 1); between neighbouring `breakpoints` what follows is the same."""

    breakpoints: Callable[[], NDArray[Any]]


class Draw(NamedTuple):
    """An outcome and its weight; no outcome (-1) and weight 0 where nothing was accepted."""

    place: int
    weight: float


NOTHING = Draw(-1, 0.0)

Scheme = Generator[Checks | Number, "NDArray[np.bool_] | float", Draw]


@dataclass
class Row:
    """The masses of a row's outcomes, not negative, of any sum; shared by all particles that are there.

    `known` are the checks made so far.
    """

    masses: NDArray[np.float64]
    edges: NDArray[np.float64] = field(init=False)
    known: dict[int, bool] = field(default_factory=dict)
    _orders: dict[int, NDArray[np.int64]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.edges = np.cumsum(self.masses)

    @property
    def total(self) -> float:
        """The sum of all masses."""
        return float(self.edges[-1]) if len(self.edges) else 0.0

    def largest(self, count: int) -> NDArray[np.int64]:
        """The `count` outcomes of largest mass, ascending, those without mass left out; ties go to the first."""
        if count not in self._orders:
            some = np.flatnonzero(self.masses > 0)
            if count < len(some):
                masses = self.masses[some]
                least = np.partition(masses, len(some) - count)[len(some) - count]
                above = some[masses > least]
                some = np.sort(np.concatenate([above, some[masses == least][: count - len(above)]]))
            self._orders[count] = some
        return self._orders[count]


class _Remaining:
    """What is left of a row while outcomes are taken out of it one by one."""

    def __init__(self, row: Row, without: NDArray[np.int64] | None = None) -> None:
        self._masses, self._edges = row.masses, row.edges
        self._taken: list[int] = []
        self.number = int(np.count_nonzero(row.masses > 0))
        if without is not None and len(without):
            self._masses = row.masses.copy()
            self._masses[without] = 0.0
            self._edges = np.cumsum(self._masses)
            self.number -= len(without)
        self.mass = float(self._edges[-1]) if len(self._edges) else 0.0

    def masses(self) -> NDArray[np.float64]:
        """(K,) masses, zero where an outcome is gone."""
        left = self._masses.copy()
        left[self._taken] = 0.0
        return left

    def breakpoints(self) -> NDArray[np.object_]:
        """Of a draw."""
        return shares(self.masses())

    def place(self, number: float) -> int:
        """The outcome that a uniform number draws."""
        target = number * self.mass
        low = 0
        for taken in self._taken:
            before = float(self._edges[taken]) - float(self._masses[taken])
            if target < before:
                break
            target += float(self._masses[taken])
            low = taken + 1
        place = max(int(np.searchsorted(self._edges, target, side="right")), low)
        if place < len(self._masses) and self._masses[place] > 0 and place not in self._taken:
            return place
        # Rounding at an edge: the last outcome before it that has mass, or the first.
        left = np.flatnonzero(self.masses() > 0)
        return int(left[max(int(np.searchsorted(left, place)) - 1, 0)])

    def take(self, place: int) -> float:
        """Take an outcome out; its mass."""
        mass = float(self._masses[place])
        insort(self._taken, place)
        self.number -= 1
        self.mass -= mass
        if self.mass < _LITTLE * float(self._edges[-1]):
            # Differences of large sums would not know how little is left.
            self._masses, self._taken = self.masses(), []
            self._edges = np.cumsum(self._masses)
            self.mass = float(self._edges[-1])
        return mass


def one_pass(row: Row, batch: int = 1, cap: int = MOST_REJECTIONS, without: NDArray[np.int64] | None = None) -> Scheme:
    """Draw without replacement up to the first accepted outcome x, and one more.

    The weight is the mass r that x was drawn from if the next distinct outcome is accepted too, else x's mass.

    Proof. Let r be the mass left after some rejections, Z the share of it that is accepted and f(v) the mean of
    w 1{x = v} from here on; the claim is f(v) = g(v). It is sum over rejected y of g(y)/r times the mean with
    r - g(y) left, which by induction is (1 - Z) g(v), plus g(v)/r times r times the chance that a fresh draw is
    accepted, which is Z: a fresh draw is x with probability g(x)/r, else the next distinct outcome, and the
    mean over these two cases is taken exactly.

    Args:
        row: what to draw from.
        batch: how many outcomes are checked at a time.
        cap: after so many rejections the next draw has weight r if it is accepted and is the last one.
        without: outcomes that are not to be drawn.
    """
    remaining = _Remaining(row, without)
    places: list[int] = []
    left: list[tuple[float, float]] = []
    accepted: list[bool] = []
    for rejected in range(cap + 1):
        while len(accepted) < rejected + 2 and remaining.number and remaining.mass > 0:
            yield from _look(remaining, places, left, accepted, batch)
        if rejected == len(places):
            break
        if accepted[rejected]:
            next_is_rejected = rejected + 1 < len(places) and not accepted[rejected + 1]
            own, all_left = left[rejected]
            return Draw(places[rejected], own if next_is_rejected and rejected < cap else all_left)
    return NOTHING


def _look(
    remaining: _Remaining, places: list[int], left: list[tuple[float, float]], accepted: list[bool], batch: int
) -> Generator[Checks | Number, NDArray[np.bool_] | float, None]:
    """Draw up to `batch` further distinct outcomes and check them together; `left` is (its mass, what it is of)."""
    first = len(places)
    while len(places) < first + batch and remaining.number and remaining.mass > 0:
        number = yield Number(remaining.breakpoints)
        assert isinstance(number, float)
        places.append(remaining.place(number))
        mass = remaining.mass
        left.append((remaining.take(places[-1]), mass))
    found = yield Checks(np.array(places[first:], dtype=np.int64))
    assert isinstance(found, np.ndarray)
    accepted += found.tolist()


def accepts(row: Row, number: int = 2, cap: int = MOST_REJECTIONS) -> Scheme:
    """Draw with replacement until `number` draws were accepted or `cap` rejected; the first accepted one is x.

    With a accepted and r rejected draws the weight is the row's mass times min(number - 1, a) / (a + r - 1): the
    share of the ways there that begin with an accepted draw (Girshick, Mosteller and Savage 1946), zero without any.
    Outcomes that are known to be rejected are not drawn again one by one: how often they would come is geometric.
    """
    assert number >= 2, "with one accepted draw the first decides all"
    assert cap >= 1
    remaining = _Remaining(row)
    total = remaining.mass
    known: dict[int, bool] = {}
    first, accepted, rejected = -1, 0, 0
    while accepted < number and rejected < cap and remaining.number and remaining.mass > 0:
        rejected += yield from _repeats(remaining.mass / total, cap - rejected)
        if rejected == cap:
            break
        drawn = yield Number(remaining.breakpoints)
        assert isinstance(drawn, float)
        place = remaining.place(drawn)
        if place not in known:
            found = yield Checks(np.array([place]))
            assert isinstance(found, np.ndarray)
            known[place] = bool(found[0])
        if known[place]:
            first = place if first < 0 else first
            accepted += 1
        else:
            remaining.take(place)
            rejected += 1
    if not accepted:
        return NOTHING
    return Draw(first, total * min(number - 1, accepted) / (accepted + rejected - 1))


def _repeats(missed: float, most: int) -> Generator[Number, NDArray[np.bool_] | float, int]:
    """How often draws hit known outcomes before one misses them, which has the chance `missed`; at most `most`."""
    if missed >= 1:
        return 0
    log_hit = math.log1p(-missed)
    number = yield Number(lambda: -np.expm1(np.arange(1, most + 1) * log_hit))
    assert isinstance(number, float)
    return min(int(math.log1p(-number) / log_hit), most) if missed > 0 else most


def head_and_tail(row: Row, size: int = 8, cap: int = MOST_REJECTIONS) -> Scheme:
    """Check the `size` most probable outcomes together; look at the others by `one_pass`, sometimes.

    The accepted part a of the head is exact. With probability rho = min(1, t / a), t the mass of the tail, a draw
    (y, w) from the tail counts w / rho. Then x is y with that share of the weight a + w / rho, else one of the
    head's accepted outcomes by mass, and each outcome's mean weight is its mass.
    """
    head = row.largest(size)
    found = yield Checks(head)
    assert isinstance(found, np.ndarray)
    good = head[found]
    masses = row.masses[good]
    exact = float(masses.sum())
    tail = _mass_without(row, head)
    drawn = NOTHING
    if tail > 0:
        chance = min(1.0, tail / exact) if exact > 0 else 1.0
        number = 0.0
        if chance < 1:
            answer = yield Number(lambda: np.array([chance]))
            assert isinstance(answer, float)
            number = answer
        if number < chance:
            drawn = yield from one_pass(row, size, cap, head)
            drawn = Draw(drawn.place, drawn.weight / chance)
    return (yield from _one_of(np.append(good, drawn.place), np.append(masses, drawn.weight)))


def race(row: Row, size: int = 8) -> Scheme:
    """Check the first `size` of a race in one batch; Horvitz-Thompson weights.

    Outcome i arrives at an exponential time of rate p(i), its probability. Given the others' times it is among
    the first `size` with probability 1 - exp(-p(i) t), t the time of the next arrival, so g(i) over that has mean
    g(i). The order of arrivals is one of draws without replacement and, given the order, what passes between
    two arrivals is exponential with the rate of those still to come. With `size` outcomes or fewer all is exact.
    """
    if int(np.count_nonzero(row.masses > 0)) <= size:
        drawn, weights = row.largest(size), row.masses[row.largest(size)]
    else:
        remaining = _Remaining(row)
        total, time = remaining.mass, 0.0
        places: list[int] = []
        for _ in range(size + 1):
            passed = yield Number(_no_breakpoints)
            assert isinstance(passed, float)
            time -= math.log1p(-passed) * total / remaining.mass
            if len(places) < size:
                number = yield Number(remaining.breakpoints)
                assert isinstance(number, float)
                places.append(remaining.place(number))
                remaining.take(places[-1])
        drawn = np.array(places)
        weights = thompson(row.masses[drawn], total, time)
    found = yield Checks(drawn)
    assert isinstance(found, np.ndarray)
    return (yield from _one_of(drawn[found], weights[found]))


def thompson(masses: NDArray[np.float64], total: float, time: float) -> NDArray[np.float64]:
    """Masses over the probabilities to have arrived before `time`."""
    return np.asarray(masses / -np.expm1(-masses / total * time))


def _no_breakpoints() -> NDArray[np.float64]:
    return np.empty(0)


def _mass_without(row: Row, head: NDArray[np.int64]) -> float:
    if len(head) == int(np.count_nonzero(row.masses > 0)):
        return 0.0
    rest = row.masses.copy()
    rest[head] = 0.0
    return float(rest.sum())


def _one_of(places: NDArray[np.int64], weights: NDArray[np.float64]) -> Scheme:
    """One of the places by weight; it gets the weight of all."""
    edges = np.cumsum(weights)
    total = float(edges[-1]) if len(edges) else 0.0
    if total <= 0:
        return NOTHING
    number = 0.0
    if np.count_nonzero(weights) > 1:
        answer = yield Number(lambda: edges / total)
        assert isinstance(answer, float)
        number = answer
    index = min(bisect(edges.tolist(), number * total), int(np.flatnonzero(weights)[-1]))
    return Draw(int(places[index]), total)


Answer = Callable[[list[tuple[int, NDArray[np.int64]]]], list[NDArray[np.bool_]]]
"""Makes checks: for each (course, outcomes) whether each is accepted."""
Numbers = Callable[[NDArray[np.int64], NDArray[np.int64], list[Number]], NDArray[np.float64]]
"""Gives numbers: for n (course, how many numbers it had before)."""


def settle(courses: Sequence[Scheme], check: Answer, numbers: Numbers) -> list[Draw]:
    """Run schemes to their ends side by side: their checks in one batch a round, their numbers in one call."""
    found = [NOTHING] * len(courses)
    had = np.zeros(len(courses), dtype=np.int64)
    wanted: dict[int, Checks | Number] = {}

    def go_on(index: int, answer: NDArray[np.bool_] | float | None) -> None:
        try:
            wanted[index] = courses[index].send(answer)  # type: ignore[arg-type]
        except StopIteration as stop:
            found[index] = stop.value
            del wanted[index]

    for index in range(len(courses)):
        wanted[index] = Checks(np.empty(0, dtype=np.int64))
        go_on(index, None)
    while wanted:
        drawing = [index for index, asked in wanted.items() if isinstance(asked, Number)]
        if drawing:
            who = np.array(drawing)
            asked = [wanted[index] for index in drawing]
            answers = numbers(who, had[who], asked)  # type: ignore[arg-type]
            had[who] += 1
            for index, number in zip(drawing, answers.tolist(), strict=True):
                go_on(index, number)
            continue
        # Nobody draws: all that is left are checks.
        waiting = [(index, request.places) for index, request in wanted.items() if isinstance(request, Checks)]
        for (index, _), answer in zip(waiting, check(waiting), strict=True):
            go_on(index, answer)
    return found
