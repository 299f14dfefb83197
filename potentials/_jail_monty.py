"""Programs in Monty (pydantic-monty): an interpreter in Rust of a part of Python, in processes of its own.

A program has no files, network, environment or processes there, since the interpreter knows none. What Monty runs to
its end is taken as run. What it refuses or ends in an exception may be right in Python, whose larger half it does
not know, so another jail decides; only where there is none is the exception taken as the program's.
"""

from __future__ import annotations

import importlib.util
import re
from typing import Any

from smcdsl.potentials._jail_probes import CONTROLS, Probe, SelfTest
from smcdsl.potentials._jail_report import Failure, Limits, Program, Report

_MODULES = frozenset(
    "base64 binascii bisect collections copy dataclasses datetime decimal functools hashlib itertools json math "
    "re typing unicodedata".split()
)
"""Those that do not depend on the machine."""
_IMPORT = re.compile(r"^[ \t]*(?:import|from)[ \t]+(.*)", re.MULTILINE)
_UNKNOWN = (
    "NotImplementedError",
    "ImportError",
    "ModuleNotFoundError",
    "AttributeError",
    "SyntaxError",
    "RuntimeError",
)
"""Errors that may mean that Monty does not know what Python knows."""
_CHECKOUTS_OF_A_WORKER = 2_000

_PROBES = (
    Probe("read a file", "escaped = open('/etc/hostname').read() != ''"),
    Probe("list a folder", "import os\nescaped = os.listdir('/') != []"),
    Probe("read an environment", "import os\nescaped = os.environ['PATH'] != ''"),
    Probe("run a command", "import os\nescaped = os.system('true') == 0"),
)


def monty_version() -> str:
    """The installed version, or empty."""
    if importlib.util.find_spec("pydantic_monty") is None:
        return ""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("pydantic-monty")
    except PackageNotFoundError:
        return "of unknown version"


def suits(program: Program) -> bool:
    """Whether the program imports nothing that Monty lacks."""
    for line in _IMPORT.findall(f"{program.setup}\n{program.code}"):
        names = re.findall(r"[\w.]+", re.sub(r"\s+import\b.*|\s+as\s+\w+", "", line))
        if not names or not {name.partition(".")[0] for name in names} <= _MODULES:
            return False
    return True


class MontyRunner:
    """A pool of Monty's processes, started at the first program."""

    def __init__(self) -> None:
        self._pool: Any = None

    def run(self, program: Program, limits: Limits, *, final: bool) -> Report | None:
        """The report, or None if Monty cannot say.

        Args:
            program: what to run.
            limits: seconds and memory of each of its parts.
            final: no other jail is asked: an exception that Python would raise as well counts.
        """
        if not suits(program):
            return None
        import pydantic_monty

        part, values = "setup", {}
        try:
            with self._opened().checkout(limits=_limits(limits)) as session:
                session.feed_run(program.setup, print_callback=_drop)
                part = "code"
                session.feed_run(program.code, print_callback=_drop)
                part = "call"
                for index, call in enumerate(program.calls):
                    values[index] = plain(session.feed_run(call, print_callback=_drop))
        except (pydantic_monty.MontyError, TimeoutError) as error:
            return _report(part, error, values) if final and part != "call" else None
        except (TypeError, ValueError, RecursionError):
            # A value without a form in JSON here may have one in Python.
            return None
        return Report("done", None, values, finished_setup=True)

    def self_test(self) -> SelfTest:
        """Try a few probes and the controls."""
        escaped = []
        for probe in _PROBES:
            program = probe.program({})
            report = self._run_unsuited(program)
            if report is not None and report.values.get(0) is True:
                escaped.append(probe.name)
        reports = [self.run(program, Limits(), final=True) for program, _ in CONTROLS]
        control = all(
            report is not None and right(report) for (_, right), report in zip(CONTROLS, reports, strict=True)
        )
        return SelfTest(tuple(escaped), control, len(_PROBES))

    def _run_unsuited(self, program: Program) -> Report | None:
        import pydantic_monty

        try:
            with self._opened().checkout(limits=_limits(Limits())) as session:
                session.feed_run(program.code, print_callback=_drop)
                return Report("done", None, {0: session.feed_run(program.calls[0], print_callback=_drop)})
        except pydantic_monty.MontyError:
            return None

    def _opened(self) -> Any:
        if self._pool is None:
            import pydantic_monty

            pool = pydantic_monty.Monty(max_checkouts_per_worker=_CHECKOUTS_OF_A_WORKER, request_timeout=60.0)
            self._pool = pool.__enter__()
        return self._pool

    def close(self) -> None:
        """End the processes."""
        if self._pool is not None:
            self._pool.__exit__(None, None, None)
            self._pool = None


def plain(value: Any) -> Any:
    """A value as JSON has it, by the rules of `_jail_child`.

    Raises:
        TypeError: it has no form in JSON.
    """
    kind = type(value)
    if value is None or kind in (bool, int, float, str):
        return value
    if kind in (list, tuple):
        return [plain(item) for item in value]
    if kind in (set, frozenset):
        return [plain(item) for item in sorted(value)]
    if kind is dict and all(type(key) is str for key in value):
        return {key: plain(item) for key, item in value.items()}
    raise TypeError(f"{kind.__name__} has no form in JSON")


def _limits(limits: Limits) -> dict[str, float | int]:
    return {
        "max_feed_duration_secs": limits.seconds,
        "max_memory": limits.memory_bytes,
        "max_total_sleep_secs": 0.0,
    }


def _drop(stream: str, text: str) -> None:
    """What a program prints goes nowhere."""


def _report(part: str, error: Exception, values: dict[int, Any]) -> Report | None:
    """The program's exception, if Python would raise it too."""
    inner: Any = error.exception() if hasattr(error, "exception") else error
    name = type(inner).__name__
    if name in _UNKNOWN:
        return None
    if name == "TimeoutError" or not hasattr(error, "exception"):
        return Report("timeout", None, values, part != "setup")
    frames = error.traceback() if hasattr(error, "traceback") else []
    line = frames[-1].line if frames else 0
    inside = len(frames) > 1
    failure = Failure(
        "setup" if part == "setup" else "code",
        name,
        str(inner)[:300],
        line,
        name == "NameError",
        inside_function=inside,
    )
    return Report("done", failure, values, part != "setup")
