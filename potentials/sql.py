"""SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from smcdsl.program.grammar import Grammar


def specialize(grammar: Grammar, rule: str, arguments: dict[str, Any]) -> Grammar:
    """Bind the grammar `sql.select` to its arguments; called when a program's inputs are known.

    Raises:
        UsageError: E0802, `schema` is not a SQLite database.
        ValueError: an argument that no grammar can be made for.
    """
    from smcdsl.potentials._sql_grammar import bind, schema_argument

    return bind(grammar, schema_argument(arguments.get("schema")), str(arguments.get("start") or rule))
