"""A model that counts what runs ask of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from smcdsl.protocols import next_law


@dataclass
class Counts:
    """Passes, their rows, which are distinct prefixes, and seconds of the first pass of each session."""

    passes: int = 0
    rows: int = 0
    prompt_wall_seconds: float = 0.0
    prompt_cpu_seconds: float = 0.0


class Counting:
    """A model whose sessions count in `counts`."""

    def __init__(self, model: Any, counts: Any = None) -> None:
        self._model = model
        self.counts = Counts() if counts is None else counts

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def start(self, prefixes: Any) -> Any:
        """A session that counts."""
        return _CountingSession(self._model.start(prefixes), self.counts)


class _CountingSession:
    def __init__(self, session: Any, counts: Counts) -> None:
        self._session, self._counts = session, counts
        self._is_first = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def next_logprobs(self, prefixes: Any) -> Any:
        return self._counted(self._session.next_logprobs, prefixes)

    def next_law(self, prefixes: Any) -> Any:
        return self._counted(partial(next_law, self._session), prefixes)

    def _counted(self, ask: Callable[[Any], Any], prefixes: Any) -> Any:
        wall, cpu = time.perf_counter(), time.process_time()
        rows = ask(prefixes)
        if self._is_first:
            self._is_first = False
            self._counts.prompt_wall_seconds += time.perf_counter() - wall
            self._counts.prompt_cpu_seconds += time.process_time() - cpu
        self._counts.passes += 1
        self._counts.rows += len(prefixes)
        return rows
