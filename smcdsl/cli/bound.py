"""Grammars of a program as verbs name them, bound to the inputs that are given on the command line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from smcdsl.errors import Diagnostic, UsageError

if TYPE_CHECKING:
    from smcdsl.program.grammar import Grammar
    from smcdsl.program.program import Program


def known_inputs(program: Program, texts: Mapping[str, list[str]], command: str) -> dict[str, Any]:
    """Values of the inputs that are given or have a default. Raises UsageError."""
    from dataclasses import replace

    from smcdsl.engine.inputs import command_line, read_inputs

    known = tuple(declared for declared in program.inputs if declared.name in texts or not declared.required)
    names = {declared.name for declared in program.inputs}
    relevant = replace(program, inputs=known) if texts.keys() <= names else program
    return read_inputs(relevant, texts, {}, command_line(command))


def bound(program: Program, name: str, texts: Mapping[str, list[str]], command: str) -> Grammar:
    """The closed grammar of a hole or a declared grammar.

    Raises:
        UsageError: E0201, there is none of that name; E08, an input that it needs is missing or wrong.
        CompileError: it is wrong under these inputs.
    """
    from smcdsl.library.binding import bind_grammar, bind_hole, expression_names
    from smcdsl.program.references import DeclaredReference

    if name in program.grammars:
        reference = DeclaredReference(name, "", span=program.grammars[name].span)
        return bind_grammar(
            program, name, _demand(program, texts, expression_names(reference, program.grammars), command)
        )
    hole = _hole_key(program, name)
    needed = expression_names(program.holes[hole].grammar, program.grammars)
    return bind_hole(program, hole, _demand(program, texts, needed, command))


def _hole_key(program: Program, name: str) -> str:
    for key, declared in program.holes.items():
        if name in (key, declared.name):
            return key
    known = ", ".join([*program.grammars, *(declared.name for declared in program.holes.values())])
    raise UsageError(
        Diagnostic(
            "E0201",
            f"nothing here is called `{name}`",
            context=name,
            notes=(f"grammars and holes of {program.name}: {known}",),
        )
    )


def _demand(program: Program, texts: Mapping[str, list[str]], needed: frozenset[str], command: str) -> dict[str, Any]:
    """The inputs that a grammar needs; a missing one is reported as `run` would."""
    from dataclasses import replace

    from smcdsl.engine.inputs import command_line, read_inputs

    wanted = needed | texts.keys()
    inputs = tuple(known for known in program.inputs if known.name in wanted or not known.required)
    return read_inputs(replace(program, inputs=inputs), texts, {}, command_line(command))
