"""What names in grammar expressions become once they are resolved.

`grammar.Reference` is a name as written, or a rule of the same closed `Grammar`. Between the two, in a
`Program`, a reference says whose rule it is; `library.binding` closes it under the values of inputs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from smcdsl.program.expressions import Expression
from smcdsl.program.grammar import GrammarExpression
from smcdsl.program.types import GrammarSignature

NamedArguments = tuple[tuple[str, Expression], ...]


@dataclass(frozen=True)
class DeclaredReference(GrammarExpression):
    """A rule of a grammar that this program or a module declares: a key of `Program.grammars` and a rule of it."""

    declaration: str
    rule: str
    arguments: NamedArguments = ()


@dataclass(frozen=True)
class StandardReference(GrammarExpression):
    """A rule of `std.text`; `argument` is the text of `substring_of`."""

    rule: str
    argument: Expression | None = None


Notation = Literal["lark", "gbnf", "json.schema"]
"""How a grammar file is written."""


@dataclass(frozen=True)
class GrammarFile:
    """A grammar file that was read: the name to show, its text, and where its own imports are looked for."""

    name: str
    text: str
    import_paths: tuple[str, ...] = ()
    notation: Notation = "lark"


@dataclass(frozen=True)
class LibraryReference(GrammarExpression):
    """A rule of a grammar file: `sql.select(schema: db)`, `lark("own.lark", start: "stmt")`, `gbnf("own.gbnf")`.

    The rule of a JSON schema is how it treats white space, as it has no names of rules to start with.

    `specialize` names the function that fits the grammar to its arguments when they are known:
    `module:function`, or `file.py:function` for a project's own.
    """

    signature: GrammarSignature
    file: GrammarFile
    arguments: NamedArguments = ()
    boundaries: tuple[str, ...] = ()
    specialize: str = ""
