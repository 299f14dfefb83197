"""Drafts: tokens proposed cheaply, for the target model to check several at a time.

A source drafts for particles that write a hole. It may draw tokens from a law (a draft model) or name one token
(forced text, a match with earlier text): a point mass. The law of a run never depends on it, only the number
of target passes does, on one condition: what is drafted depends on nothing but what is visible when the round
begins, that is the particles' prefixes and states, and on numbers of `Purpose.DRAFT`.

A run asks `propose` once a round. Sources are made for a run by a `Maker`, for which `Surroundings` hold what
there is to draft from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from smcdsl.inference.draws import Draws
from smcdsl.inference.holes import Automaton
from smcdsl.inference.particles import Frames
from smcdsl.inference.proposals import Lookaheads, TokenRule, no_lookahead
from smcdsl.prefixes import Prefixes
from smcdsl.protocols import LanguageModel

MOST_DRAFTED = 64
"""No round drafts more tokens for a particle, so its numbers are from `round * MOST_DRAFTED` on."""


@dataclass(frozen=True)
class Surroundings:
    """What a source may use in one run; a number of `draws` is keyed as `Requests` says.

    `temperature`, the tokens' `rule` and the `lookaheads` are the target's: a drafted law is accepted more often
    under the same.
    """

    model: LanguageModel
    prefixes: Prefixes
    frames: Frames
    automata: list[Automaton]
    draws: Draws
    temperature: float = 1.0
    rule: TokenRule = field(default_factory=TokenRule)
    lookaheads: Lookaheads = no_lookahead


@dataclass(frozen=True)
class Requests:
    """n particles that could use a draft, and the D distinct situations they are in.

    Every particle writes a hole. `room` is the most tokens that it can use; a source gives no token after one that
    ends the hole. The number of drafted token i is drawn at `steps` + i. `visible` are the prefixes of all living
    particles with their groups, for sources that read siblings; those of other groups are left alone, so that
    results do not depend on batching.
    """

    rows: NDArray[np.int64]  # (n,) the particle's situation
    groups: NDArray[np.int64]  # (n,)
    slots: NDArray[np.int64]  # (n,) in its group
    room: NDArray[np.int64]  # (n,)
    steps: NDArray[np.int64]  # (n,)
    frames: NDArray[np.int64]  # (D,)
    prefixes: NDArray[np.int64]  # (D,)
    automata: NDArray[np.int64]  # (D,) numbers in `Surroundings.automata`
    states: NDArray[np.int64]  # (D,)
    visible: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    visible_groups: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    def of(self, particles: NDArray[np.int64]) -> Requests:
        """The requests of some particles; situations are kept as they are."""
        return replace(
            self,
            rows=self.rows[particles],
            groups=self.groups[particles],
            slots=self.slots[particles],
            room=self.room[particles],
            steps=self.steps[particles],
        )


class Laws(NamedTuple):
    """L laws over tokens, one after another: law l has entries starts[l] : starts[l + 1]."""

    starts: NDArray[np.int64]  # (L + 1,)
    tokens: NDArray[np.int32]  # ascending in each law
    probabilities: NDArray[np.float64]  # sum to one in each law


NO_LAWS = Laws(np.zeros(1, dtype=np.int64), np.empty(0, dtype=np.int32), np.empty(0))


@dataclass(frozen=True)
class Drafted:
    """What was drafted for n particles: the tokens of particle i are at starts[i] : starts[i + 1].

    `states` are the automaton's after each token, never DEAD. `laws` is the row of `table` that a token was drawn
    from, under the mask of the state it was drawn in, or -1 where no other token could have come.
    """

    starts: NDArray[np.int64]  # (n + 1,)
    tokens: NDArray[np.int64]  # (m,)
    states: NDArray[np.int64]  # (m,)
    laws: NDArray[np.int64]  # (m,)
    table: Laws = NO_LAWS

    @classmethod
    def nothing(cls, count: int) -> Drafted:
        """No tokens for `count` particles."""
        none = np.empty(0, dtype=np.int64)
        return cls(np.zeros(count + 1, dtype=np.int64), none, none, none)

    @classmethod
    def certain(cls, tokens: Sequence[Sequence[int]], states: Sequence[Sequence[int]]) -> Drafted:
        """Point masses: tokens by particle, and the states after them."""
        starts = np.cumsum([0, *map(len, tokens)], dtype=np.int64)
        flat = np.array([token for own in tokens for token in own], dtype=np.int64)
        after = np.array([state for own in states for state in own], dtype=np.int64)
        return cls(starts, flat, after, np.full(len(flat), -1, dtype=np.int64))

    @property
    def lengths(self) -> NDArray[np.int64]:
        """(n,) tokens a particle."""
        return np.diff(self.starts)


class DraftSource(Protocol):
    """Drafts tokens for particles."""

    @property
    def name(self) -> str:
        """For reports."""
        ...

    @property
    def deterministic(self) -> bool:
        """Whether it names tokens and never draws them."""
        ...

    def propose(self, requests: Requests) -> Drafted:
        """Up to `room` tokens for every particle, none where there is nothing to say."""
        ...

    def retain(self, prefixes: NDArray[np.int64]) -> None:
        """From now on only these prefixes and their extensions are asked for: a hint, as `Session.retain`."""
        ...

    def close(self) -> None:
        """Free what it holds."""
        ...


Maker = Callable[[Surroundings], DraftSource]
"""Makes a source for one run."""


@dataclass
class Chain:
    """Several sources, the cheapest first: each goes on where those before it had no more to say."""

    sources: Sequence[DraftSource]
    surroundings: Surroundings

    @property
    def name(self) -> str:
        """Of all."""
        return " + ".join(source.name for source in self.sources)

    @property
    def deterministic(self) -> bool:
        """Whether all are."""
        return all(source.deterministic for source in self.sources)

    def propose(self, requests: Requests) -> Drafted:
        """See `DraftSource`."""
        found = Drafted.nothing(len(requests.rows))
        for source in self.sources:
            rest = self._rest(requests, found)
            open_ones = np.flatnonzero(rest.room > 0)
            if not len(open_ones):
                break
            found = joined(found, source.propose(rest.of(open_ones)), open_ones)
        return found

    def retain(self, prefixes: NDArray[np.int64]) -> None:
        """See `DraftSource`."""
        for source in self.sources:
            source.retain(prefixes)

    def close(self) -> None:
        """See `DraftSource`."""
        for source in self.sources:
            source.close()

    def _rest(self, requests: Requests, found: Drafted) -> Requests:
        """What is still wanted behind what was found."""
        lengths = found.lengths
        if not lengths.any():
            return requests
        last = found.starts[1:] - 1
        drafted = lengths > 0
        automata = requests.automata[requests.rows]
        prefixes, states = requests.prefixes[requests.rows], requests.states[requests.rows]
        states[drafted] = found.states[last[drafted]]
        prefixes = self._extended(prefixes, found)
        room = requests.room - lengths
        for number in np.unique(automata[drafted]).tolist():
            own = np.flatnonzero(drafted & (automata == number))
            room[own[self.surroundings.automata[number].finished(states[own])]] = 0
        return replace(
            requests,
            rows=np.arange(len(requests.rows)),
            frames=requests.frames[requests.rows],
            prefixes=prefixes,
            automata=automata,
            states=states,
            room=room,
            steps=requests.steps + lengths,
        )

    def _extended(self, prefixes: NDArray[np.int64], found: Drafted) -> NDArray[np.int64]:
        prefixes = prefixes.copy()
        for depth in range(int(found.lengths.max(initial=0))):
            longer = np.flatnonzero(found.lengths > depth)
            tokens = found.tokens[found.starts[longer] + depth]
            prefixes[longer] = self.surroundings.prefixes.extend_each(prefixes[longer], tokens)
        return prefixes


def joined(first: Drafted, second: Drafted, particles: NDArray[np.int64]) -> Drafted:
    """`first`, and behind it `second`, whose entries are those of some `particles` of `first`."""
    lengths = np.zeros(len(first.starts) - 1, dtype=np.int64)
    lengths[particles] = second.lengths
    starts = first.starts + np.concatenate([[0], np.cumsum(lengths)])
    size = int(starts[-1])
    old = np.arange(len(first.tokens)) + np.repeat(starts[:-1] - first.starts[:-1], first.lengths)
    behind = starts[:-1][particles] + first.lengths[particles]
    new = np.arange(len(second.tokens)) + np.repeat(behind - second.starts[:-1], second.lengths)

    def merged(one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.int64]:
        both = np.empty(size, dtype=np.int64)
        both[old], both[new] = one, other
        return both

    known = len(first.table.starts) - 1
    laws = np.where(second.laws >= 0, second.laws + known, -1)
    table = Laws(
        np.concatenate([first.table.starts, first.table.starts[-1] + second.table.starts[1:]]),
        np.concatenate([first.table.tokens, second.table.tokens]),
        np.concatenate([first.table.probabilities, second.table.probabilities]),
    )
    return Drafted(
        starts,
        merged(first.tokens, second.tokens),
        merged(first.states, second.states),
        merged(first.laws, laws),
        table,
    )
