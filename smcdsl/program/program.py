"""Program: the meaning of one .smc text, all names resolved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from smcdsl.errors import Diagnostic, Source, Span
from smcdsl.program.expressions import Expression
from smcdsl.program.grammar import Grammar, GrammarExpression
from smcdsl.program.statements import Statement
from smcdsl.program.types import Parameter, Signature, Type

Method = Literal["smc", "is", "rejection", "rerank", "lcd"]
Scheme = Literal["systematic", "stratified", "residual", "multinomial"]
ReturnView = Literal["posterior", "best", "samples"]


@dataclass(frozen=True)
class Input:
    """A declared input. `default` is already a value; `required` says that there is none."""

    name: str
    type: Type
    required: bool
    default: object
    help: str
    span: Span = field(repr=False, compare=False)


@dataclass(frozen=True)
class ModelSettings:
    """`lm { ... }`: part of the target."""

    temperature: float = 1.0
    thinking: bool = False


@dataclass(frozen=True)
class InferenceProfile:
    """`infer METHOD [NAME] { ... }` with defaults filled in; `set_by_program` names the settings given."""

    method: Method = "smc"
    name: str = ""
    particles: int = 16
    resample: Scheme = "systematic"
    ess_threshold: float = 0.5
    proposal: Literal["mask", "lm"] = "mask"
    seed: int | None = None
    timeout_seconds: float | None = None
    max_tokens: int | None = None
    set_by_program: frozenset[str] = frozenset()
    span: Span | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class Return:
    """`return posterior E`, `return best E`, `return samples(n) E`."""

    view: ReturnView
    expression: Expression
    samples: Expression | None
    type: Type
    span: Span | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class GrammarTest:
    """`accept GRAMMAR "text"` or `reject GRAMMAR "text"`."""

    accept: bool
    grammar: str
    text: str
    span: Span = field(repr=False, compare=False)


@dataclass(frozen=True)
class Test:
    """A test block: inputs, texts that a grammar must accept or reject, claims on the result."""

    name: str
    inputs: Mapping[str, object]
    grammars: tuple[GrammarTest, ...]
    expects: tuple[Expression, ...]
    span: Span = field(repr=False, compare=False)


@dataclass(frozen=True)
class GrammarDeclaration:
    """`grammar name(parameters) = ...`, or a block of rules.

    References in `rules` are resolved (`library.references` has the forms): to a rule of the same
    declaration, to another declaration by its key in `Program.grammars`, or to a library's rule.
    """

    name: str
    parameters: tuple[Parameter, ...]
    start: str
    rules: Mapping[str, GrammarExpression]
    value_type: Type
    span: Span = field(repr=False, compare=False)


@dataclass(frozen=True)
class HoleDeclaration:
    """A hole with what the checker knows of it.

    `grammar` may have the program's inputs as free names in arguments and limits (a schema, a file, a
    number), so the closed `Grammar` is made by `library.binding.bind_hole` when inputs are known.
    Where nothing depends on inputs, `closed` is that grammar already. `boundaries` are the rule names
    that `at` and `each` may use.
    """

    name: str
    collects: bool
    grammar: GrammarExpression
    closed: Grammar | None
    boundaries: tuple[str, ...]
    type: Type
    span: Span = field(repr=False, compare=False)


@dataclass(frozen=True)
class Program:
    """What a text means. Statements, expressions and grammars refer to inputs and holes by name."""

    name: str
    summary: str
    edition: int
    source: Source = field(repr=False)
    inputs: tuple[Input, ...]
    model: ModelSettings
    grammars: Mapping[str, GrammarDeclaration]
    signatures: Mapping[str, Signature]
    holes: Mapping[str, HoleDeclaration]
    body: tuple[Statement, ...]
    returns: Return
    profiles: tuple[InferenceProfile, ...]
    tests: tuple[Test, ...]
    warnings: tuple[Diagnostic, ...] = ()
    files: tuple[str, ...] = ()
    """Every file that was read to make this program: hashed by results and builds."""
    uses_chat: bool = False
    """Whether the transcript is chat turns (else raw text)."""
