"""What every name of a file stands for: the places of one key are the places that a rename changes.

Works on the syntax tree, so that a file with mistakes has names too; a statement that could not be read has none.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from smcdsl.errors import Span

NameKind = Literal[
    "input", "hole", "let", "loop", "occurrence", "parameter", "grammar", "rule", "potential", "template", "import",
    "function", "library_grammar", "library_rule", "reserved", "builtin", "profile",
]  # fmt: skip

OWN: frozenset[NameKind] = frozenset(
    {
        "input",
        "hole",
        "let",
        "loop",
        "occurrence",
        "parameter",
        "grammar",
        "rule",
        "potential",
        "template",
        "import",
        "profile",
    }
)
"""Kinds that .smc files declare; the others belong to libraries or to the language."""


@dataclass(frozen=True)
class Key:
    """What a name stands for: a name in a scope of a file. `file` is a path, or a source's name where it has none."""

    file: str
    scope: str
    name: str


@dataclass(frozen=True)
class Occurrence:
    """A name at a place."""

    span: Span
    key: Key
    kind: NameKind
    defines: bool = False


class Names:
    """The names of one file, by place."""

    def __init__(self, occurrences: tuple[Occurrence, ...]) -> None:
        known = {(each.span.start, each.span.end): each for each in reversed(occurrences)}
        self.occurrences = tuple(sorted(known.values(), key=lambda each: each.span.start))

    @cached_property
    def _starts(self) -> list[int]:
        return [each.span.start for each in self.occurrences]

    def at(self, offset: int) -> Occurrence | None:
        """The name that an offset touches; of two that touch, the one that begins there."""
        index = bisect_right(self._starts, offset) - 1
        for each in self.occurrences[max(index, 0) : index - 2 if index >= 2 else None : -1] if index >= 0 else ():
            if each.span.start <= offset <= each.span.end:
                return each
        return None

    def of(self, key: Key) -> list[Occurrence]:
        """Every place of a key, in order."""
        return [each for each in self.occurrences if each.key == key]

    def definition(self, key: Key) -> Occurrence | None:
        """Where a key is declared, if in this file."""
        return next((each for each in self.occurrences if each.key == key and each.defines), None)

    @cached_property
    def declared(self) -> list[Occurrence]:
        """The declarations, in order."""
        return [each for each in self.occurrences if each.defines]
