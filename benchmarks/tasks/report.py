"""The tables: what each method scores and costs, and what each ingredient adds.

Every figure is over the rows that all methods shown have finished, so that methods are compared on the same rows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from benchmarks.tasks.bootstrap import Interval, difference, interval
from benchmarks.tasks.methods import CHAIN, CROSS, METHODS, Ingredient
from benchmarks.tasks.record import Record, Records
from benchmarks.tasks.task import Task

Extras = Callable[[Sequence[tuple[str, Mapping[str, float]]]], dict[str, str]]
"""More columns, of one answer drawn from every run: (text, grades) pairs."""


@dataclass(frozen=True)
class Table:
    """Records of one benchmark by method, on the rows that all of them have."""

    methods: tuple[str, ...]
    rows: tuple[str, ...]
    runs: Mapping[str, Mapping[str, Sequence[Record]]]
    """By method and row."""

    def scores(self, method: str, grade: str = "score") -> list[float]:
        """Each row's mean over its replicates."""
        return [
            sum(run.mean(grade) for run in self.runs[method][row]) / len(self.runs[method][row]) for row in self.rows
        ]

    def records(self, method: str) -> list[Record]:
        """All runs of a method."""
        return [run for row in self.rows for run in self.runs[method][row]]


def table_of(records: Records, wanted: Collection[str] = tuple(METHODS)) -> Table:
    """Rows of which every method that is wanted, and is there at all, has as many replicates as any row has."""
    found = [record for record in records.done.values() if record.method in wanted]
    most = 1 + max((record.replicate for record in found), default=0)
    runs: dict[str, dict[str, list[Record]]] = {}
    for record in found:
        runs.setdefault(record.method, {}).setdefault(record.row, []).append(record)
    methods = tuple(name for name in METHODS if name in runs)
    everywhere = [{row for row, own in runs[name].items() if len(own) == most} for name in methods]
    rows = tuple(sorted(set.intersection(*everywhere))) if everywhere else ()
    return Table(methods, rows, runs)


def text(task: Task, records: Records, wanted: Collection[str] = tuple(METHODS)) -> str:
    """All that there is to print about some methods."""
    table = table_of(records, wanted)
    head = _head(task, records, table)
    if not table.rows:
        return f"{head}\nno row has been finished by every method yet"
    return "\n\n".join([head, _scores(task, table), _costs(table), *_ingredients(table)])


def _head(task: Task, records: Records, table: Table) -> str:
    setting = records.setting
    replicates = len(table.records(table.methods[0])) // len(table.rows) if table.rows else 0
    lines = [
        f"{task.name}: {len(table.rows)} rows x {replicates} replicates, {setting['particles']} particles, "
        f"resampling below ESS {setting['ess']:g}, seed {setting['seed']}",
        f"model: {setting['model'].get('name')} ({setting['model'].get('weights_sha256', '')[:12]})",
        f"score: {task.about}; intervals are 95 % bootstrap over rows",
    ]
    for reason in sorted(set(records.left_out.values())):
        count = sum(found == reason for found in records.left_out.values())
        lines.append(f"left out: {count} rows ({reason})")
    return "\n".join(lines)


def _scores(task: Task, table: Table) -> str:
    extras: Extras | None = getattr(task, "extras", None)
    lines = []
    for name in table.methods:
        runs = table.records(name)
        row = {
            "method": name,
            "": METHODS[name].title,
            "score": str(interval(table.scores(name))),
            **{grade: str(interval(table.scores(name, grade))) for grade in _other_grades(table)},
            "no answer": f"{sum(not run.answers for run in runs) / len(runs):.1%}",
            "ESS": f"{sum(run.ess for run in runs) / len(runs):.1f}",
            "resampled": f"{sum(run.resamplings for run in runs) / len(runs):.1f}",
        }
        lines.append(row | (extras(_drawn(runs)) if extras is not None else {}))
    return grid(lines)


def _other_grades(table: Table) -> list[str]:
    """Grades beside the score, such as whether an answer runs."""
    answers = (answer for name in table.methods for run in table.records(name) for answer in run.answers)
    return sorted({grade for answer in answers for grade in answer.grades} - {"score"})


def _drawn(runs: Sequence[Record]) -> list[tuple[str, Mapping[str, float]]]:
    """One answer of each run that has one, by its probability."""
    found = []
    for run in runs:
        if run.answers:
            random = Random(f"{run.row}:{run.replicate}")
            (answer,) = random.choices(run.answers, [answer.probability for answer in run.answers])
            found.append((answer.text, answer.grades))
    return found


def _costs(table: Table) -> str:
    lines = []
    for name in table.methods:
        runs = table.records(name)
        tokens = sum(run.tokens for run in runs)
        spent = {part: sum(run.seconds.get(part, 0.0) for run in runs) for part in ("total", "model", "masks")}
        calls = [call for run in runs for call in run.calls.items()]
        own: defaultdict[str, float] = defaultdict(float)
        for potential, counts in calls:
            own[potential] += counts["seconds"]
        made = sum(counts["n"] - counts["cached"] for _, counts in calls)
        each = 1000 / max(tokens, 1)
        lines.append(
            {
                "method": name,
                "tokens": f"{tokens:,}",
                "tokens a run": f"{tokens / len(runs):.0f}",
                "wall s": f"{spent['total']:.1f}",
                "model ms/token": f"{each * spent['model']:.3f}",
                "masks ms/token": f"{each * spent['masks']:.3f}",
                "potentials ms/token": f"{each * sum(own.values()):.4f}",
                "calls/token": f"{made / max(tokens, 1):.3f}",
            }
            | {f"{potential} ms/token": f"{each * seconds:.4f}" for potential, seconds in sorted(own.items())}
        )
    return grid(lines)


def _ingredients(table: Table) -> list[str]:
    found = []
    if {"lm", "smc"} <= set(table.methods):
        whole = interval(table.scores("smc")).mean - interval(table.scores("lm")).mean
        apart = not interval(table.scores("smc")).overlaps(interval(table.scores("lm")))
        found.append(f"full SMC and base LM: intervals {'do not overlap' if apart else 'OVERLAP'}")
    else:
        whole = 0.0
    for title, steps in (("what each ingredient adds", CHAIN), ("the same, added elsewhere", CROSS)):
        lines = [_ingredient(table, step, whole) for step in steps if {step.without, step.added} <= set(table.methods)]
        if lines:
            found.append(f"{title} (paired by row)\n{grid(lines)}")
    return found


def _ingredient(table: Table, step: Ingredient, whole: float) -> dict[str, str]:
    change: Interval = difference(table.scores(step.without), table.scores(step.added))
    return {
        "ingredient": step.name,
        "step": f"{step.without} -> {step.added}",
        "change": f"{change.mean:+.3f} [{change.low:+.3f}, {change.high:+.3f}]",
        "share of the gain": f"{change.mean / whole:.0%}" if whole else "",
    }


def grid(lines: Sequence[Mapping[str, str]]) -> str:
    """Rows as aligned columns in Markdown."""
    names = list(dict.fromkeys(name for line in lines for name in line))
    cells = [names, *([line.get(name, "") for name in names] for line in lines)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(names))]
    printed = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in cells]
    return "\n".join([printed[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *printed[1:]])
