"""Result: what a run gives back. Every view can be had from it, whatever the program returns."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smcdsl.errors import Diagnostic, SmcdslError
from smcdsl.program.evaluation import freeze
from smcdsl.report.results import View, as_html, as_json, as_table, as_text, summary

if TYPE_CHECKING:
    from smcdsl.inference.events import Event
    from smcdsl.inference.posterior import ParticleView
    from smcdsl.report.outcome import Outcome


class Distribution(Mapping[Any, float]):
    """Probabilities by value, the most probable first. Values may be records and lists; unknown ones have 0."""

    def __init__(self, items: Sequence[tuple[Any, float]]) -> None:
        self._items = tuple(items)
        self._places = {freeze(value): probability for value, probability in self._items}

    def __getitem__(self, value: Any) -> float:
        return self._places.get(freeze(value), 0.0)

    def __contains__(self, value: object) -> bool:
        return freeze(value) in self._places

    def __iter__(self) -> Iterator[Any]:
        return (value for value, _ in self._items)

    def __len__(self) -> int:
        return len(self._items)

    def items(self) -> Any:
        """(value, probability) pairs; values need not be hashable."""
        return self._items

    def __repr__(self) -> str:
        return "{" + ", ".join(f"{value!r}: {probability:.4g}" for value, probability in self._items) + "}"


class Trace:
    """The events of a run: where particles were judged, died and were resampled."""

    def __init__(self, events: Sequence[Event]) -> None:
        self.events = tuple(events)

    def save(self, path: str | Path) -> None:
        """Write one JSON object a line. Nothing is left behind if that fails."""
        write_whole(Path(path), "".join(json.dumps(event.as_json()) + "\n" for event in self.events))

    def _repr_html_(self) -> str:
        return family_tree(self.events)


def write_whole(path: Path, text: str) -> None:
    """Replace a file by a text, or leave it as it is.

    Raises:
        OSError: it cannot be written.
    """
    import os
    import tempfile

    if path.exists() and not path.is_file():  # a device or a pipe has no neighbours to rename from
        path.write_text(text, encoding="utf-8")
        return
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask()
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _umask() -> int:
    import os

    current = os.umask(0)
    os.umask(current)
    return current


def family_tree(events: Sequence[Event]) -> str:
    """The particles' lines of descent as inline SVG: time goes right, one row a slot, deaths are crossed."""
    column, row = 40, 14
    rounds: list[tuple[int, ...]] = [
        tuple(event.as_json()["ancestors"]) for event in events if event.name == "resampled"
    ]
    size = next((int(event.as_json()["num_particles"]) for event in events if event.name == "started"), 0)
    width, height = column * (len(rounds) + 2), row * (size + 1)
    lines = []
    for step, ancestors in enumerate(rounds):
        for slot, ancestor in enumerate(ancestors):
            x, y, y_next = column * (step + 1), row * (ancestor + 1), row * (slot + 1)
            lines.append(f'<path d="M{x - column / 2} {y} C{x} {y} {x} {y_next} {x + column / 2} {y_next}"/>')
    last = column * len(rounds) + column / 2
    lines += [f'<path d="M{last} {row * (slot + 1)} h{column / 2}"/>' for slot in range(size)]
    passed, marks = 0, []
    for event in events:
        if event.name == "resampled":
            passed += 1
        elif event.name == "died":
            facts = event.as_json()
            title = html.escape(f"slot {facts['slot']}: {facts['cause']} {facts['place']}")
            left, top = column * passed + column / 2 - 3, row * (facts["slot"] + 1) - 3
            marks.append(f'<g><title>{title}</title><path d="M{left} {top} l6 6 m0 -6 l-6 6" stroke="#c00"/></g>')
    body = "".join([*lines, *marks])
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'fill="none" stroke="#567" stroke-width="1">{body}</svg>'
    )


class Result:
    """The outcome of one run.

    `failure` is the error that a single run raises (no survivors, out of time); the data is here all the same.
    """

    def __init__(self, outcome: Outcome, events: Sequence[Event] = ()) -> None:
        self.outcome = outcome
        self.trace = Trace(events)

    @property
    def best(self) -> Any:
        """The most probable value; None without survivors."""
        return self.outcome.posterior.best

    @property
    def posterior(self) -> Distribution:
        """Probabilities by value."""
        return Distribution([(item.value, item.probability) for item in self.outcome.posterior.support])

    def samples(self, number: int, seed: int | None = None) -> list[Any]:
        """Values drawn by weight, with replacement."""
        return self.outcome.posterior.samples(number, seed)

    @property
    def value(self) -> Any:
        """What the program returns: a `Distribution`, the best value, or a list of samples."""
        if self.outcome.view == "best":
            return self.best
        return self.samples(self.outcome.num_samples) if self.outcome.view == "samples" else self.posterior

    @property
    def log_z(self) -> float | None:
        """Log of the estimated total mass; None for methods that do not estimate it."""
        return self.outcome.posterior.log_z

    @property
    def ess(self) -> float:
        """Effective sample size."""
        return self.outcome.posterior.ess

    @property
    def target(self) -> str:
        """`exact`, or `biased` for methods that do not draw from the posterior."""
        return self.outcome.posterior.target

    @property
    def complete(self) -> bool:
        """Whether neither time nor tokens ran out."""
        return self.outcome.posterior.complete

    @property
    def seed(self) -> int:
        """The seed that determines the run."""
        return self.outcome.posterior.seed

    @property
    def deaths(self) -> Mapping[str, int]:
        """How many particles each factor removed."""
        return self.outcome.posterior.deaths

    @property
    def particles(self) -> tuple[ParticleView, ...]:
        """Every particle, dead ones included, with its text and unnormalised log weight."""
        return self.outcome.posterior.particles

    @property
    def warnings(self) -> tuple[Diagnostic, ...]:
        """Of the program and of the run."""
        return (*self.outcome.warnings, *self.outcome.posterior.warnings)

    @property
    def failure(self) -> SmcdslError | None:
        """What a single run raises."""
        return self.outcome.posterior.failure

    def as_json(self, view: View | None = None) -> dict[str, Any]:
        """The record that the command line prints."""
        return as_json(self.outcome, view)

    def as_text(self, view: View | None = None, *, width: int | None = None, color: bool = False) -> str:
        """As the command line prints it on a terminal."""
        return as_text(self.outcome, view, width=width, color=color)

    def as_table(self, view: View | None = None) -> str:
        """Columns."""
        return as_table(self.outcome, view)

    def __repr__(self) -> str:
        return f"<Result of {self.outcome.program}: {summary(self.outcome)}; best {self.best!r}>"

    def _repr_html_(self) -> str:
        return as_html(self.outcome)
