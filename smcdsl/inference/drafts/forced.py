"""Forced text as a draft: what the grammar leaves no choice about, cut into tokens as the model's tokenizer cuts it.

A token is certain where the mask has no other. Text may be forced byte by byte without any token being so: then the
canonical tokens are likely and no more. They are proposed and the model decides, so that every way of cutting
the text keeps its probability (INFERENCE, 2.6; masks stay as they are, `automaton/forcing.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from smcdsl.errors import ModelError
from smcdsl.vocabulary import Vocabulary

_TAIL = 4
"""So many tokens before the forced text are cut together with it, to see where a token would go on."""
_KEPT = 1 << 16
_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class ForcingAutomaton(Protocol):
    """What forced text asks of an automaton."""

    def forced(self, state: int) -> bytes:
        """The text that every way on begins with."""
        ...

    def mask(self, state: int) -> NDArray[np.uint32]:
        """One bit a token that may come next."""
        ...


class Forced(NamedTuple):
    """The next token of forced text.

    `certain`: the mask has no other. `settled`: no token that is allowed reaches beyond the forced text, so what comes
    after it has no part in how it is cut.
    """

    token: int
    certain: bool
    settled: bool


class Choices:
    """Where a mask leaves no choice, remembered by state."""

    def __init__(self, automaton: ForcingAutomaton) -> None:
        self._automaton = automaton
        self._only: dict[int, int] = {}

    def only(self, state: int) -> int:
        """The one token that may come next; -1 if there are none or several."""
        known = self._only.get(state)
        return _remember(self._only, state, _only_token(self._automaton.mask(state))) if known is None else known


class ForcedText:
    """Forced text by state, remembered, for one automaton.

    Args:
        automaton: whose states are asked about.
        vocabulary: of the model that writes.
        encode: its tokenizer, text to tokens that spell it.
    """

    def __init__(self, automaton: ForcingAutomaton, vocabulary: Vocabulary, encode: Callable[[str], list[int]]) -> None:
        self._automaton, self._bytes, self._encode = automaton, vocabulary.token_bytes, encode
        self._lengths = np.array([len(token) for token in vocabulary.token_bytes])
        self._choices = Choices(automaton)
        self._forced: dict[int, tuple[bytes, bool]] = {}
        self._cut: dict[tuple[tuple[int, ...], bytes], int] = {}

    def after(self, state: int, recent: Sequence[int]) -> Forced | None:
        """The next token in a state after the last tokens `recent`; None if nothing is forced."""
        only = self._choices.only(state)
        if only >= 0:
            return Forced(only, True, True)
        known = self._forced.get(state)
        if known is None:
            known = _remember(self._forced, state, self._text(state))
        text, settled = known
        if not text:
            return None
        token = self._next_token(self._tail(recent), text)
        return Forced(token, False, settled) if token >= 0 else None

    def _text(self, state: int) -> tuple[bytes, bool]:
        """The forced text, and whether no allowed token reaches beyond it."""
        whole = self._automaton.forced(state)
        text = whole.decode(errors="ignore").encode()
        if not text:
            return b"", False
        allowed = np.unpackbits(self._automaton.mask(state).view(np.uint8), bitorder="little")
        return text, int(self._lengths[np.flatnonzero(allowed)].max(initial=0)) <= len(whole)

    def _tail(self, recent: Sequence[int]) -> tuple[int, ...]:
        """The last tokens that spell text, up to one that does not."""
        tail: list[int] = []
        for token in reversed(recent[-_TAIL:]):
            if not self._bytes[token]:
                break
            tail.append(token)
        return tuple(reversed(tail))

    def _next_token(self, tail: tuple[int, ...], text: bytes) -> int:
        """How the tokenizer goes on after `tail`, or after the part of it that it cuts so; -1 if that is unclear."""
        key = (tail, text)
        known = self._cut.get(key)
        if known is not None:
            return known
        found = -1
        for start in range(len(tail) + 1):
            kept = tail[start:]
            try:
                tokens = tuple(self._encode((b"".join(self._bytes[token] for token in kept) + text).decode()))
            except (UnicodeDecodeError, ModelError):
                # The tail begins within a character, or the vocabulary cannot spell the text.
                continue
            if tokens[: len(kept)] == kept and len(tokens) > len(kept):
                found = tokens[len(kept)]
                break
        return _remember(self._cut, key, found)


def _only_token(mask: NDArray[np.uint32]) -> int:
    """The one token that a mask allows; -1 if there are none or several."""
    words = np.flatnonzero(mask)
    if len(words) != 1:
        return -1
    word = int(mask[words[0]])
    return -1 if word & (word - 1) else 32 * int(words[0]) + word.bit_length() - 1


def _remember(known: dict[_Key, _Value], key: _Key, value: _Value) -> _Value:
    if len(known) >= _KEPT:
        known.clear()
    known[key] = value
    return value
