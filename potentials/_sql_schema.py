"""What a database says of itself: tables, columns, keys, and how they are spelled."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

RESERVED = frozenset(
    """add all alter and as autoincrement between case check collate commit constraint create default deferrable
    delete distinct drop else escape except exists foreign from group having in index insert intersect into is isnull
    join limit not nothing notnull null on or order primary references returning select set table then to transaction
    union unique update using values when where
    cast cross current_date current_time current_timestamp full glob indexed inner left like natural outer raise right
    true false""".split()
)
"""Words that SQLite does not take, or not everywhere, as a bare name (tried on 3.40: all its keywords)."""

_BARE = re.compile(r"[A-Za-z_\u0080-\U0010ffff][A-Za-z0-9_$\u0080-\U0010ffff]*")


def is_bare(name: str, reserved: frozenset[str] = RESERVED) -> bool:
    """Whether `name` is read as itself without quotes, wherever a name may stand; by default, in SQLite."""
    return _BARE.fullmatch(name) is not None and name.lower() not in reserved


def spelled(name: str) -> str:
    """`name` as a query writes it: quoted where it must be."""
    return name if is_bare(name) else quoted(name)


def quoted(name: str) -> str:
    """`name` in double quotes."""
    return '"' + name.replace('"', '""') + '"'


@dataclass(frozen=True)
class Reference:
    """A foreign key: these columns name a row of `table`; `targets` is empty where its key is meant."""

    columns: tuple[str, ...]
    table: str
    targets: tuple[str, ...]


@dataclass(frozen=True)
class Column:
    """A column; `type` is as declared, upper case, possibly empty. `key` is its place in the primary key, from 1."""

    name: str
    type: str = ""
    key: int = 0


@dataclass(frozen=True)
class Table:
    """A table or a view."""

    name: str
    columns: tuple[Column, ...]
    references: tuple[Reference, ...] = ()
    is_view: bool = False
    sql: str = ""

    @cached_property
    def key(self) -> tuple[str, ...]:
        """The names of the primary key's columns."""
        return tuple(column.name for column in sorted(self.columns, key=lambda column: column.key) if column.key)

    def ddl(self) -> str:
        """One CREATE TABLE line: names, types, keys."""
        parts = [self._column(column, is_key=self.key == (column.name,)) for column in self.columns]
        if len(self.key) > 1:
            parts.append(f"PRIMARY KEY ({_names(self.key)})")
        for reference in self.references:
            if len(reference.columns) > 1:
                parts.append(f"FOREIGN KEY ({_names(reference.columns)}) {_target(reference)}")
        return f"CREATE TABLE {spelled(self.name)} ({', '.join(parts)});"

    def _column(self, column: Column, *, is_key: bool) -> str:
        words = [spelled(column.name), column.type, "PRIMARY KEY" if is_key else ""]
        words += [_target(reference) for reference in self.references if reference.columns == (column.name,)]
        return " ".join(word for word in words if word)


@dataclass(frozen=True)
class Schema:
    """The tables and views of a database, in order of creation. Names compare as SQLite's: ASCII case aside."""

    tables: tuple[Table, ...] = field(default=())

    @cached_property
    def columns_of(self) -> dict[str, frozenset[str]]:
        """Folded table name -> folded column names."""
        return {fold(table.name): frozenset(fold(column.name) for column in table.columns) for table in self.tables}

    @cached_property
    def views(self) -> dict[str, str]:
        """Folded name of each view -> its CREATE VIEW statement."""
        return {fold(table.name): table.sql for table in self.tables if table.is_view}

    @cached_property
    def columns(self) -> frozenset[str]:
        """Folded names of all columns."""
        return frozenset().union(*self.columns_of.values())

    def ddl(self) -> str:
        """The tables' CREATE TABLE lines; views are left out."""
        return "\n".join(table.ddl() for table in self.tables if not table.is_view)


def fold(name: str) -> str:
    """`name` with ASCII letters in lower case: equal for names that SQLite takes for the same."""
    return name.lower() if name.isascii() else "".join(c.lower() if c.isascii() else c for c in name)


def read_schema(connection: sqlite3.Connection) -> Schema:
    """The schema of an open database. Raises sqlite3.DatabaseError on a file that is none."""
    rows = connection.execute(
        "SELECT type, name, coalesce(sql, '') FROM sqlite_master WHERE type IN ('table', 'view') ORDER BY rowid"
    ).fetchall()
    tables = [_read_table(connection, *row) for row in rows if not row[1].lower().startswith("sqlite_")]
    by_name = {fold(table.name): table for table in tables}
    return Schema(tuple(replace(table, references=_resolved(table.references, by_name)) for table in tables))


def schema_of_names(names: Mapping[str, Sequence[str]]) -> Schema:
    """A schema given as {table: [column, ...]}."""
    return Schema(tuple(Table(table, tuple(Column(name) for name in columns)) for table, columns in names.items()))


def _read_table(connection: sqlite3.Connection, kind: str, name: str, sql: str) -> Table:
    columns = [
        Column(str(row[1]), " ".join(str(row[2] or "").upper().split()), int(row[5]))
        for row in _pragma(connection, "table_xinfo", name)
        if row[6] != 1  # hidden columns of virtual tables
    ]
    keys: dict[int, list[Any]] = {}
    for row in _pragma(connection, "foreign_key_list", name):
        keys.setdefault(row[0], []).append(row)
    references = tuple(
        _reference(sorted(rows, key=lambda row: row[1])) for _, rows in sorted(keys.items(), reverse=True)
    )
    return Table(name, tuple(columns), references, kind == "view", sql)


def _pragma(connection: sqlite3.Connection, pragma: str, name: str) -> list[Any]:
    try:
        return connection.execute(f"PRAGMA {pragma}({quoted(name)})").fetchall()
    except (sqlite3.Error, MemoryError):  # a view over what is gone, a virtual table whose module is not there
        return []


def _resolved(references: Sequence[Reference], tables: Mapping[str, Table]) -> tuple[Reference, ...]:
    """The references with their tables spelled as declared, and those to a key naming its columns."""
    found = []
    for reference in references:
        table = tables.get(fold(reference.table))
        if table is None:
            found.append(reference)
            continue
        found.append(Reference(reference.columns, table.name, reference.targets or table.key))
    return tuple(found)


def _reference(rows: list[Any]) -> Reference:
    targets = tuple(row[4] for row in rows if row[4] is not None)
    return Reference(tuple(row[3] for row in rows), rows[0][2], targets)


def _target(reference: Reference) -> str:
    targets = f"({_names(reference.targets)})" if reference.targets else ""
    return f"REFERENCES {spelled(reference.table)}{targets}"


def _names(names: Sequence[str]) -> str:
    return ", ".join(map(spelled, names))
