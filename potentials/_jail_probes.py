"""The jail tested against itself: attempts that must fail, and programs that must not.

A probe is a program that tries one thing and leaves in `escaped` whether it could. Those that leave traces outside
are judged by the traces as well: a file, a connection to a listener. A jail that starts nothing would stop every
probe, hence the control: programs whose results are known.
"""

from __future__ import annotations

import os
import secrets
import socket
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from smcdsl.potentials._jail_launch import ENVIRONMENT
from smcdsl.potentials._jail_report import Program, Report

_QUIET = """
escaped = False
try:
{body}
except (OSError, RuntimeError, ValueError, MemoryError):
    pass
"""


@dataclass(frozen=True)
class Probe:
    """An attempt by name."""

    name: str
    body: str

    def program(self, places: dict[str, str]) -> Program:
        """As a program; `places` fills in where the canaries are."""
        body = self.body
        for name, place in places.items():
            body = body.replace(f"<{name}>", place)
        indented = "\n".join("    " + line for line in body.strip().splitlines())
        return Program("", _QUIET.format(body=indented), ("escaped",))


PROBES = (
    Probe("read a file", "escaped = open('<secret>').read() != ''"),
    Probe("write a file", "open('<folder>/written', 'w').write('x')\nescaped = True"),
    Probe("delete a file", "import os\nos.unlink('<secret>')\nescaped = True"),
    Probe("connect to a port", "import socket\nsocket.create_connection(('127.0.0.1', <port>), 1)\nescaped = True"),
    Probe(
        "connect to a socket",
        "import socket\nline = socket.socket(socket.AF_UNIX)\nline.connect('<socket>')\nescaped = True",
    ),
    Probe("signal the owner", "import os\nos.kill(<owner>, 0)\nescaped = True"),
    Probe("fork", "import os\nif os.fork() == 0:\n    os._exit(0)\nescaped = True"),
    Probe("run a command", "import ctypes\nescaped = ctypes.CDLL(None).system(b'touch <folder>/ran') == 0"),
    Probe(
        "read an environment",
        "import os\nescaped = not set(os.environ) <= {<names>}\nfor process in (1, <owner>, os.getppid()):\n"
        "    escaped = escaped or open(f'/proc/{process}/environ').read() != ''",
    ),
    # The next two are stopped by one layer each, so that its absence shows whatever the others do.
    Probe("list the root folder", "import os\nescaped = len(os.listdir('/')) > 0"),
    Probe("make a file in memory", "import os\nescaped = os.memfd_create('x') >= 0"),
    Probe("enter new namespaces", "import ctypes\nescaped = ctypes.CDLL(None).unshare(0x10000000) == 0"),
)

CONTROLS: tuple[tuple[Program, Callable[[Report], bool]], ...] = (
    (
        Program("import math\nbase = 6", "answer = base * 7", ("answer", "math.sqrt(16)")),
        lambda report: report.ok and report.values == {0: 42, 1: 4.0},
    ),
    (Program("", "1 / 0"), lambda report: report.failure is not None and report.failure.error == "ZeroDivisionError"),
)


@dataclass(frozen=True)
class SelfTest:
    """What came of it: names of probes that got out, whether the controls came out right."""

    escaped: tuple[str, ...]
    control: bool
    num_probes: int

    @property
    def passed(self) -> bool:
        """Whether the jail holds."""
        return not self.escaped and self.control

    def __str__(self) -> str:
        control = "control right" if self.control else "CONTROL WRONG"
        out = f", got out: {', '.join(self.escaped)}" if self.escaped else ""
        return f"{self.num_probes - len(self.escaped)} of {self.num_probes} probes stopped, {control}{out}"


def self_test(run_all: Callable[[Sequence[Program]], list[Report]], probes: Sequence[Probe] = PROBES) -> SelfTest:
    """Try the probes and the controls in a jail that runs programs by `run_all`."""
    with tempfile.TemporaryDirectory(prefix="smcdsl-canary-") as folder, socket.socket() as port:
        # Others may enter, so that only the jail stands in the way.
        Path(folder).chmod(0o777)
        secret = Path(folder) / "secret"
        secret.write_text(secrets.token_hex())
        secret.chmod(0o666)
        port.bind(("127.0.0.1", 0))
        port.listen()
        port.setblocking(False)
        # Where there are no such sockets the probe can only fail.
        with socket.socket(getattr(socket, "AF_UNIX", socket.AF_INET)) as line:
            if hasattr(socket, "AF_UNIX"):
                line.bind(f"{folder}/line")
                os.chmod(f"{folder}/line", 0o777)
                line.listen()
            line.setblocking(False)
            places = {
                "secret": str(secret),
                "folder": folder,
                "port": str(port.getsockname()[1]),
                "socket": f"{folder}/line",
                "owner": str(os.getpid()),
                "names": repr([*ENVIRONMENT, "LC_CTYPE", "PWD"])[1:-1],
            }
            programs = [probe.program(places) for probe in probes]
            reports = run_all([*programs, *(program for program, _ in CONTROLS)])
            escaped = [
                probe.name
                for probe, report in zip(probes, reports, strict=False)
                if report.values.get(0) is True or report.values.get(0) == 1
            ]
            traces = sorted(set(os.listdir(folder)) - {"secret", "line"})
            escaped += [f"left the file {name}" for name in traces]
            escaped += ["was heard by a listener"] * (_has_visitor(port) or _has_visitor(line))
            escaped += ["deleted a file"] * (not secret.exists())
    control = all(right(report) for (_, right), report in zip(CONTROLS, reports[len(probes) :], strict=True))
    return SelfTest(tuple(escaped), control, len(probes))


def _has_visitor(listener: socket.socket) -> bool:
    try:
        listener.accept()[0].close()
    except OSError:
        return False
    return True
