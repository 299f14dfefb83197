"""The jail: attacks do not get out, canaries see those that would, and it refuses where it cannot be closed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from smcdsl.potentials import _jail, _jail_kernel, _jail_launch, _jail_syscalls, _jail_user
from smcdsl.potentials._jail import Jail, JailError, JailRefused
from smcdsl.potentials._jail_probes import CONTROLS, PROBES, self_test
from smcdsl.potentials._jail_report import Limits, Program, Report

from tests.potentials.jail_attacks import ATTACKS
from tests.potentials.jail_canaries import Canaries
from tests.potentials.jail_sweep import OpenJail, sweep

ROOT = Path(__file__).parents[2]
SLOW = {"29 time", "28 bombs", "35 crashes and output"}
QUICK = [attack for attack in ATTACKS if attack.group not in SLOW]
"""Those that end at once; the others run into limits, and are for the long run but for a few."""


def missing_layers() -> list[str]:
    if sys.platform != "linux":
        return ["Linux"]
    layers = {"landlock": _jail_kernel.landlock_abi() > 0, "seccomp": _jail_kernel.has_seccomp_filters()}
    return [name for name, there in layers.items() if not there]


pytestmark = pytest.mark.skipif(bool(missing_layers()), reason=f"this system lacks {', '.join(missing_layers())}")
needs_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root, to give it up")


@pytest.fixture(scope="module")
def jail() -> Iterator[Jail]:
    opened = Jail(monty=False)
    yield opened
    opened.close()


@pytest.fixture
def no_bubblewrap(monkeypatch):
    monkeypatch.setattr(_jail_launch, "bubblewrap", lambda: None)


def test_there_are_enough_attacks_in_every_group():
    groups = Counter(attack.group.split()[0] for attack in ATTACKS)
    assert set(groups) == {*map(str, range(25, 36)), "machine"}
    assert len(ATTACKS) >= 100
    assert len({(attack.group, attack.name) for attack in ATTACKS}) == len(ATTACKS)


def test_no_quick_attack_gets_out(jail):
    made = sweep(jail, QUICK)
    assert (made["escapes"], made["controls"]) == ([], [])


def test_attacks_on_time_and_memory_end_at_the_limits(jail):
    chosen = ("loop that ignores every signal", "stop itself", "memory", "forks", "segmentation fault", "large result")
    made = sweep(jail, [attack for attack in ATTACKS if attack.name in chosen])
    assert (made["escapes"], made["controls"]) == ([], [])


def test_the_canaries_see_what_signals_do_to_the_victim():
    canaries = Canaries()
    try:
        assert canaries.traces() == []
        victim = int(canaries.places()["victim"])
        for number, found in ((signal.SIGSTOP, "stopped"), (signal.SIGCONT, "goes on"), (signal.SIGKILL, "ended")):
            os.kill(victim, number)
            assert any(f"became {found}" in trace for trace in _traces_in_time(canaries))
    finally:
        canaries.close()


def _traces_in_time(canaries: Canaries) -> list[str]:
    """Signals arrive when the kernel finds time: up to ten seconds."""
    for _ in range(1000):
        if traces := canaries.traces():
            return traces
        time.sleep(0.01)
    return []


def test_the_canaries_see_attacks_that_get_out(no_bubblewrap):
    """Without Landlock and seccomp reading and connecting are possible: the sweep must say so."""
    opened = OpenJail(monty=False, hidden=["landlock", "seccomp"])
    try:
        made = sweep(opened, [attack for attack in ATTACKS if attack.group in ("25 read", "27 network")])
    finally:
        opened.close()
    assert len(made["escapes"]) >= 10


@pytest.mark.long
@needs_root
@pytest.mark.parametrize("options", [[], ["--user"], ["--plain"], ["--user", "--plain"]], ids=" ".join)
def test_no_attack_gets_out(options):
    command = [sys.executable, "-m", "tests.potentials.jail_sweep", *options]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=500, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]
    made = json.loads(done.stdout)
    print({name: made[name] for name in ("probes", "ends", "rung", "uid", "start_seconds")})
    assert (made["uid"] == 0) == ("--user" not in options)
    assert (made["escapes"], made["controls"]) == ([], [])


@pytest.mark.parametrize("layer", ["landlock", "seccomp"])
def test_a_layer_left_open_is_noticed(layer):
    with pytest.raises(JailRefused, match="does not hold"):
        Jail(monty=False, hidden=[layer])


def test_a_jail_whose_control_fails_refuses(monkeypatch):
    """Everything is stopped where nothing starts; that is no jail."""
    monkeypatch.setattr(Jail, "_run_cpython", lambda self, programs, limits: [Report("died") for _ in programs])
    with pytest.raises(JailRefused, match="CONTROL WRONG"):
        Jail(monty=False)


def test_the_self_test_sees_an_open_door():
    def run_here(programs):
        reports = []
        for program in programs:
            namespace: dict = {}
            if "secret" in program.code and "open(" in program.code:
                exec(program.code, namespace)
            reports.append(Report("done", None, {0: namespace.get("escaped", False)}, finished_setup=True))
        return reports

    made = self_test(run_here, [probe for probe in PROBES if probe.name == "read a file"])
    assert made.escaped == ("read a file",)
    assert not made.passed
    assert len(CONTROLS) >= 2


def without_kernel(numbers: dict[int, int]) -> bytes:
    """A filter that makes system calls fail as a kernel without them does."""
    make = _jail_syscalls._instruction
    program = [make(_jail_syscalls._LOAD, 0)]
    for number, error in numbers.items():
        program += [make(_jail_syscalls._JUMP_EQUAL, number, otherwise=1), _jail_syscalls._refuse(error)]
    return b"".join([*program, make(_jail_syscalls._RETURN, _jail_syscalls._ALLOW)])


REFUSAL = """
import ctypes, struct, sys
from smcdsl.potentials import _jail, _jail_kernel
program = bytes.fromhex(sys.argv[1])
if program:
    code = ctypes.create_string_buffer(program, len(program))
    _jail_kernel.renounce_privileges()
    header = ctypes.create_string_buffer(struct.pack("@HP", len(program) // 8, ctypes.addressof(code)))
    assert _jail_kernel.prctl(22, 2, ctypes.byref(header)) == 0
try:
    jail = _jail.Jail(monty=sys.argv[2] == "monty", wasm=sys.argv[2] == "wasm")
    print(jail.rung)
    try:
        print([report.ok for report in jail.run_all([_jail.Program("", "x = 1"), _jail.Program("", "import pandas")])])
    except _jail.JailError as error:
        print("REFUSED", error)
    jail.close()
except _jail.JailRefused as error:
    print("REFUSED", error)
"""


def opened_without(numbers: dict[int, int], rung: str = "none") -> str:
    """What a process says whose kernel lacks system calls, when it opens a jail."""
    filtered = without_kernel(numbers).hex() if numbers else ""
    command = [sys.executable, "-c", REFUSAL, filtered, rung]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, env={**os.environ, "PYTHONPATH": ROOT_PATH}
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


ROOT_PATH = os.pathsep.join([str(ROOT), *filter(None, sys.path)])


def test_a_kernel_without_landlock_is_refused_by_name():
    said = opened_without({444: 38})
    assert said.startswith("REFUSED")
    assert "landlock: the kernel does not offer it" in said
    assert "lsm=" in said


def test_without_landlock_monty_runs_what_it_can_and_says_so():
    pytest.importorskip("pydantic_monty")
    said = opened_without({444: 38}, "monty").splitlines()
    assert said[0] == "monty"
    assert said[1].startswith("REFUSED monty cannot run this program")
    assert "landlock" in said[1]


def test_a_kernel_without_seccomp_is_refused_by_name(monkeypatch):
    monkeypatch.setattr(_jail_kernel, "has_seccomp_filters", lambda: False)
    with pytest.raises(JailRefused, match="seccomp: the kernel takes no filters"):
        Jail(monty=False, wasm=False)


def test_an_unknown_processor_is_refused(monkeypatch):
    real = os.uname()
    unknown = os.uname_result((real.sysname, real.nodename, real.release, real.version, "vax"))
    monkeypatch.setattr(os, "uname", lambda: unknown)
    with pytest.raises(JailRefused, match="system calls of vax are not known"):
        Jail(monty=False, wasm=False)
    with pytest.raises(_jail_kernel.LockdownError, match="vax"):
        _jail_kernel.enter_filter()


def test_another_system_is_refused(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(JailRefused, match="pip install pydantic-monty"):
        Jail(monty=False, wasm=False)


def test_without_bubblewrap_the_rung_is_lower_and_says_so(no_bubblewrap):
    opened = Jail(monty=False)
    try:
        assert opened.rung == "cpython-jail (limits, landlock, seccomp)"
        assert opened.run_all([Program("", "x = 1")])[0].ok
    finally:
        opened.close()


def test_namespaces_can_be_demanded(no_bubblewrap):
    with pytest.raises(JailRefused, match=r"namespaces: bwrap is not installed.*apt install bubblewrap"):
        Jail(["namespaces"], monty=False)


def test_an_unknown_demand_is_refused(monkeypatch):
    monkeypatch.setenv("SMCDSL_JAIL_REQUIRE", "walls")
    monkeypatch.setattr(_jail, "_open", {})
    with pytest.raises(JailRefused, match="no layer `walls`"):
        _jail.open_jail()


@needs_root
def test_programs_of_root_run_as_somebody_else(jail):
    (report,) = jail.run_all([Program("", "import os", ("os.getresuid()", "os.getresgid()", "os.getgroups()"))])
    assert 0 not in report.values[0] + report.values[1]
    assert 0 not in report.values[2]


def test_root_that_cannot_be_given_up_is_no_jail(monkeypatch):
    monkeypatch.setattr(_jail_user.os, "setgroups", lambda groups: None)
    monkeypatch.setattr(_jail_user.os, "setresgid", lambda *ids: None)
    monkeypatch.setattr(_jail_user.os, "setresuid", lambda *ids: None)
    monkeypatch.setattr(_jail_user.os, "getresuid", lambda: (0, 0, 0))
    with pytest.raises(_jail_user.CannotDrop, match="no other user id"):
        _jail_user.become_ordinary([], 61000)


def test_a_server_that_dies_is_replaced_and_nothing_is_lost(jail):
    assert jail.run_all([Program("", "x = 1")])[0].ok
    (server,) = [server for pool in jail._pools.values() for server in pool._servers][:1]
    os.kill(server._process.pid, signal.SIGKILL)
    assert [report.ok for report in jail.run_all([Program("", "x = 1"), Program("", "1 / 0")])] == [True, False]


def test_a_jail_that_cannot_be_closed_is_an_error_and_no_verdict(jail, monkeypatch):
    pool = jail._pool(())
    answers = [{"end": "broken", "message": "Landlock: restrict_self"}]
    monkeypatch.setattr("smcdsl.potentials._jail_pool._Server.receive", lambda self: answers[0])
    with pytest.raises(JailError, match="could not be closed: Landlock"):
        pool.run_all([{"setup": "", "code": "", "calls": [], "seconds": 1, "wall_seconds": 2, "memory": 1 << 28}])


def test_limits_are_those_asked_for(jail):
    small, large = Limits(memory_bytes=64 << 20), Limits(memory_bytes=400 << 20)
    program = Program("", "held = bytearray(200 << 20)")
    assert not jail.run_all([program], small)[0].ok
    assert jail.run_all([program], large)[0].ok


def test_state_does_not_go_from_one_program_to_the_next(jail):
    jail.run_all([Program("", "import builtins, json\nbuiltins.left = 1\njson.dumps = None")] * 4)
    for report in jail.run_all([Program("", "import json", ("json.dumps(3)", "left"))] * 4):
        assert report.values == {0: "3"}


@pytest.mark.parametrize("machine", sorted(_jail_syscalls.ARCHITECTURES))
def test_filters_let_through_what_they_list_and_nothing_else(machine):
    """The program is run by a small machine of our own, for every system call number and architecture."""
    architecture = _jail_syscalls.ARCHITECTURES[machine]
    program = _jail_syscalls.filter_program(architecture, own_pid=77)
    listed = architecture.numbers
    assert len(set(listed.values())) == len(listed)
    assert bpf(program, listed["read"], architecture.audit ^ 1) == _jail_syscalls._KILL
    for number in range(600):
        name = next((name for name, known in listed.items() if known == number), None)
        allowed = bpf(program, number, architecture.audit) == _jail_syscalls._ALLOW
        if name is None or name in ("clone", "clone3"):
            assert not allowed
        elif name not in _jail_syscalls.conditions(77):
            assert allowed
    if architecture.foreign_bit:
        assert bpf(program, architecture.foreign_bit | listed["read"], architecture.audit) == _jail_syscalls._KILL


@pytest.mark.parametrize(
    ("name", "arguments", "allowed"),
    [
        ("kill", (77, 9), True),
        ("kill", (78, 9), False),
        ("kill", (0, 9), False),
        ("kill", (0xFFFFFFFF, 9), False),
        ("tgkill", (77, 77, 9), True),
        ("tgkill", (78, 77, 9), False),
        ("ioctl", (0, 0x5401), True),
        ("ioctl", (0, 0x5412), False),
        ("fcntl", (3, 8), False),
        ("prlimit64", (0, 7, 0, 1), True),
        ("prlimit64", (0, 7, 1 << 40, 1), False),
        ("prlimit64", (5, 7, 0, 1), False),
        ("socketpair", (1, 1), True),
        ("socketpair", (1, 2), False),
        ("socketpair", (2, 1), False),
        ("sendto", (3, 1, 1, 0, 0), True),
        ("sendto", (3, 1, 1, 0, 1 << 33), False),
    ],
)
def test_filters_look_at_arguments(name, arguments, allowed):
    architecture = _jail_syscalls.ARCHITECTURES["x86_64"]
    program = _jail_syscalls.filter_program(architecture, own_pid=77)
    made = bpf(program, architecture.numbers[name], architecture.audit, arguments)
    assert (made == _jail_syscalls._ALLOW) == allowed


def bpf(program: bytes, number: int, audit: int, arguments: tuple[int, ...] = ()) -> int:
    """What a filter returns: the four instructions that filters use, done one by one."""
    import struct

    data = struct.pack("<IIQ6Q", number, audit, 0, *(arguments + (0,) * 6)[:6])
    code = [struct.unpack_from("<HBBI", program, at) for at in range(0, len(program), 8)]
    at, held = 0, 0
    while True:
        kind, then, otherwise, value = code[at]
        at += 1
        if kind == 0x20:
            (held,) = struct.unpack_from("<I", data, value)
        elif kind == 0x15:
            at += then if held == value else otherwise
        elif kind == 0x35:
            at += then if held >= value else otherwise
        else:
            assert kind == 0x06
            return value
