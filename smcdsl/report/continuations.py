"""Where a text leaves a grammar and what was possible there, as lines to print."""

from __future__ import annotations

from collections.abc import Sequence

from smcdsl.errors import Label, Source, Span
from smcdsl.report.frames import source_rows
from smcdsl.report.visible import escape, shorten

_ASCII = 0x80
_LONGEST = 60
_RANGE = 3
"""So many bytes in a row are written as a range."""


def continuations(texts: Sequence[bytes], singles: Sequence[int], may_end: bool) -> list[str]:
    """Each way to go on: quoted texts, one class of the bytes that force nothing, `the end`."""
    lines = [f'"{_quoted(text)}"' for text in sorted(texts)]
    ascii_bytes = [byte for byte in singles if byte < _ASCII]
    if len(ascii_bytes) == 1:
        lines.append(f'"{_quoted(bytes(ascii_bytes))}"')
    elif ascii_bytes:
        lines.append(f"[{_ranges(ascii_bytes)}]")
    if len(ascii_bytes) < len(singles):
        lines.append("characters beyond ASCII")
    return [*lines, "the end"] if may_end else lines


def listed(ways: Sequence[str]) -> str:
    """`a, b or c`."""
    return ways[0] if len(ways) == 1 else f"{', '.join(ways[:-1])} or {ways[-1]}" if ways else "nothing"


def place_of_byte(source: Source, text: bytes, read: int) -> tuple[int, str]:
    """(offset in characters, `byte 23 (line 1, column 24)`) of the first byte that could not be read."""
    offset = len(text[:read].decode("utf-8", errors="ignore"))
    line, column = source.position(offset)
    return offset, f"byte {read} (line {line}, column {column})"


def marked(text: str, offset: int, label: str, width: int | None) -> list[str]:
    """The line of a text with a mark at a character."""
    source = Source("text", text)
    end = min(offset + 1, len(text))
    rows = source_rows(source, [Label(Span(source, offset, end), label, primary=True)], width)
    gutter = max(len(str(row.number or "")) for row in rows)
    drawn = []
    for row in rows:
        pieces = "".join(escape(piece) for _, piece in row.pieces)
        drawn.append(f"{'' if row.number is None else row.number:>{gutter}} {row.separator} {pieces}".rstrip())
    return drawn


def _quoted(text: bytes) -> str:
    # Forced text may stop within a character.
    return shorten(escape(text.decode("utf-8", errors="replace")).replace('"', '\\"'), _LONGEST)


def _ranges(ordered: Sequence[int]) -> str:
    runs: list[list[int]] = []
    for byte in sorted(ordered):
        if runs and byte == runs[-1][1] + 1 and _kind(byte) == _kind(runs[-1][0]):
            runs[-1][1] = byte
        else:
            runs.append([byte, byte])
    return "".join(
        f"{_shown(first)}-{_shown(last)}"
        if last - first + 1 >= _RANGE
        else "".join(_shown(byte) for byte in range(first, last + 1))
        for first, last in runs
    )


def _kind(byte: int) -> str:
    """Ranges do not run from digits into punctuation: `[!-~]` says nothing to a reader."""
    char = chr(byte)
    if char.isalnum():
        return "digit" if char.isdigit() else "upper" if char.isupper() else "lower"
    return "control" if byte < ord(" ") else "other"


def _shown(byte: int) -> str:
    return f"\\{chr(byte)}" if chr(byte) in "]\\-^" else escape(chr(byte))
