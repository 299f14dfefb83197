"""Bad queries, numbered: what each must lead to, whatever else changes.

| outcome | means |
|---|---|
| dies | no completion is right: the prefix is rejected |
| dies at the end | the prefix may pass, the whole query is rejected |
| lives | the prefix is not rejected |
| undetermined | the completed prefix does not compile, which says nothing; not rejected |
| right | the whole query is accepted |
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest
from smcdsl.potentials import _sql_database, _sql_duckdb, sql
from smcdsl.potentials._sql_judging import compile_error
from smcdsl.potentials._sql_limits import MAX_QUERY_CHARACTERS
from smcdsl.potentials._sql_text import completion

from tests.potentials.conftest import write

SCHEMA = """
CREATE TABLE singer (id INTEGER PRIMARY KEY, name TEXT, country TEXT, age INT, is_male BOOLEAN);
CREATE TABLE concert (cid INTEGER PRIMARY KEY, cname TEXT, stadium_id INT, year INT);
CREATE TABLE stadium (stadium_id INTEGER PRIMARY KEY, name TEXT, capacity INT);
CREATE TABLE sic (cid INT, singer_id INT);
CREATE TABLE OWNER (id INT, "first WHERE" TEXT);
INSERT INTO singer VALUES (1, 'Ada', 'France', 30, 0), (2, 'Bo', 'Spain', 41, 1);
"""

CASES = [
    (1, "SELECT nam FROM singer WHERE", "dies"),
    (2, "SELECT name FROM singerx WHERE", "dies"),
    (3, "SELECT t9.name FROM singer t1 WHERE", "dies"),
    (4, "SELECT name FROM singer JOIN sic ON id=singer_id JOIN stadium ON 1=1 WHERE", "dies"),
    (5, "SELECT name FROM singer WHERE count(*) > 1 GROUP BY", "dies"),
    (6, "SELECT name FROM singer WHERE id IN (SELECT cid, singer_id FROM sic)", "dies"),
    (7, "SELECT (SELECT max(age) FROM sic WHERE", "lives"),
    (8, "SELECT x.y FROM (SELECT name AS y FROM singer WHERE", "lives"),
    (9, "SELECT id FROM OWNER WHERE", "lives"),
    (9, "SELECT id FROM OWN WHERE", "dies"),
    (10, 'SELECT "nam" FROM singer', "right"),
    (10, 'SELECT "nam" FROM singer', "dies, strict"),
    (11, "SELECT name FROM singer WHERE age BETWEEN 1 AND", "undetermined"),
    (12, "SELECT name FROM singer WHERE country = ' WHERE nam AND", "lives"),
    (12, "SELECT name FROM singer WHERE country = ' WHERE nam ) -- ' AND", "lives"),
    (12, "SELECT name FROM singer WHERE country = ')' AND nam = 1 AND", "dies"),
    (12, "SELECT name FROM singer WHERE country = '--' AND nam = 1 AND", "dies"),
    (12, 'SELECT "first WHERE" FROM OWNER WHERE', "lives"),
    (13, "SELECT name, count(*) FROM singer GROUP BY country", "right"),
    (13, "SELECT name, count(*) FROM singer GROUP BY country", "dies, postgres"),
    (13, "SELECT name, count(*) FROM singer WHERE", "lives, postgres"),
    (13, "SELECT name, count(*) FROM singer GROUP BY id", "right, postgres"),
    (14, "SELECT n\u0430me FROM singer", "dies at the end"),
    (14, "SELECT n\u0430me FROM singer WHERE", "dies"),
    (15, "SELECT 1; DROP TABLE singer", "dies at the end"),
    (16, "ATTACH 'stolen.db' AS y", "dies"),
    (16, "VACUUM INTO 'copy.db'", "dies"),
    (17, "SELECT load_extension('x')", "dies at the end"),
    (17, "PRAGMA writable_schema=1", "dies"),
    (17, "SELECT file FROM pragma_database_list", "dies"),
]


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("bad") / "singers.sqlite"
    write(path, SCHEMA)
    return str(path)


@pytest.mark.parametrize(("number", "query", "outcome"), CASES, ids=[f"{n}-{o}-{q[:40]}" for n, q, o in CASES])
def test_each_leads_to_its_outcome(db, number, query, outcome, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = Path(db).read_bytes()
    outcome, _, mode = outcome.partition(", ")
    if mode == "postgres":
        pytest.importorskip("duckdb")
    arguments = ("strict" if mode == "strict" else "legacy", "postgres" if mode == "postgres" else "sqlite")
    lives = sql.resolves.prefix_function(query, db, *arguments)
    right = sql.resolves(query, db, *arguments)
    if outcome == "right":
        assert lives
        assert right
    elif outcome in ("lives", "undetermined"):
        assert lives
    elif outcome == "dies":
        assert not lives
        assert not right
    else:
        assert not right
        assert not sql.runs(query, db)
    if outcome == "undetermined":
        completed = completion(query)
        assert completed is not None
        assert compile_error(completed.query, db) is not None
    assert list(tmp_path.iterdir()) == []
    assert Path(db).read_bytes() == before


def doubling(count: int) -> str:
    ctes = [f"a{i + 1} AS (SELECT p.x FROM a{i} p, a{i} q)" for i in range(count)]
    return f"WITH a0 AS (SELECT 1 AS x), {', '.join(ctes)} SELECT * FROM a{count}"


RUNAWAY = {
    "recursion": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n",
    "doubling": "WITH RECURSIVE s(x) AS (SELECT 'a' UNION ALL SELECT x || x FROM s) SELECT length(x) FROM s",
    "cross join": "WITH d(i) AS (SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 UNION ALL SELECT 5"
    " UNION ALL SELECT 6) SELECT count(*) FROM d a, d b, d c, d e, d f, d g, d h, d i, d j, d k",
}


@pytest.mark.parametrize("query", RUNAWAY.values(), ids=RUNAWAY)
def test_18_what_runs_away_is_stopped_and_the_process_lives(db, query):
    assert sql.runs("SELECT 1", db)
    pool = _sql_database._engine._pool
    before = pool._workers[0]._process.pid
    assert not sql.runs(query, db)
    assert sql.runs("SELECT name FROM singer", db)
    assert [worker._process.pid for worker in pool._workers] == [before]


@pytest.mark.parametrize("count", [18, 30])
def test_19_doubling_ctes_are_refused_by_compiling_alone(db, count):
    started = time.process_time()
    assert not sql.resolves(doubling(count), db)
    assert time.process_time() - started <= 0.5


def test_19_where_the_count_of_tables_is_not_asked_the_heap_is_the_limit(db):
    """SQLite's own compiler, in a process of its own: time and memory end with the heap."""
    script = f"""
import resource, time
from smcdsl.potentials._sql_database import database
from tests.potentials.test_sql_bad_input import doubling
opened = database({db!r})
before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
print(opened.compile_error(doubling(18)), opened.compile_error(doubling(30)))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, time.process_time() - started)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    said, measured = done.stdout.splitlines()
    grown, seconds = map(float, measured.split())
    assert "None" not in said
    assert grown * 1024 <= 100e6
    assert seconds <= 2


HUGE = {
    "randomblob": "SELECT randomblob(900000000)",
    "hex": "SELECT hex(zeroblob(450000000))",
    "printf": "SELECT printf('%900000000d', 1)",
}


def test_20_no_gigabyte_is_made(db):
    for name, query in HUGE.items():  # SQLite answers NULL where printf would write more than it may
        assert not sql.runs(query, db) or name == "printf"
    worker = _sql_database._engine._pool._workers[0]._process.pid
    status = Path(f"/proc/{worker}/status")
    if status.exists():
        peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        assert int(peak.split()[1]) < 500_000  # kB
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 4_000_000


LONG = {
    "parentheses": "SELECT " + "(" * 100_000 + "1" + ")" * 100_000,
    "members": "SELECT 1 WHERE 1 IN (" + ",".join(map(str, range(200_000))) + ")",
    "terms": " UNION ALL ".join(["SELECT 1"] * 5_000),
}


@pytest.mark.parametrize("query", LONG.values(), ids=LONG)
@pytest.mark.parametrize("dialect", ["sqlite", "postgres"])
def test_21_what_is_too_large_is_refused_by_its_size(db, query, dialect):
    assert f"longer than {MAX_QUERY_CHARACTERS:,}" in sql.runs.explain((query, db, dialect))
    assert not sql.resolves.prefix_function(query, db, "legacy", dialect)


@pytest.mark.parametrize("query", ["SELECT 'a\0b'", "SELECT name\0 FROM singer", "SELECT '\udc80' FROM singer"])
def test_22_nul_and_lone_surrogates_are_told_apart_cleanly(db, query):
    assert not sql.runs(query, db)
    why = sql.runs.explain((query, db))
    assert why
    assert "Traceback" not in why


REFUSED = """
SELECT * FROM read_csv('/etc/passwd')
SELECT * FROM '/etc/passwd'
SELECT * FROM glob('/etc/*')
SELECT content FROM read_text('/etc/passwd')
SELECT read_text('/etc/passwd')
COPY singer TO 'x.csv'
INSTALL httpfs
LOAD httpfs
SELECT * FROM SCHEMA
SELECT * FROM duckdb_settings()
SELECT * FROM duckdb_settings
SELECT current_setting('home_directory')
SELECT getenv('HOME')
SELECT * FROM information_schema.tables
SELECT * FROM pg_catalog.pg_tables
SELECT * FROM query('SELECT 1')
SELECT 1; DROP TABLE singer
CREATE TABLE t AS SELECT 1
SELECT name INTO t FROM singer
ATTACH 'x.db'
PRAGMA database_list
EXPLAIN ANALYZE SELECT 1
""".strip().splitlines()


@pytest.mark.parametrize("query", REFUSED)
def test_23_duckdb_reads_the_tables_and_nothing_else(db, query, tmp_path, monkeypatch):
    pytest.importorskip("duckdb")
    monkeypatch.chdir(tmp_path)
    assert not sql.runs(query, db, "postgres")
    assert list(tmp_path.iterdir()) == []
    assert sql.returns_rows("SELECT name FROM singer", db, "postgres") == 1.0


def test_23_what_heeds_no_limit_dies_with_its_process_and_the_next_query_is_answered(db, monkeypatch):
    pytest.importorskip("duckdb")
    assert not sql.runs("SELECT repeat('a', 2000000000)", db, "postgres")
    monkeypatch.setattr(_sql_duckdb._engine, "_seconds", 3.0)
    assert not sql.runs("SELECT length(repeat(repeat('a', 200000000), 100)) FROM singer", db, "postgres")
    assert sql.runs("SELECT name, 'next' FROM singer", db, "postgres")


@pytest.mark.parametrize("query", ["SET statement_timeout=0; SELECT pg_sleep(5)", "SELECT pg_sleep(5)"])
def test_24_nobody_sleeps(db, query):
    pytest.importorskip("duckdb")
    sql.runs("SELECT 1", db, "postgres")  # the process is there
    started = time.monotonic()
    assert not sql.runs(query, db, "postgres")
    assert time.monotonic() - started <= 1.0


def test_every_number_is_here():
    tested = {number for number, _, _ in CASES}
    tested |= {int(name.split("_")[1]) for name in globals() if name.startswith("test_") and name[5:7].isdigit()}
    assert tested == set(range(1, 25))
