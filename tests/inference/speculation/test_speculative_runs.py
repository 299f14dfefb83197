"""Whole runs with drafts: the same posterior as without, whatever the drafts, their length and the method."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from drafting import Plain, drawn, mixed, named
from frequencies import hall_p_value, is_conclusive
from grid import Cell, judged
from running import exact_evidence, results
from test_exactness import CASES, RandomTwist, assert_same_masses

from smcdsl.inference.speculation import rounds, verification
from smcdsl.inference.speculation.known import VerifiedTokens
from smcdsl.program.evaluation import freeze

ALPHA = 1e-6

NAMES = tuple(CASES)
MANY_BRANCHES = ("raw_text_in_parts", "occurrences", "followed_hole", "lines", "previews", "loops", "guides")
"""Their resampled runs with drawn drafts have tens of thousands of branches."""


def exact(name: str, drafts: Any, **settings: Any) -> dict[Any, float]:
    case = CASES[name]()
    return exact_evidence(
        case.program, case.model, case.languages, case.functions, case.inputs, drafts=drafts, **settings
    )


def runs(name: str, seeds: Any, **settings: Any) -> list[Any]:
    case = CASES[name]()
    return results(case.program, case.model, case.languages, case.functions, case.inputs, seeds, **settings)


@pytest.mark.parametrize(("source", "gamma"), [(drawn, 1), (drawn, 3), (named, 2), (mixed, 2), (mixed, 3)])
@pytest.mark.parametrize("name", NAMES)
def test_one_particle_with_drafts_has_the_enumerated_mean_evidence(name: str, source: Any, gamma: int) -> None:
    found = exact(name, [source()], particles=1, method="is", gamma=gamma)
    assert_same_masses(found, CASES[name]().enumerated())


@pytest.mark.parametrize("lenience", [0.5, 0.7])
@pytest.mark.parametrize("name", NAMES)
def test_lenience_keeps_the_mean_evidence(name: str, lenience: float) -> None:
    for source in (drawn, mixed):
        found = exact(name, [source()], particles=1, method="is", gamma=2, lenience=lenience)
        assert_same_masses(found, CASES[name]().enumerated())


def resampled() -> list[Any]:
    made = [pytest.param(name, named, id=f"{name}-named") for name in NAMES]
    for name in NAMES:
        marks = [pytest.mark.long] if name in MANY_BRANCHES else []
        made.append(pytest.param(name, drawn, id=f"{name}-drawn", marks=marks))
    return made


@pytest.mark.parametrize(("name", "source"), resampled())
def test_resampled_particles_with_drafts_have_the_enumerated_mean_evidence(name: str, source: Any) -> None:
    found = exact(name, [source()], particles=2, ess_threshold=1.0, gamma=1, stratified=False)
    assert_same_masses(found, CASES[name]().enumerated())


@pytest.mark.parametrize("settings", [{}, {"resample": "systematic", "stratified": False}, {"method": "is"}])
@pytest.mark.parametrize("gamma", [1, 5])
@pytest.mark.parametrize("name", NAMES)
def test_certain_drafts_change_no_particle(name: str, gamma: int, settings: dict[str, Any]) -> None:
    plain = runs(name, range(6), particles=8, ess_threshold=0.7, **settings)
    fast = runs(name, range(6), particles=8, ess_threshold=0.7, gamma=gamma, drafts=[named()], **settings)
    for one, other in zip(plain, fast, strict=True):
        assert one.values == other.values
        np.testing.assert_array_equal(one.log_weights, other.log_weights)
        assert [view.text for view in one.particles] == [view.text for view in other.particles]
        assert one.tokens["target"] == other.tokens["target"]
        assert one.deaths == other.deaths


@pytest.mark.parametrize("name", NAMES)
def test_with_drafts_a_groups_result_does_not_depend_on_the_other_groups(name: str) -> None:
    seeds = [3, 1, 4, 1, 5]
    settings = {"particles": 6, "gamma": 3, "drafts": [drawn()]}
    together = runs(name, seeds, **settings)
    for seed, posterior in zip(seeds, together, strict=True):
        (alone,) = runs(name, [seed], **settings)
        assert alone.values == posterior.values
        np.testing.assert_array_equal(alone.log_weights, posterior.log_weights)
        assert alone.speculated == posterior.speculated


class TextTwist(RandomTwist):
    """Does not depend on the order in which states are met."""

    def log_values(self, states: Any) -> Any:
        texts = [self.automaton._states[state][0] for state in states.tolist()]
        values = np.array([zlib.crc32(text) % 1000 / 250 - 2 for text in texts])
        return np.where(self.automaton.finished(states), 0.0, values)


@pytest.mark.parametrize("source", [drawn, named])
def test_drafts_go_with_a_lookahead(source: Any) -> None:
    for name in ("one_hole", "powered"):
        found = exact(name, [source()], particles=1, method="is", gamma=2, lookahead=RandomTwist)
        assert_same_masses(found, CASES[name]().enumerated())
    settings = {"particles": 8, "ess_threshold": 0.9, "lookahead": TextTwist}
    plain, fast = runs("loops", range(6), **settings), runs("loops", range(6), gamma=3, drafts=[named()], **settings)
    for one, other in zip(plain, fast, strict=True):
        np.testing.assert_allclose(one.log_weights, other.log_weights, rtol=1e-12)


@pytest.mark.parametrize("source", [drawn, named])
def test_drafts_go_with_a_tempered_proposal(source: Any) -> None:
    for name, lenience in (("one_hole", 1.0), ("observed", 0.7)):
        settings = {"particles": 1, "method": "is", "gamma": 2, "proposal_temperature": 1.6, "lenience": lenience}
        assert_same_masses(exact(name, [source()], **settings), CASES[name]().enumerated())


@pytest.mark.parametrize("method", ["lcd", "rerank"])
def test_biased_methods_draw_the_same_with_certain_drafts(method: str) -> None:
    plain = runs("previews", range(5), particles=8, method=method)
    fast = runs("previews", range(5), particles=8, method=method, gamma=3, drafts=[named()])
    assert [one.values for one in plain] == [other.values for other in fast]


def test_auto_changes_no_particle_where_drafts_are_certain() -> None:
    plain = runs("occurrences", range(40), particles=8)
    fast = runs("occurrences", range(40), particles=8, gamma="auto", drafts=[named()])
    for one, other in zip(plain, fast, strict=True):
        np.testing.assert_array_equal(one.log_weights, other.log_weights)


@pytest.mark.parametrize("max_tokens", [1, 2, 3])
def test_a_budget_ends_particles_at_the_same_token(max_tokens: int) -> None:
    """A draft is never longer than the budget; what a particle may still write, it writes."""
    plain = runs("occurrences", range(6), particles=8, max_tokens=max_tokens)
    for source in (named, drawn):
        fast = runs("occurrences", range(6), particles=8, max_tokens=max_tokens, gamma=5, drafts=[source()])
        for one, other in zip(plain, fast, strict=True):
            assert all(view.tokens <= max_tokens for view in other.particles)
            if source is named:
                assert one.deaths == other.deaths
                assert [view.text for view in one.particles] == [view.text for view in other.particles]


def test_what_drafts_did_is_counted() -> None:
    made: list[Plain] = []

    def best(surroundings: Any) -> Plain:
        made.append(named(wrong=0.0)(surroundings))
        return made[-1]

    (posterior,) = runs("one_hole", [3], particles=16, method="is", gamma=3, drafts=[best])
    done = posterior.speculated
    assert done.tokens == posterior.tokens["target"]
    assert posterior.tokens["draft_proposed"] == done.proposed > done.accepted == posterior.tokens["draft_accepted"] > 0
    assert done.passes == sum(done.blocks.values()) < done.tokens
    assert done.passes == sum(made[-1].asked)
    shown = done.as_json()
    assert shown["saved_passes"] == done.tokens - done.passes
    assert shown["acceptance"] == done.accepted / done.proposed
    # Every pass gives the accepted tokens and one more, but where a hole ends with its draft.
    assert done.tokens - done.passes <= done.accepted
    assert made[-1].closed
    assert runs("one_hole", [3], particles=16, method="is")[0].speculated is None


@pytest.mark.parametrize("source", [drawn, named])
def test_every_token_belongs_to_a_block(source: Any) -> None:
    settings = {"particles": 8, "ess_threshold": 1.0, "gamma": 3, "drafts": [source()]}
    for name in ("occurrences", "previews", "loops"):
        for posterior in runs(name, range(10), **settings):
            assert posterior.resamplings or name == "loops"
            assert posterior.speculated.tokens == posterior.tokens["target"]


def test_laws_behind_a_boundary_stay_known() -> None:
    """With a boundary at every token each pass of the target still serves all tokens of a right draft."""
    settings = {"particles": 1, "gamma": 8, "drafts": [named(wrong=0.0)]}
    passes = [posterior.speculated.passes for posterior in runs("guides", range(20), **settings)]
    tokens = [posterior.tokens["target"] for posterior in runs("guides", range(20), **settings)]
    assert sum(passes) < 0.75 * sum(tokens)


def bonus_without_the_local_normalizer(patch: pytest.MonkeyPatch) -> None:
    keep, weigh = rounds.Rounds._keep, rounds.weighed
    calls = [0]

    def wrong(*arguments: Any) -> Any:
        calls[0] += 1
        drawn = weigh(*arguments)
        return replace(drawn, log_weights=0 * drawn.log_weights) if calls[0] == 2 else drawn

    def counted(*arguments: Any) -> None:
        calls[0] = 0
        keep(*arguments)

    patch.setattr(rounds, "weighed", wrong)
    patch.setattr(rounds.Rounds, "_keep", counted)


def refused_tokens_drawn_from_the_target(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(verification, "LEAST_RESIDUAL", 2.0)


def acceptance_without_the_mask(patch: pytest.MonkeyPatch) -> None:
    normalized = rounds._normalized
    patch.setattr(rounds, "_normalized", lambda proposal, totals: normalized(proposal, (totals > 0).astype(float)))


def lenience_without_a_weight(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(rounds, "_corrected", lambda drawn, log_weights: drawn)


def verified_tokens_stay_with_the_slot(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(VerifiedTokens, "copied", lambda self, slots, sources: None)


def drafts_that_do_not_stop_at_the_holes_end(patch: pytest.MonkeyPatch) -> None:
    """The weight of tokens behind a boundary is counted before they are taken."""
    append = VerifiedTokens.append

    def wrong(self: Any, slots: Any, places: Any, drawn: Any) -> None:
        append(self, slots, places, replace(drawn, log_weights=np.where(places > 0, 0.0, drawn.log_weights)))

    patch.setattr(VerifiedTokens, "append", wrong)


BUGS: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], dict[str, Any]]] = {
    "bonus": (bonus_without_the_local_normalizer, {}),
    "residual": (refused_tokens_drawn_from_the_target, {}),
    "mask": (acceptance_without_the_mask, {}),
    "lenience": (lenience_without_a_weight, {"lenience": 0.5}),
    "normalizers": (drafts_that_do_not_stop_at_the_holes_end, {}),
    "copies": (verified_tokens_stay_with_the_slot, {"method": "smc", "particles": 2, "stratified": False, "gamma": 1}),
}


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_moves_the_mean_evidence(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plant, changed = BUGS[bug]
    settings: dict[str, Any] = {"method": "is", "particles": 1, "gamma": 2, "ess_threshold": 1.0, **changed}
    names = ("one_hole",) if bug != "copies" else ("guides",)
    plant(monkeypatch)
    wrong = []
    for name in names:
        expected = CASES[name]().enumerated()
        try:
            found = exact(name, [drawn(0.8)], **settings)
        except (AssertionError, KeyError, IndexError):
            wrong.append(1.0)
            continue
        wrong += [abs(found.get(key, 0.0) - mass) / expected["Z"] for key, mass in expected.items()]
    assert max(wrong) > 1e-3


GATED = {
    "bonus": (240, Cell("smc", "ssp", 0.5, "clause", "model", "clauses")),
    "residual": (2000, Cell("smc", "is", 0.0, "never", "model", "ngram_dfa")),
    "mask": (240, Cell("smc", "ssp", 0.5, "token", "model", "ngram_dfa")),
    "lenience": (240, Cell("smc", "is", 0.0, "never", "text and model, very lenient", "dyck")),
    "normalizers": (240, Cell("smc", "ssp", 1.0, "token", "model", "tokens")),
    "copies": (2000, Cell("smc", "multinomial", 1.0, "token", "model", "clauses_token")),
}
"""Runs of most cells of the grid, of which drafts make half, and the cell."""


@pytest.mark.statistical
@pytest.mark.parametrize("bug", GATED)
def test_a_cell_of_the_grid_catches_a_planted_bug(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a rejection; most with half the runs of every commit's battery."""
    plant, _ = BUGS[bug]
    usual, cell = GATED[bug]
    plant(monkeypatch)
    verdict = judged(cell, 2000, usual)
    assert verdict.failed, verdict
    assert verdict.sums.conclusive, verdict


def gate() -> list[Any]:
    """Resamplers x lenience x boundaries: none, each letter, each token."""
    made = []
    for name in ("one_hole", "occurrences", "previews", "two_holes_with_a_branch", "observed"):
        for lenience in (1.0, 0.7):
            for resample in ("ssp", "multinomial"):
                usual = (name, lenience, resample) in (("occurrences", 0.7, "ssp"), ("previews", 1.0, "multinomial"))
                marks = [] if usual else [pytest.mark.long]
                made.append(pytest.param(name, lenience, resample, marks=[*marks, pytest.mark.statistical]))
    return made


@pytest.mark.parametrize(("name", "lenience", "resample"), gate())
def test_runs_with_drafts_average_to_the_enumerated_masses(name: str, lenience: float, resample: str) -> None:
    """Hall's p-values over the evidence and all values, Bonferroni: false alarms at most 1e-6 each."""
    expected = CASES[name]().enumerated()
    settings = {"particles": 6, "ess_threshold": 0.7, "resample": resample, "lenience": lenience}
    found_runs = runs(name, range(800), gamma=3, drafts=[drawn(0.7)], **settings)
    found: dict = {key: np.zeros(len(found_runs)) for key in expected}
    for number, posterior in enumerate(found_runs):
        found["Z"][number] = np.exp(posterior.log_z)
        for item in posterior.support:
            found["value", freeze(item.value)][number] = np.exp(item.log_weight)
    assert is_conclusive(found["Z"])
    for key, values in found.items():
        if is_conclusive(values):
            assert hall_p_value(values, expected[key]) > ALPHA / len(expected), key


@pytest.mark.parametrize("settings", [{"islands": 4}, {"retry": 3}, {"grow": 2, "grow_ess": 4.0}, {"refine": 2}])
def test_repeated_runs_are_the_same_with_certain_drafts(settings: dict[str, Any]) -> None:
    plain = runs("two_holes_with_a_branch", range(4), particles=4, **settings)
    fast = runs("two_holes_with_a_branch", range(4), particles=4, gamma=3, drafts=[named()], **settings)
    for one, other in zip(plain, fast, strict=True):
        assert one.values == other.values
        np.testing.assert_array_equal(one.log_weights, other.log_weights)
        assert one.tokens["target"] == other.tokens["target"]
        assert other.speculated.proposed == other.tokens["draft_proposed"] > 0
