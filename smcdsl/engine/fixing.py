"""Apply the edits that diagnostics offer, as far as that is safe: `check --fix` and the editor.

A fix is kept only if in the end the text has no error that was not there before, and fewer mistakes: what a
fix brings to light, such as a second mistake of the same line, must have fixes of its own. So fixing ends,
never makes a program worse, and does nothing to a text that it has made.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from smcdsl.errors import Diagnostic, Edit, Source

MOST_HIDDEN = 8
"""So many rounds of mistakes that hid behind each other are mended before a fix is given up."""

Check = Callable[[Source], Sequence[Diagnostic]]
"""All that there is to say about a text."""


@dataclass(frozen=True)
class Fixed:
    """A text after fixing: it, what was fixed in order, and what is left to say about it."""

    source: Source
    applied: tuple[Diagnostic, ...]
    remaining: tuple[Diagnostic, ...]


def fixed(source: Source, check: Check) -> Fixed:
    """`source` with every fix applied that is safe; its diagnostics' other edits are left to the reader.

    All fixes that do not overlap are tried together first, then each by itself, until none can be kept.
    Edits of other files, such as imported modules, are not made.
    """
    applied: list[Diagnostic] = []
    remaining = check(source)
    while True:
        step = _step(source, remaining, check)
        if step is None:
            return Fixed(source, tuple(applied), tuple(remaining))
        source, done, remaining = step
        applied += done


def apply(source: Source, edits: Sequence[Edit]) -> Source:
    """The text after edits of it that do not overlap."""
    text, position = [], 0
    for edit in sorted(edits, key=_place):
        text += [source.text[position : edit.span.start], edit.text]
        position = edit.span.end
    return Source(source.name, "".join(text) + source.text[position:])


def together(source: Source, diagnostics: Sequence[Diagnostic]) -> list[Diagnostic]:
    """The diagnostics whose edits are all in `source` and overlap with none of an earlier one's."""
    chosen: list[Diagnostic] = []
    edits: list[Edit] = []
    offering = [each for each in diagnostics if each.fixes and all(edit.span.source == source for edit in each.fixes)]
    for diagnostic in sorted(offering, key=lambda each: min(map(_place, each.fixes))):
        if _are_apart([*edits, *diagnostic.fixes]):
            chosen.append(diagnostic)
            edits += diagnostic.fixes
    return chosen


def _step(
    source: Source, found: Sequence[Diagnostic], check: Check
) -> tuple[Source, list[Diagnostic], Sequence[Diagnostic]] | None:
    """The text after one round of fixes, those made, and what is said then; None if none can be kept."""
    candidates = together(source, found)
    alone = [[diagnostic] for diagnostic in found if together(source, [diagnostic])]
    for chosen in ([candidates] if len(candidates) > 1 else []) + alone:
        step = _followed(source, found, chosen, check)
        if step is not None:
            return step
    return None


def _followed(
    source: Source, found: Sequence[Diagnostic], chosen: list[Diagnostic], check: Check
) -> tuple[Source, list[Diagnostic], Sequence[Diagnostic]] | None:
    """As `_step`, for these fixes and those of the errors that they bring to light, such as the next of a line."""
    done: list[Diagnostic] = []
    for _ in range(MOST_HIDDEN):
        source = apply(source, [edit for diagnostic in chosen for edit in diagnostic.fixes])
        done += chosen
        after = check(source)
        if _is_better(found, after):
            return source, done, after
        new = _errors(after) - (_errors(found) - _errors(done))
        appeared = [each for each in after if each.severity == "error" and _key(each) in new]
        chosen = together(source, appeared)
        if not appeared or len(chosen) < len(appeared):
            return None
    return None


def _is_better(before: Sequence[Diagnostic], after: Sequence[Diagnostic]) -> bool:
    """Whether no error is new, and errors, or else warnings, are fewer."""
    if _errors(after) - _errors(before):
        return False
    return _counts(after) < _counts(before)


def _errors(diagnostics: Sequence[Diagnostic]) -> Counter[tuple[str, str]]:
    return Counter(map(_key, (each for each in diagnostics if each.severity == "error")))


def _key(diagnostic: Diagnostic) -> tuple[str, str]:
    return diagnostic.code, diagnostic.message


def _counts(diagnostics: Sequence[Diagnostic]) -> tuple[int, int]:
    errors = sum(each.severity == "error" for each in diagnostics)
    return errors, len(diagnostics) - errors


def _are_apart(edits: Sequence[Edit]) -> bool:
    """Whether no two edits overlap or begin at the same place."""
    ordered = sorted(edits, key=_place)
    return all(
        first.span.end <= second.span.start and first.span.start < second.span.start
        for first, second in itertools.pairwise(ordered)
    )


def _place(edit: Edit) -> tuple[int, int]:
    return edit.span.start, edit.span.end
