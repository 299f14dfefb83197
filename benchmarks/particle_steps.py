"""Particle-steps per second on the toy model: many independent runs in one batch.

    python benchmarks/particle_steps.py [RUNS] [PARTICLES]

A particle-step is one token drawn for one particle, its mask, weight, factors and resampling included.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from smcdsl.automaton.automaton import TokenAutomaton
from smcdsl.compiler.assemble import compile_grammar
from smcdsl.compiler.compile import compile_program
from smcdsl.errors import Source
from smcdsl.inference.methods import RunRequest, Settings, run
from smcdsl.language.load import load_program
from smcdsl.library.binding import bind_hole
from smcdsl.library.functions import resolve_function
from smcdsl.models.toy import ToyModel

PROGRAM = """smc 1
grammar words {
  start = item{2,6} "o"
  item  = /[a-d][e-h]*/
}
generate {
  text "b[[q: words]]"
  score 1 + chars(q)
}
"""


def toy(letters: str = "abcdefghijklmno") -> ToyModel:
    """A random second-order Markov chain."""
    generator = np.random.default_rng(1)
    size = len(letters) + 1
    contexts = itertools.product(range(-1, size), repeat=2)
    table = [[list(context), generator.dirichlet(np.full(size, 0.7)).tolist()] for context in contexts]
    return ToyModel({"vocab": [*letters, "<end>"], "eos": size - 1, "lm": {"order": 2, "table": table}})


def main(runs: int = 2000, particles: int = 8) -> None:
    """Print three rounds."""
    program, model = load_program(Source("benchmark", PROGRAM)), toy()
    plan = compile_program(program)

    def automata(key: str, inputs: Mapping[str, Any], following: bytes | None) -> TokenAutomaton:
        return TokenAutomaton(compile_grammar(bind_hole(program, key, inputs), model.vocabulary), following)

    for _ in range(3):
        started, used = time.perf_counter(), time.process_time()
        results = run(
            plan,
            model,
            [RunRequest({}, seed) for seed in range(runs)],
            automata=automata,
            functions=resolve_function,
            settings=Settings(particles=particles),
        )
        seconds, used = time.perf_counter() - started, time.process_time() - used
        steps = sum(result.tokens["target"] for result in results)
        print(f"{steps} particle-steps, {steps / seconds:,.0f} a second ({steps / used:,.0f} of process time)")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
