"""The gate's arithmetic: p-values are calibrated, families are judged as Holm says, wrong means are found."""

from __future__ import annotations

import math

import numpy as np
import pytest
from frequencies import binomial_tail
from hypothesis import given
from hypothesis import strategies as st

from smcdsl.inference.gate import (
    ALPHA,
    CONCLUSIVE,
    effective_count,
    functionals,
    hall_p_value,
    holm,
    judge,
)

MASSES = {text: 0.7 ** len(text) * (1 + text.count("b")) for text in ("a", "b", "ab", "ba", "aab", "abb", "bbb")}


def draws(number: int, seed: int, masses=MASSES, scale: float = 1.0, spread: float = 0.5) -> list[dict[str, float]]:
    """Runs of an estimator whose mean is `scale` times the masses: one value a run, with a log-normal weight."""
    generator = np.random.default_rng(seed)
    names, total = list(masses), sum(masses.values())
    picks = generator.choice(len(names), size=number, p=[mass / total for mass in masses.values()])
    weights = total * scale * np.exp(spread * generator.standard_normal(number) - spread**2 / 2)
    return [{names[pick]: weight} for pick, weight in zip(picks.tolist(), weights.tolist(), strict=True)]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.sampled_from([0.05, 0.3]))
def test_holm_rejects_what_its_definition_rejects(p_values: list[float], alpha: float) -> None:
    order = sorted(p_values)
    kept = next((rank for rank, p in enumerate(order) if p > alpha / (len(order) - rank)), len(order))
    rejected = holm(p_values, alpha)
    assert sum(rejected) == kept
    assert all(p <= order[kept - 1] for p, wrong in zip(p_values, rejected, strict=True) if wrong)


@pytest.mark.statistical
def test_p_values_of_skewed_means_are_uniform_enough() -> None:
    """Log-normal weights of sigma 1, 1000 a mean. Exact binomial tail of 4000 p-values below 0.01 at twice that, 1e-6.

    The plain z-test fails this: on the low side it rejects several times too often.
    """
    generator = np.random.default_rng(3)
    values = np.exp(generator.standard_normal((4000, 1000)) - 0.5)
    p_values = [hall_p_value(row, 1.0) for row in values]
    small = sum(p < 0.01 for p in p_values)
    assert small <= 80 or binomial_tail(small, 4000, 0.02) > 1e-6
    assert small >= 20 or binomial_tail(small, 4000, 0.005) > 1e-6
    plain = np.array([(row.mean() - 1.0) / row.std() * math.sqrt(1000) for row in values])
    assert binomial_tail(int((plain < -2.576).sum()), 4000, 0.005) < 1e-6


def test_constants_are_tested_by_their_value() -> None:
    assert hall_p_value([2.0] * 50, 2.0) == 1.0
    assert hall_p_value([2.0] * 50, 2.0 * (1 + 1e-8)) == 0.0


@given(st.lists(st.just(0.0) | st.floats(1e-6, 1e6), min_size=1, max_size=30), st.floats(1e-100, 1e100))
def test_the_effective_count_does_not_depend_on_the_scale(values: list[float], scale: float) -> None:
    count = effective_count(values)
    assert 0 <= count <= len(values) * (1 + 1e-9)
    assert effective_count([value * scale for value in values]) == pytest.approx(count, rel=1e-6)


def test_a_right_sampler_passes_and_a_slightly_wrong_one_does_not() -> None:
    assert judge(MASSES, draws(4000, 1)).passed
    wrong = judge(MASSES, draws(4000, 1, scale=1.1))
    assert wrong.conclusive
    assert "Z" in [finding.name for finding in wrong.rejected]


def test_a_sampler_with_the_right_evidence_and_a_wrong_law_does_not_pass() -> None:
    tilted = {text: mass * (1.15 if text.startswith("a") else 1.0) for text, mass in MASSES.items()}
    factor = sum(MASSES.values()) / sum(tilted.values())
    judgement = judge(MASSES, draws(12000, 2, {text: mass * factor for text, mass in tilted.items()}))
    assert not judgement.findings[0].rejected
    assert judgement.rejected


def test_a_mean_that_few_runs_carry_is_inconclusive_and_does_not_pass() -> None:
    runs = [{"a": 0.0}] * 1990 + [{"a": 100.0}] * 10
    judgement = judge({"a": 0.5}, runs)
    assert judgement.findings[0].effective == pytest.approx(10)
    assert judgement.findings[0].effective < CONCLUSIVE
    assert not judgement.conclusive
    assert not judgement.passed
    assert str(judgement).startswith("inconclusive")


def test_a_value_that_has_no_mass_does_not_pass() -> None:
    judgement = judge(MASSES, [*draws(100, 1), {"zz": 1e-9}])
    assert judgement.impossible == ("zz",)
    assert not judgement.passed


def test_there_are_about_forty_functionals_none_of_them_rare() -> None:
    masses = {f"{letter}{number}": 1.0 + number for number in range(30) for letter in "abc"}
    chosen = functionals(masses)
    assert chosen[0].name == "Z"
    assert 28 <= len(chosen) <= 60
    total = sum(masses.values())
    exact = np.array(list(masses.values()))
    assert all(0.02 <= exact[f.members].sum() / total <= 0.98 for f in chosen[1:])
    assert [f.name for f in functionals(masses)] == [f.name for f in chosen]


def test_alpha_is_one_in_a_million() -> None:
    """Of 100 gates of a right sampler none fails."""
    assert ALPHA == 1e-6
    assert all(judge(MASSES, draws(600, seed)).passed for seed in range(100))
