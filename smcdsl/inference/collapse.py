"""Which factor left one particle with nearly all of a group's weight (R0902)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from smcdsl.logspace import effective_sample_size, normalize

HEAVY = 0.95
"""A share of the weight from which one particle carries it alone."""
FEWEST = 4
"""With fewer particles one of them is often heavy."""
NO_FACTOR = -1


class Change(NamedTuple):
    """By how much a factor changed the log of a particle's weight, previews included, and where."""

    factor: int
    log_weight: float
    place: str


class Collapse(NamedTuple):
    """The factor after which one particle was heavy; `NO_FACTOR` if the tokens' own weights did it."""

    factor: int
    place: str


@dataclass
class Collapses:
    """The last collapse of each group since it was resampled."""

    last: dict[int, Collapse] = field(default_factory=dict)

    def levelled(self, groups: Iterable[int]) -> None:
        """These groups have been resampled: their weights are equal."""
        for group in groups:
            self.last.pop(group, None)

    def note(
        self,
        group: int,
        before: NDArray[np.float64],
        after: NDArray[np.float64],
        changes: Sequence[Sequence[Change]],
    ) -> None:
        """Look at a group before and after its factors were judged at a boundary.

        Args:
            before: (N,) log weights with previews.
            after: (N,) the same after the boundary.
            changes: for each slot, what the factors did there.
        """
        if is_heavy(before) and before.argmax() == after.argmax():
            self.last.setdefault(group, Collapse(NO_FACTOR, ""))
        elif is_heavy(after):
            self.last[group] = _cause(before, after, changes)
        else:
            self.last.pop(group, None)


def is_heavy(log_weights: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether one of (..., N) particles carries nearly all the weight."""
    return np.asarray(normalize(log_weights).max(axis=-1) > HEAVY)


def _cause(before: NDArray[np.float64], after: NDArray[np.float64], changes: Sequence[Sequence[Change]]) -> Collapse:
    """The factor without which the weights would be most even."""
    factors = sorted({change.factor for own in changes for change in own})
    if not factors:
        # A lookahead has left the weights at the end of a hole.
        return Collapse(NO_FACTOR, "")
    without = {
        factor: before + [sum(change.log_weight for change in own if change.factor != factor) for own in changes]
        for factor in factors
    }
    worst = max(factors, key=lambda factor: float(effective_sample_size(without[factor])))
    # Where the heavy particle was; one that has finished lost nothing, others lost against it.
    heaviest_first = [changes[slot] for slot in np.argsort(-after, kind="stable").tolist()]
    return Collapse(worst, next(change.place for own in heaviest_first for change in own if change.factor == worst))
