"""The process that runs queries: killed and replaced when it must be, and never silent about its own failures."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from smcdsl.potentials import _sql_database, _sql_worker, sql
from smcdsl.potentials._sql_processes import KILLED, Engine, EngineFailed, Stopped

MEMORY = 1_000_000_000


@pytest.fixture
def engine() -> Iterator[Engine]:
    made = Engine("tests.potentials.slow_engine", 0.3, MEMORY)
    yield made
    made.close()


def test_calls_are_answered_by_one_other_process(engine):
    assert os.getpid() != engine.call("pid") == engine.call("pid")


@pytest.mark.parametrize(("what", "why"), [("sleep", "too long"), ("die", KILLED)])
def test_a_call_that_hangs_or_kills_is_stopped_and_the_next_answered_by_another_process(engine, what, why):
    first = engine.call("pid")
    with pytest.raises(Stopped, match=why):
        engine.call(what)
    assert engine.call("pid") not in (first, os.getpid())


def test_a_process_that_died_between_calls_is_replaced(engine):
    first = engine.call("pid")
    os.kill(first, signal.SIGKILL)
    assert engine.call("pid") != first


@pytest.mark.parametrize("what", ["raise", "hoard"])
def test_a_mistake_of_the_engine_raises_and_is_no_outcome(engine, what):
    with pytest.raises(EngineFailed, match=r"KeyError|MemoryError"):
        engine.call(what)
    assert engine.call("pid")


def test_a_module_that_cannot_be_loaded_raises():
    with pytest.raises(EngineFailed, match="no_such_engine"):
        Engine("tests.potentials.no_such_engine", 1, MEMORY).call("pid")


def test_a_process_that_cannot_start_raises(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(EngineFailed, match="ended with status"):
        Engine("tests.potentials.slow_engine", 1, MEMORY).call("pid")


def test_queries_never_run_in_the_users_process(concerts):
    assert sql.runs("SELECT name FROM singer WHERE age > 3", concerts)
    assert not _sql_worker._opened
    connection = _sql_database.database(concerts)._copy
    assert connection.execute("SELECT count(*) FROM singer").fetchone() == (0,)


def test_outcomes_are_remembered(concerts, monkeypatch):
    query = "SELECT name, 'remembered' FROM singer"
    assert sql.returns_rows(query, concerts) == 1.0
    monkeypatch.setattr(_sql_database, "_engine", None)
    assert sql.runs(query, concerts)
    assert sql.returns_rows(query, concerts) == 1.0


def test_no_process_is_left_behind(concerts):
    script = f"""
import os
from smcdsl.potentials import sql, _sql_database
sql.runs("SELECT 1", {concerts!r})
print(_sql_database._engine._pool._workers[0]._process.pid)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    with pytest.raises(ProcessLookupError):
        os.kill(int(done.stdout), 0)
    assert done.stderr == ""


def test_a_fork_has_its_own_process(concerts):
    script = f"""
import os
from smcdsl.potentials import sql, _sql_database
def pid():
    return _sql_database._engine._pool._workers[0]._process.pid
sql.runs("SELECT 1", {concerts!r})
first = pid()
child = os.fork()
if child == 0:
    assert sql.runs("SELECT 2", {concerts!r}) and pid() != first
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
assert sql.runs("SELECT 3", {concerts!r}) and pid() == first
"""
    subprocess.run([sys.executable, "-c", script], check=True)
