"""A SQLite file, opened so that a query can read rows and do nothing else.

The file is opened read-only and immutable (no journal, no lock, no write-ahead log is touched). An authorizer
lets through SELECT, reading of the user's tables and harmless functions; limits bound lengths, depths and the
number of instructions; a deadline stands behind them. Queries that need only be *compiled* run as EXPLAIN on an
empty copy of the schema in memory, which costs microseconds whatever the size of the data.

The instruction limit, not the clock, is what normally stops a runaway query, so that the same query fails on every
machine. Compiling has no such hook in SQLite: there, query length, depth and the process's SQLite heap are capped.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smcdsl.potentials._sql_schema import Schema, quoted, read_schema

from smcdsl.errors import Diagnostic, UsageError

MAX_QUERY_CHARACTERS = 16_000
MAX_INSTRUCTIONS = 20_000_000
DEADLINE_SECONDS = 2.0
MAX_ROWS = 100_000
MAX_RESULT_BYTES = 64_000_000
HEAP_BYTES = 256 * 1024 * 1024
"""Most memory SQLite may use in this process once a database has been opened here (`PRAGMA hard_heap_limit`)."""

_INSTRUCTIONS_A_TICK = 10_000
_MAX_OPEN = 16
_MAX_OUTCOMES = 4096
_LIMITS = {
    sqlite3.SQLITE_LIMIT_LENGTH: 1_000_000,
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 4 * MAX_QUERY_CHARACTERS,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 200,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 50,
    sqlite3.SQLITE_LIMIT_VDBE_OP: 100_000,
    sqlite3.SQLITE_LIMIT_FUNCTION_ARG: 100,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 500,
    sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER: 0,
    sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 0,
    sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0,
}
_FORBIDDEN_FUNCTIONS = frozenset(
    """load_extension readfile writefile edit fts3_tokenizer fts5 matchinfo optimize randomblob zeroblob sqlite_log
    sqlite_compileoption_get sqlite_compileoption_used sqlite_source_id rtreecheck rtreenode rtreedepth""".split()
)
_FORBIDDEN_TABLES = ("sqlite_", "pragma_", "dbstat", "bytecode", "tables_used", "fsdir", "completion")
_ACTIONS = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_RECURSIVE})
_FAILURES = (sqlite3.Error, sqlite3.Warning, ValueError, OverflowError, MemoryError)


@dataclass(frozen=True)
class Outcome:
    """What became of a query: why it failed, or None; its rows where they were asked for."""

    error: str | None
    num_rows: int = 0
    rows: tuple[tuple[Any, ...], ...] = ()


class Database:
    """One version of one file. Thread-safe: a lock guards each connection."""

    def __init__(self, path: str) -> None:
        """Open `path`. Raises UsageError (E0802) where there is no SQLite database."""
        self._data = _open(path)
        self.schema = _checked_schema(self._data, path)
        _harden(self._data)
        self._copy = _empty_copy(self.schema)
        _harden(self._copy)
        self._lock = threading.Lock()
        self._outcomes: OrderedDict[tuple[str, bool], Outcome] = OrderedDict()

    def compile_error(self, query: str) -> str | None:
        """SQLite's message if it cannot compile the SELECT statement `query`; None if it can."""
        with self._lock:
            try:
                self._copy.execute("EXPLAIN " + query).close()
            except _FAILURES as error:
                return _message(error)
        return None

    def execute(self, query: str, *, keep_rows: bool = False) -> Outcome:
        """Run one query within the limits. Outcomes are remembered."""
        key = (query, keep_rows)
        with self._lock:
            outcome = self._outcomes.pop(key, None) or self._execute(query, keep_rows)
            self._outcomes[key] = outcome
            if len(self._outcomes) > (_MAX_OUTCOMES if not keep_rows else _MAX_OPEN):
                self._outcomes.popitem(last=False)
        return outcome

    def _execute(self, query: str, keep_rows: bool) -> Outcome:
        self._data.set_progress_handler(_Fuel(), _INSTRUCTIONS_A_TICK)
        kept: list[tuple[Any, ...]] = []
        num_rows = size = 0
        try:
            for row in self._data.execute(query):
                num_rows += 1
                size += sum(len(value) if isinstance(value, str | bytes) else 8 for value in row)
                if size > MAX_RESULT_BYTES:
                    return Outcome(f"the result is larger than {MAX_RESULT_BYTES:,} bytes")
                if num_rows > MAX_ROWS:
                    return (
                        Outcome(f"the result has more than {MAX_ROWS:,} rows") if keep_rows else Outcome(None, MAX_ROWS)
                    )
                if keep_rows:
                    kept.append(row)
        except _FAILURES as error:
            return Outcome(_message(error))
        return Outcome(None, num_rows, tuple(kept))


class _Fuel:
    """A progress handler that stops a query after MAX_INSTRUCTIONS or DEADLINE_SECONDS."""

    def __init__(self) -> None:
        self.ticks = MAX_INSTRUCTIONS // _INSTRUCTIONS_A_TICK
        self.deadline = time.monotonic() + DEADLINE_SECONDS

    def __call__(self) -> bool:
        self.ticks -= 1
        return self.ticks < 0 or time.monotonic() > self.deadline


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
    key = (os.path.abspath(path), status.st_mtime_ns, status.st_size)
    found = _opened.get(key)
    if found is not None:
        return found
    with _opening:
        if key not in _opened:
            _opened[key] = Database(path)
            if len(_opened) > _MAX_OPEN:
                _opened.popitem(last=False)
        return _opened[key]


def _open(path: str) -> sqlite3.Connection:
    uri = f"{Path(path).absolute().as_uri()}?mode=ro&immutable=1"
    try:
        connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        raise _not_a_database(path, str(error)) from error
    connection.execute(f"PRAGMA hard_heap_limit={HEAP_BYTES}").close()
    connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
    return connection


def _checked_schema(connection: sqlite3.Connection, path: str) -> Schema:
    try:
        return read_schema(connection)
    except sqlite3.Error as error:
        connection.close()
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
    except _FAILURES:
        return False
    return True


def _harden(connection: sqlite3.Connection) -> None:
    for pragma in ("query_only=1", "trusted_schema=0", "temp_store=2"):
        connection.execute(f"PRAGMA {pragma}").close()
    for limit, most in _LIMITS.items():
        connection.setlimit(limit, most)
    connection.set_authorizer(_authorize)


def _authorize(action: int, first: str | None, second: str | None, _database: str | None, _inner: str | None) -> int:
    if action in _ACTIONS:
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_READ:
        forbidden = first is not None and first.lower().startswith(_FORBIDDEN_TABLES)
    elif action == sqlite3.SQLITE_FUNCTION:
        forbidden = second is not None and second.lower() in _FORBIDDEN_FUNCTIONS
    else:
        forbidden = True
    return sqlite3.SQLITE_DENY if forbidden else sqlite3.SQLITE_OK


def _message(error: BaseException) -> str:
    text = str(error) or type(error).__name__
    return "it was stopped: too many instructions or too long" if text == "interrupted" else text
