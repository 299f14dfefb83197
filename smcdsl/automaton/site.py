"""Site: one occurrence of a boundary rule, and where in an unfinished text there may be some."""

from __future__ import annotations

from typing import NamedTuple


class Site(NamedTuple):
    """An occurrence of a boundary: bytes `start` up to `end` of the hole's text."""

    rule: str
    start: int
    end: int


def order(site: Site) -> tuple[int, int]:
    """What sites are sorted by: their ends, longer ones after those they contain."""
    return site.end, -site.start


def boundary_bit(number: int) -> int:
    """The bit that stands for a boundary in one word; those beyond the word share its last."""
    return 1 << min(number, 63)


def safe_length(text: bytes, following: bytes | None) -> int:
    """How much of an unfinished hole's text is sure to be the hole's: its end may be part of what follows."""
    if following is None:
        return len(text)
    for length in range(min(len(following) - 1, len(text)), 0, -1):
        if text.endswith(following[:length]):
            return len(text) - length
    return len(text)
