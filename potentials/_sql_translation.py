"""From one dialect to another, by sqlglot."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from smcdsl.potentials._sql_dialects import dialect_of


@lru_cache(maxsize=4096)
def translated(query: str, source: str, target: str) -> str:
    """The query in dialect `target`, which may also be `duckdb`.

    Raises:
        ValueError: sqlglot cannot read the query, or a dialect is none.
    """
    tree = parsed(query, source)
    if target == "ansi":
        _fetch_for_limit(tree)
    name = target if target == "duckdb" else dialect_of(target).name
    return tree.sql(_sqlglot_name(name), comments=False)


def parsed(query: str, source: str) -> Any:
    """sqlglot's tree of one query; `ValueError` where it reads none or several."""
    from sqlglot import exp, parse
    from sqlglot.errors import SqlglotError

    try:
        trees = parse(query, read=_sqlglot_name(dialect_of(source).name))
    except (SqlglotError, RecursionError) as error:
        raise ValueError(f"sqlglot cannot read the query: {str(error).splitlines()[0]}") from error
    if len(trees) != 1 or not isinstance(trees[0], exp.Query):
        raise ValueError("sqlglot cannot read the query: it is not one SELECT statement")
    return trees[0]


def _sqlglot_name(dialect: str) -> str:
    return "" if dialect == "ansi" else dialect


def _fetch_for_limit(tree: Any) -> None:
    """Write LIMIT and OFFSET as the standard does."""
    from sqlglot import exp

    for limit in list(tree.find_all(exp.Limit)):
        limit.replace(exp.Fetch(direction="FIRST", count=limit.expression))
    for offset in list(tree.find_all(exp.Offset)):
        offset.set("expression", exp.Var(this=f"{offset.expression.sql()} ROWS"))
