"""CPU time inside a torch module's forward passes. Imports nothing of smcdsl: a peer's interpreter uses it too."""

from __future__ import annotations

import functools
import time
from typing import Any


class ForwardClock:
    """Counts seconds of the calling thread and calls; what is called from inside a call is part of it.

    The parts of a model are watched as well, for callers that use them without the whole. Methods are wrapped, as
    torch's hooks would take a slower way to them whose time counts as outside.
    """

    def __init__(self, model: Any) -> None:
        self.seconds = 0.0
        self.passes = 0
        self._inside = False
        for module in (model, *model.children()):
            module.forward = self._clocked(module.forward)

    def reset(self) -> None:
        """Begin anew."""
        self.seconds, self.passes = 0.0, 0

    def _clocked(self, forward: Any) -> Any:
        @functools.wraps(forward)
        def clocked(*given: Any, **named: Any) -> Any:
            if self._inside:
                return forward(*given, **named)
            self._inside, began = True, time.thread_time()
            try:
                return forward(*given, **named)
            finally:
                self.seconds += time.thread_time() - began
                self.passes += 1
                self._inside = False

        return clocked
