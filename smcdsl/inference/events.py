"""Events of a run: what a trace records and a progress line shows. Only made where somebody listens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Event:
    """Base of the events. `group` is the number of the run within its batch, `seconds` since it began."""

    group: int
    seconds: float

    @property
    def name(self) -> str:
        """`started`, `site`, `resampled`, `died` or `finished`."""
        return type(self).__name__.lower()

    def as_json(self) -> dict[str, Any]:
        """For a trace: one JSON object a line. Minus infinity is null."""
        return {"event": self.name, **{key: _plain(value) for key, value in asdict(self).items()}}


@dataclass(frozen=True)
class Started(Event):
    """Particles stand at the program's start."""

    num_particles: int
    seed: int


@dataclass(frozen=True)
class Site(Event):
    """All particles of a group have arrived at a boundary (`number`, from 1) and are judged.

    By slot: the text since the first hole, the log weight with previews, whether it is finished.
    `tokens` counts what the group has written, `calls` (n, cached) by potential so far in the whole run.
    """

    number: int
    texts: tuple[str, ...]
    log_weights: tuple[float, ...]
    finished: tuple[bool, ...]
    ess: float
    tokens: int
    calls: dict[str, tuple[int, int]]

    @property
    def alive(self) -> int:
        """Particles with weight."""
        return sum(weight > float("-inf") for weight in self.log_weights)


@dataclass(frozen=True)
class Resampled(Event):
    """Slot n goes on as a copy of `ancestors[n]`; all weights are now equal but for previews."""

    number: int
    ancestors: tuple[int, ...]


@dataclass(frozen=True)
class Died(Event):
    """A particle's weight became zero. `cause` is a potential's name, `grammar`, `observe` or `budget`."""

    slot: int
    cause: str
    place: str
    text: str


@dataclass(frozen=True)
class Finished(Event):
    """The group is through."""

    log_z: float | None
    ess: float
    complete: bool


Listener = Callable[[Event], None]


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if abs(value) != float("inf") else None
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value
