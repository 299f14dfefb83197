"""Near a limit on tokens particles are led to an end, and weights stay proper."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import smcdsl
from smcdsl.automaton import automaton as automata_module
from smcdsl.engine.automata import HoleAutomata
from smcdsl.inference import runtime as runtime_module
from smcdsl.inference.factors.calls import PotentialCalls
from smcdsl.inference.gate import ALPHA, hall_p_value, judge
from smcdsl.inference.lookahead.budget import BudgetTwist
from smcdsl.inference.methods import Settings
from smcdsl.inference.proposals import Occasional, Remembering
from smcdsl.library.functions import resolve_function
from smcdsl.models.toy import ToyModel
from smcdsl.verify.enumeration import Enumeration
from smcdsl.verify.weights import Setup, exact_weights, masses_of

NESTED = """smc 1

grammar nested {
  start = "(" start ")" | "[" start start "]" | "a"
}

generate {
  text {
    "[[q: nested where tokens <= %d]]!"
  }
}
"""
TOKENS = ["(", ")", "[", "]", "a", "))", "!"]


def model_of(weights: dict[str, float]) -> ToyModel:
    """A model that writes tokens independently."""
    vocabulary = [*TOKENS, "<end>"]
    law = np.array([weights.get(token, 0.05) for token in vocabulary])
    rows = [[[], (law / law.sum()).tolist()]]
    return ToyModel({"vocab": vocabulary, "eos": len(TOKENS), "lm": {"order": 0, "table": rows}})


@pytest.fixture(autouse=True)
def _as_large_grammars_do(monkeypatch):
    """Masks search for ends near the limit where the vocabulary is small; here they shall know no more than a bound."""
    monkeypatch.setattr(automata_module, "_SMALL_VOCABULARY", 0)


def setup_of(limit: int, model: ToyModel) -> Setup:
    program = smcdsl.compile(NESTED % limit)
    automata = HoleAutomata(program.program, model.vocabulary, 100_000, None)
    return Setup(program.plan, model, automata, resolve_function, {})


def enumerated(setup: Setup) -> Any:
    calls = PotentialCalls(setup.functions)
    found = Enumeration(setup.plan, setup.model, setup.automata, calls, most_nodes=100_000).run({})
    calls.close()
    assert found.whole
    return found


def test_the_mean_weight_is_the_mass_along_every_branch():
    setup = setup_of(4, model_of({"(": 0.6, "[": 0.2}))
    exact = exact_weights(setup, enumerated(setup), limit=200_000)
    assert exact.paths is not None
    assert exact.paths > 100
    assert exact.deviation < 1e-10


OTHER_WAYS = [{"method": "is"}, {"proposal": "select"}, {"refine": 1}]


@pytest.mark.parametrize(
    "settings",
    [{"ess_threshold": 1.0, "resample": "multinomial"}, *(pytest.param(s, marks=pytest.mark.long) for s in OTHER_WAYS)],
    ids=str,
)
def test_runs_pass_the_gate(settings):
    setup = setup_of(7, model_of({"(": 0.3, "[": 0.2, "a": 0.3}))
    found = enumerated(setup)
    runs = setup.run(range(1500), Settings(particles=4, **settings))
    evidence = [math.exp(run.log_z) for run in runs]
    masses = [masses_of(run) for run in runs]
    judgement = judge(found.masses, masses, texts=found.texts, evidence=evidence)
    # What sweeps add is nearer to the posterior than unbiased, so that only the evidence is tested there.
    assert judgement.passed if "refine" not in settings else hall_p_value(evidence, math.exp(found.log_z)) > ALPHA


def survivors(setup: Setup) -> float:
    runs = setup.run(range(200), Settings(particles=8, ess_threshold=0.0))
    return float(np.mean([np.mean(run.log_weights > -np.inf) for run in runs]))


def test_particles_end_within_the_limit_where_masks_alone_let_them_die(monkeypatch):
    """A model that opens brackets and hardly closes them."""
    model = model_of({"(": 0.5, "[": 0.4, ")": 1e-4, "]": 1e-4, "))": 1e-6, "a": 1e-3})
    assert survivors(setup_of(12, model)) > 0.9
    monkeypatch.setattr(runtime_module, "with_budget", lambda automaton, inner: inner)
    assert survivors(setup_of(12, model)) < 0.1


class _Constant:
    """A lookahead that is the same everywhere."""

    def log_values(self, states: Any) -> Any:
        return np.full(len(states), 0.25)

    def log_successors(self, states: Any, allowed: Any) -> Any:
        return np.full(len(allowed.tokens), 0.5)


def test_another_lookahead_is_multiplied_with_it():
    setup = setup_of(3, model_of({}))
    automaton = setup.automata(next(iter(setup.plan.program.holes)), {}, b"!")
    state = np.array([automaton.next(automaton.start, TOKENS.index("["))])
    allowed = automaton.pick(state, np.zeros((1, len(TOKENS) + 1)), np.zeros(1, dtype=np.int64))
    alone, both = BudgetTwist(automaton), BudgetTwist(automaton, _Constant())
    assert isinstance(alone, Occasional)
    assert not isinstance(alone, Remembering)
    assert alone.acts(state)
    after = alone.log_successors(state, allowed)
    # `[` with two tokens left needs `a`, `a`, `]`: nothing is in time, and what opens more is worse.
    assert (after <= -30).all()
    assert after[allowed.tokens.tolist().index(TOKENS.index("a"))] == after.max()
    assert (both.log_successors(state, allowed) == after + 0.5).all()
    assert both.log_values(state) == alone.log_values(state) + 0.25
    assert both.shares(state).tolist() == [0.005]


def test_far_from_the_limit_nothing_is_asked():
    setup = setup_of(200, model_of({}))
    automaton = setup.automata(next(iter(setup.plan.program.holes)), {}, b"!")
    twist, start = BudgetTwist(automaton), np.array([automaton.start])
    assert not twist.acts(start)
    assert twist.log_values(start).tolist() == [0.0]
    assert np.isnan(twist.shares(start)).all()
