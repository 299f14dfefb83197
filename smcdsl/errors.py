"""Every error smcdsl raises, and the records that explain a mistake: Source, Span, Diagnostic.

A *mistake* in a text is a `Diagnostic`; a stage collects all it finds and raises one `CompileError`.
A *failure* at run time is an exception that carries its diagnostic and the data needed to act on it.
The wording style and the catalogue of codes are in the language reference, section 3.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

Severity = Literal["error", "warning"]


RUN_WARNINGS = frozenset({"R0902", "R0911", "R0912", "R0913"})
"""What is said of runs that went through."""


def shown_path(path: Path) -> str:
    """A path as someone in the current folder would write it."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except (OSError, ValueError):
        return str(path)


@dataclass(frozen=True)
class Source:
    """A text with a name to show, usually a file's path as the user gave it."""

    name: str
    text: str

    @cached_property
    def line_starts(self) -> tuple[int, ...]:
        """Offsets at which lines begin."""
        return (0, *(i + 1 for i, char in enumerate(self.text) if char == "\n"))

    def position(self, offset: int) -> tuple[int, int]:
        """(line, column) of a character offset, both from 1."""
        line = bisect_right(self.line_starts, offset)
        return line, offset - self.line_starts[line - 1] + 1

    def line(self, number: int) -> str:
        """The text of line `number` (from 1), without its line ending."""
        start = self.line_starts[number - 1]
        end = self.line_starts[number] - 1 if number < len(self.line_starts) else len(self.text)
        return self.text[start:end].removesuffix("\r")


@dataclass(frozen=True)
class Span:
    """Characters `start` up to, not including, `end` of a source."""

    source: Source = field(repr=False)
    start: int
    end: int

    @property
    def text(self) -> str:
        """The characters covered."""
        return self.source.text[self.start : self.end]

    def to(self, other: Span) -> Span:
        """From the start of this span to the end of the other."""
        return Span(self.source, self.start, other.end)


def line_of_file(file: str, line: int) -> Span | None:
    """A line of a file without its indentation; None where it cannot be read."""
    try:
        path = Path(file)
        source = Source(shown_path(path), path.read_text(encoding="utf-8"))
        start = source.line_starts[line - 1]
    except (OSError, ValueError, IndexError):
        return None
    text = source.line(line)
    return Span(source, start + len(text) - len(text.lstrip()), start + len(text))


@dataclass(frozen=True)
class Label:
    """A span with what is said about it; one label of a diagnostic is the primary one."""

    span: Span
    text: str = ""
    primary: bool = False


@dataclass(frozen=True)
class Edit:
    """Replace the characters of `span` by `text`."""

    span: Span
    text: str


@dataclass(frozen=True)
class Diagnostic:
    """One mistake or failure: code, headline, places, facts and at most one suggestion.

    `labels` may be empty for what has no place in a text (command line, run time); then `context`
    may say where instead, as in ` --> command line`. `fixes` are safe to apply without asking.
    """

    code: str
    message: str
    labels: tuple[Label, ...] = ()
    notes: tuple[str, ...] = ()
    help: str = ""
    fixes: tuple[Edit, ...] = ()
    context: str = ""
    facts: tuple[str, ...] = ()
    """Lines shown after ` = ` below the frame."""

    @property
    def severity(self) -> Severity:
        """Warnings have codes that begin with W, or are of a run that went through."""
        return "warning" if self.code.startswith("W") or self.code in RUN_WARNINGS else "error"

    @property
    def primary(self) -> Span | None:
        """The span of the primary label, else of the first."""
        for label in self.labels:
            if label.primary:
                return label.span
        return self.labels[0].span if self.labels else None


class SmcdslError(Exception):
    """Base of all errors that smcdsl raises on purpose."""

    def __init__(self, diagnostics: Sequence[Diagnostic] | Diagnostic) -> None:
        self.diagnostics = (diagnostics,) if isinstance(diagnostics, Diagnostic) else tuple(diagnostics)
        super().__init__("\n".join(f"{d.severity}[{d.code}]: {d.message}" for d in self.diagnostics))

    def __reduce__(self) -> tuple[Any, ...]:
        """Errors pass between processes whole."""
        return _remade, (type(self), self.args, self.__dict__)


def _remade(kind: type[SmcdslError], arguments: tuple[Any, ...], attributes: dict[str, Any]) -> SmcdslError:
    error = kind.__new__(kind)
    error.args = arguments
    error.__dict__.update(attributes)
    return error


class CompileError(SmcdslError):
    """A text is wrong: a program, a grammar, a library, or how they fit together."""


class UsageError(SmcdslError):
    """What was asked for cannot be done as asked: inputs, settings, unreadable files (exit code 2)."""


class NoSurvivors(SmcdslError):
    """Every particle has weight zero (R0901, exit code 3)."""

    def __init__(self, diagnostic: Diagnostic, deaths: Mapping[str, int], partial: Any = None) -> None:
        super().__init__(diagnostic)
        self.deaths = dict(deaths)
        self.partial = partial


class BudgetExceeded(SmcdslError):
    """Time or tokens ran out (R0906, exit code 4); `partial` is the incomplete result."""

    def __init__(self, diagnostic: Diagnostic, partial: Any) -> None:
        super().__init__(diagnostic)
        self.partial = partial


class PotentialError(SmcdslError):
    """A potential raised, returned what it may not, or contradicted itself (R0903 to R0905, R0908, exit code 5).

    `partial` is the result of the particles that had finished before, incomplete; None where no run was going on.
    """

    def __init__(self, diagnostic: Diagnostic, potential: str, arguments: Sequence[Any] = ()) -> None:
        super().__init__(diagnostic)
        self.potential = potential
        self.arguments = tuple(arguments)
        self.partial: Any = None
        self.place = ""
        self.request: int | None = None

    def at(self, words: str) -> None:
        """Say in the frame where in the run it happened, such as `on particle 3, at clause 2 of q`."""
        first, *others = self.diagnostics
        labels = [replace(label, text=f"{label.text}, {words}") if label.primary else label for label in first.labels]
        self.diagnostics = (replace(first, labels=tuple(labels)), *others)


class ModelError(SmcdslError):
    """A model could not be loaded, failed, or does not fit the program (exit code 6)."""

    def __init__(self, diagnostic: Diagnostic, model: str) -> None:
        super().__init__(diagnostic)
        self.model = model
