"""A grammar tried on texts without a model: byte by byte, by the automaton that runs use.

Limits on tokens need a tokenizer and do not count here; `TriedGrammar.without` says which were left out.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from typing import TYPE_CHECKING

import numpy as np

from smcdsl.program.grammar import Condition, Grammar, Limit
from smcdsl.vocabulary import Vocabulary

if TYPE_CHECKING:
    from smcdsl.automaton.automaton import TokenAutomaton

_END = 256
BYTES = Vocabulary((*(bytes([value]) for value in range(256)), b""), (_END,), ((_END, "end of text"),))
"""Every byte is a token, and the end is one more."""

_WORD = 48
"""Bytes of a forced text that are shown as one way to go on."""
_HURRY = 60
"""Samples longer than this take the shortest way to an end."""
_MOST_STEPS = 20_000
"""States that a search for an end visits."""
_DEAD = -1
_READABLE = frozenset(range(32, 127)) | {ord("\n")}
_BLANKS = frozenset(b" \t\n\r\f\v")


@dataclass(frozen=True)
class Reading:
    """How far a text is in the language.

    `read` bytes are the beginning of some text of the language; `accepted` says that all were read and the text
    may end there.
    """

    read: int
    accepted: bool


@dataclass(frozen=True)
class Ways:
    """What may follow a text: forced texts by their first byte, bytes that force nothing, and the end."""

    texts: tuple[bytes, ...]
    bytes: tuple[int, ...]
    may_end: bool


class TriedGrammar:
    """A closed grammar over bytes.

    Raises:
        CompileError: the grammar is wrong, empty or too large.
    """

    def __init__(self, grammar: Grammar, state_limit: int) -> None:
        from smcdsl.automaton.automaton import TokenAutomaton
        from smcdsl.compiler.assemble import compile_grammar

        self.without = tuple(each for each in grammar.conditions if _counts_tokens(each))
        rest = tuple(each for each in grammar.conditions if not _counts_tokens(each))
        tables = compile_grammar(replace(grammar, conditions=rest), BYTES, state_limit=state_limit, checked=False)
        self.automaton: TokenAutomaton = TokenAutomaton(tables, None)

    def read(self, text: bytes) -> Reading:
        """Read a text from its beginning."""
        state, read = self._after(text)
        return Reading(read, read == len(text) and self._may_end(state))

    def ways(self, prefix: bytes) -> Ways | None:
        """What may follow `prefix`; None if no text of the language begins with it."""
        state, read = self._after(prefix)
        if read < len(prefix):
            return None
        texts, alone = [], []
        for byte in self._bytes(state):
            after = self.automaton.next(state, byte)
            more = self.automaton.forced(after)[: _WORD - 1]
            if more:
                texts.append(bytes([byte]) + more)
            else:
                alone.append(byte)
        return Ways(tuple(texts), tuple(alone), self._may_end(state))

    def sample(self, numbers: random.Random) -> bytes | None:
        """A text of the language; None where no end was found.

        Each step chooses among the ways that lead to different places, each as likely as the other, then among their
        bytes. Of bytes that do the same, control characters, those beyond ASCII, and upper case beside lower case are
        left out, and so is a second blank. So it shows what the grammar allows, and says nothing of what a model
        would write.
        """
        state, text = self.automaton.start, bytearray()
        while len(text) < _HURRY:
            places: dict[int, list[int]] = {}
            possible = self._bytes(state)
            shown = [byte for byte in possible if byte in _READABLE and not (byte in _BLANKS and text[-1:].isspace())]
            for byte in shown or possible:
                places.setdefault(self.automaton.next(state, byte), []).append(byte)
            choices = sorted(places) + ([_DEAD] if self._may_end(state) else [])
            chosen = numbers.choice(choices)
            if chosen == _DEAD:
                return bytes(text)
            text.append(numbers.choice(_plain(places[chosen])))
            state = chosen
        ending = self._ending(state)
        return None if ending is None else bytes(text) + ending

    def _after(self, text: bytes) -> tuple[int, int]:
        """(the state after as many bytes as can be read, how many they are)."""
        state = self.automaton.start
        for read, byte in enumerate(text):
            after = self.automaton.next(state, byte)
            if after == _DEAD:
                return state, read
            state = after
        return state, len(text)

    def _bytes(self, state: int) -> list[int]:
        return [int(token) for token in self._tokens(state) if token != _END]

    def _may_end(self, state: int) -> bool:
        return _END in self._tokens(state)

    def _tokens(self, state: int) -> list[int]:
        bits = np.unpackbits(self.automaton.mask(state).view(np.uint8), bitorder="little")
        return np.flatnonzero(bits[: _END + 1]).tolist()

    def _ending(self, state: int) -> bytes | None:
        """A short text that ends after `state`: a search that goes first where the fewest bytes are left."""
        came: dict[int, tuple[int, int]] = {state: (_DEAD, 0)}
        agenda = [(0, 0, 0, state)]
        while agenda and len(came) < _MOST_STEPS:
            _, _, length, current = heappop(agenda)
            if self._may_end(current):
                return _way_back(came, current)
            for byte in self._bytes(current):
                after = self.automaton.next(current, byte)
                if after not in came:
                    came[after] = (current, byte)
                    least = length + 1 + self.automaton.bytes_left(after)
                    heappush(agenda, (least, len(came), length + 1, after))
        return None


def _plain(same: list[int]) -> list[int]:
    """Of bytes that lead to the same place, those that a reader would expect."""
    if ord(" ") in same:
        same = [byte for byte in same if byte not in _BLANKS - {ord(" ")}]
    return [byte for byte in same if not (chr(byte).isupper() and byte + 32 in same)]


def _way_back(came: dict[int, tuple[int, int]], state: int) -> bytes:
    text = bytearray()
    while came[state][0] != _DEAD:
        state, byte = came[state]
        text.append(byte)
    return bytes(reversed(text))


def _counts_tokens(condition: Condition) -> bool:
    return isinstance(condition, Limit) and condition.unit == "tokens"
