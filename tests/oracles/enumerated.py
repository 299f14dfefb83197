"""A token automaton for a finite language, by trying everything: what `TokenAutomaton` promises, by definition."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np

from smcdsl.automaton.applying import Allowed
from smcdsl.vocabulary import Vocabulary


class Site(NamedTuple):
    rule: str
    start: int
    end: int


@dataclass(frozen=True)
class Language:
    """Texts, and the sites of each text."""

    texts: frozenset[bytes]
    sites_of: Callable[[bytes], tuple[Site, ...]] = lambda text: ()
    rules: tuple[str, ...] = ()


def language(
    texts: Iterable[str], rules: tuple[str, ...] = (), sites_of: Callable[[bytes], tuple[Site, ...]] | None = None
) -> Language:
    return Language(frozenset(text.encode() for text in texts), sites_of or (lambda text: ()), rules)


def runs_of(letters: str, rule: str = "run") -> Callable[[bytes], tuple[Site, ...]]:
    """Sites: maximal stretches of the same letter, closed by the next letter or the end."""

    def sites(text: bytes) -> tuple[Site, ...]:
        found, start = [], 0
        for end in range(1, len(text) + 1):
            if end == len(text) or text[end] != text[start]:
                if chr(text[start]) in letters:
                    found.append(Site(rule, start, end))
                start = end
        return tuple(found)

    return sites


def letters_of(letters: str, rule: str = "letter") -> Callable[[bytes], tuple[Site, ...]]:
    """Sites: every single letter of `letters`."""
    return lambda text: tuple(Site(rule, place, place + 1) for place in range(len(text)) if chr(text[place]) in letters)


def splits(texts: frozenset[bytes], following: bytes, written: bytes) -> list[int]:
    """Lengths of the hole's text for which `written` has ended the hole."""
    found = []
    for length in range(len(written)):
        u = written[length:]
        if written[:length] in texts and following.startswith(u):
            certain = u == following or not any(text.startswith(written) for text in texts)
            if certain:
                found.append(length)
    return found


class EnumeratedAutomaton:
    """States are numbers of byte strings; a state below zero is dead."""

    def __init__(self, language: Language, vocabulary: Vocabulary, following: bytes | None) -> None:
        self.language, self.vocabulary, self.following = language, vocabulary, following
        self.boundaries = language.rules
        self._states: list[tuple[bytes, bool]] = []
        self._numbers: dict[tuple[bytes, bool], int] = {}
        self.start = self._number(b"", False)
        self._can_finish = cache(self._search)

    def _number(self, text: bytes, ended: bool) -> int:
        if (text, ended) not in self._numbers:
            self._numbers[text, ended] = len(self._states)
            self._states.append((text, ended))
        return self._numbers[text, ended]

    def _is_finished(self, text: bytes, ended: bool) -> bool:
        if self.following is None:
            return ended
        return bool(splits(self.language.texts, self.following, text))

    def _search(self, text: bytes, ended: bool) -> bool:
        """Whether some tokens lead from here to a finished state."""
        if self._is_finished(text, ended):
            return True
        return any(self._can_finish(*after) for after in self._successors(text, ended).values())

    def _successors(self, text: bytes, ended: bool) -> dict[int, tuple[bytes, bool]]:
        if self._is_finished(text, ended):
            return {}
        found = {}
        for token, spelled in enumerate(self.vocabulary.token_bytes):
            if token in self.vocabulary.end_of_turn:
                if self.following is None and text in self.language.texts:
                    found[token] = (text, True)
            elif spelled and self._is_possible(text + spelled):
                found[token] = (text + spelled, False)
        return found

    def _is_possible(self, text: bytes) -> bool:
        whole = (other + (self.following or b"") for other in self.language.texts)
        return any(other.startswith(text) for other in whole)

    def masks(self, states):
        words = -(-len(self.vocabulary) // 32)
        masks = np.zeros((len(states), words), dtype=np.uint32)
        for row, state in enumerate(states.tolist()):
            for token, after in self._successors(*self._states[state]).items():
                if self._can_finish(*after):
                    masks[row, token // 32] |= np.uint32(1 << token % 32)
        return masks

    def mask(self, state):
        return self.masks(np.array([state]))[0]

    def next(self, state, token):
        return int(self.advance(np.array([state]), np.array([token]))[0])

    def forced(self, state):
        """The longest text that every way to the end begins with."""
        if self._is_finished(*self._states[state]):
            return b""
        written = self._states[state][0]
        ways = [text[len(written) :] for text in self.language.texts if text.startswith(written)]
        if self.following is not None or not ways:
            return b""
        first, last = min(ways), max(ways)
        return first[: next((n for n, (a, b) in enumerate(zip(first, last)) if a != b), len(first))]

    def pick(self, states, values, rows):
        bits = np.unpackbits(self.masks(states).view(np.uint8), axis=1, bitorder="little").astype(bool)
        tokens = [np.flatnonzero(row).astype(np.int32) for row in bits]
        starts = np.cumsum([0, *map(len, tokens)])
        return Allowed(starts, np.concatenate(tokens), np.concatenate([values[r, t] for r, t in zip(rows, tokens)]))

    def advance(self, states, tokens):
        result = []
        for state, token in zip(states.tolist(), tokens.tolist(), strict=True):
            after = None if state < 0 else self._successors(*self._states[state]).get(token)
            result.append(-1 if after is None or not self._can_finish(*after) else self._number(*after))
        return np.array(result, dtype=np.int64)

    def finished(self, states):
        return np.array([state >= 0 and self._is_finished(*self._states[state]) for state in states.tolist()])

    def written(self, states):
        if self.following is None:
            return np.zeros(len(states), dtype=np.int64)
        texts = [self._states[state][0] for state in states.tolist()]
        return np.array([len(text) - min(splits(self.language.texts, self.following, text)) for text in texts])

    def noticed(self, states, tokens, text_before):
        result = []
        for state, token in zip(states.tolist(), tokens.tolist(), strict=True):
            text = self._states[state][0]
            before = set(self.sites(text, False))
            new = set(self.sites(text + self.vocabulary.token_bytes[token], False)) - before
            rules = {site.rule for site in new}
            result.append(sum(1 << bit for bit, rule in enumerate(self.boundaries) if rule in rules))
        return np.array(result, dtype=np.uint64)

    def sites(self, text, complete):
        if complete:
            return tuple(sorted(self.language.sites_of(text), key=lambda site: site.end))
        ends = [other for other in self.language.texts if other.startswith(text)]
        if not ends:
            return ()
        common = set.intersection(*(set(self.language.sites_of(other)) for other in ends))
        return tuple(
            sorted((site for site in common if site.end <= len(text)), key=lambda site: (site.end, site.start))
        )
