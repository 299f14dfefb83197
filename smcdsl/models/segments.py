"""The tree of segments: which stretches of which prefixes a cache stores once for all rows."""

from __future__ import annotations

from collections.abc import Sequence, Set

import numpy as np

from smcdsl.models.cache_plan import Ints, Operation, Split

NONE = -1
SPLIT_AT_LEAST = 16
"""A segment is cut where a prefix leaves it only if the part before is this long; a shorter one is computed again."""


class Segments:
    """Which prefixes end in which segment."""

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

    def drop(self, kept: Set[int]) -> list[int]:
        """Empty all segments but these and those that they continue; which are emptied now."""
        needed = {segment for last in kept for segment in self.path(last)}
        dropped = [segment for segment, nodes in enumerate(self._nodes) if nodes and segment not in needed]
        for segment in dropped:
            for node in self._nodes[segment]:
                # Prefixes may end in two segments, of which the later one is remembered.
                if self._of.get(node) == segment:
                    del self._of[node]
            self._nodes[segment] = []
            self.parents[segment] = NONE
        return dropped

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
