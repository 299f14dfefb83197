"""Beginnings: what reading a text came to, for texts that go on from there."""

from __future__ import annotations

from typing import Generic, TypeVar

_LOOK_BACK = 64
"""Bytes by which a text may be longer than one that was read before, if it is to be read from there."""
_MOST_READ = 4096
"""Beginnings after which those not asked for since the last so many are forgotten."""

Known = TypeVar("Known")


class Beginnings(Generic[Known]):
    """Beginnings of texts and what is known of each."""

    def __init__(self) -> None:
        self._new: dict[bytes, Known] = {}
        self._old: dict[bytes, Known] = {}

    def longest(self, text: bytes) -> tuple[Known, int] | None:
        """What is known of the longest beginning of a text that was read, and its length."""
        for length in range(len(text), max(len(text) - _LOOK_BACK, 0), -1):
            beginning = text[:length]
            known = self._new.get(beginning)
            if known is None and (known := self._old.get(beginning)) is not None:
                self.keep(beginning, known)
            if known is not None:
                return known, length
        return None

    def keep(self, text: bytes, known: Known) -> None:
        """Remember a beginning."""
        if len(self._new) >= _MOST_READ:
            self._new, self._old = {}, self._new
        self._new[text] = known

    def forget(self) -> None:
        """Remember nothing."""
        self._new, self._old = {}, {}
