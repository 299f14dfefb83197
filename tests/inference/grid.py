"""The grid: every method x resampler x threshold x synchronisation x speculation mode, on instances in turn.

A *cell* is one way to run on one instance. Its runs give sums of powers of every functional, so cells add up: a
*margin* is all cells of one instance that share a level (a resampler, a threshold, a method, a draft), and sees effects
several times smaller than a cell does.

Cells are judged one by one: Hall's corrected means, Holm over the functionals. A cell whose least adjusted p-value is
below `SUSPICIOUS` is run anew with `ENLARGED` times the runs, on fresh seeds, and these alone decide, at ALPHA. So
false alarms are at most ALPHA a cell, a smaller deviation is found than by the first runs alone, and p-values that few
runs make too small (Hall's correction is one for many) are not taken at their word. A cell whose evidence too few runs
carry gets more of them before it is judged.
"""

from __future__ import annotations

import itertools
import math
import os
import pickle
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache, reduce
from operator import add
from typing import Any, NamedTuple

import numpy as np
from battery import Twist, instance, posteriors
from grid_instances import late, pools, twist, written
from oracles.instances import Instance

from smcdsl.inference.drafts.model import ModelDrafts
from smcdsl.inference.drafts.setting import makers
from smcdsl.inference.gate import ALPHA, CONCLUSIVE, functionals, holm
from smcdsl.models.draft_models import DraftModel
from smcdsl.models.toy import ToyModel

SUSPICIOUS = 1e-3
ENLARGED = 4
SEEDS = 2**24
"""More than any cell uses."""
AT_ONCE = 2000
MOST_ENLARGEMENTS = 3
"""How often a cell that says nothing yet is given `ENLARGED` times the runs before."""

SCHEMES = ("ssp", "systematic", "stratified", "residual", "multinomial")
THRESHOLDS = (0.5, 1.0)

BY_TOKEN = ("trap", "ngram_dfa", "dyck", "dyck_kill", "clauses_token", "tokens")
BY_CLAUSE = ("clauses", "clauses_zero", "clauses_power", "guided")
LATER = ("late clauses", "late clauses_zero")
MEETINGS: dict[str, tuple[str, ...]] = {"token": BY_TOKEN, "clause": BY_CLAUSE, "late": LATER}
"""Synchronisation: after every token, at ends of clauses, there with the previews of the one before."""

WRITTEN_MEETINGS = {"token": ("written tokens", "written dyck"), "clause": ("written clauses",)}
"""Instances whose grammar is compiled, as lookaheads that are learned want it."""

METHODS: dict[str, dict[str, Any]] = {
    "smc": {},
    "independent draws": {"stratified": False},
    "flatter draws": {"proposal_temperature": 1.6},
    "random lookahead": {"lookahead": Twist},
    "tempered previews": {"temper": 0.4},
    "previews tempered by particles": {"temper": "auto"},
    "two particles": {"particles": 2},
    "32 particles": {"particles": 32},
    "four islands": {"islands": 4, "particles": 3},
    "two populations that survive": {"retry": 4},
    "from the model's law": {"proposal": "lm"},
    "from the model's law, lookahead": {"proposal": "lm", "lookahead": Twist},
    "weighted rejection": {"proposal": "awrs"},
    "weighted rejection, lookahead": {"proposal": "awrs", "lookahead": Twist},
    "learned lookahead": {"lookahead": "much"},
    "compiled lookahead": {"lookahead": "little"},
    "selection": {"proposal": "select"},
    "selection, lookahead": {"proposal": "select", "lookahead": Twist},
    "selection, learned lookahead": {"proposal": "select", "lookahead": "much"},
}

DRAFTS: dict[str, dict[str, Any]] = {
    "none": {},
    "model": {"drafts": "model", "gamma": 3},
    "model, one": {"drafts": "model", "gamma": 1},
    "model, lenient": {"drafts": "model", "gamma": 3, "lenience": 0.7},
    "text and model": {"drafts": "chain", "gamma": 4},
    "text and model, very lenient": {"drafts": "chain", "gamma": 3, "lenience": 0.5},
    "text and model, auto": {"drafts": "chain", "gamma": "auto"},
    "self": {"drafts": "self", "gamma": 4},
}
"""What drafts."""

CERTAIN: dict[str, dict[str, Any]] = {
    "forced": {"drafts": "forced", "gamma": 4},
    "suffix": {"drafts": "suffix", "gamma": 4},
    "suffix, auto": {"drafts": "suffix", "gamma": "auto"},
}
"""Drafts that name tokens and draw none. They have no cells: they change no particle (`certain_cells`)."""

ALL = tuple(DRAFTS)
CROSSED: dict[str, tuple[str, ...]] = {
    "smc": ALL,
    "flatter draws": ALL,
    "random lookahead": ALL,
    "independent draws": ("none", "model", "model, lenient", "text and model"),
    "tempered previews": ("none", "model", "text and model, very lenient"),
    "previews tempered by particles": ("none", "model"),
    "two particles": ("none", "model"),
    "32 particles": ("none", "model"),
    "four islands": ("none", "model"),
    "two populations that survive": ("none", "model"),
}
"""The drafts of each method on instances that meet in all ways."""
LEARNED_DRAFTS = ("none", "model", "model, lenient", "text and model")
WEIGHED = ("smc", "flatter draws", "random lookahead")
"""Methods that are run without resampling as well (`is`)."""

FEASIBLE_BY_MODEL = ("ngram_dfa", "dyck", "dyck_kill", "checked", "tokens")
CHECKED = ("checked", "clauses_zero")


class Cell(NamedTuple):
    """One way to run on one instance. `resample` is `none` where nothing is resampled, or by a scheme of its own."""

    method: str
    resample: str
    threshold: float
    meeting: str
    draft: str
    instance: str

    @property
    def name(self) -> str:
        return " | ".join(map(str, self))

    @property
    def settings(self) -> dict[str, Any]:
        made = {**METHODS[self.method], **(DRAFTS | CERTAIN)[self.draft]}
        if self.resample == "is":
            made["method"] = "is"
        elif self.resample != "none":
            made |= {"resample": self.resample, "ess_threshold": self.threshold}
        return made

    def levels(self) -> Iterator[tuple[str, str]]:
        """The margins that it belongs to."""
        yield "method", self.method
        yield "resampler", self.resample
        if self.threshold:
            yield "threshold", str(self.threshold)
        yield "meeting", self.meeting
        yield "draft", self.draft

    def pairs(self) -> set[tuple[tuple[str, str], ...]]:
        """Pairs of its levels that a covering sample is to have, and its instance."""
        known = dict(self.levels())
        pairs = [pair for pair in PAIRS if all(axis in known for axis in pair)]
        return {tuple((axis, known[axis]) for axis in pair) for pair in pairs} | {(("instance", self.instance),)}


PAIRS = (("method", "meeting"), ("resampler", "threshold"), ("resampler", "meeting"), ("draft", "meeting"))


@cache
def cells() -> tuple[Cell, ...]:
    """The whole grid, in a fixed order."""
    return tuple(_cells())


def _cells() -> Iterator[Cell]:
    chance = np.random.default_rng(1)

    def some(names: tuple[str, ...], count: int) -> list[str]:
        return [names[place] for place in chance.choice(len(names), count, replace=False).tolist()]

    resampling = list(itertools.product(SCHEMES, THRESHOLDS))
    for meeting, names in MEETINGS.items():
        for method, drafts in CROSSED.items():
            for draft, (scheme, threshold) in itertools.product(drafts, resampling):
                for name in some(names, 1 if meeting == "late" else 2):
                    yield Cell(method, scheme, threshold, meeting, draft, name)
    for method, draft in itertools.product(WEIGHED, ALL):
        for name in ("coin", *some(BY_TOKEN, 2), *some(BY_CLAUSE, 1)):
            yield Cell(method, "is", 0.0, "never", draft, name)
    for meeting, names in WRITTEN_MEETINGS.items():
        for method in ("learned lookahead", "compiled lookahead"):
            for draft, (scheme, threshold) in itertools.product(LEARNED_DRAFTS, resampling):
                yield Cell(method, scheme, threshold, meeting, draft, *some(names, 1))
            for draft, name in itertools.product(LEARNED_DRAFTS, names):
                yield Cell(method, "is", 0.0, "never", draft, name)
        for name in names:
            yield Cell("selection, learned lookahead", "none", 0.0, meeting, "none", name)
    for method in ("from the model's law", "from the model's law, lookahead"):
        for scheme, threshold in resampling:
            for name in some(FEASIBLE_BY_MODEL, 2):
                yield Cell(method, scheme, threshold, "token", "none", name)
        for name in ("coin", "tokens", "checked"):
            yield Cell(method, "is", 0.0, "never", "none", name)
    for method in ("weighted rejection", "weighted rejection, lookahead"):
        for name, (scheme, threshold) in itertools.product(CHECKED, resampling):
            yield Cell(method, scheme, threshold, "token" if name == "checked" else "clause", "none", name)
        for name in CHECKED:
            yield Cell(method, "is", 0.0, "never", "none", name)
    for method in ("selection", "selection, lookahead"):
        for meeting, names in MEETINGS.items():
            for name in names:
                yield Cell(method, "none", 0.0, meeting, "none", name)


def certain_cells() -> list[Cell]:
    """Drafts that name their tokens, in every way that others are run: to be equal, number by number, to none."""
    chance = np.random.default_rng(2)
    return [
        Cell(method, scheme, threshold, meeting, draft, names[int(chance.integers(len(names)))])
        for meeting, names in MEETINGS.items()
        for method, scheme, threshold in itertools.product(CROSSED, SCHEMES, THRESHOLDS)
        for draft in CERTAIN
    ]


def covering() -> list[tuple[int, Cell]]:
    """Few of the cells, with their numbers, that have all pairs of levels of `PAIRS` and all instances."""
    left = {number: cell.pairs() for number, cell in enumerate(cells())}
    wanted = set().union(*left.values())
    chosen = []
    while wanted:
        number = max(left, key=lambda each: (len(left[each] & wanted), -each))
        wanted -= left.pop(number)
        chosen.append((number, cells()[number]))
    return sorted(chosen)


def problem_of(name: str) -> Instance:
    """An instance by its name in the grid."""
    kind, _, plain = name.partition(" ")
    return {"late": late, "written": written}[kind](plain) if plain else instance(name)


@cache
def nearby(model: ToyModel, share: float = 0.4) -> ToyModel:
    """A draft model: each law of the target mixed with a random one."""
    rows = []
    for context, row in model._rows.items():
        chance = np.random.default_rng([77, *(token + 1 for token in context)])
        other = chance.dirichlet(np.full(len(model.vocabulary), 0.8))
        rows.append([list(context), ((1 - share) * np.exp(model.log_rows[row]) + share * other).tolist()])
    texts = [token.decode() for token in model.vocabulary.token_bytes[:-1]]
    return ToyModel({"vocab": [*texts, "<end>"], "eos": len(texts), "lm": {"order": model.order, "table": rows}})


def drafts_of(kind: str, problem: Instance) -> Any:
    """Makers of the sources that the shipped settings have; `model` is the draft model alone."""
    if kind == "model":
        other = nearby(problem.model)
        return [lambda around: ModelDrafts(around, other.start(around.prefixes), free_rows=1e9)]
    if kind == "chain":
        return makers("nearby", problem.model, lambda _, target: DraftModel(nearby(target), len(target.vocabulary)))
    return makers(kind, problem.model)


def runs_of(cell: Cell, seeds: range) -> list[Any]:
    """One posterior a seed."""
    problem, settings = problem_of(cell.instance), cell.settings
    if "drafts" in settings:
        settings["drafts"] = drafts_of(settings["drafts"], problem)
    if isinstance(settings.get("lookahead"), str):
        known = twist(cell.instance.removeprefix("written "), settings["lookahead"])
        settings["lookahead"] = lambda automaton: known
    if cell.meeting == "late":
        settings |= {"previews": "late", "pools": pools()}
    return posteriors(problem, seeds, AT_ONCE, **settings)


@cache
def _measured(name: str) -> tuple[dict[Any, int], np.ndarray, np.ndarray, float]:
    """The values of an instance by place, which (F, V + 1) make each functional, its share of Z, and Z.

    The last column is what a run says of the evidence, which is the first functional.
    """
    masses = problem_of(name).masses
    wanted, total = functionals(masses), math.fsum(masses.values())
    members = np.array([[*each.members, False] for each in wanted], dtype=float)
    members[0] = 0.0
    members[0, -1] = 1.0
    exact = np.array(list(masses.values()))
    shares = np.array([math.fsum(exact[each.members]) for each in wanted]) / total
    return {value: place for place, value in enumerate(masses)}, members, shares, total


@dataclass
class Sums:
    """Of every functional, powers of (what a run says - what is exact), in units of Z; and of what a run says.

    `exact` (F,) are the shares; `powers` (3, F) sums of the first three powers; `own` (2, F) sums of x and x^2.
    """

    exact: np.ndarray
    count: int = 0
    powers: np.ndarray = field(default_factory=lambda: np.zeros((3, 0)))
    own: np.ndarray = field(default_factory=lambda: np.zeros((2, 0)))
    impossible: tuple[Any, ...] = ()

    @classmethod
    def of(cls, problem: Instance, runs: list[Any]) -> Sums:
        """What posteriors say."""
        places, members, shares, total = _measured(problem.name)
        found = np.zeros((len(runs), len(places) + 1))
        impossible = set()
        for number, posterior in enumerate(runs):
            found[number, -1] = math.exp(posterior.log_z) if posterior.log_z is not None else 0.0
            for item in posterior.support:
                if item.value in places:
                    found[number, places[item.value]] = math.exp(item.log_weight)
                elif item.log_weight > -math.inf:
                    impossible.add(item.value)
        said = found @ members.T / total
        apart = said - shares
        powers = np.array([apart.sum(axis=0), (apart**2).sum(axis=0), (apart**3).sum(axis=0)])
        own = np.array([said.sum(axis=0), (said**2).sum(axis=0)])
        return cls(shares, len(runs), powers, own, tuple(impossible))

    def __add__(self, other: Sums) -> Sums:
        return Sums(
            self.exact,
            self.count + other.count,
            self.powers + other.powers,
            self.own + other.own,
            self.impossible + other.impossible,
        )

    @property
    def evidence(self) -> Sums:
        """The first functional alone, which has mean one on every instance."""
        return Sums(self.exact[:1], self.count, self.powers[:, :1], self.own[:, :1], self.impossible)

    @property
    def effective(self) -> np.ndarray:
        """(F,) runs' worth that carry each mean."""
        with np.errstate(invalid="ignore"):
            return np.where(self.own[1] > 0, self.own[0] ** 2 / self.own[1], 0.0)

    @property
    def conclusive(self) -> bool:
        return bool(self.effective[0] >= CONCLUSIVE)

    @property
    def squared_cv(self) -> float:
        """Of a run's evidence, over the exact one."""
        return float(self.powers[1, 0] / self.count - (self.powers[0, 0] / self.count) ** 2)

    def p_values(self) -> np.ndarray:
        """(F,) Hall's, as in `gate.hall_p_value`; NaN where inconclusive."""
        n = self.count
        first, second, third = self.powers / n
        variance = second - first**2
        found = np.full(len(self.exact), np.nan)
        for place in np.flatnonzero(self.effective >= CONCLUSIVE).tolist():
            mean = first[place] + self.exact[place]
            if variance[place] <= (1e-12 * abs(mean)) ** 2:
                found[place] = 1.0 if abs(first[place]) <= 1e-9 * abs(self.exact[place]) else 0.0
                continue
            spread = math.sqrt(variance[place])
            skew = (third[place] - 3 * first[place] * second[place] + 2 * first[place] ** 3) / spread**3
            shift = first[place] / spread
            inner = shift + skew * shift**2 / 3 + skew**2 * shift**3 / 27 + skew / (6 * n)
            found[place] = math.erfc(abs(inner) * math.sqrt(n / 2))
        return found

    def least_adjusted(self) -> float:
        """The least of Holm's adjusted p-values: the least p times how many are tested; 0 for impossible values."""
        if self.impossible:
            return 0.0
        tested = self.p_values()
        tested = tested[~np.isnan(tested)]
        return min(1.0, float(tested.min()) * len(tested)) if len(tested) else 1.0

    def rejected(self, alpha: float = ALPHA) -> bool:
        tested = self.p_values()
        return bool(self.impossible) or any(holm(tested[~np.isnan(tested)].tolist(), alpha))


@dataclass
class Verdict:
    """What came of a cell: all its sums, whether it failed, and the adjusted p-values of its stages."""

    cell: Cell
    sums: Sums
    stages: tuple[float, ...]
    failed: bool

    @property
    def inconclusive(self) -> bool:
        return not self.sums.conclusive

    def __str__(self) -> str:
        stages = ", then ".join(f"{p:.2g}" for p in self.stages)
        said = "FAILED " if self.failed else ""
        return f"{said}{self.cell.name}: {self.sums.count} runs, CV^2 {self.sums.squared_cv:.2f}, least p {stages}"


def number_of_runs(cell: Cell, usual: int) -> int:
    """Slow ways make fewer runs."""
    slow = cell.draft != "none" or cell.method.startswith("selection") or cell.method == "32 particles"
    return usual // 2 if slow else usual


def judged(cell: Cell, first_seed: int, usual: int) -> Verdict:
    """Run a cell, and again where that is called for; its seeds are its own."""
    problem, count = problem_of(cell.instance), number_of_runs(cell, usual)

    def more(number: int) -> Sums:
        nonlocal first_seed
        seeds = range(first_seed, first_seed + number)
        first_seed += number
        parts = (seeds[start : start + AT_ONCE] for start in range(0, number, AT_ONCE))
        return reduce(add, (Sums.of(problem, runs_of(cell, part)) for part in parts))

    sums = more(count)
    for _ in range(MOST_ENLARGEMENTS):
        if sums.conclusive or sums.impossible:
            break
        count *= ENLARGED
        sums += more(count)
    stages, failed = [sums.least_adjusted()], bool(sums.impossible)
    if stages[0] < SUSPICIOUS and not failed:
        fresh = more(ENLARGED * sums.count)
        stages.append(fresh.least_adjusted())
        failed = fresh.rejected()
        sums += fresh
    return Verdict(cell, sums, tuple(stages), failed or not sums.conclusive)


def keep_verdicts(path: str | None, seed: int, usual: int, verdicts: list[Verdict], seconds: float) -> None:
    """Write down what is known of a grid."""
    if path is not None:
        with open(path, "wb") as file:
            pickle.dump((seed, usual, len(cells()), verdicts, seconds), file)


def read_verdicts(path: str | None, seed: int, usual: int) -> tuple[list[Verdict], float]:
    """What is known of a grid of this seed and size, and the seconds that it took."""
    if path is None or not os.path.exists(path):
        return [], 0.0
    with open(path, "rb") as file:
        *found, verdicts, seconds = pickle.load(file)
    assert found == [seed, usual, len(cells())], "the file is of another grid"
    return verdicts, seconds


EVERY = "every instance"


def margins(verdicts: list[Verdict]) -> dict[tuple[str, str, str], Sums]:
    """(axis, level, instance) -> sums of all its cells; for all instances together the evidence alone."""
    found: dict[tuple[str, str, str], Sums] = {}
    for verdict in verdicts:
        for axis, level in verdict.cell.levels():
            for name, sums in ((verdict.cell.instance, verdict.sums), (EVERY, verdict.sums.evidence)):
                key = axis, level, name
                found[key] = found[key] + sums if key in found else sums
    return found


def smallest_effect(sums: Sums, alpha: float) -> float:
    """The relative bias of the evidence that is found with 99.9 % power at `alpha` over forty functionals."""
    quantile = {SUSPICIOUS: 4.21, ALPHA: 5.57}[alpha]
    return (quantile + 3.09) * math.sqrt(max(sums.squared_cv, 0.0) / sums.count)


def summary(verdicts: list[Verdict], seconds: float) -> str:
    """The figures of a grid: cells, runs, least adjusted p-values, effects that would have been found."""
    pooled = margins(verdicts)
    tests = sum(int((~np.isnan(v.sums.p_values())).sum()) for v in verdicts)
    least = min(float(np.nanmin(v.sums.p_values())) for v in verdicts if not np.isnan(v.sums.p_values()).all())
    least_margin = min(pooled, key=lambda key: pooled[key].least_adjusted())
    cell_effects = np.array([smallest_effect(v.sums, SUSPICIOUS) for v in verdicts])
    margin_effects = np.array([smallest_effect(each, ALPHA) for each in pooled.values()])
    by_stage = sorted(verdicts, key=lambda v: v.stages[0])
    lines = [
        f"{len(verdicts)} cells, {sum(v.sums.count for v in verdicts):,} runs, {tests:,} means, {seconds:.0f} s of CPU",
        f"failed: {[v.cell.name for v in verdicts if v.failed]}",
        f"inconclusive: {[v.cell.name for v in verdicts if v.inconclusive]}",
        f"run again: {[(v.cell.name, [f'{p:.2g}' for p in v.stages]) for v in verdicts if len(v.stages) > 1]}",
        f"least p adjusted within its cell {by_stage[0].stages[0]:.2g} ({by_stage[0].cell.name})",
        f"least p adjusted over the grid {min(1.0, least * tests):.2g}",
        f"{len(pooled)} margins, least adjusted p {pooled[least_margin].least_adjusted():.2g} ({least_margin}), "
        f"over all {min(1.0, pooled[least_margin].least_adjusted() * len(pooled)):.2g}",
        "bias of the evidence that a cell finds with 99.9 % power: "
        + ", ".join(f"{q} % of cells {np.percentile(cell_effects, q):.1%}" for q in (10, 50, 90)),
        "the same, margins: "
        + ", ".join(f"{q} % of margins {np.percentile(margin_effects, q):.1%}" for q in (10, 50, 90)),
    ]
    for axis in ("method", "resampler", "threshold", "meeting", "draft"):
        levels: dict[str, list[Verdict]] = {}
        for verdict in verdicts:
            for name, level in verdict.cell.levels():
                if name == axis:
                    levels.setdefault(level, []).append(verdict)
        for level, own in levels.items():
            every = pooled[axis, level, EVERY]
            lines.append(
                f"  {axis} {level}: {len(own)} cells, {len({v.cell.instance for v in own})} instances, "
                f"{every.count:,} runs, mean evidence {1 + every.powers[0, 0] / every.count:.4f} of Z, "
                f"p {every.least_adjusted():.2g}, finds {smallest_effect(every, ALPHA):.1%}"
            )
    return "\n".join(lines)
