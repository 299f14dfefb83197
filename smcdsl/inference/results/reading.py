"""Reads a finished sweep: posteriors, views of particles, and what a failed run says."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smcdsl.errors import BudgetExceeded, Diagnostic, Label, NoSurvivors, SmcdslError
from smcdsl.inference.collapse import FEWEST, NO_FACTOR, is_heavy
from smcdsl.inference.judgement import Calling, value_of
from smcdsl.inference.particles import BUDGET, CAUSES, DEAD, FINISHED
from smcdsl.inference.results.advice import after_collapse, after_no_survivors
from smcdsl.inference.results.error_bars import genealogical_variance, surviving_eves
from smcdsl.inference.results.health import few_lines
from smcdsl.inference.results.meaning import key_of
from smcdsl.inference.results.posterior import ParticleView, Posterior, evidence
from smcdsl.inference.sampler import Sampler
from smcdsl.inference.settings import BIASED, Settings
from smcdsl.inference.speculation.tally import Speculated
from smcdsl.plan import Plan, PlannedFactor
from smcdsl.prefixes import ROOT


class Reader:
    """Reads the particles of a finished sweep."""

    def __init__(self, sampler: Sampler) -> None:
        self.sampler = sampler
        self._values: dict[int, Any] = {}
        self._keys: dict[int, Any] = {}
        factors = sampler.interpreter.plan.factors if sampler.interpreter.applies_factors else ()
        self.factors = _named({factor.index: factor for factor in factors if factor.verb == "score"})
        """The text of each `score` line, by its number."""

    @cached_property
    def _log_weights(self) -> NDArray[np.float64]:
        """(G, N) zero for what is not finished."""
        particles = self.sampler.particles
        weights = np.where(particles.status == FINISHED, particles.log_weights, -np.inf)
        return weights.reshape(particles.num_groups, particles.num_particles)

    @cached_property
    def _evidence(self) -> list[float]:
        return evidence(self._log_weights).tolist()

    def prepare(self, groups: NDArray[np.int64]) -> None:
        """Values and keys of some groups, so that what they call goes in one batch and is counted."""
        particles = self.sampler.particles
        slots = particles.slots_of(groups).ravel()
        frames = particles.frames[slots[particles.status[slots] == FINISHED]].tolist()
        self.values(frames)
        self.keys(frames)

    def values(self, frames: Sequence[int]) -> list[Any]:
        """The values of the `return` expression where particles have ended."""
        returned = self.sampler.interpreter.plan.program.returns.expression
        self._evaluate(frames, self._values, lambda environment: value_of(returned, environment))
        return [self._values[frame] for frame in frames]

    def keys(self, frames: Sequence[int]) -> list[Any] | None:
        """What `by` compares where particles have ended; None for a program without it."""
        key = self.sampler.interpreter.plan.program.returns.key
        if key is None:
            return None
        self._evaluate(frames, self._keys, lambda environment: key_of(key, environment))
        return [self._keys[frame] for frame in frames]

    def _evaluate(
        self, frames: Sequence[int], known: dict[int, Any], course: Callable[[Mapping[str, Any]], Calling[Any]]
    ) -> None:
        interpreter = self.sampler.interpreter
        new = [frame for frame in dict.fromkeys(frames) if frame not in known]
        courses = [course(interpreter.environments[interpreter.frames[frame].environment]) for frame in new]
        known.update(zip(new, self.sampler.evaluate(courses), strict=True))

    def log_factors(self, frame: int) -> list[float]:
        """What each `score` line multiplied into the weight of a particle that has ended; 0 if it was not reached."""
        scores = dict(self.sampler.interpreter.frames[frame].scores)
        return [scores.get(index, 0.0) for index in self.factors]

    def posterior(self, group: int, seed: int, settings: Settings, interrupted: bool) -> Posterior:
        """The result of a group."""
        sampler, particles = self.sampler, self.sampler.particles
        own = slice(group * particles.num_particles, (group + 1) * particles.num_particles)
        finished = particles.status[own] == FINISHED
        log_weights = self._log_weights[group]
        if settings.method == "lcd":
            log_weights = np.where(finished, 0.0, -np.inf)
        biased = settings.method in BIASED
        complete = not interrupted and not sampler.deaths[group, BUDGET]
        ended = np.flatnonzero(finished)
        frames = particles.frames[own][ended].tolist()
        speculated = None if sampler.rounds is None else sampler.rounds.tally.of(group)
        posterior = Posterior(
            values=_spread(self.values(frames), ended, len(finished)),
            finished=finished,
            log_weights=log_weights,
            log_z=None if biased else self._evidence[group],
            target="biased" if biased else "exact",
            target_reason=BIASED.get(settings.method, ""),
            method=settings.method,
            seed=seed,
            complete=complete,
            resamplings=int(sampler.resamplings[group]),
            deaths=deaths_of(sampler, group),
            calls=sampler.begun.calls(group, sampler.calls.counts),
            tokens=_tokens(int(sampler.tokens[group]), speculated),
            seconds=sampler.begun.seconds(group, sampler.seconds),
            view_particles=lambda: self.views(group),
            speculated=speculated,
            **self.meanings(frames, ended, len(finished)),
            **({} if biased or sampler.rules.selection else self._error(group, settings)),
        )
        return judged(posterior, sampler, group, settings, interrupted)

    def _error(self, group: int, settings: Settings) -> dict[str, Any]:
        """What the family tree says of the evidence's error."""
        particles, log_weights = self.sampler.particles, self._log_weights[group]
        eves = particles.eves.reshape(self._log_weights.shape)[group]
        resamplings = int(self.sampler.resamplings[group])
        independent = settings.resample == "multinomial"
        variance = genealogical_variance(log_weights, eves, resamplings, independent=independent)
        error = None if variance is None else math.sqrt(variance)
        return {"log_z_error": error, "eves": surviving_eves(log_weights, eves)}

    def meanings(self, frames: Sequence[int], slots: NDArray[np.int64], size: int) -> dict[str, Any]:
        """What a posterior of `size` slots says of keys and factors; its `slots` have ended, in these frames."""
        keys = self.keys(frames)
        logs = np.zeros((size, len(self.factors)))
        logs[slots] = np.array([self.log_factors(frame) for frame in frames]).reshape(len(slots), len(self.factors))
        return {
            "keys": None if keys is None else _spread(keys, slots, size),
            "factors": tuple(self.factors.values()),
            "log_factors": logs,
        }

    def views(self, group: int) -> tuple[ParticleView, ...]:
        """Every slot of a group."""
        size = self.sampler.particles.num_particles
        return tuple(self.view(slot) for slot in range(group * size, (group + 1) * size))

    def view(self, slot: int) -> ParticleView:
        """One slot, counted over all groups."""
        sampler, particles = self.sampler, self.sampler.particles
        interpreter = sampler.interpreter
        frame = int(particles.frames[slot])
        finished = bool(particles.status[slot] == FINISHED)
        environment = interpreter.environments[interpreter.frames[frame].environment]
        names = {declaration.name for declaration in interpreter.plan.program.holes.values()}
        weight = float(particles.log_weights[slot])
        return ParticleView(
            slot=slot % particles.num_particles,
            text=sampler.text(slot),
            holes={name: environment[name] for name in sorted(names & environment.keys())},
            value=self.values([frame])[0] if finished else None,
            log_weight=weight if finished else -math.inf,
            finished=finished,
            cause=sampler.cause_name(int(particles.causes[slot])) if particles.status[slot] == DEAD else "",
            tokens=int(particles.written[slot]),
            eve=int(particles.eves[slot]),
            factors=dict(zip(self.factors.values(), self.log_factors(frame), strict=True)) if finished else {},
            path=tuple(interpreter.prefixes.sequence(int(particles.prefixes[slot]))),
            names={name: value for name, value in environment.items() if not name.startswith("\0")},
        )


def _spread(items: Sequence[Any], slots: NDArray[np.int64], size: int) -> tuple[Any, ...]:
    """The items at their slots, None elsewhere."""
    found: list[Any] = [None] * size
    for slot, item in zip(slots.tolist(), items, strict=True):
        found[slot] = item
    return tuple(found)


def _named(factors: Mapping[int, PlannedFactor]) -> dict[int, str]:
    """Each factor's text; equal lines are numbered."""
    names: dict[int, str] = {}
    seen: Counter[str] = Counter()
    for index, factor in factors.items():
        text = str(replace(factor, boundaries=())).removeprefix(f"{factor.verb} ")
        seen[text] += 1
        names[index] = text if seen[text] == 1 else f"{text} #{seen[text]}"
    return names


def _tokens(target: int, speculated: Speculated | None) -> dict[str, int]:
    """How many tokens were written, and drafted and kept."""
    if speculated is None:
        return {"target": target}
    return {"target": target, "draft_proposed": speculated.proposed, "draft_accepted": speculated.accepted}


def deaths_of(sampler: Sampler, group: int) -> dict[str, int]:
    """Deaths of a group by cause."""
    counts: dict[str, int] = {}
    for cause in np.flatnonzero(sampler.deaths[group]).tolist():
        name = sampler.cause_name(cause)
        counts[name] = counts.get(name, 0) + int(sampler.deaths[group, cause])
    return counts


def judged(posterior: Posterior, sampler: Sampler, group: int, settings: Settings, interrupted: bool) -> Posterior:
    """The result with its failure or warning, if there is one."""
    if interrupted:
        return posterior
    if not posterior.complete:
        failure: SmcdslError = BudgetExceeded(_out_of_budget(posterior, sampler, group, settings), posterior)
        return replace(posterior, failure=failure)
    if not (posterior.log_weights > -np.inf).any():
        failure = NoSurvivors(_no_survivors(sampler, group, settings), posterior.deaths, posterior)
        return replace(posterior, failure=failure)
    # Selection keeps no two particles alike: one may well have most of the weight, and rightly.
    if not sampler.rules.selection and is_heavy(posterior.log_weights) and posterior.num_particles >= FEWEST:
        collapse = sampler.collapses.last.get(group)
        cause = None
        if collapse is not None and collapse.factor != NO_FACTOR:
            cause = sampler.interpreter.plan.factors[collapse.factor], collapse.place
        return replace(posterior, warnings=(_collapsed(posterior, sampler.interpreter.plan, settings, cause),))
    few = None if sampler.rules.selection else few_lines(posterior)
    return posterior if few is None else replace(posterior, warnings=(few,))


def _collapsed(
    posterior: Posterior, plan: Plan, settings: Settings, cause: tuple[PlannedFactor, str] | None
) -> Diagnostic:
    """R0902, with the factor that did it and where."""
    largest = float(posterior.normalized_weights.max())
    size = f"effective sample size {posterior.ess:.2f} of {posterior.num_particles}"
    note = "no factor did this: the grammar forbids most of what the model would write"
    if cause is not None:
        factor, place = cause
        line, _ = factor.span.source.position(factor.span.start)
        where = place if place == "at the end" or not place.startswith("at ") else f"site {place.removeprefix('at ')}"
        words = replace(factor, boundaries=(), each=None)
        note = f"the weight collapsed at `{words}` (line {line}){', ' if where else ''}{where}"
    return Diagnostic(
        "R0902",
        f"one particle carries {100 * largest:.0f} % of the weight",
        facts=(f"{size}; the posterior below is close to a single guess",),
        notes=(note,),
        help=after_collapse(plan, settings, None if cause is None else cause[0]),
    )


def _out_of_budget(posterior: Posterior, sampler: Sampler, group: int, settings: Settings) -> Diagnostic:
    done = f"{int(posterior.finished.sum())} of {posterior.num_particles} particles finished"
    if sampler.begun.late()[group]:
        message, within = "out of time", f"within {settings.timeout_seconds:g} s"
        fix = "raise `timeout`, or lower `particles`"
    elif posterior.tries is not None and not sampler.deaths[group, BUDGET]:
        message, within = "out of tries", f"in {posterior.tries:,} complete draws"
        fix = "use `infer smc`: it needs no draw to be accepted whole"
    elif settings.max_tokens is not None:
        message, within = (
            "out of tokens",
            f"within {settings.max_tokens} token{'s' if settings.max_tokens > 1 else ''} each",
        )
        fix = "raise `max` (`--max-tokens`), or limit the grammar with `where tokens <= ...`"
    else:
        message, within = "out of context", f"within the model's {sampler.interpreter.model.context_length:,} tokens"
        fix = "shorten the prompt, or limit the grammar with `where tokens <= ...`"
    facts = (f"{done} {within}; the result is marked `complete: false`",)
    return Diagnostic("R0906", message, facts=facts, help=fix, notes=_slowest(posterior))


def _slowest(posterior: Posterior) -> tuple[str, ...]:
    """Which potential took most of the time, if any took a third."""
    if not posterior.calls:
        return ()
    name, counts = max(posterior.calls.items(), key=lambda item: item[1]["seconds"])
    share = counts["seconds"] / max(posterior.seconds["total"], 1e-9)
    made = int(counts["n"] - counts["cached"])
    if share < 1 / 3 or not made:
        return ()
    each = 1000 * counts["seconds"] / made
    return (f"{100 * share:.0f} % of the time went into `{name}` ({made} calls, {each:.3g} ms each)",)


def _no_survivors(sampler: Sampler, group: int, settings: Settings) -> Diagnostic:
    """R0901: which factors removed how many, and what the last one said."""
    size = sampler.particles.num_particles
    causes = [cause for own, cause in sampler.last_deaths if own == group][::-1]
    labels, notes = [], []
    for rank, cause in enumerate(causes):
        factor = sampler.interpreter.plan.factors[cause - len(CAUSES)]
        count = int(sampler.deaths[group, cause])
        said = f"removed {count}"
        if rank == 0:
            # With resampling more particles may die than there are slots.
            of = f" of {size}" if int(sampler.deaths[group].sum()) <= size else ""
            said += f"{of} particles, the last one {sampler.last_deaths[group, cause].place}"
        labels.append(Label(factor.span, said, primary=rank == 0))
    for cause, name in enumerate(CAUSES):
        if count := int(sampler.deaths[group, cause]):
            notes.append(f"{count} found no way on: {_CAUSE_NOTES[name]}")
    if causes:
        death = sampler.last_deaths[group, causes[0]]
        notes.insert(0, f"the last survivor was: {death.text}")
        for call in death.calls:
            if explanation := sampler.calls.explain(call):
                notes[0] += f"\n{call.signature.name} said: {explanation}"
                break
    farthest = int(sampler.farthest[group])
    if farthest != ROOT and (passed := sampler.written_text(group, farthest).strip()):
        notes.append(f"the longest text that passed so far was: {passed}")
    plan = sampler.interpreter.plan
    factors = [plan.factors[cause - len(CAUSES)] for cause in causes]
    others = [name for cause, name in enumerate(CAUSES) if sampler.deaths[group, cause]]
    fix = after_no_survivors(plan, settings, factors, others)
    return Diagnostic("R0901", "no particle survived", tuple(labels), tuple(notes), fix)


_CAUSE_NOTES = {
    "grammar": "the model gives every token that the grammar allows probability zero",
    "budget": "the budget ran out",
    "observe": "the model gives an observed text probability zero",
}
