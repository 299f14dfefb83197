"""The owner's side of the jail's servers: a few processes, each with one check at a time.

What a program does is an answer, whatever it does. Only the jail's own failures are exceptions: a server that dies is
started again and its check made once more; a second death, or a jail that cannot be closed, raises `JailError`.
"""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import time
from collections.abc import Collection, Sequence
from typing import Any

from smcdsl.potentials import _jail_launch

_HEADER_BYTES = 8
_START_SECONDS, _GRACE_SECONDS = 120.0, 30.0


class JailError(RuntimeError):
    """The jail itself failed; nothing is known of the program."""


class JailServers:
    """Servers that have the same modules imported.

    Args:
        layers: what the servers are closed with, see `_jail_launch.start`.
        warm: modules that are imported before programs run.
        size: the most servers.
        hidden: layers to leave out, see `_jail_server.serve`.
    """

    def __init__(
        self, layers: Collection[str], warm: Sequence[str] = (), size: int = 1, hidden: Collection[str] = ()
    ) -> None:
        self._start = (tuple(layers), tuple(warm), tuple(hidden))
        self._size = size
        self._servers: list[_Server] = []

    def run_all(self, checks: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """The servers' answers to messages, in order.

        Raises:
            JailError: a server cannot be started, or died twice on one check, or could not lock a program in.
        """
        answers: list[dict[str, Any]] = [{} for _ in checks]
        waiting = list(range(len(checks)))[::-1]
        retried: set[int] = set()
        busy: dict[_Server, int] = {}
        with selectors.DefaultSelector() as selector:
            try:
                while waiting or busy:
                    while waiting and len(busy) < self._size:
                        server = self._free(busy)
                        busy[server] = waiting.pop()
                        server.post(checks[busy[server]])
                        server.deadline = time.monotonic() + checks[busy[server]]["wall_seconds"] + _GRACE_SECONDS
                        selector.register(server.output, selectors.EVENT_READ, server)
                    for server in self._ready(selector, busy):
                        answer = server.receive()
                        if answer is None:
                            continue
                        index = busy.pop(server)
                        selector.unregister(server.output)
                        if answer["end"] == "dead":
                            self._discard(server)
                            if index in retried:
                                raise JailError(f"the jail's server died twice on a program: {answer['message']}")
                            retried.add(index)
                            waiting.append(index)
                        elif answer["end"] == "broken":
                            raise JailError(f"the jail could not be closed: {answer['message']}")
                        else:
                            answers[index] = answer
            except BaseException:
                # Their answers would be taken for those of later checks.
                for server in busy:
                    self._discard(server)
                raise
        return answers

    def close(self) -> None:
        """End all servers."""
        for server in list(self._servers):
            self._discard(server)

    def _ready(self, selector: selectors.BaseSelector, busy: dict[_Server, int]) -> list[_Server]:
        nearest = min(server.deadline for server in busy)
        ready = [key.data for key, _ in selector.select(max(nearest - time.monotonic(), 0.0))]
        for server in busy:
            if server not in ready and server.deadline <= time.monotonic():
                server.kill()
                ready.append(server)
        return ready

    def _free(self, busy: dict[_Server, int]) -> _Server:
        for server in self._servers:
            if server not in busy:
                return server
        server = _Server(*self._start)
        self._servers.append(server)
        return server

    def _discard(self, server: _Server) -> None:
        server.close()
        self._servers.remove(server)


class _Server:
    """One process and the pipes to it."""

    def __init__(self, layers: tuple[str, ...], warm: tuple[str, ...], hidden: tuple[str, ...]) -> None:
        self._process: subprocess.Popen[bytes] = _jail_launch.start(layers, hidden)
        assert self._process.stdout is not None
        self.output = self._process.stdout
        self._buffer = b""
        self.deadline = time.monotonic() + _START_SECONDS
        self._expect("open")
        if warm:
            self.post({"warm": list(warm)})
            self.deadline = time.monotonic() + _START_SECONDS
            self._expect("warm")

    def _expect(self, end: str) -> None:
        """Wait for an answer of the start."""
        answer = None
        with selectors.DefaultSelector() as selector:
            selector.register(self.output, selectors.EVENT_READ)
            while answer is None:
                if not selector.select(max(self.deadline - time.monotonic(), 0.0)):
                    self.close()
                    raise JailError("the jail's server did not start in time")
                answer = self.receive()
        if answer["end"] != end:
            self.close()
            raise JailError(f"the jail's server does not start: {answer['message']}")

    def post(self, message: dict[str, Any]) -> None:
        """Send a message."""
        body = json.dumps(message).encode()
        data = memoryview(len(body).to_bytes(_HEADER_BYTES, "little") + body)
        assert self._process.stdin is not None
        try:
            while data:
                data = data[os.write(self._process.stdin.fileno(), data) :]
        except BrokenPipeError:
            # `receive` finds the process dead and says so.
            return

    def receive(self) -> dict[str, Any] | None:
        """The answer, or None if it is not complete yet; of a dead process `dead`."""
        received = os.read(self.output.fileno(), 1 << 16)
        if not received:
            return {"end": "dead", "message": self._last_words()}
        self._buffer += received
        size = int.from_bytes(self._buffer[:_HEADER_BYTES], "little") + _HEADER_BYTES
        if len(self._buffer) < size:
            return None
        message, self._buffer = self._buffer[_HEADER_BYTES:size], self._buffer[size:]
        answer = json.loads(message)
        assert isinstance(answer, dict), "the server answers in objects"
        return answer

    def _last_words(self) -> str:
        self._process.wait()
        assert self._process.stderr is not None
        said = self._process.stderr.read().decode(errors="replace").strip().splitlines()
        return said[-1] if said else f"it ended with status {self._process.returncode}"

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """End the process and close the pipes."""
        self.kill()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            assert pipe is not None
            pipe.close()
