"""Value types, and the signatures of potentials, grammars and built-ins."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

from smcdsl.errors import Span

TypeName = Literal[
    "str",
    "int",
    "float",
    "bool",
    "file",
    "json",
    "sqlite",
    "list",
    "record",
    "weight",
    "logweight",
    "grammar",
    "union",
    "null",
    "any",
]

SIMPLE_NAMES: tuple[TypeName, ...] = ("str", "int", "float", "bool", "file", "json", "sqlite")
"""The types a program may write by name."""


@dataclass(frozen=True)
class Type:
    """A value type. `list` has an item; a `str` may be one of `choices`; `T?` is `optional`.

    `weight` and `logweight` are results of potentials only; `any` fits everything (what a JSON value's
    field gives); `record` has `fields`; `union` has `alternatives` (parameters of library grammars, such
    as `sqlite | json`); `null` is the type of the word `null`.
    """

    name: TypeName
    item: Type | None = None
    choices: tuple[str, ...] = ()
    fields: tuple[tuple[str, Type], ...] = ()
    optional: bool = False
    alternatives: tuple[Type, ...] = ()

    def __str__(self) -> str:
        if self.name == "list":
            text = f"list[{self.item}]"
        elif self.choices:
            text = " | ".join(f'"{choice}"' for choice in self.choices)
        elif self.name == "union":
            text = " | ".join(str(alternative) for alternative in self.alternatives)
        elif self.name == "record":
            text = "{ " + ", ".join(f"{name}: {type_}" for name, type_ in self.fields) + " }"
        else:
            text = self.name
        return text + ("?" if self.optional else "")


STR, INT, FLOAT, BOOL = Type("str"), Type("int"), Type("float"), Type("bool")
FILE, JSON, SQLITE = Type("file"), Type("json"), Type("sqlite")
WEIGHT, LOGWEIGHT, ANY, GRAMMAR = Type("weight"), Type("logweight"), Type("any"), Type("grammar")
NULL = Type("null")


def list_of(item: Type) -> Type:
    """`list[item]`."""
    return Type("list", item=item)


def choice_of(choices: tuple[str, ...]) -> Type:
    """`"a" | "b"`."""
    return Type("str", choices=choices)


def union_of(alternatives: tuple[Type, ...]) -> Type:
    """`a | b`; one alternative is itself, texts become choices."""
    if len(alternatives) == 1:
        return alternatives[0]
    if all(alternative.choices for alternative in alternatives):
        return choice_of(tuple(choice for alternative in alternatives for choice in alternative.choices))
    return Type("union", alternatives=alternatives)


_TYPE_TOKEN = re.compile(r'\s*("(?:[^"\\]|\\.)*"|[A-Za-z_]\w*|[][|?])')


def parse_type(text: str) -> Type:
    """The type written as `str`, `list[T]`, `"a" | "b"`, `sqlite | json` or `T?` (headers of library grammars).

    Raises:
        ValueError: it is not a type.
    """
    words, position = [], 0
    while position < len(text.rstrip()):
        match = _TYPE_TOKEN.match(text, position)
        if match is None:
            raise ValueError(f"{text.strip()!r} is not a type")
        words.append(match[1])
        position = match.end()
    parsed, rest = _parse_union(words)
    if rest:
        raise ValueError(f"{text.strip()!r} is not a type")
    return parsed


def _parse_union(words: list[str]) -> tuple[Type, list[str]]:
    alternatives = []
    while True:
        alternative, words = _parse_single(words)
        alternatives.append(alternative)
        if words[:1] != ["|"]:
            return union_of(tuple(alternatives)), words
        words = words[1:]


def _parse_single(words: list[str]) -> tuple[Type, list[str]]:
    word, rest = (words[0], words[1:]) if words else ("", [])
    if word.startswith('"'):
        parsed = choice_of((word[1:-1],))
    elif word == "list" and rest[:1] == ["["]:
        item, rest = _parse_union(rest[1:])
        if rest[:1] != ["]"]:
            raise ValueError("a `[` is not closed")
        parsed, rest = list_of(item), rest[1:]
    elif word in ("any", "null", *SIMPLE_NAMES):
        parsed = Type(word)
    else:
        raise ValueError(f"{word!r} is not a type")
    if rest[:1] == ["?"]:
        parsed, rest = replace(parsed, optional=True), rest[1:]
    return parsed, rest


@dataclass(frozen=True)
class Parameter:
    """A parameter; `required` is false where the declaration gives a default."""

    name: str
    type: Type
    required: bool = True
    default: object = None


@dataclass(frozen=True)
class PotentialFacts:
    """`smcdsl.protocols.Facts` as read from a text, before anything is imported."""

    prefix: Literal["none", "closed", "any"] = "none"
    cost_seconds: float | None = None
    pure: bool = True
    batch: bool = False
    timeout_seconds: float | None = None
    on_error: Literal["fail", "zero", "one"] = "fail"
    on_timeout: Literal["fail", "zero", "one"] = "fail"
    workers: int = 0
    version: str = ""
    cache: bool = False


@dataclass(frozen=True)
class PythonLocation:
    """Where a function is: an installed module, or a project's own file; never both."""

    function: str
    module: str = ""
    path: str = ""
    line: int = 0


@dataclass(frozen=True)
class Signature:
    """A potential or library function as the checker sees it.

    `is_potential` is false for plain helpers of a library that templates and expressions may call
    anywhere (such as `sql.ddl`): pure, total, cheap. `batched` is the index of the parameter that a
    batch potential takes as a list, or -1.
    """

    name: str  # as the program writes it: "sql.runs"
    parameters: tuple[Parameter, ...]
    result: Type
    facts: PotentialFacts
    location: PythonLocation
    is_potential: bool = True
    batched: int = -1
    doc: str = ""
    declared: Span | None = None
    untyped: tuple[str, ...] = ()
    """Parameters of a Python function that have no annotation, and `return` if its result has none."""


@dataclass(frozen=True)
class GrammarSignature:
    """A rule of a library that programs may call: `sql.select(dialect: ..., schema: ...)`."""

    name: str  # as the program writes it: "sql.select"
    rule: str
    parameters: tuple[Parameter, ...]
    doc: str = ""
    declared: Span | None = None

    def __str__(self) -> str:
        return f"{self.name}({', '.join(map(parameter_text, self.parameters))})"


def parameter_text(parameter: Parameter) -> str:
    """`dialect: str = "sqlite"`."""
    text = f"{parameter.name}: {parameter.type}"
    if parameter.required or parameter.default is None:
        return text
    default = f'"{parameter.default}"' if isinstance(parameter.default, str) else str(parameter.default).lower()
    return f"{text} = {default}"
