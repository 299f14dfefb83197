"""Tempered previews: the exponent that is chosen, and that no choice of it moves the mean evidence."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_attempts import run_case
from test_exactness import CASES, assert_same_masses
from test_refining import mixed, transcripts

from smcdsl.inference.sampler import Sampler
from smcdsl.inference.tempering import KEPT, tempered
from smcdsl.logspace import effective_sample_size

logs = st.lists(st.floats(-20.0, 5.0), min_size=4, max_size=4).map(np.array)


@given(logs, logs)
def test_the_exponent_is_as_large_as_leaves_enough(weights: Any, previews: Any) -> None:
    found = tempered(weights, previews)
    assert 0.0 <= found <= 1.0
    sizes = {tried: effective_sample_size(weights + tried * previews) for tried in (found, 1.0, 0.0)}
    if sizes[found] < KEPT * 4 - 1e-9:
        # Nothing leaves enough.
        assert max(sizes.values()) <= sizes[found] + 1e-9
    if 0.0 < found < 1.0 and sizes[found] >= KEPT * 4:
        assert effective_sample_size(weights + (found + 1e-6) * previews) < KEPT * 4 + 1e-3


def test_mild_previews_count_in_full_and_harsh_ones_for_less() -> None:
    flat = np.zeros(4)
    assert tempered(flat, np.array([0.1, 0.0, 0.0, 0.1])) == 1.0
    harsh = tempered(flat, np.array([30.0, 0.0, 0.0, 0.0]))
    assert 0.0 < harsh < 0.2
    assert effective_sample_size(harsh * np.array([30.0, 0.0, 0.0, 0.0])) == pytest.approx(2.0)


@pytest.mark.parametrize("temper", [0.0, 0.4, "auto"])
@pytest.mark.parametrize("name", ["previews", "guides", "occurrences"])
def test_the_mean_evidence_stays_the_enumerated_mass(name: str, temper: Any) -> None:
    case = CASES[name]()
    settings = {"particles": 2, "ess_threshold": 1.0, "stratified": False}
    assert_same_masses(case.exact(temper=temper, **settings), case.enumerated())


def test_so_it_does_where_successors_are_selected() -> None:
    case = CASES["guides"]()
    assert_same_masses(case.exact(temper=0.4, particles=2, proposal="select"), case.enumerated())


@pytest.mark.parametrize("temper", [0.4, "auto"])
def test_a_sweep_leaves_the_posterior_as_it_is(temper: Any) -> None:
    case = CASES["guides"]()
    law, found = transcripts(case), mixed(case, particles=2, ess_threshold=1.0, temper=temper)
    for path, probability in law.items():
        assert found.get(path, 0.0) == pytest.approx(probability, rel=1e-12, abs=0.0)


def test_an_exponent_that_moves_without_its_weight_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies chosen by tempered previews that leave the weight whole."""
    whole = Sampler.log_previews

    def half(self: Sampler, slots: Any) -> Any:
        called_for_all = len(slots) == len(self.particles.status) and self.step % 2 == 0
        return whole(self, slots) * (0.5 if called_for_all else 1.0)

    monkeypatch.setattr(Sampler, "log_previews", half)
    case = CASES["previews"]()
    with pytest.raises(AssertionError):
        assert_same_masses(case.exact(particles=2, ess_threshold=1.0, stratified=False), case.enumerated())


def test_exponent_one_is_the_run_without_tempering() -> None:
    case = CASES["previews"]()
    (plain,), (tempered,) = (run_case(case, [3], particles=8, **more) for more in ({}, {"temper": 1.0}))
    assert np.array_equal(plain.log_weights, tempered.log_weights)
