"""Which rows of a key-value cache hold which prefixes: the bookkeeping shared by models with a cache.

A cache is a slab: per layer (rows, heads, positions, width), written in place. A row holds the keys and
values of one token sequence, so it holds a prefix together with all its ancestors. `PrefixRows` decides
what to copy and what to compute, and never touches a number; a model does, in this order, for each step:

    rows = PrefixRows(prefixes)
    for step in rows.steps(wanted):
        make room for rows.num_rows rows and rows.num_positions positions
        for copy in step.copies:
            slab[:, copy.target, :, copy.start : copy.end] = slab[:, copy.source, :, copy.start : copy.end]
        feed step.tokens[i] to row step.rows[i] from position step.starts[i] on, all i in one batch:
            write keys and values at the tokens' positions, attend to positions up to one's own
        keep the logits after the last token of i for wanted[step.asked[i]], unless that is -1

What this buys: a prompt is computed once, a step costs one token a prefix, survivors of a resampling stay
where they are, and a fork copies only what the row it goes to does not hold already.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smcdsl.prefixes import ROOT, Prefixes

SHARED_AT_LEAST = 4
"""Prefixes that share this many uncached tokens get those computed once, in a step of their own."""


@dataclass(frozen=True)
class Copy:
    """Positions `start` up to, not including, `end` of row `source` go to row `target`."""

    source: int
    target: int
    start: int
    end: int


@dataclass(frozen=True)
class Step:
    """One batch of B feeds. All copies come first; no copy reads what another of the step wrote."""

    copies: tuple[Copy, ...]
    rows: NDArray[np.int64]  # (B,) row each feed writes to; two feeds of one row write equal values or apart
    starts: NDArray[np.int64]  # (B,) position of its first token
    tokens: tuple[tuple[int, ...], ...]  # B sequences, each of at least one token
    asked: NDArray[np.int64]  # (B,) index into the wanted prefixes, -1 where no logits are needed


@dataclass(frozen=True)
class _Source:
    """The deepest ancestor of a prefix that a row holds; row -1 and length 0 if none does."""

    row: int
    length: int


class PrefixRows:
    """The contents of the rows, as nodes of the run's `Prefixes`."""

    def __init__(self, prefixes: Prefixes, max_rows: int = 1 << 20) -> None:
        self.num_rows = 0
        self.num_positions = 0
        self._prefixes = prefixes
        self._max_rows = max_rows
        self._limit = 16
        self._nodes = np.full((8, 128), -1, dtype=np.int64)  # row, position -> prefix that ends there
        self._lengths = np.zeros(8, dtype=np.int64)
        self._used = np.zeros(8, dtype=np.int64)  # time of last use
        self._free: set[int] = set()
        self._home: dict[int, int] = {}  # prefix -> a row that held it; checked before it is believed
        self._time = 0

    def steps(self, wanted: NDArray[np.int64]) -> Iterator[Step]:
        """What to do so that the logits after each of the distinct `wanted` prefixes come out.

        At most `max_rows` prefixes at a time, which may take up to twice as many rows. The contents are
        recorded as each step is handed out.
        """
        if len(wanted) > self._max_rows:
            raise ValueError(f"{len(wanted)} prefixes for {self._max_rows} rows; ask for fewer at a time")
        self._limit = min(self._max_rows, max(self._limit, 2 * len(wanted) + 8))
        stems = self._stems(wanted)
        if stems:
            for step in self.steps(np.array(stems, dtype=np.int64)):
                yield Step(step.copies, step.rows, step.starts, step.tokens, np.full_like(step.asked, -1))
        yield self._step(wanted)

    def retain(self, prefixes: NDArray[np.int64]) -> None:
        """Free the rows that none of these prefixes extends; their contents last until they are written over."""
        needed = {self._source(int(prefix)).row for prefix in prefixes}
        self._free = set(range(self.num_rows)) - needed

    def holds(self, prefix: int) -> bool:
        """Whether some row holds all of `prefix`."""
        return self._holder(prefix) >= 0

    def _step(self, wanted: NDArray[np.int64]) -> Step:
        self._time += 1
        sources = [self._source(int(prefix)) for prefix in wanted]
        lengths = self._prefixes.lengths
        repeated = [source.length == lengths[prefix] for prefix, source in zip(wanted.tolist(), sources)]
        protected = {source.row for source in sources}
        claimed = {source.row for source, again in zip(sources, repeated) if again}
        copies: list[Copy] = []
        rows: list[int] = []
        for source, again in zip(sources, repeated):
            row = source.row if again or self._may_extend(source, claimed) else -1
            if row < 0:
                row = self._vacant(source, protected)
                self._copy(source, row, copies)
                protected.add(row)
            claimed.add(row)
            rows.append(row)
        starts = [source.length - again for source, again in zip(sources, repeated)]
        tokens = []
        for prefix, row, start, again in zip(wanted.tolist(), rows, starts, repeated):
            path = self._path(prefix, start)
            if not again:
                self._record(row, start, path)
            self._used[row] = self._time
            tokens.append(tuple(int(self._prefixes.tokens[node]) for node in path))
        self._free -= set(rows)
        return Step(
            tuple(copies),
            np.array(rows, dtype=np.int64),
            np.array(starts, dtype=np.int64),
            tuple(tokens),
            np.arange(len(wanted)),
        )

    def _may_extend(self, source: _Source, claimed: set[int]) -> bool:
        """Whether the row that holds the ancestor can be written to in place."""
        if source.row < 0 or source.row in claimed:
            return False
        return source.length == self._lengths[source.row] or source.row in self._free

    def _vacant(self, source: _Source, protected: set[int]) -> int:
        """A row to write over: a free one that has most in common with the source, a new one, or the oldest."""
        free = [row for row in self._free if row not in protected]
        if free:
            if source.row < 0:
                return free[0]
            same = self._nodes[free, : source.length] == self._nodes[source.row, : source.length]
            return free[int(np.argmax(np.count_nonzero(same, axis=1)))]
        if self.num_rows < max(self._limit, len(protected) + 1):
            return self._new_row()
        others = [row for row in range(self.num_rows) if row not in protected]
        return min(others, key=lambda row: int(self._used[row]))

    def _new_row(self) -> int:
        if self.num_rows == len(self._nodes):
            self._nodes = np.concatenate([self._nodes, np.full_like(self._nodes, -1)])
            self._lengths = np.concatenate([self._lengths, np.zeros_like(self._lengths)])
            self._used = np.concatenate([self._used, np.zeros_like(self._used)])
        self.num_rows += 1
        return self.num_rows - 1

    def _copy(self, source: _Source, target: int, copies: list[Copy]) -> None:
        """Make `target` hold the ancestor that the source row holds."""
        length = source.length
        if length:
            same = self._nodes[target, :length] == self._nodes[source.row, :length]
            # Equal nodes have equal ancestors, so what is shared is a beginning.
            shared = int(np.count_nonzero(same & (np.arange(length) < self._lengths[target])))
            if shared < length:
                copies.append(Copy(source.row, target, shared, length))
            self._nodes[target, :length] = self._nodes[source.row, :length]
        self._lengths[target] = length

    def _record(self, row: int, start: int, path: list[int]) -> None:
        end = start + len(path)
        if end > self._nodes.shape[1]:
            wider = np.full((len(self._nodes), max(end, 2 * self._nodes.shape[1])), -1, dtype=np.int64)
            wider[:, : self._nodes.shape[1]] = self._nodes
            self._nodes = wider
        self._nodes[row, start:end] = path
        self._nodes[row, end:] = -1
        self._lengths[row] = end
        self.num_positions = max(self.num_positions, end)
        for node in path:
            self._home[node] = row

    def _path(self, prefix: int, start: int) -> list[int]:
        """The ancestors of `prefix` longer than `start`, itself included, shortest first."""
        path = []
        while self._prefixes.lengths[prefix] > start:
            path.append(prefix)
            prefix = int(self._prefixes.parents[prefix])
        return path[::-1]

    def _source(self, prefix: int) -> _Source:
        while prefix != ROOT:
            row = self._holder(prefix)
            if row >= 0:
                return _Source(row, int(self._prefixes.lengths[prefix]))
            prefix = int(self._prefixes.parents[prefix])
        return _Source(-1, 0)

    def _holder(self, prefix: int) -> int:
        """A row that holds `prefix`, one that ends there if possible; -1 if there is none."""
        row = self._home.get(prefix, -1)
        if row < 0:
            return -1
        position = int(self._prefixes.lengths[prefix]) - 1
        if self._nodes[row, position] == prefix and self._lengths[row] == position + 1:
            return row
        holders = np.flatnonzero(self._nodes[: self.num_rows, position] == prefix)
        if not len(holders):
            del self._home[prefix]
            return -1
        return int(holders[np.argmin(self._lengths[holders])])

    def _stems(self, wanted: NDArray[np.int64]) -> list[int]:
        """The deepest prefixes that several wanted ones share and no row holds, where that saves enough."""
        if len(wanted) < 2:
            return []
        passing: dict[int, int] = {}
        for prefix in wanted.tolist():
            for node in self._path(prefix, self._source(prefix).length):
                passing[node] = passing.get(node, 0) + 1
        if not passing or max(passing.values()) < 2:
            return []
        stems: dict[int, None] = {}
        for prefix in wanted.tolist():
            if passing.get(prefix, 0) > 1:  # itself the stem of another
                continue
            start = self._source(prefix).length
            shared = [node for node in self._path(prefix, start) if passing[node] > 1]
            if len(shared) >= SHARED_AT_LEAST:
                stems[shared[-1]] = None
        return list(stems)
