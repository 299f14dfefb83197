"""What is printed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.masks.agreement import Comparison
from benchmarks.masks.measure import Batches, Series, Singles

MUST = {  # mean, p99: least ratios of llguidance's cost to ours
    "sql": (20, 10),
    "sql_ci": (20, 10),
    "python_flat": (20, 10),
    "smiles": (15, 6),
    "pddl": (60, 30),
    "json": (2, 3),
}


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns, the first to the left and the others to the right."""
    lines = [list(headings), *[list(row) for row in rows]]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings))]
    return "\n".join(
        "  ".join(
            [line[0].ljust(widths[0]), *[cell.rjust(width) for cell, width in zip(line[1:], widths[1:])]]
        ).rstrip()
        for line in lines
    )


def number(value: float) -> str:
    """Three figures, more before the point if needed."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def summary(costs: NDArray[np.float64]) -> list[str]:
    """Mean, median, 99th percentile, largest."""
    return [number(value) for value in (costs.mean(), np.median(costs), np.percentile(costs, 99), costs.max())]


def single_masks(language: str, singles: Singles) -> str:
    """A table of engines, and the ratios that matter."""
    rows = []
    for name, series in (
        ("smcdsl, empty memory", singles.cold),
        ("smcdsl, held out", singles.held_out),
        ("smcdsl, warm", singles.warm),
        *singles.peers.items(),
    ):
        if series.masks:
            masks, accepts = series.mask_costs(), series.accept_costs()
            rows.append(
                [
                    name,
                    str(len(masks)),
                    *summary(masks),
                    number(float(accepts.mean())),
                    number(np.percentile(accepts, 99)),
                ]
            )
    headings = [language, "steps", "mask mean", "median", "p99", "max", "accept mean", "p99"]
    lines = [table(headings, rows)]
    lines += [f"{name} stopped, {why}" for name, why in singles.refused.items()]
    for name, series in singles.peers.items():
        if series.masks:
            lines.append(ratio_line(language, name, singles.held_out, series))
    return "\n".join(lines)


def ratios(ours: Series, theirs: Series) -> dict[str, float]:
    """The peer's cost over ours, on the steps that both have."""
    texts = sorted(theirs.masks)
    mine, other = ours.mask_costs(texts), theirs.mask_costs(texts)
    return {
        "mean": float(other.mean() / mine.mean()),
        "median": float(np.median(other) / np.median(mine)),
        "p99": float(np.percentile(other, 99) / np.percentile(mine, 99)),
    }


def ratio_line(language: str, name: str, ours: Series, theirs: Series) -> str:
    """`llguidance / held out: mean 21.3, median 60.2, p99 14.8`, with what is asked for."""
    found = ratios(ours, theirs)
    line = f"{name} / held out: " + ", ".join(f"{key} {number(value)}" for key, value in found.items())
    if name != "llguidance" or language not in MUST:
        return line
    mean, p99 = MUST[language]
    verdict = "met" if found["mean"] >= mean and found["p99"] >= p99 else "not met"
    return f"{line} (asked: mean {mean}, p99 {p99}: {verdict})"


BATCH_MUST = {"smcdsl": 2.0, "smcdsl rows": 0.4}
"""Microseconds of CPU a particle and step, at most, for 64 particles apart."""


def batch_costs(language: str, results: Sequence[Batches]) -> str:
    """Microseconds of CPU a particle and step, masks written out or (`rows`) by number."""
    names = list(dict.fromkeys(name for result in results for name in (*result.spread, *result.clones)))
    headings = [f"{language}, µs", *[f"N={r.num_particles} {kind}" for r in results for kind in ("one state", "apart")]]
    rows = [
        [name, *[number(part[name]) if name in part else "-" for r in results for part in (r.clones, r.spread)]]
        for name in names
    ]
    lines = [table(headings, rows)]
    for result in results:
        if result.num_particles == 64:
            for name, most in BATCH_MUST.items():
                verdict = "met" if result.spread[name] <= most else "not met"
                lines.append(f"{name}, N=64 apart: {number(result.spread[name])} (asked: {most}: {verdict})")
    return "\n".join(lines)


SCHEMA_MUST = 30
"""Milliseconds for a schema, at most, in the median."""


def compile_costs(rows: dict[tuple[str, str], dict[str, float]]) -> str:
    """Compiling and memory, each engine in a process of its own."""
    headings = [
        "compile, CPU",
        "language",
        "vocabulary ms",
        "compile ms",
        "wall ms",
        "first mask ms",
        "blocks s",
        "blocks MB on disk",
        "MB compiled",
        "MB replayed",
    ]
    lines = []
    for (engine, language), found in rows.items():
        base = found["resident_vocabulary"]
        lines.append(
            [
                engine,
                language,
                number(found["vocabulary_ms"]),
                number(found["compile_ms"]),
                number(found["compile_wall_ms"]),
                number(found["first_mask_ms"]),
                *[number(found[key]) if key in found else "-" for key in ("blocks_seconds", "blocks_disk")],
                number(found["resident_compiled"] - base),
                number(found["resident_replayed"] - base),
            ]
        )
    return table(headings, lines)


def agreement(comparisons: Sequence[Comparison]) -> str:
    """Counts, then reasons with samples."""
    headings = ["masks", "against", "steps", "differ", "only smcdsl", "only peer", "unexplained"]
    rows = [
        [c.language, c.peer, *[f"{n:,}" for n in (c.steps, c.differing, c.only_ours, c.only_theirs, c.unexplained)]]
        for c in comparisons
    ]
    lines = [table(headings, rows)]
    for comparison in comparisons:
        if comparison.refused:
            lines.append(f"{comparison.language}, {comparison.peer}: {comparison.refused}")
        for (who, reason), count in comparison.reasons.most_common():
            lines.append(f"{comparison.language}, {comparison.peer}, only {who}: {reason}, {count:,} examined tokens")
            lines += [f"    {prefix!r} + {token!r}" for prefix, token in comparison.samples.get((who, reason), [])]
    return "\n".join(lines)


def schema_compile_costs(costs: dict[str, NDArray[np.float64]], schemas: int) -> str:
    """Milliseconds of CPU a schema: the parts of ours, cold with known terminals; all of ours; peers."""
    rows = [
        [name, str(len(found)), *(number(float(np.percentile(found, q))) for q in (50, 90, 100))]
        for name, found in costs.items()
    ]
    lines = [table([f"compile, ms, {schemas} schemas", "taken", "median", "p90", "max"], rows)]
    met = "met" if np.median(costs["cold"]) <= SCHEMA_MUST else "not met"
    return "\n".join([*lines, f"cold, median: {number(float(np.median(costs['cold'])))} (asked: {SCHEMA_MUST}: {met})"])
