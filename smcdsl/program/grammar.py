"""Grammars before any vocabulary: rules, expressions, lexing policy.

Two kinds share one type. *Scannerless* grammars (inline rules of a program) mean what formal language
theory says: sequence is concatenation. *Lexed* grammars (`.lark` files) are read as lark's lexer reads
them: text is cut into terminals by `longest` match over all terminals with reserved keywords, or by the
`contextual` lexer, ignored terminals are skipped, and the rules speak about what remains.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from smcdsl.errors import Span
from smcdsl.program.expressions import Argument, Expression
from smcdsl.program.types import Type

Lexing = Literal["scannerless", "longest", "contextual"]
Unit = Literal["tokens", "chars", "words", "lines"]


@dataclass(frozen=True)
class GrammarExpression:
    """Base of the tree. `span` is None for what no text of the user spells."""

    span: Span | None = field(default=None, repr=False, compare=False, kw_only=True)

    @cached_property
    def parts(self) -> tuple[GrammarExpression, ...]:
        """Itself and everything inside it, outer first; references are not followed."""
        found: list[GrammarExpression] = []
        agenda: list[GrammarExpression] = [self]
        while agenda:
            part = agenda.pop()
            found.append(part)
            agenda.extend(reversed(children(part)))
        return tuple(found)


@dataclass(frozen=True)
class LiteralText(GrammarExpression):
    """Exactly this text (its UTF-8 bytes), or any casing of it."""

    text: str
    ignore_case: bool = False


@dataclass(frozen=True)
class Pattern(GrammarExpression):
    """A regular expression in Python's syntax, without look-around and back-references. Flags: of `imsx`."""

    regex: str
    flags: str = ""


@dataclass(frozen=True)
class Concatenation(GrammarExpression):
    """One after the other; empty means the empty text."""

    items: tuple[GrammarExpression, ...]


@dataclass(frozen=True)
class Alternatives(GrammarExpression):
    """Any of them."""

    items: tuple[GrammarExpression, ...]


@dataclass(frozen=True)
class Repeat(GrammarExpression):
    """From `least` to `most` times; `most` None is without end."""

    item: GrammarExpression
    least: int
    most: int | None


@dataclass(frozen=True)
class Intersection(GrammarExpression):
    """Texts of both; at least one side is regular."""

    left: GrammarExpression
    right: GrammarExpression


@dataclass(frozen=True)
class Difference(GrammarExpression):
    """Texts of the left and not of the right, which is regular."""

    left: GrammarExpression
    right: GrammarExpression


@dataclass(frozen=True)
class Reference(GrammarExpression):
    """A rule by name. Before the resolver `path` may also name a declared grammar or `lib.rule`;

    afterwards it is one name that is a key of `Grammar.rules` or `Grammar.terminals`.
    """

    path: tuple[str, ...]
    arguments: tuple[Argument, ...] | None = None

    @property
    def name(self) -> str:
        """The dotted name."""
        return ".".join(self.path)


@dataclass(frozen=True)
class Limit:
    """`unit in least..most`; None is no bound. Before the resolver the bounds may be expressions."""

    unit: Unit
    least: int | Expression | None
    most: int | Expression | None
    span: Span | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class Matches:
    """`matches /r/`: the whole text matches; `excludes /r/`: no part of the text does."""

    pattern: Pattern
    excludes: bool
    span: Span | None = field(default=None, repr=False, compare=False)


Condition = Limit | Matches


@dataclass(frozen=True)
class Restricted(GrammarExpression):
    """`item where condition, condition`."""

    item: GrammarExpression
    conditions: tuple[Condition, ...]


@dataclass(frozen=True)
class SubstringOf(GrammarExpression):
    """Any non-empty substring of a text that is known when the run starts (`std.text.substring_of`)."""

    text: str


@dataclass(frozen=True)
class Automaton(GrammarExpression):
    """A regular language that is already an automaton over bytes; no text spells it.

    State 0 is dead. The tables are bytes, so that equal automata are equal values. One that is no part of
    another expression is minimal.
    """

    next_state: bytes  # (S, 256) little-endian int32
    accepting: bytes  # (S,) 0 or 1
    start: int

    def __repr__(self) -> str:
        digest = hashlib.blake2b(self.next_state + self.accepting, digest_size=16).hexdigest()
        return f"Automaton({len(self.accepting)} states, start {self.start}, {digest})"


@dataclass(frozen=True)
class Embedded(GrammarExpression):
    """A lexed grammar as a part of an inline one: its texts, read by its own lexer."""

    grammar: Grammar


@dataclass(frozen=True)
class Terminal:
    """A lexical symbol of a lexed grammar.

    `order` is lark's order among terminals that match equally long texts: the smaller goes first
    (by priority, then keywords before patterns, then lark's own sort).
    """

    name: str
    definition: GrammarExpression  # regular; refers to `Grammar.fragments` and terminals
    priority: int = 0
    is_keyword: bool = False  # a literal text, reserved under `longest`
    order: int = 0


@dataclass(frozen=True)
class Indenter:
    """Significant indentation, as lark's `Indenter` after the lexer.

    A line break outside brackets compares the column of the next line with the open ones: a deeper one is followed
    by `indent`, a shallower one by a `dedent` for each that it closes. Inside brackets line breaks are ignored.
    """

    newline: str
    """The terminal of a line break with the blanks of the next line."""
    indent: str
    dedent: str
    opens: tuple[str, ...] = ()
    closes: tuple[str, ...] = ()
    tab: int = 8
    """Columns of a tab."""
    flush: bool = False
    """Whether texts begin with no ignored terminal; else blanks before the first line do not matter, as in lark."""


@dataclass(frozen=True)
class Grammar:
    """Rules with a start, closed under references.

    For a scannerless grammar `terminals` is empty and rules hold any expression. For a lexed grammar
    rules hold only Concatenation, Alternatives, Repeat and Reference (to rules and terminals).
    `boundaries` are the rule names that `at` and `each` may use, in order; a rule name of the user's
    file is one, rules that the loader made up are not. `conditions` restrict whole texts.
    """

    name: str
    start: str
    rules: Mapping[str, GrammarExpression]
    lexing: Lexing = "scannerless"
    terminals: Mapping[str, Terminal] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()
    boundaries: tuple[str, ...] = ()
    boundary_of: Mapping[str, str] = field(default_factory=dict)
    """rule -> the boundary whose sites its occurrences are, where that is not the rule's own name: one
    boundary (`clause`) may be several rules (`where_clause`, `order_clause`). Keys are rules, values
    are in `boundaries`; such a boundary need not be a rule itself."""
    conditions: tuple[Condition, ...] = ()
    filters: tuple[tuple[GrammarExpression, bool], ...] = ()
    """(regular expression tree, keep): texts must (keep) or must not be in it: compiled `&` and `-`."""
    value_type: Type | None = None
    fragments: Mapping[str, GrammarExpression] = field(default_factory=dict)
    """Parts of the definitions of terminals, by the names that these refer to; they are no lexical symbols."""
    indenter: Indenter | None = None
    """For lexed grammars: its `indent` and `dedent` are in rules and have no definition in `terminals`."""
    span: Span | None = field(default=None, repr=False, compare=False)

    @cached_property
    def definitions(self) -> dict[str, GrammarExpression]:
        """What the definitions of terminals may refer to."""
        return {**{name: terminal.definition for name, terminal in self.terminals.items()}, **self.fragments}

    @cached_property
    def digest(self) -> str:
        """A hash of everything but places in texts."""
        # The representation of frozen dataclasses is complete and without addresses; spans are left out of it.
        return hashlib.blake2b(repr(self).encode(), digest_size=20).hexdigest()


def children(expression: GrammarExpression) -> tuple[GrammarExpression, ...]:
    """The direct parts of an expression."""
    match expression:
        case Concatenation(items) | Alternatives(items):
            return items
        case Repeat(item, _, _) | Restricted(item, _):
            return (item,)
        case Intersection(left, right) | Difference(left, right):
            return (left, right)
    return ()


def references(expression: GrammarExpression) -> Iterator[Reference]:
    """All references in an expression, from left to right."""
    agenda = [expression]
    while agenda:
        current = agenda.pop()
        if isinstance(current, Reference):
            yield current
        agenda.extend(reversed(children(current)))


def names_in(expression: GrammarExpression) -> set[str]:
    """What an expression refers to."""
    return {reference.name for reference in references(expression)}
