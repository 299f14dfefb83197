"""The jail's fork-server: a small process that makes a locked-in copy of itself for every check.

It speaks with its owner in messages of JSON over standard input and output, a length of 8 bytes before each:

    {"warm": [modules]}                                  import them, so that copies have them
    {"setup", "code", "calls", "seconds", ...}         run a program; answers {"end", "lines", ...}

Of a check's end: `done`, `died` (the program ended itself; `signal`, `status`), `timeout`, `large` (it wrote more than
is read), `broken` (the jail could not be closed: no word of the program ran). State never goes from one check
to the next, since every copy is killed.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import secrets
import select
import signal
import sys
import time
from typing import Any

from smcdsl.potentials import _jail_child, _jail_kernel

MOST_RESULT_BYTES = 1 << 20
_READY = b"R"
_HEADER_BYTES = 8
_TICKET_BYTES = 16
_LIMITS = {"CORE": 0, "FSIZE": 0, "NOFILE": 64, "NPROC": 0, "MEMLOCK": 0, "MSGQUEUE": 0}


def serve(readable: list[str], hidden: list[str]) -> None:
    """Answer messages until the owner closes the pipe.

    Args:
        readable: what programs may read: the interpreter, its libraries.
        hidden: layers to leave out, for probing how the self-test takes it; such a jail never opens.
    """
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, signal.SIG_DFL)
    _jail_kernel.hide_from_equals()
    owner_in, owner_out = os.dup(0), os.dup(1)
    nothing = os.open("/dev/null", os.O_RDWR)
    for number in (0, 1):
        os.dup2(nothing, number)
    ruleset = -1
    if "landlock" not in hidden:
        ruleset = _jail_kernel.make_ruleset(readable, ("/dev/null",))
    server = _Server(owner_in, owner_out, ruleset, "seccomp" not in hidden)
    server.post({"end": "open"})
    while (message := server.read()) is not None:
        server.post(server.answer(message))


class _Server:
    def __init__(self, owner_in: int, owner_out: int, ruleset: int, filtered: bool) -> None:
        self._in, self._out = owner_in, owner_out
        self._ruleset, self._filtered = ruleset, filtered
        self._base = _jail_kernel.address_space()

    def read(self) -> Any:
        header = self._read_exactly(_HEADER_BYTES)
        if header is None:
            return None
        body = self._read_exactly(int.from_bytes(header, "little"))
        return None if body is None else json.loads(body)

    def _read_exactly(self, size: int) -> bytes | None:
        parts = []
        while size:
            part = os.read(self._in, min(size, 1 << 16))
            if not part:
                return None
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def post(self, message: Any) -> None:
        body = json.dumps(message).encode()
        data = memoryview(len(body).to_bytes(_HEADER_BYTES, "little") + body)
        while data:
            data = data[os.write(self._out, data) :]

    def answer(self, message: dict[str, Any]) -> dict[str, Any]:
        if "warm" in message:
            return self._warm(message["warm"])
        results, results_in = os.pipe()
        ticket_out, ticket_in = os.pipe()
        server = os.getpid()
        child = os.fork()
        if child == 0:
            self._run_child(message, server, results_in, ticket_out)
        os.close(results_in)
        os.close(ticket_out)
        # Made after the fork: it is nowhere in the child's memory.
        ticket = secrets.token_hex(_TICKET_BYTES // 2).encode()
        # The child may be dead already.
        with contextlib.suppress(BrokenPipeError):
            os.write(ticket_in, ticket)
        os.close(ticket_in)
        try:
            return _gathered(child, results, ticket, message)
        finally:
            os.close(results)

    def _warm(self, modules: list[str]) -> dict[str, Any]:
        for name in modules:
            try:
                importlib.import_module(name)
            except ImportError as error:
                return {"end": "missing", "message": str(error)}
        if "pandas" in modules:
            _use_pandas()
        self._base = _jail_kernel.address_space()
        return {"end": "warm"}

    def _run_child(self, message: dict[str, Any], server: int, results: int, ticket: int) -> None:
        """Close the jail from inside, say so, run the program. Never returns."""
        problem = ""
        try:
            self._lock(message, server, results, ticket)
        except BaseException as error:
            problem = f"{type(error).__name__}: {error}"
        if problem:
            os.write(results, b"X" + problem.encode(errors="replace")[:1000])
            os._exit(1)
        write_bytes, read_bytes, leave = os.write, os.read, os._exit
        write_bytes(results, _READY)

        def write(line: str) -> None:
            write_bytes(results, line.encode("utf-8", "replace") + b"\n")

        _jail_child.run(message["setup"], message["code"], message["calls"], write)
        write_bytes(results, read_bytes(ticket, _TICKET_BYTES))
        leave(0)

    def _lock(self, message: dict[str, Any], server: int, results: int, ticket: int) -> None:
        _jail_kernel.die_with_parent(server)
        nothing = os.open("/dev/null", os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(nothing, number)
        first = 3
        for kept in sorted({results, ticket, self._ruleset} - {-1}):
            os.closerange(first, kept)
            first = kept + 1
        os.closerange(first, 4096)
        _jail_kernel.set_limits({
            **_LIMITS, "CPU": max(int(-(-message["seconds"] // 1)), 1), "AS": self._base + message["memory"],
        })  # fmt: skip
        os.chdir("/")
        _jail_kernel.renounce_privileges()
        if self._ruleset >= 0:
            _jail_kernel.enter_ruleset(self._ruleset)
            os.close(self._ruleset)
        if self._filtered:
            _jail_kernel.enter_filter()


def _gathered(child: int, results: int, ticket: bytes, message: dict[str, Any]) -> dict[str, Any]:
    """Read what the child writes, to its end or the limit; then make sure that it is gone."""
    deadline = time.monotonic() + message["wall_seconds"]
    received = bytearray()
    end = ""
    while not end:
        ready, _, _ = select.select([results], [], [], max(deadline - time.monotonic(), 0.0))
        if not ready:
            end = "timeout"
            break
        part = os.read(results, 1 << 16)
        received += part
        if len(received) > MOST_RESULT_BYTES:
            end = "large"
        elif not part or (received[-1:] != b"\n" and received.endswith(ticket)):
            end = "closed"
    with contextlib.suppress(ProcessLookupError):
        if not received.endswith(ticket):
            # A program may close the pipe and stay.
            _wait_or_kill(child, deadline)
        else:
            os.kill(child, signal.SIGKILL)
    _, status, usage = os.wait4(child, 0)
    if received[:1] != _READY:
        return {"end": "broken", "message": received[1:].decode(errors="replace") or f"it ended with status {status}"}
    if end == "closed":
        end = "done" if received.endswith(ticket) else "died"
    number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    used = usage.ru_utime + usage.ru_stime
    if end == "died" and number in (signal.SIGXCPU, signal.SIGKILL) and used > 0.9 * message["seconds"]:
        # Killed by the limit of CPU time.
        end = "timeout"
    lines = received[1 : -len(ticket) if end == "done" else None].decode(errors="replace").split("\n")
    return {"end": end, "lines": [line for line in lines if line], "signal": number}


def _wait_or_kill(child: int, deadline: float) -> None:
    """Wait for the child as long as it has time; kill it then."""
    while os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if time.monotonic() >= deadline:
            os.kill(child, signal.SIGKILL)
            return
        time.sleep(0.002)


def _use_pandas() -> None:
    """Touch what most programs use, so that copies find it imported and computed."""
    import pandas

    table = pandas.DataFrame({"a": ["x", "y", "x"], "b": [1.0, 2.0, 3.0], "c": pandas.to_datetime(["2020-01-01"] * 3)})
    table.groupby("a")["b"].sum().reset_index().merge(table, on="a").sort_values("c").to_dict(orient="list")
    table.pivot_table(index="a", values="b", aggfunc="mean").to_string()
    table["a"].str.upper().map({"X": 1}).fillna(0).astype(int).value_counts()


def main() -> None:
    """Started with one argument: the JSON of `serve`'s arguments."""
    arguments = json.loads(sys.argv[1])
    sys.argv = [""]
    serve(arguments["readable"], arguments["hidden"])
