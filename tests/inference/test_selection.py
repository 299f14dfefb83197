"""Laws of selection among successors, and of the beam."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from building import Functions, factor, hole, program, text, turn
from hypothesis import given
from hypothesis import strategies as st
from oracles.enumerated import language
from running import enumerated, results, toy

from smcdsl.errors import UsageError
from smcdsl.inference.selection import best, merged, thin, thinning_breaks

log_weights = st.lists(
    st.sampled_from([-math.inf, -700.0, -30.0, 0.0]) | st.floats(-5, 5), min_size=1, max_size=12
).map(np.array)


@given(log_weights, st.integers(1, 12), st.floats(0, 1, exclude_max=True))
def test_thinning_fills_the_slots_and_never_keeps_what_has_no_weight(weights, number, offset):
    kept = thin(weights, number, offset)
    alive = int((weights > -np.inf).sum())
    assert len(kept.places) == min(alive, number)
    assert len(set(kept.places.tolist())) == len(kept.places)
    assert (np.diff(kept.places) > 0).all()
    assert (weights[kept.places] > -np.inf).all()
    # The kept are never lighter than they were, and the heaviest is what it was, or all the same.
    assert (kept.log_weights >= weights[kept.places] - 1e-9).all()


@given(log_weights, st.integers(1, 12))
def test_every_candidate_keeps_its_weight_in_the_mean(weights, number):
    """By visiting every interval of the offset."""
    breaks = np.asarray(thinning_breaks(weights, number), dtype=np.float64)
    edges = np.unique(np.concatenate([[0.0], breaks, [1.0]]))
    mean = np.zeros(len(weights))
    for low, high in pairwise(edges.tolist()):
        kept = thin(weights, number, (low + high) / 2)
        mean[kept.places] += (high - low) * np.exp(kept.log_weights)
    total = np.exp(weights).sum()
    np.testing.assert_allclose(mean, np.exp(weights), rtol=1e-9, atol=1e-12 * total)


@given(log_weights, st.integers(1, 12))
def test_the_best_are_the_heaviest(weights, number):
    kept = best(weights, number)
    alive = weights[weights > -np.inf]
    assert np.array_equal(np.sort(kept.log_weights)[::-1], np.sort(alive)[::-1][:number])
    assert np.array_equal(kept.log_weights, weights[kept.places])


def test_equal_places_add_their_weights():
    found = merged(np.log([1.0, 2.0, 3.0]), np.array([1, 0, 1]), 2)
    assert np.exp(found) == pytest.approx([2.0, 4.0])


TEXTS = ["a", "ab", "abb", "ba", "bab", "aab"]


def simple(*factors, power=1.0):
    return program(turn("text", "b", text(hole("q"))), *factors, power=power)


@pytest.mark.parametrize("method", [{"proposal": "select"}, {"method": "beam"}])
def test_with_a_slot_for_every_text_the_answer_is_exact(method):
    functions = Functions()
    good = functions.add("good", lambda q: 0.3 + q.count("b"))
    made, model = simple(factor("score", good("q"))), toy(["a", "b", "ab"], seed=4)
    expected = enumerated(made, model, {"q": language(TEXTS)}, functions)
    (posterior,) = results(made, model, {"q": language(TEXTS)}, functions, particles=64, **method)
    for item in posterior.support:
        assert item.probability == pytest.approx(expected["value", item.value] / expected["Z"], rel=1e-9)
    assert posterior.target == ("biased" if "method" in method else "exact")


def test_no_two_particles_of_a_selection_are_alike():
    made, model = simple(), toy(["a", "b", "ab"], seed=4)
    (posterior,) = results(made, model, {"q": language(TEXTS)}, Functions(), particles=4, proposal="select")
    spelled = [view.text for view in posterior.particles if view.finished]
    assert len(spelled) == posterior.finished.sum() > 1
    assert posterior.resamplings == 0
    assert posterior.warnings == ()


def test_a_beam_of_one_is_greedy():
    made, model = simple(), toy(["a", "b"], seed=11)
    (posterior,) = results(made, model, {"q": language(TEXTS)}, Functions(), particles=1, method="beam")
    # By hand: from "b" on, always the likeliest token that some text begins with; 2 is the end.
    rows = {context: np.exp(model.log_rows[number]) for context, number in model._rows.items()}
    written, last = "", 1
    while True:
        nexts = {2: 1.0} if written in TEXTS else {}
        nexts |= {token: 1.0 for token, letter in enumerate("ab") if any(t.startswith(written + letter) for t in TEXTS)}
        last = max(nexts, key=lambda token: rows[last,][token])
        if last == 2:
            break
        written += "ab"[last]
    assert posterior.best == written
    assert posterior.log_z is None


def test_only_smc_selects():
    with pytest.raises(UsageError, match="`is` draws one token a particle"):
        results(simple(), toy(["a", "b"]), {"q": language(TEXTS)}, Functions(), method="is", proposal="select")


def test_candidates_too_light_for_a_float_are_thinned_as_well():
    logs = np.array([-0.5, 0.0, -800.0, -801.0, -802.0, -800.5])
    means = np.zeros(4)
    offsets = (np.arange(2000) + 0.5) / 2000
    for offset in offsets.tolist():
        kept = thin(logs, 3, offset)
        assert kept.places.tolist()[:2] == [0, 1]
        assert len(kept.places) == 3
        assert kept.log_weights[:2] == pytest.approx(logs[:2])
        means[kept.places[2] - 2] += np.exp(kept.log_weights[2] + 800.0) / len(offsets)
    assert means == pytest.approx(np.exp(logs[2:] + 800.0), rel=0.01)
