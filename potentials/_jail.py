"""Where programs written by a model run: the strongest of a ladder of jails, tested before its first use.

1. `monty`, an interpreter of a part of Python without files, network or processes (pydantic-monty), for programs
   that import nothing else; what it cannot run, or ends in an exception, the next jail decides.
2. `cpython-jail`: the running interpreter in processes closed by Landlock, seccomp and resource limits, inside
   bubblewrap's namespaces too where a trial start works.

If neither can be had the jail refuses, with what is missing. It never goes on with less than it had: a layer that
fails while in use is an error. `SMCDSL_JAIL_REQUIRE` (a list such as `namespaces,landlock`) demands layers.
"""

from __future__ import annotations

import atexit
import os
import re
import sys
import threading
from collections.abc import Collection, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.util import find_spec
from typing import Any

from smcdsl.potentials import _jail_launch
from smcdsl.potentials._jail_monty import MontyRunner, monty_version
from smcdsl.potentials._jail_pool import JailError, JailServers
from smcdsl.potentials._jail_probes import SelfTest, self_test
from smcdsl.potentials._jail_report import Limits, Program, Report, read_report

MOST_CHARACTERS = 200_000
"""Of a program's texts together."""

_MOST_SERVERS = 4
_WARM = ("numpy", "pandas", "scipy", "sklearn")
_IMPORTS = re.compile(rf"^[ \t]*(?:import|from)[ \t]+({'|'.join(_WARM)})\b", re.MULTILINE)
LAYERS = ("limits", "landlock", "seccomp", "namespaces")


class JailRefused(JailError):  # type: ignore[misc]  # installed modules are not followed
    """No jail can be had here that is strong enough; the message names what is missing and what mends it."""


@dataclass(frozen=True)
class Layer:
    """One means of closing the jail: is it there, by what evidence; how to get it."""

    name: str
    active: bool
    evidence: str
    remedy: str = ""


def examine() -> list[Layer]:
    """The layers of the `cpython-jail`, each tried."""
    if sys.platform != "linux":
        evidence = f"{sys.platform} has none of Linux's means"
        return [Layer(name, False, evidence, "run smcdsl on Linux, or pip install pydantic-monty") for name in LAYERS]
    from smcdsl.potentials import _jail_kernel

    abi = _jail_kernel.landlock_abi()
    machine = os.uname().machine
    seccomp = _jail_kernel.has_seccomp_filters()
    known = machine in _jail_kernel.ARCHITECTURES
    problem = _jail_launch.try_bubblewrap()
    return [
        Layer("limits", True, "resource limits of the system"),
        Layer(
            "landlock",
            abi > 0,
            f"interface version {abi}" if abi else "the kernel does not offer it",
            "a kernel of 5.13 or later, with `landlock` in its boot option `lsm=`",
        ),
        Layer(
            "seccomp",
            seccomp,
            f"filters for {machine}" if seccomp else _no_seccomp(machine, known),
            "a kernel with CONFIG_SECCOMP_FILTER on x86_64 or aarch64",
        ),
        Layer(
            "namespaces",
            not problem,
            problem or "bubblewrap starts",
            "install bubblewrap (apt install bubblewrap) and allow user namespaces",
        ),
    ]


def _no_seccomp(machine: str, known: bool) -> str:
    return "the kernel takes no filters" if known else f"the system calls of {machine} are not known"


class Jail:
    """An open jail. It is tested when it opens, and holds processes until it is closed.

    Args:
        require: layers that must be active.
        monty: whether to try `monty` first.
        hidden: layers to leave out of the closing though they are there, to see that the test notices.

    Raises:
        JailRefused: a needed layer is missing, or the test failed.
    """

    def __init__(self, require: Collection[str] = (), *, monty: bool = True, hidden: Collection[str] = ()) -> None:
        unknown = sorted(set(require) - set(LAYERS))
        if unknown:
            raise JailRefused(f"the jail has no layer `{unknown[0]}`; the layers are {', '.join(LAYERS)}")
        self.layers = examine()
        active = {layer.name for layer in self.layers if layer.active}
        missing = [layer for layer in self.layers if not layer.active and layer.name in require]
        self._hidden = tuple(hidden)
        self._pools: dict[tuple[str, ...], JailServers] = {}
        self._active = active
        self._has_cpython = {"limits", "landlock", "seccomp"} <= active
        self._monty = MontyRunner() if monty and monty_version() else None
        self.tests: dict[str, SelfTest] = {}
        if not self._has_cpython and self._monty is None:
            missing = missing or [layer for layer in self.layers if not layer.active and layer.name != "namespaces"]
        if missing:
            raise JailRefused(_refusal(missing))
        try:
            self._test()
        except BaseException:
            self.close()
            raise

    def _test(self) -> None:
        if self._has_cpython:
            # A busy machine must not make a control fail.
            limits = Limits(seconds=5.0)
            self.tests["cpython-jail"] = self_test(lambda programs: self._run_cpython(programs, limits))
        if self._monty is not None:
            self.tests["monty"] = self._monty.self_test()
        for rung, test in self.tests.items():
            if not test.passed:
                raise JailRefused(f"the {rung} does not hold here: {test}; nothing was run in it")

    @cached_property
    def rung(self) -> str:
        """What programs run in, for records: `monty + cpython-jail (limits, landlock, seccomp, namespaces)`."""
        parts = [] if self._monty is None else ["monty"]
        if self._has_cpython:
            parts.append(f"cpython-jail ({', '.join(name for name in LAYERS if name in self._active)})")
        return " + ".join(parts)

    def run_all(self, programs: Sequence[Program], limits: Limits | None = None) -> list[Report]:
        """Run programs side by side, each by itself.

        Raises:
            JailError: the jail failed, or no jail that is here can run a program.
        """
        limits = limits or Limits()
        reports: dict[int, Report] = {}
        if self._monty is not None:
            for index, program in enumerate(programs):
                report = self._monty.run(program, limits, final=not self._has_cpython)
                if report is not None:
                    reports[index] = report
        rest = [index for index in range(len(programs)) if index not in reports]
        if rest and not self._has_cpython:
            missing = [layer for layer in self.layers if not layer.active and layer.name != "namespaces"]
            raise JailRefused(f"monty cannot run this program. {_refusal(missing)}")
        reports.update(zip(rest, self._run_cpython([programs[index] for index in rest], limits), strict=True))
        return [reports[index] for index in range(len(programs))]

    def _run_cpython(self, programs: Sequence[Program], limits: Limits) -> list[Report]:
        groups: dict[tuple[str, ...], list[int]] = {}
        for index, program in enumerate(programs):
            found = set(_IMPORTS.findall(f"{program.setup}\n{program.code}"))
            groups.setdefault(tuple(name for name in _WARM if name in found and _is_here(name)), []).append(index)
        reports: dict[int, Report] = {}
        for warm, indices in groups.items():
            checks = [_message(programs[index], limits) for index in indices]
            answers = self._pool(warm).run_all(checks)
            reports.update(zip(indices, map(read_report, answers), strict=True))
        return [reports[index] for index in range(len(programs))]

    def _pool(self, warm: tuple[str, ...]) -> JailServers:
        pool = self._pools.get(warm)
        if pool is None:
            size = min(len(os.sched_getaffinity(0)), _MOST_SERVERS)
            pool = self._pools[warm] = JailServers(self._active, warm, size, self._hidden)
        return pool

    def close(self) -> None:
        """End the jail's processes."""
        for pool in self._pools.values():
            pool.close()
        if self._monty is not None:
            self._monty.close()


@cache
def _is_here(module: str) -> bool:
    """Whether a module can be imported ahead; importing one that is missing is the program's own exception."""
    return find_spec(module) is not None


def _message(program: Program, limits: Limits) -> dict[str, Any]:
    return {
        "setup": program.setup,
        "code": program.code,
        "calls": list(program.calls),
        "seconds": limits.seconds,
        "wall_seconds": limits.wall_seconds,
        "memory": limits.memory_bytes,
    }


def _refusal(missing: Sequence[Layer]) -> str:
    lines = [f"{layer.name}: {layer.evidence}; needed: {layer.remedy}" for layer in missing]
    return "programs are not run without a jail, and this one cannot be had. " + ". ".join(lines)


def findings() -> list[tuple[str, str, str]]:
    """For `smcdsl doctor`: (`ok`, `missing` or `note`, what, evidence) of layers and self-tests, and what is in use."""
    rows = []
    for layer in examine():
        # Whether something is missing is said at the end: one rung of the ladder is enough.
        state = "ok" if layer.active else "note"
        detail = layer.evidence if layer.active else f"{layer.evidence}; needed: {layer.remedy}"
        rows.append((state, f"jail: {layer.name}", detail))
    version = monty_version()
    rows.append(
        ("ok" if version else "note", "jail: monty", version or "pip install pydantic-monty (faster, optional)")
    )
    try:
        with closing(Jail()) as jail:
            rows += [("ok", f"jail: test of {rung}", str(test)) for rung, test in jail.tests.items()]
            rows.append(("ok", "jail: in use", jail.rung))
    except JailError as error:
        rows.append(("missing", "jail: refused", str(error)))
    return rows


_lock = threading.Lock()
_open: dict[int, Jail] = {}


def open_jail() -> Jail:
    """The jail of this process, opened at the first call.

    Raises:
        JailRefused: as `Jail`.
    """
    with _lock:
        jail = _open.get(os.getpid())
        if jail is None:
            demanded = [word for word in re.split(r"[\s,]+", os.environ.get("SMCDSL_JAIL_REQUIRE", "")) if word]
            jail = Jail(demanded)
            # A forked process must not share the pipes of the first.
            _open.clear()
            _open[os.getpid()] = jail
            atexit.register(jail.close)
        return jail


def run_all(programs: Sequence[Program], limits: Limits | None = None) -> list[Report]:
    """`Jail.run_all` in the jail of this process; calls of several threads wait for each other."""
    jail = open_jail()
    with _lock:
        return jail.run_all(programs, limits)
