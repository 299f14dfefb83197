"""An outcome as JSON values (`smcdsl.result/1`), as text for a terminal, and as a table.

A *view* is what of the posterior is shown: `posterior`, `best`, `samples:N` or `particles`. All of them
can be had from every run.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from smcdsl.inference.results.posterior import Posterior, WeightedValue
from smcdsl.program.evaluation import freeze
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
        "log_z_error": finite(posterior.log_z_error),
        "eves": posterior.eves,
        "ess": posterior.ess,
        "entropy_ess": posterior.entropy_ess,
        "particles": posterior.num_particles,
        "resamplings": posterior.resamplings,
        "deaths": dict(posterior.deaths),
        "calls": {name: dict(counts) for name, counts in posterior.calls.items()},
        "tokens": dict(posterior.tokens),
        **_meaning_json(posterior),
        "seed": posterior.seed,
        "inputs_sha256": outcome.inputs_sha256,
        "model": dict(outcome.model),
        "tool": {"version": outcome.version, "edition": outcome.edition},
        "seconds": outcome.seconds,
        "seconds_by_part": dict(posterior.seconds),
    }
    if posterior.speculated is not None:
        made["speculation"] = posterior.speculated.as_json()
    if posterior.target_reason:
        made["target_reason"] = posterior.target_reason
    if posterior.lookahead:
        made["lookahead"] = [{"version": version, "power": power} for version, power in posterior.lookahead.items()]
    if posterior.proposal:
        made["proposal"] = posterior.proposal
    if posterior.attempts > 1:
        made["attempts"] = posterior.attempts
    if posterior.log_z_note:
        made["log_z_note"] = posterior.log_z_note
    if posterior.sweeps:
        made["refined"] = {"sweeps": posterior.sweeps, "moves": posterior.moves}
    if posterior.islands:
        made["islands"] = [finite(log_z) for log_z in posterior.islands]
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
    front = {id(item) for item in posterior.front}
    return {"posterior": [_value_json(posterior, item, id(item) in front) for item in posterior.support]}


def _value_json(posterior: Posterior, item: WeightedValue, on_front: bool) -> dict[str, Any]:
    made = {"value": plain(item.value), "p": item.probability, "logw": item.log_weight}
    if len(posterior.factors) > 1:
        made |= {"factors": plain(item.factors), "front": on_front}
    if posterior.keys is not None:
        made["key"] = plain(item.key)
        made["members"] = [{"value": plain(each.value), "p": each.probability} for each in item.members]
    return made


def _meaning_json(posterior: Posterior) -> dict[str, Any]:
    """How many classes there are with `return ... by`, and how spread out they are."""
    if posterior.keys is None:
        return {}
    return {"classes": len(posterior.support), "semantic_entropy": posterior.semantic_entropy}


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
            **({"factors": plain(particle.factors)} if len(particle.factors) > 1 else {}),
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
    note = outcome.posterior.log_z_note
    notes = [f"  log Z is {note}"] if note else []
    return "\n".join(["", *lines, "", f"  {summary(outcome)}", *notes]) + "\n"


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


def _posterior_lines(outcome: Outcome, ahead: Callable[[float], str] = lambda _: "") -> list[str]:
    """The values with their probabilities; `ahead` makes what stands between the two."""
    support = outcome.posterior.support
    kept = [item for index, item in enumerate(support[:SHOWN_VALUES]) if index == 0 or item.probability >= SMALL_SHARE]
    lines = [
        line
        for item in kept
        for line in [
            *_block(f"  {item.probability:.2f}  {ahead(item.probability)}", shown(item.value)),
            *_more(item, len(ahead(0.0))),
        ]
    ]
    rest = support[len(kept) :]
    if rest:
        share = sum(item.probability for item in rest)
        lines.append(f"  {share:.2f}  {ahead(share)}{len(rest)} more")
    return lines


def as_lines(outcome: Outcome, ahead: Callable[[float], str]) -> str:
    """The posterior, whatever the program returns, and the line about the run."""
    lines = _posterior_lines(outcome, ahead) if outcome.posterior.support else ["  nothing: no particle survived"]
    return "\n".join([*lines, "", f"  {summary(outcome)}"])


def _more(item: WeightedValue, indent: int = 0) -> list[str]:
    """How many other values mean the same."""
    others = len({freeze(each.value) for each in item.members}) - 1
    return (
        [f"{' ' * (10 + indent)}and {others} more that mean{'s' if others == 1 else ''} the same"] if others > 0 else []
    )


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
    """`log Z -7.92 +- 0.20 (12 Eves)   ESS 10.6 of 16   resampled 2x   lost: runs 4   seed 0   exact`.

    With drafts also `drafts 301 of 380 kept, 2.9 tokens a pass`.
    """
    posterior = outcome.posterior
    parts = []
    if posterior.log_z is not None:
        parts.append(_evidence(posterior))
    if posterior.attempts > 1:
        parts.append(f"{posterior.attempts} attempts")
    if posterior.num_particles > 1:
        parts.append(f"ESS {posterior.ess:.1f} of {posterior.num_particles}")
    if posterior.semantic_entropy is not None:
        count = len(posterior.support)
        parts.append(f"{count} meaning{'' if count == 1 else 's'}, entropy {posterior.semantic_entropy:.2f}")
    if posterior.resamplings:
        parts.append(f"resampled {posterior.resamplings}x")
    if posterior.sweeps:
        parts.append(f"refined {posterior.sweeps}x, moved {posterior.moves}x")
    lost = ", ".join(f"{_brief(name)} {count}" for name, count in posterior.deaths.items() if count)
    if lost:
        parts.append(f"lost: {lost}")
    drafted = posterior.speculated
    if drafted is not None and drafted.proposed:
        kept = f"drafts {drafted.accepted} of {drafted.proposed} kept"
        parts.append(f"{kept}, {drafted.mean_block:.1f} tokens a pass")
    if posterior.expected_tries is not None:
        parts.append(f"about {posterior.expected_tries:,.0f} tries a sample")
    parts += [f"seed {posterior.seed}", posterior.target]
    if not posterior.complete:
        parts.append("incomplete")
    return "   ".join(parts)


def _brief(name: str) -> str:
    """What particles died of: a potential without its library, an expression as it is, on one line."""
    return name.rpartition(".")[2] if re.fullmatch(r"[\w.]+", name) else " ".join(name.split())


def _evidence(posterior: Posterior) -> str:
    """`log Z -7.92 +- 0.20 (12 Eves)`: the estimate, its error, and how many lines of descent that rests on."""
    assert posterior.log_z is not None, "called where there is an estimate"
    if not math.isfinite(posterior.log_z):
        return "log Z -inf"
    text = f"log Z {posterior.log_z:.2f}"
    if posterior.log_z_error is None:
        return text
    text += f" +- {posterior.log_z_error:.2f}"
    if posterior.islands:
        return f"{text} ({len(posterior.islands)} islands)"
    if posterior.eves is None:
        return text
    doubt = "" if posterior.is_reliable else ", unreliable"
    return f"{text} ({posterior.eves} Eve{'s' if posterior.eves != 1 else ''}{doubt})"


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


def _table(outcome: Outcome, view: View) -> tuple[list[str], list[list[str]]]:
    posterior = outcome.posterior
    if view.kind == "best":
        return ["value"], [[value_text(posterior.best)]] if posterior.support else []
    if view.kind == "samples":
        return ["value"], [[value_text(value)] for value in posterior.samples(view.number)]
    if view.kind == "particles":
        rows = [[str(p.slot), f"{p.log_weight:.6f}", p.cause, p.text] for p in posterior.particles]
        return ["slot", "logw", "lost to", "text"], rows
    return _posterior_table(posterior)


def _posterior_table(posterior: Posterior) -> tuple[list[str], list[list[str]]]:
    """Columns for classes and factors only where there are any; a star for what is on the Pareto front."""
    front = {id(item) for item in posterior.front}
    has_factors = len(posterior.factors) > 1
    head = ["p", "logw"] + (["values"] if posterior.keys is not None else [])
    head += ["front", *posterior.factors] if has_factors else []
    rows = []
    for item in posterior.support:
        row = [f"{item.probability:.4f}", f"{item.log_weight:.4f}"]
        if posterior.keys is not None:
            row.append(str(len(item.members)))
        if has_factors:
            row += ["*" if id(item) in front else "", *(f"{value:.4f}" for value in item.factors.values())]
        rows.append([*row, value_text(item.value)])
    return [*head, "value"], rows


def value_text(value: Any) -> str:
    """A text as it is, other values as JSON; nothing is escaped."""
    return value if isinstance(value, str) else json.dumps(plain(value), ensure_ascii=False)
