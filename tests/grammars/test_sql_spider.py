"""Gold queries of Spider are texts of the grammar bound to their own schema."""

from __future__ import annotations

from importlib.resources import files
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from smcdsl.potentials.sql import specialize

from smcdsl.notations.lark import load_lark
from tests.grammars.lark_reading import LarkReading
from tests.spider import names, needs_spider, rows, sample

FILE = Path(str(files("smcdsl.grammars").joinpath("sql.lark")))


def refused(queries: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """(database, query) of the rows that the grammar does not take; rows are grouped by database."""
    free = load_lark(FILE.read_text(), name="sql.lark", start="select")
    found = []
    for db_id, group in groupby(queries, key=lambda row: row["db_id"]):
        reading = LarkReading(specialize(free, "select", {"schema": names(db_id)}))
        found += [(db_id, row["query"]) for row in group if not reading.accepts(row["query"])]
    return found


@needs_spider
def test_gold_queries_of_one_database_are_read():
    queries = [row for row in rows("dev") if row["db_id"] == "concert_singer"]
    assert refused(queries) == []


@needs_spider
@pytest.mark.long
def test_two_thousand_gold_queries_are_read():
    # One names a table that its database lacks.
    assert len(refused(sample(2000, "train", "dev"))) <= 2


@needs_spider
def test_a_gold_query_bound_to_another_schema_is_refused():
    free = load_lark(FILE.read_text(), name="sql.lark", start="select")
    reading = LarkReading(specialize(free, "select", {"schema": names("pets_1")}))
    other = [row["query"] for row in rows("dev") if row["db_id"] == "concert_singer"]
    assert not any(reading.accepts(query) for query in other)
