"""What a run gives: results, events, budgets, failures."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from building import Functions, binary, constant, factor, hole, program, text, turn
from oracles.enumerated import language, letters_of
from running import automata, enumerated, exact_evidence, results, toy
from test_exactness import CASES

from smcdsl.compiler.compile import compile_program
from smcdsl.errors import BudgetExceeded, NoSurvivors, PotentialError, UsageError
from smcdsl.inference.events import Died, Finished, Resampled, Site, Started
from smcdsl.inference.methods import Interrupted, RunRequest, Settings, run
from smcdsl.program.program import InferenceProfile
from smcdsl.program.types import BOOL


def simple(functions: Functions, *factors: Any, power: float = 1.0) -> Any:
    return program(turn("text", "b", text(hole("q"))), *factors, power=power)


SPOKEN = {"q": language(["a", "ab", "abb", "ba", "aab"], ("letter",), letters_of("ab"))}


@pytest.mark.parametrize("name", CASES)
def test_a_groups_result_does_not_depend_on_the_other_groups(name: str) -> None:
    case = CASES[name]()
    seeds = [3, 1, 4, 1, 5]
    together = results(case.program, case.model, case.languages, case.functions, case.inputs, seeds, particles=6)
    for seed, posterior in zip(seeds, together, strict=True):
        (alone,) = results(case.program, case.model, case.languages, case.functions, case.inputs, [seed], particles=6)
        assert alone.values == posterior.values
        np.testing.assert_array_equal(alone.log_weights, posterior.log_weights)
        assert [view.text for view in alone.particles] == [view.text for view in posterior.particles]


def test_every_particle_is_shown_with_its_text_and_weight() -> None:
    functions = Functions()
    allowed = functions.add("allowed", lambda q: len(q) != 2, BOOL)
    made = simple(functions, factor("require", allowed("q")))
    (posterior,) = results(made, toy(["a", "b"], seed=12), SPOKEN, functions, particles=64, method="is")
    views = posterior.particles
    assert len(views) == 64
    dead = [view for view in views if not view.finished]
    assert dead
    assert all(view.cause == "allowed" and view.log_weight == -math.inf for view in dead)
    assert {view.holes["q"] for view in dead} <= {"ab", "ba"}
    assert all(view.text == view.value == view.holes["q"] for view in views if view.finished)
    weights = [view.log_weight for view in views]
    assert posterior.log_z == pytest.approx(math.log(np.mean(np.exp(weights))))
    assert posterior.deaths == {"allowed": len(dead)}


def test_probabilities_of_values_sum_to_one_and_log_weights_to_the_evidence() -> None:
    case = CASES["previews"]()
    (posterior,) = results(case.program, case.model, case.languages, case.functions, seeds=[2], particles=40)
    assert sum(item.probability for item in posterior.support) == pytest.approx(1)
    assert math.log(sum(math.exp(item.log_weight) for item in posterior.support)) == pytest.approx(posterior.log_z)
    assert posterior.best == posterior.support[0].value
    assert set(posterior.samples(100)) <= {item.value for item in posterior.support}
    assert posterior.samples(5) == posterior.samples(5)


def test_no_survivors_says_who_removed_how_many() -> None:
    functions = Functions()
    never = functions.add("never", lambda q: False, BOOL)
    made = simple(functions, factor("require", never("q")))
    (posterior,) = results(made, toy(["a", "b"]), SPOKEN, functions, particles=4)
    assert isinstance(posterior.failure, NoSurvivors)
    assert posterior.log_z == -math.inf
    assert posterior.best is None
    assert posterior.failure.deaths == {"never": 4}
    (diagnostic,) = posterior.failure.diagnostics
    assert diagnostic.code == "R0901"
    assert diagnostic.labels[0].text == "removed 4 of 4 particles, the last one at the end"
    assert diagnostic.notes[0].startswith("the last survivor was: ")


def test_a_refused_preview_kills_early_and_says_where() -> None:
    functions = Functions()
    never = functions.add("never", lambda q: False, BOOL, prefix="closed")
    made = simple(functions, factor("require", never("q"), "q.letter"))
    (posterior,) = results(made, toy(["a", "b"]), SPOKEN, functions, particles=4)
    assert isinstance(posterior.failure, NoSurvivors)
    assert "at letter 1 of `q`" in posterior.failure.diagnostics[0].labels[0].text
    assert posterior.tokens["target"] == 4


def test_a_guide_of_zero_kills_nobody() -> None:
    functions = Functions()
    never = functions.add("never", lambda q: False, BOOL, prefix="any")
    made = simple(functions, factor("guide", never("q"), "q.token"))
    (posterior,) = results(made, toy(["a", "b"]), SPOKEN, functions, particles=8)
    assert posterior.deaths == {}
    assert posterior.failure is None


def test_a_guide_that_names_no_hole_still_makes_particles_meet_at_its_boundary() -> None:
    functions = Functions()
    for guides in ([], [factor("guide", constant(1), "q.letter")]):
        events: list[Any] = []
        made = simple(functions, *guides)
        results(made, toy(["a", "b"]), SPOKEN, functions, particles=4, events=events.append)
        sites = sum(isinstance(event, Site) for event in events)
        assert sites == 2 if not guides else sites > 2, "without it at the program's start and end only"


def test_a_composed_preview_kills_only_if_its_potential_promised_zero() -> None:
    functions = Functions()
    length = functions.add("length", lambda q: len(q) / 2, prefix="any")
    made = simple(functions, factor("require", binary(length("q"), ">", constant(0.6)), "q.token"))
    model = toy(["a", "b"])
    expected = enumerated(made, model, SPOKEN, functions)["Z"]
    found = exact_evidence(made, model, SPOKEN, functions, particles=2, ess_threshold=1.0)["Z"]
    assert found == pytest.approx(expected, rel=1e-12, abs=0.0)


def test_a_contradicting_preview_is_reported() -> None:
    functions = Functions()
    moody = functions.add("moody", lambda q: len(q) != 2, BOOL, prefix="any")
    made = simple(functions, factor("require", moody("q"), "q.token"))
    model = toy(["a", "b", "abb"], seed=3)
    with pytest.raises(PotentialError) as caught:
        results(made, model, {"q": language(["abb", "ab"])}, functions, seeds=range(60), particles=8)
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == "R0905"
    assert diagnostic.labels[0].text == 'said no to the prefix "ab" but yes to the finished "abb"'


def test_running_out_of_tokens_gives_an_incomplete_result() -> None:
    functions = Functions()
    made = simple(functions)
    (posterior,) = results(made, toy(["a", "b"]), SPOKEN, functions, particles=64, max_tokens=2)
    assert not posterior.complete
    assert isinstance(posterior.failure, BudgetExceeded)
    assert posterior.failure.diagnostics[0].code == "R0906"
    assert posterior.failure.partial.values == posterior.values
    assert {view.tokens for view in posterior.particles} == {2}
    assert {value for value in posterior.values if value} == {"a"}
    assert posterior.deaths["budget"] == sum(value is None for value in posterior.values)


def test_running_out_of_time_gives_an_incomplete_result() -> None:
    functions = Functions()
    slow = functions.add("slow", lambda q: time.sleep(0.02) or True, BOOL, prefix="any")
    made = simple(functions, factor("require", slow("q"), "q.token"))
    (posterior,) = results(made, toy(["a", "b"]), SPOKEN, functions, particles=8, timeout_seconds=0.01)
    assert not posterior.complete
    assert isinstance(posterior.failure, BudgetExceeded)
    assert "within 0.01 s" in posterior.failure.diagnostics[0].facts[0]


def test_a_potential_that_hangs_does_not_outlast_the_time_limit() -> None:
    functions = Functions()
    released = threading.Event()
    hangs = functions.add("hangs", lambda q: released.wait(), BOOL)
    made = simple(functions, factor("require", hangs("q")))
    (posterior,) = results(made, toy(["a", "b"]), SPOKEN, functions, particles=8, timeout_seconds=0.2)
    released.set()
    assert not posterior.complete
    assert isinstance(posterior.failure, BudgetExceeded)


def test_a_particle_that_fills_the_context_dies_of_the_budget() -> None:
    made = simple(Functions())
    model = toy(["a", "b"], context_length=3)
    (posterior,) = results(made, model, SPOKEN, Functions(), particles=32)
    assert not posterior.complete
    assert posterior.failure is not None
    assert posterior.failure.diagnostics[0].message == "out of context"


def test_a_prompt_that_does_not_fit_is_refused() -> None:
    made = program(turn("text", "abababab", text(hole("q"))))
    with pytest.raises(UsageError, match="E0805"):
        results(made, toy(["a", "b"], context_length=8), SPOKEN, Functions())


def test_a_score_above_one_cannot_be_rejected_on() -> None:
    functions = Functions()
    large = functions.add("large", lambda q: 2.0e3)
    made = simple(functions, factor("score", large("q")))
    with pytest.raises(UsageError, match="E0703"):
        results(made, toy(["a", "b"]), SPOKEN, functions, method="rejection", particles=2)


def test_rejection_that_never_accepts_runs_out_of_time() -> None:
    functions = Functions()
    never = functions.add("never", lambda q: False, BOOL)
    made = simple(functions, factor("require", never("q")))
    (posterior,) = results(
        made, toy(["a", "b"]), SPOKEN, functions, method="rejection", particles=2, timeout_seconds=0.5
    )
    assert not posterior.complete
    assert isinstance(posterior.failure, BudgetExceeded)
    assert posterior.tries


def test_rejections_weights_are_equal_and_average_to_the_evidence() -> None:
    (posterior,) = results(simple(Functions()), toy(["a", "b"]), SPOKEN, Functions(), method="rejection", particles=9)
    assert len(set(posterior.log_weights.tolist())) == 1
    assert math.log(sum(math.exp(item.log_weight) for item in posterior.support)) == pytest.approx(posterior.log_z)
    assert all(view.log_weight == pytest.approx(posterior.log_z) for view in posterior.particles)
    assert posterior.tries is not None
    assert posterior.expected_tries == pytest.approx((posterior.tries - 1) / 8)
    assert posterior.seconds["bookkeeping"] >= 0


def test_rejection_that_never_accepts_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smcdsl.inference.rejection._MAX_ROUNDS", 5)
    functions = Functions()
    never = functions.add("never", lambda q: False, BOOL)
    made = simple(functions, factor("require", never("q")))
    (posterior,) = results(made, toy(["a", "b"]), SPOKEN, functions, method="rejection", particles=2)
    assert isinstance(posterior.failure, BudgetExceeded)
    assert posterior.failure.diagnostics[0].facts[0].startswith("0 of 2 particles finished in 10 complete draws")


def test_rerank_weighs_locally_constrained_samples_by_the_factors() -> None:
    functions = Functions()
    good = functions.add("good", lambda q: 0.25 * len(q))
    made = simple(functions, factor("score", good("q")))
    (posterior,) = results(made, toy(["a", "b"]), SPOKEN, functions, method="rerank", particles=20)
    assert posterior.target == "biased"
    assert "`rerank`" in posterior.target_reason
    expected = [math.log(0.25 * len(value)) for value in posterior.values]
    np.testing.assert_allclose(posterior.log_weights, expected)


def test_lcd_calls_no_factor_and_gives_one_sample() -> None:
    functions = Functions()
    never = functions.add("never", lambda q: False, BOOL)
    made = simple(functions, factor("require", never("q")))
    settings = Settings.of(InferenceProfile(method="lcd"))
    assert settings.particles == 1
    (posterior,) = results(made, toy(["a", "b"]), SPOKEN, functions, method="lcd", particles=1)
    assert posterior.best in {"a", "ab", "abb", "ba", "aab"}
    assert functions.calls == {}


def test_equal_arguments_are_judged_once_and_counted() -> None:
    functions = Functions()
    good = functions.add("good", lambda q: 0.5)
    made = simple(functions, factor("score", good("q")))
    (posterior,) = results(made, toy(["a", "b"]), SPOKEN, functions, particles=50)
    distinct = len({view.holes["q"] for view in posterior.particles})
    counts = posterior.calls["good"]
    assert counts["n"] == 50
    assert counts["cached"] == 50 - distinct
    assert functions.calls["good"] == distinct


def test_impure_potentials_are_called_for_every_particle() -> None:
    functions = Functions()
    numbers = iter(range(1, 1000))
    noise = functions.add("noise", lambda q: float(next(numbers)), pure=False)
    made = simple(functions, factor("score", noise("q")))
    results(made, toy(["a", "b"]), SPOKEN, functions, particles=50)
    assert functions.calls["noise"] == 50


def test_events_tell_the_story_of_a_run() -> None:
    case = CASES["previews"]()
    events: list[Any] = []
    (posterior,) = results(
        case.program, case.model, case.languages, case.functions, seeds=[2], particles=8, events=events.append
    )
    assert isinstance(events[0], Started)
    assert isinstance(events[-1], Finished)
    assert events[-1].log_z == posterior.log_z
    sites = [event for event in events if isinstance(event, Site)]
    assert all(len(site.texts) == len(site.log_weights) == 8 for site in sites)
    assert sum(isinstance(event, Resampled) for event in events) == posterior.resamplings
    assert sum(isinstance(event, Died) for event in events) == sum(posterior.deaths.values())
    assert all(event.as_json()["event"] == event.name for event in events)


def test_an_interrupted_run_leaves_what_it_has() -> None:
    functions = Functions()

    def interrupt(q: str) -> float:
        if len(q) > 1:
            raise KeyboardInterrupt
        return 1.0

    stop = functions.add("stop", interrupt, prefix="any")
    made = simple(functions, factor("score", stop("q"), "q.token"))
    with pytest.raises(Interrupted) as caught:
        results(made, toy(["a", "b"]), SPOKEN, functions, particles=64)
    (partial,) = caught.value.partial
    assert not partial.complete
    assert {value for value in partial.values if value is not None} <= {"a"}


def test_one_heavy_particle_is_warned_about() -> None:
    functions = Functions()
    steep = functions.add("steep", lambda q: math.exp(-20 * len(q)))
    made = simple(functions, factor("score", steep("q")))
    languages = {"q": language(["a", "ab", "abbb", "baaaaa", "aaabb"])}
    runs = results(made, toy(["a", "b"], seed=11), languages, functions, seeds=range(30), particles=4)
    warned = [posterior for posterior in runs if posterior.warnings]
    assert warned
    for posterior in warned:
        assert posterior.warnings[0].code == "R0902"
        assert posterior.normalized_weights.max() > 0.95


ALL_SHORT = {"q": language(["".join(letters) for n in range(1, 4) for letters in product("ab", repeat=n)])}
NO_FACTOR = "no factor did this: the grammar forbids most of what the model would write"


def collapse_notes(functions: Functions, *factors: Any, languages: Any = ALL_SHORT, **settings: Any) -> set[str]:
    made = simple(functions, *factors)
    runs = results(made, toy(["a", "b"], seed=11), languages, functions, seeds=range(60), particles=4, **settings)
    return {note for posterior in runs for warning in posterior.warnings for note in warning.notes}


def test_a_collapse_is_laid_to_the_steepest_factor() -> None:
    functions = Functions()
    flat = functions.add("flat", lambda q: math.exp(-0.1 * len(q)))
    steep = functions.add("steep", lambda q: math.exp(-20 * q.count("b")), prefix="any")
    factors = [factor("score", flat("q")), factor("score", steep("q"), "q.token"), factor("score", flat("q"))]
    assert collapse_notes(functions, *factors, method="is") == {
        "the weight collapsed at `score steep` (line 1), at the end"
    }
    # With previews the first letters tell.
    assert collapse_notes(functions, *factors, ess_threshold=0.0) == {
        "the weight collapsed at `score steep` (line 1), in `q`",
        "the weight collapsed at `score steep` (line 1), at the end",
    }


def test_a_collapse_by_deaths_is_laid_to_what_removed_the_others() -> None:
    functions = Functions()
    short = functions.add("short", lambda q: len(q) < 2, BOOL)
    flat = functions.add("flat", lambda q: math.exp(-0.1 * len(q)))
    assert collapse_notes(functions, factor("require", short("q")), factor("score", flat("q"))) == {
        "the weight collapsed at `require short` (line 1), at the end"
    }


def test_a_collapse_that_no_factor_made_says_so() -> None:
    languages = {"q": language(["aaaaaaaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbbbbbbb", "b"])}
    flat = Functions().add("flat", lambda q: 1.0)
    for factors in ([], [factor("score", flat("q"))]):
        functions = Functions()
        functions.add("flat", lambda q: 1.0)
        assert collapse_notes(functions, *factors, languages=languages, method="is") == {NO_FACTOR}


def test_the_warning_advises_a_lower_power() -> None:
    functions = Functions()
    steep = functions.add("steep", lambda q: math.exp(-20 * len(q)))
    advice = set()
    for power in (3, 1, 0.5):
        made = simple(functions, factor("score", binary(steep("q"), "^", constant(power))))
        runs = results(made, toy(["a", "b"], seed=11), ALL_SHORT, functions, seeds=range(20), particles=4)
        advice |= {warning.help.split(",")[0] for posterior in runs for warning in posterior.warnings}
    assert advice == {"try `^ 1`", "try `^ 0.5`", "try `^ 0.25`"}


def test_a_probability_never_exceeds_one() -> None:
    functions = Functions()
    for count in (3, 6, 7, 11, 13):
        weigh = functions.add("weigh", lambda q: 0.1 + len(q) / 7)
        made = simple(functions, factor("score", weigh("q")))
        runs = results(
            made, toy(["a", "b"], seed=4), ALL_SHORT, functions, seeds=range(8), particles=count, method="is"
        )
        for posterior in runs:
            assert posterior.ess <= count
            same = replace(posterior, values=("x",) * count)
            assert [item.probability for item in same.support] == [pytest.approx(1, abs=1e-12)]
            assert same.support[0].probability <= 1


def test_settings_take_overrides() -> None:
    profile = InferenceProfile(method="smc", particles=7, max_tokens=9)
    settings = Settings.of(profile, particles=3, timeout_seconds=None)
    assert (settings.particles, settings.max_tokens, settings.method) == (3, 9, "smc")


def test_a_plan_is_run_twice_with_equal_results() -> None:
    case = CASES["loops"]()
    plan = compile_program(case.program)
    made = [
        run(
            plan,
            case.model,
            [RunRequest(case.inputs, 8)],
            automata=automata(case.model, case.languages),
            functions=case.functions,
            settings=Settings(particles=5),
        )[0]
        for _ in range(2)
    ]
    assert made[0].values == made[1].values


def test_rejection_needs_a_power_of_one_or_more() -> None:
    with pytest.raises(UsageError, match="a power of 1 or more"):
        results(simple(Functions(), power=0.5), toy(["a", "b"]), SPOKEN, Functions(), method="rejection", particles=4)


def test_rejection_draws_from_a_power_target() -> None:
    made, model = simple(Functions(), power=1.5), toy(["a", "b"], seed=3)
    spoken = {"q": language(["a", "b", "ab"])}
    expected = enumerated(made, model, spoken, Functions())
    (posterior,) = results(made, model, spoken, Functions(), method="rejection", particles=300)
    for item in posterior.support:
        # Four standard errors of a share of 300 draws; false alarm rate 6e-5 a value.
        share = expected["value", item.value] / expected["Z"]
        assert abs(item.probability - share) < 4 * (share * (1 - share) / 300) ** 0.5, item
