"""What to say about a token that does not fit, and how to read on, so that one mistake gives one message.

`Recovery.recover` tries the rules of `_RULES` in order. A rule that knows the mistake returns a `Repair`:
tokens to put in, the token to leave out, a place to go on from, or the order to skip the statement.
Where no rule knows it, a mark is put in or left out if the rest of the line then fits; else the statement
is skipped. A missing `}` is looked for by indentation (`structure.py`) and the file is read again with it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from lark import Token

from smcdsl.errors import Diagnostic
from smcdsl.language import mistakes_syntax as mistakes
from smcdsl.language import structure
from smcdsl.language.layout import NEWLINE, skip_blanks
from smcdsl.language.reading import END, ODD, Reader, Restart, Statement
from smcdsl.language.spelling import (
    LEFT_OUT,
    LOOP_WORDS,
    OPERATORS,
    QUOTES,
    near_word,
    suggest_limit,
    suggest_word,
    terminal_of,
)

_MAX_MISTAKES = 100
_MAX_RESTARTS = 20

_MARKS = {
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

_DECLARATIONS = frozenset("import input lm grammar potential template generate return infer test".upper().split())


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


class Recovery:
    """What has been repaired so far in one file; `recover` is called for each token that does not fit."""

    def __init__(self) -> None:
        self.closers: list[int] = []
        self.structural: list[Diagnostic] = []
        self.seen: list[tuple[int, str, bool, int]] = []
        """Failures of the current pass: where, what, and how far the reader was."""

    def recover(self, reader: Reader, token: Token) -> None:
        """Report the mistake and make the reader able to go on."""
        if len(reader.diagnostics) >= _MAX_MISTAKES:
            reader.given_up = True
            return
        failure = Failure(reader, token, frozenset(reader.parser.accepts()))
        if self._is_stuck(failure):
            reader.given_up = True
            if not reader.diagnostics and not self.structural:
                reader.diagnostics.append(_unexpected(failure))
            return
        self._look_for_closer(failure)
        repair = next((found for rule in _RULES if (found := rule(failure))), None) or _generic(failure)
        if repair.diagnostic is not None:
            reader.diagnostics.append(repair.diagnostic)
        _apply(failure, repair)

    def _look_for_closer(self, failure: Failure) -> None:
        """Start over with a `}` put in where a block was left open."""
        found = structure.missing_closer(failure.reader, failure.token)
        if found is None:
            return
        diagnostic, offset = found
        if diagnostic.primary in [known.primary for known in self.structural] or len(self.closers) >= _MAX_RESTARTS:
            failure.reader.given_up = True
            return
        self.structural.append(diagnostic)
        self.closers.append(offset)
        self.seen.clear()
        raise Restart

    def _is_stuck(self, failure: Failure) -> bool:
        """Whether the same failure came again, nothing having been read since."""
        reader = failure.reader
        state = (failure.start, failure.token.type, reader.fresh, len(reader.parser.parser_state.state_stack))
        self.seen.append(state)
        return self.seen.count(state) > 2


# ---- applying repairs


def _apply(failure: Failure, repair: Repair) -> None:
    reader, token = failure.reader, failure.token
    if repair.skip:
        _skip(failure, repair.dropped)
        return
    _mark_line(failure)
    if repair.undo:
        reader.undo(repair.undo)
    if repair.resume is not None:
        reader.move(repair.resume)
    elif token.type == END:
        reader.move(len(reader.text))
    for kind, text in repair.insert:
        reader.take(_inserted(failure, repair, kind, text))
    if not repair.leave_out and token.type != END:
        reader.take(token)
    elif repair.leave_out and reader.fresh:
        reader.layout.restart_line()


def _mark_line(failure: Failure) -> None:
    """Note that a statement was read otherwise than it is written."""
    reader = failure.reader
    start = failure.start if reader.fresh else reader.statement.start
    end = structure.line_end(reader.text, failure.after_previous() if failure.is_line_end else failure.start)
    if reader.start != "file":
        reader.broken.append(reader.span(0, len(reader.text)))
    elif reader.tokens:
        reader.broken.append(reader.span(start, max(start, end)))


def _inserted(failure: Failure, repair: Repair, kind: str, text: str) -> Token:
    """A token that is put in: it covers the failing token where it stands for it."""
    if repair.leave_out and repair.resume is None:
        return Token(kind, text, start_pos=failure.start, end_pos=failure.end)
    place = failure.after_previous()
    return Token(kind, text, start_pos=place, end_pos=place)


def _survives(failure: Failure, repair: Repair) -> bool:
    """Whether the rest of the line fits after the repair."""
    trial = failure.reader.trial()
    if repair.undo:
        trial.undo(repair.undo)
    if repair.resume is not None:
        trial.move(repair.resume)
    fits = all(trial.feed(_inserted(failure, repair, *inserted)) for inserted in repair.insert)
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


def _or_skip(failure: Failure, repair: Repair) -> Repair:
    """The repair if it works, else the same message and no statement."""
    return repair if _survives(failure, repair) else Repair(repair.diagnostic, skip=True)


def _skip(failure: Failure, dropped: Statement | None) -> None:
    """Drop the statement and go on with the next one."""
    reader = failure.reader
    if reader.start != "file":
        reader.given_up = True
        return
    statement = dropped or reader.current()
    start = min(statement.start, failure.start) if statement.start else failure.start
    reader.drop(statement)
    runs_on = failure.is_line_end or failure.token is reader.swallowed
    resume = structure.resume_point(reader, start, failure.start if runs_on else failure.end)
    reader.broken.append(reader.span(start, max(start, len(reader.text[:resume].rstrip()))))
    reader.move(resume)


# ---- rules: the header


def _header(failure: Failure) -> Repair | None:
    reader = failure.reader
    if "SMC" in failure.accepts and reader.previous is None and not reader.tokens and reader.start == "file":
        diagnostic = mistakes.no_edition(reader.span(failure.start, _word_end(reader.text, failure.start)))
        if failure.token.type == "INT":
            return Repair(diagnostic, insert=(("SMC", "smc"),))
        return Repair(diagnostic, insert=(("SMC", "smc"), ("INT", "1"), (NEWLINE, "\n")))
    if len(reader.tokens) == 1 and failure.accepts == {"INT"}:
        place = reader.span(reader.tokens[0].start_pos or 0, max(failure.end, failure.after_previous()))
        if failure.is_line_end:
            place = reader.token_span(reader.tokens[0])
        diagnostic = mistakes.no_edition_number(place)
        inserted = (("INT", "1"),)
        return Repair(
            diagnostic, insert=inserted, leave_out=not failure.is_line_end and failure.token.type != "PROGRAM"
        )
    return None


def _word_end(text: str, start: int) -> int:
    end = start
    while end < len(text) and (text[end].isalnum() or text[end] == "_"):
        end += 1
    return max(end, min(start + 1, len(text)))


def _put_in_closer(failure: Failure) -> Repair | None:
    """A `}` that was put in does not fit: what it should close is not complete."""
    reader = failure.reader
    if failure.token.type != "RBRACE" or failure.start != failure.end:
        return None
    del reader.pending[:1]
    place = failure.after_previous()
    return Repair(mistakes.incomplete(reader.span(place, place), _line_name(failure), _expected(failure)), skip=True)


# ---- rules: quotes and odd characters


def _quotes(failure: Failure) -> Repair | None:
    reader, start = failure.reader, failure.start
    text = reader.text
    if text.startswith('"""', start) or text.startswith('r"""', start):
        if failure.token.type == "BLOCK":
            return None
        opener = start + (text[start] == "r")
        return Repair(_unclosed_block(failure, opener), skip=True)
    if failure.token.type == ODD and text[start] == '"':
        end = structure.line_end(text, start)
        diagnostic = mistakes.unclosed_text(reader.span(start, start + 1), reader.span(end, end))
        kind = "TEXT" if "TEXT" in failure.accepts else "STRING"
        return _or_skip(
            failure, Repair(diagnostic, insert=((kind, text[start:end] + '"'),), leave_out=True, resume=end)
        )
    return None


def _swallowed(failure: Failure) -> Repair | None:
    """A text block that ran on into the next one."""
    if failure.token is not failure.reader.swallowed:
        return None
    return Repair(_unclosed_block(failure, failure.start + (str(failure.token)[0] == "r")), skip=True)


def _unclosed_block(failure: Failure, opener: int) -> Diagnostic:
    """A text block without end; where the text probably ends is told by quotes, else by indentation."""
    reader = failure.reader
    possible = structure.possible_block_end(reader, opener)
    end = structure.last_deeper_line(reader, opener)
    after = reader.span(end, end) if possible is None and end is not None else None
    return mistakes.unclosed_text_block(reader.span(opener, opener + 3), possible, after)


def _odd_quotes(failure: Failure) -> Repair | None:
    reader, start = failure.reader, failure.start
    closer = QUOTES.get(reader.text[start : start + 1])
    if failure.token.type != ODD or closer is None:
        return None
    line_end = structure.line_end(reader.text, start)
    end = reader.text.find(closer, start + 1, line_end) + 1 or line_end
    content = reader.text[start + 1 : end - 1].replace('"', "'")
    kind = "TEXT" if "TEXT" in failure.accepts else "STRING"
    diagnostic = mistakes.wrong_quotes(reader.span(start, end))
    return _or_skip(failure, Repair(diagnostic, insert=((kind, f'"{content}"'),), leave_out=True, resume=end))


def _odd_characters(failure: Failure) -> Repair | None:
    token, reader = failure.token, failure.reader
    text = reader.text
    if text.startswith("/", failure.start) and "REGEX" in failure.accepts:
        span = reader.span(failure.start, failure.start + 1)
        return Repair(mistakes.bad_literal(span, "this regular expression is never closed", "opened here"), skip=True)
    if text.startswith(("//", "--"), failure.start) and reader.fresh:
        span = reader.span(failure.start, failure.start + 2)
        return Repair(mistakes.unexpected(span, f"`{span.text}`", "comments begin with `#`"), skip=True)
    if token.type == ODD and token[0].isdigit():
        span = reader.token_span(token)
        return Repair(mistakes.bad_literal(span, f"`{token}` is neither a number nor a name"), skip=True)
    if token == ";":
        diagnostic = mistakes.unexpected(reader.token_span(token), "`;`", "a statement ends with its line")
        return _or_skip(failure, Repair(diagnostic, leave_out=True))
    return None


# ---- rules: brackets


def _closer_without_opener(failure: Failure) -> Repair | None:
    reader, token = failure.reader, failure.token
    opened = {
        "RPAR": any(bracket.type == "LPAR" for bracket in reader.layout.brackets),
        "RSQB": any(bracket.type == "LSQB" for bracket in reader.layout.brackets),
        "RBRACE": bool(reader.braces),
    }
    if opened.get(token.type, True):
        return None
    diagnostic = mistakes.closes_nothing(reader.token_span(token))
    return (
        _or_skip(failure, Repair(diagnostic, leave_out=True))
        if not reader.fresh
        else Repair(diagnostic, leave_out=True)
    )


def _header_without_value(failure: Failure) -> Repair | None:
    """`for x in {`: the block was read as a record, because a value is missing before it."""
    reader = failure.reader
    if not reader.braces or not reader.braces[-1].is_record or not reader.braces[-1].spans_lines:
        return None
    brace = reader.braces[-1]
    if brace.statement.keyword not in ("if", "for", "else"):
        return None
    diagnostic = mistakes.incomplete(
        reader.token_span(brace.token), f"this `{brace.statement.keyword}`", "expected a value before the block"
    )
    return Repair(diagnostic, skip=True, dropped=brace.statement)


def _bracket_left_open(failure: Failure) -> Repair | None:
    reader, token = failure.reader, failure.token
    brackets = reader.layout.brackets
    if not brackets:
        return None
    started_above = reader.is_first_on_line(token) and reader.line_start(brackets[-1].start_pos or 0) < failure.start
    if not (failure.is_line_end or token.type == "RBRACE" or started_above):
        return None
    place = failure.after_previous()
    closers = tuple(_closer_of(bracket) for bracket in reversed(brackets))
    outermost = brackets[0]
    diagnostic = mistakes.unclosed_bracket(
        reader.token_span(outermost), reader.span(place, place), _closer_of(outermost)[1]
    )
    if started_above and (token.type != "RBRACE" or (reader.braces and reader.braces[-1].spans_lines)):
        closers += ((NEWLINE, "\n"),)
    return _or_skip(failure, Repair(diagnostic, insert=closers))


def _closer_of(bracket: Token) -> tuple[str, str]:
    return ("RPAR", ")") if bracket.type == "LPAR" else ("RSQB", "]")


# ---- rules: words


def _first_word(failure: Failure) -> Repair | None:
    """A statement begins with something that begins no statement."""
    reader, token = failure.reader, failure.token
    if not reader.fresh or failure.level not in ("file", "block") or failure.is_line_end:
        return None
    span = reader.token_span(token)
    if failure.level == "file" and (repair := _entry_without_block(failure)):
        return repair
    if token.type == "ELSE":
        return Repair(mistakes.else_without_if(span), skip=True)
    if token.type in _DECLARATIONS and failure.level == "block":
        owner = reader.braces[0].statement.keyword if reader.braces else "generate"
        return Repair(mistakes.declaration_inside(span, owner), skip=True)
    if token.type == "NAME":
        return _unknown_word(failure)
    if failure.level == "file" and (near_word(str(token), "block") == str(token) or token.type in _TEXTS):
        return Repair(mistakes.statement_outside(span), skip=True)
    if token.type == "LBRACE":
        expected = "expected a word such as `generate` before it" if failure.level == "file" else "expected a statement"
        return Repair(mistakes.unexpected(span, "this `{`", expected), skip=True)
    return None


_ENTRY = re.compile(r"\w+[ \t]*:")
_ASSIGNMENT = re.compile(r"[ \t]*=(?!=)")
_CALLED = re.compile(r"[ \t]*\(")
_TEXTS = frozenset({"TEXT", "STRING", "BLOCK"})


def _entry_without_block(failure: Failure) -> Repair | None:
    """An indented line after a declaration that may have a block: its `{` is missing."""
    reader = failure.reader
    if (
        failure.token.type == "LBRACE"
        or not reader.is_first_on_line(failure.token)
        or reader.indent(failure.start) == 0
        or not reader.tokens
    ):
        return None
    if reader.statement.keyword != "potential" or not _ENTRY.match(reader.text, failure.start):
        return None
    place = failure.after_previous()
    label = "expected a `{` at the end of this line, for what stands below"
    return Repair(mistakes.missing(reader.span(place, place), "`{`", label), skip=True)


def _unknown_word(failure: Failure) -> Repair | None:
    reader, word = failure.reader, str(failure.token)
    span = reader.token_span(failure.token)
    if word in LOOP_WORDS:
        rest = reader.text[failure.end : structure.line_end(reader.text, failure.end)]
        condition = rest.split("#")[0].strip().removesuffix("{").strip() if word == "while" else ""
        return Repair(mistakes.no_such_loop(span, condition), skip=True)
    if word in LEFT_OUT:
        return Repair(mistakes.left_out(span, *LEFT_OUT[word]), skip=True)
    if failure.level == "file" and near_word(word, "role") == word:
        return Repair(mistakes.statement_outside(span), skip=True)
    suggestion = suggest_word(word, failure.level)
    if failure.level == "block" and not suggestion and _ASSIGNMENT.match(reader.text, failure.end):
        return _or_skip(
            failure, Repair(mistakes.missing(span, "`let`", f"write `let {word} = ...`"), insert=(("LET", "let"),))
        )
    kind = "a declaration" if failure.level == "file" else "a statement"
    diagnostic = mistakes.unknown_statement(span, suggestion, kind)
    kinds = terminal_of(suggestion)
    if kinds is None:
        return Repair(diagnostic, skip=True)
    return _or_skip(failure, Repair(diagnostic, insert=((kinds, suggestion),), leave_out=True))


def _else(failure: Failure) -> Repair | None:
    """An `else` line that continues nothing: the newline before it counts after all."""
    reader = failure.reader
    if failure.token.type != "ELSE" or reader.fresh or NEWLINE not in failure.accepts:
        return None
    return Repair(None, insert=((NEWLINE, "\n"),)) if reader.is_first_on_line(failure.token) else None


def _test_word(failure: Failure) -> Repair | None:
    """`accpet query "..."`."""
    reader = failure.reader
    if reader.fresh or len(reader.tokens) < 1 or reader.tokens[-1].type != "NAME" or "COLON" not in failure.accepts:
        return None
    word = reader.tokens[-1]
    if word.start_pos != reader.statement.start or not any(
        brace.statement.keyword == "test" for brace in reader.braces
    ):
        return None
    suggestion = near_word(str(word), "test")
    if not suggestion:
        return None
    diagnostic = mistakes.unknown_statement(reader.token_span(word), suggestion, "a line of a test")
    return _or_skip(
        failure,
        Repair(diagnostic, undo=1, insert=((suggestion.upper(), suggestion),), leave_out=True, resume=failure.start),
    )


def _observe(failure: Failure) -> Repair | None:
    reader = failure.reader
    if reader.fresh or failure.is_line_end or not reader.tokens or reader.tokens[-1].type != "OBSERVE":
        return None
    diagnostic = mistakes.observe_needs_text(reader.token_span(reader.tokens[-1]))
    return _or_skip(
        failure, Repair(diagnostic, undo=1, insert=(("REQUIRE", "require"),), leave_out=True, resume=failure.start)
    )


# ---- rules: operators and limits


def _power(failure: Failure) -> Repair | None:
    reader, start = failure.reader, failure.start
    previous = reader.tokens[-1] if reader.tokens else None
    if previous is None or previous.type != "STAR" or previous.end_pos != start or reader.text[start] != "*":
        return None
    diagnostic = mistakes.power_stars(reader.span(start - 1, start + 1))
    return _or_skip(failure, Repair(diagnostic, undo=1, insert=(("CARET", "^"),), leave_out=True, resume=start + 1))


def _inequality(failure: Failure) -> Repair | None:
    reader, start = failure.reader, failure.start
    previous = reader.tokens[-1] if reader.tokens else None
    if previous != "<" or previous.end_pos != start or reader.text[start : start + 1] != ">":
        return None
    diagnostic = mistakes.other_operator(reader.span(start - 1, start + 1), "!=", "inequality")
    return _or_skip(failure, Repair(diagnostic, undo=1, insert=(("COMPARE", "!="),), leave_out=True))


def _operator(failure: Failure) -> Repair | None:
    reader, start = failure.reader, failure.start
    for text, kind, ours, meaning in OPERATORS:
        if kind in failure.accepts and reader.text.startswith(text, start):
            end = start + len(text)
            diagnostic = mistakes.other_operator(reader.span(start, end), ours, meaning)
            return _or_skip(failure, Repair(diagnostic, insert=((kind, ours),), leave_out=True, resume=end))
    if failure.token.type == "COMPARE" and "AND" in failure.accepts:
        return Repair(mistakes.chained_comparison(reader.token_span(failure.token)), skip=True)
    return None


def _limit(failure: Failure) -> Repair | None:
    reader = failure.reader
    if "MATCHES" not in failure.accepts or failure.token.type not in ("NAME", "CALLHEAD"):
        return None
    end = structure.dotted_end(reader.text, failure.start)
    name = reader.span(failure.start, end)
    if reader.text.startswith("(", end):
        call = reader.text[failure.start : structure.call_end(reader.text, end)]
        return Repair(mistakes.potential_in_where(name, call), skip=True)
    suggestion = suggest_limit(name.text)
    diagnostic = mistakes.unknown_limit(name, suggestion)
    if not suggestion:
        return Repair(diagnostic, skip=True)
    return _or_skip(failure, Repair(diagnostic, insert=((suggestion.upper(), suggestion),), leave_out=True))


_RULES: tuple[Rule, ...] = (
    _header,
    _put_in_closer,
    _quotes,
    _swallowed,
    _odd_quotes,
    _odd_characters,
    _header_without_value,
    _closer_without_opener,
    _bracket_left_open,
    _else,
    _first_word,
    _test_word,
    _observe,
    _power,
    _inequality,
    _operator,
    _limit,
)


# ---- what no rule knows


def _generic(failure: Failure) -> Repair:
    return _missing_mark(failure) or _superfluous(failure) or _hopeless(failure)


def _missing_mark(failure: Failure) -> Repair | None:
    reader = failure.reader
    for mark, kind in _MARKS.items():
        if kind not in failure.accepts or (kind in ("LPAR", "LBRACE", "LSQB") and not _may_open(failure, kind)):
            continue
        if kind == "IN" and "COMPARE" in failure.accepts:  # the operator, not the `in` of a loop
            continue
        repair = Repair(None, insert=((kind, mark),))
        if _survives(failure, repair):
            place = failure.after_previous()
            where = "at the end of this line" if failure.is_line_end else f"before {_name(failure)}"
            diagnostic = mistakes.missing(reader.span(place, place), f"`{mark}`", f"expected `{mark}` {where}")
            return Repair(diagnostic, insert=repair.insert)
    return None


def _may_open(failure: Failure, kind: str) -> bool:
    """Whether an opening bracket may be missing here, rather than a value."""
    if "INT" in failure.accepts or failure.token.type == "RPAR":
        return False
    previous = failure.reader.tokens[-1].type if failure.reader.tokens else ""
    return kind == "LBRACE" or (not failure.is_line_end and previous not in ("INT", "FLOAT", "STRING"))


def _superfluous(failure: Failure) -> Repair | None:
    repair = Repair(None, leave_out=True)
    is_callee = failure.token.isalpha() and _CALLED.match(failure.reader.text, failure.end)
    if failure.is_line_end or failure.reader.fresh or is_callee or not _survives(failure, repair):
        return None
    return Repair(_unexpected(failure), leave_out=True)


def _hopeless(failure: Failure) -> Repair:
    reader = failure.reader
    if not failure.is_line_end:
        return Repair(_unexpected(failure), skip=True)
    place = failure.after_previous()
    return Repair(mistakes.incomplete(reader.span(place, place), _line_name(failure), _expected(failure)), skip=True)


def _line_name(failure: Failure) -> str:
    """What is being read, in the reader's terms."""
    reader = failure.reader
    if reader.start != "file":
        return "this hole" if reader.start == "hole" else "this insertion"
    word = reader.statement.keyword
    return f"this `{word}`" if word.isalpha() and not reader.fresh else "this line"


def _unexpected(failure: Failure) -> Diagnostic:
    return mistakes.unexpected(failure.reader.token_span(failure.token), _name(failure), _expected(failure))


def _name(failure: Failure) -> str:
    """The failing token in the reader's terms."""
    text = str(failure.token)
    if failure.token.type in _TEXTS:
        return "this text"
    if failure.token.type == "REGEX":
        return "this regular expression"
    return f"`{text if len(text) <= 30 else text[:27] + '...'}`"


def _expected(failure: Failure) -> str:
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
    options += [f"`{mark}`" for mark, kind in _MARKS.items() if kind in accepts and kind not in _UNTOLD][:2]
    if NEWLINE in accepts and not failure.is_line_end:
        options.append("the end of the line")
    if END in accepts:
        options.append({"hole": "`]]`", "insert": "`}}`"}.get(failure.reader.start, "the end of the file"))
    return f"expected {mistakes.join(options[:3])}" if options else ""


_UNTOLD = frozenset({"LPAR", "IN"})
