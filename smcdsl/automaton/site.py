"""Site: one occurrence of a boundary rule."""

from __future__ import annotations

from typing import NamedTuple


class Site(NamedTuple):
    """An occurrence of a boundary: bytes `start` up to `end` of the hole's text."""

    rule: str
    start: int
    end: int
