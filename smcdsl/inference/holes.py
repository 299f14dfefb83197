"""What the runtime needs of the automaton of a hole."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from smcdsl.log_rows import Allowed, Laws


class Site(Protocol):
    """An occurrence of a boundary in a hole's text, as byte offsets."""

    @property
    def rule(self) -> str:
        """The boundary."""
        ...

    @property
    def start(self) -> int:
        """Where it begins."""
        ...

    @property
    def end(self) -> int:
        """Where it ends."""
        ...


class Automaton(Protocol):
    """What the runtime needs of a `TokenAutomaton`."""

    @property
    def start(self) -> int:
        """The state before the first token."""
        ...

    @property
    def boundaries(self) -> tuple[str, ...]:
        """What the bits that `noticed` sets stand for (`automaton.site.boundary_bit`)."""
        ...

    def pick(self, states: NDArray[np.int64], values: Laws, rows: NDArray[np.int64]) -> Allowed:
        """What each of (N,) states allows of its row, (N,), of `values`, (M, V)."""
        ...

    def advance(self, states: NDArray[np.int64], tokens: NDArray[np.int64]) -> NDArray[np.int64]:
        """(N,) states after one more token."""
        ...

    def finished(self, states: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(N,) whether the hole has ended."""
        ...

    def written(self, states: NDArray[np.int64]) -> NDArray[np.int64]:
        """(N,) bytes of what follows the hole that the model wrote itself."""
        ...

    def noticed(
        self, states: NDArray[np.int64], tokens: NDArray[np.int64], text_before: Callable[[int], bytes]
    ) -> NDArray[np.uint64]:
        """(N,) boundaries of which this token, taken in this state, made a site certain.

        `text_before` tells what the hole's text is before the token of an index, for automata whose states do not.
        """
        ...

    def sites(self, text: bytes, complete: bool) -> tuple[Site, ...]:
        """The sites of a text, in order of their ends; those certain already if it is not complete."""
        ...


Automata = Callable[[str, Mapping[str, Any], bytes | None], Automaton]
"""(hole key, the program's inputs, given text after the hole) -> its automaton."""
