"""The whole statements of an unfinished program, and whether a text is one: read, never run.

A text that ends where a statement of Python's grammar ends is cut so that what is left stays as it is whatever
follows. A last compound statement is cut off: another line of its block, or an `else`, may come.
"""

from __future__ import annotations

import ast
import re
import warnings

MOST_CHARACTERS = 100_000
"""Of a program. Longer ones are none."""

_COMPOUND = (
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.ClassDef,
    ast.If,
    ast.For,
    ast.AsyncFor,
    ast.While,
    ast.With,
    ast.AsyncWith,
    ast.Try,
    ast.TryStar,
    ast.Match,
)
_GOES_ON = re.compile(r"(?:else|elif|except|finally|case)\b|[)\]}#]")
_MOST_TRIES = 8
"""A line in column 0 may stand inside a string; then the cut is higher up."""


def whole_statements(text: str) -> str:
    """The longest beginning of `text` that is certain to stay, in whole statements; may be empty.

    `text` ends where a statement, block or expression ends; a simple statement at the very end counts as whole.
    """
    if len(text) > MOST_CHARACTERS:
        return ""
    tree = parsed(text)
    if tree is not None:
        if not tree.body or not isinstance(tree.body[-1], _COMPOUND):
            return text
        return text[: _offset(text, tree.body[-1])]
    starts = [match.start() for match in re.finditer(r"^[^\s]", text, re.MULTILINE)]
    candidates = [start for start in reversed(starts) if not _GOES_ON.match(text, start)]
    for start in candidates[:_MOST_TRIES]:
        if parsed(text[:start]) is not None:
            return text[:start]
    return ""


def _offset(text: str, statement: ast.stmt) -> int:
    """Where the line begins that the statement, with its decorators, begins in; or the statement after a `;`."""
    line = min([statement.lineno, *(item.lineno for item in getattr(statement, "decorator_list", []))])
    # Lines as the parser counts them: not at form feeds and such, as str.splitlines would.
    ends = [match.end() for match in re.finditer(r"\r\n|\r|\n", text)]
    return ends[line - 2] if line > 1 else 0


def parsed(text: str) -> ast.Module | None:
    """The syntax tree, or None if `text` is no program."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(text)
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            return None


def mistake(text: str) -> str | None:
    """Why `text` does not compile; None if it does."""
    if len(text) > MOST_CHARACTERS:
        return f"it is longer than {MOST_CHARACTERS:,} characters"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            compile(text, "<code>", "exec", dont_inherit=True)
        except SyntaxError as error:
            return f"{error.msg} (line {error.lineno})"
        except (ValueError, MemoryError, RecursionError) as error:
            return str(error) or "it is nested too deeply"
    return None
