"""Results of potentials kept from run to run: one SQLite file, without pickles.

A row is a key (`score_keys`) and a number.

Several processes may use the file at once. It only saves time: a file that cannot be used is reported once
and done without, a damaged one is begun anew, and when it is full what was unused for longest goes.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from smcdsl.cache import cache_dir
from smcdsl.errors import Diagnostic
from smcdsl.program.evaluation import UNKNOWN

FILE_NAME = "scores.sqlite"
LIMIT_BYTES = 64 << 20
"""The most that the rows may take; a row takes about 50 bytes."""

_APPLICATION, _FORMAT = 0x736D6373, 1
_BUSY_SECONDS = 0.5
_NONE, _BOOL, _INT, _FLOAT = range(4)
_LOOK_EVERY = 2_000
"""Rows written between two looks at the file's size."""


class ScoreCache:
    """The file, opened when it is first needed. Close it after use; not for several threads.

    `warnings` says why it could not be used, at most once.
    """

    def __init__(self, path: Path | None = None, limit_bytes: int = LIMIT_BYTES) -> None:
        self.path = path or cache_dir() / FILE_NAME
        self.limit_bytes = limit_bytes
        self.warnings: list[Diagnostic] = []
        self._connection: sqlite3.Connection | None = None
        self._usable = True
        self._hits: set[bytes] = set()
        self._written = 0

    def get(self, key: bytes) -> tuple[Any] | None:
        """The result of that key, in a tuple; None if there is none."""
        connection = self._open()
        if connection is None:
            return None
        try:
            row = connection.execute("SELECT kind, number FROM scores WHERE key = ?", (key,)).fetchone()
        except sqlite3.Error as error:
            self._give_up(error)
            return None
        if row is None:
            return None
        try:
            found = _read(*row)
        except ValueError:
            self._warn("holds something that is no result", "such rows are ignored and written anew")
            return None
        self._hits.add(key)
        return (found,)

    def put(self, rows: Mapping[bytes, Any]) -> None:
        """Keep results: numbers, yes or no, and `UNKNOWN`. What another process holds up is not kept."""
        now = _now()
        packed = [(key, *found, now) for key, value in rows.items() if (found := _row(value)) is not None]
        if not packed:
            return
        connection = self._open()
        if connection is None:
            return
        try:
            if len(packed) == 1:
                connection.execute(_PUT, packed[0])
            else:
                with _Transaction(connection):
                    connection.executemany(_PUT, packed)
            self._written += len(packed)
            if self._written >= _LOOK_EVERY:
                self._written = 0
                self._make_room(connection)
        except sqlite3.Error as error:
            self._give_up(error)

    def close(self) -> None:
        """Note what was used, and let go of the file."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        with suppress(sqlite3.Error):
            now = _now()
            with _Transaction(connection):
                connection.executemany("UPDATE scores SET used = ? WHERE key = ?", ((now, key) for key in self._hits))
            self._make_room(connection)
        self._hits.clear()
        with suppress(sqlite3.Error):
            connection.close()

    def _open(self) -> sqlite3.Connection | None:
        if self._connection is None and self._usable:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._connection = _connect(self.path)
            except _Foreign as error:
                self._usable = False
                self._warn(str(error), "results are not kept; delete the file to begin anew")
            except (OSError, sqlite3.Error) as error:
                self._give_up(error)
        return self._connection

    def _give_up(self, error: Exception) -> None:
        """Begin a damaged file anew; else do without."""
        if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
            return
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()
        damaged = isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError)
        if not damaged or self.warnings:
            self._usable = False
            self._warn(f"cannot be used: {error}", "results are not kept")
            return
        self._warn(f"is damaged: {error}", "it is begun anew")
        self._hits.clear()
        for suffix in ("", "-wal", "-shm"):
            with suppress(OSError):
                self.path.with_name(self.path.name + suffix).unlink()

    def _make_room(self, connection: sqlite3.Connection) -> None:
        """Delete the tenth of the rows that was unused for longest, until the rest fits."""
        while True:
            pages, free, size = (
                connection.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("page_count", "freelist_count", "page_size")
            )
            if (pages - free) * size <= self.limit_bytes:
                return
            count = connection.execute("SELECT count(*) FROM scores").fetchone()[0]
            if count < 10:
                return
            with _Transaction(connection):
                connection.execute(
                    "DELETE FROM scores WHERE key IN (SELECT key FROM scores ORDER BY used LIMIT ?)", (count // 10,)
                )

    def _warn(self, what: str, consequence: str) -> None:
        if not self.warnings:
            message = f"the file of kept results {what}"
            self.warnings.append(Diagnostic("W0901", message, context=str(self.path), notes=(consequence,)))


class _Foreign(Exception):
    """The file is a database of somebody else, or of another version."""


_PUT = "INSERT OR REPLACE INTO scores VALUES (?, ?, ?, ?)"


class _Transaction:
    """All or nothing; a lock that is not to be had is an error at once."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            self._connection.execute("COMMIT" if kind is None else "ROLLBACK")
        except sqlite3.Error:
            with suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            raise


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)
    try:
        # In this order: another process may be creating it.
        is_new = not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if is_new and application in (0, _APPLICATION):
            _create(connection)
        elif application != _APPLICATION:
            raise _Foreign("is a database of another program")
        elif version != _FORMAT:
            raise _Foreign(f"was written by another version (format {version}, not {_FORMAT})")
        connection.execute("PRAGMA journal_mode = wal")
        # Losing the last rows in a crash of the machine costs no more than time.
        connection.execute("PRAGMA synchronous = off")
        # A table of other columns is found here and not at the first row.
        connection.execute("SELECT key, kind, number, used FROM scores LIMIT 0")
    except BaseException:
        connection.close()
        raise
    return connection


def _create(connection: sqlite3.Connection) -> None:
    with _Transaction(connection):
        # Another process may have been faster.
        connection.execute(
            "CREATE TABLE IF NOT EXISTS scores "
            "(key BLOB PRIMARY KEY, kind INTEGER NOT NULL, number, used INTEGER NOT NULL) WITHOUT ROWID"
        )
        connection.execute(f"PRAGMA application_id = {_APPLICATION}")
        connection.execute(f"PRAGMA user_version = {_FORMAT}")


def _now() -> int:
    return time.time_ns() // 1_000_000


def _row(value: Any) -> tuple[int, int | float | None] | None:
    """(kind, number); None for what does not fit into a row."""
    if value is UNKNOWN:
        return _NONE, None
    if isinstance(value, bool):
        return _BOOL, int(value)
    if isinstance(value, int):
        return (_INT, value) if -(2**63) <= value < 2**63 else None
    return (_FLOAT, float(value)) if isinstance(value, float) and value == value else None


def _read(kind: Any, number: Any) -> Any:
    """The result of a row. Raises ValueError."""
    if kind == _NONE and number is None:
        return UNKNOWN
    if kind == _BOOL and isinstance(number, int) and number in (0, 1):
        return bool(number)
    if kind == _INT and isinstance(number, int):
        return number
    if kind == _FLOAT and isinstance(number, int | float):
        return float(number)
    raise ValueError
