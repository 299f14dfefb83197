"""Islands: independent repetitions that make one result."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from running import results
from test_attempts import hopeless, run_case, survivors
from test_exactness import CASES, assert_same_masses

from smcdsl.errors import BudgetExceeded, NoSurvivors
from smcdsl.inference.events import Event
from smcdsl.inference.gate import hall_p_value
from smcdsl.inference.islands import island_seed
from smcdsl.inference.speculation.tally import Speculated, total


@pytest.mark.parametrize("settings", [{"method": "smc", "ess_threshold": 1.0}, {"method": "is"}, {"retry": 2}])
def test_the_mean_over_islands_is_the_enumerated_mass(settings: dict[str, Any]) -> None:
    case = survivors()
    particles = 1 if "retry" in settings else 2
    assert_same_masses(case.exact(particles=particles, islands=2, **settings), case.enumerated())


def test_islands_are_the_runs_of_their_seeds() -> None:
    case = CASES["previews"]()
    (combined,) = run_case(case, [7], particles=4, islands=4)
    alone = run_case(case, [island_seed(7, island) for island in range(4)], particles=4)
    assert combined.islands == tuple(posterior.log_z for posterior in alone)
    assert np.array_equal(combined.log_weights, np.concatenate([posterior.log_weights for posterior in alone]))
    assert combined.log_z == pytest.approx(np.log(np.mean(np.exp(combined.islands))))
    assert [view.slot for view in combined.particles] == list(range(16))
    assert combined.is_reliable


def test_islands_that_grew_count_as_much_as_those_that_did_not() -> None:
    for posterior in run_case(survivors(), range(10), particles=1, islands=4, grow=6):
        assert np.exp(posterior.log_z) == pytest.approx(np.mean(np.exp(posterior.islands)))
        assert np.mean(np.exp(posterior.log_weights)) == pytest.approx(np.exp(posterior.log_z))


def test_neighbouring_seeds_share_no_island() -> None:
    seeds = [island_seed(seed, island) for seed in range(200) for island in range(8)]
    assert len(set(seeds)) == len(seeds)
    assert [island_seed(seed, 0) for seed in range(3)] == [0, 1, 2]


@pytest.mark.statistical
def test_the_error_of_islands_is_right() -> None:
    """Squared error bars against squared deviations from the enumerated evidence: Hall's p-value, 1e-6."""
    case = CASES["occurrences"]()
    found = run_case(case, range(1000), particles=8, islands=4)
    evidence = np.exp([posterior.log_z for posterior in found])
    errors = np.array([posterior.log_z_error for posterior in found]) * evidence
    exact = case.enumerated()["Z"]
    assert hall_p_value(errors**2 - (evidence - exact) ** 2, 0.0) > 1e-6
    with_too_many = errors**2 / 2 - (evidence - exact) ** 2
    assert hall_p_value(with_too_many, 0.0) < 1e-6


def test_failures_are_those_of_the_islands() -> None:
    (posterior,) = run_case(hopeless(), particles=2, islands=4)
    assert isinstance(posterior.failure, NoSurvivors)
    assert posterior.failure.deaths == posterior.deaths
    assert sum(posterior.deaths.values()) == 8
    (posterior,) = run_case(CASES["one_hole"](), particles=2, islands=4, max_tokens=1)
    assert isinstance(posterior.failure, BudgetExceeded)
    assert not posterior.complete


def test_some_islands_may_be_lost() -> None:
    found = run_case(survivors(), range(30), particles=1, islands=4)
    lost = [posterior for posterior in found if -math.inf in posterior.islands and posterior.log_z > -math.inf]
    assert lost
    assert all(posterior.failure is None for posterior in lost)


def test_events_tell_their_request_and_island() -> None:
    case, events = CASES["one_hole"](), list[Event]()
    results(case.program, case.model, case.languages, case.functions, {}, [1, 2], events.append, particles=2, islands=4)
    assert {(event.group, event.island) for event in events} == {(g, i) for g in range(2) for i in range(4)}
    assert sum(event.name == "finished" for event in events) == 2


def test_drafted_tokens_are_counted_over_all_parts() -> None:
    (plain,) = run_case(survivors(), particles=2)
    drafted = [
        replace(plain, speculated=made)
        for made in (Speculated(4, 2, 3, {1: 2, 2: 1}), None, Speculated(1, 1, 1, {2: 1}))
    ]
    assert total(part.speculated for part in drafted) == Speculated(5, 3, 4, {1: 2, 2: 2})
    assert total([plain.speculated]) is None
