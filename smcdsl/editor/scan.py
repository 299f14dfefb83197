"""Cutting a text into lexical pieces without parsing it: whatever the text, complete or as it is being typed.

The parser's lexer needs a parser that stands in the right state. This scanner keeps just enough of that state
(which statement, which brackets) to tell a regular expression from a division, a block from a record, and a
prompt's text from an ordinary string. Pieces do not overlap, come in order and never cross the end of the text;
what lies between them is blank.
"""

from __future__ import annotations

import re
from typing import Literal

from smcdsl.editor.pieces import Brace, Kind, Piece, State
from smcdsl.editor.words import (
    CLAUSES,
    CONSTANTS,
    CONTINUING,
    DECLARATIONS,
    HEADER,
    OPERATOR_WORDS,
    ROLES,
    STATEMENTS,
    TEST_WORDS,
    UNITS,
)

_BLANK = re.compile(r"[ \t\f\ufeff\r]+")
_NAME = re.compile(r"[^\W\d]\w*")
_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?:ms|min|[smh])?(?!\w)")
_REGEX = re.compile(r"/(?:\[\^?\]?(?:\\.|[^\]\\\n])*\]|\\.|[^/\\\n\[])+/[a-zA-Z]*")
_REPEAT = re.compile(r"\{[ \t]*(?:\d+[ \t]*(?:,[ \t]*\d*[ \t]*)?|,[ \t]*\d+[ \t]*)\}")
_OPERATOR = re.compile(r"->|\.\.|[<>=!]=|[-+*/^<>=|&?.]")
_STRING = re.compile(r'r"""[\s\S]*?"""|"""(?:\\[\s\S]|[^\\])*?"""|r"(?!"")[^"\n]*"|"(?!"")(?:\\.|[^"\\\n])*"')
_QUOTE = re.compile(r'r?"""|r?"')
_HOLE = re.compile(r"\[\[(?=[ \t]*[^\W\d]\w*[ \t]*(?:\[[ \t]*\][ \t]*)?:(?!:))")
_ESCAPE = re.compile(r"\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|u\{[0-9a-fA-F]{1,6}\}|[^\n])")
_LABEL = re.compile(r"[ \t]*:")
_RULE = re.compile(r"[ \t]*=(?!=)")
_ROLE_FOLLOWS = re.compile(r'[ \t]*(?:r?"|\{)')

_COMPARISONS = frozenset({"<", "<=", ">", ">=", "==", "!=", "in"})
_BLOCKS = frozenset({"generate", "template", "if", "for", "else", *ROLES})
_BRACES: dict[str, Brace] = {"grammar": "rules", "lm": "settings", "infer": "settings", "test": "test"}


class Scanner:
    """One pass over a text; `state` is where it ends."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.pieces: list[Piece] = []
        self.prompts: list[tuple[int, int]] = []
        """Offsets of the transcript's texts, quotes included."""
        self.state = State()
        self.position = 0
        self.fresh = True
        self.last = ""
        """The last piece that is neither blank nor comment, as written; "\\n" at the start of a statement."""
        self.in_limit = False
        """Behind the comparison of a `where`: what follows is a number, and `/` divides."""

    def run(self) -> list[Piece]:
        """Scan to the end."""
        while self.position < len(self.text):
            self._step(len(self.text))
        return self.pieces

    # ---- one piece

    def _step(self, end: int) -> None:
        """Take what comes next, before `end`."""
        text, start, state = self.text, self.position, self.state
        blank = _BLANK.match(text, start, end)
        char = text[start]
        if blank is not None:
            self.position = blank.end()
        elif char == "\n":
            self._newline()
        elif char == "#":
            newline = text.find("\n", start, end)
            stop = end if newline < 0 else newline
            if stop == len(text):
                state.unclosed, state.unclosed_start = "comment", start
            self._add("comment", stop)
        elif _QUOTE.match(text, start, end):
            self._quoted(end)
        elif (name := _NAME.match(text, start, end)) is not None:
            self._word(name[0], name.end())
        elif (number := _NUMBER.match(text, start, end)) is not None:
            self._begin("")
            self._add("number", number.end())
        elif char == "/" and self._in_grammar() and not self.in_limit:
            self._regex(end)
        elif char == "{" and self._in_grammar() and (repeat := _REPEAT.match(text, start, end)) is not None:
            self._add("operator", repeat.end())
        elif char in "{}()[],:":
            self._mark(char)
        elif (operator := _OPERATOR.match(text, start, end)) is not None:
            if self.fresh and char not in "|&":
                self._begin("")
            self.fresh = False
            self._add("operator", operator.end())
        else:
            self._begin("")
            self._add("odd", start + 1)

    def _add(self, kind: Kind, end: int) -> None:
        if end <= self.position:
            return
        self.pieces.append(Piece(kind, self.position, end, self.state.inside))
        if kind != "comment":
            self.last = self.text[self.position : end]
            if self.last in _COMPARISONS:
                self.in_limit = True
            elif self.last in (",", ")", "where", "|"):
                self.in_limit = False
        self.position = end

    def _newline(self) -> None:
        self.position += 1
        if not self.state.brackets and not self.state.inside:
            self.fresh = True
            self.in_limit = False
            if not self.state.braces or self.state.braces[-1][0] != "record":
                self.last = "\n"

    def _begin(self, word: str) -> None:
        """Note that a statement begins here, if one does."""
        if self.fresh and not self.state.inside:
            self.state.keyword, self.state.statement = word, self.position
        self.fresh = False

    def _word(self, word: str, end: int) -> None:
        state = self.state
        starts = self.fresh and not state.inside
        if starts and word in CONTINUING and word != "else":
            self.fresh = starts = False
        if starts and self._leads(word, end):
            self._begin(word)
            self._add("role" if word in ROLES else "keyword", end)
            return
        before = self.last
        self._begin("")
        if before == ".":
            self._add("name", end)
        elif word in OPERATOR_WORDS:
            self._add("operator_word", end)
        elif word in CONSTANTS:
            self._add("constant", end)
        elif (word in UNITS and before in ("where", ",") and self._in_grammar()) or (
            word == "tokens" and before[:1].isdigit()
        ):
            self._add("unit", end)
        elif (word == "potential" and before == "import") or (word in HEADER and state.keyword == word):
            self._add("keyword", end)
        elif word in CLAUSES and not self._is_label(end):
            if word == "else":
                state.keyword = "else"
            self._add("keyword", end)
        elif word == "if" and before == "else":
            state.keyword = "if"
            self._add("keyword", end)
        else:
            self._add("name", end)

    def _leads(self, word: str, end: int) -> bool:
        """Whether a word at the start of a line is the first word of a statement of its kind."""
        brace = self.state.braces[-1][0] if self.state.braces else ""
        if word in ROLES:
            return brace in ("", "block") and _ROLE_FOLLOWS.match(self.text, end) is not None
        if word in TEST_WORDS:
            return brace == "test" and not self._is_label(end)
        if brace in ("rules", "settings", "record"):
            return word in DECLARATIONS and not self._is_label(end) and not self._is_rule(end)
        return word in (*HEADER, *DECLARATIONS, *STATEMENTS, "else") and not self._is_label(end)

    def _is_unit(self, word: str, before: str) -> bool:
        """Whether a word is the length that a `where` limits, or the unit of a number."""
        if word == "tokens" and before[:1].isdigit():
            return True
        return word in UNITS and before in ("where", ",") and self._in_grammar()

    def _is_label(self, end: int) -> bool:
        return _LABEL.match(self.text, end) is not None

    def _is_rule(self, end: int) -> bool:
        return _RULE.match(self.text, end) is not None

    def _mark(self, char: str) -> None:
        state = self.state
        if char == "{":
            state.braces.append((self._brace(), state.keyword))
            self._begin("")
            self._add("mark", self.position + 1)
            self.fresh = state.braces[-1][0] != "record"
            return
        if char == "}":
            self.fresh = False
            if state.braces:
                state.keyword = state.braces.pop()[1]
            if not state.inside:
                state.brackets.clear()
        elif char in "([":
            self._begin("")
            before = self.text[self.position - 1 : self.position]
            is_call = char == "(" and (before.isalnum() or before == "_")
            state.brackets.append((char, self.position, is_call))
        elif char in ")]":
            if state.brackets:
                state.brackets.pop()
            self.fresh = False
        else:
            self.fresh = False
        self._add("mark", self.position + 1)

    def _brace(self) -> Brace:
        state = self.state
        if state.inside or state.brackets or self.last in ("=", "==", "!=", ",", ":", "return", "posterior", "best"):
            return "record"
        if state.keyword == "potential":
            return "settings"
        if state.keyword in _BLOCKS or state.keyword in _BRACES:
            return _BRACES.get(state.keyword, "block")
        return "record"

    # ---- grammar or expression

    def _in_grammar(self) -> bool:
        """Whether `/` begins a regular expression here."""
        state = self.state
        if self.last in ("matches", "excludes"):
            return True
        if any(is_call for _, _, is_call in state.brackets):
            return False
        if state.inside:
            return state.inside == "hole"
        if state.braces and state.braces[-1][0] == "rules":
            return True
        return state.keyword == "grammar"

    def _regex(self, end: int) -> None:
        match = _REGEX.match(self.text, self.position, end)
        self.fresh = False
        if match is not None:
            self._add("regex", match.end())
            return
        newline = self.text.find("\n", self.position, end)
        stop = end if newline < 0 else newline
        if stop == len(self.text):
            self.state.unclosed, self.state.unclosed_start = "regex", self.position
        self._add("regex", stop)

    # ---- what is inside quotes

    def _quoted(self, end: int) -> None:
        if not self.state.inside and self._is_prompt():
            self._prompt()
            return
        start = self.position
        match = _STRING.match(self.text, start, end)
        self._begin("")
        if match is not None:
            self._add("string", match.end())
            return
        quote = _QUOTE.match(self.text, start)
        assert quote is not None, "it begins with a quote"
        newline = -1 if quote[0].endswith('"""') else self.text.find("\n", start, end)
        stop = end if newline < 0 else newline
        if stop == len(self.text):
            self.state.unclosed, self.state.unclosed_start = "string", start
        self._add("string", stop)

    def _is_prompt(self) -> bool:
        """Whether a quote opens a text of the transcript."""
        state = self.state
        if state.brackets or (state.braces and state.braces[-1][0] != "block"):
            return False
        if self.last in (*ROLES, "observe"):
            return state.keyword == self.last
        return bool(state.braces) and (self.fresh or self.last == "{")

    def _prompt(self) -> None:
        """A text of the transcript: stretches of text, escapes, and what is inside `{{ }}` and `[[ ]]`."""
        start = self.position
        self._prompt_pieces()
        self.prompts.append((start, self.position))

    def _prompt_pieces(self) -> None:
        text = self.text
        quote = _QUOTE.match(text, self.position)
        assert quote is not None, "it begins with a quote"
        start = self.position
        if not self.state.keyword or self.fresh:
            self._begin("" if self.last not in (*ROLES, "observe") else self.last)
        is_raw = quote[0].startswith("r")
        closer = quote[0].removeprefix("r")
        position = quote.end()
        begin = start
        while position < len(text):
            char = text[position]
            if text.startswith(closer, position):
                self._stretch(begin, position + len(closer))
                self.last = closer
                return
            if char == "\n" and closer == '"':
                self._stretch(begin, position)
                return
            if char == "\\" and not is_raw and (escape := _ESCAPE.match(text, position)) is not None:
                self._stretch(begin, position)
                self._add("escape", escape.end())
                position = begin = self.position
            elif not is_raw and (text.startswith("{{", position) or _HOLE.match(text, position)):
                self._stretch(begin, position)
                self._fragment("insert" if char == "{" else "hole")
                position = begin = self.position
            else:
                position += 1
        self._stretch(begin, len(text))
        if not self.state.inside:
            self.state.unclosed, self.state.unclosed_start = "text", start

    def _stretch(self, start: int, end: int) -> None:
        self.position = start
        self._add("text", end)
        self.position = max(end, start)

    def _fragment(self, kind: Literal["hole", "insert"]) -> None:
        """What stands between `{{` and `}}` or `[[` and `]]`, on one line."""
        text, state = self.text, self.state
        line_end = text.find("\n", self.position)
        end = len(text) if line_end < 0 else line_end
        closer = "}}" if kind == "insert" else "]]"
        outer = state.brackets, state.braces, self.fresh, state.keyword, state.statement
        state.brackets, state.braces, self.fresh = [], [], False
        state.inside, state.opened = kind, self.position
        self._add(kind, self.position + 2)
        while self.position < end:
            if text.startswith(closer, self.position) and not state.brackets and not state.braces:
                self._add(kind, self.position + 2)
                break
            self._step(end)
        else:
            if end == len(text):
                return  # the text ends in here: the state says so
        state.inside = ""
        state.brackets, state.braces, self.fresh, state.keyword, state.statement = outer
