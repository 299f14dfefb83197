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

Method = Literal["smc", "is", "rejection", "rerank", "lcd", "beam"]
Scheme = Literal["ssp", "systematic", "stratified", "residual", "multinomial"]
Lookahead = Literal["off", "learned", "fixed", "guides"]
DRAFTS = ("none", "forced", "suffix", "self")
"""Drafts that need no other model."""
MOST_GAMMA = 64
LEAST_LENIENCE = 0.5
Proposal = Literal["auto", "mask", "awrs", "lm", "select"]
Previews = Literal["now", "late"]
FEWEST_ISLANDS = 4
"""With fewer, their spread says little of the error of their mean."""
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
    """`lm { ... }`: part of the target.

    `temperature` changes each next-token law, normalised anew; `power` is an exponent on the probability of the
    whole text.
    """

    temperature: float = 1.0
    power: float = 1.0
    thinking: bool = False


@dataclass(frozen=True)
class InferenceProfile:
    """`infer METHOD [NAME] { ... }` with defaults filled in; `set_by_program` names the settings given.

    `draft` is `none`, `forced`, `suffix`, `self`, or the name of a model.
    """

    method: Method = "smc"
    name: str = ""
    particles: int = 16
    resample: Scheme = "ssp"
    ess_threshold: float = 0.5
    proposal: Proposal = "auto"
    lookahead: Lookahead = "off"
    seed: int | None = None
    timeout_seconds: float | None = None
    max_tokens: int | None = None
    islands: int = 1
    grow: int = 0
    grow_ess: float = 0.0
    retry: int = 0
    refine: int = 0
    draft: str = "none"
    gamma: int | Literal["auto"] = 4
    lenience: float = 1.0
    temper: float | Literal["auto"] = 1.0
    previews: Previews = "now"
    proposal_temperature: float | Literal["auto"] = 1.0
    set_by_program: frozenset[str] = frozenset()
    span: Span | None = field(default=None, repr=False, compare=False)
    draft_span: Span | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class Return:
    """`return posterior E`, `return best E`, `return samples(n) E`; with `by KEY`, values of equal keys are one."""

    view: ReturnView
    expression: Expression
    samples: Expression | None
    type: Type
    span: Span | None = field(default=None, repr=False, compare=False)
    key: Expression | None = None


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
