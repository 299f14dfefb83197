"""Var(Z^) with and without a lookahead learned between runs, at equal particles; and rows of the model's output.

    python -m benchmarks.inference.lookahead toys
    python -m benchmarks.inference.lookahead programs --sql MODEL --pddl MODEL --molecules MODEL --invoices MODEL
        [--inputs 4] [--runs 60] [--particles 8] [--learning 4] [--pilot 64] [--save figures.json]

`toys` are tables of random numbers with grammars: brackets and lists with a limit on tokens, a tight mask, and a trap:
there two histories that the automaton does not tell apart go on with very different probability, so what is learned of
the one is wrong for the other. `programs` are shipped programs (`lookahead_programs`), on small models given by folder,
with their potentials and without.

Each line has Var(Z^)/Z^2 over runs with masks alone, and with a lookahead learned in `--learning` runs of `--pilot`
particles: on the `same` input, or on `other` ones with the same grammar. `gain` is the ratio of variance times tokens
written, with a 90 % interval (runs drawn anew, 4000 times); domains end with the geometric mean over inputs, and with
the ratio of the sums over inputs, which those with next to no variance do not count in.
`break-even` is after how many runs the tokens of learning have paid, masks being given as many more particles.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.inference.lookahead_programs import DOMAINS, Case, Sample, domains
from smcdsl.automaton.automaton import TokenAutomaton
from smcdsl.compiler.assemble import compile_grammar
from smcdsl.engine import compile as compile_text
from smcdsl.inference.lookahead.learned import LearnedLookahead
from smcdsl.inference.methods import RunRequest, Settings, run
from smcdsl.inference.results.posterior import Posterior
from smcdsl.library.functions import resolve_function
from smcdsl.models.toy import ToyModel
from smcdsl.notations.lark import load_lark
from smcdsl.program.grammar import Limit


@dataclass(frozen=True)
class Runs:
    """Estimated masses of independent runs, and tokens a particle."""

    masses: NDArray[np.float64]
    tokens: float

    @property
    def variance(self) -> float:
        """Relative to the square of their mean."""
        return relative_variance(self.masses[None])[0]

    @property
    def log_z(self) -> float:
        """Log of the mean."""
        return float(np.log(self.masses.mean())) if self.masses.any() else -np.inf

    def resampled(self, draws: int, generator: np.random.Generator) -> NDArray[np.float64]:
        """(draws,) logs of variance times tokens, for runs drawn with replacement."""
        chosen = self.masses[generator.integers(len(self.masses), size=(draws, len(self.masses)))]
        return np.log(relative_variance(chosen) * self.tokens)


def relative_variance(masses: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) of each row; 1e-9 for less."""
    means = masses.mean(axis=1)
    variances = masses.var(axis=1, ddof=1) / np.where(means > 0, means, np.inf) ** 2
    return np.maximum(variances, 1e-9)


def runs_of(posteriors: Sequence[Posterior], particles: int) -> Runs:
    """What independent runs found."""
    masses = np.array([0.0 if p.log_z is None else np.exp(p.log_z) for p in posteriors])
    return Runs(masses, float(np.mean([p.tokens["target"] for p in posteriors])) / particles)


@dataclass(frozen=True)
class Figures:
    """One line; see the module."""

    name: str
    learned_on: str
    powers: list[float]
    mask: float
    learned: float
    mask_tokens: float
    learned_tokens: float
    mask_log_z: float
    learned_log_z: float
    gain: float
    interval: tuple[float, float]
    break_even: float
    logs: list[float] = field(repr=False, default_factory=list)
    """Logs of gains of resampled runs."""


def compare(case: Case, options: argparse.Namespace, plain: Runs, learned_on: str) -> Figures:
    """Learn, then measure beside `plain`."""
    particles, seeds = options.particles, range(20_000, 20_000 + options.runs)
    teachers = [case.sample] if learned_on == "same" else list(case.others)
    with tempfile.TemporaryDirectory() as folder:
        spent = 0.0
        for number in range(max(options.learning, len(teachers))):
            learning = LearnedLookahead(Path(folder), (case.name,), learns=True)
            teacher = teachers[number % len(teachers)]
            found = teacher([10_000 + number], options.pilot, learning, learning.recorder)
            spent += float(sum(posterior.tokens["target"] for posterior in found))
            learning.save()
        chosen = LearnedLookahead(Path(folder), (case.name,), learns=False)
        learned = runs_of(case.sample(seeds, particles, chosen, None), particles)
    generator = np.random.default_rng(1)
    logs = plain.resampled(4000, generator) - learned.resampled(4000, generator)
    gain = plain.variance * plain.tokens / (learned.variance * learned.tokens)
    low, high = np.exp(np.quantile(logs, [0.05, 0.95])).tolist()
    uses = spent / (particles * learned.tokens * (gain - 1)) if gain > 1 else np.inf
    return Figures(
        name=case.name,
        learned_on=learned_on,
        powers=list(chosen.used.values()),
        mask=plain.variance,
        learned=learned.variance,
        mask_tokens=plain.tokens,
        learned_tokens=learned.tokens,
        mask_log_z=plain.log_z,
        learned_log_z=learned.log_z,
        gain=gain,
        interval=(low, high),
        break_even=uses,
        logs=logs.tolist(),
    )


def told(found: Figures) -> str:
    """A row of the table."""
    powers = "/".join(f"{power:g}" for power in found.powers) or "off"
    return (
        f"| {found.name} | {found.learned_on} | {powers} | {found.mask:.3g} | {found.learned:.3g} "
        f"| {found.mask_tokens:.1f}, {found.learned_tokens:.1f} | {found.mask_log_z:.2f}, {found.learned_log_z:.2f} "
        f"| {found.gain:.1f} | {found.interval[0]:.1f} to {found.interval[1]:.1f} | {found.break_even:.1f} |"
    )


HEAD = """
| input | learned on | power | mask | learned | tokens | log Z | gain | 90 % | break-even |
|---|---|--:|--:|--:|--:|--:|--:|--:|--:|"""


def domain(name: str, cases: Sequence[Case], options: argparse.Namespace) -> list[Figures]:
    """Print a domain's table."""
    print(f"\n{name}: N = {options.particles}, {options.runs} runs\n{HEAD}", flush=True)
    found: list[Figures] = []
    for case in cases:
        plain = runs_of(case.sample(range(options.runs), options.particles, None, None), options.particles)
        for learned_on in ("same", "other") if case.others else ("same",):
            found.append(compare(case, options, plain, learned_on))
            print(told(found[-1]), flush=True)
    for learned_on in ("same", "other"):
        own = [line for line in found if line.learned_on == learned_on]
        if len(own) > 1:
            mean = float(np.exp(np.mean([np.log(line.gain) for line in own])))
            low, high = np.exp(np.quantile(np.mean([line.logs for line in own], axis=0), [0.05, 0.95])).tolist()
            middle = float(np.median([line.gain for line in own]))
            summed = sum(line.mask * line.mask_tokens for line in own)
            summed /= sum(line.learned * line.learned_tokens for line in own)
            print(
                f"geometric mean, {learned_on}: {mean:.1f} ({low:.1f} to {high:.1f}); median {middle:.1f}; "
                f"of the sums over inputs {summed:.1f}",
                flush=True,
            )
    return found


# ---- toys


def table_model(tokens: Sequence[str], order: int, law: Callable[[tuple[int, ...]], np.ndarray]) -> ToyModel:
    """A Markov chain with a row for each context."""
    size = len(tokens) + 1
    table = [[list(c), law(c).tolist()] for c in itertools.product(range(-1, size), repeat=order)]
    return ToyModel({"vocab": [*tokens, "<end>"], "eos": size - 1, "lm": {"order": order, "table": table}})


def random_law(size: int, sharpness: float, seed: int) -> Callable[[tuple[int, ...]], np.ndarray]:
    """Dirichlet rows; the smaller `sharpness`, the more peaked."""
    return lambda context: np.random.default_rng([seed, *(c + 1 for c in context)]).dirichlet(np.full(size, sharpness))


def trap_law(context: tuple[int, ...]) -> np.ndarray:
    """After `x` the model goes on as the grammar wants, after `y` hardly ever: `a` hides which it was."""
    first, last = context
    good, bad = [0.01, 0.01, 0.96, 0.01, 0.01], [0.49, 0.49, 0.004, 0.004, 0.012]
    if last == -1:
        return np.array([0.1, 0.88, 0.01, 0.005, 0.005])
    if last in (0, 1):
        return np.array(good)
    return np.array([0.01, 0.01, 0.02, 0.9, 0.06] if first == 0 else bad)


TOYS = {
    "brackets, at most 12 tokens": ('start: "(" start ")" start | "()"', ["(", ")", "()", ")(", "(("], 2, 1.0, 12),
    "lists, at most 16 tokens": ('start: "[" item ("," item)* "]"\nitem: "1" | "2" | start', list("[],12"), 2, 0.5, 16),
    "tight mask, 40 long": ('start: pair~20\npair: "ab" "c" | "ba" "d"', list("abcdefgh"), 1, 0.3, None),
}


def toys() -> Iterator[Case]:
    """All of them."""
    for name, (grammar, tokens, order, sharpness, most) in TOYS.items():
        law = random_law(len(tokens) + 1, sharpness, 7)
        yield Case(name, toy_sample(table_model(tokens, order, law), grammar, most))
    trap = table_model(["x", "y", "a", "b"], 2, trap_law)
    yield Case("trap", toy_sample(trap, 'start: head "a" "b"\nhead: /[xy]/', None))


def toy_sample(model: ToyModel, grammar: str, most: int | None) -> Sample:
    """Runs of a program with one hole and no factor."""
    made = load_lark(grammar)
    if most is not None:
        made = replace(made, conditions=(Limit("tokens", None, most),))
    automaton = TokenAutomaton(compile_grammar(made, model.vocabulary), None)
    program = compile_text('smc 1\ngenerate { text "[[q: /a/]]" }\n')

    def sample(seeds: Sequence[int], particles: int, lookahead: Any, recorder: Any) -> list[Posterior]:
        return run(
            program.plan,
            model,
            [RunRequest({}, seed) for seed in seeds],
            automata=lambda key, inputs, following: automaton,
            functions=resolve_function,
            settings=Settings(particles=particles),
            lookahead=lookahead,
            recorder=recorder,
        )

    return sample


def main() -> None:
    """Read the command line."""

    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.inference.lookahead",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", choices=("toys", "programs"))
    for name in DOMAINS:
        parser.add_argument(f"--{name}", metavar="MODEL")
    parser.add_argument("--inputs", type=int, default=4, help="of each domain")
    parser.add_argument("--others", type=int, default=6, help="other inputs to learn from; 0 leaves that out")
    parser.add_argument("--potentials", choices=("without", "with", "both"), default="both")
    parser.add_argument("--runs", type=int, default=60)
    parser.add_argument("--particles", type=int, default=8)
    parser.add_argument("--learning", type=int, default=4, help="runs that learn")
    parser.add_argument("--pilot", type=int, default=64, help="particles of a run that learns")
    parser.add_argument("--save", type=Path, help="write the figures as JSON")
    options = parser.parse_args()
    found = {}
    if options.what == "toys":
        found["toys"] = domain("toys", list(toys()), options)
    else:
        for name, cases in domains(options):
            found[name] = domain(name, cases, options)
    if options.save:
        lines = {name: [{**asdict(line), "logs": []} for line in own] for name, own in found.items()}
        options.save.write_text(json.dumps(lines, indent=1))


if __name__ == "__main__":
    main()
