"""Looking ahead from the start of a hole: what is given after it, and which factors will judge it.

The plan is walked from the hole on with the hole's name unknown, as far as no jump depends on an unknown
name. So `following`, the text `L` of the language reference (2.2.3), is known when the hole starts, and a
preview is only ever made of a factor that is sure to be judged, and so taken back.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

from smcdsl.inference.particles import Watch
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
    Plan,
    PlannedFactor,
    Restore,
    StartLoop,
    Write,
)
from smcdsl.program.evaluation import PotentialCall, free_names, function_calls, render
from smcdsl.program.expressions import Expression
from smcdsl.program.statements import Given

Calling = Generator[list[PotentialCall], list[Any], Any]
"""Yields calls that it needs, receives their results, returns its value."""
Evaluate = Callable[[Expression, dict[str, Any]], Calling]

_LONGEST_WALK = 4096


@dataclass
class Prospect:
    """What lies ahead of a hole: the text given next, or the end of its turn; neither if an inserted text is empty.

    `factors` that will judge come with the names that are bound until then.
    """

    following: str = ""
    ends_turn: bool = False
    factors: list[tuple[PlannedFactor, frozenset[str]]] = field(default_factory=list)


@dataclass
class _Walk:
    position: int
    environment: dict[str, Any]
    unknown: set[str]
    bound: set[str] = field(default_factory=set)
    loops: dict[int, list[Any] | None] = field(default_factory=dict)
    text: str = ""
    in_text: bool = True
    ends_turn: bool = False
    read: bool = False


def look_ahead(plan: Plan, position: int, environment: dict[str, Any], evaluate: Evaluate) -> Calling:
    """The `Prospect` of the hole at `position`, in the environment that it starts in."""
    write = plan.instructions[position]
    assert isinstance(write, Write)
    walk = _Walk(position + 1, dict(environment), {write.name})
    prospect = Prospect()
    for _ in range(_LONGEST_WALK):
        if walk.position >= len(plan.instructions):
            _close(walk)
            break
        instruction = plan.instructions[walk.position]
        walk.position += 1
        if isinstance(instruction, Judge):
            prospect.factors.append((plan.factors[instruction.factor], frozenset(walk.bound)))
            continue
        writes_again = isinstance(instruction, Write) and instruction.name == write.name != "_"
        if writes_again or not (yield from _step(walk, instruction, evaluate)):
            break
    prospect.following = walk.text
    # Where the way on is unknown, the compiler has made sure that all ways lead to the turn's end.
    prospect.ends_turn = not walk.text and (walk.ends_turn or (walk.in_text and not walk.read))
    return prospect


def _step(walk: _Walk, instruction: Instruction, evaluate: Evaluate) -> Calling:
    """Walk over one instruction; false where the way on is unknown."""
    match instruction:
        case Emit() if walk.in_text:
            yield from _read(walk, instruction, evaluate)
        case CloseTurn(role="text"):
            # Raw text goes on in the next `text` block; only the program ends it.
            pass
        case CloseTurn():
            _close(walk)
        case ObserveText():
            walk.in_text = False
        case Write(name=name):
            walk.in_text = False
            _forget(walk, name)
        case Assign(name=name, expression=expression):
            yield from _bind(walk, name, expression, evaluate)
        case Restore(names=names):
            for name in names:
                _forget(walk, name)
        case Jump(target=target):
            walk.position = target
        case JumpUnless(condition=condition, target=target):
            walk.in_text = walk.in_text and not walk.text
            if not _is_known(walk, condition):
                return False
            value = yield from evaluate(condition, walk.environment)
            if not value:
                walk.position = target
        case StartLoop(loop=loop, first=first, last=last):
            walk.loops[loop] = yield from _items(walk, first, last, evaluate)
        case NextItem(loop=loop, variable=variable, exit=target):
            walk.in_text = walk.in_text and not walk.text
            return _next_item(walk, loop, variable, target)
        case _:
            pass
    return True


def _close(walk: _Walk) -> None:
    """The turn ends here."""
    walk.ends_turn = walk.ends_turn or (walk.in_text and not walk.text)
    walk.in_text = False


def _read(walk: _Walk, emit: Emit, evaluate: Evaluate) -> Calling:
    walk.read = True
    for part in emit.parts:
        if isinstance(part, Given):
            walk.text += part.text
        elif _is_known(walk, part.expression):
            value = yield from evaluate(part.expression, walk.environment)
            walk.text += render(value)
        else:
            walk.in_text = False
            return


def _bind(walk: _Walk, name: str, expression: Expression, evaluate: Evaluate) -> Calling:
    if _is_known(walk, expression):
        walk.environment[name] = yield from evaluate(expression, walk.environment)
        walk.unknown.discard(name)
        walk.bound.add(name)
    else:
        _forget(walk, name)


def _items(walk: _Walk, first: Expression, last: Expression | None, evaluate: Evaluate) -> Calling:
    if not (_is_known(walk, first) and (last is None or _is_known(walk, last))):
        return None
    start = yield from evaluate(first, walk.environment)
    if last is None:
        return list(start)
    end = yield from evaluate(last, walk.environment)
    return list(range(start, end + 1))


def _next_item(walk: _Walk, loop: int, variable: str, target: int) -> bool:
    # A loop that had begun before the walk has its items in the environment.
    items = walk.loops[loop] if loop in walk.loops else list(walk.environment[loop_name(loop)])
    if items is None:
        return False
    if items:
        walk.environment[variable] = items[0]
        walk.unknown.discard(variable)
        walk.bound.add(variable)
    else:
        walk.position = target
    walk.loops[loop] = items[1:]
    return True


def _forget(walk: _Walk, name: str) -> None:
    walk.unknown.add(name)
    walk.bound.add(name)


def _is_known(walk: _Walk, expression: Expression) -> bool:
    return not free_names(expression) & walk.unknown


def loop_name(loop: int) -> str:
    """Under which an environment holds the items that a loop has left, as a tuple."""
    return f"\0loop {loop}"


def watches_of(prospect: Prospect, write: Write, environment: dict[str, Any]) -> tuple[Watch, ...]:
    """The factors that can say something while the hole is written."""
    watches = []
    known = environment.keys() | {write.name}
    for factor, bound in prospect.factors:
        names = free_names(factor.expression, certain=True)
        if factor.each is not None:
            names = names - {factor.each.variable}
        if not names <= known or (free_names(factor.expression) - {write.name}) & bound:
            continue
        watch = _occurrences(factor, write) if factor.each else _preview(factor, write)
        if watch is not None:
            watches.append(watch)
    return tuple(watches)


def _preview(factor: PlannedFactor, write: Write) -> Watch | None:
    own = tuple(name for hole, name in factor.boundaries if hole in (write.name, write.key, "") and name != "end")
    return Watch(factor.index, own) if own else None


def _occurrences(factor: PlannedFactor, write: Write) -> Watch | None:
    each = factor.each
    if each is None or each.hole not in (write.name, write.key) or each.rule in ("", "token", "end"):
        return None
    keeps = write.name not in free_names(factor.expression)
    calls = [call for call in function_calls(factor.expression) if write.name in free_names(call)]
    if keeps or (calls and all(call.signature.facts.prefix != "none" for call in calls)):
        return Watch(factor.index, (each.rule,), each=True, keeps=keeps)
    return None
