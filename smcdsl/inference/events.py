"""Events of a run: what a trace records and a progress line shows. Only made where somebody listens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from smcdsl.inference.collapse import Change


@dataclass(frozen=True)
class Event:
    """Base of the events. `group` is the number of the run within its batch, `seconds` since it began.

    `island` is the number of the independent repetition within the run, 0 where there is one only. `population`
    counts, from 1, what was run for the group: attempts, sweeps of refinement, rounds of rejection.
    """

    group: int
    seconds: float
    island: int = field(default=0, kw_only=True)
    population: int = field(default=1, kw_only=True)

    @property
    def name(self) -> str:
        """`started`, `site`, `resampled`, `died` or `finished`."""
        return type(self).__name__.lower()

    def as_json(self) -> dict[str, Any]:
        """For a stream: one JSON object a line. Minus infinity is null."""
        return {"event": self.name, **{each.name: plain(getattr(self, each.name)) for each in fields(self)}}


@dataclass(frozen=True)
class Started(Event):
    """Particles stand at the program's start.

    `factors` are the program's, as written and with their lines in it; events refer to them by their number.
    """

    num_particles: int
    seed: int
    program: str = ""
    method: str = ""
    factors: tuple[str, ...] = ()
    lines: tuple[int, ...] = ()


@dataclass(frozen=True)
class Site(Event):
    """All particles of a group have arrived at a boundary (`number`, from 1) and are judged.

    By slot: the text since the first hole; the log weight with previews; whether it is finished; the slot at the
    boundary before that its line comes from, -1 for a slot without a particle; and what each factor has multiplied
    into the weight here. What is left of the change since then is the tokens' own: the model's and the proposal's.

    `tokens` counts what the group has written, `drafts` the drafted tokens and those kept of them, None without
    drafts; `calls` (n, cached) by potential and `spent` seconds by part are those of the whole run so far.
    """

    number: int
    texts: tuple[str, ...]
    log_weights: tuple[float, ...]
    finished: tuple[bool, ...]
    ess: float
    tokens: int
    calls: Mapping[str, tuple[int, int]]
    origins: tuple[int, ...] = ()
    changes: tuple[tuple[Change, ...], ...] = ()
    drafts: tuple[int, int] | None = None
    spent: Mapping[str, float] = field(default_factory=dict)

    @property
    def alive(self) -> int:
        """Particles with weight."""
        return sum(weight > float("-inf") for weight in self.log_weights)


@dataclass(frozen=True)
class Resampled(Event):
    """Slot n goes on as a copy of `ancestors[n]`; all have `log_weight` now, previews included."""

    number: int
    ancestors: tuple[int, ...]
    log_weight: float = 0.0


@dataclass(frozen=True)
class Died(Event):
    """A particle's weight became zero, on the way to the next boundary or at it.

    `cause` is a potential's name, `grammar`, `observe` or `budget`; `factor` the number of the factor, -1 for none;
    `reason` what the potential says of it.
    """

    slot: int
    cause: str
    place: str
    text: str
    factor: int = -1
    reason: str = ""


@dataclass(frozen=True)
class Finished(Event):
    """The group is through; its result. `spent` is seconds by part in the whole batch, `log_weights` are by slot."""

    log_z: float | None
    ess: float
    complete: bool
    target: str = "exact"
    log_weights: tuple[float, ...] = ()
    resamplings: int = 0
    deaths: Mapping[str, int] = field(default_factory=dict)
    tokens: Mapping[str, int] = field(default_factory=dict)
    calls: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    spent: Mapping[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


Listener = Callable[[Event], None]


def plain(value: Any) -> Any:
    """A field as JSON values."""
    if isinstance(value, float):
        return value if abs(value) != float("inf") else None
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return value
