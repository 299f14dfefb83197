"""The SQL potentials on whole queries: what they answer, and what hostile queries cannot do."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from smcdsl.potentials import sql
from smcdsl.potentials._sql_database import database
from smcdsl.potentials._sql_text import lexemes_of

from smcdsl.errors import UsageError
from tests.potentials.conftest import write


def test_the_schema_is_one_line_a_table_with_types_and_keys(concerts):
    assert sql.ddl(concerts).splitlines() == [
        "CREATE TABLE singer (id INTEGER PRIMARY KEY, name TEXT, country TEXT, age INT);",
        "CREATE TABLE concert (cid INTEGER PRIMARY KEY, name TEXT, stadium_id INT REFERENCES stadium(stadium_id), "
        "year INT);",
        "CREATE TABLE stadium (stadium_id INTEGER PRIMARY KEY, name TEXT, capacity REAL);",
        "CREATE TABLE sic (cid INT REFERENCES concert(cid), singer_id INT REFERENCES singer(id), "
        "PRIMARY KEY (cid, singer_id));",
        "CREATE TABLE OWNER (id INT);",
    ]


def test_the_schema_quotes_what_must_be_and_leaves_out_views_and_internal_tables(tmp_path):
    path = tmp_path / "odd.sqlite"
    write(
        path,
        """CREATE TABLE "order" ("Home Town", "a""b" varchar(10)  not null, x INTEGER PRIMARY KEY AUTOINCREMENT);
        CREATE TABLE pair (a, b, FOREIGN KEY (a, b) REFERENCES sums(c, d), PRIMARY KEY (b, a));
        CREATE VIEW v AS SELECT x FROM "order";
        INSERT INTO "order" VALUES (1, 2, 3);""",
    )
    assert sql.ddl(str(path)).splitlines() == [
        'CREATE TABLE "order" ("Home Town", "a""b" VARCHAR(10), x INTEGER PRIMARY KEY);',
        "CREATE TABLE pair (a, b, PRIMARY KEY (b, a), FOREIGN KEY (a, b) REFERENCES sums(c, d));",
    ]
    sqlite3.connect(":memory:").executescript(sql.ddl(str(path)))
    assert sql.runs("SELECT x FROM v", str(path))


@pytest.mark.parametrize(
    ("query", "right"),
    [
        ("SELECT name FROM singer", True),
        ("SELECT name FROM singer;", True),
        ("SELECT nam FROM singer", False),
        ("SELECT name FROM singers", False),
        ("SELECT T1.name FROM singer", False),
        ("SELECT name FROM singer JOIN concert", False),
        ("SELECT age, count(*) FROM singer WHERE count(*) > 1", False),
        ("SELECT name FROM singer UNION SELECT cid, year FROM concert", False),
        ("SELECT foo(name) FROM singer", False),
        ("SELECT name FROM", False),
        ("SELECT name FROM singer WHERE name = 'x", False),
        ("", False),
    ],
)
def test_a_query_resolves_and_runs_if_sqlite_compiles_it(concerts, query, right):
    assert sql.resolves(query, concerts) is right
    assert sql.runs(query, concerts) is right
    assert (sql.returns_rows(query, concerts) > 0) is right
    assert (sql.runs.explain((query, concerts)) is None) is right


def test_a_query_may_resolve_and_not_run(concerts):
    overflow = "SELECT sum(9223372036854775807) FROM singer"
    assert sql.resolves(overflow, concerts)
    assert not sql.runs(overflow, concerts)
    assert sql.runs.explain((overflow, concerts)) == "integer overflow"


def test_strict_identifiers_do_not_read_an_unknown_name_as_a_string(concerts):
    assert sql.resolves('SELECT "nam" FROM singer', concerts)
    assert not sql.resolves('SELECT "nam" FROM singer', concerts, "strict")
    assert sql.resolves('SELECT "name" AS "a b" FROM singer ORDER BY "a b"', concerts, "strict")
    assert not sql.resolves.prefix_function('SELECT "nam" FROM singer', concerts, "strict")


def test_a_query_without_rows_weighs_a_tenth(concerts):
    assert sql.returns_rows("SELECT name FROM singer WHERE age > 99", concerts) == sql.EMPTY_WEIGHT == 0.1
    assert sql.returns_rows("SELECT name FROM singer WHERE age > 29", concerts) == 1.0
    assert sql.returns_rows("SELECT nam FROM singer", concerts) == 0.0


@pytest.mark.parametrize(
    ("query", "gold", "same"),
    [
        ("SELECT name FROM singer ORDER BY name DESC", "SELECT name FROM singer", True),
        ("SELECT name FROM singer ORDER BY name DESC", "SELECT name FROM singer ORDER BY name", False),
        ("SELECT name FROM singer", "SELECT name FROM singer WHERE id IN (SELECT id FROM singer ORDER BY id)", True),
        ("SELECT country FROM singer", "SELECT DISTINCT country FROM singer", False),
        ("SELECT name, id FROM singer", "SELECT id, name FROM singer", False),
        ("SELECT count(*) AS n FROM singer", "SELECT 3.0", True),
        ("SELECT 0.1 + 0.2", "SELECT 0.3", True),
        ("SELECT 'Ada'", "SELECT x'416461'", False),
        ("SELECT NULL", "SELECT age FROM singer WHERE id = 3", True),
        ("SELECT nam FROM singer", "SELECT name FROM singer", False),
    ],
)
def test_results_are_compared_as_bags_unless_the_gold_query_orders_them(concerts, query, gold, same):
    assert sql.same_result(query, gold, concerts) is same


def test_a_gold_query_that_does_not_run_is_an_error(concerts):
    with pytest.raises(ValueError, match="no such column: nam"):
        sql.same_result("SELECT 1", "SELECT nam FROM singer", concerts)


@pytest.mark.parametrize(
    ("column", "query", "known", "so_far"),
    [
        ("name", "SELECT name", True, True),
        ("NAME", "SELECT NAME", True, True),
        ('"name"', 'SELECT "name"', True, True),
        ("rowid", "SELECT rowid", True, True),
        ("nam", "SELECT nam", False, True),
        ("nam", "SELECT nam FROM singer WHERE nam", False, False),
        ("nam", "SELECT nam FROM (SELECT name AS nam FROM singer)", True, True),
        ("n", "SELECT count(*) AS n FROM singer ORDER BY n", True, True),
        ("n", "SELECT count(*) n FROM singer ORDER BY n", True, True),
        ("n", "SELECT name FROM singer WHERE n IN (SELECT 1 AS n)", False, False),
        ("n", "WITH c(n) AS (SELECT 1) SELECT n FROM c WHERE n", True, True),
        ("singer.name", "SELECT singer.name", True, True),
        ("singer.year", "SELECT singer.year FROM singer WHERE singer.year", False, False),
        ("T1.name", "SELECT T1.name", False, True),
        ("T1.name", "SELECT T1.name FROM singer AS T1", True, True),
        ("t1.NAME", "SELECT t1.NAME FROM singer T1", True, True),
        ("T1.year", "SELECT 1 FROM singer AS T1 WHERE T1.year", False, False),
        ("T2.name", "SELECT 1 FROM singer AS T1 WHERE T2.name", False, False),
        ("x.n", "SELECT 1 FROM (SELECT 1 AS n) AS x WHERE x.n", True, True),
        ("x.m", "SELECT 1 FROM (SELECT 1 AS n) AS x WHERE x.m", False, False),
        ("T1.year", "SELECT 1 FROM singer AS T1 WHERE id IN (SELECT 1 FROM concert AS T1 WHERE T1.year", True, True),
    ],
)
def test_a_column_is_known_by_the_schema_or_by_declaration(concerts, column, query, known, so_far):
    assert sql.known_column(column, query, concerts) is known
    assert sql.known_column.prefix_function(column, query, concerts) is so_far


def test_a_table_is_known_by_the_schema_or_as_a_cte(concerts):
    assert sql.known_table("SINGER", "SELECT 1 FROM SINGER", concerts)
    assert not sql.known_table("singers", "SELECT 1 FROM singers", concerts)
    assert sql.known_table("c", "WITH c AS (SELECT 1) SELECT * FROM c", concerts)
    assert sql.known_table.prefix_function("d", "WITH c AS (SELECT 1 FROM d", concerts)
    assert not sql.known_table.prefix_function("d", "WITH c AS (SELECT 1) SELECT 1 FROM d", concerts)


@pytest.mark.parametrize(
    ("query", "fixed"),
    [
        ("SELECT country, count(*) FROM singer GROUP BY country", True),
        ("SELECT name, count(*) FROM singer GROUP BY country", False),
        ("SELECT name, max(age) FROM singer", False),
        ("SELECT max(age), min(age) + 1 FROM singer", True),
        ("SELECT max(age, 3), name FROM singer", True),
        ("SELECT name, sum(age) OVER () FROM singer", True),
        ("SELECT name, count(*) FROM singer GROUP BY id", True),
        (
            "SELECT T1.name, count(*) FROM singer T1 JOIN sic T2 ON T1.id = singer_id GROUP BY singer_id",
            True,
        ),
        (
            "SELECT T1.name, count(*) FROM singer T1 LEFT JOIN sic T2 ON T1.id = singer_id GROUP BY singer_id",
            False,
        ),
        ("SELECT lower(country) FROM singer GROUP BY lower(country)", True),
        ("SELECT country AS c, count(*) AS n FROM singer GROUP BY c ORDER BY n, name", False),
        ("SELECT country FROM singer GROUP BY country HAVING age > 3", False),
        ("SELECT name FROM singer WHERE id = (SELECT max(age) FROM singer)", True),
        ('SELECT count(*) FROM singer WHERE country = "France"', True),
        ('SELECT count(*), "France" FROM singer', True),
    ],
)
def test_a_grouped_query_shows_only_what_its_group_fixes(concerts, query, fixed):
    assert sql.runs(query, concerts)
    assert sql.grouped(query, concerts) is fixed


HOSTILE = {
    "two statements": "SELECT 1; DROP TABLE singer",
    "attach": "ATTACH 'stolen.db' AS y",
    "vacuum": "VACUUM INTO 'copy.db'",
    "extension": "SELECT load_extension('x')",
    "pragma": "PRAGMA writable_schema=1",
    "pragma function": "SELECT file FROM pragma_database_list",
    "schema table": "SELECT sql FROM sqlite_master",
    "schema table, its other name": "SELECT sql FROM sqlite_schema",
    "insert": "INSERT INTO singer VALUES (9, 'x', 'y', 1)",
    "with insert": "WITH x AS (SELECT 1) INSERT INTO singer SELECT 9, 'x', 'y', 1",
    "explain": "EXPLAIN SELECT 1",
    "endless recursion": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n",
    "doubling text": "WITH RECURSIVE s(x) AS (SELECT 'a' UNION ALL SELECT x || x FROM s) SELECT length(x) FROM s",
    "cross join": "SELECT count(*) FROM " + ", ".join(f"(SELECT 1 FROM singer, singer) s{i}" for i in range(12)),
    "random blob": "SELECT randomblob(900000000)",
    "zero blob": "SELECT hex(zeroblob(450000000))",
    "wide text": "SELECT length(replace(printf('%900000d', 1), ' ', printf('%900000d', 1)))",
    "parentheses": "SELECT " + "(" * 100_000 + "1" + ")" * 100_000,
    "nesting": "SELECT " + "(" * 3_000 + "1" + ")" * 3_000,
    "members": "SELECT 1 WHERE 1 IN (" + ",".join(map(str, range(200_000))) + ")",
    "terms": " UNION ALL ".join(["SELECT 1"] * 5_000),
    "few terms": " UNION ALL ".join(["SELECT 1"] * 500),
    "nul": "SELECT 'a\0b'",
    "surrogate": "SELECT '\udc80'",
    "cyrillic": "SELECT n\u0430me FROM singer",
    "parameter": "SELECT name FROM singer WHERE id = ?",
}


def doubling(count: int) -> str:
    ctes = [f"a{i + 1} AS (SELECT p.x FROM a{i} p, a{i} q)" for i in range(count)]
    return f"WITH a0 AS (SELECT 1 AS x), {', '.join(ctes)} SELECT * FROM a{count}"


@pytest.mark.parametrize("query", [*HOSTILE.values(), doubling(18), doubling(30)], ids=[*HOSTILE, "2^18", "2^30"])
def test_hostile_queries_are_refused_soon_and_leave_no_trace(concerts, query, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = Path(concerts).read_bytes()
    assert not sql.runs(query, concerts)
    assert sql.resolves.prefix_function(query, concerts) in (True, False)
    assert sql.returns_rows(query, concerts) == 0
    assert Path(concerts).read_bytes() == before
    assert list(tmp_path.iterdir()) == []
    assert sql.runs("SELECT name FROM singer", concerts)


def test_memory_stays_bounded_under_hostile_queries(concerts):
    script = f"""
import resource
from smcdsl.potentials import sql
from tests.potentials.test_sql import HOSTILE, doubling
limit = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for query in [*HOSTILE.values(), doubling(18), doubling(30)]:
    sql.runs(query, {concerts!r})
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - limit)
"""
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 100_000  # kB


def test_views_that_multiply_are_refused(tmp_path):
    path = tmp_path / "views.sqlite"
    views = "".join(f"CREATE VIEW v{i + 1} AS SELECT p.x FROM v{i} p, v{i} q;" for i in range(24))
    write(path, f"CREATE TABLE v0 (x); {views}")
    assert sql.runs("SELECT x FROM v2", str(path))
    assert not sql.runs("SELECT x FROM v24", str(path))


@pytest.mark.parametrize("content", [None, b"", b"id,name\n1,2\n", b"SQLite format 3\0" + b"x" * 5_000])
def test_what_is_no_database_is_a_usage_error(tmp_path, content):
    path = tmp_path / "shop.csv"
    if content is not None:
        path.write_bytes(content)
    if content == b"":  # an empty file is an empty database
        assert not sql.runs("SELECT name FROM singer", str(path))
        return
    with pytest.raises(UsageError) as caught:
        sql.runs("SELECT 1", str(path))
    assert caught.value.diagnostics[0].code == "E0802"


def test_a_changed_file_is_read_again(tmp_path):
    path = tmp_path / "a.sqlite"
    write(path, "CREATE TABLE t (a)")
    assert not sql.resolves("SELECT b FROM t", str(path))
    write(path, "ALTER TABLE t ADD COLUMN b")
    assert sql.resolves("SELECT b FROM t", str(path))


def test_odd_file_names_are_only_names(tmp_path):
    path = tmp_path / "a?mode=rwc&x=%41#.sqlite"
    write(path, "CREATE TABLE t (a)")
    assert sql.resolves("SELECT a FROM t", str(path))
    assert [found.name for found in tmp_path.iterdir()] == [path.name]


def test_text_that_is_not_utf_8_does_not_stop_a_query(tmp_path):
    path = tmp_path / "latin.sqlite"
    write(path, "CREATE TABLE t (a); INSERT INTO t VALUES (CAST(x'e9' AS TEXT))")
    assert sql.runs("SELECT a FROM t", str(path))
    assert sql.same_result("SELECT a FROM t", "SELECT a FROM t", str(path))


def test_threads_get_the_same_answers(concerts):
    queries = ["SELECT name FROM singer", "SELECT nam FROM singer", "SELECT name FROM singer WHERE age > 99"] * 30
    with ThreadPoolExecutor(8) as pool:
        weights = list(pool.map(lambda query: sql.returns_rows(query, concerts), queries))
    assert weights == [1.0, 0.0, 0.1] * 30


def test_importing_the_library_is_cheap():
    script = "import sys, smcdsl.potentials.sql; print('sqlite3' in sys.modules, 'sqlglot' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False", "False"]


def test_a_database_is_opened_once(concerts):
    assert database(concerts) is database(concerts)


@pytest.mark.parametrize("end", [" \n  " * 3_000, "-- so it goes\n" * 1_000, "/* on */ " * 1_000, "--", "/* open", ""])
def test_blanks_and_comments_at_the_end_hold_no_lexemes(end):
    # A model left to itself writes blanks for ever: reading them must take no longer than their length asks.
    found = [lexeme.text for lexeme in lexemes_of("SELECT name;" + end)]
    assert found[:3] == ["SELECT", "name", ";"]
    assert found[3:] == (["/", "*", "open"] if end == "/* open" else [])
