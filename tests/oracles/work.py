"""A limit of work, for inputs that mean harm: calls of functions and memory, which are the same on every machine."""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import repeat
from types import FrameType

MOST_CALLS = 4_000_000
"""Some two seconds, if each call does little."""
MOST_BYTES = 300 * 1024 * 1024


class TooMuchWork(BaseException):
    """Past the limit; not for anybody to catch on the way."""


@contextmanager
def limited_work(most_calls: int = MOST_CALLS, most_bytes: int = MOST_BYTES) -> Iterator[None]:
    """Stop what runs inside after so many calls; fail if it held more memory than that."""
    # A number would be an object made in every call, and tracemalloc looks at each.
    left = repeat(True, most_calls)

    def count(frame: FrameType, event: str, argument: object) -> None:
        if (event == "call" or event == "c_call") and not next(left, False):
            sys.setprofile(None)
            raise TooMuchWork(f"more than {most_calls:,} calls")

    before = sys.getprofile()
    tracemalloc.start(1)
    sys.setprofile(count)
    try:
        yield
    finally:
        sys.setprofile(before)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    if peak > most_bytes:
        raise TooMuchWork(f"{peak:,} bytes")
