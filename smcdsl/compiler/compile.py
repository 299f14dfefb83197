"""Program -> Plan: the body is scheduled, then laid out flat."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from smcdsl.compiler.schedule import GivenStep, HoleStep, JudgeStep, Sequence, Step, schedule
from smcdsl.errors import CompileError, Diagnostic, Label, Span
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
    Restore,
    StartLoop,
    Write,
)
from smcdsl.program.evaluation import free_names
from smcdsl.program.expressions import Name
from smcdsl.program.program import Program
from smcdsl.program.statements import Branch, Break, Given, Insert, Let, Loop, Observe, Scope, Turn

_NOWHERE = -1
"""The target of a jump that is not known yet."""


def compile_program(program: Program) -> Plan:
    """Lower a checked program.

    Raises:
        CompileError: E0606 or E0607, where the checker let a hole pass that nothing given follows.
    """
    steps, factors = schedule(program.body)
    layout = _Layout()
    layout.add_all(steps)
    for position, instruction in enumerate(layout.instructions):
        if isinstance(instruction, Write):
            _check_end(layout.instructions, position, instruction)
    return Plan(program, tuple(layout.instructions), factors)


@dataclass
class _Layout:
    """Instructions so far. `cleanups` undoes what a `break` leaves: turns and shadowed names, innermost last."""

    instructions: list[Instruction] = field(default_factory=list)
    loops: int = 0
    cleanups: list[Instruction | None] = field(default_factory=list)
    breaks: list[list[int]] = field(default_factory=list)

    def add_all(self, steps: Iterable[Step]) -> None:
        """Lay out steps one after the other."""
        for step in steps:
            self.add(step)

    def add(self, step: Step) -> None:
        """Lay out one step."""
        match step:
            case GivenStep(parts=parts, span=span):
                self.instructions.append(Emit(span, parts))
            case HoleStep(hole=hole):
                write = Write(hole.span, hole.key or hole.name, hole.name, hole.collects)
                self.instructions.append(write)
            case JudgeStep(factor=factor):
                self.instructions.append(Judge(factor.span, factor.index))
            case Let(name=name, expression=expression, span=span):
                self.instructions.append(Assign(span, name, expression))
            case Observe(template=template, span=span):
                parts = tuple(part for part in template.parts if isinstance(part, Given | Insert))
                self.instructions.append(ObserveText(span, parts))
            case Break(span=span):
                self._add_break(span)
            case Sequence(statement=Turn() as turn, bodies=(body,)):
                self._add_turn(turn, body)
            case Sequence(statement=Scope() as scope, bodies=(body,)):
                self._add_scope(scope, body)
            case Sequence(statement=Branch() as branch, bodies=(then, otherwise)):
                self._add_branch(branch, then, otherwise)
            case Sequence(statement=Loop() as loop, bodies=(body,)):
                self._add_loop(loop, body)
            case _:
                raise AssertionError(f"no instruction for {type(step).__name__}")

    def _add_turn(self, turn: Turn, body: tuple[Step, ...]) -> None:
        close = CloseTurn(turn.span, turn.role)
        self.instructions.append(OpenTurn(turn.role_span, turn.role))
        self.cleanups.append(close)
        self.add_all(body)
        self.cleanups.pop()
        self.instructions.append(close)

    def _add_scope(self, scope: Scope, body: tuple[Step, ...]) -> None:
        names = tuple(name for name, _ in scope.bindings)
        # All arguments are evaluated outside, before the first parameter shadows anything.
        temporary = [f"\0argument {name}" for name in names]
        for place, (_, expression) in zip(temporary, scope.bindings, strict=True):
            self.instructions.append(Assign(scope.span, place, expression))
        for name, place in zip(names, temporary, strict=True):
            self.instructions.append(Assign(scope.span, name, Name(scope.span, place), shadows=True))
        restore = Restore(scope.span, names)
        self.cleanups.append(restore)
        self.add_all(body)
        self.cleanups.pop()
        self.instructions.append(restore)

    def _add_branch(self, branch: Branch, then: tuple[Step, ...], otherwise: tuple[Step, ...]) -> None:
        test = self._placeholder()
        self.add_all(then)
        if otherwise:
            leave = self._placeholder()
            self.instructions[test] = JumpUnless(branch.span, branch.condition, len(self.instructions))
            self.add_all(otherwise)
            self.instructions[leave] = Jump(branch.span, len(self.instructions))
        else:
            self.instructions[test] = JumpUnless(branch.span, branch.condition, len(self.instructions))

    def _add_loop(self, loop: Loop, body: tuple[Step, ...]) -> None:
        number = self.loops
        self.loops += 1
        self.instructions.append(StartLoop(loop.span, number, loop.variable, loop.first, loop.last))
        start = self._placeholder()
        self.cleanups.append(None)
        self.breaks.append([])
        self.add_all(body)
        self.cleanups.pop()
        self.instructions.append(Jump(loop.span, start))
        end = len(self.instructions)
        self.instructions[start] = NextItem(loop.span, number, loop.variable, end)
        for position in self.breaks.pop():
            self.instructions[position] = Jump(loop.span, end)
        self.instructions.append(Restore(loop.span, (loop.variable,)))

    def _add_break(self, span: Span) -> None:
        for cleanup in reversed(self.cleanups):
            if cleanup is None:
                break
            self.instructions.append(cleanup)
        self.breaks[-1].append(self._placeholder())

    def _placeholder(self) -> int:
        self.instructions.append(Jump(None, _NOWHERE))
        return len(self.instructions) - 1


def _check_end(instructions: list[Instruction], position: int, write: Write) -> None:
    """Refuse a hole whose end the model could not know: the text after it must be known when it starts."""
    following = _following(instructions, position + 1, frozenset({write.name}), frozenset())
    if not following & {"hole", "depends"}:
        return
    assert write.span is not None
    code, message, said = "E0606", "nothing separates this hole from the next", "where does this hole end?"
    if "depends" in following:
        code, message = "E0607", "what follows this hole depends on its value"
        said = "the model must know what comes next in order to stop"
    label = Label(write.span, said, primary=True)
    fix = "add some fixed text after the hole, for example a newline"
    raise CompileError(Diagnostic(code, message, (label,), help=fix))


def _following(
    instructions: list[Instruction], position: int, unknown: frozenset[str], seen: frozenset[int]
) -> frozenset[str]:
    """What may stand right after a hole: `text`, the `end` of its turn, a `hole`, or what `depends` on it."""
    while position not in seen:
        seen = seen | {position}
        instruction = instructions[position] if position < len(instructions) else None
        position += 1
        match instruction:
            case CloseTurn(role="text"):
                # Raw text goes on in the next `text` block; only the program ends it.
                pass
            case None | CloseTurn():
                return frozenset({"end"})
            case Write() | ObserveText():
                return frozenset({"hole"})
            case Emit(parts=parts):
                found = _first_text(parts, unknown)
                if found:
                    return frozenset({found})
            case Jump(target=target):
                position = target
            case JumpUnless(condition=condition, target=target):
                arms = _following(instructions, position, unknown, seen)
                arms |= _following(instructions, target, unknown, seen)
                depends = free_names(condition) & unknown and arms != {"end"}
                return frozenset({"depends"}) if depends else arms
            case NextItem(exit=target):
                arms = _following(instructions, position, unknown, seen)
                return arms | _following(instructions, target, unknown, seen)
            case StartLoop(first=first, last=last):
                bounds = free_names(first) | (free_names(last) if last else frozenset())
                rest = _following(instructions, position, unknown, seen)
                return frozenset({"depends"}) if bounds & unknown and rest != {"end"} else rest
            case Assign(name=name, expression=expression) if free_names(expression) & unknown:
                unknown = unknown | {name}
            case _:
                pass
    return frozenset()


def _first_text(parts: tuple[Given | Insert, ...], unknown: frozenset[str]) -> str:
    for part in parts:
        if isinstance(part, Insert):
            return "depends" if free_names(part.expression) & unknown else "text"
        if part.text:
            return "text"
    return ""
