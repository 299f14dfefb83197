"""What a plan's instructions run in: names and their values, automata, the texts of holes."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smcdsl.inference.course import Arrival, Course, Death
from smcdsl.inference.holes import Automata, Automaton
from smcdsl.inference.judgement import (
    Refusals,
    Verdict,
    whole_characters,
)
from smcdsl.inference.particles import (
    DEAD,
    RUNNING,
    Environments,
    Frame,
    Frames,
    OpenHole,
)
from smcdsl.inference.results.looks import Looks
from smcdsl.plan import (
    Plan,
    PlannedFactor,
    Write,
)
from smcdsl.prefixes import Prefixes
from smcdsl.program.evaluation import EvaluationError, PotentialCall
from smcdsl.program.types import Type
from smcdsl.protocols import LanguageModel

_REMEMBERED_TEXTS = 1 << 16


@dataclass
class Surroundings:
    """What the instructions of one run share.

    `applies_factors` is false for `lcd`; `previews` says whether particles stop at boundaries. The previews of
    `late` factors are judged one boundary later than they could be: `ahead` has the calls to begin meanwhile.
    The `checked` factors judge tokens before they are taken (`token_checks`), in this order.
    """

    plan: Plan
    model: LanguageModel
    prefixes: Prefixes
    provider: Automata
    applies_factors: bool = True
    previews: bool = True
    late: frozenset[int] = frozenset()
    checked: tuple[int, ...] = ()
    frames: Frames = field(default_factory=Frames)
    environments: Environments = field(default_factory=Environments)
    automata: list[Automaton] = field(default_factory=list)
    refusals: Refusals = field(default_factory=Refusals)
    automata_seconds: float = 0.0
    """Time to make automata."""
    looks: dict[int, Looks] = field(default_factory=dict)
    """By number, what factors with boundaries have said of distinct texts."""
    ahead: dict[tuple[int, int], tuple[PotentialCall, ...]] = field(default_factory=dict)
    """Calls that particles of a (frame, prefix) will ask for at their next boundary."""
    _automaton_numbers: dict[Any, int] = field(default_factory=dict)
    _encoded: dict[tuple[str, bool], list[int]] = field(default_factory=dict)
    _text_start: int = -1
    _texts: dict[tuple[int, int], bytes] = field(default_factory=dict)
    _ends: dict[tuple[int, int], int | None] = field(default_factory=dict)

    def hole_text(self, hole: OpenHole, prefix: int) -> bytes:
        """What the model wrote since the hole began."""
        if prefix == hole.start:
            return b""
        key = (hole.start, prefix)
        text = self._texts.get(key)
        if text is None:
            if len(self._texts) >= _REMEMBERED_TEXTS:
                self._texts.clear()
            parent, token = int(self.prefixes.parents[prefix]), int(self.prefixes.tokens[prefix])
            before = self._texts.get((hole.start, parent))
            if before is None:
                before = self.model.vocabulary.spell(self.prefixes.sequence(parent, hole.start))
            text = self._texts[key] = before + self.model.vocabulary.token_bytes[token]
        return text

    def text_before(self, frames: NDArray[np.int64], prefixes: NDArray[np.int64]) -> Callable[[int], bytes]:
        """What the model wrote in the holes that these (N,) frames are in, by index."""

        def text(index: int) -> bytes:
            hole = self.frames[int(frames[index])].hole
            assert hole is not None, "only holes have boundaries"
            return self.hole_text(hole, int(prefixes[index]))

        return text

    def _written(self, number: int, state: int) -> int | None:
        """Bytes of what follows the hole that the model wrote; None while the hole is unfinished."""
        key = (number, state)
        if key not in self._ends:
            automaton, states = self.automata[number], np.array([state])
            self._ends[key] = int(automaton.written(states)[0]) if automaton.finished(states)[0] else None
        return self._ends[key]

    def _bind(self, course: Course, name: str, value: Any) -> None:
        course.environment = self.environments.bind(course.environment, name, value)

    def _value(self, write: Write, text: str) -> Any:
        """A hole's text as the value that its grammar declares."""
        declaration = self.plan.program.holes.get(write.key)
        declared: Type | None = None if declaration is None else declaration.type
        if declared is not None and declared.name == "list":
            declared = declared.item
        name = "str" if declared is None else declared.name
        try:
            if name == "int":
                return int(text)
            if name == "float":
                return float(text)
            return json.loads(text) if name == "json" else text
        except ValueError:
            assert write.span is not None
            raise EvaluationError(f"`{write.name}` is {text!r}, which is no `{name}`", write.span) from None

    def unfinished(self, write: Write, environment_number: int, text: bytes) -> dict[str, Any] | None:
        """The environment with the hole's text so far; None where it is no value of the hole's type."""
        environment = dict(self.environments[environment_number])
        try:
            value = self._value(write, whole_characters(text))
        except EvaluationError:
            return None
        environment[write.name] = [*environment.get(write.name, ()), value] if write.collects else value
        return environment

    def _last_text(self, environment: Mapping[str, Any]) -> str:
        texts = [value for name, value in environment.items() if name.startswith("\0texts ") and value]
        return str(texts[-1][-1][1].decode()) if texts else ""

    def _stop(
        self, course: Course, *, state: int, hole: OpenHole | None = None, observing: tuple[int, ...] = ()
    ) -> Arrival:
        """Stop where the model is needed."""
        frame = Frame(
            course.position,
            course.environment,
            course.roles,
            hole,
            observing,
            tuple(sorted(course.previews.items())),
            course.judged,
            tuple(sorted(course.scores.items())),
            tuple(sorted(course.late.items())),
        )
        boundaries = () if hole is None else tuple(self.automata[hole.automaton].boundaries)
        number = self.frames.number(frame, boundaries)
        changes = tuple(course.changes.values())
        return Arrival(RUNNING, number, course.prefix, state, course.log_weight, changes=changes)

    def _dead(self, factor: PlannedFactor, course: Course, place: str, text: str, verdict: Verdict) -> Arrival:
        frame = self.frames.number(Frame(course.position, course.environment, course.roles))
        death = Death(factor.index, place, text, verdict.calls)
        return Arrival(DEAD, frame, course.prefix, 0, -math.inf, death, tuple(course.changes.values()))
