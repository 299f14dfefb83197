"""What a task is: rows, three programs, and the data set's own way to grade an answer."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

PROGRAMS = Path(__file__).parent / "programs"
KINDS = ("free", "grammar", "full")
"""A task's programs: no grammar; the grammar, which alone resamples at the full one's boundaries; potentials too."""

Grades = dict[str, float]
"""Numbers from 0 to 1 by name; `score` is the one that the table is about."""


class MissingData(Exception):
    """A task's data or a library that it needs is not there; the text says what to do."""


@dataclass(frozen=True)
class Row:
    """A question: the programs' inputs, and what grading needs to know."""

    id: str
    inputs: Mapping[str, Any]
    gold: Mapping[str, Any] = field(default_factory=dict)


class Task(Protocol):
    """One data set."""

    name: str
    programs: str
    """The folder under `programs/`."""
    about: str
    """The metric, in a line under the table."""

    max_tokens: int
    """The most that a particle writes; one that goes on is unfinished: weight zero, or a wrong answer."""

    def rows(self, limit: int | None) -> list[Row]:
        """The rows to run, always in the same order. Raises MissingData."""
        ...

    def grade(self, row: Row, answer: str) -> Grades:
        """How good an answer is."""
        ...


def program_file(task: Task, kind: str) -> Path:
    """Where a task's program lies."""
    return PROGRAMS / task.programs / f"{kind}.smc"


def spread(rows: list[Row], limit: int | None) -> list[Row]:
    """`limit` rows drawn over the whole set; a larger limit begins with the rows of a smaller one."""
    ordered = sorted(rows, key=lambda row: hashlib.sha256(row.id.encode()).digest())
    return ordered if limit is None else ordered[:limit]
