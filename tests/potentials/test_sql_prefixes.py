"""Prefixes of queries: a no must mean that no completion is right, and should come early."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from smcdsl.potentials import sql

from tests.potentials.mutations import cuts, mutate
from tests.potentials.queries import boundaries, queries
from tests.spider import names, needs_spider, rows, unpacked


def check_prefixes(marked: str, path: str) -> None:
    query, prefixes = boundaries(marked)
    if sql.resolves(query, path):
        assert [prefix for prefix in prefixes if not sql.resolves.prefix_function(prefix, path)] == []


UNHURRIED = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)


@UNHURRIED
@given(marked=queries())
def test_no_prefix_of_a_right_query_is_rejected(concerts, marked):
    check_prefixes(marked, concerts)


@pytest.mark.long
@settings(UNHURRIED, max_examples=5_000)
@given(marked=queries())
def test_no_prefix_of_a_right_query_is_rejected_in_thousands(concerts, marked):
    check_prefixes(marked, concerts)


@pytest.mark.parametrize(
    ("prefix", "alive"),
    [
        ("SELECT nam", True),
        ("SELECT nam FROM singer", False),
        ("SELECT nam FROM singer WHERE", False),
        ("SELECT name FROM singerx WHERE", False),
        ("SELECT t9.name FROM singer t1 WHERE", False),
        ("SELECT name FROM singer JOIN sic ON id=singer_id JOIN stadium ON 1=1 WHERE", False),
        ("SELECT name FROM singer WHERE count(*) > 1 GROUP BY", False),
        ("SELECT name FROM singer WHERE id IN (SELECT cid, singer_id FROM sic)", False),
        ("SELECT name FROM singer WHERE id IN (SELECT cid, singer_id FROM sic", False),
        ("SELECT name FROM singer WHERE (SELECT cid, singer_id FROM sic", True),
        ("SELECT name FROM singer WHERE (id, (SELECT cid FROM sic", True),
        ("SELECT name FROM singer WHERE substr((SELECT name FROM stadium", True),
        ("SELECT name FROM singer WHERE substr((SELECT nam FROM stadium", False),
        ("SELECT (SELECT max(age) FROM sic WHERE", True),
        ("SELECT (SELECT max(age) FROM sik WHERE", False),
        ("SELECT x.y FROM (SELECT name AS y FROM singer WHERE", True),
        ("SELECT x.y FROM (SELECT nam AS y FROM singer WHERE", False),
        ("SELECT id FROM OWNER WHERE", True),
        ('SELECT "nam" FROM singer', True),
        ("SELECT name FROM singer WHERE age BETWEEN 1 AND", True),
        ("SELECT name FROM singer JOIN sic ON nam = 1 AND", True),
        ("SELECT name FROM singer WHERE nam = 1 AND", False),
        ("SELECT name FROM singer WHERE name = ' WHERE nam ) --' AND", True),
        ("SELECT name, count(*) FROM singer GROUP BY country", True),
        ("SELECT sum(age) OVER w FROM singer", True),
        ("SELECT name FROM singer ORDER BY 3", False),
        ("SELECT name FROM singer UNION SELECT cid, name FROM concert", False),
        ("WITH a AS (SELECT nam FROM later", True),
        ("WITH a AS (SELECT nam FROM singer) SELECT * FROM a", False),
        ("WITH a AS (SELECT 1 AS n) SELECT n FROM a WHERE n IN (SELECT n FROM a", True),
        ("WITH a AS (SELECT 1 AS n) SELECT (SELECT n FROM a", True),
        ("WITH a AS (SELECT 1 AS n) SELECT name FROM singer WHERE id = (SELECT m FROM a", False),
        ("SELECT name FROM singer WHERE nam IN (SELECT id FROM sic", False),
        ("DELETE FROM singer", False),
    ],
)
def test_a_prefix_is_judged_as_far_as_it_goes(concerts, prefix, alive):
    assert sql.resolves.prefix_function(prefix, concerts) is alive
    assert sql.runs.prefix_function(prefix, concerts) is alive
    assert (sql.runs.explain((prefix, concerts), prefix=True) is None) is alive


def test_the_reason_is_sqlites_own(concerts):
    prefix = "SELECT name FROM singer JOIN concert"
    assert sql.runs.explain((prefix, concerts), prefix=True) == "ambiguous column name: name"
    assert sql.runs.explain(("SELECT name FROM singer WHERE", concerts)) == "incomplete input"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("spider")


@needs_spider
def test_gold_queries_survive_every_boundary(folder):
    gold = [row for row in rows("dev") if row["has_db"]]
    rejected = [
        prefix
        for row in gold
        for prefix in cuts(row["query"])
        if not sql.resolves.prefix_function(prefix, unpacked(row["db_id"], folder))
    ]
    assert rejected == []
    assert sum(len(cuts(row["query"])) for row in gold) > 900


@needs_spider
def test_gold_queries_return_what_the_data_says(folder):
    for row in rows("dev"):
        if row["has_db"]:
            path = unpacked(row["db_id"], folder)
            assert sql.runs(row["query"], path), row["query"]
            assert (sql.returns_rows(row["query"], path) == 1.0) == (row["gold_rows"] > 0), row["query"]


# Shares of wrong queries noticed before their end, a little below what was measured (69, 65, 83, 82 %).
CAUGHT = {
    "no such column": 0.66,
    "column of another table": 0.61,
    "no such table": 0.80,
    "undeclared alias": 0.79,
}


@needs_spider
@pytest.mark.parametrize("kind", CAUGHT)
def test_most_wrong_names_are_noticed_before_the_end_and_all_at_the_end(folder, kind):
    chance, outcomes = random.Random(1), Counter()
    for row in rows("dev"):
        wrong = mutate(kind, row["query"], names(row["db_id"]), chance) if row["has_db"] else None
        if wrong is not None:
            path = unpacked(row["db_id"], folder)
            early = not all(sql.resolves.prefix_function(prefix, path) for prefix in cuts(wrong))
            outcomes["early" if early else "missed" if sql.resolves(wrong, path) else "late"] += 1
    assert outcomes.total() > 180
    assert outcomes["early"] / outcomes.total() >= CAUGHT[kind]
    assert outcomes["missed"] == 0
