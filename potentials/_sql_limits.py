"""What a connection to SQLite may do while it serves a stranger's query, and how much of it.

An authorizer lets through SELECT, reading of the user's tables and harmless functions; limits bound lengths, depths
and instructions. Both the copy that compiles and the process that runs queries stand behind these.
"""

from __future__ import annotations

import sqlite3

MAX_QUERY_CHARACTERS = 16_000
MAX_INSTRUCTIONS = 20_000_000
CPU_SECONDS = 2.0
"""Most processor time of a query; the clock would make outcomes depend on what else the machine does."""
KILL_SECONDS = 10.0
"""After so long by the clock the process is killed."""
MAX_ROWS = 100_000
MAX_RESULT_BYTES = 64_000_000
COMPILE_HEAP_BYTES = 64 * 1024 * 1024
"""Most memory SQLite may use in this process once a database has been opened here (`PRAGMA hard_heap_limit`)."""
RUN_HEAP_BYTES = 256 * 1024 * 1024
"""The same in the process that runs queries."""
PROCESS_BYTES = 1024 * 1024 * 1024
"""Most address space of that process, its rows included."""

FAILURES = (sqlite3.Error, sqlite3.Warning, ValueError, OverflowError, MemoryError)
"""What a query may raise by being wrong or too large."""

STOPPED = "it was stopped: too many instructions or too long"

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


def harden(connection: sqlite3.Connection) -> None:
    """From now on the connection reads the user's tables, within limits, and does nothing else."""
    for pragma in ("query_only=1", "trusted_schema=0", "temp_store=2"):
        connection.execute(f"PRAGMA {pragma}").close()
    for limit, most in _LIMITS.items():
        connection.setlimit(limit, most)
    connection.set_authorizer(_authorize)


def limit_heap(connection: sqlite3.Connection, size: int) -> None:
    """Bound what SQLite takes in this process; a bound once set can only be lowered."""
    connection.execute(f"PRAGMA hard_heap_limit={size}").close()


def message(error: BaseException) -> str:
    """What went wrong, in SQLite's words where it has any."""
    text = str(error) or type(error).__name__
    return STOPPED if text == "interrupted" else text


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
