"""Tells a listener what the populations of a run do. A run that nobody listens to has no teller."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from smcdsl.inference.events import Died, Finished, Listener, Resampled, Site, Started
from smcdsl.inference.particles import FINISHED, VACANT
from smcdsl.logspace import effective_sample_size

if TYPE_CHECKING:
    from smcdsl.inference.course import Arrival, Death
    from smcdsl.inference.meeting import Meeting
    from smcdsl.inference.population import Population
    from smcdsl.inference.results.posterior import Posterior


class Teller:
    """Makes events of what samplers do, one sampler after another, and passes them on.

    `populations` counts by group what was started.
    """

    def __init__(self, listener: Listener, seeds: Sequence[int], method: str) -> None:
        self._listener, self._seeds, self._method = listener, seeds, method
        self.populations: Counter[int] = Counter()
        self._texts: dict[tuple[int, int], bytes] = {}
        self._reasons: dict[Any, str] = {}

    def started(self, sampler: Population, groups: NDArray[np.int64]) -> None:
        """These groups stand at their start."""
        particles, plan = sampler.particles, sampler.interpreter.plan
        particles.origins[particles.slots_of(groups)] = np.arange(particles.num_particles)
        for group in groups.tolist():
            self.populations[group] += 1
            self._listener(
                Started(
                    **self._heading(sampler, group),
                    num_particles=particles.num_particles,
                    seed=self._seeds[group],
                    program=plan.program.name,
                    method=self._method,
                    factors=tuple(str(factor) for factor in plan.factors),
                    lines=tuple(factor.span.source.position(factor.span.start)[0] for factor in plan.factors),
                )
            )

    def sites(
        self,
        sampler: Meeting,
        groups: NDArray[np.int64],
        slots: NDArray[np.int64],
        arrivals: Sequence[Arrival],
        rows: NDArray[np.int64],
    ) -> None:
        """These groups have met; of `slots` that came from the model, `rows` says whose of `arrivals` each made."""
        particles = sampler.particles
        weights = sampler.total_log_weights()
        calls = {name: (counts.n, counts.cached) for name, counts in sampler.calls.counts.items()}
        made = dict(zip(slots.tolist(), rows.tolist(), strict=True))
        for group in groups.tolist():
            own = particles.slots_of(np.array([group]))[0]
            speculated = None if sampler.rounds is None else sampler.rounds.tally.of(group)
            self._listener(
                Site(
                    **self._heading(sampler, group),
                    number=int(sampler.barriers[group]),
                    texts=tuple(self._text(sampler, slot) for slot in own.tolist()),
                    log_weights=tuple(weights[group].tolist()),
                    finished=tuple((particles.status[own] == FINISHED).tolist()),
                    ess=float(effective_sample_size(weights[group])),
                    tokens=int(sampler.tokens[group]),
                    calls=calls,
                    origins=tuple(np.where(particles.status[own] == VACANT, -1, particles.origins[own]).tolist()),
                    changes=tuple(arrivals[made[slot]].changes if slot in made else () for slot in own.tolist()),
                    drafts=None if speculated is None else (speculated.proposed, speculated.accepted),
                    spent=_rounded(asdict(sampler.seconds)),
                )
            )
            particles.origins[own] = np.arange(len(own))

    def resampled(
        self, sampler: Meeting, groups: NDArray[np.int64], ancestors: NDArray[np.int64], log_means: NDArray[np.float64]
    ) -> None:
        """Groups have been resampled; `ancestors` are (G, N), `log_means` (G,) what every particle weighs now."""
        for group, own, mean in zip(groups.tolist(), ancestors.tolist(), log_means.tolist(), strict=True):
            number = int(sampler.resamplings[group])
            self._listener(
                Resampled(**self._heading(sampler, group), number=number, ancestors=tuple(own), log_weight=mean)
            )

    def died(self, sampler: Population, slot: int, cause: int, death: Death | None = None) -> None:
        """A particle has died, of a factor where there is a `death`."""
        group, own = divmod(slot, sampler.particles.num_particles)
        self._listener(
            Died(
                **self._heading(sampler, group),
                slot=own,
                cause=sampler.cause_name(cause),
                place="" if death is None else death.place,
                text=self._text(sampler, slot) if death is None else death.text,
                factor=-1 if death is None else death.factor,
                reason="" if death is None else self._reason(sampler, death),
            )
        )

    def _heading(self, sampler: Population, group: int) -> dict[str, Any]:
        seconds = round(perf_counter() - sampler.started, 6)
        return {"group": group, "seconds": seconds, "population": self.populations[group]}

    def _reason(self, sampler: Population, death: Death) -> str:
        """What the potential that said no says of it."""
        key = (death.factor, tuple(call.key for call in death.calls))
        if key not in self._reasons:
            said = (sampler.calls.explain(call) for call in death.calls)
            self._reasons[key] = next((reason for reason in said if reason), "")
        return self._reasons[key]

    def _text(self, sampler: Population, slot: int) -> str:
        """What a particle has behind the prompt. Only what is new is spelled."""
        first = int(sampler.first_prefixes[slot // sampler.particles.num_particles])
        prefix = int(sampler.particles.prefixes[slot])
        known = self._texts.get((first, prefix))
        if known is None:
            known = self._texts[first, prefix] = self._spelled(sampler, first, prefix)
        return known.decode(errors="replace")

    def _spelled(self, sampler: Population, first: int, prefix: int) -> bytes:
        prefixes, vocabulary = sampler.interpreter.prefixes, sampler.interpreter.model.vocabulary
        before, least = prefix, int(prefixes.lengths[first])
        while (first, before) not in self._texts and int(prefixes.lengths[before]) > least:
            before = int(prefixes.parents[before])
        return self._texts.get((first, before), b"") + vocabulary.spell(prefixes.sequence(prefix, before))


def finished(number: int, seconds: float, population: int, result: Posterior) -> Finished:
    """What a group's result says of itself."""
    return Finished(
        group=number,
        seconds=round(seconds, 6),
        population=population,
        log_z=result.log_z,
        ess=result.ess,
        complete=result.complete,
        target=result.target,
        log_weights=tuple(result.log_weights.tolist()),
        resamplings=result.resamplings,
        deaths=dict(result.deaths),
        tokens=dict(result.tokens),
        calls={name: (int(counts["n"]), int(counts["cached"])) for name, counts in result.calls.items()},
        spent=_rounded(result.seconds),
        warnings=tuple(f"{warning.code}: {warning.message}" for warning in result.warnings),
    )


def _rounded(seconds: Any) -> dict[str, float]:
    return {name: round(float(value), 6) for name, value in seconds.items()}
