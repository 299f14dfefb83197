"""Lexical pieces of a text, and where a scanner stands between them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Kind = Literal[
    "comment", "keyword", "role", "operator_word", "constant", "unit", "name", "number", "string", "text", "escape",
    "regex", "hole", "insert", "operator", "mark", "odd",
]  # fmt: skip
"""`string` is a plain text with its quotes, `text` a stretch of a prompt; `hole` and `insert` are the brackets
`[[ ]]` and `{{ }}`; `odd` is what begins no token."""

Mode = Literal["file", "grammar", "expression"]
Brace = Literal["block", "rules", "settings", "test", "record"]


@dataclass(frozen=True)
class Piece:
    """A lexical piece: characters `start` up to `end`. `inside` says what prompt bracket it stands in."""

    kind: Kind
    start: int
    end: int
    inside: Literal["", "hole", "insert"] = ""


@dataclass
class State:
    """Where the scanner stands after the last piece: what a completion needs to know."""

    keyword: str = ""
    """First word of the statement."""
    statement: int = 0
    """Where the statement begins."""
    braces: list[tuple[Brace, str]] = field(default_factory=list)
    """Open `{`, with the first word of the statement that each belongs to."""
    brackets: list[tuple[str, int, bool]] = field(default_factory=list)
    """Open ( and [: the mark, its offset, and whether it is a call's."""
    inside: Literal["", "hole", "insert"] = ""
    opened: int = 0
    """Where that hole or insertion was opened."""
    unclosed: Literal["", "string", "text", "comment", "regex"] = ""
    """What the text ends in the middle of."""
    unclosed_start: int = 0
