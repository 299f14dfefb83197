"""Without chance: the mean evidence over every branch of the draws is the enumerated mass of the program."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from building import (
    Functions,
    binary,
    branch,
    constant,
    each,
    factor,
    hole,
    insert,
    leave,
    let,
    loop,
    observe,
    program,
    text,
    turn,
)
from oracles.enumerated import Language, Site, language, letters_of, runs_of
from running import enumerated, exact_evidence, toy

from smcdsl.inference import proposals
from smcdsl.program.expressions import BuiltinCall, Maybe, Name, Record
from smcdsl.program.types import BOOL

SCHEMES = ("ssp", "systematic", "stratified", "residual", "multinomial")


@dataclass
class Case:
    """A program with all that it runs on."""

    program: Any
    model: Any
    languages: dict[str, Language]
    functions: Functions = field(default_factory=Functions)
    inputs: dict[str, Any] = field(default_factory=dict)

    def exact(self, **settings: Any) -> dict[Any, float]:
        return exact_evidence(self.program, self.model, self.languages, self.functions, self.inputs, **settings)

    def enumerated(self) -> dict[Any, float]:
        return enumerated(self.program, self.model, self.languages, self.functions, self.inputs)


def one_hole() -> Case:
    functions = Functions()
    allowed = functions.add("allowed", lambda q: q != "ab", BOOL)
    good = functions.add("good", lambda q: {"a": 0.5, "b": 2.0}.get(q[:1], 0.1) * len(q))
    made = program(turn("text", "b", text(hole("q"))), factor("require", allowed("q")), factor("score", good("q")))
    return Case(made, toy(["a", "b", "ab"]), {"q": language(["a", "ab", "aab", "ba"])}, functions)


def followed_hole() -> Case:
    functions = Functions()
    good = functions.add("good", lambda q: 0.3 + len(q))
    made = program(turn("text", text(hole("q"), ";b"), text("b")), factor("score", good("q")))
    return Case(made, toy(["a", "b", ";", "a;", ";b"], seed=4), {"q": language(["a", "b", "ab", "a;a"])}, functions)


def two_holes_with_a_branch() -> Case:
    functions = Functions()
    good = functions.add("good", lambda v, e: 0.2 if v == e else 1.7, parameters=2)
    soft = functions.add("soft", lambda v: 1.5 if v == "a" else 0.4)
    asks = [text("b", hole("e"))]
    made = program(
        turn(
            "text",
            text(hole("v"), ";"),
            branch(binary("v", "==", constant("a")), [*asks, factor("score", good("v", "e"))], [text("a")]),
        ),
        factor("score", soft("v")),
        returns=Record(
            hole("v").span, (("v", Name(hole("v").span, "v")), ("e", Maybe(hole("v").span, Name(hole("v").span, "e"))))
        ),
    )
    languages = {"v": language(["a", "b"]), "e": language(["a", "ba"])}
    return Case(made, toy(["a", "b", ";"], seed=1), languages, functions)


def previews() -> Case:
    functions = Functions()
    never = functions.add("never", lambda q: "bb" not in q, BOOL, prefix="any")
    count = functions.add("count", lambda q: (1 + q.count("a")) ** 2.5, prefix="any")
    made = program(
        turn("text", "b", text(hole("q"))),
        factor("require", never("q"), "q.letter"),
        factor("score", count("q"), "q.token"),
    )
    texts = ["a", "ab", "abb", "ba", "bba", "aa"]
    return Case(made, toy(["a", "b", "ab"], seed=2), {"q": language(texts, ("letter",), letters_of("ab"))}, functions)


def occurrences() -> Case:
    functions = Functions()
    weight = functions.add("weight", lambda c: 2.0 if c == "a" else 0.3)
    fits = functions.add("fits", lambda c, q: c != "bb" or q.endswith("b"), BOOL, parameters=2, prefix="any")
    made = program(
        turn("text", "b", text(hole("q"))),
        each("score", weight("c"), "c", "q.letter"),
        each("score", binary(binary(weight("r"), "+", constant(0.1)), "*", constant(0.5)), "r", "q.run"),
        each("require", fits("r", "q"), "r", "q.run"),
    )
    letters, runs = letters_of("ab"), runs_of("ab")
    spoken = language(["a", "ab", "abb", "bb", "aab"], ("letter", "run"), lambda q: letters(q) + runs(q))
    return Case(made, toy(["a", "b", "bb"], seed=3), {"q": spoken}, functions)


def guides() -> Case:
    functions = Functions()
    hope = functions.add("hope", lambda q: 0.0 if q.endswith("b") else 3.0, prefix="any")
    good = functions.add("good", lambda q: 0.5 + q.count("b"))
    made = program(turn("text", text(hole("q"))), factor("guide", hope("q"), "q.token"), factor("score", good("q")))
    return Case(made, toy(["a", "b"], seed=5), {"q": language(["a", "ab", "ba", "bb", "aaa"])}, functions)


def observed() -> Case:
    functions = Functions()
    good = functions.add("good", lambda q: 0.5 + q.count("b"))
    made = program(
        turn("text", text(hole("q"), ";"), observe("b", insert("q")), text("a", hole("r"))), factor("score", good("q"))
    )
    return Case(made, toy(["a", "b", ";"], seed=6), {"q": language(["a", "ba"]), "r": language(["b", "bb"])}, functions)


def loops() -> Case:
    functions = Functions()
    good = functions.add("good", lambda q: 0.5 if q == "a" else 1.25)
    made = program(
        turn(
            "text",
            loop(
                "i",
                constant(1),
                "n",
                text(insert("i"), hole("notes", collects=True), ";"),
                let("latest", BuiltinCall(hole("i").span, "last", (Name(hole("i").span, "notes"),))),
                factor("score", good("latest")),
                branch(binary("latest", "==", constant("b")), [leave()]),
            ),
            text("b", hole("q")),
        ),
        each("score", binary(good("note"), "+", constant(0.25)), "note", "notes"),
        returns="notes",
    )
    languages = {"notes": language(["a", "b"]), "q": language(["a", "b"])}
    return Case(made, toy(["a", "b", ";", "1", "2"], seed=7), languages, functions, {"n": 2})


def dead_ends() -> Case:
    """The model gives some allowed tokens probability zero."""
    made = program(turn("text", "b", text(hole("q"))))
    model = toy(["a", "b", "ab"], seed=8, zeros=0.4)
    return Case(made, model, {"q": language(["a", "ab", "abb", "ba", "bab"])})


def chat() -> Case:
    """Two exchanges; the model's own end of turn stands for the first token of the closing."""
    template = {"user": [[2], [3]], "assistant": [[4], [6, 3]]}
    made = program(
        turn("user", "ab"),
        turn("assistant", text(hole("q"))),
        turn("user", text("b", insert("q"))),
        turn("assistant", text("a", hole("r"), ";a")),
        returns="r",
    )
    model = toy(["a", "b", "<u>", "<t>", "<m>", ";"], order=2, seed=12, chat=template)
    return Case(made, model, {"q": language(["a", "ba"]), "r": language(["b", "a"])})


def forgotten() -> Case:
    """`_` holes bind nothing; two of them tell apart by their keys."""
    made = program(turn("text", text(hole("_"), ";"), text(hole("_", key="_ 2"), ";b"), text(hole("q"))), returns="q")
    languages = {"_": language(["a", "b"]), "_ 2": language(["ab"]), "q": language(["a", "b"])}
    return Case(made, toy(["a", "b", ";"], seed=13), languages)


def raw_text_in_parts() -> Case:
    """A hole at the end of a `text` block ends at what the next block gives."""
    made = program(turn("text", "b", text(hole("q"))), turn("text", text(";", "a")), turn("text", text("b", hole("r"))))
    languages = {"q": language(["a", "ab", "b"]), "r": language(["a", "b"])}
    return Case(made, toy(["a", "b", ";", ";a", "ab"], order=2, seed=14), languages)


def line_spans_of(text: bytes) -> tuple[Site, ...]:
    found, start = [], 0
    for line in text.splitlines(keepends=True):
        found.append(Site("line", start, start + len(line.rstrip(b"\n"))))
        start += len(line)
    return tuple(found)


def lines() -> Case:
    functions = Functions()
    few = functions.add("few", lambda q: q.count("b") < 2, BOOL, prefix="closed")
    long = functions.add("long", lambda line: 0.5 + len(line))
    made = program(
        turn("text", "b", text(hole("q"), ";")),
        factor("require", few("q"), "q.line"),
        each("score", long("l"), "l", "q.line"),
    )
    texts = ["a\nb", "a\n\n", "b\nb", "b\na\n", "ab"]
    return Case(made, toy(["a", "b", "\n", ";", "a\n"], seed=15), {"q": language(texts, (), line_spans_of)}, functions)


def tempered() -> Case:
    case = one_hole()
    case.program = program(*case.program.body, temperature=0.6)
    return case


def powered() -> Case:
    case = observed()
    case.program = program(*case.program.body, temperature=0.6, power=1.7)
    return case


CASES: dict[str, Callable[[], Case]] = {
    make.__name__: make
    for make in (
        one_hole,
        followed_hole,
        two_holes_with_a_branch,
        previews,
        occurrences,
        guides,
        observed,
        loops,
        dead_ends,
        tempered,
        powered,
        chat,
        forgotten,
        raw_text_in_parts,
        lines,
    )
}


def assert_same_masses(found: dict[Any, float], expected: dict[Any, float]) -> None:
    """The evidence and every value's mass, each to 1e-12 of itself."""
    assert found.keys() - {"Z"} == expected.keys() - {"Z"}
    for name, mass in expected.items():
        assert found[name] == pytest.approx(mass, rel=1e-12, abs=0.0), name


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", CASES)
def test_the_mean_evidence_of_smc_is_the_enumerated_mass(name: str, scheme: str) -> None:
    case = CASES[name]()
    # A threshold of 1 resamples whenever weights differ at all.
    assert_same_masses(case.exact(method="smc", particles=2, resample=scheme, ess_threshold=1.0), case.enumerated())


@pytest.mark.parametrize("name", CASES)
def test_the_mean_evidence_of_importance_sampling_is_the_enumerated_mass(name: str) -> None:
    case = CASES[name]()
    for proposal in ("mask", "lm"):
        assert_same_masses(case.exact(method="is", particles=1, proposal=proposal), case.enumerated())


class RandomTwist:
    """Any positive function of the state is a lookahead, where the hole has ended too."""

    def __init__(self, automaton: Any) -> None:
        self.automaton = automaton

    def log_values(self, states: Any) -> Any:
        return np.random.default_rng(3).normal(scale=2.0, size=1000)[states % 1000]

    def log_successors(self, states: Any, allowed: Any) -> Any:
        before = np.repeat(states, np.diff(allowed.starts))
        return self.log_values(self.automaton.advance(before, allowed.tokens.astype(np.int64)))


@pytest.mark.parametrize(
    "settings",
    [
        {"method": "is", "proposal": "lm", "particles": 1},
        {"method": "is", "particles": 1},
        {"ess_threshold": 1.0, "particles": 2},
    ],
)
@pytest.mark.parametrize("name", CASES)
def test_a_lookahead_changes_the_proposal_and_not_the_mean_evidence(name: str, settings: dict[str, Any]) -> None:
    case = CASES[name]()
    assert_same_masses(case.exact(lookahead=RandomTwist, **settings), case.enumerated())


@pytest.mark.parametrize("name", CASES)
def test_independent_draws_have_the_same_mean_evidence(name: str) -> None:
    case = CASES[name]()
    assert_same_masses(case.exact(particles=2, stratified=False, ess_threshold=1.0), case.enumerated())


@pytest.mark.parametrize("particles", [1, 2, 5])
@pytest.mark.parametrize("name", CASES)
def test_selection_keeps_every_successor_in_the_mean(name: str, particles: int) -> None:
    case = CASES[name]()
    assert_same_masses(case.exact(particles=particles, proposal="select"), case.enumerated())
    twisted = case.exact(particles=particles, proposal="select", lookahead=RandomTwist)
    assert_same_masses(twisted, case.enumerated())


@pytest.mark.parametrize("temperature", [0.4, 2.5, "auto"])
@pytest.mark.parametrize("name", ["one_hole", "two_holes_with_a_branch", "dead_ends", "tempered", "previews"])
def test_the_proposal_has_a_temperature_of_its_own(name: str, temperature: float | str) -> None:
    case = CASES[name]()
    settings = {"proposal_temperature": temperature, "particles": 1, "method": "is"}
    assert_same_masses(case.exact(**settings), case.enumerated())
    twisted = case.exact(**settings, lookahead=RandomTwist)
    assert_same_masses(twisted, case.enumerated())


@pytest.mark.parametrize("temperature", [1.6, "auto"])
@pytest.mark.parametrize("name", ["one_hole", "previews"])
def test_resampled_particles_may_be_drawn_at_a_temperature(name: str, temperature: float | str) -> None:
    case = CASES[name]()
    found = case.exact(particles=2, ess_threshold=1.0, proposal_temperature=temperature)
    assert_same_masses(found, case.enumerated())


def test_rows_that_leave_little_choice_are_flattened_most() -> None:
    laws = [np.array([0.97, 0.02, 0.01, 0.0]), np.array([0.25, 0.25, 0.25, 0.25]), np.array([0.3, 0.0, 0.1])]
    with np.errstate(divide="ignore"):
        local = proposals.Local(
            proposals.starts_of(np.array([4, 4, 3])), np.arange(11, dtype=np.int32), np.log(np.concatenate(laws)), None
        )
    found = proposals.proposal_of(local, proposals.TokenRule(temperature="auto"))
    for law, start, end in zip(laws, [0, 4, 8], [4, 8, 11]):
        shares = law / law.sum()
        entropy = -sum(share * math.log(share) for share in shares if share)
        flat = shares ** (1 / (1 + 0.6 * math.exp(-entropy)))
        assert found.law[start:end] == pytest.approx(0.9 * flat / flat.sum() + 0.1 * shares, abs=1e-14)


def test_draws_at_a_temperature_weighed_as_if_without_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    right = proposals.proposal_of

    def wrong(local: Any, rule: Any) -> Any:
        found = right(local, rule)
        return found._replace(is_target=True)

    case = CASES["one_hole"]()
    monkeypatch.setattr(proposals, "proposal_of", wrong)
    found = case.exact(particles=1, method="is", proposal_temperature=2.5)["Z"]
    assert abs(found / case.enumerated()["Z"] - 1) > 1e-3
