"""Operations on automata over bytes: union, product, repetition, and the lexer's union with tags."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from smcdsl.compiler.minimal import DEFAULT_STATE_LIMIT, Dfa, RawDfa, determinize, edges_of, minimal
from smcdsl.compiler.nfa import ANY_BYTE, Nfa, TooLarge, without_anchors
from smcdsl.compiler.refinement import distinct
from smcdsl.program.regular import Tree


@dataclass(frozen=True)
class TaggedDfa:
    """The union of several automata that remembers which: a lexer's automaton. State 0 is dead."""

    next_state: NDArray[np.int32]  # (S, 256)
    accepts: list[frozenset[int]]  # (S,) which automata accept here
    alive: list[frozenset[int]]  # (S,) which automata accept here or later
    start: int

    def __len__(self) -> int:
        return len(self.next_state)


def minimized(nfa: Nfa, start: int, end: int, limit: int = DEFAULT_STATE_LIMIT) -> Dfa:
    """The minimal automaton of the texts that lead from `start` to `end`."""
    plain, first, last = without_anchors(nfa, start, end)
    raw, _ = determinize(plain, first, {last: 0}, limit)
    return minimal(raw)[0]


def from_tree(tree: Tree, limit: int = DEFAULT_STATE_LIMIT) -> Dfa:
    """The automaton of a regular tree.

    Raises:
        TooLarge: an automaton on the way has more than `limit` states, or the first draft four times as many.
    """
    nfa = Nfa(limit=4 * limit)
    start = nfa.state()
    return minimized(nfa, start, nfa.add_tree(tree, start), limit)


@lru_cache(maxsize=1)
def nothing() -> Dfa:
    """The empty language."""
    return Dfa(np.zeros((1, 256), np.int32), np.zeros(1, bool), 0)


def from_bytes(text: bytes) -> Dfa:
    """Exactly this text."""
    nfa = Nfa()
    start = nfa.state()
    return minimized(nfa, start, nfa.add_literals([text], start))


def minimize(next_state: NDArray[np.int32], accepting: NDArray[np.bool_], start: int) -> Dfa:
    """The minimal automaton of a complete one whose state 0 is dead."""
    byte_class, classes = column_classes(next_state)
    return minimal(RawDfa(byte_class, classes, accepting.astype(np.int64), start))[0]


_COLUMNS = tuple(slice(start, start + 32) for start in range(0, 256, 32))
"""All bytes in groups, so that comparing tables needs little room."""


def column_classes(next_state: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """(256,) the class of each byte, and (S, classes) the table without equal columns."""
    weights = np.random.default_rng(0).integers(1, 2**62, size=len(next_state))
    # Two different columns may hash alike; then they are told apart by comparing each with its class.
    hashes = [tuple(row) for row in (next_state.T.astype(np.int64) @ weights).reshape(256, 1).tolist()]
    numbers: dict[object, int] = {}
    byte_class = np.array([numbers.setdefault(value, len(numbers)) for value in hashes], np.int64)
    firsts = np.array([int(np.argmax(byte_class == number)) for number in range(len(numbers))])
    classes = np.ascontiguousarray(next_state[:, firsts])
    if all(np.array_equal(next_state[:, some], classes[:, byte_class[some]]) for some in _COLUMNS):
        return byte_class, classes
    numbers = {}
    byte_class = np.array(
        [numbers.setdefault(next_state[:, byte].tobytes(), len(numbers)) for byte in range(256)], np.int64
    )
    firsts = np.array([int(np.argmax(byte_class == number)) for number in range(len(numbers))])
    return byte_class, np.ascontiguousarray(next_state[:, firsts])


def _embed(nfa: Nfa, dfa: Dfa, start: int) -> int:
    return nfa.add_deterministic(dfa.edges, dfa.accepting.tolist(), dfa.start, start)


def union(dfas: Sequence[Dfa], limit: int = DEFAULT_STATE_LIMIT) -> Dfa:
    """Texts of any of them."""
    nfa = Nfa()
    start, end = nfa.state(), nfa.state()
    for dfa in dfas:
        nfa.silent[_embed(nfa, dfa, start)].append(end)
    return minimized(nfa, start, end, limit)


def concatenate(dfas: Sequence[Dfa], limit: int = DEFAULT_STATE_LIMIT) -> Dfa:
    """Texts of the first, then of the second, and so on."""
    nfa = Nfa()
    start = end = nfa.state()
    for dfa in dfas:
        end = _embed(nfa, dfa, end)
    return minimized(nfa, start, end, limit)


def repeat(dfa: Dfa, least: int, most: int | None, limit: int = DEFAULT_STATE_LIMIT) -> Dfa:
    """From `least` to `most` texts of it, one after the other."""
    nfa = Nfa()
    start = nfa.state()
    end = nfa.add_repetition(lambda state: _embed(nfa, dfa, state), least, most, start)
    return minimized(nfa, start, end, limit)


def intersect(left: Dfa, right: Dfa, limit: int = DEFAULT_STATE_LIMIT) -> Dfa:
    """Texts of both.

    Raises:
        TooLarge: the product has more than `limit` states.
    """
    return _product(left, right, keep=True, limit=limit)


def difference(left: Dfa, right: Dfa, limit: int = DEFAULT_STATE_LIMIT) -> Dfa:
    """Texts of `left` that are not texts of `right`.

    Raises:
        TooLarge: the product has more than `limit` states.
    """
    return _product(left, right, keep=False, limit=limit)


def sequence_in(parts: Sequence[Dfa], whole: Dfa, limit: int = DEFAULT_STATE_LIMIT) -> bool:
    """Whether some texts of `parts`, one after the other, make a text of `whole`; none make the empty one.

    The same as whether `intersect(repeat(union(parts), 0, None), whole)` has a text, but no automaton is built and
    the search ends at the first text: level by level, from every state of `whole` that a sequence can lead to.

    Raises:
        TooLarge: more than `limit` pairs of states were looked at.
    """
    width = len(whole)
    may_begin = np.zeros(width, bool)
    pending = np.array([whole.start])
    looked_at = 0
    seen = [np.zeros(len(part) * width, bool) for part in parts]
    while len(pending):
        if whole.accepting[pending].any():
            return True
        may_begin[pending] = True
        reached = np.zeros(width, bool)
        for part, known in zip(parts, seen):
            codes = part.start * width + pending if part.start else np.zeros(0, np.int64)
            frontier = codes[~known[codes]]
            while len(frontier):
                known[frontier] = True
                looked_at += len(frontier)
                if looked_at > limit:
                    raise TooLarge(limit)
                left = part.next_state[frontier // width].astype(np.int64)
                right = whole.next_state[frontier % width]
                reached[right[part.accepting[left]]] = True
                if (whole.accepting & reached).any():
                    return True
                codes = distinct(np.where(_useful(left, right, True), left * width + right, 0).ravel())
                frontier = codes[(codes != 0) & ~known[codes]]
        reached[0] = False
        pending = np.flatnonzero(reached & ~may_begin)
    return False


def _product(left: Dfa, right: Dfa, *, keep: bool, limit: int) -> Dfa:
    """Run both side by side, level by level; `keep` says whether `right` must accept or must not."""
    left_class, left_table = column_classes(left.next_state)
    right_class, right_table = column_classes(right.next_state)
    joint = left_class * right_table.shape[1] + right_class
    pairs, firsts, byte_class = np.unique(joint, return_index=True, return_inverse=True)
    in_order = np.argsort(firsts)
    rank = np.empty_like(in_order)
    rank[in_order] = np.arange(len(in_order))
    byte_class, pairs = rank[byte_class], pairs[in_order]
    left_table, right_table = left_table[:, pairs // right_table.shape[1]], right_table[:, pairs % right_table.shape[1]]

    width = len(right)
    found = [np.array([0, left.start * width + right.start])]
    numbers = _Numbering(len(left) * width)
    numbers.assign(np.array([0]))
    numbers.assign(found[0][1:])
    rows = [np.zeros((1, len(pairs)), np.int64)]
    frontier = found[0][1:] if _useful(left.start, right.start, keep) else np.zeros(0, np.int64)
    if not len(frontier):
        return nothing()
    while len(frontier):
        left_next = left_table[frontier // width].astype(np.int64)
        right_next = right_table[frontier % width]
        codes = np.where(_useful(left_next, right_next, keep), left_next * width + right_next, 0)
        rows.append(codes)
        new = codes.ravel()
        frontier = distinct(new[numbers.get(new) < 0])
        numbers.assign(frontier)
        found.append(frontier)
        if numbers.count > limit:
            raise TooLarge(limit)
    codes = np.concatenate(found)
    table = numbers.get(np.concatenate(rows)).astype(np.int32)
    accepting = left.accepting[codes // width] & (right.accepting[codes % width] == keep)
    return minimal(RawDfa(byte_class, table, accepting.astype(np.int64), 1))[0]


def _useful(left: NDArray[np.int64] | int, right: NDArray[np.int32] | int, keep: bool) -> NDArray[np.bool_]:
    alive = np.asarray(left) != 0
    return alive & (np.asarray(right) != 0) if keep else alive


class _Numbering:
    """Numbers codes below `size` in the order they are assigned; -1 for those not assigned."""

    def __init__(self, size: int) -> None:
        self.count = 0
        self.dense = np.full(size, -1, np.int32) if size <= 25_000_000 else None
        self.sparse: dict[int, int] = {}

    def assign(self, codes: NDArray[np.int64]) -> None:
        """Give the next numbers to distinct codes that have none."""
        numbers = np.arange(self.count, self.count + len(codes))
        if self.dense is not None:
            self.dense[codes] = numbers
        else:
            self.sparse.update(zip(codes.tolist(), numbers.tolist()))
        self.count += len(codes)

    def get(self, codes: NDArray[np.int64]) -> NDArray[np.int32]:
        """The numbers of codes, in their shape."""
        if self.dense is not None:
            return self.dense[codes]
        found = [self.sparse.get(code, -1) for code in codes.ravel().tolist()]
        return np.array(found, np.int32).reshape(codes.shape)


def complement(dfa: Dfa) -> Dfa:
    """All byte strings that it does not accept."""
    return difference(anything(), dfa)


@lru_cache(maxsize=1)
def anything() -> Dfa:
    """All byte strings."""
    return Dfa(np.array([[0] * 256, [1] * 256], np.int32), np.array([False, True]), 1)


def containing(dfa: Dfa, limit: int = DEFAULT_STATE_LIMIT) -> Dfa:
    """Byte strings that have a text of it as a part."""
    nfa = Nfa()
    start = nfa.state()
    nfa.edges[start].append((ANY_BYTE, start))
    end = _embed(nfa, dfa, start)
    nfa.edges[end].append((ANY_BYTE, end))
    return minimized(nfa, start, end, limit)


def prefixes(dfa: Dfa) -> Dfa:
    """Prefixes of its texts, the texts included."""
    accepting = np.arange(len(dfa)) != 0
    return minimize(dfa.next_state, accepting, dfa.start)


def remainder(dfa: Dfa, text: bytes) -> Dfa:
    """What may follow `text` in texts that begin with it (the Brzozowski derivative)."""
    return minimize(dfa.next_state, dfa.accepting, dfa.after(text))


def tagged_union(dfas: Sequence[Dfa], limit: int = DEFAULT_STATE_LIMIT) -> TaggedDfa:
    """All automata run at once; states know which of them accept, and which still may.

    Minimal among automata that tell the sets of accepting automata apart.

    Raises:
        TooLarge: more than `limit` states.
    """
    nfa = Nfa()
    start = nfa.state()
    ends = [_embed(nfa, dfa, start) for dfa in dfas]
    raw, meanings = determinize(nfa, start, {end: tag for tag, end in enumerate(ends)}, limit)
    dfa, labels = minimal(raw)
    accepts = [meanings[label] for label in labels.tolist()]
    return TaggedDfa(dfa.next_state, accepts, _alive(dfa, accepts, len(dfas)), dfa.start)


def _alive(dfa: Dfa, accepts: Sequence[frozenset[int]], num_tags: int) -> list[frozenset[int]]:
    """Tags that each state or one after it accepts: a fixed point over bit rows."""
    bits = np.zeros((len(dfa), num_tags), bool)
    for state, tags in enumerate(accepts):
        bits[state, list(tags)] = True
    rows = np.packbits(bits, axis=1)
    edges = [(source, target) for source, outgoing in enumerate(edges_of(dfa.next_state)) for _, target in outgoing]
    if edges:
        sources, targets = np.array(sorted(edges)).T
        starts = np.flatnonzero(np.append(True, sources[1:] != sources[:-1]))
        firsts = sources[starts]
        while True:
            merged = rows[firsts] | np.bitwise_or.reduceat(rows[targets], starts, axis=0)
            if np.array_equal(merged, rows[firsts]):
                break
            rows[firsts] = merged
    known: dict[bytes, frozenset[int]] = {}
    alive = []
    for row in rows:
        key = row.tobytes()
        if key not in known:
            known[key] = frozenset(np.flatnonzero(np.unpackbits(row)[:num_tags]).tolist())
        alive.append(known[key])
    return alive
