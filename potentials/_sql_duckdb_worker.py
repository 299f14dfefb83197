"""Queries of other dialects than SQLite's, in DuckDB, in a process that does nothing else and can be killed.

sqlglot translates a query; the tree it reads decides what is let through (one SELECT, the schema's tables, no function
that shows or touches the machine). DuckDB runs with external access off, its configuration locked, no variables of
Python, no extensions, one thread and a memory cap. It heeds neither its cap nor an interrupt inside some functions
(`repeat('a', 2000000000)`), so the last word is the death of the process.

The database is read from the SQLite file into memory, under types that its declarations and its values agree on.
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from contextlib import closing
from datetime import date, datetime
from datetime import time as time_of_day
from decimal import Decimal
from typing import Any

from smcdsl.potentials._sql_grouping import with_dependent_columns
from smcdsl.potentials._sql_limits import CPU_SECONDS, MAX_RESULT_BYTES, MAX_ROWS, STOPPED
from smcdsl.potentials._sql_outcomes import Kinds, Outcome, size_of
from smcdsl.potentials._sql_processes import confine
from smcdsl.potentials._sql_schema import Schema, Table, fold, quoted, read_schema
from smcdsl.potentials._sql_translation import parsed
from smcdsl.potentials._sql_worker import open_file

MEMORY = "256MB"
MAX_LOADED_ROWS = 200_000
_MAX_OPEN = 4
_SETTINGS: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "memory_limit": MEMORY,
    "threads": "1",
    "temp_directory": "",
}
_FORBIDDEN = frozenset(
    """current_query current_setting error getenv getvariable nextval currval query query_table setseed setval
    set_config sleep sleep_ms write_log""".split()
)
_FORBIDDEN_STARTS = ("duckdb_", "pragma_", "pg_", "read_", "parse_duckdb")
_opened: OrderedDict[tuple[str, int, int], _Opened] = OrderedDict()


class Refused(ValueError):
    """The query asks for what is not let through, or cannot be read."""


class _Opened:
    """A database in DuckDB: its rows, and an empty copy that compiles."""

    def __init__(self, path: str) -> None:
        import duckdb

        self.data, self.empty = (duckdb.connect(":memory:", config=_SETTINGS) for _ in range(2))
        with closing(open_file(path)) as source:
            self.schema = read_schema(source)
            for table in self.schema.tables:
                types = _load(self.data, source, table)
                columns = ", ".join(f"{quoted(column.name)} {types[column.name]}" for column in table.columns)
                if columns:
                    self.empty.execute(f"CREATE TABLE {quoted(table.name)} ({columns})")
        self.empty.execute("PRAGMA disable_optimizer")
        for connection in (self.data, self.empty):
            connection.execute("SET python_enable_replacements=false")
            connection.execute("SET lock_configuration=true")

    def close(self) -> None:
        self.data.close()
        self.empty.close()


def run(
    path: str, version: tuple[int, int], query: str | None, dialect: str, keep_rows: bool | None
) -> tuple[object, ...]:
    """The outcome of one query, as a plain tuple. It is only compiled where `keep_rows` is None.

    Args:
        query: None just opens the file.
        version: the file's time of modification and size; another version is read anew.
    """
    # numpy's threads would reserve more address space than the process has, on a machine of many cores.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    import duckdb

    confine()
    opened = _opened.get((path, *version))
    if opened is None:
        opened = _opened[(path, *version)] = _Opened(path)
        if len(_opened) > _MAX_OPEN:
            _opened.popitem(last=False)[1].close()
    if query is None:
        _compiled(opened, "SELECT 1", dialect)  # what is imported late is here before any query is timed
        return tuple(Outcome(None))
    try:
        translated = _compiled(opened, query, dialect)
        if keep_rows is None:
            return tuple(Outcome(None))
        return tuple(_rows(opened.data, translated, keep_rows))
    except (duckdb.Error, Refused, MemoryError, ValueError, RecursionError) as error:
        return tuple(Outcome(_message(error)))


def _compiled(opened: _Opened, query: str, dialect: str) -> str:
    """The query as DuckDB's, once DuckDB has prepared it. Raises duckdb.Error or Refused."""
    import duckdb

    tree = _checked(parsed(query, dialect), opened.schema)
    text: str = tree.sql("duckdb", comments=False)
    try:
        _prepare(opened.empty, text)
    except duckdb.BinderException as error:
        # Columns of a table whose primary key is grouped by are fixed: PostgreSQL knows it, DuckDB does not.
        if "GROUP BY clause or" not in str(error):
            raise
        rewritten = with_dependent_columns(tree, opened.schema, dialect)
        if rewritten is None:
            raise
        text = rewritten.sql("duckdb", comments=False)
        _prepare(opened.empty, text)
    return text


def _prepare(connection: Any, text: str) -> None:
    import duckdb

    statements = connection.extract_statements(text)
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise Refused("it is not one SELECT statement")
    connection.execute(f"PREPARE query AS {text}")
    connection.execute("DEALLOCATE query")


def _checked(tree: Any, schema: Schema) -> Any:
    """The tree, if all it names is the schema's or its own. Raises Refused."""
    from sqlglot import exp

    ctes = {fold(cte.alias) for cte in tree.find_all(exp.CTE)}
    for table in tree.find_all(exp.Table):
        if not isinstance(table.this, exp.Identifier) or table.args.get("db") is not None:
            raise Refused(f"access to {table.sql()} is prohibited")
        if fold(table.name) not in schema.columns_of and fold(table.name) not in ctes:
            raise Refused(f"Catalog Error: Table with name {table.name} does not exist!")
    for call in tree.find_all(exp.Anonymous):
        name = str(call.name).lower()
        if name in _FORBIDDEN or name.startswith(_FORBIDDEN_STARTS):
            raise Refused(f"access to function {name} is prohibited")
    if tree.find(exp.Into, exp.Parameter, exp.Placeholder, exp.Command) is not None:
        raise Refused("it is not a SELECT statement that only reads")
    return tree


def _rows(connection: Any, text: str, keep_rows: bool) -> Outcome:
    done = threading.Event()
    threading.Thread(target=_interrupt, args=(connection, done), daemon=True).start()
    kept: list[tuple[Any, ...]] = []
    num_rows = size = 0
    try:
        cursor = connection.execute(text)
        kinds = Kinds(len(cursor.description or ()))
        while (batch := cursor.fetchmany(1000)) and num_rows < MAX_ROWS:
            for found in batch:
                row = tuple(map(_plain, found))
                num_rows += 1
                size += size_of(row)
                kinds.see(row)
                if keep_rows:
                    kept.append(row)
            if size > MAX_RESULT_BYTES:
                return Outcome(f"the result is larger than {MAX_RESULT_BYTES:,} bytes")
        if batch and keep_rows:
            return Outcome(f"the result has more than {MAX_ROWS:,} rows")
    finally:
        done.set()
    return Outcome(None, min(num_rows, MAX_ROWS), tuple(kept), kinds.words())


def _interrupt(connection: Any, done: threading.Event) -> None:
    """Stop a query that has had its processor time."""
    deadline = time.process_time() + CPU_SECONDS
    while not done.wait(0.05):
        if time.process_time() > deadline:
            connection.interrupt()
            return


def _plain(value: Any) -> Any:
    """The value as SQLite would have it."""
    if isinstance(value, bool):
        return int(value)
    if value is None or isinstance(value, int | float | str | bytes):
        return value
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, date | datetime | time_of_day):
        return value.isoformat(" ") if isinstance(value, datetime) else value.isoformat()
    return str(value)


def _load(connection: Any, source: Any, table: Table) -> dict[str, str]:
    """Copy a table; the types of its columns. A column whose values do not all fit its declared type is VARCHAR."""
    import numpy as np

    names = ", ".join(quoted(column.name) for column in table.columns)
    if not names:
        return {}
    rows = source.execute(f"SELECT {names} FROM {quoted(table.name)} LIMIT {MAX_LOADED_ROWS + 1}").fetchall()
    if len(rows) > MAX_LOADED_ROWS:
        raise RuntimeError(f"table {table.name} has more than {MAX_LOADED_ROWS:,} rows, too many for DuckDB here")
    feed = {}
    for number in range(len(table.columns)):
        cells = np.empty(len(rows), dtype=object)
        cells[:] = [_text(row[number]) for row in rows]
        feed[f"c{number}"] = cells
    types, selected = {}, []
    if rows:
        connection.register("feed", feed)
    for number, column in enumerate(table.columns):
        wanted = types[column.name] = _type_of(column.type)
        cast = f"unhex(c{number})" if wanted == "BLOB" else f"TRY_CAST(c{number} AS {wanted})"
        if rows and wanted != "VARCHAR":
            lost = connection.execute(
                f"SELECT count(*) FROM feed WHERE c{number} IS NOT NULL AND {cast} IS NULL"
                if wanted != "BLOB"
                else "SELECT 0"
            ).fetchone()[0]
            if lost:
                types[column.name], cast = "VARCHAR", f"c{number}"
        selected.append(cast)
    columns = ", ".join(f"{quoted(column.name)} {types[column.name]}" for column in table.columns)
    connection.execute(f"CREATE TABLE {quoted(table.name)} ({columns})")
    if rows:
        connection.execute(f"INSERT INTO {quoted(table.name)} SELECT {', '.join(selected)} FROM feed")
        connection.unregister("feed")
    return types


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value if value is None else value.encode("utf-8", "replace").decode("utf-8")
    return value.hex() if isinstance(value, bytes) else repr(value)


_TYPES = (
    ("BOOL", "BOOLEAN"),
    ("INT", "BIGINT"),
    ("CHAR", "VARCHAR"),
    ("CLOB", "VARCHAR"),
    ("TEXT", "VARCHAR"),
    ("BLOB", "BLOB"),
    ("REAL", "DOUBLE"),
    ("FLOA", "DOUBLE"),
    ("DOUB", "DOUBLE"),
    ("NUM", "DOUBLE"),
    ("DEC", "DOUBLE"),
    ("TIMESTAMP", "TIMESTAMP"),
    ("DATETIME", "TIMESTAMP"),
    ("DATE", "DATE"),
    ("TIME", "TIME"),
)


def _type_of(declared: str) -> str:
    """DuckDB's type for a declared one, by the parts of its name, as SQLite finds affinities."""
    return next((type_ for part, type_ in _TYPES if part in declared.upper()), "VARCHAR")


def _message(error: BaseException) -> str:
    if type(error).__name__ == "InterruptException":
        return STOPPED
    lines = (str(error) or type(error).__name__).splitlines()
    return next(iter(lines), "")
