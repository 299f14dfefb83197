"""What is inside the quotes: escapes, the dedent of blocks, and where {{ }} and [[ ]] begin and end.

Everything is measured in offsets of the file, so spans of nodes inside a prompt point at the very
characters. A piece of given text may span lines of a block; insertions and holes stay on one line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

_HOLE = re.compile(r"\[\[[ \t]*[^\W\d]\w*[ \t]*(?:\[[ \t]*\][ \t]*)?:(?!:)")
_LONE_NAME = re.compile(r"\[\[[^\W\d]\w*(?:\[\])?\]\]")
_PLAIN = re.compile(r'"(?:\\.|[^"\\\n])*"')
_REGEX = re.compile(r"/(?:\[\^?\]?(?:\\.|[^\]\\\n])*\]|\\.|[^/\\\n\[])+/")
_LEADING = re.compile(r"[ \t]*")

_SIMPLE_ESCAPES = {
    "n": "\n",
    "t": "\t",
    "r": "\r",
    "0": "\0",
    "\\": "\\",
    '"': '"',
    "'": "'",
    "{": "{",
    "}": "}",
    "[": "[",
    "]": "]",
}
_CODE_POINT = re.compile(r"x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|u\{([0-9a-fA-F]{1,6})\}")

Flaw = Literal["escape", "unclosed insert", "unclosed hole", "lone name"]


@dataclass(frozen=True)
class Piece:
    """A part of a text. `start` and `end` cover it in the file, with its brackets.

    For an insertion or a hole `inner` are the offsets of what stands between the brackets. A flaw says
    what is wrong with the characters at `start` to `end`; flawed pieces are of kind "flaw".
    """

    kind: Literal["given", "insert", "hole", "flaw"]
    start: int
    end: int
    text: str = ""
    inner: tuple[int, int] = (0, 0)
    flaw: Flaw | None = None


@dataclass(frozen=True)
class Quoted:
    """A string of the file, opened up: the ranges of the file that are its content, in order."""

    ranges: tuple[tuple[int, int], ...]
    is_raw: bool
    is_block: bool


def open_quotes(text: str, start: int, end: int) -> Quoted:
    """Take the quotes off text[start:end]; a block is dedented, line by line."""
    is_raw = text[start] == "r"
    first = start + is_raw
    is_block = text.startswith('"""', first) and end - first >= 6
    if not is_block:
        return Quoted(((first + 1, end - 1),), is_raw, False)
    return Quoted(tuple(_dedented(text, first + 3, end - 3)), is_raw, True)


def plain_pieces(text: str, quoted: Quoted) -> Iterator[Piece]:
    """A text without insertions: given pieces and flawed escapes."""
    return _Scanner(text, quoted, is_template=False).pieces()


def template_pieces(text: str, quoted: Quoted, *, flag_lone_names: bool) -> Iterator[Piece]:
    """A text of a turn: given text, insertions, holes, flaws.

    `flag_lone_names`: `[[name]]` is a flaw here (a hole without a grammar), not ordinary text.
    """
    return _Scanner(text, quoted, is_template=True, flag_lone_names=flag_lone_names).pieces()


def _dedented(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Ranges of a block's lines without their indentation, first and last newline dropped."""
    lines = list(_lines(text, start, end))
    first_line = text[slice(*lines[0])]
    closing_line = text[slice(*lines[-1])]
    opens_alone = len(lines) > 1 and not first_line.strip()
    closes_alone = len(lines) > 1 and not closing_line.strip(" \t")
    indented = lines[1:-1] if closes_alone else lines[1:]
    leading = (_leading(text, *line) for line in indented if text[slice(*line)].strip())
    width = len(closing_line) if closes_alone else min(leading, default=0)
    content = [] if opens_alone else [lines[0]]
    content += [(first + min(width, _leading(text, first, last)), last) for first, last in indented]
    if content and closes_alone:
        first, last = content[-1]
        content[-1] = first, max(first, last - len(_line_ending(text, first, last)))
    yield from content


def _lines(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    while True:
        newline = text.find("\n", start, end)
        if newline < 0:
            yield start, end
            return
        yield start, newline + 1
        start = newline + 1


def _leading(text: str, start: int, end: int) -> int:
    match = _LEADING.match(text, start, end)
    return match.end() - start if match else 0


def _line_ending(text: str, start: int, end: int) -> str:
    line = text[start:end]
    return line[len(line.rstrip("\r\n")) :]


class _Scanner:
    """One pass over the content of a string."""

    def __init__(self, text: str, quoted: Quoted, is_template: bool, flag_lone_names: bool = False) -> None:
        self.text = text
        self.quoted = quoted
        self.is_template = is_template and not quoted.is_raw
        self.flag_lone_names = flag_lone_names
        self.given: list[str] = []
        self.given_start = self.given_end = 0

    def pieces(self) -> Iterator[Piece]:
        for start, end in self.quoted.ranges:
            position = start
            while position < end:
                piece = self._at(position, end)
                if piece.kind == "given":
                    self._add(piece)
                else:
                    yield from self._flush()
                    yield piece
                position = piece.end
        yield from self._flush()

    def _add(self, piece: Piece) -> None:
        if not self.given:
            self.given_start = piece.start
        self.given.append(piece.text)
        self.given_end = piece.end

    def _flush(self) -> Iterator[Piece]:
        if self.given:
            yield Piece("given", self.given_start, self.given_end, "".join(self.given))
            self.given = []

    def _at(self, position: int, end: int) -> Piece:
        """The piece that begins here; runs of ordinary characters are one."""
        text = self.text
        if text.startswith("\r\n", position):
            return Piece("given", position, position + 2, "\n")
        if text[position] == "\\" and not self.quoted.is_raw:
            return self._escape(position, end)
        if self.is_template and text.startswith("{{", position, end):
            return self._insert(position, end)
        if self.is_template and text.startswith("[[", position, end):
            return self._hole(position, end)
        stop = position + 1
        while stop < end and text[stop] not in "\\\r{[":
            stop += 1
        return Piece("given", position, stop, text[position:stop])

    def _escape(self, position: int, end: int) -> Piece:
        char = self.text[position + 1 : position + 2]
        if char in _SIMPLE_ESCAPES and char:
            return Piece("given", position, position + 2, _SIMPLE_ESCAPES[char])
        match = _CODE_POINT.match(self.text, position + 1, end)
        if match:
            code = int(next(group for group in match.groups() if group is not None), 16)
            if code < 0x110000 and not 0xD800 <= code < 0xE000:
                return Piece("given", position, match.end(), chr(code))
            return Piece("flaw", position, match.end(), flaw="escape")
        return Piece("flaw", position, min(position + 2, end), flaw="escape")

    def _insert(self, position: int, end: int) -> Piece:
        closer = self._closer(position + 2, end, "{", "}")
        if closer is not None:
            return Piece("insert", position, closer + 2, inner=(position + 2, closer))
        brace = self.text.find("}", position, self._line_end(position, end))
        return Piece("flaw", position, brace + 1 if brace >= 0 else position + 2, flaw="unclosed insert")

    def _hole(self, position: int, end: int) -> Piece:
        opener = _HOLE.match(self.text, position, end)
        if opener is None:
            return self._brackets(position, end)
        closer = self._closer(opener.end(), end, "[", "]")
        if closer is not None:
            return Piece("hole", position, closer + 2, inner=(position + 2, closer))
        return Piece("flaw", position, self._line_end(position, end), flaw="unclosed hole")

    def _brackets(self, position: int, end: int) -> Piece:
        """`[[` that opens no hole: text, unless it is exactly `[[name]]` and no part of code."""
        lone = _LONE_NAME.match(self.text, position, end) if self.flag_lone_names else None
        before = self.text[position - 1]
        after = self.text[lone.end()] if lone and lone.end() < end else ""
        if lone and not (before.isalnum() or before in "_([,=]" or after in tuple(")],")):
            return Piece("flaw", position, lone.end(), flaw="lone name")
        return Piece("given", position, position + 2, "[[")

    def _closer(self, position: int, end: int, opening: str, closing: str) -> int | None:
        """Offset of the doubled closer on this line, past strings, regular expressions and nested pairs."""
        end = self._line_end(position, end)
        depth = 0
        while position < end:
            char = self.text[position]
            literal = _PLAIN.match(self.text, position, end) if char == '"' else None
            if char == "/" and closing == "]":
                literal = _REGEX.match(self.text, position, end)
            if literal is not None:
                position = literal.end()
                continue
            if char == opening:
                depth += 1
            elif char == closing and depth:
                depth -= 1
            elif self.text.startswith(closing * 2, position, end):
                return position
            position += 1
        return None

    def _line_end(self, position: int, end: int) -> int:
        newline = self.text.find("\n", position, end)
        return newline if newline >= 0 else end
