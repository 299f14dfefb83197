"""Random walks under a grammar's masks, many at once, none of which ever turns back.

A walk first takes so many tokens at random, then hurries: it ends where it may, and else takes single bytes, those
that close something far more often than those that open. Every token is one of the mask's, so that a walk which stands
before an empty mask has found a dead end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from smcdsl.automaton.automaton import DEAD, TokenAutomaton
from smcdsl.vocabulary import Vocabulary

MOST_FREE = 40
"""Tokens at random at most, before a walk hurries to its end."""
GIVE_UP = 5000
"""Steps after which a walk counts as one that does not end."""

_BLANK = b" \t\r\n\f"
_PLAIN = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_ORDERS = {
    "in a text": ((b"\"'\n", 1.0), (b"}@`]", 0.2)),
    "outside": (
        (b")]}", 1.0),
        (_BLANK, 0.2),
        (_PLAIN, 1e-2),
        (b"\"'", 5e-2),
        (b"+-*/%|&<>=!~^", 4e-3),
        (b"([{,", 2e-3),
    ),
}
"""How readily a walk that hurries takes a byte: in quotes or a comment first of all what ends them, elsewhere what
closes brackets, then words, which end some things too, and last of all what opens brackets or goes on with an
expression or a list. `@` is what the letters before it wait for in an address."""
_ANYWHERE = b"?}"
"""Bytes that may both come only where all characters may."""


@dataclass
class Walk:
    """Where one walk is."""

    free: int
    """Tokens it takes at random."""
    usual: bool
    """Whether it prefers tokens that are usual."""
    state: int
    tokens: list[int] = field(default_factory=list)
    fault: str = ""


class RandomWalks:
    """Walks of one grammar over one vocabulary.

    Args:
        usual: tokens of real texts, as often as they come there; half of the walks prefer these.
    """

    def __init__(self, automaton: TokenAutomaton, vocabulary: Vocabulary, usual: Sequence[int]) -> None:
        self._automaton, self._vocabulary = automaton, vocabulary
        self._ends = np.array(vocabulary.end_of_turn, dtype=np.int64)
        self._usual = np.bincount(usual, minlength=len(vocabulary)) + 1e-3
        self._bytes = np.array([token for token, spelled in enumerate(vocabulary.token_bytes) if len(spelled) == 1])
        spelled = [vocabulary.token_bytes[token] for token in self._bytes.tolist()]
        self._willingness = {
            mood: np.array([next((weight for members, weight in order if byte in members), 2e-2) for byte in spelled])
            for mood, order in _ORDERS.items()
        }
        self._anywhere = np.array([self._bytes[spelled.index(bytes([byte]))] for byte in _ANYWHERE])
        self._blank = np.array([byte in _BLANK for byte in spelled])

    def walk(self, count: int, chance: np.random.Generator) -> list[Walk]:
        """So many walks, each to its end, to a dead end or to `GIVE_UP` steps; the last two have a fault."""
        frees = chance.integers(0, MOST_FREE, count, endpoint=True).tolist()
        walks = [Walk(free, number % 2 == 1, self._automaton.start) for number, free in enumerate(frees)]
        going = walks
        for _ in range(GIVE_UP):
            going = self._step(going, chance)
            if not going:
                return walks
        for walk in going:
            walk.fault = f"no end after {GIVE_UP} tokens"
        return walks

    def text(self, walk: Walk) -> bytes:
        """What a walk has written."""
        return self._vocabulary.spell(walk.tokens)

    def _step(self, walks: list[Walk], chance: np.random.Generator) -> list[Walk]:
        """One token for each; those that go on."""
        numbers = self._automaton.rows(np.array([walk.state for walk in walks]))
        # Rows are good until the next call only.
        masks = {number: self._automaton.row_table[number].copy() for number in np.unique(numbers).tolist()}
        on_row: dict[int, list[Walk]] = {number: [] for number in masks}
        for walk, number in zip(walks, numbers.tolist()):
            on_row[number].append(walk)
        chosen: list[tuple[Walk, int]] = []
        for number, group in on_row.items():
            chosen += self._choose(masks[number], group, chance)
        after = self._automaton.advance(
            np.array([walk.state for walk, _ in chosen], dtype=np.int64),
            np.array([token for _, token in chosen], dtype=np.int64),
        )
        finished = self._automaton.finished(after)
        return [
            walk for (walk, token), s, f in zip(chosen, after.tolist(), finished.tolist()) if _go(walk, token, s, f)
        ]

    def _choose(
        self, mask: NDArray[np.uint32], walks: list[Walk], chance: np.random.Generator
    ) -> list[tuple[Walk, int]]:
        """A token of the mask for each walk; those before a dead end get none."""
        if not mask.any():
            for walk in walks:
                walk.fault = "dead end"
            return []
        found: list[tuple[Walk, int]] = []
        by_mood: dict[str, list[Walk]] = {}
        for walk in walks:
            by_mood.setdefault(self._mood(walk), []).append(walk)
        for mood, group in by_mood.items():
            found += zip(group, _draw(*self._choices(mask, mood), len(group), chance))
        return found

    def _mood(self, walk: Walk) -> str:
        if len(walk.tokens) < walk.free:
            return "usual" if walk.usual else "uniform"
        after_blank = bool(walk.tokens) and self._vocabulary.token_bytes[walk.tokens[-1]][-1:] in _BLANK
        return "hurried after a blank" if after_blank else "hurried"

    def _choices(self, mask: NDArray[np.uint32], mood: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Tokens of a mask, and how willingly each is taken."""
        if mood.startswith("hurried"):
            ends = self._ends[_has(mask, self._ends)]
            if len(ends):
                return ends, np.ones(len(ends))
            order = "in a text" if _has(mask, self._anywhere).all() else "outside"
            allowed = _has(mask, self._bytes)
            willing = self._willingness[order]
            if mood.endswith("blank"):
                # Blanks may often follow blanks for ever, and are needed only where lines are indented.
                willing = np.where(self._blank, 0.01 * willing, willing)
            if allowed.any():
                return self._bytes[allowed], willing[allowed]
        tokens = np.flatnonzero(np.unpackbits(mask.view(np.uint8), bitorder="little"))
        others = tokens[~np.isin(tokens, self._ends)]
        tokens = others if len(others) else tokens
        return tokens, self._usual[tokens] if mood == "usual" else np.ones(len(tokens))


def _go(walk: Walk, token: int, after: int, finished: bool) -> bool:
    """Take a token; whether the walk goes on."""
    walk.tokens.append(token)
    walk.state = after
    if after == DEAD:
        walk.fault = "a token of the mask was refused"
    return after != DEAD and not finished


def _has(mask: NDArray[np.uint32], tokens: NDArray[np.int64]) -> NDArray[np.bool_]:
    return (mask[tokens >> 5] >> (tokens & 31).astype(np.uint32) & 1).astype(bool)


def _draw(
    tokens: NDArray[np.int64], weights: NDArray[np.float64], count: int, chance: np.random.Generator
) -> list[int]:
    sums = np.cumsum(weights)
    places = np.searchsorted(sums, chance.random(count) * sums[-1], side="right")
    return tokens[np.minimum(places, len(tokens) - 1)].tolist()


@dataclass(frozen=True)
class Outcome:
    """What became of some walks: those that ended, and what is wrong with each of the others or its text."""

    walks: int
    ended: int
    accepted: int
    tokens: int
    faults: tuple[str, ...]

    def __add__(self, other: Outcome) -> Outcome:
        return Outcome(
            self.walks + other.walks,
            self.ended + other.ended,
            self.accepted + other.accepted,
            self.tokens + other.tokens,
            self.faults + other.faults,
        )

    def __str__(self) -> str:
        line = f"{self.walks} walks, {self.ended} ended, {self.accepted} texts accepted, {self.tokens} tokens"
        return "\n".join([line, *self.faults])


def judged(walks: RandomWalks, how_many: int, seed: int, mistake: Callable[[str], str | None]) -> Outcome:
    """Walk, and ask another parser about the texts.

    Args:
        mistake: what is wrong with a text, or None.
    """
    found = walks.walk(how_many, np.random.default_rng(seed))
    ended = [walk for walk in found if not walk.fault]
    faults = [f"{walk.fault}: ... {walks.text(walk)[-200:]!r}" for walk in found if walk.fault]
    wrong = [f"{said}: {text!r}" for walk in ended if (said := _said(text := walks.text(walk), mistake)) is not None]
    tokens = sum(len(walk.tokens) for walk in found)
    return Outcome(how_many, len(ended), len(ended) - len(wrong), tokens, (*faults, *wrong))


def _said(text: bytes, mistake: Callable[[str], str | None]) -> str | None:
    try:
        return mistake(text.decode())
    except UnicodeDecodeError as error:
        return str(error)
