"""Deterministic automata over bytes: the subset construction and minimisation.

Both work on *classes*: bytes that no edge of the automaton tells apart are one column. Minimisation is
partition refinement by hashed rows, proportional to the edges times the logarithm of the states; a last
exact comparison guards against a collision of hashes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from smcdsl.compiler.nfa import Nfa, TooLarge

DEFAULT_STATE_LIMIT = 2_000_000
_WIDE = 24  # subsets with more edges than this are split byte by byte


@dataclass(frozen=True, eq=False)
class Dfa:
    """A minimal deterministic automaton over bytes.

    State 0 is dead: it accepts nothing and leads to itself. Every other state can be reached and can
    still accept. States are numbered in breadth-first order, so equal languages have equal tables.
    """

    next_state: NDArray[np.int32]  # (S, 256)
    accepting: NDArray[np.bool_]  # (S,)
    start: int

    def __len__(self) -> int:
        return len(self.next_state)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Dfa)
            and self.start == other.start
            and np.array_equal(self.accepting, other.accepting)
            and np.array_equal(self.next_state, other.next_state)
        )

    def __hash__(self) -> int:
        return hash((len(self), self.start, self.next_state[self.start].tobytes()))

    def after(self, text: bytes, state: int | None = None) -> int:
        """The state after `text`, from the start or from `state`."""
        state = self.start if state is None else state
        for byte in text:
            state = int(self.next_state[state, byte])
        return state

    def accepts(self, text: bytes) -> bool:
        """Whether `text` is in the language."""
        return bool(self.accepting[self.after(text)])

    @cached_property
    def edges(self) -> list[list[tuple[int, int]]]:
        """For each state its (set of bytes, target) with target not dead."""
        return edges_of(self.next_state)


def edges_of(next_state: NDArray[np.int32]) -> list[list[tuple[int, int]]]:
    """Rows of a table as lists of (set of bytes as a 256-bit integer, target), without edges to 0."""
    changes = np.ones(next_state.shape, dtype=bool)
    changes[:, 1:] = next_state[:, 1:] != next_state[:, :-1]
    rows, starts = np.nonzero(changes)
    targets = next_state[rows, starts]
    ends = np.append(starts[1:], 0)
    ends[ends == 0] = 256
    grouped: list[dict[int, int]] = [{} for _ in range(len(next_state))]
    kept = targets != 0
    for row, start, end, target in zip(
        rows[kept].tolist(), starts[kept].tolist(), ends[kept].tolist(), targets[kept].tolist()
    ):
        group = grouped[row]
        group[target] = group.get(target, 0) | ((1 << end) - (1 << start))
    return [[(mask, target) for target, mask in group.items()] for group in grouped]


@dataclass(frozen=True)
class RawDfa:
    """The outcome of a construction, before trimming: a table over classes of bytes.

    `labels[s]` says what state s accepts; 0 is nothing. State 0 is dead.
    """

    byte_class: NDArray[np.int64]  # (256,)
    table: NDArray[np.int32]  # (S, classes)
    labels: NDArray[np.int64]  # (S,)
    start: int


def determinize(nfa: Nfa, start: int, accepts: Mapping[int, int], limit: int) -> tuple[RawDfa, list[frozenset[int]]]:
    """Subset construction. `accepts` maps accepting states to tags.

    Returns the automaton and what its labels mean: the set of tags of every label.

    Raises:
        TooLarge: more than `limit` states.
    """
    return _Subsets(nfa, accepts, limit).run(start)


def subsets(nfa: Nfa, start: int, end: int, limit: int) -> tuple[list[list[tuple[int, int]]], list[bool]]:
    """Subset construction as edges by state, for symbols beyond bytes: masks may have any number of bits.

    Returns (for each state its (set of symbols, target)) and which states accept. State 0 is dead, 1 the start.

    Raises:
        TooLarge: more than `limit` states.
    """
    construction = _Subsets(nfa, {end: 0}, limit)
    construction.number((start,))
    edges: list[list[tuple[int, int]]] = []
    for subset in construction.subsets:  # grows on the way
        edges.append([(mask, construction.number(targets)) for mask, targets in construction.split(subset)])
    return edges, [end in subset for subset in construction.subsets]


class _Subsets:
    """The worklist of the subset construction. A subset holds only states with edges or a tag."""

    def __init__(self, nfa: Nfa, accepts: Mapping[int, int], limit: int) -> None:
        self.nfa, self.tags, self.limit = nfa, accepts, limit
        self.closures: dict[int, frozenset[int]] = {}
        self.numbers: dict[frozenset[int], int] = {frozenset(): 0}
        self.subsets: list[frozenset[int]] = [frozenset()]
        self.by_targets: dict[tuple[int, ...], int] = {}

    def run(self, start: int) -> tuple[RawDfa, list[frozenset[int]]]:
        first = self.number((start,))
        sources: list[int] = []
        masks: list[int] = []
        targets: list[int] = []
        mask_numbers: dict[int, int] = {}
        label_numbers: dict[frozenset[int], int] = {frozenset(): 0}
        labels = [0]
        position = 1
        while position < len(self.subsets):
            subset = self.subsets[position]
            tags = frozenset([self.tags[state] for state in subset if state in self.tags])
            labels.append(label_numbers.setdefault(tags, len(label_numbers)))
            for mask, following in self.split(subset):
                sources.append(position)
                masks.append(mask_numbers.setdefault(mask, len(mask_numbers)))
                targets.append(self.number(following))
            position += 1
        byte_class, members = byte_classes(list(mask_numbers))
        table = np.zeros((len(self.subsets), int(byte_class.max()) + 1), dtype=np.int32)
        _fill(table, np.array(sources, int), np.array(masks, int), np.array(targets, np.int32), members)
        return RawDfa(byte_class, table, np.array(labels, np.int64), first), list(label_numbers)

    def number(self, targets: tuple[int, ...]) -> int:
        """The number of the subset that these states and their silent edges make."""
        known = self.by_targets.get(targets)
        if known is not None:
            return known
        if len(targets) == 1:
            subset = self.closure(targets[0])
        else:
            subset = frozenset().union(*[self.closure(target) for target in targets])
        number = self.numbers.get(subset)
        if number is None:
            number = self.numbers[subset] = len(self.subsets)
            if number > self.limit:
                raise TooLarge(self.limit)
            self.subsets.append(subset)
        self.by_targets[targets] = number
        return number

    def closure(self, state: int) -> frozenset[int]:
        """The useful states that silent edges reach from `state`."""
        known = self.closures.get(state)
        if known is not None:
            return known
        nfa, tags = self.nfa, self.tags
        seen = {state}
        agenda = [state]
        useful = []
        while agenda:
            current = agenda.pop()
            if nfa.edges[current] or current in tags:
                useful.append(current)
            for target in nfa.silent[current]:
                if target not in seen:
                    seen.add(target)
                    agenda.append(target)
        closure = self.closures[state] = frozenset(useful)
        return closure

    def split(self, subset: frozenset[int]) -> list[tuple[int, tuple[int, ...]]]:
        """Cut all bytes into sets that lead to the same NFA states: (set of bytes, those states)."""
        by_target: dict[int, int] = {}
        for state in subset:
            for mask, target in self.nfa.edges[state]:
                by_target[target] = by_target.get(target, 0) | mask
        if len(by_target) == 1:
            return [(mask, (target,)) for target, mask in by_target.items()]
        if len(by_target) > _WIDE:
            return _split_wide(by_target)
        parts: list[tuple[int, tuple[int, ...]]] = []
        for target in sorted(by_target):
            rest = by_target[target]
            finer = []
            for mask, targets in parts:
                both = mask & rest
                if both:
                    finer.append((both, (*targets, target)))
                    rest ^= both
                    mask ^= both
                if mask:
                    finer.append((mask, targets))
            if rest:
                finer.append((rest, (target,)))
            parts = finer
        return parts


def _split_wide(by_target: Mapping[int, int]) -> list[tuple[int, tuple[int, ...]]]:
    """As `_Subsets.split`, byte by byte: for states with very many edges."""
    targets_of: dict[int, list[int]] = {}
    for target in sorted(by_target):
        rest = by_target[target]
        while rest:
            lowest = rest & -rest
            targets_of.setdefault(lowest, []).append(target)
            rest ^= lowest
    parts: dict[tuple[int, ...], int] = {}
    for byte, targets in targets_of.items():
        key = tuple(targets)
        parts[key] = parts.get(key, 0) | byte
    return [(mask, key) for key, mask in parts.items()]


def byte_classes(masks: Sequence[int]) -> tuple[NDArray[np.int64], list[NDArray[np.int64]]]:
    """Number the classes of bytes that no mask tells apart, in order of their first byte.

    Returns (256,) the class of each byte, and for every mask the classes it consists of.
    """
    if not masks:
        return np.zeros(256, np.int64), []
    packed = np.frombuffer(b"".join(mask.to_bytes(32, "little") for mask in masks), np.uint8)
    bits = np.unpackbits(packed.reshape(len(masks), 32), axis=1, bitorder="little")
    columns = np.ascontiguousarray(np.packbits(bits, axis=0).T)
    keys = columns.view(np.dtype((np.void, columns.shape[1]))).reshape(256)
    _, firsts, inverse = np.unique(keys, return_index=True, return_inverse=True)
    rank = np.empty(len(firsts), np.int64)
    rank[np.argsort(firsts)] = np.arange(len(firsts))
    byte_class, firsts = rank[inverse.reshape(256)], np.sort(firsts)
    return byte_class, [np.flatnonzero(row[firsts]) for row in bits]


def _fill(
    table: NDArray[np.int32],
    sources: NDArray[np.int64],
    masks: NDArray[np.int64],
    targets: NDArray[np.int32],
    members: list[NDArray[np.int64]],
) -> None:
    """Set table[source, c] = target for all classes c of each edge's mask."""
    if not len(sources):
        return
    sizes = np.array([len(classes) for classes in members])
    columns = np.concatenate([members[mask] for mask in masks.tolist()])
    repeats = sizes[masks]
    table[np.repeat(sources, repeats), columns] = np.repeat(targets, repeats)


def minimal(raw: RawDfa) -> tuple[Dfa, NDArray[np.int64]]:
    """The minimal automaton that tells labels apart, and (S,) the label of each of its states."""
    raw = _trimmed(raw)
    table, labels, start = _canonical(raw, _partition(raw.table, raw.labels))
    return Dfa(table[:, raw.byte_class], labels != 0, start), labels


def _reverse_edges(table: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
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


def predecessors(
    sources: NDArray[np.int64], offsets: NDArray[np.int64], states: NDArray[np.int64]
) -> NDArray[np.int64]:
    """All sources of edges into `states`, with repetitions."""
    starts, counts = offsets[states], offsets[states + 1] - offsets[states]
    total = int(counts.sum())
    if not total:
        return np.zeros(0, np.int64)
    within = np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts)
    return sources[np.repeat(starts, counts) + within]


def _trimmed(raw: RawDfa) -> RawDfa:
    """Without states that cannot be reached or cannot accept."""
    size = len(raw.table)
    sources, offsets = _reverse_edges(raw.table)
    alive = raw.labels != 0
    frontier = np.flatnonzero(alive)
    while len(frontier):
        before = predecessors(sources, offsets, frontier)
        before = distinct(before[~alive[before]])
        alive[before] = True
        frontier = before
    reached = np.zeros(size, bool)
    reached[raw.start] = True
    frontier = np.array([raw.start], np.int64)
    while len(frontier):
        after = raw.table[frontier].ravel().astype(np.int64)
        after = distinct(after[~reached[after]])
        reached[after] = True
        frontier = after
    kept = alive & reached
    kept[0] = True
    if kept.all():
        return raw
    numbers = np.where(kept, np.cumsum(kept) - 1, 0).astype(np.int32)
    return RawDfa(raw.byte_class, numbers[raw.table[kept]], raw.labels[kept], int(numbers[raw.start]))


def _partition(table: NDArray[np.int32], labels: NDArray[np.int64]) -> NDArray[np.int64]:
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
    sources, offsets = _reverse_edges(table)
    dirty = np.arange(1, size)
    while len(dirty):
        hashes = (block_hash[blocks[table[dirty]]] * weights).sum(axis=1, dtype=np.uint64)
        moved, count = _split_blocks(blocks, dirty, hashes, count)
        dirty = distinct(predecessors(sources, offsets, moved))
    return blocks


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


def _canonical(raw: RawDfa, blocks: NDArray[np.int64]) -> tuple[NDArray[np.int32], NDArray[np.int64], int]:
    """Number blocks breadth-first from the start, by first byte; return table over classes, labels, start."""
    _, representatives = np.unique(blocks, return_index=True)
    quotient = blocks[raw.table[representatives]]
    dead, first = int(blocks[0]), int(blocks[raw.start])
    numbers = np.full(len(quotient), -1, np.int64)
    numbers[dead] = 0
    order = [np.array([dead])]
    count = 1
    frontier = np.array([first]) if first != dead else np.zeros(0, np.int64)
    while len(frontier):
        numbers[frontier] = count + np.arange(len(frontier))
        count += len(frontier)
        order.append(frontier)
        targets = quotient[frontier].ravel()
        targets = targets[numbers[targets] < 0]
        _, positions = np.unique(targets, return_index=True)
        frontier = targets[np.sort(positions)]
    in_order = np.concatenate(order)
    return numbers[quotient[in_order]].astype(np.int32), raw.labels[representatives[in_order]], int(numbers[first])
