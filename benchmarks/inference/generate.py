"""A run with the SQL grammar against transformers' own `generate` without any, on one random Llama.

    python -m benchmarks.inference.generate [--shape 30M] [--particles 16] [--threads 2] [--rounds 3] [--tokens 200]

Ours: SMC, N particles, queries in SQLite's dialect over the tables of examples/shop.sqlite, masks, weights and
resampling included. Theirs: `generate(num_return_sequences=N, do_sample=True)` from the same prompt, as many tokens as
our longest particle, without grammar and without weights. Tokens per second of the process's CPU (threads together)
and of the clock, the best of some rounds that take turns; tokens are those that particles wrote. Each side loads the
model from the folder by itself, as its users do. The last line is where our time went.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

import smcdsl
from benchmarks.inference.random_models import save
from smcdsl.prefixes import Prefixes

PROGRAM = """smc 1
import sql
input db: sqlite
grammar query = sql.select(dialect: "sqlite", schema: db) where tokens <= {tokens}
generate {{
  system "You write exactly one SQLite query and nothing else."
  user \"\"\"
  Schema:
  {{{{ sql.ddl(db) }}}}

  Question: Which customers from Lisbon ordered more than three products of a category in the last year?
  \"\"\"
  assistant "[[q: query]]"
}}
return posterior q
"""
DATABASE = Path(__file__).parents[2] / "examples" / "shop.sqlite"


def timed(action: Callable[[], Any]) -> tuple[Any, float, float]:
    """What it gives, and seconds of CPU and of the clock."""
    began, used = time.perf_counter(), time.process_time()
    found = action()
    return found, time.process_time() - used, time.perf_counter() - began


def main() -> None:
    """Print tokens per second and the shares of time."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--shape", default="30M")
    parser.add_argument("--particles", type=int, default=16)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=200)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    with tempfile.TemporaryDirectory() as folder:
        save(given.shape, Path(folder))
        compare(folder, given.particles, given.rounds, given.tokens)


def compare(folder: str, particles: int, rounds: int, tokens: int) -> float:
    """Print both sides' speed and our shares; the ratio of tokens per second of CPU."""
    from transformers import AutoModelForCausalLM

    program = smcdsl.compile(PROGRAM.format(tokens=tokens))
    model = smcdsl.model(folder)
    theirs = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    prompt = _prompt(program, model)
    ours: list[tuple[float, float, Mapping[str, float]]] = []
    plain: list[tuple[float, float]] = []
    for seed in range(rounds + 1):
        result, used, clock = timed(lambda: program.run(model, db=str(DATABASE), particles=particles, seed=seed))  # noqa: B023
        written = [particle.tokens for particle in result.particles]
        if not seed:
            continue  # masks and kernels are made in the first round
        output, their_used, their_clock = timed(lambda: _generate(theirs, prompt, particles, max(written)))  # noqa: B023
        tokens = sum(written)
        ours.append((tokens / used, tokens / clock, result.as_json()["seconds_by_part"]))
        count = particles * (output.shape[1] - len(prompt))
        plain.append((count / their_used, count / their_clock))
        speeds = f"{ours[-1][0]:.0f} and {plain[-1][0]:.0f} a second of CPU"
        print(f"{tokens} tokens, longest {max(written)}: {speeds}", flush=True)
    best, other = max(ours, key=lambda line: line[0]), max(plain)
    clocks = max(line[1] for line in ours), max(line[1] for line in plain)
    print(f"prompt of {len(prompt)} tokens, N = {particles}, {torch.get_num_threads()} threads")
    print(f"smcdsl   {best[0]:7.0f} tokens a second of CPU {clocks[0]:7.0f} of the clock")
    print(f"generate {other[0]:7.0f} tokens a second of CPU {clocks[1]:7.0f} of the clock")
    print(f"ratio    {best[0] / other[0]:7.2f} {clocks[0] / clocks[1]:30.2f}")
    for line in ours:
        parts, total = line[2], line[2]["total"]
        print("of it    " + ", ".join(f"{name} {100 * spent / total:.1f} %" for name, spent in parts.items()))
    return best[0] / other[0]


def _generate(model: Any, prompt: list[int], particles: int, tokens: int) -> Any:
    with torch.inference_mode():
        return model.generate(
            torch.tensor([prompt]),
            do_sample=True,
            num_return_sequences=particles,
            max_new_tokens=tokens,
            min_new_tokens=tokens,
            pad_token_id=0,
        )


class _Prompted(Exception):
    """Raised with the first prefix that a run asks for."""


def _prompt(program: Any, model: Any) -> list[int]:
    """The tokens before the hole, as a run feeds them."""

    class Asking:
        def __init__(self, prefixes: Prefixes) -> None:
            self._prefixes = prefixes

        def next_logprobs(self, wanted: Any) -> Any:
            raise _Prompted(self._prefixes.sequence(int(wanted[0])))

        def retain(self, _: Any) -> None: ...

        def close(self) -> None: ...

    start = model.start
    model.start = Asking
    try:
        program.run(model, db=str(DATABASE), particles=1)
    except _Prompted as found:
        return list(found.args[0])
    finally:
        model.start = start
    raise AssertionError("a run asks for its prompt")


if __name__ == "__main__":
    main()
