"""Which groups of a sweep are in flight: some at a time, the next as soon as one has ended.

Nothing of a group's result depends on when it began, or beside which others: its random numbers are keyed by its
seed and its own clock, and it meets at its boundaries by itself. So the line is about memory and full forward
passes only.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from time import monotonic, perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from smcdsl.inference.factors.calls import CallCounts
    from smcdsl.inference.proposals import Seconds

MOST_PREFIXES = 1 << 19
"""A run with so many prefixes (0.1 GB of them) begins no more groups: prefixes live as long as their run."""
MOST_AUTOMATA = 32
"""Nor does one that has met so many grammars, each a schema's, say."""


class Line:
    """Groups that wait, and those in flight: `width` of them, or all there are."""

    def __init__(self, groups: Iterable[int], width: int | None) -> None:
        self.waiting = deque(groups)
        self.width = width
        self.in_flight: list[int] = []
        self.has_shrunk = False
        """Whether groups have ended; set back by who frees what they had."""

    def begin(self) -> NDArray[np.int64]:
        """Those that there is room for now; they are in flight from here on."""
        room = len(self.waiting) if self.width is None else max(self.width - len(self.in_flight), 0)
        begun = [self.waiting.popleft() for _ in range(min(room, len(self.waiting)))]
        self.in_flight += begun
        return np.array(begun, dtype=np.int64)

    def end(self, groups: NDArray[np.int64]) -> None:
        """These are in flight no more."""
        self.has_shrunk = self.has_shrunk or len(groups) > 0
        ended = set(groups.tolist())
        self.in_flight = [group for group in self.in_flight if group not in ended]


@dataclass(frozen=True)
class _Mark:
    """What a run had spent when a group began. `whose` are the seconds counted, those of one or more sweeps."""

    began: float
    calls: dict[str, dict[str, Any]]
    whose: Seconds
    seconds: dict[str, float]


@dataclass
class Begun:
    """When each group of a run began, in whatever sweep, and what the run had spent by then.

    So the time limit and the counts of a group that begins late are its own; what ran beside it is in them, as it is
    for groups that begin together.
    """

    began: float
    """When the run did, which is when its first groups do."""
    timeout_seconds: float | None
    deadlines: NDArray[np.float64]
    """(G,) on the monotonic clock; infinite until a group begins, and without a time limit."""
    _marks: dict[int, _Mark] = field(default_factory=dict)

    @classmethod
    def none_of(cls, num_groups: int, timeout_seconds: float | None, began: float) -> Begun:
        """Before the first one."""
        return cls(began, timeout_seconds, np.full(num_groups, np.inf))

    def begin(self, groups: NDArray[np.int64], counts: Mapping[str, CallCounts], seconds: Seconds) -> None:
        """Groups begin, or begin another sweep."""
        began = perf_counter() if self._marks else self.began
        calls, spent = {name: asdict(each) for name, each in counts.items()}, asdict(seconds)
        fresh = _Mark(began, calls, seconds, spent)
        for group in groups.tolist():
            mark = self._marks.get(group)
            if mark is None:
                self._marks[group] = fresh
                if self.timeout_seconds is not None:
                    self.deadlines[group] = monotonic() + self.timeout_seconds
            elif mark.whose is not seconds:
                self._marks[group] = replace(mark, whose=seconds, seconds=spent)

    def late(self) -> NDArray[np.bool_]:
        """(G,) whose time is up."""
        return self.deadlines < monotonic()

    def latest(self, groups: Iterable[int]) -> float | None:
        """When the time of the last of these is up; None without a limit."""
        latest = max((float(self.deadlines[group]) for group in groups), default=np.inf)
        return None if latest == np.inf else latest

    def calls(self, group: int, counts: Mapping[str, CallCounts]) -> dict[str, dict[str, Any]]:
        """What has been called since a group began."""
        before = self._marks[group].calls if group in self._marks else {}
        return {
            name: {key: value - before.get(name, {}).get(key, 0) for key, value in asdict(each).items()}
            for name, each in counts.items()
        }

    def seconds(self, group: int, seconds: Seconds) -> dict[str, float]:
        """What has been spent since a group began, by part, its beginning to now included as `total`."""
        mark = self._marks.get(group)
        before = mark.seconds if mark is not None and mark.whose is seconds else {}
        parts = {part: value - before.get(part, 0.0) for part, value in asdict(seconds).items()}
        return {"total": self.total_seconds(group), **parts}

    def total_seconds(self, group: int) -> float:
        """Since the group began."""
        return perf_counter() - (self._marks[group].began if group in self._marks else self.began)
