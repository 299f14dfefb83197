"""Asking an engine about a query: does it compile, does it run, can a prefix still become right?

Every function returns what is wrong, in the engine's own words, or None.
"""

from __future__ import annotations

from smcdsl.potentials._sql_complaints import DUCKDB, SQLITE
from smcdsl.potentials._sql_database import Database, database
from smcdsl.potentials._sql_dialects import dialect_of
from smcdsl.potentials._sql_duckdb import DuckDatabase, duck_database
from smcdsl.potentials._sql_limits import MAX_QUERY_CHARACTERS
from smcdsl.potentials._sql_outcomes import Outcome
from smcdsl.potentials._sql_text import (
    completion,
    expands_too_far,
    is_select,
    strict,
    with_nothing_dropped,
    with_plain_strings,
)


def compile_error(q: str, db: str, identifiers: str = "legacy", dialect: str = "sqlite") -> str | None:
    """What the engine has against compiling `q`."""
    if identifiers not in ("legacy", "strict"):
        raise ValueError(f"identifiers is `legacy` or `strict`, not {identifiers!r}")
    opened = database(db)
    if (wrong := _form_error(q)) is not None:
        return wrong
    if expands_too_far(with_plain_strings(q, dialect), opened.schema.views):
        return "its common table expressions or views multiply too often"
    if not dialect_of(dialect).is_sqlite:
        return _engine(db, dialect).compile_error(q)
    return opened.compile_error(with_nothing_dropped(strict(q) if identifiers == "strict" else q))


def prefix_error(q: str, db: str, identifiers: str = "legacy", dialect: str = "sqlite") -> str | None:
    """What is wrong with every completion of `q`, which ends where a clause ends."""
    if (wrong := _form_error(q)) is not None or (completed := completion(with_plain_strings(q, dialect))) is None:
        return wrong
    wrong = compile_error(completed.query, db, identifiers, dialect)
    complaints = SQLITE if dialect_of(dialect).is_sqlite else DUCKDB
    return wrong if wrong is not None and complaints.final(wrong, completed) else None


def outcome(q: str, db: str, dialect: str = "sqlite", *, keep_rows: bool = False) -> Outcome:
    """What becomes of `q` when it runs; one that does not compile fails with what is wrong."""
    wrong = compile_error(q, db, dialect=dialect)
    return _engine(db, dialect).execute(q, keep_rows=keep_rows) if wrong is None else Outcome(wrong)


def _engine(db: str, dialect: str) -> Database | DuckDatabase:
    opened = database(db)
    return opened if dialect_of(dialect).is_sqlite else duck_database(*opened.file, dialect)


def _form_error(q: str) -> str | None:
    """What is wrong with the text before any schema is asked; as final for a prefix as for a whole query."""
    if len(q) > MAX_QUERY_CHARACTERS:
        return f"the query is longer than {MAX_QUERY_CHARACTERS:,} characters"
    return None if is_select(q) else "it is not a SELECT statement"
