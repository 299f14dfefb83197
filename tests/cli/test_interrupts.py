"""Ctrl-C in a process of its own: once for what there is, twice to end at once (language reference, 5.5)."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROGRAM = """smc 1
input tag: str
potential slow(x: str) -> weight = py("slow.py:slow"){facts}
generate {{
  text "{{{{ tag }}}}[[x: /[ab]/]]\\n"
  score slow(x) at end
}}
return posterior x
infer is {{ particles: 8 }}
"""
SLOW = """import os, time
from pathlib import Path

def slow(x: str) -> float:
    Path("calling").write_text(str(os.getpid()))
    Path("calling").rename("called")
    time.sleep(60)
    return 1.0
"""
STUBBORN = """import os, time
from pathlib import Path

def slow(x: str) -> float:
    Path("calling").write_text(str(os.getpid()))
    Path("calling").rename("called")
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        Path("still here").touch()
        time.sleep(60)
    return 1.0
"""
PATIENCE_SECONDS = 30
WAYS = {"here": "", "workers": " { workers: 1 }", "thread": " { timeout: 60s }"}


def heed_signals():
    """Jobs in the background of a shell, or under nohup, ignore some."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


@pytest.fixture
def start(request):
    """Start a run that hangs in a potential."""
    Path("slow.smc").write_text(PROGRAM.format(facts=getattr(request, "param", "")))
    if not Path("slow.py").exists():
        Path("slow.py").write_text(SLOW)
    started = []

    def begin(stdout=subprocess.PIPE):
        process = subprocess.Popen(
            [sys.executable, "-m", "smcdsl", "run", "slow.smc", "-m", "toy:toy.json", "-i", "tag=t"],
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            # Like a shell's job: Ctrl-C goes to the process and to its workers.
            process_group=0,
            preexec_fn=heed_signals,
        )
        started.append(process)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not Path("called").exists():
            assert time.monotonic() < deadline
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.02)
        return process

    yield begin
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.parametrize("start", WAYS.values(), ids=WAYS, indirect=True)
def test_the_first_ctrl_c_gives_what_there_is(start):
    process = start()
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 130
    assert json.loads(out)["complete"] is False
    assert err.startswith("interrupted after ")
    assert err.count("\n") == 1
    assert_has_ended(int(Path("called").read_text()))


@pytest.mark.parametrize("start", [WAYS["workers"]], indirect=True)
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_workers_end_with_a_tool_that_is_killed(start, end):
    process = start()
    os.kill(process.pid, end)
    process.wait(PATIENCE_SECONDS)
    assert_has_ended(int(Path("called").read_text()))


def assert_has_ended(process_id):
    deadline = time.monotonic() + PATIENCE_SECONDS
    stat = Path(f"/proc/{process_id}/stat")
    with contextlib.suppress(FileNotFoundError):
        while stat.read_text().rpartition(")")[2].split()[0] not in "ZX":
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_the_second_ctrl_c_ends_a_run_that_the_first_did_not(start):
    Path("slow.py").write_text(STUBBORN)
    process = start()
    os.killpg(process.pid, signal.SIGINT)
    while not Path("still here").exists():
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, out, err) == (130, "", "")


def test_the_second_ctrl_c_skips_the_summary(start):
    # Nobody reads, so the summary takes for ever.
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, bytes(4096))
    os.set_blocking(writer, True)
    process = start(stdout=writer)
    os.killpg(process.pid, signal.SIGINT)
    assert process.stderr.readline().startswith("interrupted after ")
    time.sleep(0.2)
    assert process.poll() is None
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(PATIENCE_SECONDS) == 130
    assert process.stderr.read() == ""
    os.close(reader)
    os.close(writer)
