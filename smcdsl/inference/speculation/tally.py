"""What speculation did: counts by group for the result, and the account of each round for `gamma`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smcdsl.inference.drafts.drafting import MOST_DRAFTED, Drafted
from smcdsl.inference.speculation.gamma import Account, Gamma


@dataclass(frozen=True)
class Speculated:
    """What speculation did for one group.

    `blocks` counts passes of the target for a particle by the tokens that the particle wrote on their account.
    """

    proposed: int
    accepted: int
    passes: int
    blocks: dict[int, int]

    @property
    def acceptance(self) -> float | None:
        """Share of drafted tokens that were kept; None if there were none."""
        return self.accepted / self.proposed if self.proposed else None

    @property
    def tokens(self) -> int:
        """Tokens written, those of particles that did not go on included."""
        return sum(length * count for length, count in self.blocks.items())

    @property
    def mean_block(self) -> float:
        """Tokens a pass of the target for one particle."""
        return self.tokens / max(self.passes, 1)

    def as_json(self) -> dict[str, Any]:
        """For result records."""
        return {
            "acceptance": self.acceptance,
            "target_passes": self.passes,
            "saved_passes": self.tokens - self.passes,
            "blocks": {str(length): count for length, count in sorted(self.blocks.items())},
        }


def total(parts: Iterable[Speculated | None]) -> Speculated | None:
    """What speculation did in all of several runs; None where none of them had drafts."""
    known = [part for part in parts if part is not None]
    if not known:
        return None
    blocks: Counter[int] = Counter()
    for part in known:
        blocks.update(part.blocks)
    return Speculated(
        sum(part.proposed for part in known),
        sum(part.accepted for part in known),
        sum(part.passes for part in known),
        dict(blocks),
    )


_NONE = np.empty(0, dtype=np.int64)


class Tally:
    """Counts of one sweep. Slots are counted over all groups."""

    def __init__(self, groups: int, size: int, gamma: Gamma) -> None:
        self._size, self._gamma = size, gamma
        self._proposed, self._accepted = np.zeros(groups, dtype=np.int64), np.zeros(groups, dtype=np.int64)
        self._passes = np.zeros(groups, dtype=np.int64)
        self._blocks = np.zeros((groups, MOST_DRAFTED + 2), dtype=np.int64)
        self._since = np.zeros(groups * size, dtype=np.int64)
        # Prefixes along each slot's draft, -1 behind its end, and how far along the particle is.
        self._most = gamma.most
        self._chains = np.full((groups * size, self._most + 1), -1, dtype=np.int64)
        self._along = np.full(groups * size, self._most, dtype=np.int64)
        self._round: tuple[int, int, int, int] | None = None
        self._seconds: tuple[float, float, float] | None = None
        self._emitted = 0
        self._depth_drafted = np.zeros(self._most + 1, dtype=np.int64)
        self._depth_accepted = np.zeros(self._most + 1, dtype=np.int64)

    def of(self, group: int) -> Speculated:
        """What happened in a group so far."""
        blocks = self._blocks[group].copy()
        own = self._since[group * self._size : (group + 1) * self._size]
        np.add.at(blocks, np.minimum(own, MOST_DRAFTED + 1), 1)
        lengths = {length: int(blocks[length]) for length in np.flatnonzero(blocks).tolist() if length}
        return Speculated(int(self._proposed[group]), int(self._accepted[group]), int(self._passes[group]), lengths)

    def open_round(
        self,
        gamma: int,
        writers: NDArray[np.int64],
        drafted: Drafted,
        chains: NDArray[np.int64],
        rows: tuple[int, int],
    ) -> None:
        """A pass of the target for `writers`.

        Args:
            chains: (m,) the prefixes behind drafted tokens.
            rows: of the pass, without drafts and with them.
        """
        groups, lengths = writers // self._size, drafted.lengths
        self._flush(writers)
        np.add.at(self._passes, groups, 1)
        np.add.at(self._proposed, groups, lengths)
        self._chains[writers] = -1
        depths = np.arange(len(chains)) - np.repeat(drafted.starts[:-1], lengths)
        self._chains[np.repeat(writers, lengths), depths] = chains
        self._along[writers] = 0
        self._round, self._seconds = (gamma, len(writers), *rows), None
        self._emitted = 0
        self._depth_drafted[:] = self._depth_accepted[:] = 0
        self._depth_drafted[0] = int((lengths > 0).sum())

    def plain_round(self, writers: NDArray[np.int64], rows: int, seconds: float | None) -> None:
        """A pass for `writers` without drafts, after which each of them writes one token.

        Args:
            seconds: of the pass; None if they say nothing of others'.
        """
        if self._since[writers].any():
            self._flush(writers)
        counts = np.bincount(writers // self._size, minlength=len(self._passes))
        self._passes += counts
        self._blocks[:, 1] += counts
        self._along[writers] = self._most
        self._round = None
        if seconds is not None:
            self._gamma.note(0, Account(len(writers), len(writers), rows, rows, _NONE, _NONE, seconds, 0.0, 0.0))

    def time_round(self, target: float, draft: float, other: float) -> None:
        """Seconds of the round that is open; a round without them teaches nothing."""
        self._seconds = (target, draft, other)

    def close_round(self) -> None:
        """Before the next pass."""
        if self._round is None or self._seconds is None:
            return
        gamma, particles, fewest, rows = self._round
        target, draft, other = self._seconds
        depths = slice(0, gamma)
        account = Account(
            particles=particles,
            emitted=self._emitted,
            rows=rows,
            fewest=fewest,
            drafted=self._depth_drafted[depths].copy(),
            accepted=self._depth_accepted[depths].copy(),
            target_seconds=target,
            draft_seconds=draft,
            other_seconds=other,
        )
        self._gamma.note(gamma, account)
        self._round = None

    def verified(self, slots: NDArray[np.int64], lengths: NDArray[np.int64], accepted: NDArray[np.int64]) -> None:
        """Particles kept the first `accepted` of `lengths` drafted tokens."""
        np.add.at(self._accepted, slots // self._size, accepted)
        self._along[slots] = self._most
        depths = np.arange(1, self._most + 1)
        self._depth_accepted[:-1] += (accepted[:, None] >= depths).sum(axis=0)
        self._depth_drafted[1:] += ((lengths[:, None] > depths) & (accepted[:, None] >= depths)).sum(axis=0)

    def wrote(self, slots: NDArray[np.int64]) -> None:
        """One token each."""
        self._since[slots] += 1
        self._emitted += len(slots)

    def walked(self, slots: NDArray[np.int64], prefixes: NDArray[np.int64]) -> None:
        """Particles drew a token and have these prefixes now: were they their drafts'?"""
        along = self._along[slots]
        kept = self._chains[slots, along] == prefixes
        self._along[slots] = np.where(kept, along + 1, self._most)
        slots, along = slots[kept], along[kept]
        np.add.at(self._accepted, slots // self._size, 1)
        np.add.at(self._depth_accepted, along, 1)
        np.add.at(self._depth_drafted, along[self._chains[slots, along + 1] >= 0] + 1, 1)

    def copied(self, slots: NDArray[np.int64], sources: NDArray[np.int64]) -> None:
        """Slots are copies of sources now."""
        moved = slots[slots != sources]
        self._flush(moved)
        self._along[moved] = self._most

    def _flush(self, slots: NDArray[np.int64]) -> None:
        """The tokens that these slots wrote on account of their last pass are all there will be."""
        some = slots[self._since[slots] > 0]
        np.add.at(self._blocks, (some // self._size, np.minimum(self._since[some], MOST_DRAFTED + 1)), 1)
        self._since[slots] = 0
