"""What names may stand for, and where mistakes are gathered."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from smcdsl.errors import Diagnostic, Span
from smcdsl.library.lark_files import LibraryGrammar
from smcdsl.program.expressions import Expression
from smcdsl.program.types import Signature, Type

ValueKind = Literal["input", "hole", "let", "loop", "parameter", "occurrence"]


@dataclass(frozen=True)
class Value:
    """A name that has a value.

    `condition` says when (in words that follow "generated only") if not always. `generated` values
    depend on what the model wrote. `constant` is what a `let` or template parameter may be replaced
    by where only inputs are allowed. `collects` marks the list of a `name[]` hole.
    """

    name: str
    kind: ValueKind
    type: Type
    span: Span
    generated: bool = False
    condition: str = ""
    collects: bool = False
    hole: str = ""
    constant: Expression | None = None
    low: float = float("-inf")
    high: float = float("inf")


@dataclass(frozen=True)
class ExpressionPotential:
    """A potential that a program defines by an expression, checked."""

    name: str
    parameters: tuple[tuple[str, Type], ...]
    result: Type
    body: Expression
    low: float
    high: float
    declared: Span


@dataclass(frozen=True)
class LibraryScope:
    """What `import` of a library made available under its alias."""

    name: str
    alias: str
    functions: dict[str, Signature]
    grammars: dict[str, LibraryGrammar]
    span: Span
    standard: bool = False
    """`std.text`, whose grammars and functions are built in."""
    broken: bool = False
    """A file of it could not be read: nothing is said about what it lacks."""


@dataclass
class Report:
    """All mistakes of one text and its modules. One mistake, one message.

    Names that a broken span mentions are not complained about: the broken line may have meant to
    introduce them.
    """

    diagnostics: list[Diagnostic] = field(default_factory=list)
    silent: set[str] = field(default_factory=set)
    told: int = 0
    """How often something was said, repetitions included: a template that is used twice is checked twice."""

    def add(self, *diagnostics: Diagnostic) -> None:
        """Record mistakes, unless the same was said of the same place."""
        for diagnostic in diagnostics:
            self.told += 1
            key = _key(diagnostic)
            if key[1] is None or all(_key(known) != key for known in self.diagnostics):
                self.diagnostics.append(diagnostic)

    def silence(self, broken: Iterable[Span]) -> None:
        """From now on say nothing about names that these spans mention."""
        for span in broken:
            self.silent |= set(re.findall(r"[A-Za-z_]\w*", span.text))

    @property
    def has_errors(self) -> bool:
        """Whether something keeps the text from being a program."""
        return any(diagnostic.severity == "error" for diagnostic in self.diagnostics)


def _key(diagnostic: Diagnostic) -> tuple[str, tuple[str, int, int] | None]:
    span = diagnostic.primary
    return diagnostic.code, None if span is None else (span.source.name, span.start, span.end)
