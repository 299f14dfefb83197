"""Source lines with marks under them: the drawing inside a diagnostic.

Labels on one line share a row of marks. The text of the rightmost stands beside its mark, the texts of
the others below it, each at its own column:

    5 | grammar short_date = iso_date where chars <= 8
      |                      --------       ^^^^^^^^^^ at most 8 characters
      |                      `iso_date` is always 10 characters long
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from smcdsl.errors import Label, Source
from smcdsl.report.visible import cells, display

SKIPPED_LINES = 4
"""More hidden lines than this between two shown ones are marked by `...`; line numbers tell the rest."""

_MARGIN = 12


@dataclass(frozen=True)
class Mark:
    """A label on a drawn line: columns from 0, in terminal cells."""

    start: int
    end: int
    text: str
    primary: bool


@dataclass(frozen=True)
class Row:
    """A line of the drawing: a line number or nothing, the separator, and painted pieces (style, text)."""

    number: int | None
    separator: str
    pieces: tuple[tuple[str, str], ...]


def source_rows(source: Source, labels: Sequence[Label], width: int | None) -> list[Row]:
    """Rows for labels of one source, lines in the order in which the labels first name them.

    `width` cuts long lines to a window around their marks; None never cuts.
    """
    by_line: dict[int, list[Label]] = {}
    for label in labels:
        by_line.setdefault(source.position(label.span.start)[0], []).append(label)
    rows: list[Row] = []
    previous: int | None = None
    for number, here in by_line.items():
        if previous is not None and number > previous + 1 + SKIPPED_LINES:
            rows.append(Row(None, "...", ()))
        rows.extend(_line_rows(source, number, here, width))
        previous = number
    return rows


def _line_rows(source: Source, number: int, labels: Sequence[Label], width: int | None) -> list[Row]:
    line = source.line(number)
    columns = [0]
    for char in line:
        columns.append(columns[-1] + cells(display(char)))
    shown = "".join(map(display, line))
    marks = sorted((_mark(source, number, label, columns) for label in labels), key=lambda m: (m.start, m.end))
    if width is not None and cells(shown) > width:
        shown, marks = _window(shown, marks, width)
    return [Row(number, "|", (("source", shown),)), *_mark_rows(marks)]


def _mark(source: Source, number: int, label: Label, columns: Sequence[int]) -> Mark:
    """Where a label's mark goes: to the end of its first line, one column at least."""
    line_start = source.line_starts[number - 1]
    last = len(columns) - 1
    start = min(label.span.start - line_start, last)
    end = min(label.span.end - line_start, last)
    first = columns[start]
    return Mark(first, max(columns[max(end, start)], first + 1), label.text, label.primary)


def _window(shown: str, marks: list[Mark], width: int) -> tuple[str, list[Mark]]:
    """Cut a long line to what surrounds its first mark."""
    start = max(0, min(marks[0].start - _MARGIN, cells(shown) - width))
    kept, used = [], 0
    for char in shown:
        if start <= used < start + width - 2:
            kept.append(char)
        used += cells(char)
    left, right = ("…" if start else ""), ("…" if used > start + width - 2 else "")
    shift = start - len(left)
    moved = [Mark(max(m.start - shift, 0), min(max(m.end - shift, 1), width), m.text, m.primary) for m in marks]
    return left + "".join(kept) + right, [m for m in moved if m.start < width]


def _mark_rows(marks: Sequence[Mark]) -> list[Row]:
    pieces: list[tuple[str, str]] = []
    column = 0
    for mark in marks:
        start = max(mark.start, column)
        if mark.end <= start:
            continue
        pieces.append(("", " " * (start - column)))
        pieces.append((_style(mark), ("^" if mark.primary else "-") * (mark.end - start)))
        column = mark.end
    last = marks[-1]
    beside, *more = last.text.split("\n")
    if beside:
        pieces.append((_style(last), " " + beside))
    rows = [Row(None, "|", tuple(pieces))]
    rows += [Row(None, "|", (("", " " * (column + 1)), (_style(last), text))) for text in more]
    below = [mark for mark in marks[:-1] if mark.text]
    for index in range(len(below) - 1, -1, -1):
        rows += _hanging(below[:index], below[index])
    return rows


def _hanging(pending: Sequence[Mark], mark: Mark) -> list[Row]:
    """The text of a mark below it; bars lead down to marks further left that still wait for theirs."""
    rows = []
    for text in mark.text.split("\n"):
        pieces: list[tuple[str, str]] = []
        column = 0
        for other in pending:
            if column <= other.start < mark.start:
                pieces += [("", " " * (other.start - column)), (_style(other), "|")]
                column = other.start + 1
        pieces += [("", " " * (mark.start - column)), (_style(mark), text)]
        rows.append(Row(None, "|", tuple(pieces)))
    return rows


def _style(mark: Mark) -> str:
    return "primary" if mark.primary else "secondary"
