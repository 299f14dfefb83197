"""What `variance.py` measures on: enumerable instances of the tests, and the shipped examples with a small model.

A problem can be synchronised at every token: a guide of one at the boundary `token` stops all particles there and
changes no weight, so that resampling is decided after every token.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.inference.counting import Counting
from smcdsl import engine
from smcdsl.compiler.compile import compile_program
from smcdsl.inference.methods import RunRequest, Settings, run
from smcdsl.inference.results.posterior import Posterior
from smcdsl.plan import Plan

ROOT = Path(__file__).parents[2]
GUIDE = "guide 1 + 0 * chars({hole}) at token"


@dataclass
class Problem:
    """A program with all that it runs on.

    `log_z` and `law`, the exact mass and the posterior by value, are None where only long runs tell.
    """

    name: str
    model: Any
    inputs: Mapping[str, Any]
    plans: Mapping[bool, Plan]
    """Whether particles meet at every token -> the plan."""
    automata: Any
    functions: Any
    log_z: float | None = None
    law: Mapping[Any, float] | None = None
    settings: Settings = field(default_factory=Settings)
    """What the program itself asks for."""

    def run(self, seeds: Sequence[int], every_token: bool, settings: Settings, pools: Any = None) -> list[Posterior]:
        """Independent runs in one batch."""
        return run(
            self.plans[every_token],
            self.model,
            [RunRequest(self.inputs, seed) for seed in seeds],
            automata=self.automata,
            functions=self.functions,
            settings=settings,
            pools=pools,
        )

    def rows(
        self, seeds: Sequence[int], every_token: bool, settings: Settings, pools: Any = None
    ) -> tuple[float, float]:
        """Rows and passes of the model a run, each run by itself: a batch would share rows between runs."""
        counting = Counting(self.model)
        alone = replace(self, model=counting)
        for seed in seeds:
            alone.run([seed], every_token, settings, pools)
        return counting.counts.rows / len(seeds), counting.counts.passes / len(seeds)


def instances(names: Sequence[str]) -> list[Problem]:
    """The tests' enumerable instances; all if none are named.

    Raises:
        SystemExit: there is no such instance, or no tests beside the benchmarks.
    """
    if not (ROOT / "tests" / "oracles" / "instances.py").is_file():
        raise SystemExit("needs a checkout with its tests: the instances are in tests/oracles")
    sys.path[:0] = [path for path in (str(ROOT / "tests"), str(ROOT / "tests" / "inference")) if path not in sys.path]
    from oracles.instances import INSTANCES

    for name in names:
        if name not in INSTANCES:
            raise SystemExit(f"no instance `{name}`; there are {', '.join(INSTANCES)}")
    return [_instance(INSTANCES[name]()) for name in names or INSTANCES]


def _instance(instance: Any) -> Problem:
    from building import factor

    total = sum(instance.masses.values())
    one = instance.functions.add("one", lambda q: 1.0, prefix="any")
    everywhere = replace(instance.program, body=(*instance.program.body, factor("guide", one("q"), "q.token")))
    return Problem(
        instance.name,
        instance.model,
        {},
        {False: compile_program(instance.program), True: compile_program(everywhere)},
        instance.provide,
        instance.functions,
        float(np.log(total)),
        {value: mass / total for value, mass in instance.masses.items() if mass},
    )


@dataclass(frozen=True)
class Example:
    """A shipped program, the hole that it fills, and inputs; in `examples/` under its name, if no path is given."""

    hole: str
    inputs: Mapping[str, Any] = field(default_factory=dict)
    path: str = ""


FILES = ("db",)
"""Inputs that are files beside the program."""
KITCHEN = "What is the average price of products in the kitchen category?"
EXAMPLES = {
    "text_to_sql": Example("q", {"question": KITCHEN, "db": "shop.sqlite"}),
    "molecules": Example("m"),
    "lead_design": Example("m"),
    "goal_inference": Example("g"),
    "molecules_alone": Example("m", path="benchmarks/tasks/programs/molecules/full.smc"),
}


def example(name: str, model: Any) -> Problem:
    """A shipped example with the inputs above.

    Raises:
        SystemExit: there is no such example here.
    """
    if name not in EXAMPLES:
        raise SystemExit(f"no example `{name}`; there are {', '.join(EXAMPLES)}")
    from smcdsl.engine.automata import HoleAutomata
    from smcdsl.library.functions import resolve_function

    chosen = EXAMPLES[name]
    path = ROOT / (chosen.path or f"examples/{name}.smc")
    program = engine.load(path)
    text = path.read_text()
    end = text.index("\n}\n\nreturn")
    everywhere = engine.compile(text[:end] + "\n  " + GUIDE.format(hole=chosen.hole) + text[end:], name=str(path))
    settings = program.settings()
    given = {key: str(path.with_name(value)) if key in FILES else value for key, value in chosen.inputs.items()}
    inputs = program.values(given)
    automata = HoleAutomata(program.plan.program, model.vocabulary, settings["state_limit"])
    automata.prepare(inputs)
    return Problem(
        name,
        model,
        inputs,
        {False: program.plan, True: everywhere.plan},
        automata,
        resolve_function,
        settings=Settings.of(settings.profile),
    )
