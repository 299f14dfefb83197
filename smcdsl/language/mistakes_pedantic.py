"""One constructor a warning: what `check --pedantic` says."""

from __future__ import annotations

from collections.abc import Sequence

from smcdsl.errors import Diagnostic, Span
from smcdsl.language.mistakes import diagnostic

_SHOWN = 4


def steep_power(span: Span) -> Diagnostic:
    """A factor to a power above ten."""
    return diagnostic(
        "W0512",
        "this power is very steep",
        span,
        "above 10, nearly all weight goes to the few best particles",
        help="try a smaller power, or more particles",
    )


def unlimited_white_space(name: str, span: Span) -> Diagnostic:
    """A hole that may be filled with blanks."""
    return diagnostic(
        "W0419",
        f"`{name}` allows unlimited white space",
        span,
        "a model that is unsure tends to write blanks until its budget is used up",
        help="limit it, for example `/ {0,4}/` in place of `/ */`",
    )


def always_the_same_score(span: Span, value: object, count: int) -> Diagnostic:
    """A soft factor without effect in the tests."""
    return diagnostic(
        "W0513",
        "this score is the same for everything in the tests",
        span,
        f"always {value:g}" if isinstance(value, int | float) else "always the same",
        notes=[f"it was tried on {count} combinations of the tests' inputs and accepted texts"],
        help="add a test whose text should score differently",
    )


def never_false(span: Span, count: int) -> Diagnostic:
    """A hard factor without effect in the tests."""
    return diagnostic(
        "W0514",
        "this `require` removes nothing in the tests",
        span,
        "always true",
        notes=[f"it was tried on {count} combinations of the tests' inputs and accepted texts"],
        help="add a test with a text of the grammar that should be removed",
    )


def format_not_mentioned(name: str, span: Span, choices: Sequence[str]) -> Diagnostic:
    """A hole whose prompt does not say what it should look like."""
    shown = ", ".join(f"`{choice}`" for choice in choices[:_SHOWN]) + (", ..." if len(choices) > _SHOWN else "")
    return diagnostic(
        "W0611",
        f"the prompt does not say what `{name}` should look like",
        span,
        f"one of {shown}" if choices else "nothing before it names this kind of text",
        help="name the format in the prompt: the model then wants to write what it has to write",
    )
