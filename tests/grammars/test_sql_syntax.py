"""The grammar and SQLite's own parser agree, on random texts of either."""

from __future__ import annotations

import random
import sqlite3
from functools import cache
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from smcdsl.potentials import sql

from smcdsl.notations.lark import load_lark
from smcdsl.program.grammar import Grammar
from tests.grammars.lark_reading import LarkReading
from tests.grammars.sentences import Sentences
from tests.potentials.queries import TABLES, boundaries, queries

FILE = Path(str(files("smcdsl.grammars").joinpath("sql.lark")))
SCHEMA = {
    "singer": ["id", "name", "country", "age", "order", "Home Town", "first"],
    "concert": ["cid", "date", "year", "row"],
}
EXAMPLES = {
    "NAME": ["performer", "x_y"],
    "SHORT_NAME": ["t1", "s"],
    "DOUBLE_QUOTED": ['"a b"'],
    "BRACKETED": ["[a b]"],
    "BACKTICKED": ["`a b`"],
    "STRING": ["'it''s'"],
    "BLOB": ["x'ab'"],
    "NUMBER": ["1", "2.5", "0x1F"],
}


@cache
def select(bound: bool) -> Grammar:
    free = load_lark(FILE.read_text(), name="sql.lark", start="select")
    return sql.specialize(free, "select", {"schema": SCHEMA if bound else None})


@pytest.mark.parametrize("count", [500, pytest.param(1500, marks=pytest.mark.long)])
@pytest.mark.parametrize("bound", [False, True])
def test_sqlite_finds_no_fault_in_the_syntax_of_any_text(bound, count):
    connection = sqlite3.connect(":memory:")
    for table, columns in SCHEMA.items():
        names = ", ".join(f'"{column}"' for column in columns)
        connection.execute(f"CREATE TABLE {table} ({names})")
    sentences, chance, faults = Sentences(select(bound), EXAMPLES), random.Random(1), []
    for _ in range(count):
        text = sentences.draw(chance, chance.choice([5, 20, 60]))
        try:
            connection.execute("EXPLAIN " + text).close()
        except sqlite3.Error as error:
            if any(word in str(error) for word in ("syntax", "unrecognized token", "incomplete input")):
                faults.append((str(error), text))
    assert faults == []


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(marked=queries())
def test_what_sqlite_compiles_is_a_text_of_the_free_grammar(marked):
    query, _ = boundaries(marked)
    if _compiles(query):
        assert _reading().mistake(query) is None


@cache
def _reading() -> LarkReading:
    return LarkReading(select(bound=False))


def _compiles(query: str) -> bool:
    connection = sqlite3.connect(":memory:")
    for table, columns in TABLES.items():
        connection.execute(f"CREATE TABLE {table} ({', '.join(columns)})")
    try:
        connection.execute("EXPLAIN " + query).close()
    except sqlite3.Error:
        return False
    return True
