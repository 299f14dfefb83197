"""`grammars/sql.lark`, free and bound to a schema, as lark reads it."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path

import pytest
from smcdsl.potentials.sql import specialize

from smcdsl.errors import UsageError
from smcdsl.notations.lark import load_lark
from tests.grammars.lark_reading import LarkReading

FILE = Path(str(files("smcdsl.grammars").joinpath("sql.lark")))
SCHEMA = {
    "singer": ["singer_id", "name", "country", "age", "order", "Home Town", "first"],
    "concert": ["concert_id", "singer_id", "date", "year"],
    "match": ["id"],
}


@cache
def reading(bound: bool, start: str = "select") -> LarkReading:
    grammar = load_lark(FILE.read_text(), name="sql.lark", start="select")
    schema = SCHEMA if bound else None
    return LarkReading(specialize(grammar, "select", {"dialect": "sqlite", "schema": schema, "start": start}))


SELECTS = """
SELECT 1
select Name, COUNT(*) FROM singer GROUP BY name HAVING count(*) >= 2 ORDER BY count(*) DESC, name ASC LIMIT 3 OFFSET 1
SELECT DISTINCT country FROM singer WHERE age BETWEEN 20 AND 30 AND NOT name LIKE 'A%' ESCAPE '!' OR age IS NOT NULL
SELECT T1.name, T2.* FROM singer AS T1 JOIN concert T2 ON T1.singer_id = T2.singer_id AND T2.year > 2014
SELECT name FROM singer NATURAL JOIN concert
SELECT name FROM singer LEFT OUTER JOIN concert USING (singer_id) CROSS JOIN match
SELECT name FROM singer RIGHT JOIN concert USING (singer_id), match
SELECT name FROM (singer FULL OUTER JOIN concert ON 1)
SELECT name FROM singer WHERE singer_id IN (SELECT singer_id FROM concert) UNION SELECT date FROM concert ORDER BY 1
SELECT name FROM singer EXCEPT SELECT name FROM singer INTERSECT SELECT name FROM singer UNION ALL SELECT 'x'
SELECT name FROM singer WHERE EXISTS (SELECT 1 FROM concert) AND age > (SELECT avg(age) FROM singer)
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9) SELECT sum(i) FROM n
WITH a AS (SELECT name AS who FROM singer), b AS NOT MATERIALIZED (SELECT who FROM a) SELECT b.who FROM b
SELECT CASE WHEN age > 30 THEN 'old' ELSE 'young' END, CAST(age AS DECIMAL(5, 2)) FROM singer
SELECT CASE age WHEN 1 THEN 2 END FROM singer
SELECT count(DISTINCT country) FILTER (WHERE age > 3), group_concat(name, ', ') FROM singer
SELECT rank() OVER (PARTITION BY country ORDER BY age DESC NULLS LAST) FROM singer
SELECT sum(age) OVER w FROM singer WINDOW w AS (ORDER BY age ROWS BETWEEN 2 PRECEDING AND CURRENT ROW EXCLUDE TIES)
SELECT 'it''s', 1.5e-3, .5, 0x1F, x'ab01', NULL, TRUE, -age, ~age, +age, CURRENT_DATE FROM singer
SELECT name || ' ' || country, age % 2 = 1, age << 2 & 7, age <> 3, age != 3, age == 3 FROM singer
SELECT name FROM singer WHERE name COLLATE NOCASE = 'x' AND name GLOB 'x*' AND age NOT IN (1, 2) AND age NOTNULL
SELECT name FROM singer WHERE (age, name) = (1, 'x') AND age IS NOT DISTINCT FROM 3 AND age NOT NULL
SELECT count(*) AS n, country FROM singer GROUP BY country ORDER BY n
SELECT count(*) FROM singer LIMIT 3, 4
SELECT rowid FROM singer ;
SELECT strftime('%Y', date) FROM concert
SELECT "order", [Home Town], `home town`, first FROM singer
SELECT name FROM singer WHERE country = "France"
SELECT id FROM MATCH
SELECT name 'the name' FROM singer
""".strip().splitlines()
ALSO_BOUND = [query for query in SELECTS if "'the name'" not in query]

OTHERS = """
SELECT
SELECT name FROM
SELECT name singer FROM WHERE
SELECT 1; SELECT 2
SELECT 1;;
INSERT INTO singer VALUES (1)
DROP TABLE singer
PRAGMA table_info(singer)
ATTACH 'x' AS y
SELECT name FROM singer -- comment
SELECT name /* comment */ FROM singer
SELECT name FROM singer WHERE age = ?
SELECT name FROM singer WHERE age = :age
SELECT name FROM singer GROUP BY
SELECT name FROM singer ORDER BY name LIMIT 3 UNION SELECT 1
SELECT name FROM singer WHERE age BETWEEN 1
SELECT table FROM singer
SELECT 1name FROM singer
SELECT name FROM singer WHERE name = 'x
SELECT (SELECT 1
EXPLAIN SELECT 1
""".strip().splitlines()

MISSPELT = """
SELECT nam FROM singer
SELECT name FROM singr
SELECT T1.nam FROM singer AS T1
SELECT singr.name FROM singer
SELECT name FROM singer WHERE nam = 'x'
SELECT name FROM singer ORDER BY nam
SELECT name FROM singer WHERE singer_id IN (SELECT singer FROM concert)
SELECT order FROM singer
SELECT nаme FROM singer
SELECT lenght(name) FROM singer
SELECT CAST(age AS INTEGR) FROM singer
SELECT name FROM singer COLLATE x
SELECT count(*) AS n FROM singr
SELECT count(*) AS n FROM singer WHERE nam = 1 GROUP BY n
""".strip().splitlines()

DECLARED = """
SELECT count(*) number FROM singer GROUP BY country HAVING number > 3 ORDER BY number + 1
SELECT name FROM (SELECT name, count(*) AS n FROM singer) AS counted WHERE n > 3 AND counted.n < 9 ORDER BY n
SELECT name FROM singer AS performer JOIN concert ON concert.singer_id = performer.singer_id
WITH performer AS (SELECT name AS who FROM singer) SELECT performer.who FROM performer WHERE who <> 'x'
SELECT name AS order_ FROM singer UNION SELECT date FROM concert ORDER BY order_
SELECT name FROM singer AS "the singers" WHERE "the singers".age > 3
""".strip().splitlines()


@pytest.mark.parametrize("query", ALSO_BOUND)
def test_selects_of_sqlite_are_read(query):
    assert reading(bound=False).mistake(query) is None
    assert reading(bound=True).mistake(query) is None


@pytest.mark.parametrize("query", OTHERS)
def test_what_is_no_select_is_refused(query):
    assert not reading(bound=False).accepts(query)
    assert not reading(bound=True).accepts(query)


@pytest.mark.parametrize("query", MISSPELT)
def test_a_schema_makes_misspelt_names_impossible(query):
    assert not reading(bound=True).accepts(query)


@pytest.mark.parametrize("query", DECLARED)
def test_what_the_query_declares_may_be_used_after(query):
    assert reading(bound=True).mistake(query) is None


@pytest.mark.parametrize("bound", [False, True])
def test_lark_finds_no_conflict_in_the_rules(bound):
    assert reading(bound).conflicts == []


def test_lark_tells_of_conflicts():
    dangling = 'start: "if" start ("else" start)? | "x"\n%ignore " "\n'
    assert LarkReading(load_lark(dangling, name="dangling")).conflicts != []


def test_sites_are_the_clauses_columns_tables_literals_and_subqueries():
    grammar = specialize(load_lark(FILE.read_text(), start="select"), "select", {"schema": SCHEMA})
    assert grammar.boundaries == ("clause", "column", "table", "literal", "subquery")
    query = "SELECT T1.name FROM singer AS T1 WHERE age > (SELECT 3 AS n FROM match ORDER BY n) LIMIT 2"
    rules = set(grammar.rules) & (set(grammar.boundaries) | set(grammar.boundary_of))
    sites: dict[str, list[str]] = {}
    for rule, text in LarkReading(grammar).sites(query, rules):
        sites.setdefault(grammar.boundary_of.get(rule, rule), []).append(text)
    assert sites == {
        "column": ["T1.name", "age", "n"],
        "table": ["singer", "match"],
        "literal": ["3", "2"],
        "subquery": ["(SELECT 3 AS n FROM match ORDER BY n)"],
        "clause": [
            "SELECT T1.name",
            "FROM singer AS T1",
            "SELECT 3 AS n",
            "FROM match",
            "ORDER BY n",
            "WHERE age > (SELECT 3 AS n FROM match ORDER BY n)",
            "LIMIT 2",
        ],
    }


def test_another_rule_may_be_the_start():
    assert reading(bound=True, start="expr").accepts("age > 3 AND name LIKE 'x'")
    assert not reading(bound=True, start="expr").accepts("SELECT 1")


@pytest.mark.parametrize(
    ("schema", "said"),
    [({}, "has no tables"), ({"t": "columns"}, "not a list of columns"), ("no.sqlite", "not a SQLite")],
)
def test_a_schema_that_makes_no_grammar_is_a_usage_error(schema, said):
    with pytest.raises(UsageError, match=said):
        specialize(load_lark(FILE.read_text(), start="select"), "select", {"schema": schema})


def test_a_start_that_is_no_rule_is_refused():
    with pytest.raises(ValueError, match="no rule `nothing`"):
        specialize(load_lark(FILE.read_text(), start="select"), "select", {"start": "nothing"})
