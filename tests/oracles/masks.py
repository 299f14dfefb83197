"""Admissible token sequences by the definition (language reference, 2.2.3), every token tried.

A language is given as the finite set of all its texts, or as two questions: is this a text, does some text
begin so. Nothing here knows how the automaton works.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from smcdsl.automaton.automaton import DEAD, TokenAutomaton
from smcdsl.vocabulary import Vocabulary


@dataclass(frozen=True)
class Language:
    """`contains`: is this a text; `begins`: does some text begin so."""

    contains: Callable[[bytes], bool]
    begins: Callable[[bytes], bool]

    @staticmethod
    def of(texts: set[bytes]) -> Language:
        beginnings = {text[:n] for text in texts for n in range(len(text) + 1)}
        return Language(texts.__contains__, beginnings.__contains__)


def end_of_hole(text: bytes, language: Language, following: bytes) -> int | None:
    """How many bytes of `following` end the text of an admissible sequence; None if it has not ended."""
    splits = [k for k in range(1, min(len(following), len(text)) + 1) if text.endswith(following[:k])]
    splits = [k for k in splits if language.contains(text[: len(text) - k])]
    if len(following) in splits:
        return len(following)
    if splits and not language.begins(text):
        return max(splits)
    return None


def is_open(text: bytes, language: Language, following: bytes | None) -> bool:
    """Whether some bytes after `text` make it admissible, if every byte is a token."""
    if following is None:
        return language.begins(text)
    return end_of_hole(text, language, following) is not None or language.begins(text)


def can_end(
    text: bytes, tokens: tuple[bytes, ...], language: Language, following: bytes | None, known: dict[bytes, bool]
) -> bool:
    """Whether some tokens after `text` make it admissible; for finite languages."""
    if text not in known:
        ended = language.contains(text) if following is None else end_of_hole(text, language, following) is not None
        known[text] = ended or any(
            token
            and is_open(text + token, language, following)
            and can_end(text + token, tokens, language, following, known)
            for token in tokens
        )
    return known[text]


def allowed(automaton: TokenAutomaton, state: int, vocab_size: int) -> set[int]:
    """The tokens of a mask."""
    (row,) = automaton.masks(np.array([state], dtype=np.int64))
    bits = np.unpackbits(row.astype("<u4").view(np.uint8), bitorder="little")
    return set(np.flatnonzero(bits[:vocab_size]).tolist())


def step(automaton: TokenAutomaton, state: int, token: int) -> int:
    return int(automaton.advance(np.array([state], dtype=np.int64), np.array([token], dtype=np.int64))[0])


def accepts(automaton: TokenAutomaton, vocabulary: Vocabulary, text: str) -> bool:
    """Whether a hole may be this text and no more, written in single-byte tokens."""
    state = automaton.start
    for byte in text.encode():
        state = step(automaton, state, vocabulary.token_bytes.index(bytes([byte])))
        if state == DEAD:
            return False
    return vocabulary.end_of_turn[0] in allowed(automaton, state, len(vocabulary))


def check_walk(
    automaton: TokenAutomaton,
    vocabulary: Vocabulary,
    language: Language,
    following: bytes | None,
    choose: Callable[[list[int]], int],
    steps: int,
    complete: bool,
) -> None:
    """Walk from the start along allowed tokens; at every state compare the mask with trying every token.

    `complete`: every byte is a token by itself, so that what can be continued by bytes can be by tokens.
    """
    known: dict[bytes, bool] = {}

    def expected(text: bytes) -> set[int]:
        found = set()
        for token, piece in enumerate(vocabulary.token_bytes):
            after = text + piece
            possible = piece and is_open(after, language, following)
            if possible and (complete or can_end(after, vocabulary.token_bytes, language, following, known)):
                found.add(token)
        if following is None and language.contains(text):
            found.update(vocabulary.end_of_turn)
        return found

    state, text = automaton.start, b""
    for _ in range(steps):
        mask = allowed(automaton, state, len(vocabulary))
        assert mask == expected(text), (text, following)
        for token in range(len(vocabulary)):
            if token not in mask:
                assert step(automaton, state, token) == DEAD, (text, token)
        if not mask:
            return
        token = choose(sorted(mask))
        state = step(automaton, state, token)
        text += vocabulary.token_bytes[token]
        assert state != DEAD
        states = np.array([state])
        if token in vocabulary.end_of_turn:
            assert automaton.finished(states)[0]
            assert automaton.written(states)[0] == 0
            return
        written = None if following is None else end_of_hole(text, language, following)
        assert automaton.finished(states)[0] == (written is not None), (text, following)
        if written is not None:
            assert automaton.written(states)[0] == written
            return
