"""Warnings about runs: each where it belongs, and not one step earlier."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from building import Functions, factor
from oracles.enumerated import language, letters_of
from running import results, toy
from test_methods import simple

from smcdsl.inference.results.health import FEWEST_LOOKS, few_lines, slow_potentials
from smcdsl.inference.results.posterior import Posterior
from smcdsl.protocols import Facts, Potential

WORDS = [left + right for left in ("aa", "ab", "ba", "bb") for right in ("", "a", "b", "aa", "ab", "ba", "bb", "aab")]
LANGUAGE = {"q": language(WORDS, ("letter", "pair"), letters_of("ab"))}


def codes(posteriors: list[Posterior]) -> list[str]:
    return [warning.code for warning in posteriors[0].warnings]


def posterior(values: int, eves: int, size: int = 32, resamplings: int = 3, dead: int = 0) -> Posterior:
    (made,) = results(simple(Functions()), toy(["a", "b"]), LANGUAGE, Functions(), particles=size)
    weights = np.zeros(size)
    weights[:dead] = -np.inf
    return replace(
        made,
        values=tuple(str(slot % values) for slot in range(size)),
        log_weights=weights,
        eves=eves,
        resamplings=resamplings,
    )


@pytest.mark.parametrize(
    ("values", "eves", "more", "warns"),
    [
        (8, 2, {}, True),
        (9, 2, {}, False),
        (8, 3, {}, False),
        (1, 1, {}, True),
        (1, 32, {}, False),
        (1, 1, {"resamplings": 0}, False),
        (1, 1, {"size": 7}, False),
        (1, 1, {"size": 8}, True),
        (1, 1, {"dead": 25}, False),
    ],
)
def test_few_lines_are_those_that_were_copied_often_and_did_not_grow_apart(
    values: int, eves: int, more: dict[str, int], warns: bool
) -> None:
    found = few_lines(posterior(values, eves, **more))
    assert (found is not None) == warns
    assert found is None or (found.code, found.severity) == ("R0911", "warning")


def test_a_boundary_that_never_comes_is_named() -> None:
    functions = Functions()
    length = functions.add("length", lambda q: 1.0 + len(q), prefix="any")
    made = simple(functions, factor("score", length("q"), "q.pair"))
    found = results(made, toy(["a", "b"]), LANGUAGE, functions, particles=8)
    assert codes(found) == ["R0912"]
    assert "`q.pair` was not met" in found[0].warnings[0].labels[0].text


@pytest.mark.parametrize("settings", [{}, {"method": "is"}, {"method": "rerank"}, {"method": "lcd"}])
def test_a_boundary_that_comes_is_not(settings: dict[str, Any]) -> None:
    functions = Functions()
    length = functions.add("length", lambda q: 1.0 + len(q), prefix="any")
    made = simple(functions, factor("score", length("q"), "q.letter"))
    assert codes(results(made, toy(["a", "b"]), LANGUAGE, functions, particles=8, **settings)) == []


def test_methods_without_previews_miss_none() -> None:
    functions = Functions()
    length = functions.add("length", lambda q: 1.0 + len(q), prefix="any")
    made = simple(functions, factor("score", length("q"), "q.pair"))
    assert codes(results(made, toy(["a", "b"]), LANGUAGE, functions, particles=8, method="is")) == []


def one(*_: Any) -> float:
    """A prefix form that says nothing."""
    return 1.0


def half(*_: Any) -> float:
    """A prefix form that says something."""
    return 0.5


@pytest.mark.parametrize(
    ("particles", "form", "at_end", "warns"),
    [(64, "one", 0.5, True), (64, "half", 0.25, False), (64, "one", 1.0, False), (4, "one", 0.5, False)],
)
def test_previews_that_say_nothing_of_texts_that_end_badly(
    particles: int, form: str, at_end: float, warns: bool
) -> None:
    """Of enough texts, and only if they say nothing at all and the end says something."""
    functions = Functions()
    judged = functions.add("judged", lambda q: at_end, prefix="any")

    def own(q: str) -> float:
        return at_end

    functions.functions["judged"] = Potential(own, Facts(prefix="any"), "judged", prefix_form=form)
    made = simple(functions, factor("score", judged("q"), "q.letter"))
    found = results(made, toy(["a", "b"], seed=4), LANGUAGE, functions, particles=particles)
    assert codes(found) == (["R0912"] if warns else [])
    if warns:
        assert int(found[0].warnings[0].labels[0].text.split()[0]) >= FEWEST_LOOKS


def test_slow_potentials_are_told_by_share_and_by_seconds() -> None:
    functions = Functions()
    length = functions.add("length", lambda q: 1.0 + len(q), prefix="any")
    made = simple(functions, factor("score", length("q"), "q.letter"))
    (found,) = results(made, toy(["a", "b"]), LANGUAGE, functions, particles=8)
    from smcdsl.compiler.compile import compile_program

    plan = compile_program(made)

    def told(potentials: float, total: float) -> Any:
        calls = {"length": {"n": 40.0, "cached": 20.0, "errors": 0.0, "timeouts": 0.0, "seconds": potentials}}
        return slow_potentials(plan, [replace(found, calls=calls, seconds={"potentials": potentials, "total": total})])

    assert told(1.9, 2.0) is None
    assert told(2.0, 4.1) is None
    diagnostic = told(2.0, 4.0)
    assert diagnostic.code == "R0913"
    assert diagnostic.facts == ("`length`: 20 calls, 100 ms each, 2.0 s of 4.0 s",)
    assert "workers" in diagnostic.help
    assert slow_potentials(plan, []) is None
    assert math.isfinite(found.log_z or 0.0)
