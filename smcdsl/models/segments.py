"""The tree of segments: which stretches of which prefixes a cache stores once for all rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from smcdsl.models.cache_plan import Ints, Operation, Split

NONE = -1
SPLIT_AT_LEAST = 16
"""A segment is cut where a prefix leaves it only if the part before is this long; a shorter one is computed again."""


class Segments:
    """Which prefixes end in which segment. Segments are never freed within a run: they are few, and stored once."""

    def __init__(self) -> None:
        self.parents: list[int] = []
        self.starts: list[int] = []
        self.ends: list[int] = []
        self._nodes: list[list[int]] = []  # of each segment, the prefixes that end at its positions
        self._of: dict[int, int] = {}

    def holding(self, prefix: int) -> int:
        """The segment in which a prefix ends, or -1."""
        return self._of.get(prefix, NONE)

    def end(self, segment: int) -> int:
        """The position after its last token; 0 for no segment."""
        return 0 if segment == NONE else self.ends[segment]

    def add(self, parent: int, nodes: Sequence[int]) -> int:
        """A new segment whose positions are those of `nodes`, which continue `parent`."""
        segment = len(self.ends)
        self.parents.append(parent)
        self.starts.append(self.end(parent))
        self.ends.append(self.end(parent) + len(nodes))
        self._nodes.append(list(nodes))
        self._of.update(dict.fromkeys(nodes, segment))
        return segment

    def grow(self, segment: int, nodes: Sequence[int]) -> None:
        """More positions at the end of a segment that no other continues."""
        self.ends[segment] += len(nodes)
        self._nodes[segment] += nodes
        self._of.update(dict.fromkeys(nodes, segment))

    def is_leaf(self, segment: int) -> bool:
        """Whether no other segment continues it."""
        return segment not in self.parents

    def base_at(self, segment: int, length: int, operations: list[Operation]) -> int:
        """The segment that ends at position `length` or little before, on the way to `segment`; cut if need be."""
        if length >= self.ends[segment]:
            return segment
        inside = length - self.starts[segment]
        if inside < SPLIT_AT_LEAST:
            return self.parents[segment]
        head = len(self.ends)
        self.parents.append(self.parents[segment])
        self.starts.append(self.starts[segment])
        self.ends.append(length)
        self._nodes.append(self._nodes[segment][:inside])
        self._of.update(dict.fromkeys(self._nodes[head], head))
        self.parents[segment], self.starts[segment] = head, length
        del self._nodes[segment][:inside]
        operations.append(Split(segment, head, inside))
        return head

    def path(self, segment: int) -> list[int]:
        """The segments from the root down to this one."""
        found = []
        while segment != NONE:
            found.append(segment)
            segment = self.parents[segment]
        return found[::-1]


def offsets(segments: Segments, bases: Ints) -> Ints:
    """(n,) where rows with these bases begin."""
    ends = np.array([*segments.ends, 0], dtype=np.int64)
    return ends[bases]
