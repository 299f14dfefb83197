"""Potentials with a time limit, in processes of their own or in a thread.

A worker process is told where the function is and loads it itself; only arguments and results are
pickled, over private pipes. A worker that runs past the limit is killed and replaced. Without
`workers` a limited call runs in a thread, which is abandoned when time is up.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import pickle
import queue
import selectors
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from smcdsl.program.types import PythonLocation

_HEADER_BYTES = 8


@dataclass(frozen=True)
class Outcome:
    """What became of a call. For an error: its type and message, and the file and line that raised it."""

    kind: Literal["value", "error", "timeout"]
    value: Any = None
    error: str = ""
    file: str = ""
    line: int = 0


def attempt(function: Callable[..., Any], arguments: Sequence[Any]) -> Outcome:
    """Call a function here and now."""
    try:
        return Outcome("value", function(*arguments))
    except (Exception, SystemExit) as error:
        frames = traceback.extract_tb(error.__traceback__)
        # The first frame is this file's own.
        last = frames[-1] if len(frames) > 1 else None
        text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        return Outcome("error", error=text, file=last.filename if last else "", line=(last.lineno or 0) if last else 0)


def load_function(location: PythonLocation, name: str) -> Callable[..., Any]:
    """Import the module, or run the file, and take the function; a `Potential` gives its function."""
    if location.path:
        spec = importlib.util.spec_from_file_location("smcdsl_potentials_of_worker", location.path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
    else:
        module = importlib.import_module(location.module)
    found = getattr(module, name)
    return getattr(found, "function", found)


class ThreadRunner:
    """Runs calls one after the other in one thread; after a time-out in a new one."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[Any] | None = None

    def call(self, function: Callable[..., Any], arguments: Sequence[Any], timeout_seconds: float) -> Outcome:
        """The outcome within the limit. What runs past it goes on unheard."""
        if self._calls is None:
            self._calls = queue.SimpleQueue()
            threading.Thread(target=_serve_thread, args=(self._calls,), daemon=True).start()
        answers: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        self._calls.put((function, arguments, answers))
        try:
            return answers.get(timeout=timeout_seconds)
        except queue.Empty:
            self.close()
            return Outcome("timeout")

    def close(self) -> None:
        """Let the thread end after what it is doing."""
        if self._calls is not None:
            self._calls.put(None)
            self._calls = None


def _serve_thread(calls: queue.SimpleQueue[Any]) -> None:
    while (call := calls.get()) is not None:
        function, arguments, answers = call
        answers.put(attempt(function, arguments))


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

    def call_all(self, calls: Sequence[Sequence[Any]], timeout_seconds: float | None) -> list[Outcome]:
        """The outcomes of calls, made as workers come free. A dead worker is replaced, its call tried once more."""
        outcomes: list[Outcome | None] = [None] * len(calls)
        waiting = list(range(len(calls)))[::-1]
        retried: set[int] = set()
        with selectors.DefaultSelector() as selector:
            busy: dict[_Worker, int] = {}
            while waiting or busy:
                while waiting and len(busy) < self._size:
                    worker = self._free(busy)
                    busy[worker] = waiting.pop()
                    worker.send(calls[busy[worker]], timeout_seconds)
                    selector.register(worker.output, selectors.EVENT_READ, worker)
                nearest = min(worker.deadline for worker in busy)
                wait = None if nearest == float("inf") else max(nearest - time.monotonic(), 0.0)
                for key, _ in selector.select(wait):
                    outcome = key.data.receive()
                    if outcome is None:
                        continue
                    index = busy.pop(key.data)
                    selector.unregister(key.fileobj)
                    if outcome.kind == "error" and not key.data.alive:
                        self._discard(key.data)
                        if index not in retried:
                            retried.add(index)
                            waiting.append(index)
                            continue
                    outcomes[index] = outcome
                for worker in [late for late in busy if late.deadline <= time.monotonic()]:
                    outcomes[busy.pop(worker)] = Outcome("timeout")
                    selector.unregister(worker.output)
                    self._discard(worker)
        return [outcome for outcome in outcomes if outcome is not None]

    def close(self) -> None:
        """End all processes."""
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
        worker.kill()
        self._workers.remove(worker)


class _Worker:
    """One process and the pipes to it."""

    def __init__(self, location: PythonLocation, function: str, memory_bytes: int | None) -> None:
        command = [sys.executable, "-c", "from smcdsl.workers import serve; serve()"]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, bufsize=0
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self.output = self._process.stdout
        self._buffer = b""
        self.deadline = float("inf")
        self._loaded = False
        self._post((location, function, memory_bytes))

    @property
    def alive(self) -> bool:
        """Whether the process can take another call."""
        return self._process.poll() is None

    def send(self, arguments: Sequence[Any], timeout_seconds: float | None) -> None:
        """Begin a call. The time to start the process does not count."""
        while not self._loaded and self.alive:
            self._loaded = self.receive() is not None
        self.deadline = float("inf") if timeout_seconds is None else time.monotonic() + timeout_seconds
        self._post(tuple(arguments))

    def receive(self) -> Outcome | None:
        """The outcome, or None if it is not complete yet; a dead process is an error."""
        received = os.read(self.output.fileno(), 1 << 16)
        if not received:
            self._process.wait()
            return Outcome("error", error=f"the worker process ended with status {self._process.returncode}")
        self._buffer += received
        size = int.from_bytes(self._buffer[:_HEADER_BYTES], "little") + _HEADER_BYTES
        if len(self._buffer) < max(size, _HEADER_BYTES):
            return None
        message, self._buffer = self._buffer[_HEADER_BYTES:size], self._buffer[size:]
        outcome = pickle.loads(message)
        assert isinstance(outcome, Outcome)
        return outcome

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()

    def _post(self, message: Any) -> None:
        assert self._process.stdin is not None
        data = pickle.dumps(message)
        try:
            self._process.stdin.write(len(data).to_bytes(_HEADER_BYTES, "little") + data)
        except BrokenPipeError:
            # `receive` will find the process dead and say so.
            return


def serve() -> None:
    """The worker process: load the function, then answer calls until the pipe closes."""
    # Ctrl-C reaches all processes of a terminal; a worker ends without a word.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    answers = os.fdopen(os.dup(1), "wb")
    # What the function prints must not get between the answers.
    os.dup2(2, 1)
    location, name, memory_bytes = _read_message()
    if memory_bytes is not None:
        _limit_memory(memory_bytes)
    loading = attempt(load_function, (location, name))
    _write_message(answers, Outcome("value") if loading.kind == "value" else loading)
    while (arguments := _read_message()) is not None:
        outcome = attempt(loading.value, arguments) if loading.kind == "value" else loading
        try:
            _write_message(answers, outcome)
        except (pickle.PicklingError, TypeError, AttributeError) as error:
            _write_message(answers, Outcome("error", error=f"the result cannot be pickled: {error}"))


def _limit_memory(memory_bytes: int) -> None:
    try:
        import resource
    except ImportError:  # Windows
        return
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, hard))


def _read_message() -> Any:
    header = sys.stdin.buffer.read(_HEADER_BYTES)
    if len(header) < _HEADER_BYTES:
        return None
    return pickle.loads(sys.stdin.buffer.read(int.from_bytes(header, "little")))


def _write_message(stream: Any, message: Any) -> None:
    data = pickle.dumps(message)
    stream.write(len(data).to_bytes(_HEADER_BYTES, "little") + data)
    stream.flush()
