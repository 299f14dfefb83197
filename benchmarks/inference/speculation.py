"""Speculation on and off: target passes, time and acceptance of each kind of draft, on programs for SQL and PDDL.

    python -m benchmarks.inference.speculation --model FOLDER
    python -m benchmarks.inference.speculation --model FOLDER --draft suffix --draft DRAFT_FOLDER --gamma 4 --gamma auto

Every input is run with every kind of draft in turn, so that other work on the machine hits all alike; ratios are of
sums within one run, per token written, to the run without drafts. `suffix` reads what it wrote for earlier inputs, each
kind with a memory of its own. Times leave out the first pass of a run, which reads the prompt and is the same for all;
what a drafting model takes to read it counts. A pass is one call of the target for all particles; `tau` is how many
tokens a particle writes for one pass that it takes part in.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import smcdsl
from benchmarks.inference.counting import Counting, Counts
from benchmarks.tasks import splits
from smcdsl.engine.automata import HoleAutomata
from smcdsl.inference.drafts.setting import makers
from smcdsl.inference.drafts.suffix import SuffixIndex
from smcdsl.inference.methods import RunRequest, run
from smcdsl.inference.settings import Settings
from smcdsl.library.functions import resolve_function
from smcdsl.prefixes import ROOT as PREFIX_ROOT
from smcdsl.prefixes import Prefixes

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PROGRAMS = {
    "sql": ROOT / "examples/text_to_sql.smc",
    "sql_shots": HERE / "programs/sql_shots.smc",
    "pddl": ROOT / "benchmarks/tasks/programs/planetarium_prompted/grammar.smc",
    "hostile": HERE / "programs/hostile.smc",
}
NONE = "none"


@dataclass
class Cost(Counts):
    """What runs took, summed over inputs."""

    tokens: int = 0
    proposed: int = 0
    accepted: int = 0
    particle_passes: int = 0
    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    cpus: list[float] = field(default_factory=list)

    def record(self) -> dict[str, Any]:
        """Of all, with what follows from it."""
        tau = self.tokens / self.particle_passes if self.particle_passes else 1.0
        acceptance = self.accepted / self.proposed if self.proposed else None
        return asdict(self) | {"tau": tau, "acceptance": acceptance}


@dataclass
class Kind:
    """A kind of draft with its length, its own view of the target and what it has cost."""

    draft: str
    gamma: str
    model: Counting

    @property
    def name(self) -> str:
        return NONE if self.draft == NONE else f"{Path(self.draft).name}, gamma {self.gamma}"


def inputs_of(name: str) -> list[dict[str, Any]]:
    """Values of a program's inputs, one mapping an input."""
    if name == "hostile":
        return [{} for _ in range(40)]
    if name == "pddl":
        data = splits.data_folder() / "planetarium"
        domain = (data / "blocksworld.domain.pddl").read_text(encoding="utf-8")
        return [
            {"story": row["natural_language"], "domain": domain, "problem": row["problem_pddl"]}
            for row in splits.planetarium_validation()
        ]
    lines = (ROOT / "examples/text_to_sql_questions.jsonl").read_text(encoding="utf-8").splitlines()
    return [{"question": json.loads(line)["question"], "db": str(ROOT / "examples/shop.sqlite")} for line in lines]


def measured(
    name: str, model: Any, kinds: Sequence[tuple[str, str]], inputs: Sequence[dict[str, Any]], **settings: Any
) -> Iterator[dict[str, Any]]:
    """A record a kind of draft."""
    program = smcdsl.load(PROGRAMS[name])
    own = [Kind(draft, gamma, Counting(model, Cost())) for draft, gamma in kinds]
    automata = HoleAutomata(program.program, model.vocabulary, 100_000)
    for place, given in enumerate(inputs):
        values = program.values(given)
        # Masks are made at their first use, and the first pass of a model is slow: that is nobody's draft's doing.
        _run(program, Counting(model, Cost()), values, place, automata, NONE, "0", settings | {"max_tokens": 2})
        for turn in range(len(own)):
            kind = own[(place + turn) % len(own)]
            _run(program, kind.model, values, place, automata, kind.draft, kind.gamma, settings)
    base = own[0].model.counts
    for kind in own:
        cost = kind.model.counts
        yield {"program": name, "draft": kind.name, **cost.record()} | {
            "passes_ratio": _per_token(base, "passes") / _per_token(cost, "passes"),
            "wall_ratio": _per_token(base, "wall_seconds") / _per_token(cost, "wall_seconds"),
            "cpu_ratio": _per_token(base, "cpu_seconds") / _per_token(cost, "cpu_seconds"),
            "worst_cpu_ratio": min(b / c for b, c in zip(base.cpus, cost.cpus, strict=True)),
        }


def _run(
    program: Any, model: Counting, values: Any, seed: int, automata: Any, draft: str, gamma: str, settings: Any
) -> None:
    """One run, its cost added to the model's."""
    chosen = () if draft == NONE else makers(draft, model)  # type: ignore[arg-type]
    more = {} if draft == NONE else {"gamma": gamma if gamma == "auto" else int(gamma)}
    cost = model.counts
    read = cost.prompt_wall_seconds, cost.prompt_cpu_seconds
    wall, cpu = time.perf_counter(), time.process_time()
    (posterior,) = run(
        program.plan,
        model,  # type: ignore[arg-type]
        [RunRequest(values, seed)],
        automata=automata,
        functions=resolve_function,
        settings=Settings(**settings, **more),
        drafts=chosen,
    )
    wall = time.perf_counter() - wall - (cost.prompt_wall_seconds - read[0])
    cpu = time.process_time() - cpu - (cost.prompt_cpu_seconds - read[1])
    tokens = posterior.tokens["target"]
    cost.wall_seconds += wall
    cost.cpu_seconds += cpu
    cost.cpus.append(cpu / max(tokens, 1))
    cost.tokens += tokens
    if posterior.speculated is not None:
        cost.proposed += posterior.speculated.proposed
        cost.accepted += posterior.speculated.accepted
        cost.particle_passes += posterior.speculated.passes


def _per_token(cost: Cost, what: str) -> float:
    return float(getattr(cost, what)) / max(cost.tokens, 1)


def index_cost(tokens: int = 20_000, tries: int = 5) -> tuple[float, float]:
    """Microseconds of CPU to take in a token of text, and to guess one; the medians."""
    generator = np.random.default_rng(0)
    words = [generator.integers(0, 30_000, 6).tolist() for _ in range(40)]
    text = [token for _ in range(tokens // 6) for token in words[int(generator.integers(40))]]
    taking, guessing = [], []
    for _ in range(tries):
        prefixes = Prefixes()
        leaf = prefixes.extend(PREFIX_ROOT, text)
        index = SuffixIndex(prefixes)
        began = time.process_time()
        index.add([leaf])
        taking.append((time.process_time() - began) / len(text))
        began = time.process_time()
        for place in range(8, len(text)):
            index.guess(tuple(text[place - 8 : place]), lambda token: True)
        guessing.append((time.process_time() - began) / (len(text) - 8))
    return 1e6 * float(np.median(taking)), 1e6 * float(np.median(guessing))


def shown(record: dict[str, Any]) -> str:
    """A line of the table."""
    acceptance = "" if record["acceptance"] is None else f"{record['acceptance']:.2f}"
    return (
        f"{record['program']:<10} {record['draft']:<28} {record['tokens']:>6} {record['passes']:>6} "
        f"{record['passes_ratio']:>6.2f} {record['rows']:>6} {record['cpu_seconds']:>7.1f} {record['cpu_ratio']:>6.2f} "
        f"{record['wall_seconds']:>7.1f} {record['wall_ratio']:>6.2f} {acceptance:>10} {record['tau']:>5.2f}"
    )


HEADING = (
    f"{'program':<10} {'draft':<28} {'tokens':>6} {'passes':>6} {'ratio':>6} {'rows':>6} {'cpu s':>7} {'ratio':>6} "
    f"{'wall s':>7} {'ratio':>6} {'acceptance':>10} {'tau':>5}"
)


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tiny", help="the target: a name, an alias or a folder")
    parser.add_argument("--dtype", default="auto", help="auto, float32, bfloat16 or float16")
    parser.add_argument("--draft", action="append", help="forced, suffix, self, a name or folder; may be repeated")
    parser.add_argument("--gamma", action="append", help="a number or auto; may be repeated")
    parser.add_argument("--program", action="append", choices=sorted(PROGRAMS))
    parser.add_argument("--particles", type=int, default=4)
    parser.add_argument("--inputs", type=int, default=4)
    parser.add_argument("--first", type=int, default=0, help="the first input's number")
    parser.add_argument("--max-tokens", type=int, default=60)
    parser.add_argument("--method", default="smc")
    parser.add_argument("--out", type=Path, help="records as JSON lines")
    parser.add_argument("--index", action="store_true", help="only what the index of suffixes costs")
    given = parser.parse_args()
    if given.index:
        taking, guessing = index_cost()
        print(f"index of suffixes: {taking:.1f} us to take in a token, {guessing:.1f} us for a guess")
        return
    model = smcdsl.model(given.model, dtype=given.dtype)
    drafts, gammas = given.draft or ["forced", "suffix"], given.gamma or ["4", "auto"]
    kinds = [(NONE, "0"), *((draft, gamma) for draft in drafts for gamma in gammas)]
    settings = {"method": given.method, "particles": given.particles, "max_tokens": given.max_tokens}
    np.seterr(all="ignore")
    print(HEADING)
    records = []
    for name in given.program or ["sql", "pddl"]:
        if name == "pddl" and not (splits.data_folder() / "planetarium").is_dir():
            print(f"{name:<10} skipped: no data; set SMCDSL_DATA")
            continue
        inputs = inputs_of(name)[given.first : given.first + given.inputs]
        for record in measured(name, model, kinds, inputs, **settings):
            print(shown(record), flush=True)
            records.append(record)
    if given.out is not None:
        given.out.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")


if __name__ == "__main__":
    main()
