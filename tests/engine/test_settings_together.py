"""Every two settings of a run go together: weights stay proper, or a diagnostic says that they do not."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smcdsl
from smcdsl.engine import CompiledProgram
from smcdsl.engine.automata import HoleAutomata
from smcdsl.errors import UsageError
from smcdsl.inference.factors.calls import PotentialCalls
from smcdsl.inference.gate import judge
from smcdsl.library.functions import resolve_function
from smcdsl.verify.enumeration import Enumerated, Enumeration
from smcdsl.verify.weights import masses_of

PROGRAM = """smc 1

import potential "judges.py" as j

grammar list {
  start = item ("," item)*
  item  = ("a" | "b" | "c"){1,3}
}

generate {
  text {
    "[[q: list where chars <= 4]]"
  }
  require j.no_bb(q) at token
  score   j.few(q) at token
}

return posterior q by j.letters(q)

infer smc { particles: 4 }
"""
JUDGES = '''
from smcdsl.protocols import Weight, potential

@potential(prefix="any", cost="cheap")
def no_bb(s: str) -> bool:
    """No two b."""
    return "bb" not in s

@potential(prefix="any", cost="cheap")
def few(s: str) -> Weight:
    """Few a."""
    return 0.5 ** s.count("a")

def letters(s: str) -> str:
    """In order."""
    return "".join(sorted(s))
'''
SETTINGS: dict[str, dict[str, Any]] = {
    "self": {"draft": "self"},
    "suffix": {"draft": "suffix"},
    "drafted": {"draft": "toy:draft.json"},
    "auto": {"draft": "toy:draft.json", "gamma": "auto"},
    "lenient": {"draft": "toy:draft.json", "lenience": 0.6},
    "refine": {"refine": 2},
    "temper": {"temper": "auto"},
    "late": {"previews": "late"},
    "power": {"power": 2.0},
    "select": {"proposal": "select"},
    "awrs": {"proposal": "awrs"},
    "lm": {"proposal": "lm"},
    "flatter": {"proposal_temperature": 1.5},
    "lookahead": {"lookahead": "learned"},
    "islands": {"islands": 4},
    "grow": {"grow": 2, "grow_ess": 3},
    "retry": {"retry": 3},
    "is": {"infer": "is"},
    "often": {"resample": "multinomial", "ess": 1.0},
    "rejection": {"infer": "rejection"},
    "rerank": {"infer": "rerank"},
    "lcd": {"infer": "lcd"},
}
APART = {"E0701", "E0708", "E0711", "E0714"}
"""What says that two settings do not go together."""
PAIRS = [
    (one, two)
    for one, two in itertools.combinations_with_replacement(SETTINGS, 2)
    if all(SETTINGS[one][name] == SETTINGS[two][name] for name in SETTINGS[one].keys() & SETTINGS[two].keys())
]


def chain(tokens: list[str], seed: int) -> dict[str, Any]:
    """A random Markov chain."""
    generator, size = np.random.default_rng(seed), len(tokens) + 1
    table = [[[context], generator.dirichlet(np.full(size, 0.7)).tolist()] for context in range(-1, size)]
    return {"vocab": [*tokens, "<end>"], "eos": size - 1, "lm": {"order": 1, "table": table}}


@pytest.fixture(scope="module")
def program(tmp_path_factory) -> CompiledProgram:
    folder: Path = tmp_path_factory.mktemp("together")
    for name, seed in (("model", 3), ("draft", 4)):
        (folder / f"{name}.json").write_text(json.dumps(chain(["a", "b", "ab", ",", "b,", "c"], seed)))
    (folder / "judges.py").write_text(JUDGES)
    (folder / "list.smc").write_text(PROGRAM)
    return smcdsl.load(folder / "list.smc")


@pytest.fixture
def settings_of(program, monkeypatch, tmp_path):
    """Settings by name, in the folder of the program, with a cache of their own."""
    monkeypatch.chdir(Path(program.program.source.name).parent)
    monkeypatch.setenv("SMCDSL_CACHE_DIR", str(tmp_path))
    return lambda *names: {key: value for name in names for key, value in SETTINGS[name].items()}


def enumerated(program: CompiledProgram, power: float) -> Enumerated:
    plan, model = program.plan_for(program.settings(power=power)), smcdsl.model("toy:model.json")
    calls = PotentialCalls(resolve_function)
    automata = HoleAutomata(plan.program, model.vocabulary, 100_000, None)
    found = Enumeration(plan, model, automata, calls, most_nodes=100_000).run({})
    calls.close()
    assert found.whole
    return found


@pytest.mark.parametrize(("one", "two"), PAIRS, ids=lambda name: name)
def test_two_settings_go_together_or_say_that_they_do_not(program, settings_of, one, two):
    try:
        results = program.run_many("toy:model.json", [({}, seed) for seed in range(2)], settings_of(one, two))
    except UsageError as error:
        (diagnostic,) = error.diagnostics
        assert diagnostic.code in APART
        assert diagnostic.help
        return
    assert all(result.failure is None or result.failure.diagnostics[0].code == "R0901" for result in results)
    assert {result.target for result in results} == {"biased" if {"rerank", "lcd"} & {one, two} else "exact"}


BIASED = {"rerank", "lcd"}
NOTED = {"grow", "refine"}
"""`grow` is biased, and says so; sweeps of `refine` are nearer to the posterior than unbiased."""


@pytest.mark.long
@pytest.mark.parametrize(
    ("one", "two"), [pair for pair in PAIRS if not {*pair} & (BIASED | NOTED)], ids=lambda name: name
)
def test_weights_are_proper_under_two_settings(program, settings_of, one, two):
    settings = settings_of(one, two)
    try:
        results = program.run_many("toy:model.json", [({}, seed) for seed in range(2000)], settings)
    except UsageError:
        return
    found = enumerated(program, settings.get("power", 1.0))
    posteriors = [result.outcome.posterior for result in results]
    evidence = [math.exp(posterior.log_z) for posterior in posteriors]
    judgement = judge(found.masses, list(map(masses_of, posteriors)), texts=found.texts, evidence=evidence)
    assert judgement.passed or not judgement.rejected, str(judgement)
