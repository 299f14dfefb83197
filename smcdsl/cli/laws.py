"""`smcdsl test --potentials`: the laws of the potentials of programs, under the inputs of their tests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from smcdsl.cli import exits
from smcdsl.cli.terminal import Terminal

if TYPE_CHECKING:
    from smcdsl.engine import CompiledProgram


def check_laws(terminal: Terminal, programs: Sequence[tuple[str, CompiledProgram]], flags: Mapping[str, Any]) -> int:
    """Check each program under the inputs of each of its tests, and under its defaults if those are enough."""
    from smcdsl.verify.laws import check_laws as check
    from smcdsl.verify.reporting import as_text

    passed = True
    for path, compiled in programs:
        settings = compiled.settings(**flags)
        inputs = list(_inputs(compiled))
        if not inputs:
            terminal.note(f"{path}: left out, no test block gives it all its inputs")
        for values in inputs:
            found = check(compiled, values, settings)
            terminal.report(found.findings)
            click.echo(as_text(found), nl=False)
            passed = passed and found.passed
    return exits.SUCCESS if passed else exits.FINDINGS


def _inputs(compiled: CompiledProgram) -> Iterator[dict[str, Any]]:
    """The values that tests give, where they give all that have no default; equal ones once."""
    from smcdsl.engine.inputs import from_test

    program = compiled.program
    required = {known.name for known in program.inputs if known.required}
    seen: list[dict[str, Any]] = []
    if not required:
        seen.append(compiled.values({}))
    for test in program.tests:
        if required <= test.inputs.keys() and test.inputs:
            values = from_test(program, test)
            if values not in seen:
                seen.append(values)
    yield from seen
