"""A SQLite file: its schema, an empty copy that compiles queries, and its rows, which another process reads.

Queries that need only be *compiled* run as EXPLAIN on a copy of the schema in memory, which costs microseconds
whatever the size of the data; query length, depth and the process's SQLite heap are capped, since compiling has no
hook that could stop it. Queries that are *run* go to a process that can be killed (`_sql_worker`); what became of
them is remembered.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections import OrderedDict
from contextlib import closing

from smcdsl.potentials._sql_limits import (
    COMPILE_HEAP_BYTES,
    FAILURES,
    KILL_SECONDS,
    PROCESS_BYTES,
    harden,
    limit_heap,
    message,
)
from smcdsl.potentials._sql_outcomes import Outcome, Outcomes
from smcdsl.potentials._sql_processes import Engine, Stopped
from smcdsl.potentials._sql_schema import Schema, quoted, read_schema
from smcdsl.potentials._sql_worker import open_file

from smcdsl.errors import Diagnostic, UsageError

_MAX_OPEN = 16
_engine = Engine("smcdsl.potentials._sql_worker", KILL_SECONDS, PROCESS_BYTES)


class Database:
    """One version of one file. Thread-safe: a lock guards each connection."""

    def __init__(self, path: str, version: tuple[int, int]) -> None:
        """Open `path`. Raises UsageError (E0802) where there is no SQLite database."""
        self.file = (os.path.abspath(path), version)
        self.schema = _read_schema(path)
        self._copy = _empty_copy(self.schema)
        harden(self._copy)
        self._lock = threading.Lock()
        self._outcomes = Outcomes(self._execute)

    def compile_error(self, query: str) -> str | None:
        """SQLite's message if it cannot compile the SELECT statement `query`; None if it can."""
        with self._lock:
            try:
                self._copy.execute("EXPLAIN " + query).close()
            except FAILURES as error:
                return message(error)
        return None

    def execute(self, query: str, *, keep_rows: bool = False) -> Outcome:
        """Run one query within the limits. Outcomes are remembered."""
        return self._outcomes.of(query, keep_rows)

    def _execute(self, query: str, keep_rows: bool) -> Outcome:
        try:
            return Outcome(*_engine.call(*self.file, query, keep_rows))
        except Stopped as stopped:
            return Outcome(str(stopped))


_opened: OrderedDict[tuple[str, int, int], Database] = OrderedDict()
_opening = threading.Lock()


def database(path: str) -> Database:
    """The database at `path`, opened once for each version (by modification time and size) of the file.

    Raises:
        UsageError: E0802, no file or not a SQLite database.
    """
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:
        raise _not_a_database(path, str(error)) from error
    version = (status.st_mtime_ns, status.st_size)
    key = (os.path.abspath(path), *version)
    found = _opened.get(key)
    if found is not None:
        return found
    with _opening:
        if key not in _opened:
            _opened[key] = Database(path, version)
            if len(_opened) > _MAX_OPEN:
                _opened.popitem(last=False)
        return _opened[key]


def _read_schema(path: str) -> Schema:
    try:
        connection = open_file(path)
    except sqlite3.Error as error:
        raise _not_a_database(path, str(error)) from error
    with closing(connection):
        limit_heap(connection, COMPILE_HEAP_BYTES)
        try:
            return read_schema(connection)
        except sqlite3.Error as error:
            raise _not_a_database(path, str(error)) from error


def _not_a_database(path: str, why: str) -> UsageError:
    return UsageError(Diagnostic("E0802", f"`{path}` is not a SQLite database", facts=(why,)))


def _empty_copy(schema: Schema) -> sqlite3.Connection:
    """The schema's tables and views without their rows, in memory."""
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    for table in schema.tables:
        if not _try(connection, table.sql) and table.columns:
            columns = ", ".join(f"{quoted(column.name)} {column.type}" for column in table.columns)
            _try(connection, f"CREATE TABLE {quoted(table.name)} ({columns})")
    return connection


def _try(connection: sqlite3.Connection, statement: str) -> bool:
    plain = statement.split(None, 2)[:2]
    if [word.upper() for word in plain] not in (["CREATE", "TABLE"], ["CREATE", "VIEW"]):
        return False
    try:
        connection.execute(statement)
    except FAILURES:
        return False
    return True
