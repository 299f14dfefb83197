"""Running queries of SQLite, in a process that does nothing else and can be killed (`_sql_processes`).

The file is opened read-only and immutable: no journal, no lock, no write-ahead log is touched. The instruction limit,
not the clock, is what normally stops a runaway query, so that the same query fails on every machine; behind it stand
a limit of processor time, then the death of the process.
"""

from __future__ import annotations

import sqlite3
import time
from collections import OrderedDict
from pathlib import Path

from smcdsl.potentials._sql_limits import (
    CPU_SECONDS,
    FAILURES,
    MAX_INSTRUCTIONS,
    MAX_RESULT_BYTES,
    MAX_ROWS,
    RUN_HEAP_BYTES,
    harden,
    limit_heap,
    message,
)
from smcdsl.potentials._sql_outcomes import Kinds, Outcome, size_of
from smcdsl.potentials._sql_processes import confine

_INSTRUCTIONS_A_TICK = 1_000
_MAX_OPEN = 4
_opened: OrderedDict[tuple[str, int, int], sqlite3.Connection] = OrderedDict()


def run(path: str, version: tuple[int, int], query: str, keep_rows: bool) -> tuple[object, ...]:
    """The outcome of one query, as a plain tuple.

    Args:
        path: the database file.
        version: its time of modification and size; another version is opened anew.
    """
    confine()
    connection = _opened.get((path, *version)) or _open(path, version)
    return tuple(_run(connection, query, keep_rows))


def open_file(path: str) -> sqlite3.Connection:
    """A read-only connection that touches nothing beside the file. Raises sqlite3.Error."""
    uri = f"{Path(path).absolute().as_uri()}?mode=ro&immutable=1"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
    connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
    return connection


def _open(path: str, version: tuple[int, int]) -> sqlite3.Connection:
    connection = _opened[(path, *version)] = open_file(path)
    limit_heap(connection, RUN_HEAP_BYTES)
    harden(connection)
    if len(_opened) > _MAX_OPEN:
        _opened.popitem(last=False)[1].close()
    return connection


def _run(connection: sqlite3.Connection, query: str, keep_rows: bool) -> Outcome:
    fuel = _Fuel()
    connection.set_progress_handler(fuel, _INSTRUCTIONS_A_TICK)
    kept = []
    num_rows = size = 0
    try:
        cursor = connection.execute(query)
        kinds = Kinds(len(cursor.description or ()))
        for row in cursor:
            num_rows += 1
            size += size_of(row)
            kinds.see(row)
            if size > MAX_RESULT_BYTES:
                return Outcome(f"the result is larger than {MAX_RESULT_BYTES:,} bytes")
            if num_rows > MAX_ROWS and keep_rows:
                return Outcome(f"the result has more than {MAX_ROWS:,} rows")
            if num_rows > MAX_ROWS:
                num_rows = MAX_ROWS
                break
            if keep_rows:
                kept.append(row)
        cursor.close()
    except FAILURES as error:
        return Outcome(message(error))
    return Outcome(None, num_rows, tuple(kept), kinds.words(), fuel.ticks * _INSTRUCTIONS_A_TICK)


class _Fuel:
    """A progress handler that stops a query after MAX_INSTRUCTIONS or CPU_SECONDS."""

    def __init__(self) -> None:
        self.ticks = 0
        self.deadline = time.process_time() + CPU_SECONDS

    def __call__(self) -> bool:
        self.ticks += 1
        return self.ticks * _INSTRUCTIONS_A_TICK > MAX_INSTRUCTIONS or time.process_time() > self.deadline
