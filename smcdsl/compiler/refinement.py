"""Partition refinement: which states of an automaton no text tells apart.

States are split by hashed rows; work is proportional to the edges times the logarithm of the states. Long
narrow automata, such as those of counted repetitions, take as many rounds as they are deep, so rounds in
which little happens are done state by state.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

NARROW, BROAD = 16, 512
"""So few states are handled one by one; so many no longer."""


def forward_edges(table: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Targets of edges sorted by source, and (S + 1,) where each source's targets start. No edges to 0."""
    sources, columns = np.nonzero(table)
    pairs = distinct(sources * len(table) + table[sources, columns])
    return pairs % len(table), np.searchsorted(pairs, np.arange(len(table) + 1) * len(table))


def reverse_edges(table: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Sources of edges sorted by target, and (S + 1,) where each target's sources start. No edges to 0."""
    sources, columns = np.nonzero(table)
    targets = table[sources, columns].astype(np.int64)
    if table.shape[1] > 1 and len(sources):
        pairs = distinct(targets * len(table) + sources)
        targets, sources = pairs // len(table), pairs % len(table)
    return sources, np.searchsorted(targets, np.arange(len(table) + 1))


def distinct(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """The different values, ascending. Sorting beats the hashing of `np.unique` on large arrays of integers."""
    ordered = np.sort(values)
    first = np.ones(len(ordered), bool)
    first[1:] = ordered[1:] != ordered[:-1]
    return ordered[first]


def distinct_columns(table: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(one column of each kind, the kind of every column)."""
    rows = np.ascontiguousarray(table.T)
    packed = rows.view(np.dtype((np.void, rows.shape[1] * rows.itemsize))).reshape(-1)
    _, first, inverse = np.unique(packed, return_index=True, return_inverse=True)
    return first, inverse.reshape(-1)


def spread(
    marked: NDArray[np.bool_], frontier: NDArray[np.int64], after: NDArray[np.int64], offsets: NDArray[np.int64]
) -> None:
    """Mark what edges reach from the frontier, which is marked; a narrow one goes on state by state.

    Args:
        after, offsets: as `forward_edges` or `reverse_edges` give them.
    """
    lists: tuple[list[int], list[int]] | None = None
    while len(frontier):
        if len(frontier) < NARROW:
            lists = lists or (after.tolist(), offsets.tolist())
            frontier = _spread_narrowly(marked, frontier, *lists)
            continue
        reached = neighbours(after, offsets, frontier)
        reached = distinct(reached[~marked[reached]])
        marked[reached] = True
        frontier = reached


def _spread_narrowly(
    marked: NDArray[np.bool_], frontier: NDArray[np.int64], after: list[int], offsets: list[int]
) -> NDArray[np.int64]:
    """The same, while few states are pending; returns those that are then."""
    is_marked = bytearray(marked)
    pending = frontier.tolist()
    while pending and len(pending) < BROAD:
        state = pending.pop()
        for target in after[offsets[state] : offsets[state + 1]]:
            if not is_marked[target]:
                is_marked[target] = 1
                pending.append(target)
    marked[:] = np.frombuffer(is_marked, bool)
    return np.array(pending, np.int64)


def neighbours(edges: NDArray[np.int64], offsets: NDArray[np.int64], states: NDArray[np.int64]) -> NDArray[np.int64]:
    """All that edges from (or, if reversed, into) `states` lead to, with repetitions."""
    starts, counts = offsets[states], offsets[states + 1] - offsets[states]
    total = int(counts.sum())
    if not total:
        return np.zeros(0, np.int64)
    within = np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts)
    return edges[np.repeat(starts, counts) + within]


def partition(table: NDArray[np.int32], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """The coarsest partition of states that respects labels and edges: (S,) block numbers, dead is alone."""
    attempt = 0
    while True:
        blocks = _refine(table, labels, np.random.default_rng(attempt))
        if int(blocks.max()) + 1 == len(table):
            return blocks  # states with different hashes are different
        rows = blocks[table]
        _, representatives = np.unique(blocks, return_index=True)
        if np.array_equal(rows, rows[representatives[blocks]]):
            return blocks
        attempt += 1  # two different rows had equal hashes


def _refine(table: NDArray[np.int32], labels: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.int64]:
    """Split blocks until rows hash alike within each; only states whose targets moved are looked at again.

    The largest part of a split block keeps its number (Hopcroft's idea), so a state moves at most
    log2(S) times.
    """
    size, width = table.shape
    weights = random.integers(0, 2**63, size=width, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    block_hash = random.integers(0, 2**64, size=size + 1, dtype=np.uint64, endpoint=False)
    _, blocks = np.unique(np.where(np.arange(size) == 0, -1, labels), return_inverse=True)
    blocks = blocks.astype(np.int64)
    count = int(blocks.max()) + 1
    sources, offsets = reverse_edges(table)
    dirty = np.arange(1, size)
    while len(dirty):
        if len(dirty) < NARROW:
            dirty, count = _refine_narrowly(table, blocks, dirty, count, sources, offsets)
            continue
        hashes = (block_hash[blocks[table[dirty]]] * weights).sum(axis=1, dtype=np.uint64)
        moved, count = _split_blocks(blocks, dirty, hashes, count)
        dirty = distinct(neighbours(sources, offsets, moved))
    return blocks


def _refine_narrowly(
    table: NDArray[np.int32],
    blocks: NDArray[np.int64],
    dirty: NDArray[np.int64],
    count: int,
    sources: NDArray[np.int64],
    offsets: NDArray[np.int64],
) -> tuple[NDArray[np.int64], int]:
    """The same, while few states are dirty; returns those that are then, and the number of blocks.

    All dirty states leave a block that has others: they are too few to matter.
    """
    block = blocks.tolist()
    sizes = np.bincount(blocks, minlength=count).tolist()
    pending = dirty.tolist()
    while pending and len(pending) < BROAD:
        parts: dict[int, dict[tuple[int, ...], list[int]]] = {}
        for state in pending:
            row = tuple([block[target] for target in table[state].tolist()])
            parts.setdefault(block[state], {}).setdefault(row, []).append(state)
        following: set[int] = set()
        for number, of_block in parts.items():
            leaving = sorted(of_block.values(), key=len)
            if sum(map(len, leaving)) == sizes[number]:
                leaving.pop()
            for states in leaving:
                sizes[number] -= len(states)
                sizes.append(len(states))
                for state in states:
                    block[state] = count
                    following.update(sources[offsets[state] : offsets[state + 1]].tolist())
                count += 1
        pending = sorted(following)
    blocks[:] = block
    return np.array(pending, np.int64), count


def _split_blocks(
    blocks: NDArray[np.int64], dirty: NDArray[np.int64], hashes: NDArray[np.uint64], count: int
) -> tuple[NDArray[np.int64], int]:
    """Give new block numbers to all but the largest part of each block; return moved states and the new count.

    The states of a block that are not dirty still hash alike, and unlike the dirty ones.
    """
    order = np.lexsort((hashes, blocks[dirty]))
    dirty, hashes = dirty[order], hashes[order]
    block = blocks[dirty]
    new_part = np.ones(len(dirty), bool)
    new_part[1:] = (block[1:] != block[:-1]) | (hashes[1:] != hashes[:-1])
    part = np.cumsum(new_part) - 1
    part_block = block[new_part]
    part_size = np.bincount(part)
    block_size = np.bincount(blocks, minlength=count)
    dirty_size = np.bincount(block, minlength=count)
    # A block's clean states are a part of their own; otherwise its largest dirty part stays.
    by_size = np.lexsort((-part_size, part_block))
    first_of_block = np.ones(len(by_size), bool)
    first_of_block[1:] = part_block[by_size][1:] != part_block[by_size][:-1]
    largest = by_size[first_of_block]
    clean = block_size[part_block[largest]] - dirty_size[part_block[largest]]
    stays = np.zeros(len(part_size), bool)
    stays[largest[part_size[largest] > clean]] = True
    # When a dirty part stays in a block that has clean states, the clean ones must move instead.
    displaced = largest[(part_size[largest] > clean) & (clean > 0)]
    number = np.zeros(len(part_size), np.int64)
    leaving = ~stays
    number[leaving] = count + np.arange(int(leaving.sum()))
    moved = dirty[leaving[part]]
    blocks_before = blocks.copy() if len(displaced) else blocks
    blocks[moved] = number[part[leaving[part]]]
    count += int(leaving.sum())
    if len(displaced):
        is_dirty = np.zeros(len(blocks), bool)
        is_dirty[dirty] = True
        renamed = np.full(len(block_size), -1)
        renamed[part_block[displaced]] = count + np.arange(len(displaced))
        others = np.flatnonzero(~is_dirty & (renamed[blocks_before] >= 0))
        blocks[others] = renamed[blocks_before[others]]
        count += len(displaced)
        moved = np.concatenate([moved, others])
    return moved, count
