"""Scheduling: a program's body as a tree of steps, every factor moved as early as it may go.

A factor may be judged as soon as all names it mentions have their values; the order of factors never
changes the target (language reference, 2.2.6). It stays behind a step that may leave the loop, since
then it would count where it should not, and it never enters a branch or a loop. Among factors at one
place the cheap go first, so that what they remove is not judged by the dear.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from smcdsl.errors import CompileError, Diagnostic, Label, Span
from smcdsl.plan import Occurrences, PlannedFactor
from smcdsl.program.evaluation import free_names, function_calls
from smcdsl.program.expressions import Field
from smcdsl.program.statements import (
    Branch,
    Break,
    Factor,
    Given,
    Hole,
    Insert,
    Let,
    Loop,
    Observe,
    Scope,
    Statement,
    Template,
    Text,
    Turn,
)


@dataclass(frozen=True)
class GivenStep:
    """Given text without holes."""

    parts: tuple[Given | Insert, ...]
    span: Span


@dataclass(frozen=True)
class HoleStep:
    """A hole."""

    hole: Hole


@dataclass(frozen=True)
class JudgeStep:
    """The final judgement of a factor."""

    factor: PlannedFactor


@dataclass(frozen=True)
class Sequence:
    """Steps in order inside a turn, a scope, a branch's arm or a loop; `statement` is None for an arm."""

    statement: Turn | Scope | Branch | Loop | None
    bodies: tuple[tuple[Step, ...], ...]


Step = GivenStep | HoleStep | JudgeStep | Sequence | Let | Observe | Break


def schedule(body: tuple[Statement, ...]) -> tuple[tuple[Step, ...], tuple[PlannedFactor, ...]]:
    """The steps of a program's body in an order of the same meaning, and its factors."""
    factors: list[PlannedFactor] = []
    return _arranged(_steps(body, factors)), tuple(factors)


def _steps(body: Iterable[Statement], factors: list[PlannedFactor]) -> list[Step]:
    steps: list[Step] = []
    for statement in body:
        match statement:
            case Text(template=template):
                steps += _template_steps(template)
            case Turn(body=inner) | Scope(body=inner) | Loop(body=inner):
                steps.append(Sequence(statement, (tuple(_steps(inner, factors)),)))
            case Branch(then=then, otherwise=otherwise):
                arms = (tuple(_steps(then, factors)), tuple(_steps(otherwise, factors)))
                steps.append(Sequence(statement, arms))
            case Factor():
                factors.append(_planned(statement, len(factors)))
                steps.append(JudgeStep(factors[-1]))
            case Let() | Observe() | Break():
                steps.append(statement)
            case _:
                raise AssertionError(f"{type(statement).__name__} is left after the resolver")
    return steps


def _template_steps(template: Template) -> list[Step]:
    steps: list[Step] = []
    given: list[Given | Insert] = []
    for part in template.parts:
        if isinstance(part, Hole):
            if given:
                steps.append(GivenStep(tuple(given), template.span))
                given = []
            steps.append(HoleStep(part))
        else:
            given.append(part)
    if given:
        steps.append(GivenStep(tuple(given), template.span))
    return steps


def _planned(statement: Factor, index: int) -> PlannedFactor:
    calls = [call.signature for call in function_calls(statement.expression) if call.signature.is_potential]
    names = {signature.name for signature in calls}
    name = names.pop() if len(names) == 1 else statement.expression.span.text or statement.verb
    cost = sum(signature.facts.cost_seconds or 0.0 for signature in calls)
    boundaries = tuple((boundary.hole or "", boundary.name.rpartition(".")[2]) for boundary in statement.boundaries)
    return PlannedFactor(
        index=index,
        verb=statement.verb,
        expression=statement.expression,
        boundaries=boundaries,
        each=None if statement.each is None else _occurrences(statement),
        name=name,
        cost_seconds=cost,
        span=statement.expression.span,
    )


def _occurrences(statement: Factor) -> Occurrences:
    assert statement.each is not None
    source = statement.each.source
    if isinstance(source, Field):
        hole = source.base
        if source.name == "token":
            label = Label(source.name_span, "tokens are the run's, not the text's", primary=True)
            message = "`each` cannot range over tokens"
            fix = "choose a rule of the grammar, or `line`"
            raise CompileError(Diagnostic("E0206", message, (label,), help=fix))
        return Occurrences(statement.each.variable, getattr(hole, "name", ""), source.name)
    return Occurrences(statement.each.variable, source.name, "")


def names_needed(factor: PlannedFactor) -> frozenset[str]:
    """Names whose values the final judgement takes."""
    names = free_names(factor.expression)
    if factor.verb == "guide":
        # A guide is there for its boundaries, though it may say the same at all of them.
        names |= {hole for hole, _ in factor.boundaries if hole}
    if factor.each is None:
        return names
    return (names - {factor.each.variable}) | {factor.each.hole}


def _arranged(steps: Iterable[Step]) -> tuple[Step, ...]:
    arranged: list[Step] = []
    for step in steps:
        if isinstance(step, JudgeStep):
            arranged = _inserted(arranged, step)
        elif isinstance(step, Sequence):
            arranged.append(replace(step, bodies=tuple(_arranged(body) for body in step.bodies)))
        else:
            arranged.append(step)
    return tuple(arranged)


def _inserted(steps: list[Step], judge: JudgeStep) -> list[Step]:
    """`steps` with `judge`, which stood behind them, as early as it may stand."""
    needed = names_needed(judge.factor)
    position = len(steps)
    while position and not _holds_back(steps[position - 1], judge, needed):
        position -= 1
    last = steps[position - 1] if position else None
    # A turn or a template's body is run exactly once, so a factor may move into it.
    if isinstance(last, Sequence) and isinstance(last.statement, Turn | Scope) and not _may_leave(last):
        bound = {name for name, _ in last.statement.bindings} if isinstance(last.statement, Scope) else set()
        if not bound & needed:
            inner = replace(last, bodies=(tuple(_inserted(list(last.bodies[0]), judge)),))
            return [*steps[: position - 1], inner, *steps[position:]]
    return [*steps[:position], judge, *steps[position:]]


def _holds_back(step: Step, judge: JudgeStep, needed: frozenset[str]) -> bool:
    if isinstance(step, JudgeStep):
        return step.factor.cost_seconds <= judge.factor.cost_seconds
    return _may_leave(step) or bool(defined_names(step) & needed)


def _may_leave(step: Step) -> bool:
    """Whether the step may leave the loop that it stands in."""
    if isinstance(step, Sequence):
        inside = any(_may_leave(inner) for body in step.bodies for inner in body)
        return inside and not isinstance(step.statement, Loop)
    return isinstance(step, Break)


def defined_names(step: Step) -> frozenset[str]:
    """Names that have a new value after the step."""
    match step:
        case HoleStep(hole=hole):
            return frozenset({hole.name})
        case Let(name=name):
            return frozenset({name})
        case Sequence(bodies=bodies):
            return frozenset().union(*(defined_names(inner) for body in bodies for inner in body))
        case _:
            return frozenset()
