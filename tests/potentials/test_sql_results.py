"""Potentials on what a query returns, and on what it costs."""

from __future__ import annotations

import pytest
from smcdsl.potentials import sql
from smcdsl.potentials._sql_judging import outcome


@pytest.mark.parametrize(
    ("query", "kinds", "weight"),
    [
        ("SELECT name, age FROM singer", ["text", "integer"], 1.0),
        ("SELECT name, age FROM singer", ["text", "number"], 1.0),
        ("SELECT name, age FROM singer", ["any", "any"], 1.0),
        ("SELECT name, age FROM singer", ["integer", "text"], 0.01),
        ("SELECT name, age FROM singer", ["text"], 0.5),
        ("SELECT name FROM singer", ["text", "integer"], 0.5),
        ("SELECT capacity FROM stadium", ["real"], 1.0),
        ("SELECT capacity FROM stadium", ["integer"], 0.01),
        ("SELECT avg(age) FROM singer", ["number"], 1.0),
        ("SELECT 1 UNION SELECT 1.5", ["number"], 1.0),
        ("SELECT 1 UNION SELECT 1.5", ["integer"], 0.01),
        ("SELECT x'ab', NULL", ["blob", "text"], 1.0),
        ("SELECT name FROM singer WHERE age > 99", ["integer"], 1.0),  # nothing speaks against it
        ("SELECT nam FROM singer", ["text"], 0.0),
    ],
)
def test_columns_are_scored_by_number_and_kind(concerts, query, kinds, weight):
    assert sql.column_kinds(query, kinds, concerts) == weight


def test_a_kind_that_is_none_is_an_error(concerts):
    with pytest.raises(ValueError, match="a kind is one of any, number"):
        sql.column_kinds("SELECT 1", ["varchar"], concerts)


@pytest.mark.parametrize(
    ("query", "rows", "weight"),
    [
        ("SELECT name, age FROM singer", [["Ada", 30], ["Bo", 41]], 1.0),
        ("SELECT age, country, name FROM singer", [["Ada", 30]], 1.0),
        ("SELECT name, age FROM singer", [["Ada", 41], ["Bo", 41]], 0.5),
        ("SELECT name FROM singer", [["Ada"], ["Eve"], ["Cy"], ["Bo"]], 0.75),
        ("SELECT name FROM singer", [["Ada", "Ada"]], 0.01),
        ("SELECT count(*) FROM singer", [[3.0]], 1.0),
        ("SELECT 0.1 + 0.2", [[0.3]], 1.0),
        ("SELECT age FROM singer", [[None]], 1.0),
        ("SELECT name FROM singer WHERE age > 99", [["Ada"]], 0.01),
        ("SELECT name FROM singer", [], 1.0),
        ("SELECT nam FROM singer", [["Ada"]], 0.0),
    ],
)
def test_example_rows_are_looked_for_in_any_columns(concerts, query, rows, weight):
    assert sql.row_recall(query, rows, concerts) == weight


@pytest.mark.parametrize("rows", ["Ada", [{"name": "Ada"}], [3]])
def test_examples_of_another_shape_are_an_error(concerts, rows):
    with pytest.raises(ValueError, match="a list of lists"):
        sql.row_recall("SELECT name FROM singer", rows, concerts)


CROSS = "SELECT count(*) FROM " + ", ".join(
    f"(SELECT id FROM singer UNION SELECT id + 3 FROM singer) s{i}" for i in range(6)
)


def test_a_cross_join_weighs_what_it_costs(concerts):
    cheap = "SELECT name FROM singer"
    assert sql.cost_guard(cheap, concerts) == 1.0
    assert outcome(cheap, concerts).instructions == 0  # thousands, rounded down
    used = outcome(CROSS, concerts).instructions
    assert used > 6**6
    assert sql.cost_guard(CROSS, concerts, used) == 1.0
    assert sql.cost_guard(CROSS, concerts, used // 4) == pytest.approx(0.25, rel=0.01)
    assert sql.cost_guard("SELECT nam FROM singer", concerts) == 0.0


def test_costs_are_the_same_each_time(concerts):
    again = CROSS.replace("count(*)", "COUNT(*)")
    assert outcome(CROSS, concerts).instructions == outcome(again, concerts).instructions


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("SELECT name FROM singer", "SELECT name FROM singer ORDER BY age"),
        ("SELECT 1", "SELECT 1.0"),
        ("SELECT 0.1 + 0.2", "SELECT 0.3"),
        ("SELECT 0.0", "SELECT -0.0"),
        ("SELECT name FROM singer WHERE age > 99", "SELECT id, age FROM singer WHERE age > 99"),
        ("SELECT NULL", "SELECT age FROM singer WHERE name = 'Cy'"),
    ],
)
def test_queries_of_equal_rows_have_one_key(concerts, left, right):
    assert sql.result_key(left, concerts) == sql.result_key(right, concerts)


DIFFERENT = [
    "SELECT name FROM singer", "SELECT name FROM singer WHERE age > 35", "SELECT country FROM singer",
    "SELECT DISTINCT country FROM singer", "SELECT 1", "SELECT '1'", "SELECT x'31'", "SELECT 1.5", "SELECT NULL",
    "SELECT 'NULL'", "SELECT 1, 2", "SELECT 2, 1", "SELECT 12", "SELECT 'a' UNION SELECT 'b'", "SELECT 'a', 'b'",
]  # fmt: skip


def test_keys_are_equal_exactly_where_results_are_the_same(concerts):
    keys = [sql.result_key(query, concerts) for query in DIFFERENT]
    assert None not in keys
    for query, key in zip(DIFFERENT, keys):
        same = [other for other in DIFFERENT if sql.same_result(other, query, concerts)]
        assert same == [other for other, its_key in zip(DIFFERENT, keys) if its_key == key] == [query]


def test_the_order_of_rows_counts_where_it_is_asked_for(concerts):
    up, down = "SELECT name FROM singer ORDER BY name", "SELECT name FROM singer ORDER BY name DESC"
    assert sql.result_key(up, concerts) == sql.result_key(down, concerts)
    assert sql.result_key(up, concerts, ordered=True) != sql.result_key(down, concerts, ordered=True)


@pytest.mark.parametrize("query", ["SELECT nam FROM singer", "DROP TABLE singer", "SELECT", ""])
def test_a_query_that_fails_has_no_key(concerts, query):
    assert sql.result_key(query, concerts) is None
