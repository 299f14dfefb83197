"""Variance of the estimated mass, and how far a returned draw is from the posterior, per row of the model.

    python -m benchmarks.inference.variance [INSTANCE ...]           the tests' enumerable instances
    python -m benchmarks.inference.variance --examples [NAME ...]    shipped programs, embedded model or --model
    options: --runs N --particles N ... --methods NAME ... --save figures.json

| column | is |
|---|---|
| dead | share of runs that no particle survived; they count, with a mass of 0 |
| Var | mean of (Zhat / Z - 1)^2 over runs with its standard error; Z by enumeration, or from all runs together |
| rows | distinct prefixes that the model computed, a run by itself |
| Var x rows | the variance that one row buys: what is half as large needs half the rows for the same error |
| gap | log Z - mean log Zhat of runs that survived; where all do, a bound on the divergence of their draws |
| KL | divergence, in nats, of the law of the value that a run returns from the posterior; if enumerated |

"every token": particles stop, and resampling is decided, after each token, the usual scheme. "barriers": at the
program's own boundaries, each particle at its own pace. "independent" and "stratified" say how particles of one prefix
draw their tokens.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.inference.variance_problems import EXAMPLES, Problem, example, instances
from smcdsl.inference.results.posterior import Posterior
from smcdsl.program.evaluation import freeze
from smcdsl.workers import WorkerPools


@dataclass(frozen=True)
class Method:
    """A way to run: where particles meet, and `settings` on top of the program's."""

    name: str
    every_token: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)


def methods() -> dict[str, Method]:
    """All, by name; the first is what others are compared with."""
    found = [
        Method("every token, independent", True, {"stratified": False}),
        Method("every token, stratified", True),
        Method("barriers, independent", False, {"stratified": False}),
        Method("barriers, stratified", False),
        Method("importance, independent", False, {"method": "is", "stratified": False}),
        Method("importance, stratified", False, {"method": "is"}),
    ]
    for scheme in ("systematic", "stratified", "residual", "multinomial"):
        found.append(Method(f"barriers, {scheme} resampling", False, {"resample": scheme}))
    found += [
        Method("barriers, resampling at each", False, {"ess_threshold": 1.0}),
        Method(
            "every token, multinomial at each",
            True,
            {"stratified": False, "resample": "multinomial", "ess_threshold": 1.0},
        ),
        Method("barriers, drawn from the model", False, {"proposal": "lm"}),
        Method("selection", False, {"proposal": "select"}),
    ]
    return {method.name: method for method in found}


@dataclass(frozen=True)
class Figures:
    """One line of a table; see the module."""

    problem: str
    method: str
    particles: int
    runs: int
    dead: float
    variance: float
    error: float
    rows: float
    passes: float
    gap: float
    divergence: float | None
    bias: float
    """Of the mean mass, as a share of Z: 0 but for chance."""

    @property
    def work(self) -> float:
        """Variance times rows."""
        return self.variance * self.rows


class Measured:
    """The runs of one problem by one method."""

    def __init__(
        self, problem: Problem, method: Method, options: argparse.Namespace, particles: int, pools: Any
    ) -> None:
        settings = replace(problem.settings, particles=particles, timeout_seconds=None, **method.settings)
        self.method, self.particles = method, particles
        self.log_masses = np.empty(0)
        self.law: Counter[Any] = Counter()
        for start in range(0, options.runs, options.batch):
            seeds = range(start, min(start + options.batch, options.runs))
            self._take(problem.run(seeds, method.every_token, settings, pools))
        lone = range(1_000_000, 1_000_000 + options.row_runs)
        self.rows, self.passes = problem.rows(lone, method.every_token, settings, pools)

    def _take(self, posteriors: list[Posterior]) -> None:
        found = [-math.inf if posterior.log_z is None else posterior.log_z for posterior in posteriors]
        self.log_masses = np.concatenate([self.log_masses, found])
        for posterior in posteriors:
            for item in posterior.support:
                self.law[freeze(item.value)] += item.probability

    def figures(self, problem: Problem, log_z: float) -> Figures:
        """The line, given the mass."""
        errors = (np.exp(self.log_masses - log_z) - 1) ** 2
        alive = self.log_masses > -np.inf
        return Figures(
            problem.name,
            self.method.name,
            self.particles,
            len(errors),
            float(1 - alive.mean()),
            float(errors.mean()),
            float(errors.std(ddof=1) / math.sqrt(len(errors))),
            self.rows,
            self.passes,
            float(log_z - self.log_masses[alive].mean()) if alive.any() else math.inf,
            None if problem.law is None else self._divergence(problem.law),
            float(np.exp(self.log_masses - log_z).mean() - 1),
        )

    def _divergence(self, law: Mapping[Any, float]) -> float:
        """Of the mean over surviving runs of the weighted particles' law, which is that of a returned draw."""
        total = sum(self.law.values())
        return sum(mass / total * math.log(mass / total / law[value]) for value, mass in self.law.items())


def measure(problem: Problem, options: argparse.Namespace, chosen: Sequence[Method]) -> list[Figures]:
    """All methods on one problem."""
    with WorkerPools() as pools:
        found = [
            Measured(problem, method, options, particles, pools)
            for particles in options.particles or [problem.settings.particles]
            for method in chosen
        ]
    if problem.log_z is not None:
        return [runs.figures(problem, problem.log_z) for runs in found]
    masses = np.concatenate([runs.log_masses for runs in found])
    log_z = float(np.logaddexp.reduce(masses) - math.log(len(masses)))
    return [runs.figures(problem, log_z) for runs in found]


def table(found: Sequence[Figures]) -> str:
    """One problem's lines; ratios are to the first line with as many particles."""
    lines = [
        "| N | method | dead | Var | +- | rows | Var x rows | of the first | gap | KL |",
        "|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for own in found:
        first = next(other for other in found if other.particles == own.particles)
        divergence = "" if own.divergence is None else f"{own.divergence:.4f}"
        lines.append(
            f"| {own.particles} | {own.method} | {own.dead:.1%} | {own.variance:.4g} | {own.error:.1g} "
            f"| {own.rows:.1f} | {own.work:.3g} | {own.work / first.work if first.work else math.nan:.2f} "
            f"| {own.gap:.3f} | {divergence} |"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and print."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.inference.variance",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", help="instances, or examples; default all")
    parser.add_argument("--examples", action="store_true", help=f"of {', '.join(EXAMPLES)}")
    parser.add_argument("--model", help="for the examples; default the embedded one")
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--row-runs", type=int, default=100, help="runs by themselves, for the rows")
    parser.add_argument("--batch", type=int, default=500, help="runs in one batch")
    parser.add_argument("--particles", type=int, nargs="*", help="default 8, for examples the program's own")
    parser.add_argument("--methods", nargs="*", help=f"of {', '.join(map(repr, methods()))}; default all")
    parser.add_argument("--save", type=Path, help="write the figures as JSON")
    options = parser.parse_args(arguments)
    unknown = set(options.methods or ()) - methods().keys()
    if unknown:
        parser.error(f"no such method: {', '.join(sorted(unknown))}")
    chosen = [methods()[name] for name in options.methods or methods()]
    if options.examples:
        from smcdsl import engine

        model = engine.model(options.model)
        problems = (example(name, model) for name in options.names or EXAMPLES)
    else:
        problems = iter(instances(options.names))
        options.particles = options.particles or [8]
    saved = []
    for problem in problems:
        found = measure(problem, options, chosen)
        saved += [asdict(line) for line in found]
        mass = "" if problem.log_z is None else f", log Z = {problem.log_z:.4f}"
        print(f"\n{problem.name}: {found[0].runs} runs{mass}\n\n{table(found)}", flush=True)
    if options.save:
        options.save.write_text(json.dumps(saved, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
