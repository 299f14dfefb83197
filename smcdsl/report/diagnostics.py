"""Diagnostics as text, one line, or JSON.

The layout is that of the language reference, 3.2: headline, place, source lines with marks, ` = ` facts,
notes, and the help with the lines as its edits would leave them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from smcdsl.errors import Diagnostic, Edit, Label, Source, Span
from smcdsl.report.frames import Row, source_rows
from smcdsl.report.pages import location
from smcdsl.report.visible import display, escape

_COLORS = {
    "error": "\x1b[1;31m",
    "warning": "\x1b[1;33m",
    "headline": "\x1b[1m",
    "gutter": "\x1b[1;34m",
    "secondary": "\x1b[1;34m",
    "help": "\x1b[1;36m",
    "note": "\x1b[1;32m",
    "added": "\x1b[32m",
}
_RESET = "\x1b[0m"


def render(diagnostics: Iterable[Diagnostic], *, color: bool = False, width: int | None = None) -> str:
    """Frames of several diagnostics, a blank line between them; ends in a newline unless there are none."""
    frames = [render_one(diagnostic, color=color, width=width) for diagnostic in diagnostics]
    return "\n\n".join(frames) + "\n" if frames else ""


def render_one(diagnostic: Diagnostic, *, color: bool = False, width: int | None = None) -> str:
    """One frame, without a final newline.

    `width` is that of the terminal: longer source lines are cut to what surrounds their marks.
    """
    return _Frame(diagnostic, color, width).draw()


def concise(diagnostic: Diagnostic) -> str:
    """`file:line:column: error[CODE]: message`."""
    span = diagnostic.primary
    place = _place(span) if span is not None else diagnostic.context.split("\n")[0]
    headline = f"{diagnostic.severity}[{diagnostic.code}]: {escape(diagnostic.message)}"
    return f"{escape(place)}: {headline}" if place else headline


def record(diagnostic: Diagnostic) -> dict[str, Any]:
    """The diagnostic as JSON values (language reference, 3.1)."""
    return {
        "code": diagnostic.code,
        "severity": diagnostic.severity,
        "message": diagnostic.message,
        "spans": [_span_record(label.span) | _label_record(label) for label in diagnostic.labels],
        "context": diagnostic.context or None,
        "facts": list(diagnostic.facts),
        "notes": list(diagnostic.notes),
        "help": diagnostic.help or None,
        "fixes": [{"edits": [_span_record(edit.span) | {"text": edit.text} for edit in diagnostic.fixes]}]
        if diagnostic.fixes
        else [],
        "url": location(diagnostic.code),
    }


def summary(diagnostics: Sequence[Diagnostic]) -> str:
    """`2 errors, 1 warning`; empty without any."""
    counts = [(sum(d.severity == kind for d in diagnostics), kind) for kind in ("error", "warning")]
    return ", ".join(f"{count} {kind}{'s' if count > 1 else ''}" for count, kind in counts if count)


def _place(span: Span) -> str:
    line, column = span.source.position(span.start)
    return f"{span.source.name}:{line}:{column}"


def _span_record(span: Span) -> dict[str, Any]:
    return {
        "file": span.source.name,
        "start": _position_record(span.source, span.start),
        "end": _position_record(span.source, span.end),
    }


def _position_record(source: Source, offset: int) -> dict[str, int]:
    line, column = source.position(offset)
    return {"line": line, "column": column, "offset": offset}


def _label_record(label: Label) -> dict[str, Any]:
    return {"label": label.text, "primary": label.primary}


class _Frame:
    """The state of one drawing: the width of its gutter, and how to paint."""

    def __init__(self, diagnostic: Diagnostic, color: bool, width: int | None) -> None:
        self.diagnostic = diagnostic
        self.color = color
        self.edits = _edited_lines(diagnostic)
        numbers = [
            label.span.source.position(label.span.start)[0] for label in diagnostic.labels if label.span.source.text
        ]
        numbers += [number for number, _, _ in self.edits if number is not None]
        self.gutter = len(str(max(numbers, default=1)))
        self.width = None if width is None else max(width - self.gutter - 3, 20)

    def draw(self) -> str:
        """The whole frame."""
        lines = [self._headline(), *self._places()]
        lines += [self._gutter(None, "=") + " " + escape(fact) for fact in self.diagnostic.facts]
        notes = [line for note in self.diagnostic.notes for line in self._remark("note", note)]
        # What was typed is mended first; the notes then tell of what it belongs to.
        rest = (*self._help(), *notes) if self.diagnostic.context else (*notes, *self._help())
        return "\n".join(line.rstrip() for line in (*lines, *rest))

    def _headline(self) -> str:
        kind = self.diagnostic.severity
        head = self._paint(kind, f"{kind}[{self.diagnostic.code}]")
        return head + self._paint("headline", f": {escape(self.diagnostic.message)}")

    def _places(self) -> list[str]:
        lines: list[str] = []
        primary = self.diagnostic.primary
        if primary is not None:
            lines.append(self._arrow("-->", _place(primary)))
        elif self.diagnostic.context:
            where, *shown = self.diagnostic.context.split("\n")
            lines.append(self._arrow("-->", where))
            lines += [self._gutter(None, "|") + " " + escape(line) for line in shown]
        for source, labels in self._by_source(primary):
            if not source.text:  # a place that can be named but not shown
                lines += [self._arrow(":::", f"{source.name}  {label.text}") for label in labels]
                continue
            if primary is None or source != primary.source:
                line, _ = source.position(labels[0].span.start)
                lines.append(self._arrow(":::", f"{source.name}:{line}"))
            lines += [self._row(row) for row in source_rows(source, labels, self.width)]
        return lines

    def _by_source(self, primary: Span | None) -> list[tuple[Source, list[Label]]]:
        """Labels by file, the primary label's first."""
        groups: dict[int, tuple[Source, list[Label]]] = {}
        ordered = sorted(
            self.diagnostic.labels, key=lambda label: primary is None or label.span.source != primary.source
        )
        for label in ordered:
            source = label.span.source
            groups.setdefault(hash((source.name, source.text)), (source, []))[1].append(label)
        return list(groups.values())

    def _help(self) -> list[str]:
        text, edits = self.diagnostic.help, self.edits
        if not text and len(edits) == 1:
            number, sign, line = edits[0]
            return [self._paint("help", "help") + ": " + f"{number} {sign} {line}"]
        lines = self._remark("help", text or "change it to") if text or edits else []
        return lines + [self._gutter(number, sign) + " " + line for number, sign, line in edits]

    def _remark(self, kind: str, text: str) -> list[str]:
        """`note: ...`; further lines are indented to the first, unless they are source lines (`21 | ...`)."""
        first, *more = text.split("\n")
        lines = [self._paint(kind, kind) + ": " + escape(first)]
        for line in more:
            is_source = line.lstrip().split(" ")[0].isdigit() or line.lstrip()[:2] in ("+ ", "| ")
            lines.append(escape(line) if is_source else " " * (len(kind) + 2) + escape(line))
        return lines

    def _row(self, row: Row) -> str:
        if row.separator == "...":
            return self._paint("gutter", "...")
        painted = "".join(
            self._paint(self.diagnostic.severity if style == "primary" else style, escape(text))
            for style, text in row.pieces
        )
        return self._gutter(row.number, row.separator) + " " + painted

    def _gutter(self, number: int | None, separator: str) -> str:
        return self._paint("gutter", f"{'' if number is None else number:>{self.gutter}} {separator}")

    def _arrow(self, arrow: str, place: str) -> str:
        return " " * self.gutter + self._paint("gutter", arrow) + " " + escape(place)

    def _paint(self, style: str, text: str) -> str:
        return f"{_COLORS[style]}{text}{_RESET}" if self.color and text and style in _COLORS else text


def _edited_lines(diagnostic: Diagnostic) -> list[tuple[int | None, str, str]]:
    """(line number, `|` or `+`, text) of the lines that the fixes change or add.

    Nothing where the frame already shows the change: by naming or marking it, or line by line.
    """
    if not diagnostic.fixes or "\n" in diagnostic.help or _is_spelled_out(diagnostic):
        return []
    source = diagnostic.fixes[0].span.source
    edits = sorted((edit for edit in diagnostic.fixes if edit.span.source == source), key=lambda edit: edit.span.start)
    first, _ = source.position(edits[0].span.start)
    last, _ = source.position(max(edits[-1].span.end, edits[-1].span.start))
    if len(edits) == 1 and _adds_lines(edits[0]):
        return [(first + index, "+", _shown(line)) for index, line in enumerate(edits[0].text.strip("\n").split("\n"))]
    start = source.line_starts[first - 1]
    end = source.line_starts[last - 1] + len(source.line(last))
    text, position = "", start
    for edit in edits:
        text += source.text[position : edit.span.start] + edit.text
        position = edit.span.end
    text += source.text[position:end]
    lines = [_shown(line) for line in text.rstrip("\n").split("\n")]
    extra = len(lines) - (last - first + 1)
    if extra <= 0:
        return [(first + index, "|", line) for index, line in enumerate(lines)]
    kept = len(lines) - extra
    return [(first + i, "|", line) if i < kept else (None, "+", line) for i, line in enumerate(lines)]


def _adds_lines(edit: Edit) -> bool:
    """Whether the edit only puts whole lines between others."""
    _, column = edit.span.source.position(edit.span.start)
    return edit.span.start == edit.span.end and column == 1 and edit.text.endswith("\n")


def _is_spelled_out(diagnostic: Diagnostic) -> bool:
    words = diagnostic.help + " ".join(label.text for label in diagnostic.labels)
    if any(_adds_lines(edit) for edit in diagnostic.fixes):
        return False
    marked = {label.span.text for label in diagnostic.labels if not label.primary}
    return all(
        f"`{(edit.text.strip() or edit.span.text.strip())}`" in words or edit.text in marked
        for edit in diagnostic.fixes
    )


def _shown(line: str) -> str:
    return "".join(map(display, line.removesuffix("\r")))
