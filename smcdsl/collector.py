"""Python's collector of cycles, kept out of the way of work that makes many objects which last."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_FEWER = 10
"""Of what would be full collections, one takes place while they are eased."""


@contextmanager
def collector_paused() -> Iterator[None]:
    """No collection inside, unless somebody else asks for one.

    Each would look at all objects of the process, and free next to nothing: a ninth of the time that reading and
    compiling the grammar of Python took. Of several threads inside, the first one in turns it on again when it leaves.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@contextmanager
def collector_eased() -> Iterator[None]:
    """Fewer full collections inside, in all threads; others go on as they were.

    A full one looks at all objects of the process, of which libraries for models have half a million: 0.3 s, in which
    nothing else is done. Runs leave next to no cycles that only it would find; what potentials leave is found later.
    """
    _EASED.enter()
    try:
        yield
    finally:
        _EASED.leave()


class _Eased:
    """How many are inside, and the thresholds from before the first one came."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._before = self._within = gc.get_threshold()

    def enter(self) -> None:
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                young, middle, old = self._before = gc.get_threshold()
                self._within = young, middle, _FEWER * old
                gc.set_threshold(*self._within)

    def leave(self) -> None:
        with self._lock:
            self._inside -= 1
            # Somebody else may have had other plans meanwhile.
            if not self._inside and gc.get_threshold() == self._within:
                gc.set_threshold(*self._before)


_EASED = _Eased()
