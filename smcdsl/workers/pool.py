"""Persistent worker processes, seen from the side that calls."""

from __future__ import annotations

import os
import pickle
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Event
from typing import Any

from smcdsl.program.types import PythonLocation
from smcdsl.workers.calls import Outcome
from smcdsl.workers.process import HEADER_BYTES

START_SECONDS = 600.0
"""The most that a process may take to load its function; it does not count as time of a call."""
_LOOK_SECONDS = 1.0
"""How often to look whether a process is alive whose children hold its pipe open."""


class Abandoned(Exception):
    """Nobody waits for these calls any more."""


@dataclass(frozen=True)
class Interest:
    """What the one who waits for calls in another thread still wants of them.

    Calls in `unwanted`, by their number, are not begun, and have an error for outcome. `ended` says that nothing is
    waited for.
    """

    unwanted: set[int] = field(default_factory=set)
    ended: Event = field(default_factory=Event)


class ProcessPool:
    """Processes that hold one function.

    Args:
        location: where the function is.
        function: its name there.
        size: the most processes at a time.
        memory_bytes: the most address space of each (RLIMIT_AS; where the system has no such limit: none).
    """

    def __init__(self, location: PythonLocation, function: str, size: int, memory_bytes: int | None = None) -> None:
        self._start = (location, function, memory_bytes)
        self._size = size
        self._workers: list[_Worker] = []

    def call_all(
        self,
        calls: Sequence[Sequence[Any]],
        timeout_seconds: float | None,
        *,
        until: float = float("inf"),
        retries_deaths: bool = True,
        interest: Interest | None = None,
    ) -> list[Outcome]:
        """The outcomes of calls, made as workers come free, each in a worker of its own while it runs.

        Args:
            calls: arguments of each.
            timeout_seconds: the most that one call may take.
            until: on the monotonic clock; what has not ended by then is a time-out, starting included.
            retries_deaths: a call whose worker dies is made once more, in a new one.
            interest: what another thread wants of the calls; without it all of them.

        Raises:
            Abandoned: `interest` has ended. The processes have been ended too.
        """
        try:
            return self._call_all(calls, timeout_seconds, until, retries_deaths, interest or Interest())
        except BaseException:
            # Nobody would take the answers.
            self.close()
            raise

    def _call_all(
        self,
        calls: Sequence[Sequence[Any]],
        timeout_seconds: float | None,
        until: float,
        retries_deaths: bool,
        interest: Interest,
    ) -> list[Outcome]:
        outcomes: dict[int, Outcome] = {}
        waiting = list(range(len(calls)))[::-1]
        retried: set[int] = set()
        busy: dict[_Worker, int] = {}
        with selectors.DefaultSelector() as selector:
            while waiting or busy:
                if interest.ended.is_set():
                    raise Abandoned
                while waiting and len(busy) < self._size:
                    index = waiting.pop()
                    if index in interest.unwanted:
                        outcomes[index] = Outcome("error", error="it was not wanted any more")
                        continue
                    try:
                        message = _packed(tuple(calls[index]))
                    except Exception as error:  # whatever pickling a value does
                        outcomes[index] = Outcome("error", error=f"the arguments cannot be pickled: {error}")
                        continue
                    worker = self._free(busy)
                    busy[worker] = index
                    worker.send(message, timeout_seconds, until)
                    worker.register(selector)
                _wait(selector, busy)
                for worker, index in list(busy.items()):
                    outcome = worker.outcome()
                    if outcome is None:
                        continue
                    del busy[worker]
                    worker.unregister(selector)
                    if outcome.died or outcome.kind == "timeout":
                        self._discard(worker)
                    if outcome.died and retries_deaths and index not in retried:
                        retried.add(index)
                        waiting.append(index)
                        continue
                    outcomes[index] = outcome
        return [outcomes[index] for index in range(len(calls))]

    def close(self) -> None:
        """End all processes. Another call starts new ones."""
        for worker in list(self._workers):
            self._discard(worker)

    def _free(self, busy: dict[_Worker, int]) -> _Worker:
        for worker in self._workers:
            if worker not in busy:
                return worker
        worker = _Worker(*self._start)
        self._workers.append(worker)
        return worker

    def _discard(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        worker.kill()


def _wait(selector: selectors.BaseSelector, busy: dict[_Worker, int]) -> None:
    """Until a worker can be read or written, is late, or may have died unheard."""
    if not busy:
        return
    nearest = min(worker.deadline for worker in busy) - time.monotonic()
    for key, mask in selector.select(min(max(nearest, 0.0), _LOOK_SECONDS)):
        worker: _Worker = key.data
        if mask & selectors.EVENT_WRITE and worker.write():
            selector.unregister(key.fileobj)
        if mask & selectors.EVENT_READ:
            worker.read()


class _Worker:
    """One process and the pipes to it. Neither end ever waits for a pipe that is full."""

    def __init__(self, location: PythonLocation, function: str, memory_bytes: int | None) -> None:
        # `-P`: the working folder is where modules are looked for only if it is so here.
        command = [sys.executable, "-P", "-c", "from smcdsl.workers.process import serve; serve()"]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
        # A group of its own, so that what the function starts can be ended with it.
        group = {"process_group": 0} if hasattr(os, "killpg") else {}
        self._process = subprocess.Popen(  # type: ignore[call-overload]
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, bufsize=0, **group
        )
        self._input, self._output = self._process.stdin, self._process.stdout
        os.set_blocking(self._input.fileno(), False)
        os.set_blocking(self._output.fileno(), False)
        self._outgoing = memoryview(_packed((location, function, memory_bytes)))
        self._incoming = bytearray()
        self._ended = False
        self._loaded = False
        self._load_by = time.monotonic() + START_SECONDS
        self._timeout_seconds: float | None = None
        self._until = float("inf")
        self._look_at = 0.0
        self.deadline = self._load_by

    def send(self, message: bytes, timeout_seconds: float | None, until: float) -> None:
        """Begin a call; its time begins when the function is loaded."""
        self._outgoing = memoryview(bytes(self._outgoing) + message)
        self._timeout_seconds, self._until = timeout_seconds, until
        self._look_at = time.monotonic() + _LOOK_SECONDS
        self._set_deadline()

    def register(self, selector: selectors.BaseSelector) -> None:
        """Listen, and write what there is to write."""
        selector.register(self._output, selectors.EVENT_READ, self)
        self.write()
        if self._outgoing:
            selector.register(self._input, selectors.EVENT_WRITE, self)

    def unregister(self, selector: selectors.BaseSelector) -> None:
        """Stop that."""
        selector.unregister(self._output)
        if self._input in selector.get_map():
            selector.unregister(self._input)

    def write(self) -> bool:
        """As much as the pipe takes; whether that was all."""
        try:
            self._outgoing = self._outgoing[os.write(self._input.fileno(), self._outgoing) :]
        except BlockingIOError:
            return False
        except BrokenPipeError:
            # Reading will find the process dead and say so.
            self._outgoing = memoryview(b"")
        return not self._outgoing

    def read(self) -> bool:
        """As much as there is; whether there was something."""
        try:
            received = os.read(self._output.fileno(), 1 << 20)
        except BlockingIOError:
            return False
        self._incoming += received
        self._ended |= not received
        return bool(received)

    def outcome(self) -> Outcome | None:
        """What became of the call; None while it runs."""
        answer = self._answer()
        if answer is None and not self._ended and self._is_dead():
            # Its children may hold the pipe open. What is in it comes first.
            while self.read():
                pass
            self._ended, answer = True, self._answer()
        if answer is not None:
            return answer
        if self._ended:
            return Outcome("error", error=f"the worker process {self._end()}", died=True)
        if time.monotonic() < self.deadline:
            return None
        if not self._loaded and self._load_by < self._until:
            return Outcome("error", error=f"the worker process was not ready after {START_SECONDS:g} s", died=True)
        return Outcome("timeout")

    def kill(self) -> None:
        """End the process and all of its group at once."""
        self._kill_group()
        self._process.kill()
        self._process.wait()
        self._input.close()
        self._output.close()

    def _is_dead(self) -> bool:
        """Looks now and then: it costs more than all else."""
        now = time.monotonic()
        if now < self._look_at:
            return False
        self._look_at = now + _LOOK_SECONDS
        return self._process.poll() is not None

    def _answer(self) -> Outcome | None:
        while (message := self._message()) is not None:
            if self._loaded:
                return message
            # The first message says that the function is there, or each answer will say why it is not.
            self._loaded = True
            self._set_deadline()
        return None

    def _end(self) -> str:
        self._kill_group()
        status = self._process.wait()
        if status >= 0:
            return f"ended with status {status}"
        with suppress(ValueError):
            return f"was killed by {signal.Signals(-status).name}"
        return f"was killed by signal {-status}"

    def _kill_group(self) -> None:
        with suppress(ProcessLookupError, PermissionError):
            if hasattr(os, "killpg"):
                os.killpg(self._process.pid, signal.SIGKILL)

    def _set_deadline(self) -> None:
        limit = self._load_by
        if self._loaded:
            limit = float("inf") if self._timeout_seconds is None else time.monotonic() + self._timeout_seconds
        self.deadline = min(limit, self._until)

    def _message(self) -> Outcome | None:
        size = int.from_bytes(self._incoming[:HEADER_BYTES], "little") + HEADER_BYTES
        if len(self._incoming) < max(size, HEADER_BYTES):
            return None
        message = bytes(self._incoming[HEADER_BYTES:size])
        del self._incoming[:size]
        try:
            outcome = pickle.loads(message)
        except Exception as error:  # an object of a class that only the worker knows
            return Outcome("error", error=f"the result cannot be read: {error}")
        assert isinstance(outcome, Outcome)
        return outcome


def _packed(message: Any) -> bytes:
    data = pickle.dumps(message)
    return len(data).to_bytes(HEADER_BYTES, "little") + data
