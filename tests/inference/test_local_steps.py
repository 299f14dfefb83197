"""Each step by itself, without chance: masks, local normalisers and budgets; weights of whole sequences; psi."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from battery import Twist, instance, posteriors
from building import Functions, factor
from exact import BranchDraws, exact_means
from grid_instances import written
from oracles.instances import Instance, asked

from smcdsl.automaton.automaton import TokenAutomaton
from smcdsl.compiler.assemble import compile_grammar
from smcdsl.compiler.compile import compile_program
from smcdsl.inference.methods import RunRequest, Settings, run
from smcdsl.inference.proposals import Rows, TokenRule, local_targets, proposal_of
from smcdsl.notations.lark import load_lark
from smcdsl.program.grammar import Limit

Tokens = tuple[int, ...]


def fewest_tokens(spelled: tuple[bytes, ...], end: int, texts: frozenset[bytes]) -> Any:
    """Of a beginning, how many tokens at least write one of the texts and end it, by trying everything."""

    @cache
    def left(text: bytes) -> float:
        found = 1.0 if text in texts else math.inf
        for token, own in enumerate(spelled):
            longer = text + own
            if token != end and own and any(other.startswith(longer) for other in texts):
                found = min(found, 1 + left(longer))
        return found

    return left


def prefixes(problem: Instance, most: float = math.inf) -> dict[Tokens, dict[int, bool]]:
    """Every beginning that can be ended within `most` tokens, the last one included, and its tokens: which end it."""
    model, texts = problem.model, problem.language.texts
    spelled, (end,) = model.vocabulary.token_bytes, model.vocabulary.end_of_turn
    left = fewest_tokens(spelled, end, texts)
    found: dict[Tokens, dict[int, bool]] = {}
    frontier: list[tuple[Tokens, bytes]] = [((), b"")]
    while frontier:
        tokens, text = frontier.pop()
        room = most - len(tokens) - 1
        found[tokens] = {end: True} if text in texts and room >= 0 else {}
        for token, own in enumerate(spelled):
            if token != end and own and left(text + own) <= min(room, 1e9):
                found[tokens][token] = False
                frontier.append(((*tokens, token), text + own))
    return found


def law_after(problem: Instance, tokens: Tokens) -> np.ndarray:
    """The model's, from its table."""
    model = problem.model
    context = tuple(([-1] * model.order + list(tokens))[-model.order :]) if model.order else ()
    return np.exp(model.log_rows[model.row_of(context)])


def check_every_prefix(problem: Instance, automaton: Any, most: float = math.inf, power: float = 1.0) -> int:
    """The product's local target after every beginning has the tokens and the sum that trying everything gives."""
    states: dict[Tokens, int] = {(): automaton.start}
    expected = prefixes(problem, most)
    for tokens in sorted(expected, key=len):
        law, state = law_after(problem, tokens), states[tokens]
        rows = Rows(np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.int64), np.array([state]))
        with np.errstate(divide="ignore"):
            local = local_targets(np.log(law)[None], [automaton], rows, power)
        assert sorted(local.tokens.tolist()) == sorted(expected[tokens]), tokens
        (total,) = proposal_of(local, TokenRule(power=power)).totals()
        right = math.fsum(law[token] ** power for token in expected[tokens])
        assert total == pytest.approx(right, rel=1e-12, abs=0.0)
        for token, ends in expected[tokens].items():
            after = int(automaton.advance(np.array([state]), np.array([token]))[0])
            assert bool(automaton.finished(np.array([after]))[0]) == ends
            states[*tokens, token] = after
    return len(expected)


@pytest.mark.parametrize("power", [1.0, 2.0])
@pytest.mark.parametrize("name", ["tokens", "dyck", "clauses"])
def test_every_prefix_has_the_enumerated_mask_and_normaliser(name: str, power: float) -> None:
    """Of compiled grammars: regular, recursive with a limit on characters, with rules."""
    problem = written(name)
    assert check_every_prefix(problem, problem.tokens, power=power) > 100


@pytest.mark.parametrize("most", [1, 2, 3, 5])
def test_a_budget_of_tokens_leaves_what_can_still_be_ended(most: int) -> None:
    """`most` tokens and the one that ends: what is allowed at each place is what fits, and at the last only the end."""
    problem = instance("tokens")
    texts = sorted((text.decode() for text in problem.language.texts), key=len, reverse=True)
    grammar = replace(load_lark(f"start: WORD\nWORD: /{'|'.join(texts)}/"), conditions=(Limit("tokens", None, most),))
    automaton = TokenAutomaton(compile_grammar(grammar, problem.model.vocabulary), None)
    assert check_every_prefix(problem, automaton, most + 1) > 0


@pytest.mark.parametrize("name", ["coin", "ngram_dfa", "dyck", "clauses_power", "clauses", "checked", "tokens"])
def test_weights_of_whole_sequences_have_the_enumerated_moments(name: str) -> None:
    """Sum of q w is Z, and sum of q w^2 gives the exact variance, each to 1e-12 of itself."""
    problem = instance(name)
    plan, settings = compile_program(problem.program), Settings(particles=1, method="is", proposal="mask")

    def powers(draws: BranchDraws, groups: int) -> list[dict[str, float]]:
        found = run(
            plan,
            problem.model,
            [RunRequest({}, 0)] * groups,
            automata=problem.provide,
            functions=problem.functions,
            settings=settings,
            draws=lambda salt: draws,
        )
        weights = [math.exp(each.log_z) if each.log_z is not None else 0.0 for each in found]
        return [{"w": weight, "w^2": weight**2} for weight in weights]

    means, moments = exact_means(powers), problem.moments()
    evidence = math.fsum(problem.masses.values())
    assert means["w"] == pytest.approx(evidence, rel=1e-12, abs=0.0)
    assert means["w^2"] == pytest.approx(evidence**2 * (1 + moments.squared_cv), rel=1e-12, abs=0.0)


def log_weights_by_path(problem: Any, made: Any, functions: Any, **settings: Any) -> dict[Tokens, float]:
    """The weight of every finished sequence that runs on some seeds have."""
    found = run(
        compile_program(made),
        problem.model,
        [RunRequest({}, seed) for seed in range(30)],
        automata=problem.provide,
        functions=functions,
        settings=Settings(particles=4, method="is", proposal="lm"),
        **settings,
    )
    paths: dict[Tokens, float] = {}
    for posterior in found:
        weights = posterior.log_weights.tolist()
        paths |= {
            tuple(view.path): weight
            for view, weight in zip(posterior.particles, weights, strict=True)
            if weight > -math.inf
        }
    return paths


@pytest.mark.parametrize("name", ["tokens", "dyck", "ngram_dfa"])
def test_psi_is_not_in_the_weight_of_a_finished_sequence(name: str) -> None:
    """Aux algebra: drawn by the same law, sequences weigh at their end what they weigh without a random psi."""
    problem, made = instance(name), asked(power=1.7)
    plain = log_weights_by_path(problem, made, problem.functions)
    twisted = log_weights_by_path(problem, made, problem.functions, lookahead=Twist)
    assert plain.keys() == twisted.keys()
    assert plain
    assert [twisted[path] for path in plain] == pytest.approx(list(plain.values()), rel=1e-12, abs=1e-13)
    assert len(set(plain.values())) > 5


@pytest.mark.parametrize("boundary", ["clause", "token"])
def test_a_guide_is_not_in_the_weight_of_a_finished_sequence(boundary: str) -> None:
    """The same of a hint: it counts on the way, and is taken back at the end."""
    problem, functions = instance("clauses"), Functions()
    hint = functions.add("hint", lambda q: 0.1 + len(q) % 3, prefix="any")
    plain = log_weights_by_path(problem, asked(), functions)
    hinted = log_weights_by_path(problem, asked(factor("guide", hint("q"), f"q.{boundary}")), functions)
    assert plain.keys() == hinted.keys()
    assert plain
    assert [hinted[path] for path in plain] == pytest.approx(list(plain.values()), rel=1e-12, abs=1e-13)


@pytest.mark.parametrize("settings", [{"method": "is"}, {"proposal": "select"}])
@pytest.mark.parametrize("name", ["tokens", "clauses"])
def test_what_is_not_resampled_has_no_scheme_and_no_threshold(name: str, settings: dict[str, Any]) -> None:
    """So the grid has one cell for all of them."""
    problem = instance(name)
    first, *others = (
        posteriors(problem, range(20), resample=scheme, ess_threshold=threshold, **settings)
        for scheme, threshold in (("ssp", 0.5), ("multinomial", 0.5), ("residual", 1.0))
    )
    for other in others:
        for one, two in zip(first, other, strict=True):
            assert one.values == two.values
            np.testing.assert_array_equal(one.log_weights, two.log_weights)


def test_without_boundaries_smc_is_importance_sampling() -> None:
    """Particles that meet at their ends alone are not resampled."""
    problem = instance("coin")
    smc, weighed = (posteriors(problem, range(50), **own) for own in ({"ess_threshold": 1.0}, {"method": "is"}))
    for one, two in zip(smc, weighed, strict=True):
        assert one.values == two.values
        np.testing.assert_array_equal(one.log_weights, two.log_weights)
