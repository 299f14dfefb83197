"""Rounds of speculation without chance: every branch of the drafts, the tests and what is drawn behind them."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from exact import BranchDraws, exact_means

from smcdsl.inference.drafts.drafting import MOST_DRAFTED, Drafted, Laws, joined
from smcdsl.inference.draws import CounterDraws, Purpose
from smcdsl.inference.speculation import verification
from smcdsl.inference.speculation.verification import (
    Chains,
    Place,
    Verified,
    verify_blocks,
    verify_leniently,
    verify_tokens,
)

END = 0
"""The token that ends a text."""

Law = dict[int, float]


@dataclass(frozen=True)
class Problem:
    """Target and draft laws by prefix; a draft of None names the most probable token. `most` ends drafts early."""

    name: str
    p: Callable[[tuple[int, ...]], Law]
    q: Callable[[tuple[int, ...]], Law | None]
    depth: int
    ends_draft: Callable[[tuple[int, ...]], bool] = lambda prefix: False

    def laws(self) -> dict[tuple[int, ...], float]:
        """The probability of every text."""
        found: dict[tuple[int, ...], float] = {}
        frontier = {(): 1.0}
        while frontier:
            after: dict[tuple[int, ...], float] = {}
            for prefix, mass in frontier.items():
                for token, chance in self.p(prefix).items():
                    into = found if token == END else after
                    into[*prefix, token] = mass * chance
            frontier = {prefix: mass for prefix, mass in after.items() if mass > 0}
        return found


def table(seed: int, tokens: int, depth: int, zeros: float, sharpness: float, mask_seed: int) -> Callable[..., Law]:
    """Random laws over the tokens that a random mask allows; at `depth` only the end is left."""

    def law(prefix: tuple[int, ...]) -> Law:
        masks = np.random.default_rng([mask_seed, *prefix])
        allowed = [END] if len(prefix) == depth else [t for t in range(tokens) if t == END or masks.random() < 0.7]
        own = np.random.default_rng([seed, 1, *prefix])
        weights = own.dirichlet(np.full(len(allowed), sharpness))
        weights = np.where(own.random(len(allowed)) < zeros, 0.0, weights)
        if weights.sum() == 0:
            weights[0] = 1.0
        return dict(zip(allowed, (weights / weights.sum()).tolist(), strict=True))

    return law


def nearby(p: Callable[..., Law], other: Callable[..., Law], share: float) -> Callable[..., Law]:
    return lambda prefix: {
        token: (1 - share) * mass + share * other(prefix)[token] for token, mass in p(prefix).items()
    }


def cut_to_best(q: Callable[..., Law]) -> Callable[..., Law]:
    """A draft that never names the least probable token."""

    def law(prefix: tuple[int, ...]) -> Law:
        own = q(prefix)
        least = min(own, key=lambda token: own[token])
        kept = {token: mass for token, mass in own.items() if token != least} or own
        return {token: mass / sum(kept.values()) for token, mass in kept.items()}

    return law


def problems() -> list[Problem]:
    made = []
    for seed, (tokens, zeros, sharpness) in enumerate([(3, 0.0, 1.0), (4, 0.3, 0.5)]):
        p = table(seed, tokens, 4, zeros, sharpness, seed)
        far = table(seed + 50, tokens, 4, 0.0, 1.0, seed)
        made.append(Problem(f"far {seed}", p, far, 4))
        made.append(Problem(f"near {seed}", p, nearby(p, far, 0.3), 4))
    p, far = table(7, 3, 4, 0.0, 1.0, 7), table(57, 3, 4, 0.0, 1.0, 7)
    made.append(Problem("same", p, p, 4))
    made.append(Problem("cut", p, cut_to_best(far), 4))
    made.append(Problem("certain", p, lambda prefix: None, 4))
    made.append(Problem("mixed", p, lambda prefix: None if len(prefix) % 2 else far(prefix), 4))
    made.append(Problem("ragged", p, far, 4, lambda prefix: prefix[-1:] == (2,)))
    return made


PROBLEMS = {problem.name: problem for problem in problems()}


class Table:
    """Laws by row."""

    def __init__(self) -> None:
        self.laws: list[Law] = []

    def add(self, law: Law) -> int:
        self.laws.append(dict(sorted(law.items())))
        return len(self.laws) - 1

    def done(self) -> Laws:
        starts = np.cumsum([0, *map(len, self.laws)], dtype=np.int64)
        tokens = np.array([token for law in self.laws for token in law], dtype=np.int32)
        return Laws(starts, tokens, np.array([mass for law in self.laws for mass in law.values()], dtype=np.float64))


def one_round(
    problem: Problem, gamma: int, draws: Any, count: int, verify: Callable[[Chains, Place, Any], Verified]
) -> list[tuple[tuple[int, ...], float]]:
    """What each of `count` particles has after one round from the start, and its log weight."""
    target, draft = Table(), Table()
    prefixes: list[tuple[int, ...]] = [()] * count
    drafted: list[list[tuple[int, int, int]]] = [[] for _ in range(count)]
    leaves = np.array([target.add(problem.p(())) for _ in range(count)])
    going = np.arange(count)
    for depth in range(gamma):
        laws = [problem.q(prefixes[own]) for own in going.tolist()]
        drawn = np.array([own for own, law in zip(going.tolist(), laws, strict=True) if law is not None], dtype=int)
        known = {own: law for own, law in zip(going.tolist(), laws, strict=True) if law is not None}
        breaks = [np.cumsum(list(dict(sorted(known[own].items())).values())) for own in drawn.tolist()]
        steps = np.full(len(drawn), depth)
        numbers = draws.uniforms(Purpose.DRAFT, steps, drawn, 0 * drawn, lambda _, breaks=breaks: iter(breaks))
        chosen = {
            own: sorted(known[own])[min(np.searchsorted(edges, number, side="right"), len(edges) - 1)]
            for own, edges, number in zip(drawn.tolist(), breaks, numbers, strict=True)
        }
        still = []
        for own in going.tolist():
            prefix = prefixes[own]
            token = chosen.get(own, max(problem.p(prefix), key=problem.p(prefix).__getitem__))
            drafted[own].append((token, int(leaves[own]), draft.add(known[own]) if own in known else -1))
            prefixes[own] = (*prefix, token)
            leaves[own] = -1 if token == END else target.add(problem.p(prefixes[own]))
            if token != END and not problem.ends_draft(prefixes[own]):
                still.append(own)
        going = np.array(still, dtype=int)
    starts = np.cumsum([0, *map(len, drafted)])
    flat = np.array([entry for own in drafted for entry in own], dtype=np.int64).reshape(-1, 3)
    chains = Chains(starts, flat[:, 0], flat[:, 1], flat[:, 2], leaves, target.done(), draft.done())
    place = Place(np.arange(count), np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64))
    verified = verify(chains, place, draws)
    found = []
    for own in range(count):
        accepted, final = int(verified.accepted[own]), int(verified.finals[own])
        tokens = [token for token, _, _ in drafted[own][:accepted]]
        weight = verified.corrections[starts[own] : starts[own] + accepted].sum() + verified.final_corrections[own]
        assert (final < 0) == (accepted == len(drafted[own]) and leaves[own] < 0)
        if final >= 0:
            tokens.append(int(chains.target.tokens[final]))
        found.append((tuple(tokens), float(weight)))
    return found


def law_after_a_round(problem: Problem, gamma: int, verify: Any) -> dict[Any, float]:
    """The exact law of texts: a round, then ordinary draws from p; and the mean weight and tokens of a round."""
    texts = problem.laws()

    def rest(text: tuple[int, ...], done: int) -> float:
        return float(np.prod([problem.p(text[:place]).get(text[place], 0.0) for place in range(done, len(text))]))

    def values(draws: BranchDraws, count: int) -> list[dict[Any, float]]:
        results = []
        for tokens, log_weight in one_round(problem, gamma, draws, count, verify):
            weight = np.exp(log_weight)
            assert tokens, "a round gives a token"
            reached = [text for text in texts if text[: len(tokens)] == tokens]
            results.append({text: weight * rest(text, len(tokens)) for text in reached})
            results[-1]["tokens"] = len(tokens)
            results[-1]["weight"] = weight
            results[-1]["square"] = weight**2
        return results

    return exact_means(values)


def leniently(lenience: float) -> Any:
    return lambda chains, place, draws: verify_leniently(chains, lenience, place, draws)


VERIFIERS = {
    "tokens": verify_tokens,
    "blocks": verify_blocks,
    "lenient 0.7": leniently(0.7),
    "lenient 0.5": leniently(0.5),
}


@pytest.mark.parametrize("gamma", [1, 2, 3])
@pytest.mark.parametrize("verifier", VERIFIERS)
@pytest.mark.parametrize("name", PROBLEMS)
def test_a_round_and_ordinary_draws_have_the_targets_law(name: str, verifier: str, gamma: int) -> None:
    problem = PROBLEMS[name]
    found = law_after_a_round(problem, gamma, VERIFIERS[verifier])
    assert found["weight"] == pytest.approx(1.0, abs=1e-12)
    for text, mass in problem.laws().items():
        assert found.get(text, 0.0) == pytest.approx(mass, abs=1e-12)
    if not verifier.startswith("lenient 0"):
        assert found["square"] == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("name", PROBLEMS)
def test_blocks_are_never_shorter_than_tokens_one_by_one(name: str) -> None:
    problem = PROBLEMS[name]
    lengths = {verifier: law_after_a_round(problem, 3, VERIFIERS[verifier])["tokens"] for verifier in VERIFIERS}
    assert lengths["blocks"] >= lengths["tokens"] - 1e-12
    whole = law_after_a_round(problem, 3, leniently(1.0))
    assert whole["tokens"] == pytest.approx(lengths["tokens"], abs=1e-12)
    assert whole["square"] == pytest.approx(1.0, abs=1e-12)
    if name in ("far 0", "far 1"):
        assert lengths["blocks"] > lengths["tokens"] + 1e-3
        assert lengths["lenient 0.5"] > lengths["lenient 0.7"] > lengths["tokens"]


def test_a_draft_of_the_targets_own_law_is_accepted_whole() -> None:
    problem = PROBLEMS["same"]
    for verifier in ("tokens", "blocks"):
        drafted = one_round(problem, 3, CounterDraws(range(200), 1), 200, VERIFIERS[verifier])
        assert all(len(tokens) == 4 or tokens[-1] == END for tokens, _ in drafted)


def draw_refused_tokens_from_the_target(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(verification, "LEAST_RESIDUAL", 2.0)


def accept_by_other_laws(patch: pytest.MonkeyPatch) -> None:
    """As if p were not under the mask: smaller where the mask leaves something out."""
    ratios = verification._ratios
    patch.setattr(verification, "_ratios", lambda chains: 0.8 * ratios(chains))


def take_the_leaf_for_the_place_of_refusal(patch: pytest.MonkeyPatch) -> None:
    finish = verification._finish

    def wrong(chains: Any, accepted: Any, *rest: Any) -> Any:
        taken = np.where((accepted < chains.lengths) & (chains.leaves >= 0), chains.lengths, accepted)
        found = finish(chains, taken, *rest)
        return Verified(accepted, found.finals, found.corrections, found.final_corrections)

    patch.setattr(verification, "_finish", wrong)


def forget_the_scale_of_residuals(patch: pytest.MonkeyPatch) -> None:
    scales = verification._scales
    patch.setattr(verification, "_scales", lambda chains: (scales(chains)[0], np.ones(len(chains.tokens))))


BUGS: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], tuple[str, ...]]] = {
    "draw refused tokens from the target": (draw_refused_tokens_from_the_target, ("tokens", "blocks", "lenient 0.7")),
    "accept by other laws": (accept_by_other_laws, ("tokens", "blocks", "lenient 0.7")),
    "take the leaf for the place of refusal": (take_the_leaf_for_the_place_of_refusal, ("tokens", "blocks")),
    "forget the scale of residuals": (forget_the_scale_of_residuals, ("blocks",)),
}


@pytest.mark.parametrize(("bug", "verifier"), [(bug, name) for bug, (_, names) in BUGS.items() for name in names])
def test_a_planted_bug_moves_the_law(bug: str, verifier: str, monkeypatch: pytest.MonkeyPatch) -> None:
    BUGS[bug][0](monkeypatch)
    wrong = 0.0
    for name in ("far 0", "ragged"):
        problem = PROBLEMS[name]
        found = law_after_a_round(problem, 3, VERIFIERS[verifier])
        wrong = max(wrong, max(abs(found.get(text, 0.0) - mass) for text, mass in problem.laws().items()))
    assert wrong > 1e-3


def test_the_weight_of_lenience_is_needed() -> None:
    problem = PROBLEMS["far 1"]

    def unweighted(chains: Chains, place: Place, draws: Any) -> Verified:
        found = verify_leniently(chains, 0.5, place, draws)
        return Verified(found.accepted, found.finals, 0 * found.corrections, 0 * found.final_corrections)

    found = law_after_a_round(problem, 2, unweighted)
    assert max(abs(found.get(text, 0.0) - mass) for text, mass in problem.laws().items()) > 1e-3
    assert law_after_a_round(problem, 2, leniently(0.5))["square"] > 1.01


def test_numbers_of_a_round_are_its_own() -> None:
    """Every (purpose, step, group, slot) is asked for once in a round, and never by two rounds."""
    asked: list[tuple[int, ...]] = []

    class Listening(CounterDraws):
        def uniforms(self, purpose: Any, steps: Any, groups: Any, slots: Any, breakpoints: Any) -> Any:
            asked.extend((int(purpose), *key) for key in zip(steps.tolist(), groups.tolist(), slots.tolist()))
            return super().uniforms(purpose, steps, groups, slots, breakpoints)

    one_round(PROBLEMS["far 0"], 3, Listening(range(20), 1), 20, verify_blocks)
    assert len(asked) == len(set(asked))
    assert all(step < MOST_DRAFTED for _, step, _, _ in asked)


def test_drafts_are_joined_in_order() -> None:
    first = Drafted.certain([[1], [], [2, 3]], [[11], [], [12, 13]])
    laws = Laws(np.array([0, 2]), np.array([4, 5], dtype=np.int32), np.array([0.5, 0.5]))
    second = Drafted(np.array([0, 1, 3]), np.array([4, 5, 4]), np.array([14, 15, 16]), np.array([0, 0, 0]), laws)
    both = joined(first, second, np.array([1, 2]))
    chains = [both.tokens[start:end].tolist() for start, end in itertools.pairwise(both.starts.tolist())]
    assert chains == [[1], [4], [2, 3, 5, 4]]
    assert both.states.tolist() == [11, 14, 12, 13, 15, 16]
    assert both.laws.tolist() == [-1, 0, -1, -1, 0, 0]
