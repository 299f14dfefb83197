"""Reading SQL text that may stop anywhere: lexemes, open queries, declared names, and a query to compile in its place.

Nothing here parses: a prefix of a query is cut into lexemes and its open parentheses are kept on a stack. A frame is
what such a parenthesis holds (or the whole text): a query, or anything else. That is enough to complete the text to
a query that SQLite can judge (`completion`), and to see which names a query declares (`Reading`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal, NamedTuple

from smcdsl.potentials._sql_schema import fold

Kind = Literal["word", "quoted", "value", "sign"]

# What is left out is matched possessively: long runs of blanks must not be divided in every way.
_LEXEME = re.compile(
    r"""(?:[ \t\n\f\r]++|--[^\n]*+|/\*(?s:.)*?\*/)*+
    (?:(?P<value>'(?:[^']|'')*'|[xX]'[^']*'|(?:0[xX][0-9A-Fa-f]+|(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?))
    |(?P<quoted>"(?:[^"]|"")*"|\[[^\]]*\]|`(?:[^`]|``)*`)
    |(?P<word>[A-Za-z_\u0080-\U0010ffff][A-Za-z0-9_$\u0080-\U0010ffff]*)
    |(?P<sign><=|>=|<>|!=|==|\|\||<<|>>|->>|->|\S))""",
    re.VERBOSE,
)

KEYWORDS = frozenset(
    """ALL AND AS ASC BETWEEN BY CASE CAST COLLATE CROSS CURRENT_DATE CURRENT_TIME CURRENT_TIMESTAMP DESC DISTINCT ELSE
    END ESCAPE EXCEPT EXISTS FILTER FROM FULL GLOB GROUP HAVING IN INNER INTERSECT IS ISNULL JOIN LEFT LIKE LIMIT
    NATURAL NOT NOTNULL NULL OFFSET ON OR ORDER OUTER OVER RIGHT SELECT THEN TRUE FALSE UNION USING VALUES WHEN WHERE
    WINDOW WITH""".split()
)
"""Words that are never read as names here."""

_CLAUSES = frozenset("WHERE GROUP HAVING WINDOW ORDER LIMIT".split())
_SET_OPERATORS = frozenset("UNION INTERSECT EXCEPT".split())
_TRAILING = _CLAUSES | _SET_OPERATORS | {"BY", "ALL", "AND", "OR", ";"}
_STRUCTURE = _CLAUSES | _SET_OPERATORS | {"SELECT", "VALUES", "WITH", "FROM", "ON", "JOIN", ","}
_VALUES = frozenset("NULL TRUE FALSE CURRENT_DATE CURRENT_TIME CURRENT_TIMESTAMP END".split())
_OPERATORS = frozenset("= == <> != < <= > >= + - * / % || << >> & | IN".split())


class Lexeme(NamedTuple):
    """A piece of the text; `upper` is a word in capitals, and anything else as it stands."""

    kind: Kind
    text: str
    start: int
    end: int
    upper: str


@dataclass
class Frame:
    """What an open parenthesis holds. The bottom frame is the whole text.

    `clause` is where its reading stands: WITH, SELECT, FROM, WHERE, ... for a query; FROM for a parenthesis of joins;
    USING, WITH (a CTE's column names) or nothing for another. `cte` is the CTE whose body or WITH it is.
    """

    start: int
    parent: Frame | None = None
    before: str = ""
    is_query: bool = False
    clause: str = ""
    in_on: bool = False
    with_start: int = -1
    with_end: int = -1
    cte: str = ""

    @property
    def may_see_more(self) -> bool:
        """Whether a FROM that is still to come or to end, here or around, may declare further names."""
        frame: Frame | None = self
        while frame is not None:
            if frame.is_query and frame.clause in ("WITH", "SELECT", "FROM"):
                return True
            frame = frame.parent
        return False


@dataclass
class Name:
    """An identifier: what it is called (folded), where, and whether a FROM around it was still open there."""

    name: str
    start: int
    qualifier: str = ""
    may_see_more: bool = False


@dataclass
class Reading:
    """What one pass over a text finds."""

    lexemes: list[Lexeme]
    frame: Frame
    declared: dict[str, int] = field(default_factory=dict)
    """Folded name of an alias, CTE or CTE column -> where it is first declared."""
    aliases: dict[str, set[str]] = field(default_factory=dict)
    """Folded alias -> folded names of the tables it stands for (queries in parentheses left out)."""
    columns: list[Name] = field(default_factory=list)
    tables: list[Name] = field(default_factory=list)
    bodies: list[tuple[str, int, int]] = field(default_factory=list)
    """(name, start, end) of each CTE that is complete."""


@dataclass(frozen=True)
class Completion:
    """A query to compile in place of a prefix, and which of an engine's complaints the rest of the text may mend."""

    query: str
    columns_may_come: bool
    widths_may_change: bool
    calls_may_change: bool
    types_may_change: bool
    grouping_may_change: bool


def lexemes_of(text: str) -> Iterator[Lexeme]:
    """The lexemes, comments left out; a quote that is not closed is a sign."""
    end = 0
    # From lexeme to lexeme: a search would begin anew at every blank of a long end.
    while (found := _LEXEME.match(text, end)) is not None:
        kind: Kind = found.lastgroup  # type: ignore[assignment]
        start, end = found.span(kind)
        piece = text[start:end]
        yield Lexeme(kind, piece, start, end, piece.upper() if kind == "word" else piece)


def name_of(lexeme: Lexeme) -> str:
    """The folded name that a word or a quoted identifier spells."""
    if lexeme.kind == "word":
        return fold(lexeme.text)
    quote, inner = lexeme.text[0], lexeme.text[1:-1]
    return fold(inner if quote == "[" else inner.replace(quote * 2, quote))


def is_select(text: str) -> bool:
    """Whether the text begins as a query does."""
    first = next(lexemes_of(text), None)
    return first is not None and first.upper in ("SELECT", "WITH", "VALUES")


@lru_cache(maxsize=4096)
def read(text: str) -> Reading:
    """Read a text. The result is shared: do not change it."""
    return _Reader(text).reading


class _Reader:
    """One pass over the lexemes, with the frame they stand in."""

    def __init__(self, text: str) -> None:
        lexemes = list(lexemes_of(text))
        self.frame = Frame(0)
        self.reading = Reading(lexemes, self.frame)
        nothing = Lexeme("sign", "", len(text), len(text), "")
        before = nothing
        for index, lexeme in enumerate(lexemes):
            after = lexemes[index + 1] if index + 1 < len(lexemes) else nothing
            if lexeme.text == "(":
                self._open(lexeme, before)
            elif lexeme.text == ")":
                self._close(lexeme)
            elif lexeme.kind == "quoted" or (lexeme.kind == "word" and lexeme.upper not in KEYWORDS):
                self._name(lexeme, before, after, lexemes[index - 2] if index > 1 else nothing)
            elif lexeme.upper in _STRUCTURE:
                self._mark(lexeme, before)
            before = lexeme
        self.reading.frame = self.frame

    def _open(self, lexeme: Lexeme, before: Lexeme) -> None:
        frame = self.frame
        inner = Frame(lexeme.end, frame, before.upper)
        if before.upper == "USING":
            inner.clause = "USING"
        elif frame.clause == "WITH" and before.upper not in ("AS", "MATERIALIZED"):
            inner.clause = "WITH"
        elif frame.clause == "WITH":
            inner.cte = frame.cte
        elif frame.clause == "FROM" and not frame.in_on:
            inner.clause = "FROM"
        self.frame = inner

    def _close(self, lexeme: Lexeme) -> None:
        frame = self.frame
        if frame.cte and frame.parent is not None and frame.parent.clause == "WITH":
            self.reading.bodies.append((frame.parent.cte, frame.start, lexeme.start))
        self.frame = frame.parent or frame

    def _mark(self, lexeme: Lexeme, before: Lexeme) -> None:
        """Follow the clauses of the frame."""
        frame, word = self.frame, lexeme.upper
        if word in ("SELECT", "VALUES", "WITH"):
            if word == "WITH":
                frame.with_start = lexeme.start
            elif frame.with_start >= 0 and frame.with_end < 0:
                frame.with_end = lexeme.start
            frame.is_query, frame.clause, frame.in_on = True, word, False
        elif frame.clause == "FROM" and word in ("ON", "JOIN", ","):
            frame.in_on = word == "ON"
        if not frame.is_query:
            return
        if word == "FROM" and frame.clause == "SELECT" and before.upper != "DISTINCT":
            frame.clause, frame.in_on = "FROM", False
        elif word in _CLAUSES and frame.clause != "WITH":
            frame.clause = word
        elif word in _SET_OPERATORS:
            frame.clause = "SET"

    def _name(self, lexeme: Lexeme, before: Lexeme, after: Lexeme, second_before: Lexeme) -> None:
        """File an identifier under what its neighbours make it."""
        frame, reading = self.frame, self.reading
        if lexeme.upper in ("RECURSIVE", "MATERIALIZED") and frame.clause == "WITH":
            return
        name = name_of(lexeme)
        if frame.clause == "WITH":
            reading.declared.setdefault(name, lexeme.start)
            if frame.is_query:
                frame.cte = name
        elif after.text == "." or (after.text == "(" and lexeme.kind == "word"):
            return
        elif before.text == ".":
            found = Name(name, second_before.start, name_of(second_before), frame.may_see_more)
            reading.columns.append(found)
        elif before.upper == "AS" or _ends_value(before):
            reading.declared.setdefault(name, lexeme.start)
            table = second_before if before.upper == "AS" else before
            if reading.tables and reading.tables[-1].start == table.start:
                reading.aliases.setdefault(name, set()).add(reading.tables[-1].name)
        elif frame.clause == "FROM" and not frame.in_on:
            reading.tables.append(Name(name, lexeme.start, may_see_more=True))
        else:
            reading.columns.append(Name(name, lexeme.start, may_see_more=frame.may_see_more))


def _ends_value(lexeme: Lexeme) -> bool:
    """Whether a value or a table ends here, so that a name right after it is its alias."""
    if lexeme.kind == "word":
        return lexeme.upper not in KEYWORDS or lexeme.upper in _VALUES
    return lexeme.kind != "sign" or lexeme.text == ")"


def completion(text: str) -> Completion | None:
    """A query that SQLite rejects for what it means only if every completion of `text` is wrong as well.

    The text ends where a clause ends, or right after the words that begin another. None: nothing to say yet.

    The innermost open query is closed. If the query around it has its FROM already, that one is closed too, and so
    on outwards; otherwise the inner one is judged alone, and what the outer ones may supply is forgiven.
    """
    reading = read(text)
    count = len(reading.lexemes)
    while count and reading.lexemes[count - 1].upper in _TRAILING:
        count -= 1
    if count == len(reading.lexemes):
        return _close(text, reading.frame)
    first_cut = reading.lexemes[count]
    if first_cut.upper in ("AND", "OR") and reading.frame.clause == "FROM":
        return None
    kept = text[: first_cut.start]
    return _close(kept, read(kept).frame, is_condition=first_cut.upper in ("AND", "OR"))


def _close(text: str, innermost: Frame, is_condition: bool = False) -> Completion | None:
    """Close frames outwards from `innermost` as far as they can be judged."""
    unit, closing, columns_may_come, widths_may_change = innermost, "", False, False
    while not unit.is_query:
        if unit.parent is None:
            return None
        unit, closing = unit.parent, closing + ")"
    if unit.clause not in _FROM_KNOWN or (closing and unit.clause == "FROM"):
        return None
    calls_may_change = bool(closing)
    grouping_may_change = unit.clause in _BEFORE_GROUP or (unit.clause == "GROUP" and (is_condition or bool(closing)))
    types_may_change = calls_may_change
    while unit.parent is not None:
        around, between = unit.parent, 0
        while not around.is_query and around.parent is not None:
            around, between = around.parent, between + 1
        if _is_source(unit):  # neither its siblings are visible in it nor can they be judged yet
            columns_may_come = around.parent is not None
            break
        if around.clause not in _CLAUSES:
            columns_may_come = True
            break
        calls_may_change |= between > 0
        widths_may_change |= between > 0 or unit.before not in _OPERATORS
        unit, closing = around, closing + ")" * (between + 1)
        types_may_change = True  # (SELECT name ...) may become (SELECT name ...)::int
        grouping_may_change |= unit.clause in _BEFORE_GROUP or unit.clause == "GROUP"
    query = _under_ctes(text[unit.start :] + closing, text, unit)
    if query is None:
        return None
    # SQLite counts columns last, and not at all in a column of a subquery that nothing uses.
    widths_may_change |= calls_may_change or unit.parent is not None
    return Completion(
        query, columns_may_come, widths_may_change, calls_may_change, types_may_change, grouping_may_change
    )


_FROM_KNOWN = _CLAUSES | {"FROM"}
_BEFORE_GROUP = frozenset({"SELECT", "FROM", "WHERE"})


def _is_source(frame: Frame) -> bool:
    """Whether the frame stands where FROM expects a table, or is the body of a CTE."""
    parent = frame.parent
    return parent is not None and (parent.clause == "WITH" or (parent.clause == "FROM" and not parent.in_on))


def _under_ctes(query: str, text: str, unit: Frame) -> str | None:
    """`query` below the CTEs of the queries around `unit`; None inside a CTE.

    A CTE may name itself and those after it, and SQLite does not look into one that is never used.
    """
    outer = unit.parent
    while outer is not None:
        if outer.clause == "WITH":
            return None
        if outer.with_start >= 0:
            query = f"{text[outer.with_start : outer.with_end]} SELECT * FROM ({query})"
        outer = outer.parent
    return query


_STRINGS = {
    "postgres": re.compile(
        r"""(?P<other>'(?:[^']|'')*'|"(?:[^"]|"")*")|\b[eE]'(?P<inner>(?:[^'\\]|''|\\.)*)(?:'|\Z)""", re.S
    ),
    "mysql": re.compile(
        r"""(?P<other>`(?:[^`]|``)*`)|'(?P<inner>(?:[^'\\]|''|\\.)*)(?:'|\Z)|"(?P<double>(?:[^"\\]|""|\\.)*)(?:"|\Z)""",
        re.S,
    ),
}


def with_plain_strings(text: str, dialect: str) -> str:
    """The text with its strings in quotes that SQLite's lexemes know: backslashes and other quotes go.

    What the strings say may change where they hold escapes, but not where they end.
    """
    pattern = _STRINGS.get(dialect)
    return text if pattern is None else pattern.sub(_plain_string, text)


def _plain_string(found: re.Match[str]) -> str:
    parts = found.groupdict()
    if parts["other"] is not None:
        return found[0]
    inner = parts["inner"]
    if inner is None:
        inner = parts["double"].replace('""', '"').replace("'", "''")
    inner = re.sub(r"\\(.)", lambda escape: "''" if escape[1] == "'" else "_", inner, flags=re.S)
    return f" '{inner}'" if found[0][0] in "eE" else f"'{inner}'"


def strict(text: str) -> str:
    """The text with `"name"` written `[name]`, which SQLite never takes for a string."""
    pieces, end = [], 0
    for lexeme in lexemes_of(text):
        if lexeme.kind == "quoted" and lexeme.text[0] == '"' and "]" not in lexeme.text:
            inner = lexeme.text[1:-1].replace('""', '"')
            pieces += [text[end : lexeme.start], f"[{inner}]"]
            end = lexeme.end
    return "".join(pieces) + text[end:]


_DROPPED = re.compile(r"(?<![\w.])0+(?![\w.])|\(\s*\)")


def with_nothing_dropped(text: str) -> str:
    """The text with `... AND 0` and `... IN ()` written so that SQLite reads all of it.

    Its parser drops what stands before them unread, wrong names included; a prefix could then never be wrong.
    """
    if _DROPPED.search(text) is None:
        return text
    pieces, end = [], 0
    lexemes = [Lexeme("sign", "", 0, 0, ""), *lexemes_of(text), Lexeme("sign", "", len(text), len(text), "")]
    for before, lexeme, after in zip(lexemes, lexemes[1:], lexemes[2:]):
        if lexeme.kind == "value" and not lexeme.text.strip("0") and {before.upper, after.upper} & {"AND", "(", ")"}:
            pieces += [text[end : lexeme.start], "+0"]
            end = lexeme.end
        elif before.text == "(" and lexeme.text == ")" and text[: before.start].rstrip()[-2:].upper() == "IN":
            pieces += [text[end : lexeme.start], "NULL"]
            end = lexeme.start
    return "".join(pieces) + text[end:]


MAX_EXPANDED_TABLES = 1_000


def expands_too_far(text: str, views: Mapping[str, str]) -> bool:
    """Whether CTEs and views that use each other multiply to more tables than a compiler should see.

    SQLite copies a CTE's body at each use, so n CTEs of two uses each make 2^n tables; compiling them takes
    time and memory that no limit of SQLite's bounds.

    Args:
        views: folded name -> CREATE VIEW statement.
    """
    reading = read(text)
    if not views and not reading.bodies:
        return False
    uses_of = {name: [table.name for table in read(sql).tables] for name, sql in views.items()}
    for name, start, end in reading.bodies:
        uses_of[name] = [table.name for table in reading.tables if start < table.start < end]
    weights: dict[str, int] = {}

    def weight(name: str) -> int:
        if name not in weights:
            weights[name] = 1  # what a recursive CTE's own name stands for
            total = sum(weight(use) for use in uses_of.get(name, ()))
            weights[name] = max(1, min(total, MAX_EXPANDED_TABLES + 1))
        return weights[name]

    return sum(weight(table.name) for table in reading.tables) > MAX_EXPANDED_TABLES
