"""Advancing a particle: run its instructions from where it stands to where it next needs the model.

`Interpreter.advance` is a generator: it yields the calls of potentials that it needs and takes their
results, so that the particles of all groups that stand at a boundary go through it side by side. What
it returns depends on nothing but the frame, the prefix and the results.
"""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter
from typing import Any

from smcdsl.errors import Diagnostic, Label, Span, UsageError
from smcdsl.inference.course import Arrival, Course
from smcdsl.inference.given_text import GivenText
from smcdsl.inference.judgement import (
    Calling,
    value_of,
)
from smcdsl.inference.judging import Judging
from smcdsl.inference.outlook import look_ahead, loop_name, watches_of
from smcdsl.inference.particles import (
    FINISHED,
    Frame,
    OpenHole,
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
    Restore,
    StartLoop,
    Write,
)
from smcdsl.program.evaluation import EvaluationError, render
from smcdsl.program.statements import Given, Insert


class Interpreter(GivenText, Judging):
    """Runs a plan's instructions for one run."""

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
        course = Course(
            frame.position, frame.environment, frame.roles, prefix, dict(frame.previews), frame.judged, dict(frame.late)
        )
        course.scores.update(frame.scores)
        if frame.hole is not None:
            text = self.hole_text(frame.hole, prefix)
            written = self._written(frame.hole.automaton, state)
            if written is None:
                return (yield from self._look_early(frame, frame.hole, course, text, state))
            # What is under way of late previews will not be needed: the final value is next.
            course.late.clear()
            self._finish_hole(frame.hole, course, text[: len(text) - written], written)
        elif frame.observing:
            course.position += 1
        return (yield from self._run(course))

    def _run(self, course: Course) -> Calling[Arrival]:
        """Execute instructions until one stops the particle."""
        while course.position < len(self.plan.instructions):
            instruction = self.plan.instructions[course.position]
            arrival = yield from self._execute(instruction, course)
            if arrival is not None:
                return arrival
            course.position += 1
        self._flush(course)
        assert not course.previews, "a preview is left in the weight"
        scores = tuple(sorted(course.scores.items()))
        frame = self.frames.number(Frame(course.position, course.environment, course.roles, scores=scores))
        return Arrival(FINISHED, frame, course.prefix, 0, course.log_weight, changes=tuple(course.changes.values()))

    def _execute(self, instruction: Instruction, course: Course) -> Calling[Arrival | None]:
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

    def _flow(self, instruction: Instruction, course: Course) -> Calling[None]:
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

    def _items(self, loop: StartLoop, course: Course) -> Calling[tuple[Any, ...]]:
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

    def _shadow(self, course: Course, name: str) -> None:
        environment = self.environments[course.environment]
        old = (environment[name],) if name in environment else ()
        self._bind(course, f"\0outer {name}", (*environment.get(f"\0outer {name}", ()), old))

    def _restore(self, course: Course, name: str) -> None:
        *outer, old = self.environments[course.environment][f"\0outer {name}"]
        self._bind(course, f"\0outer {name}", tuple(outer))
        if old:
            self._bind(course, name, old[0])
        else:
            course.environment = self.environments.drop(course.environment, name)

    def _text(self, parts: tuple[Given | Insert, ...], course: Course) -> Calling[str]:
        texts = []
        for part in parts:
            if isinstance(part, Given):
                texts.append(part.text)
            else:
                value = yield from value_of(part.expression, self.environments[course.environment])
                texts.append(render(value))
        return "".join(texts)

    def _start_hole(self, write: Write, course: Course) -> Calling[Arrival]:
        self._flush(course)
        self._check_length(course, write.span)
        environment = dict(self.environments[course.environment])
        prospect = yield from look_ahead(self.plan, course.position, environment, value_of)
        if not (prospect.following or prospect.ends_turn):
            assert write.span is not None
            raise _nothing_follows(write.span)
        following = prospect.following.encode() or None
        number = self._automaton(write, environment, following)
        watches = watches_of(prospect, write, environment) if self.applies_factors else ()
        by_factor = {watch.factor: watch for watch in watches if not watch.each}
        checked = tuple(by_factor[factor] for factor in self.checked if factor in by_factor)
        # Particles stop at the boundaries of checked factors all the same: resampling has its places there.
        hole = OpenHole(number, course.prefix, following, watches if self.previews else (), checked)
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

    def _start_observing(self, course: Course, text: str) -> Arrival | None:
        self._flush(course)
        if not text:
            return None
        self._check_length(course, None)
        return self._stop(course, observing=tuple(self._encode(text, course)), state=0)

    def _finish_hole(self, hole: OpenHole, course: Course, text: bytes, written: int) -> None:
        """Bind the finished text, and go on behind the hole."""
        write = self.plan.instructions[course.position]
        assert isinstance(write, Write)
        course.skip = written
        course.turn_ended = hole.following is None
        if write.name != "_":
            self._bind_hole(write, hole, course, text)
        course.position += 1

    def _bind_hole(self, write: Write, hole: OpenHole, course: Course, text: bytes) -> None:
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


def _nothing_follows(span: Span) -> UsageError:
    """Nothing follows a hole after all, because an inserted text is empty."""
    label = Label(span, "with these inputs the text after this hole is empty", primary=True)
    fix = "add some fixed text after the hole, for example a newline"
    return UsageError(Diagnostic("E0607", "nothing separates this hole from what follows", (label,), help=fix))
