"""The mistakes that are known: each rule looks at a token that does not fit and may say what was meant.

`RULES` are tried in order; the first that answers wins.
"""

from __future__ import annotations

import re

from lark import Token

from smcdsl.errors import Diagnostic
from smcdsl.language import mistakes_syntax as mistakes
from smcdsl.language import structure
from smcdsl.language.layout import NEWLINE
from smcdsl.language.reading import ODD
from smcdsl.language.repairs import TEXTS, Failure, Repair, Rule, expected, line_name, or_skip, survives
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

_DECLARATIONS = frozenset("import input lm grammar potential template generate return infer test".upper().split())


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
        diagnostic = mistakes.no_edition_number(place, reader.token_span(reader.tokens[0]))
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
    return Repair(mistakes.incomplete(reader.span(place, place), line_name(failure), expected(failure)), skip=True)


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
        return or_skip(failure, Repair(diagnostic, insert=((kind, text[start:end] + '"'),), leave_out=True, resume=end))
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
    return or_skip(failure, Repair(diagnostic, insert=((kind, f'"{content}"'),), leave_out=True, resume=end))


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
        return or_skip(failure, Repair(mistakes.semicolon(reader.token_span(token)), leave_out=True))
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
        or_skip(failure, Repair(diagnostic, leave_out=True)) if not reader.fresh else Repair(diagnostic, leave_out=True)
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
    return or_skip(failure, Repair(diagnostic, insert=closers))


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
    if failure.level == "file" and (near_word(str(token), "block") == str(token) or token.type in TEXTS):
        return Repair(mistakes.statement_outside(span), skip=True)
    if token.type == "LBRACE":
        label = "expected a word such as `generate` before it" if failure.level == "file" else "expected a statement"
        return Repair(mistakes.unexpected(span, "this `{`", label), skip=True)
    return None


_ENTRY = re.compile(r"\w+[ \t]*:")
_ASSIGNMENT = re.compile(r"[ \t]*=(?!=)")


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
        return or_skip(
            failure, Repair(mistakes.missing(span, "`let`", f"write `let {word} = ...`"), insert=(("LET", "let"),))
        )
    kind = "a declaration" if failure.level == "file" else "a statement"
    diagnostic = mistakes.unknown_statement(span, suggestion, kind)
    kinds = terminal_of(suggestion)
    if kinds is None:
        return Repair(diagnostic, skip=True)
    return or_skip(failure, Repair(diagnostic, insert=((kinds, suggestion),), leave_out=True))


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
    return or_skip(
        failure,
        Repair(diagnostic, undo=1, insert=((suggestion.upper(), suggestion),), leave_out=True, resume=failure.start),
    )


def _observe(failure: Failure) -> Repair | None:
    reader = failure.reader
    if reader.fresh or failure.is_line_end or not reader.tokens or reader.tokens[-1].type != "OBSERVE":
        return None
    diagnostic = mistakes.observe_needs_text(reader.token_span(reader.tokens[-1]))
    return or_skip(
        failure, Repair(diagnostic, undo=1, insert=(("REQUIRE", "require"),), leave_out=True, resume=failure.start)
    )


# ---- rules: operators and limits


def _power(failure: Failure) -> Repair | None:
    reader, start = failure.reader, failure.start
    previous = reader.tokens[-1] if reader.tokens else None
    if (
        previous is None
        or previous.type != "STAR"
        or previous.end_pos != start
        or reader.text[start : start + 1] != "*"
    ):
        return None
    diagnostic = mistakes.power_stars(reader.span(start - 1, start + 1))
    return or_skip(failure, Repair(diagnostic, undo=1, insert=(("CARET", "^"),), leave_out=True, resume=start + 1))


def _inequality(failure: Failure) -> Repair | None:
    reader, start = failure.reader, failure.start
    previous = reader.tokens[-1] if reader.tokens else None
    if previous != "<" or previous.end_pos != start or reader.text[start : start + 1] != ">":
        return None
    diagnostic = mistakes.other_operator(reader.span(start - 1, start + 1), "!=", "inequality")
    return or_skip(failure, Repair(diagnostic, undo=1, insert=(("COMPARE", "!="),), leave_out=True))


def _operator(failure: Failure) -> Repair | None:
    reader, start = failure.reader, failure.start
    for text, kind, ours, meaning in OPERATORS:
        if kind in failure.accepts and reader.text.startswith(text, start):
            end = start + len(text)
            diagnostic = mistakes.other_operator(reader.span(start, end), ours, meaning)
            return or_skip(failure, Repair(diagnostic, insert=((kind, ours),), leave_out=True, resume=end))
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
    return or_skip(failure, Repair(diagnostic, insert=((suggestion.upper(), suggestion),), leave_out=True))


# ---- rules: names


def _reserved_name(failure: Failure) -> Repair | None:
    """A word of the language where a name fits, and the rest of the line with it."""
    token = failure.token
    if "NAME" not in failure.accepts or token.type in ("NAME", ODD) or not str(token).isidentifier():
        return None
    place = failure.reader.token_span(token)
    repair = Repair(mistakes.reserved_name(place), insert=(("NAME", f"{token}_"),), leave_out=True)
    return repair if survives(failure, repair) else None


RULES: tuple[Rule, ...] = (
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
    _reserved_name,
)
