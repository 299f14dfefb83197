"""Prefixes: token sequences as nodes of a trie, so that a prefix is one int.

Particles share what they have in common, equal prefixes are equal ints, and a model's cache is keyed
by them. The trie only grows within a run and dies with it (path storage costs O(T + C N log N):
Jacob, Murray and Rubenthaler 2015).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

ROOT = 0
_FACTOR, _WORD = 0x9E3779B97F4A7C15, 2**64 - 1


class Prefixes:
    """The trie of all prefixes of one run. Prefix 0 is empty."""

    def __init__(self) -> None:
        self.parents = np.full(1024, -1, dtype=np.int64)
        self.tokens = np.full(1024, -1, dtype=np.int64)
        self.lengths = np.zeros(1024, dtype=np.int64)
        self.histories = np.zeros(1024, dtype=np.uint64)
        """A hash of all tokens of each prefix: the same in every run."""
        self._count = 1
        self._children: dict[int, int] = {}

    def __len__(self) -> int:
        return self._count

    def extend(self, prefix: int, tokens: Iterable[int]) -> int:
        """The prefix `prefix` followed by `tokens`."""
        for token in tokens:
            prefix = self._child(prefix, int(token))
        return prefix

    def extend_each(self, prefixes: NDArray[np.int64], tokens: NDArray[np.int64]) -> NDArray[np.int64]:
        """(N,) prefixes, each followed by its one token."""
        keys = (prefixes << 32) | tokens
        return np.array([self._child(key >> 32, key & 0xFFFFFFFF) for key in keys.tolist()], dtype=np.int64)

    def sequence(self, prefix: int, since: int = ROOT) -> list[int]:
        """Its tokens, those after its ancestor `since` only."""
        tokens: list[int] = []
        while prefix != since:
            if prefix == ROOT:
                raise ValueError("`since` is not an ancestor of `prefix`")
            tokens.append(int(self.tokens[prefix]))
            prefix = int(self.parents[prefix])
        return tokens[::-1]

    def _child(self, prefix: int, token: int) -> int:
        key = (prefix << 32) | token
        child = self._children.get(key)
        if child is None:
            child = self._count
            if child == len(self.parents):
                self._grow()
            self.parents[child], self.tokens[child] = prefix, token
            self.lengths[child] = self.lengths[prefix] + 1
            self.histories[child] = _mixed(int(self.histories[prefix]), token)
            self._children[key] = child
            self._count += 1
        return child

    def _grow(self) -> None:
        for name in ("parents", "tokens", "lengths", "histories"):
            array = getattr(self, name)
            setattr(self, name, np.concatenate([array, np.zeros_like(array)]))


def _mixed(history: int, token: int) -> int:
    """The hash of a history and one more token."""
    mixed = (history + token + 1) * _FACTOR & _WORD
    mixed ^= mixed >> 29
    return mixed * 0xBF58476D1CE4E5B9 & _WORD
