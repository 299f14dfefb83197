"""What to say about a token that does not fit, and how to read on, so that one mistake gives one message.

`Recovery.recover` tries the rules of `rules.py` in order. A rule that knows the mistake returns a `Repair`:
tokens to put in, the token to leave out, a place to go on from, or the order to skip the statement.
Where no rule knows it, a mark is put in or left out if the rest of the line then fits; else the statement
is skipped. A missing `}` is looked for by indentation (`structure.py`) and the file is read again with it.
"""

from __future__ import annotations

import re

from lark import Token

from smcdsl.errors import Diagnostic
from smcdsl.language import mistakes_syntax as mistakes
from smcdsl.language import structure
from smcdsl.language.reading import END, Reader, Restart, Statement
from smcdsl.language.repairs import MARKS, Failure, Repair, expected, inserted, line_name, name_of, survives, unexpected
from smcdsl.language.rules import RULES

_CALLED = re.compile(r"[ \t]*\(")
_MAX_MISTAKES = 100
_MAX_RESTARTS = 20
_MOST_AT_ONE_PLACE = 8


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
                reader.diagnostics.append(unexpected(failure))
            return
        self._look_for_closer(failure)
        repair = next((found for rule in RULES if (found := rule(failure))), None) or _generic(failure)
        if repair.diagnostic is not None:
            reader.diagnostics.append(repair.diagnostic)
        _apply(failure, repair)

    def _look_for_closer(self, failure: Failure) -> None:
        """Start over with a `}` put in where a block was left open."""
        found = structure.missing_closer(failure.reader, failure.token)
        if found is None:
            return
        diagnostic, offset = found
        if len(self.closers) >= _MAX_RESTARTS or self.closers.count(offset) >= _MOST_AT_ONE_PLACE:
            failure.reader.given_up = True
            return
        # What was put in before may have closed an inner block that had been closed by a repair.
        if diagnostic.primary not in [known.primary for known in self.structural]:
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
        reader.put_in(inserted(failure, repair, kind, text))
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


# ---- what no rule knows


def _generic(failure: Failure) -> Repair:
    return _missing_mark(failure) or _superfluous(failure) or _hopeless(failure)


def _missing_mark(failure: Failure) -> Repair | None:
    reader = failure.reader
    for mark, kind in MARKS.items():
        if kind not in failure.accepts or (kind in ("LPAR", "LBRACE", "LSQB") and not _may_open(failure, kind)):
            continue
        if kind == "IN" and "COMPARE" in failure.accepts:  # the operator, not the `in` of a loop
            continue
        repair = Repair(None, insert=((kind, mark),))
        if survives(failure, repair):
            place = failure.after_previous()
            where = "at the end of this line" if failure.is_line_end else f"before {name_of(failure)}"
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
    if failure.is_line_end or failure.reader.fresh or is_callee or not survives(failure, repair):
        return None
    return Repair(unexpected(failure), leave_out=True)


def _hopeless(failure: Failure) -> Repair:
    reader = failure.reader
    if not failure.is_line_end:
        return Repair(unexpected(failure), skip=True)
    place = failure.after_previous()
    return Repair(mistakes.incomplete(reader.span(place, place), line_name(failure), expected(failure)), skip=True)
