"""Runs that are made again: what `retry` keeps exact, and by how much `grow` is too high."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from building import Functions, factor, hole, program, text, turn
from exact import BranchDraws, exact_means
from oracles.enumerated import language
from running import automata, results, toy
from test_exactness import CASES, Case, assert_same_masses

from smcdsl.compiler.compile import compile_program
from smcdsl.errors import NoSurvivors
from smcdsl.inference.methods import RunRequest, Settings, run
from smcdsl.program.types import BOOL


def survivors() -> Case:
    """Half of all draws die at the end."""
    functions = Functions()
    fine = functions.add("fine", lambda q: q != "a", BOOL)
    good = functions.add("good", lambda q: 0.5 if q == "b" else 1.5)
    made = program(turn("text", "b", text(hole("q"))), factor("require", fine("q")), factor("score", good("q")))
    return Case(made, toy(["a", "b"], seed=1), {"q": language(["a", "b", "bb"])}, functions)


def hopeless() -> Case:
    functions = Functions()
    never = functions.add("never", lambda q: False, BOOL)
    made = program(turn("text", "b", text(hole("q"))), factor("require", never("q")))
    return Case(made, toy(["a", "b"], seed=3), {"q": language(["a", "b", "bb"])}, functions)


def run_case(case: Case, seeds: Any = (0,), **settings: Any) -> list[Any]:
    return results(case.program, case.model, case.languages, case.functions, case.inputs, seeds, **settings)


def exact_mean(case: Case, value: Any, **settings: Any) -> float:
    """The exact mean of a number that a result has."""
    return mean_of(case, lambda posterior: {"value": value(posterior)}, **settings)["value"]


def mean_of(case: Case, values: Any, **settings: Any) -> dict[Any, float]:
    """The exact means of numbers by name."""
    plan, provide = compile_program(case.program), automata(case.model, case.languages)

    def of_groups(draws: BranchDraws, groups: int) -> list[dict[Any, float]]:
        found = run(
            plan,
            case.model,
            [RunRequest(case.inputs, 0)] * groups,
            automata=provide,
            functions=case.functions,
            settings=Settings(**settings),
            draws=lambda salt: draws,
        )
        return [values(posterior) for posterior in found]

    return exact_means(of_groups)


@pytest.mark.parametrize("method", ["smc", "is"])
@pytest.mark.parametrize("attempts", [2, 3])
def test_retrying_keeps_all_masses_unbiased(method: str, attempts: int) -> None:
    case = survivors()
    exact = case.exact(method=method, particles=1, retry=attempts)
    assert_same_masses(exact, case.enumerated())


def test_retrying_keeps_all_masses_unbiased_where_the_model_ends_dead() -> None:
    case = CASES["dead_ends"]()
    assert_same_masses(case.exact(method="smc", particles=1, retry=3), case.enumerated())


def test_growing_is_too_high_by_what_dies() -> None:
    """The first population is kept if it lives, else the one of twice the size: Z (1 + P(the first one dies))."""
    case = survivors()
    dies = exact_mean(case, lambda posterior: float(posterior.log_z == -math.inf), particles=1)
    assert 0.1 < dies < 0.9
    grown = exact_mean(case, lambda posterior: float(np.exp(posterior.log_z)), particles=1, grow=1)
    assert grown == pytest.approx(case.enumerated()["Z"] * (1 + dies), rel=1e-12, abs=0.0)


def test_growing_doubles_until_enough_survives() -> None:
    found = run_case(survivors(), range(20), particles=1, grow=6, grow_ess=3.0)
    for posterior in found:
        assert posterior.ess >= 3.0
        assert posterior.num_particles == 2 ** (posterior.attempts - 1)
        assert posterior.attempts > 1
        assert "biased upwards" in posterior.log_z_note


def test_a_first_population_that_suffices_is_the_result_without_growing() -> None:
    (plain,), (grown,) = (run_case(CASES["one_hole"](), particles=8, grow=grow) for grow in (0, 3))
    assert grown.attempts == 1
    assert grown.log_z_note == ""
    assert np.array_equal(plain.log_weights, grown.log_weights)


def test_giving_up_says_what_was_tried() -> None:
    for settings, particles in (({"grow": 3}, 16), ({"retry": 4}, 2)):
        (posterior,) = run_case(hopeless(), particles=2, **settings)
        assert posterior.log_z == -math.inf
        assert isinstance(posterior.failure, NoSurvivors)
        assert (
            f"4 attempts were made, the last one with {particles} particles" in posterior.failure.diagnostics[0].facts
        )


def test_retrying_pools_two_populations() -> None:
    case = survivors()
    for posterior in run_case(case, range(30), particles=1, retry=50):
        assert posterior.num_particles == 2
        assert (posterior.log_weights > -np.inf).all()
        assert posterior.attempts >= 2
        assert np.log(np.mean(np.exp(posterior.log_weights))) == pytest.approx(posterior.log_z)


def test_a_single_survivor_of_limited_attempts_is_divided_by_all_of_them() -> None:
    found = run_case(survivors(), range(40), particles=1, retry=2)
    alone = [posterior for posterior in found if posterior.num_particles == 1 and posterior.log_z > -math.inf]
    assert alone
    assert all(posterior.attempts == 2 and "error is unknown" in posterior.log_z_note for posterior in alone)


def test_work_is_counted_over_all_attempts() -> None:
    for posterior in run_case(hopeless(), range(5), particles=2, grow=2):
        assert posterior.tokens["target"] >= 2 + 4 + 8
