"""Suffix matches: what followed the last tokens elsewhere in the prompt, in a particle's own text or its siblings'.

An index of token sequences as counts: the last n tokens, as one number, and how often each token came next, for a
few n. A token of the trie is counted once, however many particles share it, so taking in a step of N particles costs
a few microseconds for each new token, and a guess as much (`benchmarks/inference/speculation.py` has figures).
A wrong guess costs a row of a forward pass and nothing else, so numbers that collide do no harm.

Sources: prompt lookup and n-gram drafts are folklore; trees over earlier outputs as in SuffixDecoding
(Oliaro et al. 2024, arXiv:2411.04975).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from smcdsl.prefixes import ROOT, Prefixes

MATCH_LENGTHS = (8, 6, 4, 3, 2, 1)
"""How many last tokens are compared, the longest first."""
_LONGEST = MATCH_LENGTHS[0]
_MODULUS = (1 << 61) - 1
_MULTIPLIER = 0x1F3D5B79ACE24681 % _MODULUS
_POWERS = [pow(_MULTIPLIER, exponent, _MODULUS) for exponent in range(_LONGEST)]
_CANDIDATES = 4
"""So many continuations of a match are tried before a shorter match is."""


class Guess(NamedTuple):
    """A token that may come next: after how many equal tokens it was found, and whether nothing else followed them."""

    token: int
    match: int
    sole: bool


Counts = dict[int, dict[int, int]]
"""Last tokens, as one number -> the tokens that came next, how often, the latest of them last."""


class SuffixIndex:
    """Token sequences of one run.

    Args:
        prefixes: the run's trie.
        counts: where to count: a run's own, or what several runs share.
    """

    def __init__(self, prefixes: Prefixes, counts: Counts | None = None) -> None:
        self._prefixes = prefixes
        self._recent: dict[int, tuple[int, ...]] = {ROOT: ()}
        self._next: Counts = {} if counts is None else counts

    def __len__(self) -> int:
        """How many tokens have been taken in."""
        return len(self._recent) - 1

    def add(self, prefixes: Iterable[int]) -> None:
        """Take in the tokens of these prefixes that are new; their ancestors share theirs."""
        recent, parents, tokens = self._recent, self._prefixes.parents, self._prefixes.tokens
        for prefix in prefixes:
            path = []
            while prefix not in recent:
                path.append(prefix)
                prefix = int(parents[prefix])
            before = recent[prefix]
            for node in reversed(path):
                token = int(tokens[node])
                self._count(before, token)
                before = recent[node] = (*before, token)[-_LONGEST:]

    def recent(self, prefix: int) -> tuple[int, ...]:
        """The last tokens of a prefix, as many as matches look at."""
        known = self._recent.get(prefix)
        if known is None:
            self.add((prefix,))
            known = self._recent[prefix]
        return known

    def guess(self, recent: tuple[int, ...], allows: Callable[[int], bool], shortest: int = 1) -> Guess | None:
        """The most frequent legal token after the longest match of the last tokens.

        Args:
            recent: the last tokens.
            allows: whether a token is legal here; asked of the likeliest first.
            shortest: matches of fewer tokens are not looked at.
        """
        hashes = _hashes(recent)
        for length in MATCH_LENGTHS:
            if length > len(recent):
                continue
            if length < shortest:
                return None
            following = self._next.get(hashes[length - 1])
            if following is None:
                continue
            if len(following) == 1:
                (token,) = following
                if allows(token):
                    return Guess(token, length, True)
                continue
            # Of those as frequent, the one that came last.
            for token in sorted(following, key=following.__getitem__)[: -_CANDIDATES - 1 : -1]:
                if allows(token):
                    return Guess(token, length, False)
        return None

    def _count(self, before: tuple[int, ...], token: int) -> None:
        hashes = _hashes(before)
        for length in MATCH_LENGTHS:
            if length > len(before):
                continue
            following = self._next.get(hashes[length - 1])
            if following is None:
                self._next[hashes[length - 1]] = {token: 1}
            else:
                # Taken out and put in again, so that the one that came last stands last.
                following[token] = following.pop(token, 0) + 1


def _hashes(recent: tuple[int, ...]) -> list[int]:
    """A number for the last 1, 2, ... of these tokens; lengths have numbers of their own."""
    value, found = 0, []
    for power, token in zip(_POWERS, reversed(recent)):
        # One is added so that a first token 0 counts.
        value = (value + (token + 1) * power) % _MODULUS
        found.append(value)
    return found
