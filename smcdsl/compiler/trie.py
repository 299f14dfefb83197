"""Vocabulary -> flat byte trie."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smcdsl.automaton.tables import TrieTables
from smcdsl.vocabulary import Vocabulary


def build_trie(vocabulary: Vocabulary) -> TrieTables:
    """The trie of all tokens that spell text, nodes in depth-first order.

    Sorted tokens are paths from left to right: each adds the nodes beyond what it shares with the one before.
    """
    ids = [token for token, text in enumerate(vocabulary.token_bytes) if text]
    ids.sort(key=vocabulary.token_bytes.__getitem__)
    texts = [vocabulary.token_bytes[token] for token in ids]
    lengths = np.array([len(text) for text in texts], dtype=np.int64)
    flat = np.frombuffer(b"".join(texts), dtype=np.uint8)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    shared = _shared_with_previous(flat, starts, lengths)

    new_nodes = lengths - shared
    total = 1 + int(new_nodes.sum())
    owner = np.repeat(np.arange(len(texts)), new_nodes)
    first_new = 1 + np.concatenate([[0], np.cumsum(new_nodes)])
    depth = np.zeros(total, dtype=np.int32)
    byte = np.zeros(total, dtype=np.uint8)
    position = np.arange(1, total) - first_new[owner] + shared[owner]
    depth[1:] = position + 1
    byte[1:] = flat[starts[owner] + position]

    # A token ends at the last node added so far: its own, or that of the equal token before it.
    node = first_new[1:] - 1
    counts = np.bincount(node, minlength=total)
    first_token = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    text = np.frombuffer(b"".join(vocabulary.token_bytes), dtype=np.uint8)
    text_start = np.cumsum([0] + [len(token) for token in vocabulary.token_bytes])
    return TrieTables(byte, depth, _skips(depth), first_token, np.array(ids, dtype=np.int32), text, text_start)


def _shared_with_previous(
    flat: NDArray[np.uint8], starts: NDArray[np.int64], lengths: NDArray[np.int64]
) -> NDArray[np.int64]:
    """(K,) length of the common prefix of each text with the one before it."""
    shared = np.zeros(len(lengths), dtype=np.int64)
    if len(lengths) < 2:
        return shared
    running = np.arange(1, len(lengths))
    bound = np.minimum(lengths[1:], lengths[:-1])
    while len(running):
        running = running[shared[running] < bound[running - 1]]
        offset = shared[running]
        equal = flat[starts[running] + offset] == flat[starts[running - 1] + offset]
        running = running[equal]
        shared[running] += 1
    return shared


def _skips(depth: NDArray[np.int32]) -> NDArray[np.int32]:
    """(M,) for each node the next one that is not below it."""
    levels: list[int] = depth.tolist()
    total = len(levels)
    skip = [total] * total
    for node in range(total - 1, -1, -1):
        after = node + 1
        while after < total and levels[after] > levels[node]:
            after = skip[after]
        skip[node] = after
    return np.array(skip, dtype=np.int32)
