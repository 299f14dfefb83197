"""What it saves that inputs of a batch take the place of those that ended (`python -m benchmarks.inference.refill`).

24 inputs of uneven lengths (8 to 136 characters, most of them short) on the embedded model, 16 particles each. *Before*
are runs of four inputs, each as long as its longest; *after* is the same batch in one line, four in flight. Results are
compared; passes, rows a pass and CPU are told, and their ratios, the two taken turns with seed by seed.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Callable
from typing import Any

import smcdsl
from smcdsl.engine import CompiledProgram
from smcdsl.engine.batches import run_in_line
from smcdsl.engine.result import Result
from smcdsl.models.embedded.model import EmbeddedSession
from smcdsl.workers import WorkerPools

PROGRAM = """smc 1
input size: int
input subject: str
grammar words = /[a-z ]+/ where chars in size..size + 8
generate {
  system "You describe things in plain words, as briefly or as fully as you are told."
  user "Describe {{ subject }} in about {{ size }} characters."
  assistant "[[x: words]]"
}
return posterior x
"""
SUBJECTS = "a river|the moon|a small town|an old clock|rain|a market|the sea|a bridge".split("|")
JOBS = 4

Request = tuple[dict[str, Any], int]


def requests_of(program: CompiledProgram, seed: int, count: int) -> list[Request]:
    """Inputs of 8 to 128 characters, any power of two as likely as another."""
    chance = random.Random(seed)
    sizes = [2 ** chance.randint(3, 7) for _ in range(count)]
    return [
        (program.values({"size": size, "subject": SUBJECTS[place % len(SUBJECTS)]}), seed + place)
        for place, size in enumerate(sizes)
    ]


def measured(work: Callable[[], list[Result]]) -> tuple[list[Result], int, float, float]:
    """Results, passes, mean rows a pass, seconds of CPU."""
    passes: list[int] = []
    original = EmbeddedSession.next_logprobs

    def listened(self: EmbeddedSession, prefixes: Any) -> Any:
        passes.append(len(prefixes))
        return original(self, prefixes)

    EmbeddedSession.next_logprobs = listened  # type: ignore[method-assign]
    try:
        began = time.process_time()
        results = work()
        return results, len(passes), statistics.mean(passes), time.process_time() - began
    finally:
        EmbeddedSession.next_logprobs = original  # type: ignore[method-assign]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--inputs", type=int, default=24)
    parser.add_argument("--particles", type=int, default=16)
    given = parser.parse_args()
    program, model = smcdsl.compile(PROGRAM), smcdsl.model("tiny")
    settings = {"particles": given.particles}
    print(f"{'seed':>4} {'passes':>13} {'rows a pass':>13} {'CPU':>15} {'ratio':>6}")
    ratios = []
    with WorkerPools() as pools:
        for seed in range(given.seeds):
            requests = requests_of(program, 100 * seed, given.inputs)

            def before(requests: list[Request] = requests) -> list[Result]:
                shares = [requests[start : start + JOBS] for start in range(0, len(requests), JOBS)]
                return [result for share in shares for result in program.run_many(model, share, settings, pools=pools)]

            def after(requests: list[Request] = requests) -> list[Result]:
                found = dict(run_in_line(program, model, requests, settings, jobs=JOBS, pools=pools))
                return [found[number] for number in range(len(requests))]  # type: ignore[misc]

            if not seed:
                after()  # grammars are compiled once
            turns = [before, after] if seed % 2 else [after, before]
            made = {work: measured(work) for work in turns}
            old, new = made[before], made[after]
            different = sum(
                one.outcome.posterior.values != other.outcome.posterior.values for one, other in zip(old[0], new[0])
            )
            ratios.append(old[3] / new[3])
            print(
                f"{seed:>4} {old[1]:>6,}{new[1]:>7,} {old[2]:>6.1f}{new[2]:>7.1f} {old[3]:>7.2f}{new[3]:>7.2f}s"
                f" {ratios[-1]:>6.2f}" + (f"   {different} results differ" if different else "")
            )
    print(f"median ratio of CPU {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
