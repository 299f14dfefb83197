"""Which rows of a key-value cache hold which prefixes: the bookkeeping shared by models with a cache.

`PrefixRows` decides what to copy and what to compute, as a list of operations (`models/cache_plan.py`), and never
touches a number; a model's session does what they say. What this buys:

- What several prefixes have in common is computed once and stored once (a segment): the prompt, later the text that
  all particles left by a resampling descend from.
- A step costs one token a prefix. Survivors of a resampling stay where they are; a fork copies only what the row it
  goes to, a free one, does not hold already, and only when it first differs.
- Prefixes that are ancestors of one another (drafted tokens) are one row of one forward pass. A rejected draft costs
  nothing: later tokens are written over it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

import numpy as np

from smcdsl.models.cache_plan import Copy, Drop, Feed, Fill, Ints, Operation, Promote
from smcdsl.models.segments import NONE, Segments, offsets
from smcdsl.prefixes import ROOT, Prefixes

SHARED_AT_LEAST = 4
"""Prefixes that share this many uncached tokens get those computed once, before anything else."""
SEGMENT_AT_LEAST = 32
"""A stretch this long is worth being stored and attended to apart from the rows."""
_FIRST_ROWS, _FIRST_POSITIONS = 8, 128


@dataclass
class _Chain:
    """A prefix to be computed, with those of its ancestors whose logits are wanted too (`asked`, itself included).

    `node` is its deepest ancestor in the cache, in `row` or in `segment` (-1 for neither).
    """

    leaf: int
    node: int = ROOT
    row: int = NONE
    segment: int = NONE
    asked: list[int] = field(default_factory=list)
    again: bool = False  # the row holds it whole, and is only asked for its logits once more


class PrefixRows:
    """The contents of rows and segments, as nodes of the run's `Prefixes`.

    Args:
        max_rows: the most prefixes that one feed computes; there may be twice as many rows.
        shares: whether the model can attend to segments; without, rows hold everything themselves.
    """

    def __init__(self, prefixes: Prefixes, max_rows: int = 1 << 20, shares: bool = True) -> None:
        self.num_rows = 0
        self.num_slots = 0
        self._prefixes = prefixes
        self._max_rows = max_rows
        self._shares = shares
        self._limit = 16
        self._segments = Segments()
        self._nodes = np.full((_FIRST_ROWS, _FIRST_POSITIONS), -1, dtype=np.int64)  # row, position -> prefix
        self._lengths = np.zeros(_FIRST_ROWS, dtype=np.int64)  # positions filled, those of its segments included
        self._bases = np.full(_FIRST_ROWS, NONE, dtype=np.int64)
        # Past this length a row holds drafts only, which nothing has been built on.
        self._settled = np.zeros(_FIRST_ROWS, dtype=np.int64)
        self._used = np.zeros(_FIRST_ROWS, dtype=np.int64)  # time of last use
        self._free: set[int] = set()
        self._home = np.full(1024, NONE, dtype=np.int64)  # prefix -> a row that held it; checked before it is believed
        self._time = 0
        self._waiting: list[Operation] = []

    def operations(self, wanted: Ints) -> Iterator[Operation]:
        """What to do so that the logits after each of the distinct `wanted` prefixes come out.

        The contents are recorded as each operation is handed out.
        """
        yield from self._handed_out()
        self._follow_prefixes()
        feed = self._one_token_each(wanted)
        if feed is not None:
            yield feed
            return
        index_of = {prefix: index for index, prefix in enumerate(wanted.tolist())}
        # The longest first: their ancestors come along.
        left = wanted[np.argsort(self._prefixes.lengths[wanted], kind="stable")].tolist()
        todo = set(left)
        while left:
            chains: list[_Chain] = []
            while left and len(chains) < self._max_rows:
                if (leaf := left.pop()) in todo:
                    chains.append(self._chain(leaf, todo))
            if chains:
                yield from self._compute(chains, index_of)

    def retain(self, prefixes: Ints) -> None:
        """Free the rows and segments that none of these prefixes extends; rows last until they are written over.

        What all prefixes of a segment have in common by now becomes a segment too.
        """
        self._follow_prefixes()
        located = [self._located(_Chain(prefix)) for prefix in prefixes.tolist()]
        found = self._outermost([chain for chain in located if chain.row != NONE])
        needed = {chain.row for chain in found}
        self._free = set(range(self.num_rows)) - needed
        if not self._shares:
            return
        bases = {int(self._bases[row]) for row in needed}
        self._drop(bases | {chain.segment for chain in located if chain.row == NONE})
        for base in bases:
            self._promote(base, [chain for chain in found if self._bases[chain.row] == base])

    def _outermost(self, chains: Sequence[_Chain]) -> list[_Chain]:
        """Those chains in rows that others do not extend: a prompt that is kept beside texts must not part them."""
        lengths = self._prefixes.lengths
        found = [chain for chain in chains if chain.node != chain.leaf]
        whole = [chain for chain in chains if chain.node == chain.leaf]
        for chain in sorted(whole, key=lambda chain: -int(lengths[chain.leaf])):
            rows = [other.row for other in found]
            if not (self._nodes[rows, lengths[chain.leaf] - 1] == chain.leaf).any():
                found.append(chain)
        return found

    def _drop(self, kept: set[int]) -> None:
        """Free all segments but those that these continue, and what rows still had of them."""
        dropped = self._segments.drop(kept - {NONE})
        if dropped:
            for row in np.flatnonzero(np.isin(self._bases[: self.num_rows], dropped)).tolist():
                self._begin(row, NONE)
            self._waiting += [Drop(segment) for segment in dropped]

    def holds(self, prefix: int) -> bool:
        """Whether all of `prefix` is in the cache."""
        self._follow_prefixes()
        return self._holder(prefix) != NONE or self._segments.holding(prefix) != NONE

    def path(self, base: int) -> list[int]:
        """The segments that a row with this base continues, from the root down."""
        return self._segments.path(base)

    def _handed_out(self) -> list[Operation]:
        waiting, self._waiting = self._waiting, []
        return waiting

    def _follow_prefixes(self) -> None:
        """Make room for prefixes made since."""
        size = len(self._prefixes.parents)
        if size > len(self._home):
            self._home = np.concatenate([self._home, np.full(size - len(self._home), NONE, dtype=np.int64)])

    def _one_token_each(self, wanted: Ints) -> Feed | None:
        """The plan where every prefix is the next token of a row of its own; None if that is not so."""
        if not 0 < len(wanted) <= self._max_rows:
            return None
        rows = self._home[self._prefixes.parents[wanted]]
        order = rows.argsort()
        rows, wanted = rows[order], wanted[order]
        parents = self._prefixes.parents[wanted]
        starts = self._prefixes.lengths[parents]
        if rows[0] < 0 or (rows[1:] == rows[:-1]).any() or (self._lengths[rows] != starts).any():
            return None
        if (self._nodes[rows, starts - 1] != parents).any() or (self._home[wanted] != NONE).any():
            return None
        self._time += 1
        self._widen(int(starts.max()) + 1)
        self._nodes[rows, starts] = wanted
        self._lengths[rows] = self._settled[rows] = starts + 1
        self._used[rows] = self._time
        self._home[wanted] = rows
        if self._free:
            self._free -= set(rows.tolist())
        bases = self._bases[rows]
        slots = starts - offsets(self._segments, bases)
        self.num_slots = max(self.num_slots, int(slots.max()) + 1)
        asked, places = np.arange(len(rows)), np.empty_like(order)
        places[order] = asked
        tokens = self._prefixes.tokens[wanted]
        return Feed((), rows, bases, starts, slots, np.ones_like(rows), tokens, places, asked)

    def _chain(self, leaf: int, todo: set[int]) -> _Chain:
        """Locate a prefix; takes the ancestors that are computed on the way out of `todo`."""
        chain = self._located(_Chain(leaf))
        node = leaf
        while True:
            if node in todo:
                todo.discard(node)
                chain.asked.append(node)
            if node in (chain.node, ROOT):
                return chain
            node = int(self._prefixes.parents[node])

    def _located(self, chain: _Chain) -> _Chain:
        """Find the deepest ancestor in the cache."""
        node = chain.leaf
        chain.row = chain.segment = NONE
        while node != ROOT:
            chain.row = self._holder(node)
            if chain.row != NONE:
                break
            chain.segment = self._segments.holding(node)
            if chain.segment != NONE:
                break
            node = int(self._prefixes.parents[node])
        chain.node = node
        chain.again = chain.row != NONE and node == chain.leaf
        return chain

    def _holder(self, prefix: int) -> int:
        """A row that holds `prefix`, one that ends there if possible; -1 if there is none."""
        row = int(self._home[prefix])
        if row == NONE:
            return NONE
        position = int(self._prefixes.lengths[prefix]) - 1
        if self._nodes[row, position] == prefix and self._lengths[row] == position + 1:
            return row
        holders = np.flatnonzero(self._nodes[: self.num_rows, position] == prefix)
        if not len(holders):
            self._home[prefix] = NONE
            return NONE
        return int(holders[np.argmin(self._lengths[holders])])

    def _compute(self, chains: list[_Chain], index_of: dict[int, int]) -> Iterator[Operation]:
        """Stretches that chains share, then the chains."""
        stems = self._stems(chains, index_of)
        if stems:
            yield from self._compute([self._located(_Chain(stem)) for stem in stems], {})
            chains = [self._located(chain) for chain in chains]
        feed = self._feed(chains, index_of)
        yield from self._handed_out()
        if len(feed.rows):
            yield feed

    def _stems(self, chains: Sequence[_Chain], index_of: dict[int, int]) -> list[int]:
        """The deepest prefixes that several chains pass through and nothing holds, where that saves enough."""
        if len(chains) < 2:
            return []
        passing: dict[int, int] = {}
        paths = [self._path(chain.leaf, self._start(chain)) for chain in chains]
        for path in paths:
            for node in path:
                passing[node] = passing.get(node, 0) + 1
        stems: dict[int, None] = {}
        for chain, path in zip(chains, paths):
            # What is asked for needs its last token computed with it.
            shared = list(takewhile(lambda node: passing[node] > 1 and node not in index_of, path))
            if len(shared) >= SHARED_AT_LEAST and shared[-1] != chain.leaf:
                stems[shared[-1]] = None
        return list(stems)

    def _start(self, chain: _Chain) -> int:
        """Position of the first token that has to be computed."""
        held = int(self._prefixes.lengths[chain.node])
        return held - 1 if held and chain.node in chain.asked else held

    def _feed(self, chains: Sequence[_Chain], index_of: dict[int, int]) -> Feed:
        """Give every chain a row, and record what it will hold."""
        self._time += 1
        self._limit = min(2 * self._max_rows, max(self._limit, 2 * len(chains) + 8))
        bases = {chain.leaf: self._base(chain) for chain in chains if chain.row == NONE}
        lengths = self._prefixes.lengths
        # Nothing is left to do for what is in the cache by now and not asked for. Of several chains that continue one
        # row, the one that keeps most of it goes on there.
        chains = sorted(
            (chain for chain in chains if self._first(chain, bases) < lengths[chain.leaf]),
            key=lambda chain: -int(lengths[chain.node]),
        )
        protected = {chain.row for chain in chains} - {NONE}
        claimed = {chain.row for chain in chains if chain.again}
        copies: list[Copy] = []
        placed = []
        for chain in chains:
            row = chain.row if chain.again or self._may_extend(chain, claimed) else NONE
            if row == NONE:
                row = self._vacant(chain, protected)
                if chain.row == NONE:
                    self._begin(row, bases[chain.leaf])
                else:
                    self._fork(chain, row, copies)
                protected.add(row)
            claimed.add(row)
            placed.append((row, chain))
        placed.sort(key=lambda pair: pair[0])
        return self._fed(placed, tuple(copies), index_of)

    def _first(self, chain: _Chain, bases: dict[int, int]) -> int:
        """Position of the first token that is fed to its row."""
        return self._start(chain) if chain.row != NONE else self._segments.end(bases[chain.leaf])

    def _base(self, chain: _Chain) -> int:
        """What a chain continues that no row holds; a long stretch of it becomes a segment."""
        if not self._shares:
            return NONE
        lengths, base = self._prefixes.lengths, NONE
        if chain.segment != NONE:
            # Looked up again: another chain may have cut it meanwhile.
            segment = self._segments.holding(chain.node)
            base = self._segments.base_at(segment, self._start(chain), self._waiting)
        begin = self._segments.end(base)
        end = int(lengths[chain.asked[-1]]) - 1 if chain.asked else int(lengths[chain.leaf])
        if end - begin < SEGMENT_AT_LEAST:
            return base
        path = self._path(chain.leaf, begin)[: end - begin]
        segment = self._segments.add(base, path)
        self._waiting.append(Fill(segment, tuple(self.path(base)), begin, tuple(self._prefixes.tokens[path].tolist())))
        return segment

    def _fed(self, placed: Sequence[tuple[int, _Chain]], copies: tuple[Copy, ...], index_of: dict[int, int]) -> Feed:
        """The feed of chains to their rows."""
        lengths = self._prefixes.lengths
        rows: list[int] = []
        starts: list[int] = []
        counts: list[int] = []
        tokens: list[int] = []
        places: list[int] = []
        asked: list[int] = []
        for row, chain in placed:
            start = self._segments.end(int(self._bases[row])) if chain.row == NONE else self._start(chain)
            path = self._path(chain.leaf, start)
            if not chain.again:
                self._record(row, start, path)
                self._settled[row] = int(lengths[chain.asked[-1]]) if chain.asked else start + len(path)
            self._used[row] = self._time
            for node in chain.asked:
                places.append(len(tokens) + int(lengths[node]) - 1 - start)
                asked.append(index_of[node])
            tokens += self._prefixes.tokens[path].tolist()
            rows.append(row)
            starts.append(start)
            counts.append(len(path))
        self._free.difference_update(rows)
        fed, begun, sizes, written, kept, whose = (
            np.array(numbers, dtype=np.int64) for numbers in (rows, starts, counts, tokens, places, asked)
        )
        order = whose.argsort()
        bases = self._bases[fed]
        slots = begun - offsets(self._segments, bases)
        self.num_slots = max(self.num_slots, int((slots + sizes).max(initial=0)))
        return Feed(copies, fed, bases, begun, slots, sizes, written, kept[order], whose[order])

    def _may_extend(self, chain: _Chain, claimed: set[int]) -> bool:
        """Whether the row that holds the ancestor can be written to in place."""
        row = chain.row
        if row == NONE or row in claimed:
            return False
        return bool(self._prefixes.lengths[chain.node] >= self._settled[row]) or row in self._free

    def _vacant(self, chain: _Chain, protected: set[int]) -> int:
        """A row to write over: a free one that has most in common with the chain, a new one, or the oldest."""
        free = sorted(self._free - protected)
        if free:
            alike = [row for row in free if chain.row != NONE and self._bases[row] == self._bases[chain.row]]
            if not alike:
                return free[0]
            length = int(self._prefixes.lengths[chain.node])
            same = self._nodes[alike, :length] == self._nodes[chain.row, :length]
            return alike[int(np.argmax(np.count_nonzero(same, axis=1)))]
        if self.num_rows < max(self._limit, len(protected) + 1):
            return self._new_row()
        others = [row for row in range(self.num_rows) if row not in protected]
        return min(others, key=lambda row: int(self._used[row]))

    def _new_row(self) -> int:
        if self.num_rows == len(self._nodes):
            self._nodes = np.concatenate([self._nodes, np.full_like(self._nodes, -1)])
            for name in ("_lengths", "_bases", "_settled", "_used"):
                array = getattr(self, name)
                setattr(self, name, np.concatenate([array, np.zeros_like(array)]))
        self.num_rows += 1
        return self.num_rows - 1

    def _begin(self, row: int, base: int) -> None:
        """Make a row hold nothing of its own."""
        self._nodes[row] = -1
        self._bases[row] = base
        self._lengths[row] = self._settled[row] = self._segments.end(base)

    def _fork(self, chain: _Chain, target: int, copies: list[Copy]) -> None:
        """Make `target` hold the ancestor that the chain's row holds."""
        source, length = chain.row, int(self._prefixes.lengths[chain.node])
        base = int(self._bases[source])
        begin = self._segments.end(base)
        shared = 0
        if self._bases[target] == base:
            # Equal nodes have equal ancestors, so what is shared is a beginning.
            shared = int(np.count_nonzero(self._nodes[target, begin:length] == self._nodes[source, begin:length]))
        if shared < length - begin:
            copies.append(Copy(source, target, shared, length - begin))
        self._nodes[target] = -1
        self._nodes[target, begin:length] = self._nodes[source, begin:length]
        self._bases[target] = base
        self._lengths[target] = length

    def _record(self, row: int, start: int, path: list[int]) -> None:
        end = start + len(path)
        self._widen(end)
        self._nodes[row, start:end] = path
        self._nodes[row, end:] = -1
        self._lengths[row] = end
        self._home[path] = row

    def _widen(self, length: int) -> None:
        """Make room to record rows of that length."""
        width = self._nodes.shape[1]
        if length > width:
            more = max(length - width, width)
            self._nodes = np.pad(self._nodes, ((0, 0), (0, more)), constant_values=-1)

    def _promote(self, base: int, chains: Sequence[_Chain]) -> None:
        """Make a segment of what prefixes have in common that continue `base` in rows, if it is long enough."""
        lengths, begin = self._prefixes.lengths, self._segments.end(base)
        common = self._common([chain.leaf for chain in chains])
        end = min(int(lengths[common]) - 1, *(int(lengths[chain.node]) for chain in chains))
        if end - begin < SEGMENT_AT_LEAST:
            return
        rows = sorted({chain.row for chain in chains})
        path = self._nodes[rows[0], begin:end].tolist()
        for row in np.flatnonzero(self._bases[: self.num_rows] == base).tolist():
            if row not in rows:
                self._begin(row, NONE)
        if base != NONE and self._segments.is_leaf(base):
            segment = base
            self._segments.grow(base, path)
        else:
            segment = self._segments.add(base, path)
        self._nodes[rows, begin:end] = -1
        self._bases[rows] = segment
        parent = self._segments.parents[segment]
        self._waiting.append(Promote(segment, parent, rows[0], end - begin, tuple(rows)))

    def _common(self, prefixes: Sequence[int]) -> int:
        """The deepest common ancestor."""
        lengths, parents = self._prefixes.lengths, self._prefixes.parents
        common, *others = prefixes
        for other in others:
            while common != other:
                if lengths[common] >= lengths[other]:
                    common = int(parents[common])
                else:
                    other = int(parents[other])
        return common

    def _path(self, prefix: int, start: int) -> list[int]:
        """The ancestors of `prefix` longer than `start`, itself included, shortest first."""
        path = []
        while self._prefixes.lengths[prefix] > start:
            path.append(prefix)
            prefix = int(self._prefixes.parents[prefix])
        return path[::-1]
