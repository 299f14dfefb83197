"""A particle on its way through the plan, and where it arrives."""

from __future__ import annotations

from dataclasses import dataclass, field

from smcdsl.inference.collapse import Change
from smcdsl.plan import (
    PlannedFactor,
)
from smcdsl.program.evaluation import PotentialCall
from smcdsl.protocols import Role


@dataclass(frozen=True)
class Death:
    """Why a particle died: the factor's number, where, its text, and the calls that said no."""

    factor: int
    place: str
    text: str
    calls: tuple[PotentialCall, ...]


@dataclass(frozen=True)
class Arrival:
    """Where a particle stands after `advance`; `log_weight` is to be added to its weight; what factors changed."""

    status: int
    frame: int
    prefix: int
    state: int
    log_weight: float
    death: Death | None = None
    changes: tuple[Change, ...] = ()


@dataclass
class Course:
    """The particle on its way. `pending` is given text not encoded yet, `skip` bytes of it the model has written."""

    position: int
    environment: int
    roles: tuple[Role, ...]
    prefix: int
    previews: dict[int, float]
    judged: frozenset[tuple[int, int, int, int]]
    late: dict[int, int] = field(default_factory=dict)
    log_weight: float = 0.0
    pending: bytes = b""
    skip: int = 0
    turn_ended: bool = False
    changes: dict[int, Change] = field(default_factory=dict)
    scores: dict[int, float] = field(default_factory=dict)

    def weigh(self, factor: PlannedFactor, log_weight: float) -> None:
        """Multiply what a factor says for good into the weight."""
        self.log_weight += log_weight
        if factor.verb == "score":
            self.scores[factor.index] = self.scores.get(factor.index, 0.0) + log_weight

    def change(self, factor: int, log_weight: float, place: str) -> None:
        """Remember by how much a factor changes the weight with previews."""
        before = self.changes[factor].log_weight if factor in self.changes else 0.0
        self.changes[factor] = Change(factor, before + log_weight, place)
