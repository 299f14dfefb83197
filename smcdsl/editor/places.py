"""Places as editors count them: lines from 0 and UTF-16 units; and files as URIs.

The texts kept here have `\\n` at the end of every line, whatever the editor's file has. As the protocol counts
lines and columns, places are the same in both.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from functools import cached_property
from pathlib import Path, PurePath, PureWindowsPath
from urllib.parse import quote, unquote, urlsplit

from lsprotocol.types import Position, Range

from smcdsl.errors import Span

_LINE_ENDS = re.compile(r"\r\n?")
_HALVES = re.compile("[\ud800-\udfff]")
_DRIVE = re.compile(r"/?([A-Za-z])(?::|%3[Aa])(?=/|$)")


def with_newlines(text: str) -> str:
    """The text with every line ending as one newline, and half a character, which JSON can hold, as U+FFFD."""
    return _HALVES.sub("\ufffd", _LINE_ENDS.sub("\n", text))


class Lines:
    """Offsets of a text (code points) to positions of the protocol (UTF-16 units), and back."""

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def starts(self) -> list[int]:
        """Offsets at which lines begin."""
        return [0, *(match.end() for match in re.finditer("\n", self.text))]

    def position(self, offset: int) -> Position:
        """The position of an offset; one that lies outside is moved to the nearest end."""
        offset = min(max(offset, 0), len(self.text))
        line = bisect_right(self.starts, offset) - 1
        return Position(line, _units(self.text[self.starts[line] : offset]))

    def offset(self, position: Position) -> int:
        """The offset of a position; beyond a line's end it is the line's end, beyond the last line the text's.

        Between the halves of a character it is the character's start.
        """
        if position.line >= len(self.starts):
            return len(self.text)
        start = self.starts[max(position.line, 0)]
        line = self.text[start : self.line_end(start)]
        if line.isascii():
            return start + min(max(position.character, 0), len(line))
        left = position.character
        for index, char in enumerate(line):
            left -= 2 if ord(char) > 0xFFFF else 1
            if left < 0:
                return start + index
        return start + len(line)

    def range(self, start: int, end: int) -> Range:
        """The range of two offsets."""
        return Range(self.position(start), self.position(end))

    def range_of(self, span: Span) -> Range:
        """The range of a span of this text."""
        return self.range(span.start, span.end)

    def line_start(self, offset: int) -> int:
        """Where the line of an offset begins."""
        return self.text.rfind("\n", 0, offset) + 1

    def line_end(self, offset: int) -> int:
        """Where the line of an offset ends, before its newline."""
        end = self.text.find("\n", offset)
        return len(self.text) if end < 0 else end

    @property
    def whole(self) -> Range:
        """All of it."""
        return self.range(0, len(self.text))


def _units(text: str) -> int:
    return len(text) if text.isascii() else len(text) + sum(char > "\uffff" for char in text)


def path_of(uri: str, *, windows: bool | None = None) -> Path | None:
    """The file that a `file:` URI names, percent escapes decoded; None for any other scheme.

    Drives (`file:///c%3A/x`) and shares (`file://server/share`) are read as on Windows where this is Windows.

    Args:
        windows: which rules to follow; None for this machine's.
    """
    named = name_of(uri, windows=windows)
    return None if named is None else Path(named)


def name_of(uri: str, *, windows: bool | None = None) -> str | None:
    """As `path_of`, as a text in the system's notation."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return None
    if parts.scheme != "file":
        return None
    # `urlsplit` cuts at `?` and `#`, which no correct URI of a file leaves bare; some editors do.
    path = unquote(
        parts.path + (f"?{parts.query}" if parts.query else "") + (f"#{parts.fragment}" if parts.fragment else "")
    )
    if "\0" in path:
        return None
    is_windows = Path is not None and (type(Path()).__name__ == "WindowsPath" if windows is None else windows)
    if not is_windows:
        return path or None
    host = unquote(parts.netloc)
    if host and host != "localhost":
        return str(PureWindowsPath(f"//{host}{path}"))
    drive = _DRIVE.match(path)
    return str(PureWindowsPath(f"{drive[1]}:{path[drive.end() :]}" if drive else path))


def uri_of(path: PurePath) -> str:
    """The `file:` URI of an absolute path, as editors write it."""
    written = path.as_posix()
    if written.startswith("//"):
        host, _, rest = written[2:].partition("/")
        return f"file://{quote(host)}/{quote(rest)}"
    drive = re.match(r"([A-Za-z]):/", written)
    if drive is not None:
        return f"file:///{drive[1]}:{quote(written[2:])}"
    return f"file://{quote(written)}"
