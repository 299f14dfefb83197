"""SQL for SQLite: is a query right, does it run, what does it return?

    import sql

    grammar query = sql.select(schema: db)
    ...
    require sql.known_column(c, q, db) each c in q.column
    require sql.runs(q, db) at clause
    score   sql.returns_rows(q, db)

`sql.ddl(db)` writes the schema for a prompt. Of a query `q`:

| | complete | as far as it is written, at a clause |
|---|---|---|
| `resolves` | SQLite compiles it | names, calls and widths of its finished clauses are right |
| `runs` | it runs to its end within limits | as `resolves` |
| `returns_rows` | 1 with a row, 0.1 without, 0 if it fails | |
| `same_result` | returns the rows of another query | |
| `grouped` | shows no column that its GROUP BY leaves open | |
| `known_column`, `known_table` | the name is the schema's or declared in `q` | it is, or may still be declared |

A prefix is judged without parsing it: at a clause it is closed to a whole query, which SQLite compiles against an
empty copy of the schema in memory. Only complaints about meaning that no continuation can mend count.

The database is opened read-only and immutable; an authorizer, limits on sizes and instructions and a deadline
stand around every query. A damaged or missing file raises UsageError (E0802). `grouped` needs sqlglot, which is
imported when it is first called; nothing else here does.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from smcdsl.protocols import Sqlite, Weight, potential

if TYPE_CHECKING:
    from smcdsl.potentials._sql_text import Completion, Name, Reading

    from smcdsl.program.grammar import Grammar

EMPTY_WEIGHT = 0.1
"""What `returns_rows` gives a query that runs and returns nothing: less likely meant, but possible."""


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
def known_column(c: str, q: str, db: Sqlite) -> bool:
    """Whether `c` (`name` or `table.name`) names a column of the schema, or one that `q` declares where it is used."""
    return _known_column(c, q, db, complete=True)


def _known_column_so_far(c: str, q: str, db: Sqlite) -> bool:
    """`known_column` for a prefix: what the rest may declare counts as known."""
    return _known_column(c, q, db, complete=False)


@potential(prefix="closed", cost="20us", prefix_form="_known_table_so_far")
def known_table(t: str, q: str, db: Sqlite) -> bool:
    """Whether `t` names a table or view of the schema, or a CTE of `q`."""
    from smcdsl.potentials._sql_database import database
    from smcdsl.potentials._sql_text import lexemes_of, name_of, read

    name = next((name_of(lexeme) for lexeme in lexemes_of(t) if lexeme.kind in ("word", "quoted")), "")
    return name in database(db).schema.columns_of or name in read(q).declared


def _known_table_so_far(t: str, q: str, db: Sqlite) -> bool:
    """`known_table` for a prefix: inside a WITH, a later CTE may still be called so."""
    from smcdsl.potentials._sql_text import read

    frame = read(q).frame
    while frame.parent is not None and frame.clause != "WITH":
        frame = frame.parent
    return frame.clause == "WITH" or known_table.function(t, q, db)


@potential(prefix="closed", cost="50us", prefix_form="_resolves_so_far", explanation="_why_not")
def resolves(q: str, db: Sqlite, identifiers: str = "legacy") -> bool:
    """Whether SQLite compiles `q`: names, scopes, calls, widths of set operations and subqueries.

    Also what SQLite would drop unread (`... AND 0`, `... IN ()`) must be right.

    Args:
        identifiers: `legacy` reads an unknown `"name"` as a string, as SQLite does; `strict` does not.
    """
    return _compile_error(q, db, identifiers) is None


def _resolves_so_far(q: str, db: Sqlite, identifiers: str = "legacy") -> bool:
    """`resolves` for a text that ends where a clause ends: no if every completion is wrong.

    At another boundary (`at table`) a FROM that goes on would be taken for finished; use `at clause`.
    """
    return _prefix_error(q, db, identifiers) is None


@potential(prefix="closed", cost="200us", prefix_form="_runs_so_far", explanation="_why_not")
def runs(q: str, db: Sqlite) -> bool:
    """Whether `q` is one SELECT statement and runs to its end, within the limits, without an error."""
    return _run_error(q, db) is None


def _runs_so_far(q: str, db: Sqlite) -> bool:
    """`resolves` for a text that ends where a clause ends."""
    return _prefix_error(q, db, "legacy") is None


@potential(prefix="none", cost="200us", explanation="_why_not")
def returns_rows(q: str, db: Sqlite) -> Weight:
    """1 if `q` returns a row, 0.1 if it returns none, 0 if it does not run."""
    from smcdsl.potentials._sql_database import database

    if _run_error(q, db) is not None:
        return 0.0
    return 1.0 if database(db).execute(q).num_rows else EMPTY_WEIGHT


@potential(prefix="none", cost="1ms")
def same_result(q: str, gold: str, db: Sqlite) -> bool:
    """Whether `q` returns the rows of `gold`: as often, and in its order if `gold` has an ORDER BY.

    Columns count by position, not by name; floats are compared to ten digits.

    Raises:
        ValueError: `gold` does not run.
    """
    from smcdsl.potentials._sql_database import database
    from smcdsl.potentials._sql_text import read

    if (wrong := _run_error(gold, db)) is not None:
        raise ValueError(f"the query to compare with does not run: {wrong}")
    if _run_error(q, db) is not None:
        return False
    found, wanted = (database(db).execute(query, keep_rows=True) for query in (q, gold))
    if wanted.error is not None:
        raise ValueError(f"the query to compare with does not run: {wanted.error}")
    if found.error is not None or len(found.rows) != len(wanted.rows):
        return False
    rows, wanted_rows = ([tuple(map(_comparable, row)) for row in outcome.rows] for outcome in (found, wanted))
    is_ordered = any(lexeme.upper == "ORDER" for lexeme in _top_level(read(gold)))
    return rows == wanted_rows if is_ordered else Counter(rows) == Counter(wanted_rows)


@potential(prefix="none", cost="5ms")
def grouped(q: str, db: Sqlite) -> bool:
    """Whether each column that an aggregating query shows is fixed by its group.

    SQLite does not ask for it and shows an arbitrary row's value. A query that sqlglot cannot read passes.
    """
    from smcdsl.potentials._sql_database import database
    from smcdsl.potentials._sql_grouping import ungrouped_column

    try:
        return ungrouped_column(q, database(db).schema) is None
    except ValueError:
        return True


def _why_not(q: str, db: Sqlite, *_: Any, prefix: bool = False) -> str | None:
    """SQLite's own words for what is wrong with `q`, or None."""
    return _prefix_error(q, db, "legacy") if prefix else _run_error(q, db)


# SQLite's complaints that nothing written later can mend, in groups by what may mend them before that.
_NAMES = re.compile(r"no such column: ")
_CALLS = re.compile(r"wrong number of arguments to function |misuse of (aggregate|aliased )")
_WIDTHS = re.compile(r"row value misused|sub-select returns \d+ columns|IN\(\.\.\.\) element has")
_ALWAYS = re.compile(
    r"no such table: |ambiguous column name: |no such function: |no such collation sequence: |not authorized"
    r"|access to .* is prohibited|SELECTs to the left and right of "
    r"|\S+ (ORDER|GROUP) BY term (out of range|does not match)|aggregate functions are not allowed in the GROUP BY"
    r"|cannot join using column |a NATURAL join may not have|cannot have both ON and USING"
    r"|table \S+ has \d+ values for \d+ columns|\S+ may not be used as a window function|duplicate WITH table name: "
)


def _form_error(q: str) -> str | None:
    """What is wrong with the text before any schema is asked; as final for a prefix as for a whole query."""
    from smcdsl.potentials._sql_limits import MAX_QUERY_CHARACTERS
    from smcdsl.potentials._sql_text import is_select

    if len(q) > MAX_QUERY_CHARACTERS:
        return f"the query is longer than {MAX_QUERY_CHARACTERS:,} characters"
    return None if is_select(q) else "it is not a SELECT statement"


def _compile_error(q: str, db: str, identifiers: str) -> str | None:
    from smcdsl.potentials._sql_database import database
    from smcdsl.potentials._sql_text import expands_too_far, strict, with_nothing_dropped

    if identifiers not in ("legacy", "strict"):
        raise ValueError(f"identifiers is `legacy` or `strict`, not {identifiers!r}")
    opened = database(db)
    if (wrong := _form_error(q)) is not None:
        return wrong
    if expands_too_far(q, opened.schema.views):
        return "its common table expressions or views multiply too often"
    query = with_nothing_dropped(strict(q) if identifiers == "strict" else q)
    return opened.compile_error(query)


def _prefix_error(q: str, db: str, identifiers: str) -> str | None:
    from smcdsl.potentials._sql_text import completion

    if (wrong := _form_error(q)) is not None or (completed := completion(q)) is None:
        return wrong
    wrong = _compile_error(completed.query, db, identifiers)
    return wrong if wrong is not None and _is_final(wrong, completed) else None


def _is_final(wrong: str, completed: Completion) -> bool:
    """Whether every completion of the prefix is as wrong as this one."""
    return (
        (not completed.columns_may_come and _NAMES.match(wrong) is not None)
        or (not completed.calls_may_change and _CALLS.match(wrong) is not None)
        or (not completed.widths_may_change and _WIDTHS.match(wrong) is not None)
        or _ALWAYS.match(wrong) is not None
    )


def _run_error(q: str, db: str) -> str | None:
    from smcdsl.potentials._sql_database import database

    wrong = _compile_error(q, db, "legacy")
    return database(db).execute(q).error if wrong is None else wrong


def _known_column(c: str, q: str, db: str, *, complete: bool) -> bool:
    from smcdsl.potentials._sql_database import database
    from smcdsl.potentials._sql_text import lexemes_of, name_of, read

    names = [name_of(lexeme) for lexeme in lexemes_of(c) if lexeme.kind in ("word", "quoted")]
    if not names or len(names) > 2:
        return False
    *qualifier, name = names
    schema = database(db).schema
    columns_of = schema.columns_of
    if not qualifier and (name in schema.columns or name == "rowid"):
        return True
    reading = read(q)
    wanted = (qualifier[0] if qualifier else "", name)
    uses = [use for use in reading.columns if (use.qualifier, use.name) == wanted]
    return all(_known_use(use, reading, columns_of, complete) for use in uses) if uses else name in reading.declared


def _known_use(use: Name, reading: Reading, columns_of: dict[str, frozenset[str]], complete: bool) -> bool:
    """Whether one use of a column is of the schema or declared before it, or after it where that may be seen."""
    if use.may_see_more and not complete:
        return True

    def declared(name: str) -> bool:
        where = reading.declared.get(name)
        return where is not None and (use.may_see_more or where < use.start)

    if not use.qualifier:
        return declared(use.name)
    tables = reading.aliases.get(use.qualifier, set()) if declared(use.qualifier) else set()
    tables = tables | ({use.qualifier} & columns_of.keys())
    if not tables:  # an alias of a query in parentheses, or a CTE
        everywhere = frozenset().union(*columns_of.values())
        return declared(use.qualifier) and (use.name in everywhere or use.name == "rowid" or declared(use.name))
    known = {column for table in tables for column in columns_of.get(table, ())} | {"rowid"}
    return use.name in known or any(table not in columns_of for table in tables)


def _comparable(value: Any) -> Any:
    return float(f"{value:.10g}") if isinstance(value, float) else value


def _top_level(reading: Reading) -> list[Any]:
    depth, found = 0, []
    for lexeme in reading.lexemes:
        depth += (lexeme.text == "(") - (lexeme.text == ")")
        if depth == 0:
            found.append(lexeme)
    return found
