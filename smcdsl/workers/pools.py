"""Pools of worker processes that outlive a run."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path

from smcdsl.program.types import PythonLocation
from smcdsl.workers.pool import ProcessPool


class WorkerPools:
    """Worker processes by their function, kept from run to run until closed; a changed file gets new ones."""

    def __init__(self) -> None:
        self._pools: dict[Hashable, ProcessPool] = {}

    def pool(self, location: PythonLocation, function: str, size: int) -> ProcessPool:
        """The processes that hold a function."""
        stamp = Path(location.path).stat().st_mtime_ns if location.path and Path(location.path).exists() else 0
        key = (location.module, location.path, function, size, stamp)
        if key not in self._pools:
            self._pools[key] = ProcessPool(location, function, size)
        return self._pools[key]

    def close(self) -> None:
        """End all processes."""
        for pool in self._pools.values():
            pool.close()
        self._pools.clear()

    def __enter__(self) -> WorkerPools:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
