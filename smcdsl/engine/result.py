"""Result: what a run gives back. Every view can be had from it, whatever the program returns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from smcdsl.errors import Diagnostic, SmcdslError
from smcdsl.program.evaluation import freeze
from smcdsl.report.files import write_whole
from smcdsl.report.notebook import bars_text, table_html
from smcdsl.report.results import View, as_json, as_table, as_text, summary

if TYPE_CHECKING:
    from smcdsl.inference.events import Event
    from smcdsl.inference.results.posterior import ParticleView, WeightedValue
    from smcdsl.report.outcome import Outcome
    from smcdsl.report.trace.populations import Population


_Value = TypeVar("_Value")


class Distribution(Mapping[_Value, float]):
    """Probabilities by value, the most probable first. Values may be records and lists; unknown ones have 0."""

    def __init__(self, items: Sequence[tuple[_Value, float]]) -> None:
        self._items = tuple(items)
        self._places: dict[Any, float] = {}
        for value, probability in self._items:
            key = freeze(value)
            self._places[key] = self._places.get(key, 0.0) + probability

    def __getitem__(self, value: _Value) -> float:
        return self._places.get(freeze(value), 0.0)

    def __contains__(self, value: object) -> bool:
        return freeze(value) in self._places

    def __iter__(self) -> Iterator[_Value]:
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

    @classmethod
    def load(cls, path: str | Path) -> Trace:
        """Read what `save` wrote.

        Raises:
            UsageError: E0830, it is no trace; E0831, it is damaged.
        """
        from smcdsl.report.trace.file import read

        return cls(read(path))

    def save(self, path: str | Path) -> None:
        """Write one JSON object a line. Nothing is left behind if that fails."""
        from smcdsl.report.trace.file import as_stored

        write_whole(Path(path), as_stored(self.events))

    def page(self, path: str | Path) -> None:
        """Write one self-contained HTML page, as `smcdsl trace --html` does."""
        from smcdsl.report.trace.page import page_of

        write_whole(Path(path), page_of(self._populations))

    @cached_property
    def _populations(self) -> list[Population]:
        from smcdsl.report.trace.populations import populations

        return populations(self.events)

    def __str__(self) -> str:
        """As `smcdsl trace` draws it."""
        from smcdsl.report.trace.text import overview

        found = self._populations
        return "\n".join(overview(found[0], len(found) - 1)) if found else repr(self)

    def __repr__(self) -> str:
        found = self._populations
        if not found:
            return "<Trace of nothing: only runs by `run`, `arun` and `astream` are traced>"
        deaths = sum(len(each.deaths) for each in found)
        sites = sum(len(each.steps) for each in found)
        size = found[0].size
        return f"<Trace of {size} particle{'' if size == 1 else 's'}: sites {sites}, deaths {deaths}>"

    def _repr_svg_(self) -> str | None:
        from smcdsl.report.trace.svg import tree_svg

        return tree_svg(self._populations[0]) if self._populations else None

    def _repr_html_(self) -> str | None:
        return self._repr_svg_()


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
    def posterior(self) -> Distribution[Any]:
        """Probabilities by value; with `return ... by KEY` by the value that stands for its class."""
        return Distribution([(item.value, item.probability) for item in self.outcome.posterior.support])

    @property
    def support(self) -> tuple[WeightedValue, ...]:
        """The values with all that is known of each: its class's `members` and `key`, its `factors`."""
        return self.outcome.posterior.support

    @property
    def front(self) -> tuple[WeightedValue, ...]:
        """The values that no other beats in all `score` lines; empty with fewer than two lines."""
        return self.outcome.posterior.front

    @property
    def classes(self) -> int | None:
        """How many meanings there are with `return ... by KEY`; None without a key."""
        posterior = self.outcome.posterior
        return None if posterior.keys is None else len(posterior.support)

    @property
    def semantic_entropy(self) -> float | None:
        """Entropy of the meanings in nats; None without a key or survivors."""
        return self.outcome.posterior.semantic_entropy

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
    def log_z_error(self) -> float | None:
        """The standard error of `log_z` by the run's own account; see `is_reliable`."""
        return self.outcome.posterior.log_z_error

    @property
    def is_reliable(self) -> bool:
        """Whether `log_z_error` rests on enough lines of descent, or on islands, to mean something."""
        return self.outcome.posterior.is_reliable

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

    def __str__(self) -> str:
        """The posterior with bars."""
        return bars_text(self.outcome)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self) if cycle else str(self))

    def _repr_html_(self) -> str:
        return table_html(self.outcome)
