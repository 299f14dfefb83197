"""`sql.select(dialect: ...)`: what each dialect takes and refuses, held against sqlglot's parser of that dialect."""

from __future__ import annotations

import logging
import random
import re
from functools import cache
from importlib.resources import files
from pathlib import Path

import pytest
import sqlglot
from smcdsl.potentials.sql import specialize, translate

from smcdsl.notations.lark import load_lark
from smcdsl.program.grammar import Grammar
from tests.grammars.lark_reading import LarkReading
from tests.grammars.sentences import Sentences
from tests.spider import names, needs_spider, rows

FILE = Path(str(files("smcdsl.grammars").joinpath("sql.lark")))
SCHEMA = {
    "singer": ["id", "name", "country", "age", "order", "Home Town", "first", "year", "date"],
    "concert": ["cid", "date", "year", "row"],
}
DIALECTS = ("sqlite", "postgres", "mysql", "ansi")
READ = {"sqlite": "sqlite", "postgres": "postgres", "mysql": "mysql", "ansi": ""}
"""sqlglot's names; it has no ANSI dialect, its own is a superset."""

# What of a dialect's texts the others take: s, p, m, a.
SAMPLES = r"""
spma SELECT name, COUNT(*) FROM singer GROUP BY name HAVING COUNT(*) >= 2 ORDER BY COUNT(*) DESC, name ASC
spma SELECT T1.name FROM singer AS T1 JOIN concert AS T2 ON T1.id = T2.cid WHERE T2.year > 2014
spma SELECT name FROM singer WHERE age BETWEEN 20 AND 30 AND name LIKE 'A%' OR age IS NOT NULL
spma SELECT CASE WHEN age > 30 THEN 'old' ELSE 'young' END, CAST(age AS DECIMAL(5, 2)) FROM singer
spma SELECT RANK() OVER (PARTITION BY country ORDER BY age DESC) FROM singer
spma WITH a AS (SELECT name FROM singer) SELECT name FROM a UNION ALL SELECT country FROM singer
spma SELECT COUNT(DISTINCT country), TRUE FROM singer WHERE id IN (SELECT cid FROM concert)
spma SELECT date, year FROM singer
spm- SELECT name FROM singer LIMIT 3
spm- SELECT name FROM singer LIMIT 3 OFFSET 4
s-m- SELECT name FROM singer LIMIT 3, 4
-p-a SELECT name FROM singer OFFSET 3 ROWS FETCH FIRST 5 ROWS ONLY
-p-- SELECT name FROM singer LIMIT ALL
sp-a SELECT "name" AS "the name" FROM "singer"
s-m- SELECT `name` FROM `singer`
s--- SELECT [name] FROM [singer]
sp-a SELECT name || ', ' || country FROM singer
-p-- SELECT name FROM singer WHERE name ILIKE 'a%'
-p-a SELECT name FROM singer ORDER BY age DESC NULLS LAST FETCH FIRST 1 ROWS ONLY
s--- SELECT name FROM singer WHERE name GLOB 'a*'
--m- SELECT name FROM singer WHERE name REGEXP '^a' AND name NOT RLIKE 'b'
-p-- SELECT name FROM singer WHERE name ~ '^a' AND name !~* 'b'
-p-- SELECT name FROM singer WHERE name SIMILAR TO 'a%'
-p-- SELECT age::numeric(5, 2)::text FROM singer
-p-- SELECT DISTINCT ON (country) country, name FROM singer ORDER BY country, age
-pma SELECT EXTRACT(YEAR FROM date) FROM concert
-p-- SELECT EXTRACT(EPOCH FROM date) FROM concert
-pma SELECT SUBSTRING(name FROM 1 FOR 2), TRIM(BOTH 'x' FROM name), POSITION('a' IN name) FROM singer
-p-- SELECT date + INTERVAL '1 day' FROM concert
-pma SELECT date + INTERVAL '1' DAY FROM concert
--m- SELECT date + INTERVAL 1 DAY, DATE_ADD(date, INTERVAL 2 MONTH) FROM concert
-pma SELECT name FROM singer WHERE date >= DATE '2014-01-01'
-p-- SELECT E'it\'s' FROM singer
--m- SELECT 'it\'s' FROM singer
spma SELECT 'it''s' FROM singer
--m- SELECT "it" FROM singer WHERE country = "France" AND name <=> NULL
s-m- SELECT x'ab' FROM singer
s--- SELECT name FROM singer WHERE age == 3
s--- SELECT name FROM singer WHERE age IS 3
sp-- SELECT name FROM singer WHERE age ISNULL
spma SELECT name FROM singer WHERE age > 3 IS NOT UNKNOWN IS TRUE IS NULL
spm- SELECT name FROM singer WHERE age != 3
spma SELECT name FROM singer WHERE age <> 3
sp-a SELECT SUM(age) FILTER (WHERE age > 3) FROM singer
--m- SELECT GROUP_CONCAT(DISTINCT name ORDER BY name SEPARATOR ', ') FROM singer
-p-- SELECT STRING_AGG(name, ', ' ORDER BY name) FROM singer
-p-- SELECT PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY age) FROM singer
--m- SELECT country, COUNT(*) FROM singer GROUP BY country WITH ROLLUP
-p-a SELECT country FROM singer GROUP BY GROUPING SETS ((country), ())
sp-a SELECT name FROM singer FULL OUTER JOIN concert ON id = cid
s--- SELECT name FROM singer JOIN concert
spma SELECT name FROM singer CROSS JOIN concert
s--- SELECT n FROM (SELECT name AS n FROM singer)
-pma SELECT name FROM singer WHERE age > ALL (SELECT year FROM concert)
-pma SELECT name FROM singer EXCEPT ALL SELECT country FROM singer
--m- SELECT age DIV 2, age MOD 2, IF(age > 3, 'a', 'b') FROM singer
spm- SELECT age % 2 FROM singer
s--- SELECT name FROM singer WHERE id IN ()
-p-- SELECT s.name FROM concert, LATERAL (SELECT name FROM singer WHERE id = cid) AS s
-p-- SELECT age ^ 2 FROM singer WHERE age BETWEEN SYMMETRIC 30 AND 20
""".strip().splitlines()

OTHERS = """
SELECT
SELECT name FROM
SELECT 1; SELECT 2
INSERT INTO singer VALUES (1)
DROP TABLE singer
SELECT name FROM singer -- comment
SELECT name FROM singer WHERE age = ?
SELECT name FROM singer GROUP BY
SELECT table FROM singer
SELECT 1name FROM singer
SELECT name FROM singer WHERE name = 'x
SELECT name INTO x FROM singer
SELECT name FROM singer FOR UPDATE
""".strip().splitlines()

MISSPELT = """
SELECT nam FROM singer
SELECT name FROM singr
SELECT singr.name FROM singer
SELECT lenght(name) FROM singer
SELECT CAST(age AS INTEGR) FROM singer
SELECT order FROM singer
""".strip().splitlines()


@cache
def grammar(dialect: str, bound: bool) -> Grammar:
    free = load_lark(FILE.read_text(), name="sql.lark", start="select")
    return specialize(free, "select", {"dialect": dialect, "schema": SCHEMA if bound else None})


@cache
def reading(dialect: str, bound: bool = False) -> LarkReading:
    return LarkReading(grammar(dialect, bound))


@pytest.mark.parametrize("line", SAMPLES)
def test_each_dialect_takes_its_own(line):
    marks, query = line[:4], line[5:]
    taken = "".join(
        mark if reading(dialect).accepts(query) else "-" for mark, dialect in zip("spma", DIALECTS, strict=True)
    )
    assert taken == marks
    for mark, dialect in zip(marks, DIALECTS, strict=True):
        if mark != "-":
            sqlglot.parse_one(query, read=READ[dialect])


@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_a_dialect_takes_it_takes_with_the_names_of_a_schema(dialect):
    mark = dialect[0]
    # Exceptions: a computed column in the SELECT list around it (see bind), and UNKNOWN, a name to SQLite.
    samples = [line[5:] for line in SAMPLES if mark in line[:4] and not re.search("AS n FROM|UNKNOWN", line)]
    assert [query for query in samples if not reading(dialect, bound=True).accepts(query)] == []


@pytest.mark.parametrize(
    ("query", "taken"),
    [
        ('SELECT name FROM singer WHERE country = "France"', "sm"),
        ("SELECT CONCAT(name, country) FROM singer", "pm"),
        ("SELECT IFNULL(age, 1) FROM singer", "sm"),
        ("SELECT STRFTIME('%Y', date) FROM concert", "s"),
        ("SELECT TO_CHAR(date, 'YYYY') FROM concert", "p"),
        ("SELECT CAST(age AS UNSIGNED) FROM singer", "sm"),
        ("SELECT CAST(age AS DOUBLE PRECISION) FROM singer", "spa"),
        ("SELECT rowid FROM singer", "s"),
    ],
)
def test_names_that_need_no_schema_are_the_dialects(query, taken):
    assert "".join(dialect[0] for dialect in DIALECTS if reading(dialect, bound=True).accepts(query)) == taken


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("query", OTHERS)
def test_what_is_no_select_is_refused(dialect, query):
    assert not reading(dialect).accepts(query)
    assert not reading(dialect, bound=True).accepts(query)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("query", MISSPELT)
def test_a_schema_makes_misspelt_names_impossible(dialect, query):
    assert not reading(dialect, bound=True).accepts(query)


@pytest.mark.parametrize("dialect", DIALECTS[1:])
def test_lark_finds_no_conflict_in_the_rules(dialect):
    assert reading(dialect, True).conflicts == []


EXAMPLES = {
    "NAME": ["performer", "x_y"],
    "SHORT_NAME": ["t1", "s"],
    "DOUBLE_QUOTED": ['"a b"'],
    "BRACKETED": ["[a b]"],
    "BACKTICKED": ["`a b`"],
    "STRING": ["'it''s'"],
    "ESCAPED": [r"E'it\'s'"],
    "BLOB": ["x'ab'"],
    "NUMBER": ["1", "2.5"],
}
MYSQL_STRINGS = ["'it''s'", r"'it\'s'", '"it"']


def sentences(dialect: str, bound: bool, count: int) -> list[str]:
    """Random texts of the grammar."""
    examples = EXAMPLES | ({"STRING": MYSQL_STRINGS} if dialect == "mysql" else {})
    drawn, chance = Sentences(grammar(dialect, bound), examples), random.Random(1)
    return [drawn.draw(chance, chance.choice([5, 20, 60])) for _ in range(count)]


def syntax_fault(text: str, dialect: str) -> str | None:
    """What sqlglot says against the syntax of `text`; None if nothing.

    Not syntax: how many arguments a function it knows takes. And it reads `* EXCEPT` as another system's star.
    """
    try:
        sqlglot.parse_one(text, read=READ[dialect])
    except sqlglot.errors.SqlglotError as error:
        if "Required keyword" not in str(error) and "* except" not in text:
            return f"{str(error).splitlines()[0]}: {text}"
    return None


def check_sentences(dialect: str, bound: bool, count: int) -> None:
    """All but one text in five hundred are read."""
    logging.getLogger("sqlglot").setLevel(logging.ERROR)  # `->` before what is no JSON path
    faults = [syntax_fault(text, dialect) for text in sentences(dialect, bound, count)]
    # sqlglot itself does not read SUBSTRING(a !~* b FROM 1): one in some thousand texts.
    assert len([fault for fault in faults if fault is not None]) <= count // 500, faults


@pytest.mark.parametrize("bound", [False, True])
@pytest.mark.parametrize("dialect", DIALECTS[1:])
def test_sqlglot_finds_no_fault_in_random_texts(dialect, bound):
    check_sentences(dialect, bound, 100)


@pytest.mark.long
@pytest.mark.parametrize("bound", [False, True])
@pytest.mark.parametrize("dialect", DIALECTS[1:])
def test_sqlglot_finds_no_fault_in_thousands_of_random_texts(dialect, bound):
    check_sentences(dialect, bound, 3000)


@pytest.mark.parametrize("bound", [False, True])
def test_duckdb_finds_no_fault_in_random_texts_of_postgres(bound):
    """DuckDB's parser descends from PostgreSQL's and is as strict."""
    duckdb = pytest.importorskip("duckdb")
    faults = []
    for text in sentences("postgres", bound, 300):
        try:
            duckdb.extract_statements(text)
        except duckdb.Error as error:
            # DuckDB has no BETWEEN SYMMETRIC, and the grammar does not know which types have a size.
            if "syntax error" in str(error) and not re.search(r"symmetric|\binte\w+ \(", text):
                faults.append((str(error).splitlines()[0], text))
    assert faults == []


def test_a_dialect_that_is_none_is_refused():
    with pytest.raises(ValueError, match="`postgres`"):
        specialize(load_lark(FILE.read_text(), start="select"), "select", {"dialect": "oracle"})


@pytest.mark.parametrize(
    ("query", "source", "target", "wanted"),
    [
        ("SELECT name FROM singer LIMIT 3, 4", "sqlite", "postgres", "SELECT name FROM singer LIMIT 4 OFFSET 3"),
        ('SELECT "name" FROM singer', "sqlite", "mysql", "SELECT `name` FROM singer"),
        ("SELECT age::int FROM singer", "postgres", "ansi", "SELECT CAST(age AS INT) FROM singer"),
        ("SELECT name FROM t LIMIT 3", "sqlite", "ansi", "SELECT name FROM t FETCH FIRST 3 ROWS ONLY"),
        ("SELECT 1 FROM t LIMIT 3, 4", "mysql", "ansi", "SELECT 1 FROM t OFFSET 3 ROWS FETCH FIRST 4 ROWS ONLY"),
        ("SELECT 1 FROM t FETCH FIRST 3 ROWS ONLY", "ansi", "sqlite", "SELECT 1 FROM t LIMIT 3"),
    ],
)
def test_a_query_is_translated(query, source, target, wanted):
    assert translate(query, source, target) == wanted
    assert reading(source).accepts(query)
    assert reading(target).accepts(wanted)


def test_what_cannot_be_translated_says_why():
    with pytest.raises(ValueError, match="sqlglot cannot read"):
        translate("SELECT FROM WHERE", "sqlite", "postgres")
    with pytest.raises(ValueError, match="dialect is one of"):
        translate("SELECT 1", "sqlite", "oracle")


@needs_spider
@pytest.mark.long
@pytest.mark.parametrize("dialect", DIALECTS[1:])
def test_translated_gold_queries_are_read(dialect):
    from itertools import groupby

    from smcdsl.potentials._sql_grouping import without_legacy_strings
    from smcdsl.potentials._sql_schema import schema_of_names

    refused = []
    for db_id, group in groupby((row for row in rows("dev") if row["has_db"]), key=lambda row: row["db_id"]):
        free = load_lark(FILE.read_text(), name="sql.lark", start="select")
        bound = LarkReading(specialize(free, "select", {"dialect": dialect, "schema": names(db_id)}))
        for row in group:
            query = translate(without_legacy_strings(row["query"], schema_of_names(names(db_id))), "sqlite", dialect)
            refused += [] if reading(dialect).accepts(query) and bound.accepts(query) else [query]
    assert refused == []
