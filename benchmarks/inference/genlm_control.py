"""SMC beside genlm-control: same model, same grammar, same prompts, as many particles and tokens.

    python -m benchmarks.inference.genlm_control --peer-python PATH [--seeds 40] [--folder FOLDER] [--save figures.json]

PATH is the interpreter of a virtual environment with genlm-control, which needs none of smcdsl; it answers over a pipe
(`genlm_peer.py`). FOLDER keeps the model, which is fitted if it is not there yet (`fitted.py`). The runs of the two
sides alternate, so that a busy machine slows both. Each begins without the model's cache, and with what is known of the
grammar.

The constraint is `queries.lark`, read by both; that they agree on it is checked on texts and on their beginnings. The
target is the same measure: the model's probability of (query, end of text), of queries of the grammar with at most so
many tokens, the end included. Both estimate its total mass Z without bias, so their means must agree. Times are CPU
times of the whole process, "outside" is what is not spent inside the forward method of the transformers model.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.inference import fitted, genlm_report
from benchmarks.inference.forward_clock import ForwardClock
from benchmarks.tasks.splits import data_folder
from smcdsl import engine

PROGRAM = """smc 1
input prompt: str
grammar query = lark("{grammar}") where tokens <= {most}
generate {{
  text "{{{{ prompt }}}}[[q: query]]"
  {guide}
}}
return posterior q
"""
OURS = {
    "smcdsl": "",
    "smcdsl, barriers": "guide 1 + 0 * chars(q) at core",
}
"""How particles meet: at the end only, as no factor names a boundary; or at a boundary that a guide of one names."""
PEERS = {"genlm AWRS": "awrs", "genlm eager": "eager"}
SLOW, SLOW_EVERY = "genlm eager", 10
"""The one that takes longest runs with every tenth seed."""


class Ours:
    """smcdsl on the model."""

    def __init__(self, folder: Path, particles: int, max_tokens: int) -> None:
        began = time.process_time()
        self.model: Any = engine.model(str(folder))
        self.clock = ForwardClock(self.model._model)
        self.particles = particles
        self.model_seconds = time.process_time() - began
        self.programs = {
            name: engine.compile(PROGRAM.format(grammar=fitted.GRAMMAR.resolve(), most=max_tokens - 1, guide=guide))
            for name, guide in OURS.items()
        }
        began = time.process_time()
        for program in self.programs.values():
            self.automaton = self._automaton(program)
        self.grammar_seconds = time.process_time() - began

    def _automaton(self, program: engine.CompiledProgram) -> Any:
        from smcdsl.engine.automata import HoleAutomata

        automata = HoleAutomata(program.program, self.model.vocabulary, program.settings()["state_limit"])
        automata.prepare({"prompt": ""})
        (hole,) = program.program.holes
        return automata(hole, {"prompt": ""}, None)

    def prompt(self, text: str) -> list[int]:
        """The tokens that a run begins with."""
        return [*self.model.begin_text(), *self.model.encode(text, starts_text=True)]

    def run(self, name: str, prompt: str, seed: int) -> dict[str, Any]:
        """One run."""
        program = self.programs[name]
        self.clock.reset()
        wall, began = time.perf_counter(), time.process_time()
        flags = {"particles": self.particles}
        (result,) = program.run_many(self.model, [({"prompt": prompt}, seed)], flags)
        used = time.process_time() - began
        posterior = result.outcome.posterior
        assert posterior.log_z is not None
        return {
            "log_z": posterior.log_z,
            "drawn": posterior.tokens["target"],
            "seconds": used,
            "wall": time.perf_counter() - wall,
            "forward_seconds": self.clock.seconds,
            "forwards": self.clock.passes,
            "alive": int(np.sum(posterior.log_weights > -np.inf)),
        }

    def accepts(self, text: str) -> tuple[bool, bool]:
        """Whether a text is in the language, and whether one begins with it."""
        tokens = list(text.encode())
        state = self.automaton.start
        for byte in tokens:
            state = self.automaton.next(state, self._of_byte[byte])
            if state < 0:
                return False, False
        return bool(self.automaton.mask(state)[self._end >> 5] >> (self._end & 31) & 1), True

    @property
    def _of_byte(self) -> dict[int, int]:
        vocabulary = self.model.vocabulary
        return {token[0]: number for number, token in enumerate(vocabulary.token_bytes) if len(token) == 1}

    @property
    def _end(self) -> int:
        return int(self.model.vocabulary.end_of_turn[0])


class Peer:
    """genlm-control in a process of its own."""

    def __init__(self, python: str, folder: Path, particles: int, max_tokens: int) -> None:
        script = Path(__file__).with_name("genlm_peer.py")
        self._process = subprocess.Popen([python, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._settings = {"particles": particles, "max_tokens": max_tokens, "ess": 0.5, "resample": "systematic"}
        self._folder = folder
        self.about = self._ask("setup", folder=str(folder), grammar=fitted.GRAMMAR.read_text(), particles=particles)

    def run(self, name: str, prompt: Sequence[int], seed: int, **more: Any) -> dict[str, Any]:
        """One run."""
        return self._ask("run", sampler=PEERS[name], prompt=list(prompt), seed=seed, **self._settings, **more)

    def accepts(self, texts: Sequence[str]) -> list[list[bool]]:
        """Of each text, whether it is in the language, and whether one begins with it."""
        found: list[list[bool]] = self._ask("accepts", texts=list(texts))["accepts"]
        return found

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _ask(self, what: str, **request: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": what, **request}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"the peer ended with code {self._process.wait()}; its own message stands above")
        answer: dict[str, Any] = json.loads(line)
        return answer


def texts_to_check(count: int) -> list[str]:
    """Queries, their beginnings, and both with one character changed or dropped."""
    generator = np.random.default_rng(0)
    rows = fitted.spider_validation()
    found = []
    for place in generator.permutation(len(rows))[:count].tolist():
        query = fitted.one_way(rows[place]["query"])
        if query is None:
            continue
        at = int(generator.integers(len(query)))
        other = " a7,.()'=*<S"[int(generator.integers(12))]
        found += [query, query[:at], query[:at] + query[at + 1 :], query[:at] + other + query[at + 1 :]]
    return found


def disagreements(ours: Ours, peer: Peer, count: int) -> tuple[list[str], int]:
    """Texts that the two sides do not agree on, and how many were tried.

    Token limits are left out: the texts are read byte by byte on both sides.
    """
    texts = [text for text in texts_to_check(count) if len(text) < 200]
    theirs = peer.accepts(texts)
    ours_ = [list(ours.accepts(text)) for text in texts]
    return [text for text, a, b in zip(texts, ours_, theirs) if a != b], len(texts)


def measure(
    ours: Ours, peer: Peer | None, prompts: Sequence[str], seeds: int
) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """(method, number of the prompt, figures) of every run, the sides in turn."""
    for seed in range(seeds):
        for number, prompt in enumerate(prompts):
            for name in OURS:
                yield name, number, ours.run(name, prompt, seed)
            if peer is not None:
                for name in PEERS:
                    if name == SLOW and seed % SLOW_EVERY:
                        continue
                    yield name, number, peer.run(name, ours.prompt(prompt), seed)


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and print."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.inference.genlm_control",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--peer-python", help="interpreter with genlm-control; without it only smcdsl runs")
    parser.add_argument("--folder", type=Path, help="where the fitted model is kept")
    parser.add_argument("--seeds", type=int, default=40, help="runs a prompt and method")
    parser.add_argument("--prompts", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=60.0, help="after which no more runs are made")
    parser.add_argument("--texts", type=int, default=24, help="queries on which the languages are compared")
    parser.add_argument("--particles", type=int, default=10)
    parser.add_argument("--max-tokens", type=int, default=40, help="the end of the text included")
    parser.add_argument("--save", type=Path, help="write all runs as JSON")
    options = parser.parse_args(arguments)
    if not (data_folder() / "spider").is_dir():
        print(f"needs the Spider data in {data_folder()} (set SMCDSL_DATA)", file=sys.stderr)
        return 1
    import torch

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="smcdsl-") as scratch:
        folder = fitted.made(options.folder or Path(scratch))
        ours = Ours(folder, options.particles, options.max_tokens)
        peer = None
        if options.peer_python:
            peer = Peer(options.peer_python, folder, options.particles, options.max_tokens)
            print(genlm_report.about(ours.grammar_seconds, peer.about))
            if options.texts:
                # Without a limit on tokens: the texts are read byte by byte.
                wrong, tried = disagreements(Ours(folder, options.particles, 1000), peer, options.texts)
                print(f"language: {tried} texts and beginnings, {len(wrong)} that the sides disagree on", *wrong)
        prompts = [fitted.prompt_of(question) for question in fitted.questions(options.prompts)]
        runs = []
        until = time.monotonic() + 60 * options.minutes
        for run in measure(ours, peer, prompts, options.seeds):
            runs.append(run)
            if time.monotonic() > until:
                break
        if peer is not None:
            peer.close()
    print(genlm_report.report(runs, list(OURS), list(PEERS)))
    if options.save:
        options.save.write_text(json.dumps(runs))
    return 0


if __name__ == "__main__":
    sys.exit(main())
