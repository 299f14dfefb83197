"""What a key-value cache is told to do, in order; made by `prefix_cache.PrefixRows`, done by a model's session.

A cache has two stores. A *segment* is a stretch of tokens that many rows have in common, stored once: a prompt, or
what all particles descend from. Segments form a tree. A *row* is a particle's own: it continues the segments from the
root down to its base, and holds keys and values from the base's end on, so that position p is in its slot
p - end of its base.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Ints: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True)
class Fill:
    """Compute the keys and values of a new segment, `tokens` from position `start` on; no logits."""

    segment: int
    path: tuple[int, ...]  # the segments it continues, from the root down, as they are by then
    start: int
    tokens: tuple[int, ...]

    @property
    def parent(self) -> int:
        """The segment it continues, or -1."""
        return self.path[-1] if self.path else -1


@dataclass(frozen=True)
class Split:
    """The first `length` positions of a segment become one of their own, `head`, which it then continues."""

    segment: int
    head: int
    length: int


@dataclass(frozen=True)
class Promote:
    """The first `count` slots of a row become a segment that continues its base; then `rows` drop those slots.

    If `segment` is the base itself it grows by them.
    """

    segment: int
    parent: int
    row: int
    count: int
    rows: tuple[int, ...]  # all that go on; the others hold nothing any more


@dataclass(frozen=True)
class Drop:
    """Nothing continues this segment any more: free it."""

    segment: int


@dataclass(frozen=True)
class Copy:
    """Slots `start` up to, not including, `end` of row `source` go to row `target`; both have the same base."""

    source: int
    target: int
    start: int
    end: int


@dataclass(frozen=True)
class Feed:
    """One forward pass over B rows' new tokens, T together, row by row in ascending order.

    All copies come first; no copy reads what another of this feed wrote. Keys and values of a token go to its slot,
    and it attends to its row's segments and to slots up to its own. Two entries of one row write equal values or apart.
    """

    copies: tuple[Copy, ...]
    rows: Ints  # (B,)
    bases: Ints  # (B,) segment that each row continues, or -1
    starts: Ints  # (B,) position of its first token
    slots: Ints  # (B,) where that goes in the row
    counts: Ints  # (B,) tokens, at least one each
    tokens: Ints  # (T,)
    places: Ints  # (A,) which of the T tokens logits are needed after
    asked: Ints  # (A,) whose logits these are: indices into the wanted prefixes, ascending


Operation: TypeAlias = Fill | Split | Promote | Drop | Feed
