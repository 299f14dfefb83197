"""Value types, and the signatures of potentials, grammars and built-ins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from smcdsl.errors import Span

TypeName = Literal[
    "str", "int", "float", "bool", "file", "json", "sqlite", "list", "record", "weight", "logweight", "grammar", "any"
]


@dataclass(frozen=True)
class Type:
    """A value type. `list` has an item; a `str` may be one of `choices`; `T?` is `optional`.

    `weight` and `logweight` are results of potentials only; `any` fits everything (what a JSON value's
    field gives); `record` has `fields`.
    """

    name: TypeName
    item: Type | None = None
    choices: tuple[str, ...] = ()
    fields: tuple[tuple[str, Type], ...] = ()
    optional: bool = False

    def __str__(self) -> str:
        if self.name == "list":
            text = f"list[{self.item}]"
        elif self.choices:
            text = " | ".join(f'"{choice}"' for choice in self.choices)
        elif self.name == "record":
            text = "{ " + ", ".join(f"{name}: {type_}" for name, type_ in self.fields) + " }"
        else:
            text = self.name
        return text + ("?" if self.optional else "")


STR, INT, FLOAT, BOOL = Type("str"), Type("int"), Type("float"), Type("bool")
FILE, JSON, SQLITE = Type("file"), Type("json"), Type("sqlite")
WEIGHT, LOGWEIGHT, ANY, GRAMMAR = Type("weight"), Type("logweight"), Type("any"), Type("grammar")


def list_of(item: Type) -> Type:
    """`list[item]`."""
    return Type("list", item=item)


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
