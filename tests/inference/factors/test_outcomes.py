"""What potentials may answer within a run: a score, nothing yet, and what must stop the run."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from building import Functions, binary, constant, each, factor, hole, program, text, turn
from oracles.enumerated import language, letters_of
from running import enumerated, exact_evidence, results, toy

from smcdsl.errors import NoSurvivors, PotentialError
from smcdsl.program.types import BOOL, WEIGHT, Type
from smcdsl.protocols import Facts, Potential
from smcdsl.vocabulary import Vocabulary

SPOKEN = {"q": language(["a", "ab", "abb", "ba", "aab"], ("letter",), letters_of("ab"))}


def simple(*factors: Any, prompt: str = "b") -> Any:
    return program(turn("text", prompt, text(hole("q"))), *factors)


def with_prefix_form(whole: Callable[..., Any], form: str, result: Type = WEIGHT) -> tuple[Functions, Any]:
    functions = Functions()
    made = functions.add("judge", whole, result, prefix="any")
    functions.functions["judge"] = Potential(whole, Facts(prefix="any"), "judge", prefix_form=form)
    return functions, made


# Undetermined.


def length(q: str) -> float:
    return len(q) / 3


def length_of_one(q: str) -> float | None:
    return 1 / 3 if len(q) == 1 else None


def never_yet(q: str) -> None:
    return None


def not_ab(q: str) -> bool:
    return not q.startswith("ab")


def not_ab_yet(q: str) -> bool | None:
    return None if len(q) < 2 else not q.startswith("ab")


@pytest.mark.parametrize(
    ("whole", "form", "verb", "result"),
    [
        (length, "length_of_one", "score", WEIGHT),
        (length, "never_yet", "score", WEIGHT),
        (not_ab, "not_ab_yet", "require", BOOL),
        (not_ab, "never_yet", "require", BOOL),
    ],
)
def test_nothing_yet_changes_no_evidence(whole: Any, form: str, verb: str, result: Type) -> None:
    functions, judge = with_prefix_form(whole, form, result)
    made = simple(factor(verb, judge("q"), "q.token"))
    model = toy(["a", "b"], seed=1)
    found = exact_evidence(made, model, SPOKEN, functions, particles=2, ess_threshold=1.0, resample="multinomial")
    expected = enumerated(made, model, SPOKEN, functions)
    assert found["Z"] == pytest.approx(expected["Z"], rel=1e-12)
    for key, mass in expected.items():
        assert found[key] == pytest.approx(mass, rel=1e-12, abs=0.0), key


def test_nothing_yet_is_a_factor_of_one_and_counted() -> None:
    functions, judge = with_prefix_form(length, "never_yet")
    made = simple(factor("score", judge("q"), "q.token"))
    seen: list[Any] = []
    (posterior,) = results(made, toy(["a", "b"]), SPOKEN, functions, particles=8, ess_threshold=0.0, events=seen.append)
    calls = posterior.calls["judge"]
    texts = {view.text for view in posterior.particles}
    prefixes = {finished[:end] for finished in texts for end in range(1, len(finished) + 1)}
    assert calls["undetermined"] == len(prefixes)
    assert calls["errors"] == 0


def test_a_sure_no_beside_nothing_yet_is_a_no() -> None:
    functions, judge = with_prefix_form(not_ab, "never_yet", BOOL)
    other = functions.add("other", lambda q: not q.startswith("b"), BOOL, prefix="any")
    both = binary(judge("q"), "and", other("q"))
    made = simple(factor("require", both, "q.token"))
    (posterior,) = results(
        made, toy(["a", "b"], seed=2), SPOKEN, functions, particles=32, ess_threshold=0.0, proposal="mask"
    )
    refused = [view for view in posterior.particles if view.text.startswith("b") and not view.finished]
    assert refused
    assert {view.text for view in refused} == {"b"}


def test_a_zero_beside_nothing_yet_is_zero() -> None:
    functions, judge = with_prefix_form(length, "never_yet")
    other = functions.add("other", lambda q: 0.0 if q.startswith("b") else 2.0, prefix="any")
    made = simple(factor("score", binary(judge("q"), "*", other("q")), "q.token"))
    (posterior,) = results(made, toy(["a", "b"], seed=2), SPOKEN, functions, particles=32, ess_threshold=0.0)
    assert {view.text for view in posterior.particles if not view.finished} == {"b"}


def test_nothing_for_a_complete_value_is_an_error() -> None:
    functions, judge = with_prefix_form(never_yet, "never_yet")
    made = simple(factor("score", judge("q"), "q.token"))
    with pytest.raises(PotentialError, match="`judge` returned nothing, not a number") as caught:
        results(made, toy(["a", "b"]), SPOKEN, functions, particles=4)
    assert "at the end" in caught.value.diagnostics[0].labels[0].text


def test_nothing_for_a_complete_part_is_an_error() -> None:
    functions = Functions()
    judge = functions.add("judge", never_yet, prefix="any")
    made = simple(each("score", judge("c"), "c", "q.letter"))
    with pytest.raises(PotentialError, match="returned nothing"):
        results(made, toy(["a", "b"]), SPOKEN, functions, particles=4)


# What must stop the run.


@pytest.mark.parametrize("value", [math.nan, math.inf, "high", [1.0], None])
def test_what_is_no_weight_names_potential_particle_place_and_text(value: Any) -> None:
    functions = Functions()
    judge = functions.add("judge", lambda q: value if len(q) == 2 else 1.0, prefix="any")
    made = simple(factor("score", judge("q"), "q.letter"))
    if value is None:
        made = simple(factor("score", judge("q")))
    with pytest.raises(PotentialError) as caught:
        results(made, toy(["a", "b"]), SPOKEN, functions, particles=16)
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == "R0904"
    assert diagnostic.message.startswith("`judge` returned ")
    place = "at letter 2 of `q`" if value is not None else "at the end"
    said = diagnostic.labels[0].text
    assert said.startswith('for p0 = "')
    assert ", on particle " in said
    assert said.endswith(place)


def test_the_particle_that_is_named_has_that_text() -> None:
    functions = Functions()
    judge = functions.add("judge", lambda q: math.nan if q == "ba" else 1.0)
    made = simple(factor("score", judge("q")))
    model = toy(["a", "b"], seed=4)
    settings = {"particles": 16, "ess_threshold": 0.0}
    with pytest.raises(PotentialError) as caught:
        results(made, model, SPOKEN, functions, **settings)
    said = caught.value.diagnostics[0].labels[0].text
    named = int(said.partition("on particle ")[2].partition(",")[0])
    functions.functions["judge"] = Potential(lambda q: 1.0, Facts(), "judge")
    (posterior,) = results(made, model, SPOKEN, functions, **settings)
    assert posterior.particles[named].text == "ba"
    assert all(view.text != "ba" for view in posterior.particles[:named])


def test_raising_on_the_third_call_keeps_what_had_finished() -> None:
    functions = Functions()
    seen: list[str] = []

    def third(q: str) -> float:
        seen.append(q)
        if len(seen) == 3:
            raise RuntimeError("out of luck")
        return 0.5

    judge = functions.add("judge", third)
    made = simple(factor("score", judge("q")))
    with pytest.raises(PotentialError) as caught:
        results(made, toy(["a", "b"], seed=1), SPOKEN, functions, particles=32)
    assert caught.value.diagnostics[0].code == "R0903"
    assert caught.value.arguments == (seen[2],)
    (partial,) = caught.value.partial
    assert not partial.complete
    assert {value for value in partial.values if value is not None} == set(seen[:2])
    assert len(seen) == 3
    finished = [view for view in partial.particles if view.finished]
    assert finished
    assert all(view.log_weight > -math.inf and view.text in seen[:2] for view in finished)


def test_rejection_keeps_what_it_had_accepted() -> None:
    functions = Functions()

    def choosy(q: str) -> bool:
        if q == "aab":
            raise RuntimeError("out of luck")
        return q == "a"

    judge = functions.add("judge", choosy, BOOL)
    made = simple(factor("require", judge("q")))
    kept: set[Any] = set()
    for seed in range(20):
        with pytest.raises(PotentialError) as caught:
            results(made, toy(["a", "b"], seed=1), SPOKEN, functions, method="rejection", particles=40, seeds=[seed])
        (partial,) = caught.value.partial
        assert not partial.complete
        kept |= set(partial.values)
    assert kept <= {"a", None}
    assert "a" in kept


def test_one_prefix_in_fifty_particles_is_one_call() -> None:
    functions = Functions()
    judge = functions.add("judge", lambda q: 1.0, prefix="any")
    made = simple(factor("score", judge("q"), "q.token"))
    model = toy(["a", "b"])
    (posterior,) = results(made, model, {"q": language(["ab"])}, functions, particles=50, proposal="mask")
    # `a`, `ab` as prefixes, and `ab` as a whole.
    assert functions.calls == {"judge": 3}
    assert (posterior.calls["judge"]["n"], posterior.calls["judge"]["cached"]) == (150, 147)


# Nobody survives.


def test_no_survivors_name_who_killed_each_and_how_far_the_best_came() -> None:
    functions = Functions()
    no_b = functions.add("no_b", lambda q: not q.startswith("b"), BOOL, prefix="any")
    no_abb = functions.add("short", lambda q: len(q) < 2, BOOL, prefix="any")
    made = simple(factor("require", no_b("q"), "q.token"), factor("require", no_abb("q"), "q.token"))
    words = {"q": language(["abb", "ba"], ("letter",), letters_of("ab"))}
    (posterior,) = results(made, toy(["a", "b"], seed=2), words, functions, particles=16, ess_threshold=0.0)
    assert isinstance(posterior.failure, NoSurvivors)
    causes = {view.slot: view.cause for view in posterior.failure.partial.particles}
    assert len(causes) == 16
    assert {"no_b" if view.text == "b" else "short" for view in posterior.particles} == set(causes.values())
    assert all(causes[view.slot] == ("no_b" if view.text == "b" else "short") for view in posterior.particles)
    (diagnostic,) = posterior.failure.diagnostics
    assert diagnostic.notes == ("the last survivor was: ab", "the longest text that passed so far was: a")
    assert posterior.failure.deaths == {name: list(causes.values()).count(name) for name in set(causes.values())}


# Characters of several bytes.


@pytest.mark.parametrize("boundary", ["q.token", "q.letter"])
def test_a_prefix_that_ends_inside_a_character_is_held_back(boundary: str) -> None:
    functions = Functions()
    seen: set[str] = set()

    def judge(q: str) -> float:
        seen.add(q)
        return 1.0

    made_judge = functions.add("judge", judge, prefix="any")
    made = simple(factor("score", made_judge("q"), boundary), prompt="a")
    model = toy(["a", "b", "c", "d"], seed=3)
    euro = "€".encode()
    model.vocabulary = Vocabulary((b"a", euro[:1], euro[1:2], euro[2:], b""), (4,))
    words = {"q": language(["a€", "€a€"], ("letter",), letters_of("a"))}
    (posterior,) = results(made, model, words, functions, particles=32)
    assert {value for value in posterior.values if value} <= {"a€", "€a€"}
    assert seen - {""} <= {"a", "a€", "€", "€a", "€a€"}
    assert {"a€", "€a€"} & seen


def test_a_failure_in_a_preview_says_so_with_what_is_held_back_left_out() -> None:
    functions = Functions()
    judge = functions.add("judge", lambda q: math.nan if q == "€" else 1.0, prefix="any")
    made = simple(factor("score", binary(judge("q"), "*", constant(1.0)), "q.token"), prompt="a")
    model = toy(["a", "b", "c", "d"], seed=3)
    euro = "€".encode()
    model.vocabulary = Vocabulary((b"a", euro[:1], euro[1:2], euro[2:], b""), (4,))
    with pytest.raises(PotentialError) as caught:
        results(made, model, {"q": language(["€a€"])}, functions, particles=4)
    assert caught.value.diagnostics[0].labels[0].text == 'for p0 = "€", on particle 0, in `q`'
