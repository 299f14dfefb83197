"""Spider's databases: opened in memory, and queries run on them within a bound."""

import lzma
import sqlite3
from functools import lru_cache
from pathlib import Path

from smcdsl.potentials._sql_schema import Schema, read_schema

STEPS = 20_000_000
"""The most steps of SQLite's machine that a query may take."""


@lru_cache(maxsize=4)
def opened(path: Path) -> sqlite3.Connection:
    """Return a copy in memory of a compressed database."""
    connection = sqlite3.connect(":memory:")
    connection.deserialize(lzma.decompress(path.read_bytes()))
    connection.text_factory = lambda data: data.decode(errors="replace")
    return connection


def schema_of(path: Path) -> Schema:
    """Return the tables of a database, as `smcdsl.potentials.sql.ddl` reads them."""
    return read_schema(opened(path))


def result(connection: sqlite3.Connection, query: str, ordered: bool) -> list[tuple[object, ...]] | None:
    """Return the rows of a query, sorted unless their order counts; None if it fails or takes too long."""
    calls = 0

    def stop() -> int:
        nonlocal calls
        calls += 1
        return int(calls * 100_000 > STEPS)

    connection.set_progress_handler(stop, 100_000)
    try:
        rows = connection.execute(query).fetchall()
    except (sqlite3.Error, sqlite3.Warning):
        return None
    finally:
        connection.set_progress_handler(None, 0)
    return rows if ordered else sorted(rows, key=repr)


def same_result(connection: sqlite3.Connection, query: str, gold: str) -> bool:
    """Whether a query returns what the gold query returns: as a bag, in order where the gold query orders."""
    ordered = "order by" in gold.lower()
    wanted = result(connection, gold, ordered)
    return wanted is not None and result(connection, query, ordered) == wanted
