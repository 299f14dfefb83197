"""The process in which an engine runs queries: started when first needed, killed and replaced when it must be.

One process an engine. A query that outlasts its limit, or takes the process down, has failed; the next query finds
a new process. A process that cannot answer anything at all is no query's fault and raises.
"""

from __future__ import annotations

import atexit
import os
import threading
from typing import Any

from smcdsl.potentials._sql_limits import STOPPED

from smcdsl.program.types import PythonLocation
from smcdsl.workers import ProcessPool

KILLED = "it ended the process that ran it"


class EngineFailed(RuntimeError):
    """The engine's process cannot be started, or the engine itself has a mistake."""


class Stopped(Exception):
    """The query ran past its time, or took the process down."""


class Engine:
    """The process behind one function of one module. Thread-safe: one call at a time.

    Args:
        module: the module that has the function, and `ready`, which answers anything.
        seconds: the longest a call may take; then the process is killed.
        memory_bytes: the most address space of the process.
    """

    def __init__(self, module: str, seconds: float, memory_bytes: int) -> None:
        self._module = module
        self._seconds = seconds
        self._memory_bytes = memory_bytes
        self._lock = threading.Lock()
        self._pool: ProcessPool | None = None
        self._owner = 0
        self.generation = 0
        """Grows whenever a process may have been replaced, so that what it was told before is forgotten."""

    def call(self, *arguments: Any, seconds: float | None = None) -> Any:
        """What the function returns.

        Args:
            seconds: the limit of this call, if it is another.

        Raises:
            Stopped: the call took too long, or the process died of it, twice.
            EngineFailed: the function raised, or the process cannot be had.
        """
        with self._lock:
            try:
                outcome = self._running().call_all([arguments], seconds or self._seconds)[0]
            except BaseException:  # such as Ctrl-C: an answer to this call must not meet the next one
                self.close()
                raise
            if outcome.kind == "value":
                return outcome.value
            self.generation += 1
            if outcome.kind == "timeout":
                raise Stopped(STOPPED)
            if not outcome.file and self._answers():
                raise Stopped(KILLED)
        raise EngineFailed(f"the process that runs queries failed: {outcome.error}")

    def close(self) -> None:
        """End the process, if this process started it."""
        pool, self._pool = self._pool, None
        if pool is not None and self._owner == os.getpid():
            pool.close()

    def _running(self) -> ProcessPool:
        if self._pool is None or self._owner != os.getpid():  # a fork must not use its parent's pipes
            location = PythonLocation("run", module=self._module)
            self._pool, self._owner = ProcessPool(location, "run", 1, self._memory_bytes), os.getpid()
            self.generation += 1
            atexit.register(self.close)
        return self._pool

    def _answers(self) -> bool:
        """Whether a process takes calls at all, so that it is the last call that killed one."""
        probe = ProcessPool(PythonLocation("ready", module=__name__), "ready", 1, self._memory_bytes)
        try:
            return probe.call_all([()], None)[0].kind == "value"
        finally:
            probe.close()


def ready() -> bool:
    """Answer: the process is there."""
    return True


_confined = False


def confine() -> None:
    """Give up, in the process that runs queries, what no query needs: writing files, dumping memory."""
    global _confined
    if _confined:
        return
    _confined = True
    try:
        import resource
    except ImportError:  # Windows
        return
    for limit in (resource.RLIMIT_FSIZE, resource.RLIMIT_CORE):
        resource.setrlimit(limit, (0, 0))
