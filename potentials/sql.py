"""SQL: is a query right, does it run, what does it return?

    import sql

    grammar query = sql.select(schema: db)
    ...
    require sql.known_column(c, q, db) each c in q.column
    require sql.runs(q, db) at clause
    score   sql.returns_rows(q, db)

`sql.ddl(db)` writes the schema for a prompt, `sql.translate` a query in another dialect. Of a query `q`:

| | complete | as far as it is written, at a clause |
|---|---|---|
| `resolves` | the engine compiles it | names, calls and widths of its finished clauses are right |
| `runs` | it runs to its end within limits | as `resolves` |
| `returns_rows` | 1 with a row, 0.1 without, 0 if it fails | |
| `column_kinds` | how many of its columns are of the expected kinds | |
| `row_recall` | how many of the example rows it returns | |
| `cost_guard` | 1 up to a number of instructions, then less | |
| `same_result` | returns the rows of another query | |
| `result_key` | what it returns, for `return posterior q by sql.result_key(q, db)` | |
| `grouped` | shows no column that its GROUP BY leaves open | |
| `known_column`, `known_table` | the name is the schema's or declared in `q` | it is, or may still be declared |

A prefix is judged without parsing it: at a clause it is closed to a whole query, which the engine compiles against
an empty copy of the schema. Only complaints about meaning that no continuation can mend count.

Engines: SQLite for `dialect: "sqlite"`; DuckDB for `postgres`, `mysql` and `ansi`, after translation by sqlglot, with
the rows of the SQLite file under its declared types (the extra `duckdb`). Queries run in a process of their own that
can be killed; reading only, nothing but the database's tables, with limits on sizes, instructions, memory and time.
A damaged or missing file raises UsageError (E0802). sqlglot and DuckDB are imported when they are first needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from smcdsl.protocols import Sqlite, Weight, potential

if TYPE_CHECKING:
    from smcdsl.program.grammar import Grammar

EMPTY_WEIGHT = 0.1
"""What `returns_rows` gives a query that runs and returns nothing: less likely meant, but possible."""

UNLIKE_WEIGHT = 0.01
"""The least that `column_kinds` and `row_recall` give a query that runs: what is expected may be wrong."""


def specialize(grammar: Grammar, rule: str, arguments: dict[str, Any]) -> Grammar:
    """Bind the grammar `sql.select` to its arguments; called when a program's inputs are known.

    Raises:
        UsageError: E0802, `schema` is not a SQLite database, or names no tables.
    """
    from smcdsl.potentials._sql_dialects import dialect_of
    from smcdsl.potentials._sql_grammar import bind, schema_argument

    dialect = dialect_of(arguments.get("dialect", "sqlite"))
    return bind(grammar, dialect, schema_argument(arguments.get("schema")), str(arguments.get("start") or rule))


def ddl(db: Sqlite) -> str:
    """The tables as CREATE TABLE lines in order of creation: names, types and keys, nothing else."""
    from smcdsl.potentials._sql_database import database

    return database(db).schema.ddl()


def translate(q: str, source: str, target: str) -> str:
    """`q` of dialect `source` in dialect `target` (`sqlite`, `postgres`, `mysql` or `ansi`), by sqlglot.

    Raises:
        ValueError: sqlglot cannot read `q`, or a dialect is none of these.
    """
    from smcdsl.potentials._sql_translation import translated

    return translated(q, source, target)


@potential(prefix="closed", cost="20us", prefix_form="_known_column_so_far")
def known_column(c: str, q: str, db: Sqlite, dialect: str = "sqlite") -> bool:
    """Whether `c` (`name` or `table.name`) names a column of the schema, or one that `q` declares where it is used."""
    return _known("known_column", c, q, db, dialect, complete=True)


def _known_column_so_far(c: str, q: str, db: Sqlite, dialect: str = "sqlite") -> bool:
    """`known_column` for a prefix: what the rest may declare counts as known."""
    return _known("known_column", c, q, db, dialect, complete=False)


@potential(prefix="closed", cost="20us", prefix_form="_known_table_so_far")
def known_table(t: str, q: str, db: Sqlite, dialect: str = "sqlite") -> bool:
    """Whether `t` names a table or view of the schema, or a CTE of `q`."""
    return _known("known_table", t, q, db, dialect, complete=True)


def _known_table_so_far(t: str, q: str, db: Sqlite, dialect: str = "sqlite") -> bool:
    """`known_table` for a prefix: inside a WITH, a later CTE may still be called so."""
    return _known("known_table", t, q, db, dialect, complete=False)


@potential(prefix="closed", cost="50us", prefix_form="_resolves_so_far", explanation="_why_not_resolved")
def resolves(q: str, db: Sqlite, identifiers: str = "legacy", dialect: str = "sqlite") -> bool:
    """Whether the engine compiles `q`: names, scopes, calls, widths of set operations and subqueries.

    Also what SQLite would drop unread (`... AND 0`, `... IN ()`) must be right. In other dialects than SQLite's, types
    must fit, and a grouped query shows only what its group fixes.

    Args:
        identifiers: of SQLite: `legacy` reads an unknown `"name"` as a string, as SQLite does; `strict` does not.
    """
    from smcdsl.potentials._sql_judging import compile_error

    return compile_error(q, db, identifiers, dialect) is None


def _resolves_so_far(q: str, db: Sqlite, identifiers: str = "legacy", dialect: str = "sqlite") -> bool:
    """`resolves` for a text that ends where a clause ends: no if every completion is wrong.

    At another boundary (`at table`) a FROM that goes on would be taken for finished; use `at clause`.
    """
    from smcdsl.potentials._sql_judging import prefix_error

    return prefix_error(q, db, identifiers, dialect) is None


@potential(prefix="closed", cost="200us", prefix_form="_runs_so_far", explanation="_why_not")
def runs(q: str, db: Sqlite, dialect: str = "sqlite") -> bool:
    """Whether `q` is one SELECT statement and runs to its end, within the limits, without an error."""
    from smcdsl.potentials._sql_judging import outcome

    return outcome(q, db, dialect).error is None


def _runs_so_far(q: str, db: Sqlite, dialect: str = "sqlite") -> bool:
    """`resolves` for a text that ends where a clause ends."""
    return _resolves_so_far(q, db, dialect=dialect)


@potential(prefix="none", cost="200us", explanation="_why_not")
def returns_rows(q: str, db: Sqlite, dialect: str = "sqlite") -> Weight:
    """1 if `q` returns a row, 0.1 if it returns none, 0 if it does not run."""
    from smcdsl.potentials._sql_judging import outcome

    found = outcome(q, db, dialect)
    if found.error is not None:
        return 0.0
    return 1.0 if found.num_rows else EMPTY_WEIGHT


@potential(prefix="none", cost="200us")
def column_kinds(q: str, kinds: list[str], db: Sqlite, dialect: str = "sqlite") -> Weight:
    """The share of the result's columns that are of the kind expected at their place, at least 0.01; 0 if `q` fails.

    Args:
        kinds: one for each column: `text`, `number`, `integer`, `real`, `blob` or `any`.
    """
    from smcdsl.potentials._sql_judging import outcome
    from smcdsl.potentials._sql_results import kinds_share

    found = outcome(q, db, dialect)
    share = kinds_share(found.kinds, kinds)
    return 0.0 if found.error is not None else max(share, UNLIKE_WEIGHT)


@potential(prefix="none", cost="1ms")
def row_recall(q: str, rows: Any, db: Sqlite, dialect: str = "sqlite") -> Weight:
    """The share of example rows that `q` returns, at least 0.01; 0 if it fails.

    Args:
        rows: a list of rows, each a list of values. A row of the result matches if it has all of them, in any columns.
    """
    from smcdsl.potentials._sql_judging import outcome
    from smcdsl.potentials._sql_results import recall

    found = outcome(q, db, dialect, keep_rows=True)
    share = recall(found.rows, rows)
    return 0.0 if found.error is not None else max(share, UNLIKE_WEIGHT)


@potential(prefix="none", cost="200us")
def cost_guard(q: str, db: Sqlite, instructions: int = 1_000_000) -> Weight:
    """1 for a query of SQLite that takes at most so many instructions, in proportion less for more; 0 if it fails.

    A cross join of large tables visits every pair of rows, at several instructions each.
    """
    from smcdsl.potentials._sql_judging import outcome

    found = outcome(q, db)
    if found.error is not None:
        return 0.0
    return min(1.0, instructions / max(found.instructions, 1))


@potential(prefix="none", cost="1ms")
def same_result(q: str, gold: str, db: Sqlite, dialect: str = "sqlite") -> bool:
    """Whether `q` returns the rows of `gold`: as often, and in its order if `gold` has an ORDER BY.

    Columns count by position, not by name; floats are compared to ten digits.

    Raises:
        ValueError: `gold` does not run.
    """
    from smcdsl.potentials._sql_judging import outcome
    from smcdsl.potentials._sql_results import is_ordered, same_rows

    wanted = outcome(gold, db, dialect, keep_rows=True)
    if wanted.error is not None:
        raise ValueError(f"the query to compare with does not run: {wanted.error}")
    found = outcome(q, db, dialect, keep_rows=True)
    return found.error is None and same_rows(found, wanted, ordered=is_ordered(gold))


@potential(prefix="none", cost="1ms")
def result_key(q: str, db: Sqlite, dialect: str = "sqlite", ordered: bool = False) -> str | None:
    """A text that two queries share if they return the same rows as often: how many, and a hash of them.

    Columns count by position, floats to ten digits, as in `same_result`. None for a query that fails: queries
    that fail have nothing in common, so that no number of them outvotes one that runs.

    Args:
        ordered: whether the order counts in which the engine returned the rows.
    """
    from smcdsl.potentials._sql_judging import outcome
    from smcdsl.potentials._sql_results import rows_key

    found = outcome(q, db, dialect, keep_rows=True)
    return None if found.error is not None else rows_key(found, ordered=ordered)


@potential(prefix="none", cost="5ms")
def grouped(q: str, db: Sqlite) -> bool:
    """Whether each column that an aggregating query of SQLite shows is fixed by its group.

    SQLite does not ask for it and shows an arbitrary row's value. A query that sqlglot cannot read passes.
    """
    from smcdsl.potentials._sql_database import database
    from smcdsl.potentials._sql_grouping import ungrouped_column

    try:
        return ungrouped_column(q, database(db).schema) is None
    except ValueError:
        return True


def _why_not(q: str, db: Sqlite, dialect: str = "sqlite", *, prefix: bool = False) -> str | None:
    """The engine's own words for what is wrong with `q`, or None."""
    from smcdsl.potentials._sql_judging import outcome, prefix_error

    return prefix_error(q, db, dialect=dialect) if prefix else outcome(q, db, dialect).error


def _why_not_resolved(
    q: str, db: Sqlite, identifiers: str = "legacy", dialect: str = "sqlite", *, prefix: bool = False
) -> str | None:
    from smcdsl.potentials._sql_judging import compile_error, prefix_error

    return (prefix_error if prefix else compile_error)(q, db, identifiers, dialect)


def _known(what: str, name: str, q: str, db: str, dialect: str, *, complete: bool) -> bool:
    from smcdsl.potentials import _sql_names
    from smcdsl.potentials._sql_database import database
    from smcdsl.potentials._sql_dialects import dialect_of
    from smcdsl.potentials._sql_text import with_plain_strings

    text = with_plain_strings(q, dialect_of(dialect).name)
    answer: bool = getattr(_sql_names, what)(name, text, database(db).schema, complete=complete)
    return answer
