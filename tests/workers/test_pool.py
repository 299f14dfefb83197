"""Worker processes: what becomes of calls that print, hang, die, or send what cannot be sent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from smcdsl.program.types import PythonLocation
from smcdsl.workers import ProcessPool

PATIENCE_SECONDS = 60

WORK = '''
import os, signal, subprocess, sys, time
from pathlib import Path

import neighbour

class Own:
    """Only the worker knows this class."""

def echo(value):
    return value

def act(word, path=""):
    if word == "pid":
        return os.getpid()
    if word == "sleep":
        time.sleep(600)
    if word == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    if word == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if word == "exit":
        os._exit(3)
    if word == "die once":
        if not Path(path).exists():
            Path(path).touch()
            os.kill(os.getpid(), signal.SIGKILL)
    if word == "child":
        child = subprocess.Popen(["sleep", "600"])
        Path(path).write_text(str(child.pid))
        time.sleep(600)
    if word == "leave":
        # A child that keeps all descriptors, the pipes to the tool included.
        if os.fork() == 0:
            time.sleep(600)
        os._exit(4)
    if word == "print":
        print("to stdout")
        os.write(1, b"to descriptor 1\\n")
        return sys.stdin.read()
    if word == "own":
        return Own()
    if word == "lambda":
        return lambda: 1
    if word == "raise":
        raise ValueError("no")
    if word == "neighbour":
        return neighbour.NAME
    return word
'''


@pytest.fixture
def location(tmp_path: Path) -> Callable[[str], PythonLocation]:
    (tmp_path / "work.py").write_text(WORK)
    (tmp_path / "neighbour.py").write_text('NAME = "beside"\n')
    return lambda name: PythonLocation(name, path=str(tmp_path / "work.py"))


@pytest.fixture
def pool(location: Callable[[str], PythonLocation]) -> Iterator[ProcessPool]:
    made = ProcessPool(location("act"), "act", 2)
    yield made
    made.close()


def is_alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_answers_come_in_order_from_the_same_processes(pool: ProcessPool) -> None:
    words = [f"word {number}" for number in range(50)]
    assert [outcome.value for outcome in pool.call_all([(word,) for word in words], PATIENCE_SECONDS)] == words
    first = {outcome.value for outcome in pool.call_all([("pid",)] * 20, PATIENCE_SECONDS)}
    second = {outcome.value for outcome in pool.call_all([("pid",)] * 20, PATIENCE_SECONDS)}
    assert len(first | second) <= 2
    assert os.getpid() not in first


def test_long_messages_pass_in_both_directions(location: Callable[[str], PythonLocation]) -> None:
    pool = ProcessPool(location("echo"), "echo", 2)
    texts = ["x" * (1 << 21), "short", "y" * (1 << 21), ""]
    try:
        assert [outcome.value for outcome in pool.call_all([(text,) for text in texts], PATIENCE_SECONDS)] == texts
    finally:
        pool.close()


def test_a_death_costs_no_other_call(pool: ProcessPool) -> None:
    outcomes = pool.call_all([("a",), ("kill",), ("b",), ("exit",), ("c",)], PATIENCE_SECONDS)
    assert [outcome.value for outcome in outcomes] == ["a", None, "b", None, "c"]
    assert [outcome.died for outcome in outcomes] == [False, True, False, True, False]
    assert outcomes[1].error == "the worker process was killed by SIGKILL"
    assert outcomes[3].error == "the worker process ended with status 3"


@pytest.mark.parametrize("retries", [True, False])
def test_a_call_whose_worker_died_is_made_once_more(pool: ProcessPool, tmp_path: Path, retries: bool) -> None:
    call = ("die once", str(tmp_path / "died"))
    (outcome,) = pool.call_all([call], PATIENCE_SECONDS, retries_deaths=retries)
    assert outcome.died is not retries
    assert outcome.value == ("die once" if retries else None)


@pytest.mark.parametrize("word", ["sleep", "stop"])
def test_a_late_call_is_killed_and_the_pool_goes_on(pool: ProcessPool, word: str) -> None:
    (before,) = pool.call_all([("pid",)], PATIENCE_SECONDS)
    late, quick = pool.call_all([(word,), ("quick",)], 0.3)
    assert (late.kind, quick.value) == ("timeout", "quick")
    assert pool.call_all([("again",)], PATIENCE_SECONDS)[0].value == "again"
    assert not is_alive(before.value)


def test_starting_does_not_count_but_the_deadline_does(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text("import time\ntime.sleep(1)\ndef f(x): return x\n")
    location = PythonLocation("f", path=str(tmp_path / "slow.py"))
    pool = ProcessPool(location, "f", 1)
    try:
        assert pool.call_all([("a",)], 0.5)[0].value == "a"
        pool.close()
        assert pool.call_all([("a",)], 0.5, until=time.monotonic() + 0.1)[0].kind == "timeout"
    finally:
        pool.close()


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")
def test_what_a_call_started_ends_with_it(pool: ProcessPool, tmp_path: Path) -> None:
    noted = tmp_path / "child"
    assert pool.call_all([("child", str(noted))], 3.0)[0].kind == "timeout"
    wait_until(lambda: not is_alive(int(noted.read_text())))


def test_a_death_is_noticed_though_a_child_holds_the_pipe(pool: ProcessPool) -> None:
    (outcome,) = pool.call_all([("leave",)], None)
    assert outcome.error == "the worker process ended with status 4"


def test_what_is_printed_does_not_reach_stdout(tmp_path: Path, location: Callable[[str], PythonLocation]) -> None:
    script = (
        "from smcdsl.workers import ProcessPool; from smcdsl.program.types import PythonLocation\n"
        f"pool = ProcessPool({location('act')!r}, 'act', 1)\n"
        "print(pool.call_all([('print',)], 60)[0].kind)\npool.close()"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, input="not for workers")
    assert ran.stdout == "value\n"
    assert ran.stderr == "to stdout\nto descriptor 1\n"


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("own", "the result cannot be read: "),
        ("lambda", "the result cannot be pickled: "),
        ("raise", "ValueError: no"),
    ],
)
def test_what_cannot_be_sent_back_is_an_error_of_that_call(pool: ProcessPool, word: str, said: str) -> None:
    bad, good = pool.call_all([(word,), ("good",)], PATIENCE_SECONDS)
    assert bad.error.startswith(said)
    assert good.value == "good"


def test_arguments_that_cannot_be_sent_are_an_error_of_that_call(pool: ProcessPool) -> None:
    bad, good = pool.call_all([(lambda: 1,), ("good",)], PATIENCE_SECONDS)
    assert bad.error.startswith("the arguments cannot be pickled: ")
    assert good.value == "good"


def test_a_file_may_import_files_beside_it(pool: ProcessPool) -> None:
    assert pool.call_all([("neighbour",)], PATIENCE_SECONDS)[0].value == "beside"


def test_installed_modules_work_as_well() -> None:
    pool = ProcessPool(PythonLocation("join", module="posixpath"), "join", 1)
    try:
        assert pool.call_all([("a", "b")], PATIENCE_SECONDS)[0].value == "a/b"
    finally:
        pool.close()


def test_the_working_folder_is_no_place_for_modules(pool: ProcessPool, tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "pickle.py").write_text("raise SystemExit('shadowed')")
    monkeypatch.chdir(tmp_path)
    assert pool.call_all([("fine",)], PATIENCE_SECONDS)[0].value == "fine"


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")
@pytest.mark.parametrize("end", ["kill", "exit", "interrupt"])
def test_no_worker_outlives_the_tool(tmp_path: Path, location: Callable[[str], PythonLocation], end: str) -> None:
    noted = tmp_path / "pids"
    script = (
        "import threading, time\n"
        "from smcdsl.workers import ProcessPool; from smcdsl.program.types import PythonLocation\n"
        f"pool = ProcessPool({location('act')!r}, 'act', 2)\n"
        "pid = pool.call_all([('pid',)], 60)[0].value\n"
        f"note = lambda: open({str(noted)!r}, 'w').write(str(pid))\n"
        "threading.Timer(0.5, note).start()\n"
        "if %r == 'exit': time.sleep(1)\n" % end + "else: pool.call_all([('sleep',), ('sleep',)], None)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stderr=subprocess.DEVNULL,
        # Jobs in the background of a shell ignore it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        wait_until(lambda: noted.exists() and bool(noted.read_text()))
        worker = int(noted.read_text())
        assert is_alive(worker)
        if end != "exit":
            process.send_signal(signal.SIGKILL if end == "kill" else signal.SIGINT)
        process.wait(PATIENCE_SECONDS)
        wait_until(lambda: not is_alive(worker))
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        process.wait()
