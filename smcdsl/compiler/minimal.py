"""Deterministic automata over bytes: the subset construction and minimisation.

Both work on *classes*: bytes that no edge of the automaton tells apart are one column. Minimisation is
partition refinement by hashed rows, proportional to the edges times the logarithm of the states; a last
exact comparison guards against a collision of hashes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from smcdsl.compiler.nfa import Nfa, TooLarge
from smcdsl.compiler.refinement import NARROW, distinct_columns, forward_edges, partition, reverse_edges, spread

DEFAULT_STATE_LIMIT = 100_000
"""100 MB and some two seconds for an automaton of bytes."""
_EFFORT = 16
"""Members of subsets that may be looked at for each state that is allowed: most subsets are small."""
_WIDE = 24  # more masks than this are split byte by byte


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

    @cached_property
    def classes(self) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """(256,) the class of each byte, and (S, classes) the table without equal columns."""
        kinds, byte_class = distinct_columns(self.next_state)
        return byte_class, np.take(self.next_state, kinds, axis=1)

    @cached_property
    def successors(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Targets of edges sorted by source, each once, and (S + 1,) where each source's targets start."""
        return forward_edges(self.classes[1])


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
        TooLarge: more than `limit` states, or much more work than so many states are.
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
        self.effort = _EFFORT * (limit + 1000)
        self.closures: dict[int, frozenset[int]] = {}
        self.numbers: dict[frozenset[int], int] = {frozenset(): 0}
        self.subsets: list[frozenset[int]] = [frozenset()]
        self.by_targets: dict[tuple[int, ...], int] = {}
        self.cuts: dict[tuple[int, ...], list[tuple[int, tuple[int, ...]]]] = {}

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
            self.effort -= len(subset)
            if number > self.limit or self.effort < 0:
                raise TooLarge(self.limit, is_work=number <= self.limit)
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
        self.effort -= len(seen)
        if self.effort < 0:
            raise TooLarge(self.limit, is_work=True)
        closure = self.closures[state] = frozenset(useful)
        return closure

    def split(self, subset: frozenset[int]) -> list[tuple[int, tuple[int, ...]]]:
        """Cut all bytes into sets that lead to the same NFA states: (set of bytes, those states)."""
        if len(subset) == 1:
            edges = self.nfa.edges[next(iter(subset))]
            if len(edges) == 1:
                self.effort -= 2
                return [(edges[0][0], (edges[0][1],))]
        by_target: dict[int, int] = {}
        for state in subset:
            for mask, target in self.nfa.edges[state]:
                by_target[target] = by_target.get(target, 0) | mask
        by_mask: dict[int, list[int]] = {}
        for target in sorted(by_target):
            by_mask.setdefault(by_target[target], []).append(target)
        groups = list(by_mask.values())
        masks = tuple(by_mask)
        # Copies of one part of a pattern have the same masks at many places.
        cuts = self.cuts.get(masks)
        if cuts is None:
            cuts = self.cuts[masks] = _split_masks(masks)
        parts = [
            (mask, tuple(groups[found[0]]) if len(found) == 1 else tuple(sorted(chain(*[groups[i] for i in found]))))
            for mask, found in cuts
        ]
        self.effort -= len(subset) + sum([len(targets) for _, targets in parts])
        if len(by_mask) > _WIDE:
            self.effort -= 4 * len(by_mask)
        return parts


def _split_masks(masks: Sequence[int]) -> list[tuple[int, tuple[int, ...]]]:
    """Cut all bytes into sets that are in the same masks: (set of bytes, indices of those masks)."""
    if len(masks) > _WIDE:
        return _split_wide(masks)
    parts: list[tuple[int, tuple[int, ...]]] = []
    for index, rest in enumerate(masks):
        finer = []
        for mask, found in parts:
            both = mask & rest
            if both:
                finer.append((both, (*found, index)))
                rest ^= both
                mask ^= both
            if mask:
                finer.append((mask, found))
        if rest:
            finer.append((rest, (index,)))
        parts = finer
    return parts


def _split_wide(masks: Sequence[int]) -> list[tuple[int, tuple[int, ...]]]:
    """The same, byte by byte: for very many masks."""
    found: dict[int, list[int]] = {}
    for index, rest in enumerate(masks):
        while rest:
            lowest = rest & -rest
            found.setdefault(lowest, []).append(index)
            rest ^= lowest
    parts: dict[tuple[int, ...], int] = {}
    for byte, indices in found.items():
        key = tuple(indices)
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
    table, labels, start = _canonical(raw, partition(raw.table, raw.labels))
    return Dfa(table[:, raw.byte_class], labels != 0, start), labels


def _trimmed(raw: RawDfa) -> RawDfa:
    """Without states that cannot be reached or cannot accept."""
    alive = raw.labels != 0
    spread(alive, np.flatnonzero(alive), *reverse_edges(raw.table))
    reached = np.zeros(len(raw.table), bool)
    reached[raw.start] = True
    spread(reached, np.array([raw.start], np.int64), *forward_edges(raw.table))
    kept = alive & reached
    kept[0] = True
    if kept.all():
        return raw
    numbers = np.where(kept, np.cumsum(kept) - 1, 0).astype(np.int32)
    return RawDfa(raw.byte_class, numbers[raw.table[kept]], raw.labels[kept], int(numbers[raw.start]))


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
        if len(frontier) < NARROW:
            after = dict.fromkeys([target for state in frontier.tolist() for target in quotient[state].tolist()])
            frontier = np.array([target for target in after if numbers[target] < 0], np.int64)
            continue
        targets = quotient[frontier].ravel()
        targets = targets[numbers[targets] < 0]
        _, positions = np.unique(targets, return_index=True)
        frontier = targets[np.sort(positions)]
    in_order = np.concatenate(order)
    return numbers[quotient[in_order]].astype(np.int32), raw.labels[representatives[in_order]], int(numbers[first])
