"""Statements of a program's transcript. The parser makes them; the resolver fills in what names mean."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from smcdsl.errors import Span
from smcdsl.program.expressions import Expression, Field, Name
from smcdsl.program.grammar import GrammarExpression

TurnRole = Literal["system", "user", "assistant", "text"]


@dataclass(frozen=True)
class Given:
    """Literal characters of a template, dedented, escapes replaced."""

    text: str
    span: Span = field(repr=False, compare=False)


@dataclass(frozen=True)
class Insert:
    """`{{ expression }}`."""

    expression: Expression
    span: Span = field(repr=False, compare=False)


@dataclass(frozen=True)
class Hole:
    """`[[name: grammar]]`; `name` is `_` for text that is generated and forgotten.

    `key` is set by the resolver and tells holes of one name apart (`q[]` written twice, `_`): it is the
    name itself for the first of them, and what `Program.holes` is keyed by.
    """

    name: str
    collects: bool  # name[]
    grammar: GrammarExpression
    span: Span = field(repr=False, compare=False)
    name_span: Span = field(repr=False, compare=False)
    key: str = ""


Part = Given | Insert | Hole


@dataclass(frozen=True)
class Template:
    """A string of the program: given text, insertions and holes, in order."""

    parts: tuple[Part, ...]
    span: Span = field(repr=False, compare=False)


@dataclass(frozen=True)
class Statement:
    """Base of the statements; every one knows its place."""

    span: Span = field(repr=False, compare=False)


@dataclass(frozen=True)
class Turn(Statement):
    """`system`, `user`, `assistant` or `text` with a string or a block (then `body`)."""

    role: TurnRole
    role_span: Span = field(repr=False, compare=False)
    body: tuple[Statement, ...]


@dataclass(frozen=True)
class Text(Statement):
    """A string that stands alone in a turn's block."""

    template: Template


@dataclass(frozen=True)
class Observe(Statement):
    """`observe "text"`: given text whose probability is a factor."""

    template: Template


@dataclass(frozen=True)
class Boundary:
    """What `at` names: `clause`, `q.clause`, `token`, `line`, `end`; `hole` is set by the resolver."""

    name: str
    span: Span = field(repr=False, compare=False)
    hole: str | None = None


@dataclass(frozen=True)
class Each:
    """`each variable in hole.rule`."""

    variable: str
    variable_span: Span = field(repr=False, compare=False)
    source: Field | Name


@dataclass(frozen=True)
class Factor(Statement):
    """`require`, `score` or `guide`, with `at` boundaries or `each`."""

    verb: Literal["require", "score", "guide"]
    expression: Expression
    boundaries: tuple[Boundary, ...] = ()
    each: Each | None = None


@dataclass(frozen=True)
class Let(Statement):
    """`let name = expression`."""

    name: str
    name_span: Span = field(repr=False, compare=False)
    expression: Expression


@dataclass(frozen=True)
class Use(Statement):
    """`use template(arguments)`: gone after the resolver, which puts the template's body in its place."""

    path: tuple[str, ...]
    path_span: Span = field(repr=False, compare=False)
    arguments: tuple[object, ...] = ()  # expressions.Argument


@dataclass(frozen=True)
class Scope(Statement):
    """A template's body with its parameters bound, made by the resolver from `Use`."""

    bindings: tuple[tuple[str, Expression], ...]
    body: tuple[Statement, ...]


@dataclass(frozen=True)
class Break(Statement):
    """Leaves the innermost loop."""


@dataclass(frozen=True)
class Branch(Statement):
    """`if condition { then } else { otherwise }`; `else if` nests."""

    condition: Expression
    then: tuple[Statement, ...]
    otherwise: tuple[Statement, ...] = ()


@dataclass(frozen=True)
class Loop(Statement):
    """`for variable in first { }` over a list, or `for variable in first..last { }` (inclusive)."""

    variable: str
    variable_span: Span = field(repr=False, compare=False)
    first: Expression
    last: Expression | None
    body: tuple[Statement, ...]
