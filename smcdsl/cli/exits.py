"""Exit codes (language reference, 5.5)."""

from __future__ import annotations

from smcdsl.errors import (
    BudgetExceeded,
    CompileError,
    ModelError,
    NoSurvivors,
    PotentialError,
    SmcdslError,
    UsageError,
)

SUCCESS = 0
FINDINGS = 1
USAGE = 2
NO_SURVIVORS = 3
BUDGET = 4
POTENTIAL = 5
MODEL = 6
INTERNAL = 70
INTERRUPTED = 130

_BY_KIND: tuple[tuple[type[SmcdslError], int], ...] = (
    (CompileError, FINDINGS),
    (UsageError, USAGE),
    (NoSurvivors, NO_SURVIVORS),
    (BudgetExceeded, BUDGET),
    (PotentialError, POTENTIAL),
    (ModelError, MODEL),
)

_SEVERITY = (SUCCESS, BUDGET, NO_SURVIVORS, FINDINGS, USAGE, POTENTIAL, MODEL, INTERNAL, INTERRUPTED)


def code_of(error: SmcdslError) -> int:
    """The exit code of an error that ends a command."""
    return next((code for kind, code in _BY_KIND if isinstance(error, kind)), INTERNAL)


def most_severe(codes: list[int]) -> int:
    """The code of a batch: zero if all lines succeeded, else the one that says most."""
    return max(codes, key=_SEVERITY.index, default=SUCCESS)
