"""Questions about a minimal automaton: lengths, shortest texts, finiteness, parts of texts."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from smcdsl.compiler.minimal import Dfa
from smcdsl.compiler.operations import containing, from_bytes, intersect

IS_CONTINUATION = (np.arange(256) & 0xC0) == 0x80


def is_empty(dfa: Dfa) -> bool:
    """Whether it has no text."""
    return dfa.start == 0


def distances(dfa: Dfa) -> NDArray[np.int64]:
    """(S,) the fewest bytes from each state to an accepting one; -1 for the dead state."""
    distance = np.where(dfa.accepting, 0, -1).astype(np.int64)
    pairs = _edge_pairs(dfa)
    level = 0
    while True:
        sources = pairs[0][distance[pairs[1]] == level]
        sources = sources[distance[sources] < 0]
        if not len(sources):
            return distance
        level += 1
        distance[sources] = level


def _edge_pairs(dfa: Dfa) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Distinct (source, target) of edges between useful states."""
    codes = np.unique(np.arange(len(dfa))[:, None] * len(dfa) + dfa.next_state)
    sources, targets = codes // len(dfa), codes % len(dfa)
    kept = targets != 0
    return sources[kept], targets[kept]


def shortest(dfa: Dfa) -> bytes:
    """A shortest text, the first of them in order of bytes.

    Raises:
        ValueError: the language is empty.
    """
    if is_empty(dfa):
        raise ValueError("an empty language has no shortest text")
    return completion(dfa, dfa.start)


def completion(dfa: Dfa, state: int) -> bytes:
    """A shortest text from `state` to an accepting state."""
    distance = distances(dfa)
    text = bytearray()
    while distance[state] > 0:
        byte = int(np.argmax(distance[dfa.next_state[state]] == distance[state] - 1))
        text.append(byte)
        state = int(dfa.next_state[state, byte])
    return bytes(text)


def is_finite(dfa: Dfa) -> bool:
    """Whether it has finitely many texts: a trimmed automaton without cycles."""
    sources, targets = _edge_pairs(dfa)
    waiting = np.bincount(sources, minlength=len(dfa))
    ready = np.flatnonzero(waiting == 0)
    removed = np.zeros(len(dfa), bool)
    while len(ready):
        removed[ready] = True
        np.subtract.at(waiting, sources[np.isin(targets, ready)], 1)
        ready = np.flatnonzero((waiting == 0) & ~removed)
    return bool(removed.all())


def byte_lengths(dfa: Dfa) -> tuple[int, int | None]:
    """(shortest, longest) length in bytes; longest is None without bound.

    Raises:
        ValueError: the language is empty.
    """
    return _lengths(dfa, np.ones(256, np.int64))


def char_lengths(dfa: Dfa) -> tuple[int, int | None]:
    """(shortest, longest) length in code points of a language of valid UTF-8; longest None without bound.

    Raises:
        ValueError: the language is empty.
    """
    return _lengths(dfa, (~IS_CONTINUATION).astype(np.int64))


def _lengths(dfa: Dfa, cost: NDArray[np.int64]) -> tuple[int, int | None]:
    if is_empty(dfa):
        raise ValueError("an empty language has no lengths")
    sources, targets, low, high = _edge_costs(dfa, cost)
    shortest_from = np.where(dfa.accepting, 0, np.iinfo(np.int64).max // 2)
    _settle(shortest_from, sources, targets, low, np.minimum)
    if not is_finite(dfa):
        return int(shortest_from[dfa.start]), None
    longest_from = np.where(dfa.accepting, 0, -1)
    _settle(longest_from, sources, targets, high, np.maximum)
    return int(shortest_from[dfa.start]), int(longest_from[dfa.start])


def _edge_costs(dfa: Dfa, cost: NDArray[np.int64]) -> tuple[NDArray[np.int64], ...]:
    """Distinct edges, and the least and greatest cost of the bytes of each."""
    sources, targets = _edge_pairs(dfa)
    cheap = np.zeros(len(sources), np.int64)
    dear = np.zeros(len(sources), np.int64)
    index = {pair: number for number, pair in enumerate(zip(sources.tolist(), targets.tolist()))}
    free = sum(1 << byte for byte in range(256) if cost[byte] == 0)
    for source, outgoing in enumerate(dfa.edges):
        for mask, target in outgoing:
            number = index[source, target]
            cheap[number] = 0 if mask & free else 1
            dear[number] = 1 if mask & ~free else 0
    return sources, targets, cheap, dear


def _settle(
    values: NDArray[np.int64],
    sources: NDArray[np.int64],
    targets: NDArray[np.int64],
    costs: NDArray[np.int64],
    better: np.ufunc,
) -> None:
    """Relax edges against their direction until nothing changes."""
    active = np.arange(len(sources))
    while True:
        reachable = values[targets[active]] >= 0
        before = values.copy()
        better.at(values, sources[active][reachable], (values[targets[active]] + costs[active])[reachable])
        changed = np.flatnonzero(values != before)
        if not len(changed):
            return
        active = np.flatnonzero(np.isin(targets, changed))


def can_contain(dfa: Dfa, text: bytes) -> bool:
    """Whether some text of it has `text` as a part."""
    return not is_empty(intersect(dfa, containing(from_bytes(text))))


def texts(dfa: Dfa, longest: int) -> Iterator[bytes]:
    """Its texts of at most `longest` bytes, in order of bytes within each length, made as they are asked for."""
    # May a text end in just so many bytes? State 0 is dead, and not accepting.
    ends = [dfa.accepting]
    for length in range(longest + 1):
        yield from _texts_from(dfa, dfa.start, ends, length)
        ends.append(np.logical_or.reduce(ends[-1][dfa.next_state], axis=1))


def _texts_from(dfa: Dfa, start: int, ends: list[NDArray[np.bool_]], length: int) -> Iterator[bytes]:
    if not ends[length][start]:
        return
    stack = [(b"", start)]
    while stack:
        text, state = stack.pop()
        left = length - len(text)
        if not left:
            yield text
            continue
        row = dfa.next_state[state]
        after = np.flatnonzero(ends[left - 1][row])[::-1]
        stack += ((text + bytes([byte]), int(row[byte])) for byte in after.tolist())
