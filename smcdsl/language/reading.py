"""Driving lark through one text: tokens in, a tree out, and after a mistake the next statement.

The reader knows which statement is being read and where the parser's stack was before it, so that a
broken statement can be dropped without a trace. What a mistake is, and how to go on after it, is said
by `recovery.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field
from typing import Any

from lark import Token, Tree, UnexpectedCharacters, UnexpectedToken

from smcdsl.errors import Diagnostic, Source, Span
from smcdsl.language.driving import interactive
from smcdsl.language.layout import NEWLINE, Layout

END = "$END"
ODD = "ODD"
"""The type of a token made of characters that begin no token."""


_BLOCK_OPENER = re.compile(r"[ \t]*(?:system|user|assistant|text|observe)[ \t]*r?")
_BLANK = re.compile(r"[ \t]*")


class Restart(Exception):
    """A mistake was found whose repair lies before what has been read."""


@dataclass(frozen=True)
class Statement:
    """A statement or declaration being read: where it starts, and what was there before it."""

    start: int
    depth: int
    """Length of the parser's stack of states below it."""
    num_braces: int
    keyword: str = ""
    previous_indent: int = 0
    """Indentation of the line that the statement before it begins on."""


@dataclass
class Brace:
    """An open `{`."""

    token: Token
    statement: Statement
    is_record: bool
    spans_lines: bool = False


@dataclass
class Reader:
    """One pass over source.text[base:end] from a start symbol.

    `closers` are offsets at which a missing `}` is put in, found by an earlier pass.
    """

    source: Source
    base: int
    end: int
    start: str
    closers: list[int]
    diagnostics: list[Diagnostic]
    broken: list[Span]
    result: Tree[Token] | None = None
    given_up: bool = False
    fresh: bool = True
    """No token of the next statement has been read."""
    previous: Token | None = None
    laid_out: Token | None = None
    """The last token that the layout has let through."""
    swallowed: Token | None = None
    """The last text block that ends where another one begins."""
    braces: list[Brace] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.text = self.source.text[self.base : self.end]
        # lark's interactive parser is only partly annotated.
        self.parser: Any = interactive(self.text, self.start)
        self.layout = Layout(self.text)
        self.statement = Statement(0, 1, 0)
        self.pending = sorted(self.closers)
        self.tokens: list[Token] = []

    # ---- reading

    def read(self, recover: Callable[[Reader, Token], None]) -> Tree[Token] | None:
        """Read it all; `recover(reader, token)` is called for each token that does not fit."""
        failing: Token | None = None
        while not self.given_up:
            try:
                if failing is not None:
                    token, failing = failing, None
                    recover(self, token)
                    continue
                for token in self.parser.lexer_thread.lex(self.parser.parser_state):
                    self.take(token)
                self._finish()
                break
            except UnexpectedToken as error:
                failing = error.token
            except UnexpectedCharacters as error:
                failing = self._odd_token(error.pos_in_stream or 0)
        return self.result

    def take(self, token: Token) -> None:
        """Pass a token of the lexer on; raises UnexpectedToken."""
        while self.pending and (token.start_pos or 0) >= self.pending[0]:
            self._close_block()
        self.put_in(token)

    def put_in(self, token: Token) -> None:
        """As `take`, without closing blocks first: a missing `)` stands before the missing `}`."""
        if token is self.laid_out:  # tried before
            self.feed(token)
            return
        if token.type == "BLOCK" and self._ran_on(token):
            self.swallowed = token
            raise UnexpectedToken(token, set())  # type: ignore[no-untyped-call]
        passed = self.layout.push(token)
        if passed is not None:
            self.laid_out = passed
            self.feed(passed)

    def _ran_on(self, block: Token) -> bool:
        """Whether a text block ends where another one was meant to begin: its own end is missing.

        Its closing quotes then stand behind a role, on a line no deeper than the one that opened it.
        """
        start, end = block.start_pos or 0, block.end_pos or 0
        last = self.line_start(end)
        if last <= start or self.indent(last) > self.indent(start):
            return False
        return bool(_BLOCK_OPENER.fullmatch(self.text, last, end - 3))

    def feed(self, token: Token) -> None:
        """Give the parser a token and keep account of statements and braces; raises UnexpectedToken."""
        self.parser.feed_token(token)
        if token.type == NEWLINE:
            self._end_line()
        else:
            self._begin_statement(token)
            self._track_brace(token)
            self.tokens.append(token)
        self.previous = token

    def _end_line(self) -> None:
        if self.previous is not None and self.previous.type == "LBRACE":
            self.braces[-1].spans_lines = True
        self.fresh = True

    def _begin_statement(self, token: Token) -> None:
        if not self.fresh or token.type == "RBRACE":
            return
        depth = len(self.parser.parser_state.state_stack) - 1
        indent = self.indent(self.statement.start)
        self.statement = Statement(token.start_pos or 0, depth, len(self.braces), str(token), indent)
        self.fresh = False

    def _track_brace(self, token: Token) -> None:
        if token.type == "LBRACE":
            self.braces.append(Brace(token, self.statement, self._opens_record()))
        elif token.type == "RBRACE" and self.braces:
            self.statement = self.braces.pop().statement
            self.fresh = False

    def _opens_record(self) -> bool:
        """Whether the `{` just read is that of a value: what may follow it, and who owns it, tell."""
        if "TEXT" in self.parser.choices():
            return False
        if self.statement.keyword == "potential":
            return self.previous is not None and self.previous.type not in VALUE_ENDS
        return self.statement.keyword not in ("lm", "infer", "test", "grammar")

    def _finish(self) -> None:
        end = self.tokens[-1].end_pos or 0 if self.tokens else 0
        while self.pending:
            self._close_block()
        if self.start == "file" and not self.layout.at_line_start:
            self.layout.restart_line()
            self.feed(self.virtual(NEWLINE, "\n", end))
        self.result = self.parser.feed_token(self.virtual(END, "", end))

    def _close_block(self) -> None:
        """Put in the next missing `}`, ending the line before it in a block of lines."""
        offset = self.pending[0]
        if self.braces and self.braces[-1].spans_lines and not self.fresh:
            self.feed(self.virtual(NEWLINE, "\n", offset))
        self.feed(self.virtual("RBRACE", "}", offset))
        self.pending.pop(0)
        self.layout.at_line_start = False

    def _odd_token(self, position: int) -> Token:
        """Characters that begin no token, as one; the lexer goes on behind them."""
        end = position + 1
        if self.text[position].isalnum():
            while end < len(self.text) and (self.text[end].isalnum() or self.text[end] in "_."):
                end += 1
        self.move(end)
        return Token(ODD, self.text[position:end], start_pos=position, end_pos=end)

    # ---- places

    def virtual(self, kind: str, text: str, offset: int) -> Token:
        """A token that the text does not have, at an offset."""
        return Token(kind, text, start_pos=offset, end_pos=offset)

    def span(self, start: int, end: int) -> Span:
        """A span of the file from offsets of this text."""
        return Span(self.source, self.base + start, self.base + end)

    def token_span(self, token: Token) -> Span:
        """Where a token stands."""
        return self.span(token.start_pos or 0, token.end_pos or 0)

    def line_start(self, offset: int) -> int:
        """Offset of the first character of a line."""
        return self.text.rfind("\n", 0, offset) + 1

    def indent(self, offset: int) -> int:
        """Indentation of the line that holds the offset, in characters."""
        start = self.line_start(offset)
        blank = _BLANK.match(self.text, start)
        return blank.end() - start if blank else 0

    def is_first_on_line(self, token: Token) -> bool:
        """Whether only blanks stand before the token."""
        start = token.start_pos or 0
        return not self.text[self.line_start(start) : start].strip(" \t\ufeff")

    # ---- going back and on

    def move(self, position: int) -> None:
        """Let the lexer go on at an offset of this text."""
        self.parser.lexer_thread.state.line_ctr.char_pos = position

    def current(self) -> Statement:
        """The statement being read; a new one if none of its tokens has been accepted."""
        if not self.fresh:
            return self.statement
        start = self.parser.lexer_thread.state.line_ctr.char_pos
        depth = len(self.parser.parser_state.state_stack)
        return Statement(start, depth, len(self.braces), "", self.indent(self.statement.start))

    def drop(self, statement: Statement) -> None:
        """Forget a statement that is being read."""
        state = self.parser.parser_state
        del state.state_stack[statement.depth :]
        del state.value_stack[statement.depth - 1 :]
        del self.braces[statement.num_braces :]
        self.layout.restart_line()
        self.fresh = True
        self.previous = None

    def undo(self, count: int) -> None:
        """Take back the last tokens, which the parser has shifted and not yet reduced."""
        state = self.parser.parser_state
        for _ in range(count):
            state.state_stack.pop()
            state.value_stack.pop()

    def trial(self) -> Trial:
        """A copy of the parser, to try what would follow."""
        return Trial(self)


class Trial:
    """A parser without values that runs ahead of the reader's."""

    def __init__(self, reader: Reader) -> None:
        self.is_file = reader.start == "file"
        self.parser = reader.parser.copy(deepcopy_values=False)
        conf = copy(self.parser.parser_state.parse_conf)
        conf.callbacks = {}
        self.parser.parser_state.parse_conf = conf
        self.layout = reader.layout.copy()
        self.laid_out = reader.laid_out

    def undo(self, count: int) -> None:
        """Take back shifted tokens."""
        del self.parser.parser_state.state_stack[-count:]
        del self.parser.parser_state.value_stack[-count:]

    def move(self, position: int) -> None:
        """Go on lexing at an offset."""
        self.parser.lexer_thread.state.line_ctr.char_pos = position

    def feed(self, token: Token) -> bool:
        """Whether the parser takes the token."""
        passed = token if token is self.laid_out else self.layout.push(token)
        if passed is None:
            return True
        try:
            self.parser.feed_token(passed)
        except UnexpectedToken:
            return False
        return True

    def reaches_line_end(self) -> bool:
        """Whether everything up to the end of the statement's line fits."""
        try:
            for token in self.parser.lexer_thread.lex(self.parser.parser_state):
                if not self.feed(token):
                    return False
                if token.type == NEWLINE and self.layout.at_line_start:
                    return True
        except (UnexpectedToken, UnexpectedCharacters):
            return False
        return self.is_file or self.feed(Token(END, "", start_pos=0, end_pos=0))

    def starts_statement(self) -> bool:
        """Whether the next token fits."""
        try:
            for token in self.parser.lexer_thread.lex(self.parser.parser_state):
                return self.feed(token)
        except (UnexpectedToken, UnexpectedCharacters):
            return False
        return True


VALUE_ENDS = frozenset(
    {"NAME", "INT", "FLOAT", "DURATION", "STRING", "BLOCK", "RPAR", "RSQB", "RBRACE", "TRUE", "FALSE", "NULL", "QMARK"}
)
"""Types of tokens that can end a value."""
