"""By frequency, from fixed seeds. Every assertion states its false-alarm rate."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import numpy as np
import pytest
from building import Functions, factor, hole, program, text, turn
from frequencies import assert_frequencies
from oracles.enumerated import language, letters_of
from running import enumerated, results, toy
from test_exactness import CASES

from smcdsl.inference.draws import philox
from smcdsl.inference.gate import judge
from smcdsl.program.evaluation import freeze
from smcdsl.program.types import BOOL

pytestmark = pytest.mark.statistical

ALPHA = 1e-6

SETTINGS = (
    {"particles": 2, "ess_threshold": 1.0},
    {"particles": 8, "ess_threshold": 0.5, "resample": "stratified"},
    {"particles": 8, "ess_threshold": 1.0, "resample": "residual", "proposal": "lm"},
    {"particles": 32, "ess_threshold": 0.7, "resample": "multinomial"},
)
NAMES = ("one_hole", "two_holes_with_a_branch", "previews", "occurrences", "observed")
RARE = ("observed", "lm")
"""Drawn from the unmasked law this program hardly ever has a survivor: no feasible number of runs says anything."""


def combinations() -> list[Any]:
    made = []
    for name, settings in itertools.product(NAMES, SETTINGS):
        if (name, settings.get("proposal")) != RARE:
            slow = "proposal" in settings and name in ("two_holes_with_a_branch", "occurrences")
            made.append(pytest.param(name, settings, marks=[pytest.mark.long] if slow else []))
    return made


@pytest.mark.parametrize(("name", "settings"), combinations())
def test_runs_average_to_the_enumerated_masses(name: str, settings: dict) -> None:
    """The gate: false alarms at most 1e-6 each."""
    case = CASES[name]()
    expected = {key[1]: mass for key, mass in case.enumerated().items() if key != "Z"}
    # Drawing from the unmasked law kills most particles, so it takes more runs to say anything.
    seeds = range(6000 if settings.get("proposal") == "lm" else 1500)
    runs = results(case.program, case.model, case.languages, case.functions, case.inputs, seeds, **settings)
    found = [{freeze(item.value): np.exp(item.log_weight) for item in posterior.support} for posterior in runs]
    judgement = judge(expected, found)
    assert judgement.passed, judgement


def test_rejection_draws_from_the_posterior() -> None:
    """Exact binomial tails: false alarms at most 1e-6. Importance sampling without weights is caught."""
    functions = Functions()
    good = functions.add("good", lambda q: 1.0 if q == "ab" else 0.3)
    allowed = functions.add("allowed", lambda q: q != "b", BOOL)
    made = program(turn("text", "b", text(hole("q"))), factor("score", good("q")), factor("require", allowed("q")))
    model, languages = toy(["a", "b"], seed=9), {"q": language(["a", "b", "ab", "ba"])}
    masses = enumerated(made, model, languages, functions)
    law = {key[1]: mass / masses["Z"] for key, mass in masses.items() if key != "Z"}
    runs = results(made, model, languages, functions, seeds=range(40), method="rejection", particles=50)
    drawn = Counter(value for posterior in runs for value in posterior.values)
    assert sum(drawn.values()) == 2000
    assert_frequencies(drawn, law, ALPHA)
    assert np.mean([np.exp(posterior.log_z) for posterior in runs]) == pytest.approx(masses["Z"], rel=0.2)
    locally = results(made, model, languages, functions, seeds=range(40), method="lcd", particles=50)
    with pytest.raises(AssertionError):
        assert_frequencies(Counter(value for posterior in locally for value in posterior.values), law, ALPHA)


def test_lcd_draws_from_the_projection() -> None:
    """Each token from the masked and renormalised law. Exact binomial tails: false alarms at most 1e-6."""
    model = toy(["a", "b"], seed=10)
    made = program(turn("text", "b", text(hole("q"))))
    languages = {"q": language(["a", "ab", "ba"], ("letter",), letters_of("a"))}
    rows = {context[0]: np.array(law) for context, law in table_of(model)}
    a, b, end = 0, 1, 2
    first = rows[b][a] / (rows[b][a] + rows[b][b])
    law = {
        "a": first * rows[a][end] / (rows[a][end] + rows[a][b]),
        "ab": first * rows[a][b] / (rows[a][end] + rows[a][b]),
        "ba": 1 - first,
    }
    runs = results(made, model, languages, Functions(), seeds=range(100), method="lcd", particles=20)
    assert_frequencies(Counter(value for posterior in runs for value in posterior.values), law, ALPHA)
    assert {posterior.target for posterior in runs} == {"biased"}
    assert runs[0].log_z is None


def table_of(model):
    return [(context, np.exp(model.log_rows[row])) for context, row in model._rows.items()]


def test_counter_numbers_are_uniform_and_independent_of_neighbours() -> None:
    """Cells of (step, slot) numbers, and of sums of neighbours: exact binomial tails, 1e-6 each."""
    size = 20_000
    keys = np.zeros(size, dtype=np.uint64)
    numbers = philox(keys, np.arange(size) // 100, np.arange(size) % 100, 0, 0)
    cells = Counter((numbers * 16).astype(int).tolist())
    assert_frequencies(cells, dict.fromkeys(range(16), 1 / 16), ALPHA)
    pairs = Counter((((numbers[:-1] + numbers[1:]) % 1.0)[::2] * 16).astype(int).tolist())
    assert_frequencies(pairs, dict.fromkeys(range(16), 1 / 16), ALPHA)
