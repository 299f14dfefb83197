"""`proposal: awrs`: the mean evidence is the enumerated one, whatever scheme draws; nothing dies that need not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pytest
from building import Functions, binary, constant, factor, hole, program, text, turn
from oracles.enumerated import Language, language, letters_of
from running import enumerated, exact_evidence, results, toy

from smcdsl.compiler.compile import compile_program
from smcdsl.errors import PotentialError, UsageError
from smcdsl.inference.gate import hall_p_value
from smcdsl.inference.settings import Settings
from smcdsl.inference.suitability import checked_factors, choose_proposal
from smcdsl.inference.token_checks import TokenChecks, by_flatness
from smcdsl.inference.weighted_rejection import Draw, Row, accepts, head_and_tail, one_pass, race
from smcdsl.program.types import BOOL
from smcdsl.protocols import Facts, Potential

ALPHA = 1e-6


@dataclass
class Case:
    program: Any
    model: Any
    languages: dict[str, Language]
    functions: Functions = field(default_factory=Functions)

    def exact(self, **settings: Any) -> dict[Any, float]:
        made = {"method": "smc", "proposal": "awrs", "ess_threshold": 1.0, "stratified": False, **settings}
        return exact_evidence(self.program, self.model, self.languages, self.functions, **made)

    def enumerated(self) -> dict[Any, float]:
        return enumerated(self.program, self.model, self.languages, self.functions)

    def runs(self, **settings: Any) -> Any:
        return results(self.program, self.model, self.languages, self.functions, **settings)


TEXTS = ["a", "ab", "abb", "ba", "bba", "aa"]


def hard_and_soft(*, seed: int = 2, **more: Any) -> Case:
    functions = Functions()
    never = functions.add("never", lambda q: "bb" not in q, BOOL, prefix="any")
    count = functions.add("count", lambda q: (1 + q.count("a")) ** 1.5)
    made = program(
        turn("text", "b", text(hole("q"))),
        factor("require", never("q"), "q.token"),
        factor("score", count("q")),
        **more,
    )
    return Case(made, toy(["a", "b", "ab"], seed=seed), {"q": language(TEXTS)}, functions)


def with_prefix_form(functions: Functions, name: str, form: str) -> None:
    """The potential judges prefixes by another function of this file."""
    whole = functions.functions[name].function

    def own(q: str) -> bool:
        return bool(whole(q))

    functions.functions[name] = Potential(own, Facts(prefix="any"), name, prefix_form=form)


def cannot_tell(q: str) -> None:
    return None


def no_bb(q: str) -> bool:
    return "bb" not in q


def not_b(q: str) -> bool:
    return q != "b"


def final_form_says_more() -> Case:
    """Of a prefix it cannot tell; of the finished text it can, so the end of the turn is checked too."""
    functions = Functions()
    even = functions.add("even", lambda q: len(q) % 2 == 0, BOOL, prefix="any")
    with_prefix_form(functions, "even", "cannot_tell")
    made = program(turn("text", "b", text(hole("q"))), factor("require", even("q"), "q.token"))
    return Case(made, toy(["a", "b", "ab"], seed=4), {"q": language(TEXTS)}, functions)


def followed() -> Case:
    functions = Functions()
    never = functions.add("never", lambda q: "bb" not in q and q != "a", BOOL, prefix="any")
    with_prefix_form(functions, "never", "no_bb")
    made = program(
        turn("text", text(hole("q"), ";b"), text("b", hole("r"))),
        factor("require", never("q"), "q.token"),
        returns="r",
    )
    languages = {"q": language(["a", "b", "ab", "bb"]), "r": language(["a", "b"])}
    return Case(made, toy(["a", "b", ";", "b;"], seed=4), languages, functions)


def two_checks_and_a_guide() -> Case:
    functions = Functions()
    never = functions.add("never", lambda q: "bb" not in q, BOOL, prefix="any")
    short = functions.add("short", lambda q: len(q) < 3, BOOL, prefix="any")
    hope = functions.add("hope", lambda q: 0.5 + len(q), prefix="any")
    made = program(
        turn("text", "b", text(hole("q"))),
        factor("require", binary(never("q"), "and", constant(True)), "q.token", "q.letter"),
        factor("require", short("q"), "q.token"),
        factor("guide", hope("q"), "q.letter"),
    )
    languages = {"q": language(TEXTS, ("letter",), letters_of("ab"))}
    return Case(made, toy(["a", "b", "ab"], seed=3), languages, functions)


def at_letters() -> Case:
    """Only tokens that close a site are asked of."""
    functions = Functions()
    never = functions.add("never", lambda q: "bb" not in q and q != "b", BOOL, prefix="closed")
    with_prefix_form(functions, "never", "no_bb")
    made = program(turn("text", "b", text(hole("q"))), factor("require", never("q"), "q.letter"))
    languages = {"q": language([*TEXTS, "b"], ("letter",), letters_of("b"))}
    return Case(made, toy(["a", "b", "ab"], seed=7), languages, functions)


def at_lines() -> Case:
    functions = Functions()
    never = functions.add("never", lambda q: "b\n" not in q, BOOL, prefix="closed")
    made = program(turn("text", "b", text(hole("q"), ";")), factor("require", never("q"), "q.line"))
    texts = ["a\nb", "a\n\n", "b\nb", "b\na\n", "ab"]
    return Case(made, toy(["a", "b", "\n", ";", "a\n"], seed=15), {"q": language(texts)}, functions)


def powered() -> Case:
    case = hard_and_soft(seed=6)
    case.program = program(*case.program.body, power=1.7)
    return case


CASES: dict[str, Callable[[], Case]] = {
    "hard and soft": hard_and_soft,
    "final form says more": final_form_says_more,
    "followed": followed,
    "two checks and a guide": two_checks_and_a_guide,
    "at letters": at_letters,
    "at lines": at_lines,
    "powered": powered,
}

SCHEMES: dict[str, Callable[[Row, int], Any]] = {
    "head and tail": lambda row, size: head_and_tail(row, 1),
    "one pass": lambda row, size: one_pass(row),
    "one pass, 1 rejection": lambda row, size: one_pass(row, cap=1),
    "2 accepts": lambda row, size: accepts(row, 2, 2),
    "all at once": lambda row, size: race(row, 9),
    "by flatness": by_flatness,
}


def use(monkeypatch: pytest.MonkeyPatch, scheme: Callable[[Row, int], Any]) -> None:
    monkeypatch.setattr("smcdsl.inference.runtime.TokenChecks", partial(TokenChecks, scheme=scheme))


def assert_same_masses(found: dict[Any, float], expected: dict[Any, float]) -> None:
    assert found.keys() == expected.keys()
    for name, mass in expected.items():
        assert found[name] == pytest.approx(mass, rel=1e-12, abs=0.0), name


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", CASES)
def test_one_particle_has_the_enumerated_mass(name: str, scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, SCHEMES[scheme])
    case = CASES[name]()
    assert_same_masses(case.exact(method="is", particles=1), case.enumerated())


@pytest.mark.parametrize("scheme", ["head and tail", "by flatness"])
@pytest.mark.parametrize("name", ["hard and soft", "two checks and a guide"])
def test_resampled_particles_have_the_enumerated_mass(name: str, scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, SCHEMES[scheme])
    case = CASES[name]()
    assert_same_masses(case.exact(particles=2, resample="systematic"), case.enumerated())


class Twist:
    """Any positive function of the state, 1 where the hole has ended."""

    def __init__(self, automaton: Any) -> None:
        self.automaton = automaton

    def log_values(self, states: Any) -> Any:
        values = np.random.default_rng(3).normal(size=1000)[states % 1000]
        return np.where(self.automaton.finished(states), 0.0, values)

    def log_successors(self, states: Any, allowed: Any) -> Any:
        before = np.repeat(states, np.diff(allowed.starts))
        return self.log_values(self.automaton.advance(before, allowed.tokens.astype(np.int64)))


@pytest.mark.parametrize("scheme", ["one pass", "all at once"])
def test_a_lookahead_is_in_the_row_that_is_rejected_from(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, SCHEMES[scheme])
    case = hard_and_soft()
    found = case.exact(method="is", particles=1, lookahead=Twist)
    assert_same_masses(found, case.enumerated())


def test_it_equals_the_mask_with_the_potential_as_an_after_check() -> None:
    case = hard_and_soft()
    assert_same_masses(case.exact(method="is", particles=1), case.exact(method="is", particles=1, proposal="mask"))


def test_rejected_masses_left_out_of_the_weight_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(row: Row, size: int) -> Any:
        draw = yield from one_pass(row)
        return Draw(draw.place, row.total if draw.place >= 0 else 0.0)

    use(monkeypatch, wrong)
    case = hard_and_soft()
    assert abs(case.exact(method="is", particles=1)["Z"] / case.enumerated()["Z"] - 1) > 1e-3


@pytest.mark.statistical
def test_runs_average_to_the_enumerated_masses() -> None:
    """Hall's p-values, Bonferroni: false alarms at most 1e-6. The race and ragged batches included."""
    case = hard_and_soft()
    expected = case.enumerated()
    runs = case.runs(seeds=range(1500), particles=4, proposal="awrs")
    masses = {name: np.zeros(len(runs)) for name in expected}
    for number, run in enumerate(runs):
        masses["Z"][number] = np.exp(run.log_z)
        for item in run.support:
            masses["value", item.value][number] = np.exp(item.log_weight)
    for name, values in masses.items():
        assert hall_p_value(values, expected[name]) > ALPHA / len(expected), name


def test_nothing_dies_while_a_token_is_accepted() -> None:
    case = hard_and_soft()
    (masked,) = case.runs(seeds=[1], particles=64, proposal="mask")
    (checked,) = case.runs(seeds=[1], particles=64, proposal="awrs")
    assert masked.deaths.get("never", 0) > 0
    assert not checked.deaths


def test_particles_without_a_token_die_of_the_factor_that_refused() -> None:
    functions = Functions()
    short = functions.add("short", lambda q: len(q) < 2, BOOL, prefix="any")
    made = program(turn("text", "b", text(hole("q"))), factor("require", short("q"), "q.token"))
    case = Case(made, toy(["a", "b", "ab"], seed=2), {"q": language(["ab", "aab", "ba"])}, functions)
    (run,) = case.runs(particles=8, proposal="awrs")
    assert run.deaths == {"short": 8}
    message = run.failure.diagnostics[0]
    assert message.labels[0].text == "removed 8 of 8 particles, the last one at a token of `q`"


def test_the_result_says_what_was_chosen_and_why() -> None:
    case = hard_and_soft()
    (run,) = case.runs(particles=4)
    assert run.proposal == (
        "awrs: `require never at q.token` can check tokens before they are taken, 8 ms of checks for a token, declared"
    )
    (run,) = case.runs(particles=4, proposal="mask")
    assert run.proposal == ""


@pytest.mark.parametrize("proposal", ["lm", "select", "awrs"])
def test_only_the_mask_has_a_temperature(proposal: str) -> None:
    with pytest.raises(UsageError, match="no temperature of its own"):
        hard_and_soft().runs(proposal=proposal, proposal_temperature=1.5)


def test_a_proposal_without_effect_is_warned_of() -> None:
    made = program(turn("text", "b", text(hole("q"))))
    case = Case(made, toy(["a", "b", "ab"], seed=2), {"q": language(TEXTS)})
    (run,) = case.runs(proposal="awrs", previews="late")
    assert [warning.code for warning in run.warnings if warning.code.startswith("W072")] == ["W0720", "W0721"]


def test_checks_are_made_once_and_counted() -> None:
    case = hard_and_soft()
    (run,) = case.runs(seeds=[1], particles=32, proposal="awrs")
    counts = run.calls["never"]
    assert counts["n"] - counts["cached"] == case.functions.calls["never"] <= 12


def test_a_batch_potential_gets_the_tokens_of_all_particles_at_once() -> None:
    seen: list[list[str]] = []

    def never(texts: list[str]) -> list[bool]:
        seen.append(texts)
        return ["bb" not in text for text in texts]

    functions = Functions()
    made = functions.add("never", never, BOOL, prefix="any", batched=0, batch=True)
    built = program(turn("text", "b", text(hole("q"))), factor("require", made("q"), "q.token"))
    case = Case(built, toy(["a", "b", "ab"], seed=2), {"q": language(TEXTS)}, functions)
    case.runs(seeds=[1, 2, 3], particles=8, proposal="awrs")
    assert seen[0] == ["a", "b", "ab"]
    assert len(seen) <= 2 * 4


def test_a_failing_check_says_where() -> None:
    def never(q: str) -> bool:
        if q == "ab":
            raise ValueError("ab")
        return True

    functions = Functions()
    made = functions.add("never", never, BOOL, prefix="any")
    built = program(turn("text", "b", text(hole("q"))), factor("require", made("q"), "q.token"))
    case = Case(built, toy(["a", "b", "ab"], seed=2), {"q": language(TEXTS)}, functions)
    with pytest.raises(PotentialError) as caught:
        case.runs(proposal="awrs")
    assert "at a token of `q`" in caught.value.diagnostics[0].labels[0].text


def test_a_promise_that_is_broken_is_noticed() -> None:
    """R0905: `b` is refused as a prefix, `ba` accepted as a text that another tokenisation reaches."""
    functions = Functions()
    made = functions.add("odd", lambda q: True, BOOL, prefix="any")
    with_prefix_form(functions, "odd", "not_b")
    built = program(turn("text", "b", text(hole("q"))), factor("require", made("q"), "q.token"))
    case = Case(built, toy(["a", "b", "ba"], seed=2), {"q": language(["ba", "bb"])}, functions)
    with pytest.raises(PotentialError) as caught:
        case.runs(seeds=range(20), particles=8, proposal="awrs")
    assert caught.value.diagnostics[0].code == "R0905"


def test_results_do_not_depend_on_what_runs_beside_them() -> None:
    case = hard_and_soft()
    together = case.runs(seeds=[3, 4, 5], particles=4, proposal="awrs")
    alone = [case.runs(seeds=[seed], particles=4, proposal="awrs")[0] for seed in (3, 4, 5)]
    for one, other in zip(together, alone, strict=True):
        assert one.values == other.values
        assert one.log_weights.tolist() == other.log_weights.tolist()


def plan_of(*factors: Any) -> Any:
    return compile_program(program(turn("text", text(hole("q"))), *factors))


def test_only_final_noes_at_tokens_are_checked() -> None:
    functions = Functions()
    sure = functions.add("sure", lambda q: True, BOOL, prefix="any", cost_seconds=0.002)
    weight = functions.add("weight", lambda q: 1.0, prefix="any")
    impure = functions.add("impure", lambda q: True, BOOL, prefix="any", pure=False)
    quick = functions.add("quick", lambda q: True, BOOL, prefix="any", cost_seconds=0.001)
    plan = plan_of(
        factor("require", sure("q"), "q.token"),
        factor("require", quick("q"), "q.token"),
        factor("require", sure("q"), "q.letter"),
        factor("require", sure("q")),
        factor("score", weight("q"), "q.token"),
        factor("require", binary(weight("q"), ">", constant(0.5)), "q.token"),
        factor("require", impure("q"), "q.token"),
        factor("require", binary(sure("q"), "or", impure("q")), "q.letter"),
        factor("require", binary(sure("q"), "or", binary(weight("q"), ">", constant(0.5))), "q.token"),
    )
    assert [str(found) for found in checked_factors(plan)] == [
        "require quick at q.token",
        "require sure at q.token",
        "require sure at q.letter",
    ]
    assert choose_proposal(plan, Settings(proposal="auto")).checks == (1, 0)
    assert choose_proposal(plan, Settings(proposal="awrs")).checks == (1, 0, 2)


@pytest.mark.parametrize(("seconds", "chosen"), [(None, "awrs"), (0.001, "awrs"), (0.2, "mask")])
def test_auto_goes_by_what_checks_cost(seconds: float | None, chosen: str) -> None:
    functions = Functions()
    sure = functions.add("sure", lambda q: True, BOOL, prefix="any", cost_seconds=seconds)
    found = choose_proposal(plan_of(factor("require", sure("q"), "q.token")), Settings(proposal="auto"))
    assert found.kind == chosen
    assert "sure" in found.reason
    assert choose_proposal(plan_of(factor("require", sure("q"), "q.token")), Settings(proposal="mask")).kind == "mask"


def test_a_path_that_is_kept_cannot_be_weighed() -> None:
    case = hard_and_soft()
    with pytest.raises(UsageError, match="no weight for a path"):
        case.runs(proposal="awrs", refine=2)
    (run,) = case.runs(seeds=[1], particles=16, proposal="auto", refine=2)
    assert run.proposal == ""
    assert np.isfinite(run.log_weights).any()


def test_auto_is_the_mask_where_nothing_checks() -> None:
    found = choose_proposal(plan_of(), Settings(proposal="auto"))
    assert (found.kind, found.reason, found.checks) == ("mask", "", ())


def test_rows_that_are_flat_are_raced() -> None:
    flat, peaked = Row(np.full(64, 1 / 64)), Row(np.array([0.9] + [0.1 / 63] * 63))
    assert by_flatness(flat, 8).__name__ == "race"
    assert by_flatness(peaked, 8).__name__ == "head_and_tail"
