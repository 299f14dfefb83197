"""The expression tree. The parser makes `Name` and `Call`; the resolver replaces calls by what they call.

Evaluation is in two steps, so that potentials are called in batches: `potential_calls` says which calls
an expression needs under an environment, `evaluate` takes their results.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from smcdsl.errors import Span
from smcdsl.program.types import Signature


@dataclass(frozen=True)
class Expression:
    """Base of the tree; every node knows its place."""

    span: Span = field(repr=False, compare=False)


@dataclass(frozen=True)
class Constant(Expression):
    """A literal: str, int, float, bool or None; a duration such as `60s` is a `Duration`."""

    value: str | int | float | bool | None


@dataclass(frozen=True)
class Duration(Expression):
    """`60s`, `40ms`: only in settings."""

    seconds: float


@dataclass(frozen=True)
class Name(Expression):
    """An input, hole, `let`, loop or parameter name; in settings also a bare word such as `closed`."""

    name: str


@dataclass(frozen=True)
class Field(Expression):
    """`base.name`; inside `each x in q.rule` and `at q.rule` a hole and a rule."""

    base: Expression
    name: str
    name_span: Span = field(repr=False, compare=False)


@dataclass(frozen=True)
class Index(Expression):
    """`base[index]`; lists from 0, JSON objects by key."""

    base: Expression
    index: Expression


@dataclass(frozen=True)
class Argument:
    """`value` or `name: value`."""

    value: Expression
    name: str | None = None
    name_span: Span | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class Call(Expression):
    """`path(arguments)` before the resolver; `path` is ("sql", "runs") or ("chars",)."""

    path: tuple[str, ...]
    path_span: Span = field(repr=False, compare=False)
    arguments: tuple[Argument, ...] = ()


@dataclass(frozen=True)
class BuiltinCall(Expression):
    """A call of a function of `program.builtins`."""

    function: str
    arguments: tuple[Expression, ...] = ()


@dataclass(frozen=True)
class FunctionCall(Expression):
    """A call of a potential or of a library's helper; arguments in the order of the signature.

    `arguments[i]` is None where a parameter keeps its default.
    """

    signature: Signature
    arguments: tuple[Expression | None, ...] = ()


@dataclass(frozen=True)
class Inlined(Expression):
    """A call of a potential defined by an expression: its body with the parameters bound."""

    name: str
    parameters: tuple[str, ...]
    arguments: tuple[Expression, ...]
    body: Expression
    log: bool = False
    """The declared result is `logweight`: the value is exp(body)."""


@dataclass(frozen=True)
class Unary(Expression):
    """`-x` or `not x`."""

    operator: Literal["-", "not"]
    operand: Expression


@dataclass(frozen=True)
class Binary(Expression):
    """Arithmetic, comparison, `in`, `and`, `or` (these two evaluate the right side only if needed)."""

    operator: Literal["+", "-", "*", "/", "^", "==", "!=", "<", "<=", ">", ">=", "in", "and", "or"]
    left: Expression
    right: Expression
    operator_span: Span = field(repr=False, compare=False)


@dataclass(frozen=True)
class Maybe(Expression):
    """`e?`: a value that may not have been generated; null then."""

    operand: Expression


@dataclass(frozen=True)
class Record(Expression):
    """`{ a: x, b: y }`."""

    fields: tuple[tuple[str, Expression], ...]


@dataclass(frozen=True)
class ListOf(Expression):
    """`[x, y]`: in defaults and tests."""

    items: tuple[Expression, ...]
