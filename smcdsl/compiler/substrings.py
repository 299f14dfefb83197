"""The substrings of a text as an automaton.

Source: Blumer, Blumer, Haussler, Ehrenfeucht, Chen and Seiferas (1985), the directed acyclic word graph,
built online with suffix links; at most twice as many states as the text has bytes.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from smcdsl.compiler.minimal import Dfa, RawDfa, minimal


@lru_cache(maxsize=8)
def substrings(text: str) -> Dfa:
    """All non-empty substrings of `text`; they begin and end between characters.

    Time and memory are proportional to the text: about 1 kB of table per byte of text.
    """
    data = text.encode()
    edges = _word_graph(data)
    used = sorted(set(data))
    byte_class = np.zeros(256, np.int64)  # class 0: bytes that do not occur
    byte_class[used] = np.arange(1, len(used) + 1)
    table = np.zeros((len(edges) + 1, len(used) + 1), np.int32)
    counts = [len(outgoing) for outgoing in edges]
    sources = np.repeat(np.arange(1, len(edges) + 1), counts)
    columns = byte_class[[byte for outgoing in edges for byte in outgoing]]
    table[sources, columns] = [target + 1 for outgoing in edges for target in outgoing.values()]
    continuing = [column for column in range(1, len(used) + 1) if used[column - 1] & 0xC0 == 0x80]
    table[1, continuing] = 0
    # Where a continuation byte may come, a character is unfinished; elsewhere it is whole.
    inside_character = (table[:, continuing] != 0).any(axis=1)
    accepting = ~inside_character
    accepting[:2] = False
    by_first_byte = np.argsort([int(np.argmax(byte_class == column)) for column in range(len(used) + 1)])
    rank = np.empty_like(by_first_byte)
    rank[by_first_byte] = np.arange(len(by_first_byte))
    return minimal(RawDfa(rank[byte_class], table[:, by_first_byte], accepting.astype(np.int64), 1))[0]


def _word_graph(data: bytes) -> list[dict[int, int]]:
    """Edges of the word graph: state 0 is the start; a path spells a substring."""
    edges: list[dict[int, int]] = [{}]
    link = [-1]
    length = [0]
    last = 0
    for byte in data:
        current = len(edges)
        edges.append({})
        length.append(length[last] + 1)
        link.append(0)
        state = last
        while state >= 0 and byte not in edges[state]:
            edges[state][byte] = current
            state = link[state]
        if state >= 0:
            link[current] = _split(edges, link, length, state, byte)
        last = current
    return edges


def _split(edges: list[dict[int, int]], link: list[int], length: list[int], state: int, byte: int) -> int:
    """The state for the longest suffix seen before, cut off from longer words if need be."""
    target = edges[state][byte]
    if length[target] == length[state] + 1:
        return target
    clone = len(edges)
    edges.append(dict(edges[target]))
    link.append(link[target])
    length.append(length[state] + 1)
    link[target] = clone
    while state >= 0 and edges[state].get(byte) == target:
        edges[state][byte] = clone
        state = link[state]
    return clone
