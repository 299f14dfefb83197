"""Which newlines count, and which brackets are open: the part of the syntax that no LALR grammar states.

Newlines end statements, except inside () and [], and before a line that starts with one of the words
and marks of `_CONTINUES` (language reference, 2.15). A line inside () that starts with a word of a
statement ends it all the same: a bracket is missing, and the error belongs to its line.
"""

from __future__ import annotations

import re
from copy import copy
from dataclasses import dataclass, field

from lark import Token

NEWLINE = "_NL"
COMMENT = "COMMENT"

_BETWEEN = re.compile(r"(?:[ \t\f\r\n]|#[^\n]*)*")
_CONTINUES = re.compile(r"(?:where|at|each|else)(?!\w)|by(?!\w)(?![ \t]*:)|[|&,)\]]")
_STATEMENT = re.compile(
    r"(?:import|input|lm|grammar|potential|template|generate|return|infer|test"
    r"|observe|require|score|guide|let|use|break|if|for)(?!\w)"
    r"|(?:system|user|assistant|text)[ \t]*(?:r?\"|\{)"
)

_OPENERS = {"LPAR": "RPAR", "LSQB": "RSQB"}
_CLOSERS = {"RPAR", "RSQB"}


@dataclass
class Layout:
    """The state of one pass over a text; `push` each token, in order."""

    text: str
    comments: list[Token] = field(default_factory=list)
    brackets: list[Token] = field(default_factory=list)
    """Open ( and [."""
    at_line_start: bool = True
    """No token since the last newline that counted."""

    def push(self, token: Token) -> Token | None:
        """The token, or None for one that the parser shall not see."""
        if token.type == COMMENT:
            self.comments.append(token)
            return None
        if token.type == NEWLINE and token.start_pos == token.end_pos:  # put in
            self.restart_line()
            return token
        if token.type == NEWLINE:
            return token if self._counts(token) else None
        self.at_line_start = False
        if token.type in _OPENERS:
            self.brackets.append(token)
        elif token.type in _CLOSERS and self.brackets and _OPENERS[self.brackets[-1].type] == token.type:
            self.brackets.pop()
        return token

    def copy(self) -> Layout:
        """An independent copy, to try something out."""
        twin = copy(self)
        twin.comments, twin.brackets = list(self.comments), list(self.brackets)
        return twin

    def restart_line(self) -> None:
        """Forget what the current line has opened."""
        self.brackets.clear()
        self.at_line_start = True

    def _counts(self, newline: Token) -> bool:
        if self.at_line_start:
            return False
        following = skip_blanks(self.text, newline.end_pos or 0)
        if _CONTINUES.match(self.text, following):
            return False
        if self.brackets and following < len(self.text) and not _STATEMENT.match(self.text, following):
            return False
        self.at_line_start = True
        return True


def skip_blanks(text: str, position: int) -> int:
    """Offset of the next character that is neither blank nor in a comment."""
    match = _BETWEEN.match(text, position)
    return match.end() if match else position
