"""Judging: factors' final values, and previews of holes that are not finished."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from smcdsl.automaton.site import safe_length
from smcdsl.errors import PotentialError
from smcdsl.inference.course import Arrival, Course
from smcdsl.inference.holes import Site
from smcdsl.inference.judgement import (
    Calling,
    Verdict,
    occurrence_spans,
    reach,
    weigh,
    whole_characters,
)
from smcdsl.inference.particles import (
    Frame,
    OpenHole,
    Watch,
)
from smcdsl.inference.results.looks import Looks
from smcdsl.inference.surroundings import Surroundings
from smcdsl.plan import (
    PlannedFactor,
    Write,
)
from smcdsl.program.evaluation import PotentialCall


class Judging(Surroundings):
    """Instructions that ask factors."""

    def _judge(self, factor: PlannedFactor, course: Course) -> Calling[Arrival | None]:
        """The final value of a factor; its preview leaves the weight."""
        preview = course.previews.pop(factor.index, 0.0)
        if not self.applies_factors or factor.verb == "guide":
            self._note_end(factor, 0.0)
            course.change(factor.index, -preview, "at the end")
            return None
        environment = self.environments[course.environment]
        if factor.each is None:
            place = "at the end"
            with placed(place):
                verdict = yield from weigh(factor, environment)
            if verdict.log_weight > -math.inf:
                self._confirm(factor, environment)
        else:
            verdict, place = yield from self._judge_each(factor, course)
        self._note_end(factor, verdict.log_weight)
        course.change(factor.index, verdict.log_weight - preview, place)
        course.weigh(factor, verdict.log_weight)
        if course.log_weight > -math.inf:
            return None
        return self._dead(factor, course, place, self._last_text(environment), verdict)

    def _note_end(self, factor: PlannedFactor, log_weight: float) -> None:
        if factor.boundaries:
            self.looks.setdefault(factor.index, Looks()).end(log_weight)

    def _judge_each(self, factor: PlannedFactor, course: Course) -> Calling[tuple[Verdict, str]]:
        assert factor.each is not None
        environment = self.environments[course.environment]
        total = 0.0
        for (text_number, span), value in self._occurrences(factor, environment).items():
            if (factor.index, text_number, *span) in course.judged:
                continue
            place = f'for "{value}"'
            with placed(place):
                verdict = yield from weigh(factor, {**environment, factor.each.variable: value})
            if verdict.log_weight == -math.inf:
                return verdict, place
            total += verdict.log_weight
        course.judged = frozenset(key for key in course.judged if key[0] != factor.index)
        return Verdict(total), "at the end"

    def _occurrences(
        self, factor: PlannedFactor, environment: Mapping[str, Any]
    ) -> dict[tuple[int, tuple[int, int]], Any]:
        """What `each` ranges over in finished texts: (number of the text, its bytes) -> value."""
        assert factor.each is not None
        if not factor.each.rule:
            source = environment.get(factor.each.hole)
            items = source if isinstance(source, list | tuple) else [] if source is None else [source]
            return {(number, (0, 0)): item for number, item in enumerate(items)}
        found: dict[tuple[int, tuple[int, int]], Any] = {}
        for number, (automaton, text) in enumerate(environment.get(f"\0texts {factor.each.hole}", ())):
            sites = self.automata[automaton].sites(text, True)
            for start, end in occurrence_spans(sites, text, factor.each.rule):
                found[number, (start, end)] = text[start:end].decode()
        return found

    def _confirm(self, factor: PlannedFactor, environment: Mapping[str, Any]) -> None:
        """The spot check of R0905."""
        if factor.verb != "require":
            return
        for hole in {hole for hole, _ in factor.boundaries}:
            value = environment.get(hole)
            if isinstance(value, str):
                self.refusals.check(factor, hole, environment, value, self._looks(factor, hole, environment))

    def _looks(self, factor: PlannedFactor, hole: str, environment: Mapping[str, Any]) -> frozenset[int] | None:
        """Lengths in bytes at which previews of a finished text may have looked; None for any."""
        names = {boundary for named, boundary in factor.boundaries if named == hole}
        texts = environment.get(f"\0texts {hole}", ())
        if names & {"token", "line"} or len(texts) != 1:
            return None
        automaton, text = texts[0]
        return frozenset(site.end for site in self.automata[automaton].sites(text, True) if site.rule in names)

    def _look_early(self, frame: Frame, hole: OpenHole, course: Course, text: bytes, state: int) -> Calling[Arrival]:
        """Previews and occurrences of an unfinished hole."""
        write = self.plan.instructions[course.position]
        assert isinstance(write, Write)
        text = text[: safe_length(text, hole.following)]
        sites = self.automata[hole.automaton].sites(text, False)
        sites = tuple(site for site in sites if site.end <= len(text))
        ahead: list[PotentialCall] = []
        for watch in hole.watches:
            if watch in hole.checked:
                continue
            factor = self.plan.factors[watch.factor]
            if watch.each:
                verdict, place = yield from self._look_at_each(factor, watch, write, course, text, sites)
            else:
                length = reach(watch, text, sites)
                if watch.factor in self.late:
                    length, calls = self._one_later(factor, write, course, text, length)
                    ahead += calls
                verdict, place = yield from self._look(factor, watch, write, course, text, sites, length)
            if verdict.log_weight == -math.inf:
                return self._dead(factor, course, place, whole_characters(text), verdict)
        arrival = self._stop(course, hole=hole, state=state)
        if ahead:
            self.ahead[arrival.frame, arrival.prefix] = tuple(ahead)
        return arrival

    def _one_later(
        self, factor: PlannedFactor, write: Write, course: Course, text: bytes, length: int | None
    ) -> tuple[int | None, Sequence[PotentialCall]]:
        """What a late preview looks at now, the text up to the boundary before, and the calls for the one here."""
        before = course.late.get(factor.index)
        if length is None or length == before:
            return None, ()
        course.late[factor.index] = length
        environment = self.unfinished(write, course.environment, text[:length])
        if environment is None:
            return before, ()
        return before, next(weigh(factor, environment, {write.name}), ())

    def _look(
        self,
        factor: PlannedFactor,
        watch: Watch,
        write: Write,
        course: Course,
        text: bytes,
        sites: tuple[Site, ...],
        length: int | None,
    ) -> Calling[tuple[Verdict, str]]:
        """Overwrite the preview of a factor by that of the text up to a site."""
        environment = None if length is None else self.unfinished(write, course.environment, text[:length])
        if environment is None or length is None:
            return Verdict(0.0), ""
        number = sum(site.rule in watch.boundaries and site.end <= length for site in sites)
        place = f"at {watch.boundaries[0]} {number} of `{write.name}`" if number else f"in `{write.name}`"
        with placed(place):
            verdict = yield from weigh(factor, environment, {write.name})
        course.change(factor.index, verdict.log_weight - course.previews.get(factor.index, 0.0), place)
        course.previews[factor.index] = verdict.log_weight
        self.looks.setdefault(factor.index, Looks()).look(verdict.log_weight)
        if verdict.log_weight == -math.inf and factor.verb == "require":
            self.refusals.remember(factor, write.name, environment, whole_characters(text[:length]))
        return verdict, place

    def _look_at_each(
        self,
        factor: PlannedFactor,
        watch: Watch,
        write: Write,
        course: Course,
        text: bytes,
        sites: tuple[Site, ...],
    ) -> Calling[tuple[Verdict, str]]:
        """Judge the occurrences that are complete: for good, or as a preview where they depend on the rest."""
        assert factor.each is not None
        number = len(self.environments[course.environment].get(f"\0texts {write.name}", ()))
        number = number if write.collects else 0
        rule = factor.each.rule
        spans = occurrence_spans(sites, text[: text.rfind(b"\n") + 1] if rule == "line" else text, rule)
        total = 0.0
        for count, (start, end) in enumerate(spans, 1):
            key = (factor.index, number, start, end)
            environment = self.unfinished(write, course.environment, text[:end])
            if key in course.judged or environment is None:
                continue
            environment[factor.each.variable] = text[start:end].decode()
            unfinished = frozenset() if watch.keeps else frozenset({write.name})
            place = f"at {rule} {count} of `{write.name}`"
            with placed(place):
                verdict = yield from weigh(factor, environment, unfinished)
            if verdict.log_weight == -math.inf:
                course.change(factor.index, -math.inf, place)
                return verdict, place
            total += verdict.log_weight
            if watch.keeps:
                course.judged |= {key}
        before = 0.0 if watch.keeps else course.previews.get(factor.index, 0.0)
        course.change(factor.index, total - before, f"at {rule} {len(spans)} of `{write.name}`")
        if watch.keeps:
            course.weigh(factor, total)
        else:
            course.previews[factor.index] = total
        return Verdict(total), ""


@contextmanager
def placed(place: str) -> Iterator[None]:
    """Errors of calls that are made inside know where in the text they were made."""
    try:
        yield
    except PotentialError as error:
        error.place = place
        raise
