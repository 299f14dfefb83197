"""An outcome as JSON values (`smcdsl.result/1`), as text for a terminal, and as a table.

A *view* is what of the posterior is shown: `posterior`, `best`, `samples:N` or `particles`. All of them
can be had from every run.
"""

from __future__ import annotations

import html
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from smcdsl.report.diagnostics import record
from smcdsl.report.outcome import SCHEMA, Outcome
from smcdsl.report.visible import cells, escape, shorten

SHOWN_VALUES = 10
SMALL_SHARE = 0.005
"""Values below this probability are only counted in a text, unless nothing else is there."""


@dataclass(frozen=True)
class View:
    """`posterior`, `best`, `samples` (then with a number) or `particles`."""

    kind: str
    number: int = 0

    def __str__(self) -> str:
        return f"{self.kind}:{self.number}" if self.kind == "samples" else self.kind


def parse_view(text: str) -> View:
    """`samples:8` and the like. Raises ValueError."""
    kind, _, number = text.partition(":")
    if kind == "samples" and number.isdigit() and int(number) > 0:
        return View(kind, int(number))
    if text in ("posterior", "best", "particles"):
        return View(text)
    raise ValueError(f"{text!r} is no view; choose posterior, best, samples:N or particles")


def own_view(outcome: Outcome) -> View:
    """What the program's `return` asks for."""
    return View(outcome.view, outcome.num_samples if outcome.view == "samples" else 0)


def as_json(outcome: Outcome, view: View | None = None) -> dict[str, Any]:
    """The result record of the language reference, 5.3; minus infinity is null."""
    posterior = outcome.posterior
    chosen = view or own_view(outcome)
    made: dict[str, Any] = {
        "schema": SCHEMA,
        "program": outcome.program,
        "complete": posterior.complete,
        "target": posterior.target,
        "method": posterior.method,
        "view": chosen.kind,
        **_view_json(outcome, chosen),
        "log_z": finite(posterior.log_z),
        "ess": posterior.ess,
        "particles": posterior.num_particles,
        "resamplings": posterior.resamplings,
        "deaths": dict(posterior.deaths),
        "calls": {name: dict(counts) for name, counts in posterior.calls.items()},
        "tokens": dict(posterior.tokens),
        "seed": posterior.seed,
        "inputs_sha256": outcome.inputs_sha256,
        "model": dict(outcome.model),
        "tool": {"version": outcome.version, "edition": outcome.edition},
        "seconds": outcome.seconds,
        "seconds_by_part": dict(posterior.seconds),
    }
    if posterior.target_reason:
        made["target_reason"] = posterior.target_reason
    if posterior.tries is not None:
        made |= {"tries": posterior.tries, "expected_tries": posterior.expected_tries}
    if posterior.warnings or outcome.warnings:
        made["warnings"] = [record(diagnostic) for diagnostic in (*outcome.warnings, *posterior.warnings)]
    if posterior.failure is not None:
        made["error"] = record(posterior.failure.diagnostics[0])
    return made


def _view_json(outcome: Outcome, view: View) -> dict[str, Any]:
    posterior = outcome.posterior
    if view.kind == "best":
        return {"best": plain(posterior.best)}
    if view.kind == "samples":
        return {"samples": [plain(value) for value in posterior.samples(view.number)]}
    if view.kind == "particles":
        return {"population": _population(outcome)}
    return {
        "posterior": [
            {"value": plain(item.value), "p": item.probability, "logw": item.log_weight} for item in posterior.support
        ]
    }


def _population(outcome: Outcome) -> list[dict[str, Any]]:
    """Every slot, dead ones included: the mean of exp(logw) over them estimates exp(log_z)."""
    return [
        {
            "slot": particle.slot,
            "text": particle.text,
            "logw": finite(particle.log_weight),
            "alive": particle.log_weight > -math.inf,
            "finished": particle.finished,
            "value": plain(particle.value),
            "holes": plain(particle.holes),
            "cause": particle.cause or None,
            "tokens": particle.tokens,
        }
        for particle in outcome.posterior.particles
    ]


def plain(value: Any) -> Any:
    """A value of a program as JSON values."""
    if isinstance(value, float):
        return finite(value)
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return str(getattr(value, "path", value))


def finite(value: float | None) -> float | None:
    """The number, or None for what JSON has no word for."""
    return value if value is not None and math.isfinite(value) else None


def as_text(outcome: Outcome, view: View | None = None, *, width: int | None = None, color: bool = False) -> str:
    """Values with their probabilities, then one line about the run. Ends in a newline."""
    lines = values_text(outcome, view or own_view(outcome), width)
    bold, reset = ("\x1b[1m", "\x1b[0m") if color else ("", "")
    if lines and color:
        lines[0] = f"{bold}{lines[0]}{reset}"
    return "\n".join(["", *lines, "", f"  {summary(outcome)}"]) + "\n"


def values_text(outcome: Outcome, view: View, width: int | None = None) -> list[str]:
    """The lines of one view."""
    posterior = outcome.posterior
    if view.kind == "best":
        return _block("  ", shown(posterior.best)) if posterior.support else ["  nothing: no particle survived"]
    if view.kind == "samples":
        return [line for value in posterior.samples(view.number) for line in _block("  ", shown(value))]
    if view.kind == "particles":
        return [line for particle in posterior.particles for line in _particle_lines(particle, width)]
    if not posterior.support:
        return ["  nothing: no particle survived"]
    return _posterior_lines(outcome)


def _posterior_lines(outcome: Outcome) -> list[str]:
    support = outcome.posterior.support
    kept = [item for index, item in enumerate(support[:SHOWN_VALUES]) if index == 0 or item.probability >= SMALL_SHARE]
    lines = [line for item in kept for line in _block(f"  {item.probability:.2f}  ", shown(item.value))]
    rest = support[len(kept) :]
    if rest:
        lines.append(f"  {sum(item.probability for item in rest):.2f}  {len(rest)} more")
    return lines


def _particle_lines(particle: Any, width: int | None) -> list[str]:
    weight = f"{particle.log_weight:10.3f}" if particle.log_weight > -math.inf else "      dead"
    cause = f"  [{particle.cause}]" if particle.cause else ""
    text = escape(particle.text)
    head = f"  {particle.slot:4d}  {weight}  "
    if width is not None:
        text = shorten(text, max(width - len(head) - len(cause), 20))
    return [f"{head}{text}{cause}"]


def _block(head: str, text: str) -> list[str]:
    """A text with a head before its first line; further lines are indented to it."""
    first, *more = text.split("\n")
    return [head + first, *(" " * len(head) + line for line in more)]


def shown(value: Any) -> str:
    """A value for a terminal: texts as they are but for control characters, the rest as JSON on one line."""
    if isinstance(value, str):
        return escape(value, keep_newlines=True)
    return escape(json.dumps(plain(value), ensure_ascii=False))


def summary(outcome: Outcome) -> str:
    """`log Z -7.92   ESS 10.6 of 16   resampled 2x   lost: known_column 3, runs 4   seed 0   exact`."""
    posterior = outcome.posterior
    parts = []
    if posterior.log_z is not None:
        parts.append(f"log Z {posterior.log_z:.2f}" if math.isfinite(posterior.log_z) else "log Z -inf")
    if posterior.num_particles > 1:
        parts.append(f"ESS {posterior.ess:.1f} of {posterior.num_particles}")
    if posterior.resamplings:
        parts.append(f"resampled {posterior.resamplings}x")
    lost = ", ".join(f"{name.rpartition('.')[2]} {count}" for name, count in posterior.deaths.items() if count)
    if lost:
        parts.append(f"lost: {lost}")
    if posterior.expected_tries is not None:
        parts.append(f"about {posterior.expected_tries:,.0f} tries a sample")
    parts += [f"seed {posterior.seed}", posterior.target]
    if not posterior.complete:
        parts.append("incomplete")
    return "   ".join(parts)


def as_table(outcome: Outcome, view: View | None = None) -> str:
    """Columns with a head, one value a line; long values are not cut. Ends in a newline."""
    head, rows = _table(outcome, view or own_view(outcome))
    texts = [[escape(cell) for cell in row] for row in rows]
    widths = [max(cells(row[column]) for row in [head, *texts]) for column in range(len(head))]
    lines = []
    for row in [head, *texts]:
        padded = [cell + " " * (width - cells(cell)) for cell, width in zip(row, widths)]
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines) + "\n"


def as_html(outcome: Outcome) -> str:
    """The table for a notebook."""
    head, rows = _table(outcome, View("posterior"))
    top = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
    body = "".join(
        "<tr>" + "".join(f"<td style='text-align:left'><pre>{html.escape(cell)}</pre></td>" for cell in row) + "</tr>"
        for row in rows[:SHOWN_VALUES]
    )
    caption = f"<caption>{html.escape(summary(outcome))}</caption>"
    return f"<table>{caption}<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def _table(outcome: Outcome, view: View) -> tuple[list[str], list[list[str]]]:
    posterior = outcome.posterior
    if view.kind == "best":
        return ["value"], [[_cell(posterior.best)]] if posterior.support else []
    if view.kind == "samples":
        return ["value"], [[_cell(value)] for value in posterior.samples(view.number)]
    if view.kind == "particles":
        rows = [[str(p.slot), f"{p.log_weight:.6f}", p.cause, p.text] for p in posterior.particles]
        return ["slot", "logw", "lost to", "text"], rows
    rows = [[f"{item.probability:.4f}", f"{item.log_weight:.4f}", _cell(item.value)] for item in posterior.support]
    return ["p", "logw", "value"], rows


def _cell(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(plain(value), ensure_ascii=False)
