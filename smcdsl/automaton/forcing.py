"""Forced text: what every way to go on begins with, for drafts that cost nothing.

Never a reason to narrow a mask: forced text may be cut into tokens in several ways, and the model weighs them all.
A byte is forced at a place where it is the only one that can be read, so the vocabulary does not matter, and what
was found is remembered by place. Where the vocabulary does matter, because limits on tokens are near or because not
all bytes are tokens, the allowed tokens are followed instead.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from smcdsl.automaton import layout
from smcdsl.automaton.layout import ARGUMENT, ASK_CONFIG, DONE, FLAG, FULL
from smcdsl.automaton.machine import Machine
from smcdsl.automaton.memory import i64, njit, set_i64, set_u8
from smcdsl.automaton.reading import read_text
from smcdsl.automaton.walker import TooManyWays

FORCED_BYTES = 1024
"""Forced text ends after so many bytes."""

_MOST_READINGS = 4096
"""Of forced text cut into tokens in more ways than this, what is known by then is given."""
_KEPT = 1 << 16
"""Places whose next byte is remembered; beyond it all are forgotten."""
_STOP = (-1, 0)


@njit(inline="always")
def count_bytes(t: int, place: int, byte: int, text: int, found: int) -> int:
    """Find bytes from `byte` on that can be read at a place, two at most: a code.

    `text` is the address of a byte. The address `found` has 4 int64: how many were found so far, the first of them,
    the place after it; and the byte to go on with after a code other than DONE.
    """
    for candidate in range(byte, 256):
        set_i64(t, FLAG, 0)
        set_i64(t, ARGUMENT, 0)
        set_u8(text, 0, candidate)
        after = read_text(t, place, text, 1, True, True)
        if after < 0 or i64(t, FLAG):
            set_i64(found, 3, candidate)
            return FULL if i64(t, FLAG) else ASK_CONFIG
        if after > 0:
            set_i64(found, 0, i64(found, 0) + 1)
            if i64(found, 0) > 1:
                return DONE
            set_i64(found, 1, candidate)
            set_i64(found, 2, after)
    return DONE


class Forcing:
    """The forced texts of one automaton.

    Args:
        machine: its engine.
        spell: the bytes of a token.
        mask: the mask of a state.
        following_state: the state after a token.
    """

    def __init__(
        self,
        machine: Machine,
        spell: Callable[[int], bytes],
        mask: Callable[[int], NDArray[np.uint32]],
        following_state: Callable[[int, int], int],
    ) -> None:
        self._machine, self._spell, self._mask, self._next = machine, spell, mask, following_state
        self._steps: dict[int, tuple[int, int]] = {}
        self._text, self._found = np.zeros(1, dtype=np.uint8), np.zeros(4, dtype=np.int64)

    def after(self, state: int) -> bytes:
        """The text forced after a state."""
        machine = self._machine
        place, count = machine.place_of(state), machine.count_of(state)
        try:
            if int(machine.pools.table[layout.COUNT_FROM]) <= count <= int(machine.pools.table[layout.COUNT_TO]):
                return self._by_bytes(place, count)
            return self._by_tokens(state)
        except TooManyWays:
            return b""

    def _by_bytes(self, place: int, count: int) -> bytes:
        text = bytearray()
        while len(text) < FORCED_BYTES:
            step = self._steps.get(place)
            if step is None:
                if len(self._steps) >= _KEPT:
                    self._steps.clear()
                step = self._steps[place] = self._step(place, count)
            byte, place = step
            if byte < 0:
                break
            text.append(byte)
        return bytes(text)

    def _step(self, place: int, count: int) -> tuple[int, int]:
        """(the only byte that can be read at a place, the place after it), or `_STOP`."""
        machine, found = self._machine, self._found
        config, _ = machine.parts_of(place)
        if not config or self._is_finished(machine.state(place, count)) or machine.may_end(config):
            return _STOP
        found[:] = 0
        while True:
            code = count_bytes(machine.t, place, int(found[3]), self._text.ctypes.data, found.ctypes.data)
            if code == DONE:
                break
            machine.help(code)
        return (int(found[1]), int(found[2])) if found[0] == 1 else _STOP

    def _is_finished(self, state: int) -> bool:
        return bool(self._machine.pools.get(layout.STATE_DONE)[state])

    def _by_tokens(self, state: int) -> bytes:
        """The same along allowed tokens: all ways to cut the text at once, each a state and what it is ahead."""
        text = bytearray()
        ways = {(state, b"")}
        while len(text) < FORCED_BYTES and len(ways) <= _MOST_READINGS:
            heads = {ahead[0] for _, ahead in ways if ahead}
            read = {way for way in ways if way[1]}
            for here in {here for here, ahead in ways if not ahead}:
                tokens = self._tokens(here)
                if tokens is None:
                    return bytes(text)
                starts = self._machine.pools.get(layout.TEXT_START)[tokens]
                heads.update(np.unique(self._machine.pools.get(layout.TEXT)[starts]).tolist())
                if len(heads) > 1:
                    return bytes(text)
                read.update((self._next(here, token), self._spell(token)) for token in tokens.tolist())
            if len(heads) != 1:
                break
            text.append(heads.pop())
            ways = {(here, ahead[1:]) for here, ahead in read}
        return bytes(text)

    def _tokens(self, state: int) -> NDArray[np.int64] | None:
        """The tokens that may come next; None if the hole has ended or may end."""
        machine = self._machine
        if self._is_finished(state):
            return None
        table, count = machine.pools.table, machine.count_of(state)
        most = int(table[layout.MOST])
        may_end = int(table[layout.LEAST]) <= count and (most < 0 or count <= most)
        if may_end and machine.may_end(machine.parts_of(machine.place_of(state))[0]):
            return None
        return np.flatnonzero(np.unpackbits(self._mask(state).view(np.uint8), bitorder="little")).astype(np.int64)
