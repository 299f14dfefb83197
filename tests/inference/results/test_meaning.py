"""Classes of values that mean the same, each factor's part, and the Pareto front."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest
from building import Functions, binary, branch, constant, each, factor, hole, program, text, turn
from exact import exact_means
from hypothesis import given
from hypothesis import strategies as st
from oracles.enumerated import language, letters_of
from running import enumerated, results, toy
from test_exactness import CASES

from smcdsl.errors import PotentialError
from smcdsl.inference.results.meaning import entropy, identity, not_dominated
from smcdsl.program.builtins import call_builtin
from smcdsl.program.types import ANY, BOOL, STR

TEXTS = ["a", "ab", "aab", "ba", "b"]


def keyed(key, functions: Functions, *factors, returns=None, languages=None):
    """A program whose values have a key, with what it runs on."""
    made = program(turn("text", "b", text(hole("q"))), *factors, returns=returns)
    made = replace(made, returns=replace(made.returns, key=key))
    return made, toy(["a", "b", "ab"]), {"q": language(languages or TEXTS)}, functions


def meaning_of(text: str) -> str:
    return "".join(sorted(set(text)))


def test_values_of_equal_keys_are_one_with_all_their_weight() -> None:
    functions = Functions()
    key = functions.add("key", meaning_of, STR, is_potential=False)
    good = functions.add("good", lambda q: 0.3 + len(q))
    case = keyed(key("q"), functions, factor("score", good("q")))
    for posterior in results(*case, seeds=range(20), particles=16):
        weights: dict = defaultdict(float)
        members: dict = defaultdict(lambda: defaultdict(float))
        for value, weight in zip(posterior.values, posterior.normalized_weights.tolist(), strict=True):
            if weight:
                weights[meaning_of(value)] += weight
                members[meaning_of(value)][value] += weight
        found = {item.key: item for item in posterior.support}
        assert found.keys() == weights.keys()
        for name, item in found.items():
            assert item.probability == pytest.approx(weights[name], rel=1e-12)
            assert item.value == max(members[name], key=members[name].get)
            assert {each.value: each.probability for each in item.members} == pytest.approx(members[name], rel=1e-12)
            assert item.members[0].value == item.value
        assert posterior.best == found[max(weights, key=weights.get)].value
        expected = -sum(weight * math.log(weight) for weight in weights.values())
        assert posterior.semantic_entropy == pytest.approx(expected, abs=1e-12)
        total = sum(math.exp(item.log_weight) for item in posterior.support)
        assert math.log(total) == pytest.approx(posterior.log_z, abs=1e-9)
        assert set(posterior.samples(200)) <= {item.value for item in posterior.support}


def test_the_mean_masses_of_classes_are_the_enumerated_ones() -> None:
    functions = Functions()
    key = functions.add("key", meaning_of, STR, is_potential=False)
    made, model, languages, functions = keyed(key("q"), functions)
    expected: dict = defaultdict(float)
    for name, mass in enumerated(made, model, languages, functions).items():
        expected[meaning_of(name[1]) if name != "Z" else name] += mass

    def masses(draws, groups):
        settings = {"seeds": [0] * groups, "draws": lambda salt: draws, "particles": 2, "ess_threshold": 1.0}
        runs = results(made, model, languages, functions, **settings)
        return [{item.key: math.exp(item.log_weight) for item in posterior.support} for posterior in runs]

    found = exact_means(masses)
    assert found.keys() == expected.keys() - {"Z"}
    for name, mass in found.items():
        assert mass == pytest.approx(expected[name], rel=1e-12, abs=0.0)


def test_a_consensus_can_beat_the_most_probable_value() -> None:
    functions = Functions()
    key = functions.add("key", lambda q: q[0], STR, is_potential=False)
    weights = {"a": 1.0, "aa": 1.0, "ab": 1.0, "b": 2.0}
    model = toy(["a", "b"], order=2)
    plain_case = program(turn("text", text(hole("q"))))
    prior = enumerated(plain_case, model, {"q": language(list(weights))}, functions)
    good = functions.add("good", lambda q: weights[q] / prior["value", q])
    made = program(turn("text", text(hole("q"))), factor("score", good("q")))
    (alone,) = results(made, model, {"q": language(list(weights))}, functions, particles=4000)
    made = replace(made, returns=replace(made.returns, key=key("q")))
    (merged,) = results(made, model, {"q": language(list(weights))}, functions, particles=4000)
    assert alone.best == "b"
    assert merged.best in ("a", "aa", "ab")
    own = [item.probability for item in alone.support if item.value[0] == "a"]
    assert merged.support[0].probability == pytest.approx(sum(own), rel=1e-12)
    assert alone.semantic_entropy is None


@pytest.mark.parametrize("method", ["smc", "is", "rejection", "rerank", "lcd"])
def test_every_method_has_classes(method: str) -> None:
    functions = Functions()
    key = functions.add("key", meaning_of, STR, is_potential=False)
    (posterior,) = results(*keyed(key("q"), functions), method=method, particles=12)
    assert {item.key for item in posterior.support} == {meaning_of(value) for value in posterior.values if value}
    assert sum(item.probability for item in posterior.support) == pytest.approx(1.0)


def test_a_value_without_a_key_stands_alone() -> None:
    functions = Functions()
    key = functions.add("key", lambda q: None if "b" in q else "x", STR)
    (posterior,) = results(*keyed(key("q"), functions), particles=200)
    alone = [item for item in posterior.support if item.key is None]
    assert {item.value for item in alone} == {value for value in posterior.values if value and "b" in value}
    assert len(alone) > 1
    assert posterior.calls["key"]["n"] > 0


def refuses_b(q: str) -> str:
    if "b" in q:
        raise ValueError("no b")
    return "x"


@pytest.mark.parametrize("result", [STR, ANY])
def test_a_key_that_fails_is_what_its_policy_says(result) -> None:
    functions = Functions()
    key = functions.add("key", refuses_b, result, on_error="zero")
    (posterior,) = results(*keyed(key("q"), functions), particles=200)
    assert len([item for item in posterior.support if item.key is None]) > 1
    assert posterior.calls["key"]["errors"] > 0
    functions = Functions()
    key = functions.add("key", refuses_b, result, on_error="one")
    (posterior,) = results(*keyed(key("q"), functions), particles=200)
    assert len(posterior.support) == 2
    functions = Functions()
    key = functions.add("key", refuses_b, result)
    with pytest.raises(PotentialError) as caught:
        results(*keyed(key("q"), functions), particles=200)
    assert caught.value.diagnostics[0].code == "R0903"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(-3, 3) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("xyz"), inner, max_size=3),
    max_leaves=6,
)


def same(left, right) -> bool:
    """By definition: numbers by value, no number is a yes, records whatever their order."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[name], right[name]) for name in left)
    return type(left) in (int, float, str, type(None)) and left == right


@given(VALUES, VALUES)
def test_equal_keys_have_one_identity(left, right) -> None:
    assert (identity(left) == identity(right)) == same(left, right)
    assert hash(identity(left)) == hash(identity(left))


def test_records_of_another_order_are_the_same_parsed_value() -> None:
    first, second = (call_builtin("parse_json", [text]) for text in ('{"a": 1, "b": [2]}', '{"b":[2.0], "a":1.0}'))
    assert identity(first) == identity(second)
    assert call_builtin("parse_json", ["{'a': 1}"]) is None
    assert call_builtin("parse_json", ["[NaN]"]) is None


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=12))
def test_the_front_is_what_no_other_row_beats(rows) -> None:
    scores = np.array(rows, dtype=float)
    expected = [not any(all(a >= b for a, b in zip(other, row)) and other != row for other in rows) for row in rows]
    assert not_dominated(scores).tolist() == expected


def test_entropy_of_equal_classes_is_the_log_of_their_number() -> None:
    assert entropy([0.25] * 4) == pytest.approx(math.log(4), rel=1e-12)
    assert entropy([1.0, 0.0]) == 0.0


def test_factors_carry_the_whole_weight_that_scores_gave() -> None:
    """Without scores a particle's weight is the local normalisers'; the rest is what the factors are said to be."""
    functions = Functions()
    first = functions.add("first", lambda q: 0.5 + q.count("a"), prefix="any")
    second = functions.add("second", lambda c: 2.0 if c == "a" else 0.3)
    scores = (
        factor("score", first("q"), "q.token"),
        each("score", second("c"), "c", "q.letter"),
        factor("score", first("q")),
    )
    spoken = language(["a", "ab", "abb", "ba"], ("letter",), letters_of("ab"))
    model = toy(["a", "b", "ab"], seed=2)
    made = program(turn("text", "b", text(hole("q"))), *scores)
    for method in ("smc", "is", "rerank"):
        (posterior,) = results(made, model, {"q": spoken}, functions, particles=64, method=method)
        assert posterior.factors == ("first", "second each c in q.letter", "first #2")
        for item in posterior.support:
            expected = [
                math.log(0.5 + item.value.count("a")),
                sum(math.log(2.0 if letter == "a" else 0.3) for letter in item.value),
                math.log(0.5 + item.value.count("a")),
            ]
            assert list(item.factors.values()) == pytest.approx(expected, abs=1e-12)
        for view in posterior.particles:
            if view.finished:
                assert view.factors == next(each.factors for each in posterior.support if each.value == view.value)
    (posterior,) = results(made, model, {"q": spoken}, functions, particles=4, method="lcd")
    assert posterior.factors == ()
    assert posterior.front == ()


def test_a_score_that_was_not_reached_counts_one() -> None:
    functions = Functions()
    good = functions.add("good", lambda q: 3.0)
    fine = functions.add("fine", lambda q: 0.5)
    has_b = functions.add("has_b", lambda q: "b" in q, BOOL, is_potential=False)
    made = program(
        turn("text", "b", text(hole("q"))),
        branch(has_b("q"), [factor("score", good("q"))]),
        factor("score", fine("q")),
    )
    (posterior,) = results(made, toy(["a", "b", "ab"]), {"q": language(TEXTS)}, functions, particles=64)
    for item in posterior.support:
        assert item.factors["good"] == (math.log(3.0) if "b" in item.value else 0.0)
    assert {item.value for item in posterior.front} == {item.value for item in posterior.support if "b" in item.value}


def test_factors_of_a_value_with_several_texts_are_their_mean() -> None:
    functions = Functions()
    good = functions.add("good", lambda q: 1.0 + len(q))
    made = program(
        turn("text", "b", text(hole("q"))), factor("score", good("q")), returns=binary("q", "<", constant("ab"))
    )
    (posterior,) = results(made, toy(["a", "b", "ab"]), {"q": language(TEXTS)}, functions, particles=300)
    for item in posterior.support:
        own = [slot for slot, value in enumerate(posterior.values) if value is item.value]
        weights = np.exp(posterior.log_weights[own])
        expected = np.log(np.average(np.exp(posterior.log_factors[own, 0]), weights=weights))
        assert item.factors["good"] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", ["loops", "two_holes_with_a_branch", "observed"])
def test_recording_factors_changes_no_weight(name: str) -> None:
    """The exact mean evidence stays the enumerated one (see test_exactness); here: factors and values agree."""
    case = CASES[name]()
    runs = results(case.program, case.model, case.languages, case.functions, case.inputs, particles=32)
    for posterior in runs:
        assert len(posterior.factors) == posterior.log_factors.shape[1]
        assert all(set(item.factors) == set(posterior.factors) for item in posterior.support)
