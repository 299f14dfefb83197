"""`lookahead: guides`: guides propose tokens; the mean evidence stays the enumerated one, whatever they say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from building import Functions, factor, hole, program, text, turn
from oracles.enumerated import language
from running import enumerated, exact_evidence, results, toy

from smcdsl.compiler.compile import compile_program
from smcdsl.errors import UsageError
from smcdsl.inference.judgement import LOG_FLOOR
from smcdsl.inference.lookahead.guides import Guides
from smcdsl.inference.proposals import Local, Rows, TokenRule, proposal_of
from smcdsl.inference.settings import Settings
from smcdsl.inference.suitability import choose_proposal
from smcdsl.prefixes import Prefixes

TEXTS = ["a", "ab", "abb", "ba", "bba", "aa"]
MODEL = toy(["a", "b", "ab"], seed=2)


def guided(hope: Callable[[str], float], at: str = "q.token", **more: Any) -> tuple[Any, Functions]:
    functions = Functions()
    promise = functions.add("hope", hope, prefix="any")
    count = functions.add("count", lambda q: (1 + q.count("a")) ** 1.5)
    made = program(
        turn("text", "b", text(hole("q"))), factor("guide", promise("q"), at), factor("score", count("q")), **more
    )
    return made, functions


def misleading(q: str) -> float:
    return 4.0 if q.startswith("b") else 0.3


def often_zero(q: str) -> float:
    return 0.0 if "b" in q else 1.0


@pytest.mark.parametrize(
    ("hope", "settings"),
    [
        (misleading, {"method": "smc", "ess_threshold": 1.0, "stratified": False}),
        (misleading, {"method": "is", "particles": 1}),
        (often_zero, {"method": "smc"}),
        (often_zero, {"method": "smc", "proposal_temperature": 2.0}),
    ],
)
def test_guides_that_propose_leave_the_mean_evidence_alone(hope, settings):
    made, functions = guided(hope)
    languages = {"q": language(TEXTS)}
    found = exact_evidence(made, MODEL, languages, functions, lookahead="guides", **{"particles": 2, **settings})
    expected = enumerated(made, MODEL, languages, functions)
    assert found.keys() == expected.keys()
    for key, mass in expected.items():
        assert found[key] == pytest.approx(mass, rel=1e-10, abs=1e-15)


def test_two_holes_and_text_behind_them():
    functions = Functions()
    first = functions.add("first", lambda q: 1.0 + 3 * q.count("b"), prefix="any")
    second = functions.add("second", lambda q, r: 0.2 + len(q) * len(r), parameters=2, prefix="any")
    made = program(
        turn("text", text(hole("q"), ";b"), text("b", hole("r"))),
        factor("guide", first("q"), "q.token"),
        factor("guide", second("q", "r"), "r.token"),
        factor("score", second("q", "r")),
        returns="r",
    )
    model = toy(["a", "b", ";", "b;"], seed=4)
    languages = {"q": language(["a", "b", "ab", "bb"]), "r": language(["a", "b"])}
    found = exact_evidence(made, model, languages, functions, lookahead="guides", particles=1)
    for key, mass in enumerated(made, model, languages, functions).items():
        assert found[key] == pytest.approx(mass, rel=1e-10, abs=1e-15)


def test_a_guide_that_knows_the_mass_takes_most_of_the_variance():
    """Evidence of one particle: with the mass of what is left as a guide only the defensive share varies."""
    model = toy(["a", "b"], seed=2)
    languages = {"q": language(["aa", "ab", "ba", "bba", "bbb"])}
    masses: dict[str, float] = {}

    def mass_behind(q: str) -> float:
        prefixes = Prefixes()
        session, prefix = model.start(prefixes), prefixes.extend(0, model.encode("b", starts_text=True))
        chance = 1.0
        for letter in q:
            token = "ab".index(letter)
            chance *= float(np.exp(session.next_logprobs(np.array([prefix]))[0, token]))
            prefix = prefixes.extend(prefix, [token])
        return sum(mass for value, mass in masses.items() if value.startswith(q)) / chance

    made, functions = guided(mass_behind)
    exact = enumerated(made, model, languages, functions)
    masses |= {key[1]: mass for key, mass in exact.items() if key != "Z"}

    def spread(**settings: Any) -> float:
        runs = results(made, model, languages, functions, seeds=range(400), particles=1, **settings)
        return float(np.var(np.exp([run.log_z for run in runs]))) / exact["Z"] ** 2

    assert spread(lookahead="guides") < spread() / 5


def test_the_proposal_is_the_mixture_that_it_says():
    made, functions = guided(misleading)
    seen: list[tuple[Local, np.ndarray]] = []
    own = Guides.log_tilts

    def spy(self: Guides, local: Local, rows: Rows) -> np.ndarray:
        tilts = own(self, local, rows)
        seen.append((local, tilts))
        return tilts

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Guides, "log_tilts", spy)
        results(made, MODEL, {"q": language(TEXTS)}, functions, particles=4, lookahead="guides")
    local, tilts = seen[0]
    texts = [MODEL.vocabulary.token_bytes[token].decode() for token in local.tokens.tolist()]
    assert tilts == pytest.approx([np.log(misleading(text) / misleading("")) for text in texts])
    plain = np.exp(local.log_target)
    tilted = plain * np.exp(tilts)
    proposal = proposal_of(local._replace(log_tilts=tilts), TokenRule())
    expected = 0.9 * tilted / tilted.sum() + 0.1 * plain / plain.sum()
    assert proposal.law / proposal.law.sum() == pytest.approx(expected)


def test_only_the_most_probable_tokens_are_asked_about():
    calls: list[str] = []

    def counted(q: str) -> float:
        calls.append(q)
        return misleading(q)

    made, functions = guided(counted)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("smcdsl.inference.suitability.GUIDED_TOKENS", 0)
        patch.setattr("smcdsl.inference.suitability.checks_together", lambda guides: 1)
        found = results(made, MODEL, {"q": language(TEXTS)}, functions, particles=1, lookahead="guides")
    written = found[0].support[0].value
    assert len(set(calls)) <= 2 * len(written) + 2
    assert np.exp(LOG_FLOOR) == pytest.approx(1e-6)


@pytest.mark.parametrize(
    ("at", "settings", "said"),
    [
        ("q.letter", {}, "no guide is judged after every token"),
        ("q.token", {"proposal": "awrs"}, "`proposal: awrs` has no room for guides"),
        ("q.token", {"proposal": "select"}, "`proposal: select` has no room for guides"),
        ("q.token", {"drafted": True}, "drafted tokens are verified without guides"),
    ],
)
def test_where_guides_cannot_propose_it_says_so(at, settings, said):
    plan = compile_program(guided(misleading, at)[0])
    drafted = settings.pop("drafted", False)
    with pytest.raises(UsageError) as caught:
        choose_proposal(plan, Settings(lookahead="guides", **settings), drafted)
    assert said in str(caught.value)
    assert "E0708" in str(caught.value)
