"""How many tokens to draft: a fixed number, or the number that is expected to give the most tokens a second.

`AdaptiveGamma` keeps running estimates of how often drafts are there and are accepted, by depth, and of what
a round costs: F + a rows for the target's pass, d a depth for drafting, v a drafted token for the rest. For every
candidate it predicts the tokens of a round and its seconds, and takes the best. What drafting has cost so far beyond
the predicted cost of the same tokens without drafts is kept below a share of the time spent, so that a draft that
does not help is given up quickly and tried again rarely.

The choice looks at clocks and at the past alone: the law of a run does not depend on it. The draws of a run with a
draft model do, so they may differ from run to run; runs whose drafts are deterministic are always the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

CANDIDATES = (0, 1, 2, 3, 4, 6, 8, 12, 16)
"""Numbers of drafted tokens to choose from."""
ALLOWANCE = 0.03
"""Drafting may have cost this share of the time without having gained it."""
_DECAY = 0.95
_FIRST_TRY = 2
_MEASURED = 3
_FIRST_SECONDS = 1.0
"""Rounds, and their seconds, without drafts before the first try, which costs up to a tenth of a second once."""
_LONGEST_PAUSE = 256
_CHOICES = np.array(CANDIDATES)


@dataclass(frozen=True)
class Account:
    """What a round did. `particles` wrote `emitted` tokens; `rows` went through the target, `fewest` without drafts.

    `drafted` and `accepted` count tokens by depth: how many particles had a token there that they could still have
    accepted, and how many did. Seconds of the target's pass, of drafting, and of all else.
    """

    particles: int
    emitted: int
    rows: int
    fewest: int
    drafted: NDArray[np.int64]
    accepted: NDArray[np.int64]
    target_seconds: float
    draft_seconds: float
    other_seconds: float


class Gamma(Protocol):
    """Chooses how many tokens to draft."""

    @property
    def most(self) -> int:
        """It never chooses more."""
        ...

    def choose(self, particles: int, rows: int) -> int:
        """For the next round of so many particles in so many distinct situations."""
        ...

    def note(self, gamma: int, account: Account) -> None:
        """What the round did."""
        ...


@dataclass(frozen=True)
class FixedGamma:
    """Always the same number."""

    gamma: int

    @property
    def most(self) -> int:
        """See `Gamma`."""
        return self.gamma

    def choose(self, particles: int, rows: int) -> int:
        """See `Gamma`."""
        return self.gamma

    def note(self, gamma: int, account: Account) -> None:
        """See `Gamma`."""


def gamma_of(setting: int | Literal["auto"]) -> Gamma:
    """What chooses under a setting."""
    return AdaptiveGamma() if setting == "auto" else FixedGamma(setting)


@dataclass
class AdaptiveGamma:
    """See the module."""

    spent: float = 0.0
    """Seconds of all rounds."""
    lost: float = 0.0
    """Seconds beyond the predicted ones without drafts; never below zero: gains are not saved up."""
    _passes: NDArray[np.float64] = field(default_factory=lambda: np.zeros(5))
    _wanted: NDArray[np.float64] = field(default_factory=lambda: np.zeros(CANDIDATES[-1]))
    _drafted: NDArray[np.float64] = field(default_factory=lambda: np.zeros(CANDIDATES[-1]))
    _accepted: NDArray[np.float64] = field(default_factory=lambda: np.zeros(CANDIDATES[-1]))
    _drafting: NDArray[np.float64] = field(default_factory=lambda: np.zeros(2))
    _other: NDArray[np.float64] = field(default_factory=lambda: np.zeros(2))
    _rounds: int = 0
    _pause: int = 8
    _next_try: int = _MEASURED

    @property
    def most(self) -> int:
        """See `Gamma`."""
        return CANDIDATES[-1]

    def choose(self, particles: int, rows: int) -> int:
        """See `Gamma`."""
        self._rounds += 1
        if self._rounds <= _MEASURED or self.spent < _FIRST_SECONDS:
            return 0
        if not self._drafting[1]:
            return _FIRST_TRY
        if self.lost > ALLOWANCE * self.spent:
            return 0
        best = CANDIDATES[int(self._speeds(particles, rows).argmax())]
        if best == 0 and self._rounds >= self._next_try:
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)
            self._next_try = self._rounds + self._pause
            return 1
        return best

    def note(self, gamma: int, account: Account) -> None:
        """See `Gamma`."""
        seconds = account.target_seconds + account.draft_seconds + account.other_seconds
        self.spent += seconds
        rows, time = account.rows, account.target_seconds
        self._passes = _DECAY * self._passes + np.array([1.0, rows, rows * rows, time, rows * time])
        emitted = max(account.emitted, 1)
        self._other = _DECAY * self._other + np.array([account.other_seconds, emitted])
        if not gamma:
            return
        depth = len(account.drafted)
        reached = np.concatenate([[account.particles], account.accepted])[:depth]
        for sums, counts in (
            (self._wanted, reached),
            (self._drafted, account.drafted),
            (self._accepted, account.accepted),
        ):
            sums[:depth] = _DECAY * sums[:depth] + counts[: len(sums)]
        self._drafting = _DECAY * self._drafting + np.array([account.draft_seconds, gamma])
        plain = account.emitted / max(account.particles, 1) * self.pass_seconds(account.fewest)
        self.lost = max(self.lost + account.target_seconds + account.draft_seconds - plain, 0.0)
        if self.speed(gamma, account.particles, account.fewest) > self.speed(0, account.particles, account.fewest):
            self._pause = 8

    def pass_seconds(self, rows: float) -> float:
        """A pass of the target over so many rows."""
        start, slope = self._pass_line()
        return start + slope * rows

    def _pass_line(self) -> tuple[float, float]:
        """A weighted least-squares line through the seconds of passes, with no negative part: (start, slope)."""
        count, x, xx, y, xy = self._passes.tolist()
        if not count:
            return 0.0, 0.0
        spread = count * xx - x * x
        slope = (count * xy - x * y) / spread if spread > 1e-9 * max(xx * count, 1.0) else 0.0
        slope = min(max(slope, 0.0), y / max(x, 1e-12))
        return max((y - slope * x) / count, 0.0), slope

    def speed(self, gamma: int, particles: int, rows: int) -> float:
        """Predicted tokens a second of a round with so many tokens drafted, one of `CANDIDATES`."""
        return float(self._speeds(particles, rows)[CANDIDATES.index(gamma)])

    def _speeds(self, particles: int, rows: int) -> NDArray[np.float64]:
        """Of every candidate."""
        presence, chance = self._presence, self._chance
        here = (self._drafted + 2.0 * presence) / (self._wanted + 2.0)
        going = np.cumprod(here * (self._accepted + 2.0 * chance) / (self._drafted + 2.0))
        tokens = 1.0 + np.concatenate([[0.0], going.cumsum()])[_CHOICES]
        # All drafted tokens are sent, whatever becomes of those before them; and a draft that is there at one depth
        # is there at the next with the same share.
        sent = np.concatenate([[0.0], np.cumprod(np.full(len(going), presence)).cumsum()])[_CHOICES]
        drafting, depths = self._drafting.tolist()
        other, emitted = self._other.tolist()
        start, slope = self._pass_line()
        seconds = start + slope * rows * (1.0 + sent) + _CHOICES * drafting / max(depths, 1e-12)
        seconds += particles * tokens * other / max(emitted, 1e-12)
        return particles * tokens / np.maximum(seconds, 1e-12)

    @property
    def _presence(self) -> float:
        """How often a draft goes on where it was still accepted."""
        return _share(float(self._drafted.sum()), float(self._wanted.sum()), 1.0)

    @property
    def _chance(self) -> float:
        """How often a drafted token is accepted."""
        return _share(float(self._accepted.sum()), float(self._drafted.sum()), 0.5)


def _share(part: float, whole: float, otherwise: float) -> float:
    """part / whole, drawn to `otherwise` where little is known."""
    return (part + 2.0 * otherwise) / (whole + 2.0)
