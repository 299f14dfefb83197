"""SQL of other dialects than SQLite's, judged by DuckDB."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from smcdsl.potentials import sql
from smcdsl.potentials._sql_text import read, with_plain_strings

from tests.potentials.conftest import write
from tests.potentials.mutations import cuts
from tests.potentials.queries import boundaries, queries
from tests.spider import needs_spider, rows, unpacked

pytest.importorskip("duckdb")


@pytest.mark.parametrize(
    ("query", "right"),
    [
        ("SELECT name FROM singer", True),
        ("SELECT nam FROM singer", False),
        ("SELECT sum(name) FROM singer", False),
        ("SELECT name + 1 FROM singer", False),
        ("SELECT 1 FROM singer WHERE name > age", False),
        ('SELECT name FROM singer WHERE country = "France"', False),
        ("SELECT name FROM singer WHERE country = 'France'", True),
        ("SELECT age::text || name FROM singer WHERE name ILIKE 'a%'", True),
        ("SELECT DISTINCT ON (country) country, name FROM singer ORDER BY country, age", True),
        ("SELECT name, count(*) FROM singer GROUP BY country", False),
        ("SELECT T1.name, count(*) FROM singer T1 JOIN sic ON T1.id = singer_id GROUP BY T1.id", True),
        ("SELECT name FROM singer GROUP BY id HAVING age > 3 ORDER BY country", True),
        ("SELECT T1.name, count(*) FROM singer T1 JOIN sic ON T1.id = singer_id GROUP BY singer_id", False),
        ("SELECT country FROM singer GROUP BY country ORDER BY age", False),
        ("SELECT name FROM singer ORDER BY", False),
        ("SELECT date_trunc('day', name) FROM singer", False),
        ("SELECT 1 / 0 FROM singer WHERE age > 'abc'", False),
    ],
)
def test_types_and_groups_are_checked(concerts, query, right):
    assert sql.runs(query, concerts, "postgres") is right
    assert (sql.returns_rows(query, concerts, "postgres") > 0) is right
    assert (sql.runs.explain((query, concerts, "postgres")) is None) is right


@pytest.mark.parametrize(
    ("prefix", "alive"),
    [
        ("SELECT nam", True),
        ("SELECT nam FROM singer", False),
        ("SELECT name, count(*) FROM singer WHERE", True),
        ("SELECT name, count(*) FROM singer GROUP BY country", False),
        ("SELECT name, count(*) FROM singer GROUP BY country HAVING", False),
        ("SELECT name, count(*) FROM singer GROUP BY country AND", True),
        ("SELECT name, count(*) FROM singer GROUP BY (SELECT max(year) FROM concert", True),
        ("SELECT country FROM singer WHERE id IN (SELECT singer_id FROM sic GROUP BY cid HAVING", True),
        ("SELECT name FROM singer WHERE sum(age) > 3 AND", False),
        ("SELECT sum(name) FROM singer WHERE", False),
        ("SELECT name FROM singer WHERE age > (SELECT name FROM stadium WHERE", True),
        ("SELECT name FROM singer WHERE country = E'it\\'s (' AND", True),
        ("SELECT name FROM singer WHERE country = E'it\\'s (' AND nam = 1 AND", False),
        ("SELECT (SELECT max(age) FROM sic WHERE", True),
        ("WITH a AS (SELECT nam FROM singer) SELECT * FROM a", False),
    ],
)
def test_a_prefix_is_judged_as_far_as_it_goes(concerts, prefix, alive):
    assert sql.resolves.prefix_function(prefix, concerts, "legacy", "postgres") is alive
    assert (sql.runs.explain((prefix, concerts, "postgres"), prefix=True) is None) is alive


def test_mysql_has_its_own_quotes(concerts):
    assert sql.runs(r"""SELECT `name` FROM singer WHERE country = "a\"b" OR name = 'it\'s'""", concerts, "mysql")
    assert not sql.runs.prefix_function(
        r"""SELECT name FROM singer WHERE name = "a\"(" AND nam = 1 AND""", concerts, "mysql"
    )
    assert sql.runs.prefix_function(
        r"""SELECT name FROM singer WHERE name = "a\"(" AND age = 1 AND""", concerts, "mysql"
    )


@pytest.mark.parametrize(
    ("text", "dialect", "values"),
    [
        (r"'it\'s' (", "mysql", ["'it''s'"]),
        (r'"it\"s" (', "mysql", ["'it_s'"]),
        ('"a""b\'c"', "mysql", ["'a\"b''c'"]),
        (r"E'it\'s'", "postgres", ["'it''s'"]),
        (r"'a\'", "postgres", [r"'a\'"]),
        ("'it''s'", "ansi", ["'it''s'"]),
    ],
)
def test_strings_end_where_the_dialect_ends_them(text, dialect, values):
    lexemes = read(with_plain_strings(text, dialect)).lexemes
    assert [lexeme.text for lexeme in lexemes if lexeme.kind == "value"] == values


def test_rows_are_those_of_the_file_under_its_types(tmp_path):
    path = tmp_path / "kinds.sqlite"
    write(
        path,
        """CREATE TABLE t (i INT, r REAL, s VARCHAR(9), b BLOB, y BOOLEAN, d DATE, n NUMERIC(5, 2), mixed INT,
        w DATETIME);
        INSERT INTO t VALUES (1, 2.5, 'it''s', x'00ff', 1, '2014-01-02', 3.25, 'seven', '2014-01-02 03:04:05');
        INSERT INTO t VALUES (NULL, NULL, NULL, NULL, NULL, NULL, NULL, 7, NULL);
        CREATE TABLE empty (a INT); CREATE VIEW v AS SELECT i FROM t;""",
    )
    db = str(path)
    for column, value in {
        "i": 1,
        "r": 2.5,
        "s": "it's",
        "b": b"\x00\xff",
        "y": 1,
        "d": "2014-01-02",
        "n": 3.25,
        "mixed": "seven",
        "w": "2014-01-02 03:04:05",
    }.items():
        assert sql.row_recall(f"SELECT {column} FROM t", [[value], [None]], db, "postgres") == (
            0.5 if column == "mixed" else 1.0
        ), column
    assert sql.runs("SELECT d + INTERVAL '1 day', y AND TRUE FROM t", db, "postgres")
    assert sql.row_recall("SELECT i FROM v", [[1]], db, "postgres") == 1.0
    assert sql.returns_rows("SELECT a FROM empty", db, "postgres") == sql.EMPTY_WEIGHT
    assert sql.column_kinds("SELECT i, s FROM t", ["integer", "text"], db, "postgres") == 1.0


def test_a_result_is_compared_in_the_dialect(concerts):
    assert sql.same_result("SELECT name::text FROM singer", "SELECT name FROM singer", concerts, "postgres")


def test_without_duckdb_the_message_says_how_to_get_it(concerts):
    script = f"""
import sys
sys.modules["duckdb"] = None
from smcdsl.potentials import sql
from smcdsl.errors import UsageError
assert sql.runs("SELECT name FROM singer", {concerts!r})
try:
    sql.runs("SELECT name FROM singer", {concerts!r}, "postgres")
except UsageError as error:
    print(error.diagnostics[0].message, "|", error.diagnostics[0].help)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("not installed | pip install 'smcdsl[duckdb]'")


def test_a_dialect_that_is_none_is_an_error(concerts):
    with pytest.raises(ValueError, match="dialect is one of `sqlite`"):
        sql.runs("SELECT 1", concerts, "oracle")


def check_prefixes(marked: str, path: str) -> None:
    query, prefixes = boundaries(marked)
    if sql.resolves(query, path, "legacy", "postgres"):
        rejected = [p for p in prefixes if not sql.resolves.prefix_function(p, path, "legacy", "postgres")]
        assert rejected == [], sql.runs.explain((rejected[0], path, "postgres"), prefix=True)


UNHURRIED = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)


@UNHURRIED
@given(marked=queries())
def test_no_prefix_of_a_right_query_is_rejected(concerts, marked):
    check_prefixes(marked, concerts)


@pytest.mark.long
@settings(UNHURRIED, max_examples=1_000)
@given(marked=queries())
def test_no_prefix_of_a_right_query_is_rejected_in_thousands(concerts, marked):
    check_prefixes(marked, concerts)


@needs_spider
@pytest.mark.long
def test_prefixes_of_gold_queries_that_duckdb_takes_are_taken(tmp_path: Path):
    from smcdsl.potentials._sql_database import database
    from smcdsl.potentials._sql_grouping import without_legacy_strings

    taken, rejected = 0, []
    for row in rows("dev"):
        if row["has_db"]:
            path = unpacked(row["db_id"], tmp_path)
            query = sql.translate(without_legacy_strings(row["query"], database(path).schema), "sqlite", "postgres")
            if sql.runs(query, path, "postgres"):
                taken += 1
                rejected += [p for p in cuts(query) if not sql.runs.prefix_function(p, path, "postgres")]
    print(f"{taken} of 484 gold queries, translated to PostgreSQL, run in DuckDB; rejected prefixes: {len(rejected)}")
    assert rejected == []
    assert taken > 350
