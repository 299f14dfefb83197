"""Pages about codes and methods: where they are, and how a page is drawn on a terminal.

A page is Markdown of a small kind: headings, paragraphs, lists, fenced blocks, tables (printed as they
stand), `code`, **strong** and links. A checkout has the pages in docs/, a wheel inside this package.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

ERRORS, METHODS = "errors", "methods"

PLAIN_WIDTH = 88
"""Columns where there is no terminal."""

_LEAST_WIDTH, _MOST_WIDTH = 20, 100
_COLORS = {"heading": "\x1b[1m", "title": "\x1b[1;36m", "code": "\x1b[36m", "block": "\x1b[2m", "strong": "\x1b[1m"}
_RESET = "\x1b[0m"
_SPANS = re.compile(r"`(?P<code>[^`]+)`|\*\*(?P<strong>[^*]+)\*\*")
_LINK = re.compile(r"\[([^\]]+)\]\([^)]*\)")
_MARKS = {"code": ("\x02", "\x03"), "strong": ("\x04", "\x05")}
_KEPT_BLANK = "\x06"


@cache
def names(kind: str) -> tuple[str, ...]:
    """The names of all pages of a kind (`errors`, `methods`), sorted."""
    found = (entry.name for entry in _folder(kind).iterdir())
    return tuple(sorted(name.removesuffix(".md") for name in found if name.endswith(".md") and name != "index.md"))


def page(kind: str, name: str) -> str | None:
    """The text of a page, or None."""
    if name not in names(kind):
        return None
    return (_folder(kind) / f"{name}.md").read_text(encoding="utf-8")


def location(code: str) -> str | None:
    """Where the page about a code is in the documentation, or None without one."""
    return f"docs/{ERRORS}/{code}.md" if code in names(ERRORS) else None


def headline(text: str) -> str:
    """The first heading of a page, without its mark."""
    return text.partition("\n")[0].removeprefix("# ")


def _folder(kind: str) -> Traversable:
    return files("smcdsl.docs") / kind


def drawn(text: str, *, color: bool = False, width: int | None = None) -> str:
    """A page as a terminal shows it, ending in a newline.

    Paragraphs are filled to `width` columns (`PLAIN_WIDTH` if None); blocks keep their lines.
    """
    columns = max(_LEAST_WIDTH, min(width or PLAIN_WIDTH, _MOST_WIDTH))
    lines: list[str] = []
    for block in _blocks(text):
        lines += ["", *_drawn_block(block, color, columns)]
    return "\n".join(lines[1:]) + "\n"


def _blocks(text: str) -> Iterator[list[str]]:
    """Lines that belong together: a fenced block whole, else what stands between empty lines."""
    block: list[str] = []
    fence = ""
    for line in text.split("\n"):
        block.append(line)
        if fence:
            if line == fence:
                yield block
                block, fence = [], ""
        elif line.startswith("```"):
            if block[:-1]:
                yield block[:-1]
            block, fence = [line], re.match("`+", line)[0]  # type: ignore[index]
        elif not line.strip():
            if block[:-1]:
                yield block[:-1]
            block = []
    if any(block):
        yield block


def _drawn_block(block: list[str], color: bool, columns: int) -> list[str]:
    first = block[0]
    if first.startswith("```"):
        return _fenced(block, color)
    if first.startswith("#"):
        return [_paint("heading", _plain(line.lstrip("# ")), color) for line in _filled([first.lstrip("# ")], columns)]
    if first.startswith("|"):
        return [f"  {_plain(line)}" for line in block if not re.fullmatch(r"[|:\- ]+", line)]
    if first.startswith("- "):
        items = re.split(r"\n(?=- )", "\n".join(block))
        return [line for item in items for line in _filled(["  " + item], columns, "    ", color)]
    return _filled(block, columns, "", color)


def _fenced(block: list[str], color: bool) -> list[str]:
    title = re.search(r'title="([^"]*)"', block[0])
    lines = [f"  {_paint('title', title[1] + ':', color)}"] if title else []
    return lines + [("    " + line).rstrip() for line in block[1:-1]]


def _filled(lines: list[str], columns: int, hanging: str = "", color: bool = False) -> list[str]:
    """Lines as one paragraph; a `code` span that fits a line is not broken, so that it can be copied."""
    text = " ".join(line.strip() if index else line for index, line in enumerate(lines))
    marked = _SPANS.sub(lambda match: _marked(match, columns), _LINK.sub(r"\1", text))
    wrapped = textwrap.wrap(marked, columns, subsequent_indent=hanging, break_long_words=False, break_on_hyphens=False)
    return [_unmarked(line, color) for line in wrapped]


def _marked(match: re.Match[str], columns: int) -> str:
    kind = match.lastgroup or "code"
    opening, closing = _MARKS[kind]
    keep = kind == "code" and len(match[kind]) + 8 <= columns
    inside = match[kind].replace(" ", _KEPT_BLANK) if keep else match[kind]
    return f"{opening}{inside}{closing}"


def _unmarked(line: str, color: bool) -> str:
    for kind, (opening, closing) in _MARKS.items():
        quote = "`" if kind == "code" and not color else ""
        line = line.replace(opening, (_COLORS[kind] if color else "") + quote)
        line = line.replace(closing, quote + (_RESET if color else ""))
    return line.replace(_KEPT_BLANK, " ")


def _plain(text: str) -> str:
    return _SPANS.sub(lambda match: match[match.lastgroup or 0], _LINK.sub(r"\1", text))


def _paint(style: str, text: str, color: bool) -> str:
    return f"{_COLORS[style]}{text}{_RESET}" if color and text else text
