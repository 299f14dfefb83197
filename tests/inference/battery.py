"""Runs of an instance, and what the gate says of them."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from oracles.instances import INSTANCES, Instance

from smcdsl.compiler.compile import compile_program
from smcdsl.inference.gate import Judgement, judge
from smcdsl.inference.methods import RunRequest, Settings, run
from smcdsl.inference.results.posterior import Posterior

PARTICLES = 6
RUNS = 2000


class Twist:
    """A random positive function of the automaton's state, 1 where the hole has ended: a lookahead that misleads."""

    def __init__(self, automaton: Any) -> None:
        self.automaton = automaton

    def log_values(self, states: Any) -> Any:
        values = np.random.default_rng(3).normal(scale=0.7, size=1000)[states % 1000]
        return np.where(self.automaton.finished(states), 0.0, values)

    def log_successors(self, states: Any, allowed: Any) -> Any:
        before = np.repeat(states, np.diff(allowed.starts))
        return self.log_values(self.automaton.advance(before, allowed.tokens.astype(np.int64)))


@cache
def instance(name: str) -> Instance:
    """Made once: its automaton remembers what it was asked."""
    return INSTANCES[name]()


def posteriors(
    problem: Instance,
    seeds: range,
    at_once: int = 2000,
    lookahead: Any = None,
    drafts: Any = (),
    pools: Any = None,
    **settings: Any,
) -> list[Posterior]:
    """One result a seed."""
    plan = compile_program(problem.program)
    chosen = Settings(**{"particles": PARTICLES, **settings})
    found: list[Posterior] = []
    for start in range(0, len(seeds), at_once):
        found += run(
            plan,
            problem.model,
            [RunRequest({}, seed) for seed in seeds[start : start + at_once]],
            automata=problem.provide,
            functions=problem.functions,
            settings=chosen,
            lookahead=lookahead,
            drafts=drafts,
            pools=pools,
        )
    return found


def gate(problem: Instance, seeds: range, **settings: Any) -> Judgement:
    """What the gate says of runs with these settings."""
    runs = posteriors(problem, seeds, **settings)
    masses = [{item.value: float(np.exp(item.log_weight)) for item in posterior.support} for posterior in runs]
    return judge(problem.masses, masses, evidence=[float(np.exp(posterior.log_z or 0.0)) for posterior in runs])
