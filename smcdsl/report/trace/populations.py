"""What a trace tells, by population: the boundaries with all slots' weights, and who descends from whom."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from smcdsl.inference.events import Died, Event, Finished, Resampled, Site, Started
from smcdsl.logspace import effective_sample_size
from smcdsl.report.trace.file import common_length, key_of


@dataclass(frozen=True)
class Death:
    """A death with where it happened: on the way to boundary number `step` (from 0), or at it."""

    event: Died
    step: int


@dataclass
class Population:
    """Particles from a program's start to its end. Steps are boundaries, counted from 0; K of them, N slots.

    Where something happened after the last boundary, all that went on having died, there is one more step for
    what is left then; `has_closing_step` says so.
    """

    started: Started
    steps: list[Site] = field(default_factory=list)
    deaths: list[Death] = field(default_factory=list)
    resampled: dict[int, Resampled] = field(default_factory=dict)
    """After which steps the particles were resampled."""
    finished: Finished | None = None
    """The result of its run, which other populations may have a part in."""
    has_closing_step: bool = False

    @property
    def size(self) -> int:
        """N."""
        return self.started.num_particles

    @cached_property
    def origins(self) -> list[tuple[int, ...]]:
        """By step, the slot at the step before that each slot's line comes from; -1 for none."""
        plain = tuple(range(self.size))
        return [site.origins or plain for site in self.steps]

    @cached_property
    def shares(self) -> list[tuple[float, ...]]:
        """By step, the normalised weights; all zero where nothing is alive."""
        return [_shares(site.log_weights) for site in self.steps]

    @cached_property
    def final_log_weights(self) -> tuple[float, ...]:
        """Those of what has finished."""
        if not self.steps:
            return (-math.inf,) * self.size
        last = self.steps[-1]
        pairs = zip(last.log_weights, last.finished, strict=True)
        return tuple(weight if finished else -math.inf for weight, finished in pairs)

    @cached_property
    def final_shares(self) -> tuple[float, ...]:
        """The normalised weights of what has finished."""
        return _shares(self.final_log_weights)

    @cached_property
    def texts(self) -> tuple[str, ...]:
        """By slot, the text at the last step."""
        return self.steps[-1].texts if self.steps else ("",) * self.size

    @cached_property
    def has_heirs(self) -> list[tuple[bool, ...]]:
        """By step, whether somebody with weight at the end descends from each slot."""
        if not self.steps:
            return []
        found = [tuple(weight > -math.inf for weight in self.final_log_weights)]
        for origins in reversed(self.origins[1:]):
            heirs = [False] * self.size
            for slot, origin in enumerate(origins):
                if origin >= 0 and found[-1][slot]:
                    heirs[origin] = True
            found.append(tuple(heirs))
        return found[::-1]

    def line(self, slot: int, step: int | None = None) -> list[int]:
        """The slots that a slot's line was in at all steps up to `step`, the last one; -1 where there was none."""
        last = len(self.steps) - 1 if step is None else step
        found = [slot]
        for origins in reversed(self.origins[1 : last + 1]):
            found.append(origins[found[-1]] if found[-1] >= 0 else -1)
        return found[::-1] if last >= 0 else []

    def piece(self, step: int, slot: int) -> str:
        """What was written in a slot's line since the step before."""
        text = self.steps[step].texts[slot]
        origin = self.origins[step][slot]
        before = self.steps[step - 1].texts[origin] if step and origin >= 0 else ""
        # A character may have been cut in half at the step before.
        return text[common_length(before, text) :]

    def before(self, step: int, slot: int) -> float:
        """The log weight that a slot's line set out with from the step before."""
        if step == 0:
            return 0.0
        if step - 1 in self.resampled:
            return self.resampled[step - 1].log_weight
        origin = self.origins[step][slot]
        return self.steps[step - 1].log_weights[origin] if origin >= 0 else -math.inf

    def of_tokens(self, step: int, slot: int) -> float | None:
        """By how much the weight has changed that no factor did; None for what has no weight."""
        before, after = self.before(step, slot), self.steps[step].log_weights[slot]
        if before == -math.inf or after == -math.inf:
            return None
        changes = self.steps[step].changes
        return after - before - sum(change.log_weight for change in (changes[slot] if changes else ()))

    def deaths_at(self, step: int) -> list[Death]:
        """Those on the way to a step, or at it."""
        return [death for death in self.deaths if death.step == step]


def populations(events: Iterable[Event]) -> list[Population]:
    """Every population of a trace, in the order in which they started."""
    found: dict[tuple[int, int, int], Population] = {}
    for event in events:
        if isinstance(event, Started):
            found[key_of(event)] = Population(event)
        elif isinstance(event, Finished):
            for own in found.values():
                if own.started.group == event.group:
                    own.finished = event
        elif key_of(event) in found:
            _add(found[key_of(event)], event)
    for own in found.values():
        _close(own)
    return list(found.values())


def _close(population: Population) -> None:
    """Add the step for what is left where a population's last boundary was not its end."""
    number = len(population.steps)
    known = population.resampled.get(number - 1)
    dead = {death.event.slot: death.event.text for death in population.deaths_at(number)}
    if not number or (known is None and not dead):
        return
    last = population.steps[-1]
    origins = tuple(range(population.size)) if known is None else known.ancestors
    finished = tuple(last.finished[origin] for origin in origins)
    weights = last.log_weights if known is None else (known.log_weight,) * population.size
    weights = tuple(
        weight if ended and slot not in dead else -math.inf
        for slot, (weight, ended) in enumerate(zip(weights, finished, strict=True))
    )
    population.steps.append(
        replace(
            last,
            seconds=max([last.seconds, *(death.event.seconds for death in population.deaths_at(number))]),
            number=last.number + 1,
            texts=tuple(dead.get(slot, last.texts[origin]) for slot, origin in enumerate(origins)),
            log_weights=weights,
            finished=finished,
            ess=float(effective_sample_size(np.array(weights))),
            origins=origins,
            changes=((),) * population.size,
        )
    )
    population.has_closing_step = True


def _add(population: Population, event: Event) -> None:
    match event:
        case Site():
            population.steps.append(event)
        case Resampled() if population.steps:
            population.resampled[len(population.steps) - 1] = event
        case Died():
            population.deaths.append(Death(event, len(population.steps)))


def _shares(log_weights: Sequence[float]) -> tuple[float, ...]:
    largest = max(log_weights, default=-math.inf)
    if largest == -math.inf:
        return (0.0,) * len(log_weights)
    raw = [math.exp(weight - largest) for weight in log_weights]
    total = sum(raw)
    return tuple(weight / total for weight in raw)
