"""Advancing a particle: run its instructions from where it stands to where it next needs the model.

`Interpreter.advance` is a generator: it yields the calls of potentials that it needs and takes their
results, so that the particles of all groups that stand at a boundary go through it side by side. What
it returns depends on nothing but the frame, the prefix and the results.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from smcdsl.automaton.applying import Allowed
from smcdsl.errors import Diagnostic, Label, ModelError, PotentialError, Span, UsageError
from smcdsl.inference.collapse import Change
from smcdsl.inference.judgement import (
    Calling,
    Refusals,
    Verdict,
    occurrence_spans,
    reach,
    safe_length,
    value_of,
    weigh,
    whole_characters,
)
from smcdsl.inference.lookahead import look_ahead, loop_name, watches_of
from smcdsl.inference.particles import (
    DEAD,
    FINISHED,
    RUNNING,
    Environments,
    Frame,
    Frames,
    OpenHole,
    Watch,
)
from smcdsl.plan import (
    Assign,
    CloseTurn,
    Emit,
    Instruction,
    Judge,
    Jump,
    JumpUnless,
    NextItem,
    ObserveText,
    OpenTurn,
    Plan,
    PlannedFactor,
    Restore,
    StartLoop,
    Write,
)
from smcdsl.prefixes import ROOT, Prefixes
from smcdsl.program.evaluation import EvaluationError, PotentialCall, render
from smcdsl.program.statements import Given, Insert
from smcdsl.program.types import Type
from smcdsl.protocols import LanguageModel, Role, TurnTokens

_REMEMBERED_TEXTS = 1 << 16


class Site(Protocol):
    """An occurrence of a boundary in a hole's text, as byte offsets."""

    @property
    def rule(self) -> str:
        """The boundary."""
        ...

    @property
    def start(self) -> int:
        """Where it begins."""
        ...

    @property
    def end(self) -> int:
        """Where it ends."""
        ...


class Automaton(Protocol):
    """What the runtime needs of a `TokenAutomaton`."""

    @property
    def start(self) -> int:
        """The state before the first token."""
        ...

    @property
    def boundaries(self) -> tuple[str, ...]:
        """Names of the bits that `noticed` sets."""
        ...

    def pick(self, states: NDArray[np.int64], values: NDArray[np.floating[Any]], rows: NDArray[np.int64]) -> Allowed:
        """What each of (N,) states allows of its row, (N,), of `values`, (M, V)."""
        ...

    def advance(self, states: NDArray[np.int64], tokens: NDArray[np.int64]) -> NDArray[np.int64]:
        """(N,) states after one more token."""
        ...

    def finished(self, states: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(N,) whether the hole has ended."""
        ...

    def written(self, states: NDArray[np.int64]) -> NDArray[np.int64]:
        """(N,) bytes of what follows the hole that the model wrote itself."""
        ...

    def noticed(self, states: NDArray[np.int64], tokens: NDArray[np.int64]) -> NDArray[np.uint64]:
        """(N,) boundaries of which this token, taken in this state, made a site certain."""
        ...

    def sites(self, text: bytes, complete: bool) -> tuple[Site, ...]:
        """The sites of a text, in order of their ends; those certain already if it is not complete."""
        ...


Automata = Callable[[str, Mapping[str, Any], bytes | None], Automaton]
"""(hole key, the program's inputs, given text after the hole) -> its automaton."""


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
class _Course:
    """The particle on its way. `pending` is given text not encoded yet, `skip` bytes of it the model has written."""

    position: int
    environment: int
    roles: tuple[Role, ...]
    prefix: int
    previews: dict[int, float]
    judged: frozenset[tuple[int, int, int, int]]
    log_weight: float = 0.0
    pending: bytes = b""
    skip: int = 0
    turn_ended: bool = False
    changes: dict[int, Change] = field(default_factory=dict)

    def change(self, factor: int, log_weight: float, place: str) -> None:
        """Remember by how much a factor changes the weight with previews."""
        before = self.changes[factor].log_weight if factor in self.changes else 0.0
        self.changes[factor] = Change(factor, before + log_weight, place)


@dataclass
class Interpreter:
    """Runs a plan's instructions for one run.

    `applies_factors` is false for `lcd`; `previews` says whether particles stop at boundaries.
    """

    plan: Plan
    model: LanguageModel
    prefixes: Prefixes
    provider: Automata
    applies_factors: bool = True
    previews: bool = True
    frames: Frames = field(default_factory=Frames)
    environments: Environments = field(default_factory=Environments)
    automata: list[Automaton] = field(default_factory=list)
    refusals: Refusals = field(default_factory=Refusals)
    automata_seconds: float = 0.0
    """Time to make automata."""
    _automaton_numbers: dict[Any, int] = field(default_factory=dict)
    _encoded: dict[tuple[str, bool], list[int]] = field(default_factory=dict)
    _text_start: int = -1
    _texts: dict[tuple[int, int], bytes] = field(default_factory=dict)
    _ends: dict[tuple[int, int], int | None] = field(default_factory=dict)

    def begin(self, inputs: Mapping[str, Any]) -> int:
        """The frame at the program's start."""
        environment = 0
        for name, value in inputs.items():
            environment = self.environments.bind(environment, name, value)
        environment = self.environments.bind(environment, "\0inputs", environment)
        return self.frames.number(Frame(0, environment))

    def advance(self, frame_number: int, prefix: int, state: int) -> Calling[Arrival]:
        """From a boundary, a hole's end, an observed text's end or the program's start to the next stop."""
        frame = self.frames[frame_number]
        course = _Course(frame.position, frame.environment, frame.roles, prefix, dict(frame.previews), frame.judged)
        if frame.hole is not None:
            text = self.hole_text(frame.hole, prefix)
            written = self._written(frame.hole.automaton, state)
            if written is None:
                return (yield from self._look_early(frame, frame.hole, course, text, state))
            self._finish_hole(frame.hole, course, text[: len(text) - written], written)
        elif frame.observing:
            course.position += 1
        return (yield from self._run(course))

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

    def _written(self, number: int, state: int) -> int | None:
        """Bytes of what follows the hole that the model wrote; None while the hole is unfinished."""
        key = (number, state)
        if key not in self._ends:
            automaton, states = self.automata[number], np.array([state])
            self._ends[key] = int(automaton.written(states)[0]) if automaton.finished(states)[0] else None
        return self._ends[key]

    def _run(self, course: _Course) -> Calling[Arrival]:
        """Execute instructions until one stops the particle."""
        while course.position < len(self.plan.instructions):
            instruction = self.plan.instructions[course.position]
            arrival = yield from self._execute(instruction, course)
            if arrival is not None:
                return arrival
            course.position += 1
        self._flush(course)
        assert not course.previews, "a preview is left in the weight"
        frame = self.frames.number(Frame(course.position, course.environment, course.roles))
        return Arrival(FINISHED, frame, course.prefix, 0, course.log_weight, changes=tuple(course.changes.values()))

    def _execute(self, instruction: Instruction, course: _Course) -> Calling[Arrival | None]:
        match instruction:
            case OpenTurn():
                self._open_turn(instruction, course)
            case CloseTurn():
                self._close_turn(instruction, course)
            case Emit(parts=parts):
                text = yield from self._text(parts, course)
                self._emit(course, text)
            case Write():
                return (yield from self._start_hole(instruction, course))
            case ObserveText(parts=parts):
                text = yield from self._text(parts, course)
                return self._start_observing(course, text)
            case Judge(factor=factor):
                return (yield from self._judge(self.plan.factors[factor], course))
            case _:
                yield from self._flow(instruction, course)
        return None

    def _flow(self, instruction: Instruction, course: _Course) -> Calling[None]:
        """Names, branches and loops."""
        match instruction:
            case Assign(name=name, expression=expression, shadows=shadows):
                value = yield from value_of(expression, self.environments[course.environment])
                if shadows:
                    self._shadow(course, name)
                self._bind(course, name, value)
            case Restore(names=names):
                for name in names:
                    self._restore(course, name)
            case Jump(target=target):
                course.position = target - 1
            case JumpUnless(condition=condition, target=target):
                value = yield from value_of(condition, self.environments[course.environment])
                if not isinstance(value, bool):
                    raise EvaluationError(f"a condition needs a yes or no, and this is {value!r}", condition.span)
                if not value:
                    course.position = target - 1
            case StartLoop(loop=loop, variable=variable):
                items = yield from self._items(instruction, course)
                self._shadow(course, variable)
                self._bind(course, loop_name(loop), items)
            case NextItem(loop=loop, variable=variable, exit=target):
                items = self.environments[course.environment][loop_name(loop)]
                if items:
                    self._bind(course, variable, items[0])
                    self._bind(course, loop_name(loop), items[1:])
                else:
                    course.position = target - 1
            case _:
                raise AssertionError(f"unknown instruction {type(instruction).__name__}")

    def _items(self, loop: StartLoop, course: _Course) -> Calling[tuple[Any, ...]]:
        environment = self.environments[course.environment]
        first = yield from value_of(loop.first, environment)
        if loop.last is None:
            if isinstance(first, list | tuple):
                return tuple(first)
            raise EvaluationError(f"a loop needs a list, and this is {first!r}", loop.first.span)
        last = yield from value_of(loop.last, environment)
        if not (isinstance(first, int) and isinstance(last, int)):
            raise EvaluationError(f"a loop's bounds are whole numbers, not {first!r} and {last!r}", loop.first.span)
        return tuple(range(first, last + 1))

    def _bind(self, course: _Course, name: str, value: Any) -> None:
        course.environment = self.environments.bind(course.environment, name, value)

    def _shadow(self, course: _Course, name: str) -> None:
        environment = self.environments[course.environment]
        old = (environment[name],) if name in environment else ()
        self._bind(course, f"\0outer {name}", (*environment.get(f"\0outer {name}", ()), old))

    def _restore(self, course: _Course, name: str) -> None:
        *outer, old = self.environments[course.environment][f"\0outer {name}"]
        self._bind(course, f"\0outer {name}", tuple(outer))
        if old:
            self._bind(course, name, old[0])
        else:
            course.environment = self.environments.drop(course.environment, name)

    def _text(self, parts: tuple[Given | Insert, ...], course: _Course) -> Calling[str]:
        texts = []
        for part in parts:
            if isinstance(part, Given):
                texts.append(part.text)
            else:
                value = yield from value_of(part.expression, self.environments[course.environment])
                texts.append(render(value))
        return "".join(texts)

    def _emit(self, course: _Course, text: str) -> None:
        data = text.encode()
        skipped = min(course.skip, len(data))
        course.skip -= skipped
        course.pending += data[skipped:]

    def _flush(self, course: _Course) -> None:
        """Encode the pending given text."""
        pending, course.pending = course.pending, b""
        lead = 0
        while lead < len(pending) and pending[lead] & 0xC0 == 0x80:
            lead += 1
        # The model wrote the first bytes of a character; the rest of it can only be spelled byte by byte.
        tokens = [self._byte_token(pending[index : index + 1]) for index in range(lead)]
        if len(pending) > lead:
            tokens += self._encode(pending[lead:].decode(), course)
        course.prefix = self.prefixes.extend(course.prefix, tokens)

    def _encode(self, text: str, course: _Course) -> list[int]:
        key = (text, course.prefix == self._text_start)
        if key not in self._encoded:
            self._encoded[key] = self.model.encode(text, starts_text=key[1])
        return self._encoded[key]

    def _byte_token(self, byte: bytes) -> int:
        for token, spelled in enumerate(self.model.vocabulary.token_bytes):
            if spelled == byte:
                return token
        message = f"the model has no token for byte {byte.hex()}, with which a given text goes on"
        raise ModelError(Diagnostic("E0407", message), self.model.name)

    def _open_turn(self, instruction: OpenTurn, course: _Course) -> None:
        if instruction.role == "text":
            if course.prefix == ROOT:
                course.prefix = self._text_start = self.prefixes.extend(ROOT, self.model.begin_text())
            return
        opening = self._turn(instruction.role, instruction.span, course).opening
        course.prefix = self.prefixes.extend(course.prefix, opening)

    def _turn(self, role: Role, span: Span | None, course: _Course) -> TurnTokens:
        try:
            return self.model.turn(course.roles, role)
        except ModelError as error:
            if span is None or error.diagnostics[0].labels:
                raise
            label = Label(span, "chat turns need a template" if error.diagnostics[0].code == "E0804" else "", True)
            raise ModelError(replace(error.diagnostics[0], labels=(label,)), error.model) from error

    def _close_turn(self, instruction: CloseTurn, course: _Course) -> None:
        if instruction.role == "text":
            return
        self._flush(course)
        closing = self._turn(instruction.role, instruction.span, course).closing
        course.prefix = self.prefixes.extend(course.prefix, closing[1:] if course.turn_ended else closing)
        course.roles = (*course.roles, instruction.role)
        course.turn_ended = False

    def _start_hole(self, write: Write, course: _Course) -> Calling[Arrival]:
        self._flush(course)
        self._check_length(course, write.span)
        environment = dict(self.environments[course.environment])
        prospect = yield from look_ahead(self.plan, course.position, environment, value_of)
        if not (prospect.following or prospect.ends_turn):
            assert write.span is not None
            raise _nothing_follows(write.span)
        following = prospect.following.encode() or None
        number = self._automaton(write, environment, following)
        watches = watches_of(prospect, write, environment) if self.previews and self.applies_factors else ()
        hole = OpenHole(number, course.prefix, following, watches)
        return self._stop(course, hole=hole, state=self.automata[number].start)

    def _automaton(self, write: Write, environment: Mapping[str, Any], following: bytes | None) -> int:
        inputs = environment["\0inputs"]
        key = (write.key, inputs, following)
        if key not in self._automaton_numbers:
            began = perf_counter()
            self.automata.append(self.provider(write.key, self.environments[inputs], following))
            self._automaton_numbers[key] = len(self.automata) - 1
            self.automata_seconds += perf_counter() - began
        return self._automaton_numbers[key]

    def _start_observing(self, course: _Course, text: str) -> Arrival | None:
        self._flush(course)
        if not text:
            return None
        self._check_length(course, None)
        return self._stop(course, observing=tuple(self._encode(text, course)), state=0)

    def _stop(
        self, course: _Course, *, state: int, hole: OpenHole | None = None, observing: tuple[int, ...] = ()
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
        )
        boundaries = () if hole is None else tuple(self.automata[hole.automaton].boundaries)
        number = self.frames.number(frame, boundaries)
        changes = tuple(course.changes.values())
        return Arrival(RUNNING, number, course.prefix, state, course.log_weight, changes=changes)

    def _check_length(self, course: _Course, span: Span | None) -> None:
        length = int(self.prefixes.lengths[course.prefix])
        if length < self.model.context_length:
            return
        longest = self._longest_insert(course)
        label = Label(span, "no room is left for this", primary=True) if span else None
        if longest is not None:
            label = Label(longest[0], f"{longest[1]:,} characters come from here", primary=True)
        note = f"{length:,} prompt tokens; {self.model.name} has a context of {self.model.context_length:,}"
        raise UsageError(Diagnostic("E0805", "the prompt does not fit", (label,) if label else (), (note,)))

    def _longest_insert(self, course: _Course) -> tuple[Span, int] | None:
        """The inserted expression with the longest text, among those that need no call."""
        found: list[tuple[Span, int]] = []
        for instruction in self.plan.instructions[: course.position]:
            for part in instruction.parts if isinstance(instruction, Emit) else ():
                if isinstance(part, Insert):
                    try:
                        next(value_of(part.expression, self.environments[course.environment]))
                    except StopIteration as stop:
                        found.append((part.span, len(render(stop.value))))
                    except EvaluationError:
                        continue
        return max(found, key=lambda item: item[1], default=None)

    def _finish_hole(self, hole: OpenHole, course: _Course, text: bytes, written: int) -> None:
        """Bind the finished text, and go on behind the hole."""
        write = self.plan.instructions[course.position]
        assert isinstance(write, Write)
        course.skip = written
        course.turn_ended = hole.following is None
        if write.name != "_":
            self._bind_hole(write, hole, course, text)
        course.position += 1

    def _bind_hole(self, write: Write, hole: OpenHole, course: _Course, text: bytes) -> None:
        environment = self.environments[course.environment]
        value = self._value(write, text.decode())
        own = (hole.automaton, text)
        if write.collects:
            self._bind(course, write.name, [*environment.get(write.name, ()), value])
            own_texts = (*environment.get(f"\0texts {write.name}", ()), own)
        else:
            self._bind(course, write.name, value)
            own_texts = (own,)
        self._bind(course, f"\0texts {write.name}", own_texts)

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

    def _judge(self, factor: PlannedFactor, course: _Course) -> Calling[Arrival | None]:
        """The final value of a factor; its preview leaves the weight."""
        preview = course.previews.pop(factor.index, 0.0)
        if not self.applies_factors or factor.verb == "guide":
            course.change(factor.index, -preview, "at the end")
            return None
        environment = self.environments[course.environment]
        if factor.each is None:
            place = "at the end"
            with _placed(place):
                verdict = yield from weigh(factor, environment)
            if verdict.log_weight > -math.inf:
                self._confirm(factor, environment)
        else:
            verdict, place = yield from self._judge_each(factor, course)
        course.change(factor.index, verdict.log_weight - preview, place)
        course.log_weight += verdict.log_weight
        if course.log_weight > -math.inf:
            return None
        return self._dead(factor, course, place, self._last_text(environment), verdict)

    def _judge_each(self, factor: PlannedFactor, course: _Course) -> Calling[tuple[Verdict, str]]:
        assert factor.each is not None
        environment = self.environments[course.environment]
        total = 0.0
        for (text_number, span), value in self._occurrences(factor, environment).items():
            if (factor.index, text_number, *span) in course.judged:
                continue
            place = f'for "{value}"'
            with _placed(place):
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

    def _look_early(self, frame: Frame, hole: OpenHole, course: _Course, text: bytes, state: int) -> Calling[Arrival]:
        """Previews and occurrences of an unfinished hole."""
        write = self.plan.instructions[course.position]
        assert isinstance(write, Write)
        text = text[: safe_length(text, hole.following)]
        sites = self.automata[hole.automaton].sites(text, False)
        sites = tuple(site for site in sites if site.end <= len(text))
        for watch in hole.watches:
            factor = self.plan.factors[watch.factor]
            look = self._look_at_each if watch.each else self._look
            verdict, place = yield from look(factor, watch, write, course, text, sites)
            if verdict.log_weight == -math.inf:
                return self._dead(factor, course, place, whole_characters(text), verdict)
        return self._stop(course, hole=hole, state=state)

    def _look(
        self,
        factor: PlannedFactor,
        watch: Watch,
        write: Write,
        course: _Course,
        text: bytes,
        sites: tuple[Site, ...],
    ) -> Calling[tuple[Verdict, str]]:
        """Overwrite the preview of a factor by that of the text up to the last site."""
        length = reach(watch, text, sites)
        environment = None if length is None else self._unfinished(write, course, text[:length])
        if environment is None or length is None:
            return Verdict(0.0), ""
        number = sum(site.rule in watch.boundaries for site in sites)
        place = f"at {watch.boundaries[0]} {number} of `{write.name}`" if number else f"in `{write.name}`"
        with _placed(place):
            verdict = yield from weigh(factor, environment, {write.name})
        course.change(factor.index, verdict.log_weight - course.previews.get(factor.index, 0.0), place)
        course.previews[factor.index] = verdict.log_weight
        if verdict.log_weight == -math.inf and factor.verb == "require":
            self.refusals.remember(factor, write.name, environment, whole_characters(text[:length]))
        return verdict, place

    def _look_at_each(
        self,
        factor: PlannedFactor,
        watch: Watch,
        write: Write,
        course: _Course,
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
            environment = self._unfinished(write, course, text[:end])
            if key in course.judged or environment is None:
                continue
            environment[factor.each.variable] = text[start:end].decode()
            unfinished = frozenset() if watch.keeps else frozenset({write.name})
            place = f"at {rule} {count} of `{write.name}`"
            with _placed(place):
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
            course.log_weight += total
        else:
            course.previews[factor.index] = total
        return Verdict(total), ""

    def _unfinished(self, write: Write, course: _Course, text: bytes) -> dict[str, Any] | None:
        """The environment with the hole's text so far; None where it is no value of the hole's type."""
        environment = dict(self.environments[course.environment])
        try:
            value = self._value(write, whole_characters(text))
        except EvaluationError:
            return None
        environment[write.name] = [*environment.get(write.name, ()), value] if write.collects else value
        return environment

    def _last_text(self, environment: Mapping[str, Any]) -> str:
        texts = [value for name, value in environment.items() if name.startswith("\0texts ") and value]
        return str(texts[-1][-1][1].decode()) if texts else ""

    def _dead(self, factor: PlannedFactor, course: _Course, place: str, text: str, verdict: Verdict) -> Arrival:
        frame = self.frames.number(Frame(course.position, course.environment, course.roles))
        death = Death(factor.index, place, text, verdict.calls)
        return Arrival(DEAD, frame, course.prefix, 0, -math.inf, death, tuple(course.changes.values()))


@contextmanager
def _placed(place: str) -> Iterator[None]:
    """Errors of calls that are made inside know where in the text they were made."""
    try:
        yield
    except PotentialError as error:
        error.place = place
        raise


def _nothing_follows(span: Span) -> UsageError:
    """Nothing follows a hole after all, because an inserted text is empty."""
    label = Label(span, "with these inputs the text after this hole is empty", primary=True)
    fix = "add some fixed text after the hole, for example a newline"
    return UsageError(Diagnostic("E0607", "nothing separates this hole from what follows", (label,), help=fix))
