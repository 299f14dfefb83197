"""The syntax tree: declarations as written, names not yet resolved.

Expressions, grammar expressions and statements are the nodes of `smcdsl.program`, before resolution.
Comments are kept beside the tree, by position, for the formatter.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from smcdsl.errors import Source, Span
from smcdsl.program.expressions import Expression
from smcdsl.program.grammar import GrammarExpression
from smcdsl.program.statements import Statement


@dataclass(frozen=True)
class Word:
    """A name with its place."""

    text: str
    span: Span = field(repr=False, compare=False)


@dataclass(frozen=True)
class TypeExpression:
    """`str`, `list[T]`, `"a" | "b"`."""

    name: str  # "choices" for the last form
    span: Span = field(repr=False, compare=False)
    item: TypeExpression | None = None
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class ParameterSyntax:
    """`name: type` of a grammar, potential or template."""

    name: Word
    type: TypeExpression


@dataclass(frozen=True)
class Setting:
    """`name: value [when condition]`; `max: 600 tokens` has the unit `tokens`."""

    name: Word
    value: Expression
    when: Expression | None = None
    unit: Word | None = None


@dataclass(frozen=True)
class Declaration:
    """Base of the declarations. `span` covers the whole; `keyword` its first word."""

    span: Span = field(repr=False, compare=False)
    keyword: Span = field(repr=False, compare=False)


@dataclass(frozen=True)
class Import(Declaration):
    """`import sql [as s]`, `import "file.smc" as p`, `import potential "file.py" as p`."""

    kind: Literal["library", "module", "potential"]
    target: Word  # dotted name, or the path without quotes
    alias: Word | None


@dataclass(frozen=True)
class InputSyntax(Declaration):
    """`input name: type [= default] ["help"]`."""

    name: Word
    type: TypeExpression
    default: Expression | None
    help: str | None


@dataclass(frozen=True)
class ModelBlock(Declaration):
    """`lm { ... }`."""

    settings: tuple[Setting, ...]


@dataclass(frozen=True)
class GrammarSyntax(Declaration):
    """`grammar name [params] = expression [as type]` or with a block of rules (then `rules`)."""

    name: Word
    parameters: tuple[ParameterSyntax, ...]
    expression: GrammarExpression | None
    rules: tuple[tuple[Word, GrammarExpression], ...]
    as_type: Word | None


@dataclass(frozen=True)
class PotentialSyntax(Declaration):
    """`potential name(params) -> result = expression [settings]`; `py("...")` is a Call of path ("py",)."""

    name: Word
    parameters: tuple[ParameterSyntax, ...]
    result: Word
    expression: Expression
    settings: tuple[Setting, ...]


@dataclass(frozen=True)
class TemplateSyntax(Declaration):
    """`template name(params) { ... }`."""

    name: Word
    parameters: tuple[ParameterSyntax, ...]
    body: tuple[Statement, ...]


@dataclass(frozen=True)
class Generate(Declaration):
    """`generate { ... }`."""

    body: tuple[Statement, ...]


@dataclass(frozen=True)
class ReturnSyntax(Declaration):
    """`return [best | posterior | samples(n)] expression [by key]`; `view` None where left out."""

    view: Literal["posterior", "best", "samples"] | None
    view_span: Span | None = field(repr=False, compare=False)
    samples: Expression | None
    expression: Expression
    key: Expression | None = None


@dataclass(frozen=True)
class Infer(Declaration):
    """`infer METHOD [NAME] { ... }`."""

    method: Word
    name: Word | None
    settings: tuple[Setting, ...]


@dataclass(frozen=True)
class TestInput:
    """`name: value` of a test."""

    name: Word
    value: Expression


@dataclass(frozen=True)
class TestText:
    """`accept GRAMMAR "text"` or `reject ...`."""

    accept: bool
    grammar: Word
    text: str
    text_span: Span = field(repr=False, compare=False)
    span: Span = field(repr=False, compare=False)


@dataclass(frozen=True)
class TestExpect:
    """`expect expression`."""

    expression: Expression
    span: Span = field(repr=False, compare=False)


@dataclass(frozen=True)
class TestSyntax(Declaration):
    """`test "name" { ... }`."""

    name: str
    items: tuple[TestInput | TestText | TestExpect, ...]


@dataclass(frozen=True)
class Comment:
    """`# ...` up to the end of its line."""

    text: str
    span: Span = field(repr=False, compare=False)


@dataclass(frozen=True)
class SyntaxTree:
    """One file. `broken` are the spans of statements that were skipped after a mistake.

    The resolver stays silent about names that a broken span mentions or would have introduced.
    """

    source: Source = field(repr=False)
    edition: int
    kind: Literal["program", "module"]
    name: Word | None
    summary: str | None
    declarations: tuple[Declaration, ...]
    comments: tuple[Comment, ...] = ()
    broken: tuple[Span, ...] = ()
