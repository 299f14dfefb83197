"""The evidence sandwich: both sides against the enumerated evidence."""

from __future__ import annotations

import math
from typing import Any

import pytest
from building import Functions, factor, hole, program, text, turn
from oracles.enumerated import language
from running import automata, toy
from test_attempts import hopeless
from test_exactness import CASES, Case

from smcdsl.compiler.compile import compile_program
from smcdsl.errors import UsageError
from smcdsl.inference.sandwich import Sandwich, evidence_sandwich
from smcdsl.inference.settings import Settings
from smcdsl.inference.suitability import choose_proposal
from smcdsl.program.types import BOOL


def measured(case: Case, settings: dict[str, Any] | None = None, **more: Any) -> Sandwich:
    return evidence_sandwich(
        compile_program(case.program),
        case.model,
        case.inputs,
        automata=automata(case.model, case.languages),
        functions=case.functions,
        settings=Settings(**{"particles": 8, "ess_threshold": 1.0, **(settings or {})}),
        **more,
    )


def bounded() -> Case:
    """Every score is at most 1, so that rejection works."""
    functions = Functions()
    good = functions.add("good", lambda q: 0.2 + 0.8 * q.count("a") / 3, prefix="any")
    made = program(turn("text", "b", text(hole("q"))), factor("score", good("q"), "q.token"))
    return Case(made, toy(["a", "b", "ab"], seed=2), {"q": language(["a", "ab", "abb", "ba", "bba", "aa"])}, functions)


@pytest.mark.statistical
def test_log_z_lies_between_the_sides() -> None:
    """120 runs; each side is within five standard errors of being on its own side (1e-6), and the gap is real."""
    case = bounded()
    exact = math.log(case.enumerated()["Z"])
    found = measured(case, {"particles": 3}, runs=120, start="rejection", tries=10_000)
    assert found.is_bound
    assert found.lower - 5 * found.lower_error < exact < found.upper + 5 * found.upper_error
    assert found.gap > 5 * math.hypot(found.lower_error, found.upper_error)
    assert not found.is_contradicted
    assert found.lower < found.log_z < found.upper


@pytest.mark.statistical
def test_more_particles_close_the_gap() -> None:
    few, many = (measured(bounded(), {"particles": size}, runs=40, tries=10_000) for size in (2, 64))
    assert many.gap < few.gap / 4


def test_where_rejection_cannot_be_the_run_starts_it() -> None:
    case = CASES["previews"]()
    found = measured(case, runs=20)
    assert found.start == "run"
    assert not found.is_bound
    assert found.lower < found.upper
    with pytest.raises(UsageError, match="at most 1"):
        measured(case, runs=20, start="rejection")


def test_too_few_tries_fall_back_unless_rejection_is_asked_for() -> None:
    assert measured(bounded(), runs=20, tries=1).start == "run"
    with pytest.raises(UsageError, match="of 20 runs"):
        measured(bounded(), runs=20, tries=1, start="rejection")


def test_nothing_is_said_where_nothing_survives() -> None:
    found = measured(hopeless(), runs=4, tries=3)
    assert found.dead == 4
    assert found.lower == found.log_z == -math.inf
    assert math.isnan(found.upper)
    assert not found.is_contradicted


def test_it_is_determined_by_its_seed() -> None:
    assert measured(bounded(), runs=4, seed=3) == measured(bounded(), runs=4, seed=3)
    assert measured(bounded(), runs=4, seed=3) != measured(bounded(), runs=4, seed=4)


def test_token_checks_are_left_out() -> None:
    """By itself a run of this program checks tokens before it takes them (`proposal: auto`)."""
    functions = Functions()
    never = functions.add("never", lambda q: "bb" not in q, BOOL, prefix="any", cost_seconds=1e-6)
    made = program(turn("text", "b", text(hole("q"))), factor("require", never("q"), "q.token"))
    case = Case(made, toy(["a", "b"], seed=2), {"q": language(["a", "ab", "abb", "ba", "aa"])}, functions)
    assert choose_proposal(compile_program(made), Settings()).kind == "awrs"
    found = measured(case, runs=20, tries=500)
    assert found.lower <= found.upper
    with pytest.raises(UsageError, match="no weight for a path"):
        measured(case, {"proposal": "awrs"})


@pytest.mark.parametrize("settings", [{"method": "lcd"}, {"particles": 1}])
def test_it_needs_a_sampler_with_evidence(settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="the evidence sandwich needs"):
        measured(bounded(), settings)
