"""Python's collector of cycles, kept out of the way of work that makes many objects which last."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


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
