"""An engine for tests of the process behind one: what `run` is told, it does."""

from __future__ import annotations

import os
import signal
import time


def run(what: str) -> object:
    """Return the process's number, or sleep, or die, or raise."""
    if what == "sleep":
        time.sleep(60)
    if what == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "raise":
        raise KeyError("a mistake")
    if what == "hoard":
        return len(bytearray(4_000_000_000))
    return os.getpid()
