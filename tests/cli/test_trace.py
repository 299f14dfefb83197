"""`smcdsl trace`: what it prints, and what it says of files that are no traces."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SMCDSL_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def traced(run_letters):
    run_letters("--trace", "t.jsonl", "--seed", "3")
    return "t.jsonl"


def test_a_trace_is_drawn(smcdsl, traced):
    made = smcdsl("trace", traced)
    assert made.code == 0
    assert made.out.startswith("letters   smc   8 particles   seed 3\n")
    for word in ("●", "site  alive    ESS", "log Z"):
        assert word in made.out


def test_one_particle(smcdsl, traced):
    made = smcdsl("trace", traced, "--particle", "0")
    assert "  particle 0: " in made.out
    assert "score if_long(x)  at the end" in made.out


def test_deaths(smcdsl, run_letters):
    run_letters("--trace", "t.jsonl", "-i", "least=3", "--seed", "3")
    lines = smcdsl("trace", "t.jsonl", "--deaths").out.splitlines()
    died = [json.loads(line) for line in Path("t.jsonl").read_text().splitlines()]
    assert len([line for line in lines if "by site" in line]) == sum(one["event"] == "died" for one in died) > 0


def test_a_page_is_written_whole(smcdsl, traced):
    assert smcdsl("trace", traced, "--html", "t.html").out == ""
    assert Path("t.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    made = smcdsl("trace", traced, "--html", "no/such/t.html")
    assert (made.code, "E0817" in made.err) == (2, True)


def test_the_last_trace_is_remembered(smcdsl, traced):
    whole = smcdsl("trace", traced).out
    Path(traced).unlink()
    assert smcdsl("trace", "--last").out == whole


def test_without_a_trace_there_is_no_last_one(smcdsl, run_letters):
    run_letters()
    made = smcdsl("trace", "--last")
    assert made.code == 2
    assert "no run has been traced yet" in made.err


def test_a_run_that_fails_leaves_its_trace(smcdsl):
    Path("bad.py").write_text(
        "from smcdsl import potential\n\n\n@potential(prefix='none')\ndef breaks(x: str) -> bool:\n"
        '    """Raises."""\n    raise ValueError(x)\n'
    )
    Path("bad.smc").write_text(
        'smc 1\nimport potential "bad.py" as bad\ngenerate {\n  text "t[[x: /[ab]/]]\\n"\n  require bad.breaks(x)\n}\n'
    )
    assert smcdsl("run", "bad.smc", "-m", "toy:toy.json", "--trace", "t.jsonl").code == 5
    made = smcdsl("trace", "t.jsonl")
    assert "the run did not come to its end" in made.out
    assert smcdsl("trace", "t.jsonl", "--html", "t.html").code == 0


def test_many_runs_are_told_apart(smcdsl, run_letters):
    run_letters("--runs", "3", "--trace", "t.jsonl")
    assert "2 more populations" in smcdsl("trace", "t.jsonl").out
    assert "seed 2" in smcdsl("trace", "t.jsonl", "--population", "3").out
    made = smcdsl("trace", "t.jsonl", "--population", "4")
    assert (made.code, "has 3 populations" in made.err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "name a trace, or give --last"),
        (["t.jsonl", "--last"], "name a trace, or give --last"),
        (["t.jsonl", "--particle", "8"], "particles 0 to 7"),
        (["t.jsonl", "--particle", "-1"], "particles 0 to 7"),
        (["missing.jsonl"], "help: `smcdsl run PROGRAM --trace FILE` writes a trace"),
        (["."], "E0830"),
        (["letters.smc"], "E0830"),
        (["empty"], "it is empty"),
        (["binary"], "E0830"),
        (["a name\nwith a line.jsonl"], "E0830"),
        (["--", "-dash.jsonl"], "E0830"),
        (["cut.jsonl"], "E0831"),
    ],
)
def test_bad_input_is_explained(arguments, said, smcdsl, traced):
    Path("empty").write_bytes(b"")
    Path("binary").write_bytes(bytes(range(256)))
    Path("-dash.jsonl").write_text("x")
    Path("cut.jsonl").write_bytes(Path(traced).read_bytes()[:-20])
    made = smcdsl("trace", *arguments)
    assert made.code == 2
    assert said in made.err
    assert "Traceback" not in made.err
    assert made.out == ""


def test_carriage_returns_and_blank_lines_do_no_harm(smcdsl, traced):
    Path("dos.jsonl").write_bytes(b"\xef\xbb\xbf" + Path(traced).read_bytes().replace(b"\n", b"\r\n\r\n"))
    assert smcdsl("trace", "dos.jsonl").out == smcdsl("trace", traced).out


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file(smcdsl, traced):
    Path(traced).chmod(0)
    assert "E0830" in smcdsl("trace", traced).err


def test_a_closed_pipe_is_no_failure(traced):
    code = "import sys\nfrom smcdsl.cli.main import main\nmain(['trace', 't.jsonl'])"
    made = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert made.stdout is not None
    assert made.stderr is not None
    made.stdout.close()
    assert made.stderr.read() == b""
    assert made.wait() == 0


def test_a_narrow_terminal(traced):
    """Forty columns, and no line longer."""
    keeper, follower = pty.openpty()
    code = (
        "import fcntl, struct, termios\nfcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack('4H', 24, 40, 0, 0))\n"
        "from smcdsl.cli.main import main\nmain(['trace', 't.jsonl'])"
    )
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    made = subprocess.Popen([sys.executable, "-c", code], stdout=follower, env=environment)
    os.close(follower)
    shown = b""
    while True:
        try:
            part = os.read(keeper, 4096)
        except OSError:
            break
        if not part:
            break
        shown += part
    made.wait()
    os.close(keeper)
    lines = shown.decode().splitlines()
    assert any("●" in line for line in lines)
    assert max(map(len, lines)) <= 40


def test_tracing_imports_nothing_heavy(traced):
    code = (
        "import sys\nfrom smcdsl.cli.main import run\nassert run(['trace', 't.jsonl', '--html', 'x.html']) == 0\n"
        "print(*[m for m in ('torch', 'transformers', 'numba', 'rdkit', 'sqlglot') if m in sys.modules])"
    )
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert made.stdout.strip() == ""
