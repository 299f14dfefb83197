"""What went wrong at a token, how to go on after it, and whether that would work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lark import Token

from smcdsl.errors import Diagnostic
from smcdsl.language import mistakes_syntax as mistakes
from smcdsl.language.layout import NEWLINE, skip_blanks
from smcdsl.language.reading import END, Reader, Statement

MARKS = {
    ",": "COMMA",
    ":": "COLON",
    "=": "EQUAL",
    ")": "RPAR",
    "]": "RSQB",
    "}": "RBRACE",
    "{": "LBRACE",
    "(": "LPAR",
    "->": "ARROW",
    "in": "IN",
    "as": "AS",
    "else": "ELSE",
}
"""Marks that may have been forgotten, in the order in which they are tried."""

TEXTS = frozenset({"TEXT", "STRING", "BLOCK"})
"""Terminals of quoted texts."""


@dataclass(frozen=True)
class Repair:
    """How to go on after a mistake. Without anything else, the failing token is tried again."""

    diagnostic: Diagnostic | None
    undo: int = 0
    """Tokens before the failing one that are taken back."""
    insert: tuple[tuple[str, str], ...] = ()
    """(type, text) of tokens put in; they get the place of the failing token."""
    leave_out: bool = False
    """The failing token is not read."""
    resume: int | None = None
    """Where lexing goes on, if not behind the failing token."""
    skip: bool = False
    """The statement is dropped."""
    dropped: Statement | None = None
    """The statement that is dropped, if not the one being read."""


@dataclass(frozen=True)
class Failure:
    """A token that does not fit, and what surrounds it."""

    reader: Reader
    token: Token
    accepts: frozenset[str]

    @property
    def start(self) -> int:
        """Offset of the token in the reader's text."""
        return self.token.start_pos or 0

    @property
    def end(self) -> int:
        """Offset behind the token."""
        return self.token.end_pos or 0

    @property
    def is_line_end(self) -> bool:
        """The line, or the text, ended too early."""
        return self.token.type in (NEWLINE, END)

    @property
    def level(self) -> str:
        """What a new statement here would be: one of a file, a block, a test, or an entry of settings."""
        for mark, level in (("IMPORT", "file"), ("REQUIRE", "block"), ("ACCEPT", "test")):
            if mark in self.accepts:
                return level
        return "entry"

    def after_previous(self) -> int:
        """Offset behind the last token that was read."""
        return (self.reader.tokens[-1].end_pos or 0) if self.reader.tokens else 0


Rule = Callable[[Failure], Repair | None]


# ---- trying a repair


def inserted(failure: Failure, repair: Repair, kind: str, text: str) -> Token:
    """A token that is put in: it covers what it stands for."""
    if repair.leave_out and not repair.undo:
        end = failure.end if repair.resume is None else repair.resume
        return Token(kind, text, start_pos=failure.start, end_pos=end)
    place = failure.after_previous()
    return Token(kind, text, start_pos=place, end_pos=place)


def survives(failure: Failure, repair: Repair) -> bool:
    """Whether the rest of the line fits after the repair."""
    trial = failure.reader.trial()
    if repair.undo:
        trial.undo(repair.undo)
    if repair.resume is not None:
        trial.move(repair.resume)
    fits = all(trial.feed(inserted(failure, repair, *mark)) for mark in repair.insert)
    if fits and not repair.leave_out:
        fits = failure.token.type == END or trial.feed(failure.token)
        if failure.is_line_end:
            opens_block = repair.insert[-1:] == (("LBRACE", "{"),)
            return fits and (not opens_block or (_is_followed_by_block(failure) and trial.starts_statement()))
    return fits and trial.reaches_line_end()


def _is_followed_by_block(failure: Failure) -> bool:
    """Whether the next line is indented as if it stood in a block of this one."""
    reader = failure.reader
    following = skip_blanks(reader.text, failure.start)
    return following < len(reader.text) and reader.indent(following) > reader.indent(reader.statement.start)


def or_skip(failure: Failure, repair: Repair) -> Repair:
    """The repair if it works, else the same message and no statement."""
    return repair if survives(failure, repair) else Repair(repair.diagnostic, skip=True)


# ---- what a token is to the reader


def line_name(failure: Failure) -> str:
    """What is being read, in the reader's terms."""
    reader = failure.reader
    if reader.start != "file":
        return "this hole" if reader.start == "hole" else "this insertion"
    word = reader.statement.keyword
    return f"this `{word}`" if word.isalpha() and not reader.fresh else "this line"


def unexpected(failure: Failure) -> Diagnostic:
    """The message for a token that fits nowhere."""
    return mistakes.unexpected(failure.reader.token_span(failure.token), name_of(failure), expected(failure))


def name_of(failure: Failure) -> str:
    """The failing token in the reader's terms."""
    text = str(failure.token)
    if failure.token.type in TEXTS:
        return "this text"
    if failure.token.type == "REGEX":
        return "this regular expression"
    return f"`{text if len(text) <= 30 else text[:27] + '...'}`"


def expected(failure: Failure) -> str:
    """What would fit, in the reader's terms; the likeliest few."""
    accepts = failure.accepts
    options: list[str] = []
    if {"INT", "NOT"} <= accepts or {"INT", "MINUS", "LPAR"} <= accepts:
        options.append("a value")
    elif {"REGEX", "LPAR"} <= accepts and "REPEAT" not in accepts:
        options.append("a grammar")
    elif ("TEXT" in accepts and "REQUIRE" not in accepts) or ("STRING" in accepts and "REPEAT" not in accepts):
        options.append("a text")
    elif "NAME" in accepts and "REPEAT" not in accepts:
        options.append("a name")
    if "CARET" in accepts or "OR" in accepts:
        options.append("an operator")
    options += [f"`{mark}`" for mark, kind in MARKS.items() if kind in accepts and kind not in _UNTOLD][:2]
    if NEWLINE in accepts and not failure.is_line_end:
        options.append("the end of the line")
    if END in accepts:
        options.append({"hole": "`]]`", "insert": "`}}`"}.get(failure.reader.start, "the end of the file"))
    return f"expected {mistakes.join(options[:3])}" if options else ""


_UNTOLD = frozenset({"LPAR", "IN"})
