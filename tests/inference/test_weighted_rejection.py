"""Weighted rejection is proper: every branch of the draws is visited, and E[w 1{x = v}] = g(v) 1{accepted}."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from exact import exact_means
from hypothesis import given, settings
from hypothesis import strategies as st

from smcdsl.inference.draws import CounterDraws, Purpose
from smcdsl.inference.gate import hall_p_value
from smcdsl.inference.weighted_rejection import (
    NOTHING,
    Checks,
    Draw,
    Number,
    Row,
    Scheme,
    _Remaining,
    accepts,
    head_and_tail,
    one_pass,
    race,
    settle,
    thompson,
)

ALPHA = 1e-6

ROWS = {
    "even": ([0.25, 0.25, 0.25, 0.25], [True, False, True, False]),
    "peaked": ([0.9, 0.06, 0.03, 0.01], [False, True, False, True]),
    "mild": ([0.5, 0.2, 0.2, 0.1], [True, True, False, False]),
    "of another sum": ([0.02, 0.31, 0.0, 0.11], [False, True, True, False]),
    "all": ([0.1, 0.2, 0.3, 0.1], [True, True, True, True]),
    "one, rare": ([0.6, 0.3, 0.099, 0.001], [False, False, False, True]),
    "none": ([0.5, 0.25, 0.25, 0.0], [False, False, False, False]),
    "the impossible one": ([0.5, 0.5, 0.0], [False, False, True]),
    "alone": ([0.3], [True]),
    "tiny": ([1e-9, 0.7, 2e-9, 0.3], [True, False, True, False]),
}

SCHEMES: dict[str, Callable[[Row], Scheme]] = {
    "one pass": one_pass,
    "one pass, two at a time": lambda row: one_pass(row, batch=2),
    "one pass, all at a time": lambda row: one_pass(row, batch=9),
    "one pass, at most 1 rejected": lambda row: one_pass(row, cap=1),
    "one pass, none rejected": lambda row: one_pass(row, cap=0),
    "2 accepts, at most 3 rejected": lambda row: accepts(row, 2, 3),
    "3 accepts, at most 2 rejected": lambda row: accepts(row, 3, 2),
    "4 accepts, at most 1 rejected": lambda row: accepts(row, 4, 1),
    "head of 1 and tail": lambda row: head_and_tail(row, 1),
    "head of 2 and tail": lambda row: head_and_tail(row, 2),
    "head of 2 and tail, none rejected": lambda row: head_and_tail(row, 2, cap=0),
    "head of all": lambda row: head_and_tail(row, 9),
    "race of all": lambda row: race(row, 9),
}


def exact_masses(scheme: Callable[[Row], Scheme], masses: list[float], legal: list[bool]) -> np.ndarray:
    """E[w 1{x = v}] for every v, along every branch."""

    def values(draws: Any, count: int) -> list[dict[int, float]]:
        return [{draw.place: draw.weight} for draw in drawn(scheme, masses, legal, draws, count)]

    means = exact_means(values)
    return np.array([means.get(place, 0.0) for place in range(len(masses))])


def drawn(scheme: Callable[[Row], Scheme], masses: list[float], legal: list[bool], draws: Any, count: int):
    row = Row(np.array(masses))
    accepted = np.array(legal)

    def check(asked: Any) -> Any:
        for _, places in asked:
            assert np.all(row.masses[places] > 0), "what cannot be drawn is not checked"
        return [accepted[places] for _, places in asked]

    def numbers(who: Any, had: Any, asked: Any) -> Any:
        return draws.uniforms(
            Purpose.CHECK, np.zeros_like(who), who, had, lambda _: (number.breakpoints() for number in asked)
        )

    return settle([scheme(row) for _ in range(count)], check, numbers)


def right_masses(masses: list[float], legal: list[bool]) -> np.ndarray:
    return np.where(legal, masses, 0.0)


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_outcome_has_its_mass_as_mean_weight(scheme: str, name: str) -> None:
    masses, legal = ROWS[name]
    found = exact_masses(SCHEMES[scheme], masses, legal)
    assert found == pytest.approx(right_masses(masses, legal), rel=1e-12, abs=0.0)


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.tuples(st.floats(1e-6, 1.0), st.booleans()), min_size=2, max_size=4),
    st.sampled_from(sorted(SCHEMES)),
)
def test_random_rows_too(row: list[tuple[float, bool]], scheme: str) -> None:
    masses, legal = [mass for mass, _ in row], [accepted for _, accepted in row]
    found = exact_masses(SCHEMES[scheme], masses, legal)
    assert found == pytest.approx(right_masses(masses, legal), rel=1e-12, abs=0.0)


@pytest.mark.parametrize("name", ["even", "peaked", "mild", "one, rare", "of another sum"])
@pytest.mark.parametrize("size", [1, 2])
def test_a_race_has_each_mass_as_mean_weight(name: str, size: int) -> None:
    """All orders of arrival by enumeration, the time of the last by quadrature, which is right to 1.5e-12."""
    masses, legal = np.array(ROWS[name][0]), np.array(ROWS[name][1])
    some = np.flatnonzero(masses > 0)
    law = masses / masses.sum()
    found = np.zeros(len(masses))
    for order in permutations(some.tolist(), size):
        rates, chance = [1.0], 1.0
        for place in order:
            chance *= law[place] / rates[-1]
            rates.append(rates[-1] - law[place])
        times, density = hypoexponential(np.array(rates))
        for place in order:
            if legal[place]:
                weights = thompson(masses[[place]], masses.sum(), times[:, None].ravel())
                found[place] += chance * float(weights @ density)
    assert found == pytest.approx(np.where(legal, masses, 0.0), rel=1e-11, abs=0.0)


def hypoexponential(rates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights for the mean of a function of a sum of exponential times of these (distinct) rates."""
    nodes, weights = np.polynomial.legendre.leggauss(40)
    edges = np.concatenate([[0.0], np.geomspace(1e-9, 60.0 / rates.min(), 120)])
    middle, half = (edges[1:] + edges[:-1]) / 2, (edges[1:] - edges[:-1]) / 2
    times = (middle[:, None] + half[:, None] * nodes).ravel()
    widths = (half[:, None] * weights).ravel()
    density = np.zeros_like(times)
    for k, rate in enumerate(rates):
        others = np.delete(rates, k)
        density += rate * np.prod(others / (others - rate)) * np.exp(-rate * times)
    return times, widths * np.maximum(density, 0.0)


def no_division_by_what_was_rejected(row: Row) -> Scheme:
    """The weight is the chance to accept, without the masses rejected before."""
    course, answer = one_pass(row), None
    while True:
        try:
            answer = yield course.send(answer)
        except StopIteration as stop:
            return Draw(stop.value.place, row.total if stop.value.place >= 0 else 0.0)


def rejected_by_count(row: Row) -> Scheme:
    """k / n in place of (k - 1) / (n - 1)."""
    draw = yield from accepts(row, 2, 3)
    share = draw.weight / row.total
    return Draw(draw.place, row.total * 2 / (1 / share + 1)) if draw.place >= 0 else NOTHING


def tail_as_it_is(row: Row) -> Scheme:
    """The tail is looked at sometimes and counts as if it always were."""
    head = row.largest(2)
    found = yield Checks(head)
    exact = float(row.masses[head[found]].sum())
    tail = row.total - float(row.masses[head].sum())
    chance = min(1.0, tail / exact) if exact else 1.0
    number = 0.0 if chance == 1 else (yield Number(lambda: np.array([chance])))
    drawn = (yield from one_pass(row, without=head)) if tail > 0 and number < chance else NOTHING
    places, weights = np.append(head[found], drawn.place), np.append(row.masses[head[found]], drawn.weight)
    if not weights.sum():
        return NOTHING
    edges = np.cumsum(weights) / weights.sum()
    number = yield Number(lambda: edges)
    return Draw(int(places[np.searchsorted(edges, number, side="right")]), float(weights.sum()))


def stops_at_the_cap(row: Row) -> Scheme:
    """Two rejections end it with weight zero."""
    seen: list[bool] = []
    course, answer = one_pass(row), None
    while True:
        try:
            request = course.send(answer)
        except StopIteration as stop:
            return stop.value
        answer = yield request
        if isinstance(request, Checks):
            seen += answer.tolist()
            if seen[:2] == [False, False]:
                return NOTHING


def always_the_rest(row: Row) -> Scheme:
    """The first accepted outcome with all that was not rejected, without looking at the next."""
    remaining = _Remaining(row)
    while remaining.number:
        mass = remaining.mass
        place = remaining.place((yield Number(remaining.breakpoints)))
        found = yield Checks(np.array([place]))
        if found[0]:
            return Draw(place, mass)
        remaining.take(place)
    return NOTHING


BUGS = [no_division_by_what_was_rejected, rejected_by_count, tail_as_it_is, stops_at_the_cap, always_the_rest]


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_moves_the_mean_weights(bug: Callable[[Row], Scheme]) -> None:
    worst = 0.0
    for name in ("even", "peaked", "mild", "one, rare"):
        masses, legal = ROWS[name]
        worst = max(worst, np.abs(exact_masses(bug, masses, legal) - right_masses(masses, legal)).max())
    assert worst > 1e-3


FREQUENT: dict[str, Callable[[Row], Scheme]] = {
    "one pass": lambda row: one_pass(row, 4),
    "2 accepts": accepts,
    "4 accepts": lambda row: accepts(row, 4),
    "head and tail": head_and_tail,
    "race": race,
}


def long_row(peak: float, seed: int) -> tuple[list[float], list[bool]]:
    generator = np.random.default_rng(seed)
    law = generator.dirichlet(np.full(40, peak))
    return law.tolist(), (generator.random(40) < 0.4).tolist()


def p_values(scheme: Callable[[Row], Scheme], count: int, peak: float, seed: int) -> list[float]:
    """Hall's p-values of all outcomes of at least 1 %, and of the sum of all."""
    masses, legal = long_row(peak, seed)
    found = drawn(scheme, masses, legal, CounterDraws(range(count), 1), count)
    places, weights = np.array([draw.place for draw in found]), np.array([draw.weight for draw in found])
    frequent = [place for place, mass in enumerate(masses) if legal[place] and mass >= 0.01]
    tests = [hall_p_value(np.where(places == place, weights, 0.0), masses[place]) for place in frequent]
    assert all(legal[place] for place in places if place >= 0)
    return [*tests, hall_p_value(weights, float(np.dot(masses, legal)))]


@pytest.mark.statistical
@pytest.mark.parametrize("scheme", FREQUENT)
def test_weights_average_to_masses(scheme: str) -> None:
    """Hall's p-values, Bonferroni: false alarms at most 1e-6 a scheme."""
    found = [p for peak, seed in ((0.2, 1), (5.0, 2)) for p in p_values(FREQUENT[scheme], 4000, peak, seed)]
    assert min(found) > ALPHA / len(found)


@pytest.mark.long
@pytest.mark.statistical
@pytest.mark.parametrize("scheme", FREQUENT)
def test_many_weights_average_to_masses(scheme: str) -> None:
    """200,000 draws. Hall's p-values, Bonferroni: false alarms at most 1e-6 a scheme."""
    found = [p for peak, seed in ((0.2, 3), (5.0, 4)) for p in p_values(FREQUENT[scheme], 200_000, peak, seed)]
    assert min(found) > ALPHA / len(found)


@pytest.mark.parametrize("batch", [2, 3, 7])
def test_what_is_looked_at_ahead_changes_nothing(batch: int) -> None:
    masses, legal = long_row(1.0, 5)
    draws = CounterDraws(range(50), 1)
    one = drawn(one_pass, masses, legal, draws, 50)
    assert drawn(lambda row: one_pass(row, batch), masses, legal, draws, 50) == one


def test_the_largest_outcomes_are_a_head() -> None:
    row = Row(np.array([0.1, 0.0, 0.4, 0.1, 0.3, 0.1]))
    assert row.largest(3).tolist() == [0, 2, 4]
    assert row.largest(9).tolist() == [0, 2, 3, 4, 5]
    assert Row(np.zeros(3)).largest(2).tolist() == []


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.floats(0.0, 1.0), min_size=1, max_size=12).filter(lambda masses: sum(masses) > 0),
    st.sampled_from([0.0, np.nextafter(1.0, 0.0)]) | st.floats(0.0, 1.0, exclude_max=True),
)
def test_draws_without_replacement_take_every_outcome_once(masses: list[float], number: float) -> None:
    remaining = _Remaining(Row(np.array(masses)))
    places = []
    while remaining.number and remaining.mass > 0:
        places.append(remaining.place(number))
        assert remaining.take(places[-1]) == masses[places[-1]] > 0
    assert sorted(places) == np.flatnonzero(masses).tolist()
