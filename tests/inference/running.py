"""Runs hand-made programs on toy models with the enumerated automaton."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from exact import BranchDraws, exact_means
from oracles.enumerated import EnumeratedAutomaton, Language
from oracles.posterior import Enumeration

from smcdsl.compiler.compile import compile_program
from smcdsl.inference.methods import RunRequest, Settings, run
from smcdsl.inference.results.posterior import Posterior
from smcdsl.models.toy import ToyModel
from smcdsl.program.evaluation import freeze
from smcdsl.program.program import Program


def toy(tokens: Sequence[str], order: int = 1, seed: int = 0, zeros: float = 0.0, **more: Any) -> ToyModel:
    """A random Markov chain over `tokens` and `<end>`; a share of `zeros` of its probabilities is zero."""
    generator = np.random.default_rng(seed)
    size = len(tokens) + 1
    table = []
    for context in itertools.product(range(-1, size), repeat=order):
        law = generator.dirichlet(np.full(size, 0.7))
        law[generator.random(size) < zeros] = 0.0
        law[-1] += 1.0 - law.sum()
        table.append([list(context), law.tolist()])
    return ToyModel({"vocab": [*tokens, "<end>"], "eos": size - 1, "lm": {"order": order, "table": table}, **more})


def automata(model: ToyModel, languages: Mapping[str, Language]) -> Any:
    made: dict[Any, EnumeratedAutomaton] = {}

    def provide(key: str, inputs: Mapping[str, Any], following: bytes | None) -> EnumeratedAutomaton:
        if (key, following) not in made:
            made[key, following] = EnumeratedAutomaton(languages[key], model.vocabulary, following)
        return made[key, following]

    return provide


def results(
    program: Program,
    model: ToyModel,
    languages: Mapping[str, Language],
    functions: Any,
    inputs: Mapping[str, Any] | None = None,
    seeds: Sequence[int] = (0,),
    events: Any = None,
    draws: Any = None,
    drafts: Any = (),
    lookahead: Any = None,
    pools: Any = None,
    **settings: Any,
) -> list[Posterior]:
    """One posterior a seed. A word as `lookahead` is the setting."""
    if isinstance(lookahead, str):
        settings, lookahead = {**settings, "lookahead": lookahead}, None
    return run(
        compile_program(program),
        model,
        [RunRequest(inputs or {}, seed) for seed in seeds],
        automata=automata(model, languages),
        functions=functions,
        settings=Settings(**settings),
        events=events,
        draws=draws,
        drafts=drafts,
        lookahead=lookahead,
        pools=pools,
    )


def exact_evidence(
    program: Program,
    model: ToyModel,
    languages: Mapping[str, Language],
    functions: Any,
    inputs: Mapping[str, Any] | None = None,
    limit: int = 200_000,
    lookahead: Any = None,
    drafts: Any = (),
    pools: Any = None,
    **settings: Any,
) -> dict[Any, float]:
    """The exact mean of the evidence, under `Z`, and of the unnormalised mass of every value."""
    if isinstance(lookahead, str):
        settings, lookahead = {**settings, "lookahead": lookahead}, None
    plan = compile_program(program)
    provide = automata(model, languages)

    def values(draws: BranchDraws, groups: int) -> list[dict[Any, float]]:
        requests = [RunRequest(inputs or {}, 0)] * groups
        posteriors = run(
            plan,
            model,
            requests,
            automata=provide,
            functions=functions,
            settings=Settings(**settings),
            draws=lambda salt: draws,
            lookahead=lookahead,
            drafts=drafts,
            pools=pools,
        )
        return [masses(posterior) for posterior in posteriors]

    return exact_means(values, limit=limit)


def masses(posterior: Posterior) -> dict[Any, float]:
    found = {"Z": 0.0 if posterior.log_z is None else float(np.exp(posterior.log_z))}
    for item in posterior.support:
        found["value", freeze(item.value)] = float(np.exp(item.log_weight))
    return found


def enumerated(
    program: Program,
    model: ToyModel,
    languages: Mapping[str, Language],
    functions: Any,
    inputs: Mapping[str, Any] | None = None,
) -> dict[Any, float]:
    """What `exact_evidence` should be."""
    by_value = Enumeration(program, model, languages, functions).masses(inputs or {})
    return {"Z": sum(by_value.values()), **{("value", value): mass for value, mass in by_value.items() if mass}}
