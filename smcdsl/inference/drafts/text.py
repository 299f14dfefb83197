"""Drafts from text: what the grammar forces, and what followed the same tokens elsewhere.

Both name tokens and draw none. They go on in turns, token by token: forced text first, else the longest match whose
continuation is legal, as long as it is likely enough that the whole chain up to there is kept.
"""

from __future__ import annotations

from collections.abc import Hashable
from contextlib import nullcontext
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from smcdsl.inference.drafts.acceptance import Acceptance, Acceptances, Followed
from smcdsl.inference.drafts.drafting import Drafted, Requests, Surroundings
from smcdsl.inference.drafts.forced import Forced, ForcedText
from smcdsl.inference.drafts.suffix import MATCH_LENGTHS, Counts, SuffixIndex

FREE_ROWS = 11.0
"""Rows of a forward pass that cost as much as the pass itself: F / a of INFERENCE 2.8, as measured on a CPU."""

MOST_REMEMBERED = 1 << 20
"""Matches that are remembered from run to run; a few hundred megabytes."""
_FOR_FREE = 0.1
"""A match costs no pass of a model, so it may be kept this much less often."""
_CERTAIN, _SETTLED, _GROWING = "certain", "forced", "forced, may grow"
_PRIORS: dict[Hashable, float] = {_CERTAIN: 1.0, _SETTLED: 0.95, _GROWING: 0.3} | {
    (length, sole): prior + 0.05 * sole
    for length, prior in zip(MATCH_LENGTHS, (0.85, 0.8, 0.7, 0.6, 0.45, 0.25), strict=True)
    for sole in (False, True)
}


class _Link(NamedTuple):
    """One token of a chain, the state after it, and what kind of guess it is."""

    token: int
    state: int
    kind: Hashable


def break_even(num_rows: int, free_rows: float = FREE_ROWS) -> float:
    """How likely a chain must be kept up to a token for its row to pay.

    A row costs a, and saves its particle's share F / U + a of a pass over U rows. F is the fixed cost of a pass.
    """
    return 1.0 / (1.0 + free_rows / max(num_rows, 1))


def floors(requests: Requests, free_rows: float, by_group: bool) -> dict[int, float]:
    """`break_even` for each group, from the rows of all, or of its own so that the others have no part in it."""
    prefixes = requests.prefixes[requests.rows]
    total = break_even(len(np.unique(prefixes)), free_rows)
    if not by_group:
        return dict.fromkeys(requests.groups.tolist(), total)
    return {
        group: break_even(len(np.unique(prefixes[requests.groups == group])), free_rows)
        for group in np.unique(requests.groups).tolist()
    }


def text_acceptances(shared: bool = False) -> Acceptances:
    """Running acceptance that begins with what is usual of forced text and matches."""
    return Acceptances(_PRIORS, shared)


@dataclass
class Memory:
    """What was written and how drafts fared, over runs: for drafts that change nothing but the number of passes."""

    counts: Counts = field(default_factory=dict)
    acceptances: Acceptances = field(default_factory=lambda: text_acceptances(shared=True))
    lock: Lock = field(default_factory=Lock)

    def forget_much(self) -> None:
        """Start again once there is too much of it."""
        if len(self.counts) > MOST_REMEMBERED:
            self.counts.clear()


@dataclass
class TextDrafts:
    """The source `forced`, or with `suffixes` the source `suffix`; see the module.

    Args:
        suffixes: whether matches count; else forced text alone.
        memory: text of earlier runs, to which that of this one is added. Without it groups read their own text alone,
            so that what they draft depends on nothing else.
        rival: how often tokens of the source that comes next in the chain are kept; a match that is kept less often
            leaves the rest to that.
    """

    surroundings: Surroundings
    suffixes: bool = True
    memory: Memory | None = None
    free_rows: float = FREE_ROWS
    rival: Acceptances | None = None
    deterministic: bool = field(default=True, init=False)
    _indices: dict[int, SuffixIndex] = field(default_factory=dict, init=False)
    _forced: dict[int, ForcedText] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        if self.memory is not None:
            with self.memory.lock:
                self.memory.forget_much()
        self.acceptances = text_acceptances() if self.memory is None else self.memory.acceptances
        self._followed = Followed(self.surroundings.prefixes, self.acceptances)

    @property
    def name(self) -> str:
        """For reports."""
        return "suffix" if self.suffixes else "forced"

    def propose(self, requests: Requests) -> Drafted:
        """See `DraftSource`."""
        with nullcontext() if self.memory is None else self.memory.lock:
            return self._propose(requests)

    def _propose(self, requests: Requests) -> Drafted:
        self._followed.settle(requests)
        if self.suffixes:
            self._read(requests)
        floor = floors(requests, self.free_rows, by_group=self.rival is not None)
        chains: dict[tuple[int, int], list[_Link]] = {}
        rooms: dict[tuple[int, int], int] = {}
        keys = list(zip(requests.rows.tolist(), requests.groups.tolist()))
        for key, room in zip(keys, requests.room.tolist()):
            rooms[key] = max(rooms.get(key, 0), room)
        for (row, group), room in rooms.items():
            chains[row, group] = self._chain(requests, row, group, room, floor[group])
        own = [chains[key][:room] for key, room in zip(keys, requests.room.tolist())]
        self._followed.expect(requests, [[(link.token, link.kind) for link in links] for links in own])
        return Drafted.certain(
            [[link.token for link in links] for links in own], [[link.state for link in links] for links in own]
        )

    def retain(self, prefixes: NDArray[np.int64]) -> None:
        """What was read stays: dead particles' text is as good as any."""

    def close(self) -> None:
        """Forget what was read."""
        self._indices.clear()
        self._forced.clear()

    def _read(self, requests: Requests) -> None:
        """Take in the text that has become visible, group by group."""
        for group in np.unique(requests.visible_groups).tolist():
            own = requests.visible[requests.visible_groups == group]
            self._index(group).add(np.unique(own).tolist())

    def _index(self, group: int) -> SuffixIndex:
        group = self._reader(group)
        index = self._indices.get(group)
        if index is None:
            counts = self.memory.counts if self.memory is not None and self.suffixes else None
            index = self._indices[group] = SuffixIndex(self.surroundings.prefixes, counts)
        return index

    def _reader(self, group: int) -> int:
        """Whose text a group reads: its own, or everybody's."""
        return group if self.memory is None else 0

    def _chain(self, requests: Requests, row: int, group: int, room: int, floor: float) -> list[_Link]:
        """Tokens for one situation in one group."""
        number, state = int(requests.automata[row]), int(requests.states[row])
        automaton: Any = self.surroundings.automata[number]
        forced = self._forced.get(number)
        if forced is None:
            model = self.surroundings.model
            forced = self._forced[number] = ForcedText(automaton, model.vocabulary, model.encode)
        index = self._index(group)
        recent = index.recent(int(requests.prefixes[row]))
        acceptance, rival = self.acceptances[group], None if self.rival is None else self.rival[group].mean()
        kept = 1.0
        links: list[_Link] = []
        while len(links) < room:
            link = self._next(automaton, forced.after(state, recent), index, state, recent, acceptance)
            if link is None or (rival is not None and _is_match(link) and acceptance[link.kind] < rival - _FOR_FREE):
                break
            kept *= acceptance[link.kind]
            if kept < floor:
                break
            links.append(link)
            state = link.state
            if automaton.finished(np.array([state]))[0]:
                break
            recent = (*recent, link.token)[-MATCH_LENGTHS[0] :]
        return links

    def _next(
        self,
        automaton: Any,
        forced: Forced | None,
        index: SuffixIndex,
        state: int,
        recent: tuple[int, ...],
        acceptance: Acceptance,
    ) -> _Link | None:
        """The next token: of forced text if that is settled, else of a match, or of forced text that may be cut so."""
        after = -1

        def allows(token: int) -> bool:
            nonlocal after
            after = automaton.next(state, token)
            return after >= 0

        link = None
        if forced is not None and allows(forced.token):
            link = _Link(forced.token, after, _CERTAIN if forced.certain else _SETTLED if forced.settled else _GROWING)
        if link is not None and link.kind != _GROWING:
            return link
        guess = index.guess(recent, allows) if self.suffixes else None
        if guess is None:
            return link
        found = _Link(guess.token, after, (guess.match, guess.sole))
        return link if link is not None and acceptance[link.kind] > acceptance[found.kind] else found


def _is_match(link: _Link) -> bool:
    return isinstance(link.kind, tuple)
