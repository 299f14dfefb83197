"""A program's transcript with its holes as blanks: what `show --prompt` prints.

Insertions whose values are known are rendered; others stand as they are written. Branches and loops that
depend on what is generated are shown as such.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from smcdsl.program.evaluation import Environment, free_names, render
from smcdsl.program.expressions import Expression
from smcdsl.program.program import Program
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

Value = Callable[[Expression, Environment], Any]
"""The value of an expression, calls of helpers included."""


@dataclass(frozen=True)
class Piece:
    """A part of the transcript: `given` text, a `hole`, a `control` line, or the `role` that opens a turn."""

    kind: str
    text: str


def pieces(program: Program, inputs: Mapping[str, Any], value: Value) -> list[Piece]:
    """The transcript; an insertion is written out if all names in it are known."""
    return list(_body(program.body, dict(inputs), value))


def _body(body: tuple[Statement, ...], known: dict[str, Any], value: Value) -> Iterator[Piece]:
    for statement in body:
        yield from _statement(statement, known, value)


def _statement(statement: Statement, known: dict[str, Any], value: Value) -> Iterator[Piece]:
    match statement:
        case Turn(role=role, body=body):
            yield Piece("role", role)
            yield from _body(body, known, value)
        case Text(template=template) | Observe(template=template):
            yield from _template(template, known, value)
        case Let(name=name, expression=expression):
            if free_names(expression) <= known.keys():
                known[name] = value(expression, known)
            else:
                known.pop(name, None)
        case Scope(bindings=bindings, body=body):
            inner = dict(known)
            for name, expression in bindings:
                inner.pop(name, None)
                if free_names(expression) <= known.keys():
                    inner[name] = value(expression, known)
            yield from _body(body, inner, value)
        case Branch():
            yield from _branch(statement, known, value)
        case Loop():
            yield from _loop(statement, known, value)
        case Break():
            yield Piece("control", "break")
        case Factor():
            pass
        case _:
            raise AssertionError(f"no transcript of {type(statement).__name__}")


def _template(template: Template, known: Mapping[str, Any], value: Value) -> Iterator[Piece]:
    for part in template.parts:
        match part:
            case Given(text=text):
                yield Piece("given", text)
            case Insert(expression=expression, span=span):
                is_known = free_names(expression) <= known.keys()
                yield Piece("given", render(value(expression, known)) if is_known else span.text)
            case Hole(span=span):
                yield Piece("hole", span.text)


def _branch(branch: Branch, known: dict[str, Any], value: Value) -> Iterator[Piece]:
    if free_names(branch.condition) <= known.keys():
        chosen = branch.then if value(branch.condition, known) else branch.otherwise
        yield from _body(chosen, known, value)
        return
    yield Piece("control", f"if {branch.condition.span.text}")
    yield from _body(branch.then, dict(known), value)
    if branch.otherwise:
        yield Piece("control", "else")
        yield from _body(branch.otherwise, dict(known), value)
    yield Piece("control", "end if")


def _loop(loop: Loop, known: dict[str, Any], value: Value) -> Iterator[Piece]:
    bounds = free_names(loop.first) | (free_names(loop.last) if loop.last is not None else frozenset())
    if bounds <= known.keys() and not _may_break(loop.body):
        first = value(loop.first, known)
        items = first if loop.last is None else range(first, value(loop.last, known) + 1)
        for item in items:
            yield from _body(loop.body, {**known, loop.variable: item}, value)
        return
    over = loop.first.span.text + (f"..{loop.last.span.text}" if loop.last is not None else "")
    yield Piece("control", f"for {loop.variable} in {over}")
    inner = {name: known[name] for name in known if name != loop.variable}
    yield from _body(loop.body, inner, value)
    yield Piece("control", "end for")


def _may_break(body: tuple[Statement, ...]) -> bool:
    return any(
        isinstance(statement, Break)
        or (isinstance(statement, Branch) and (_may_break(statement.then) or _may_break(statement.otherwise)))
        for statement in body
    )


def transcript_text(parts: list[Piece]) -> str:
    """For readers: roles in brackets on their own lines, control lines behind `%`. Ends in a newline."""
    text = ""
    for part in parts:
        if part.kind in ("role", "control"):
            text += "" if not text or text.endswith("\n") else "\n"
            text += f"[{part.text}]\n" if part.kind == "role" else f"% {part.text}\n"
        else:
            text += part.text
    return text if text.endswith("\n") else text + "\n"
