"""`smcdsl build`: a program with its compiled grammars in one file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from smcdsl.cli import exits
from smcdsl.cli.asked import named_texts
from smcdsl.cli.bound import known_inputs
from smcdsl.cli.stub import beside, write_stub
from smcdsl.cli.terminal import Terminal

if TYPE_CHECKING:
    from smcdsl.engine.built import BuildReport, BuiltHole
    from smcdsl.program.program import Program


@click.command("build")
@click.argument("program", metavar="PROGRAM")
@click.option(
    "-m", "--model", metavar="NAME", help="The model whose tokenizer it is for, as for `run`.  [env: SMCDSL_MODEL]"
)
@click.option("--backend", metavar="NAME", help="auto, hf, toy.")
@click.option("-o", "--output", metavar="FILE", help="Where to write it.  [default: PROGRAM with the ending .smcx]")
@click.option(
    "-i", "--input", "inputs", multiple=True, metavar="NAME=VALUE", help="An input that a grammar depends on."
)
@click.option("--stubs", is_flag=True, help="Also write the program's type stub beside it, as `smcdsl stub` does.")
@click.option("--state-limit", metavar="N", help="The most automaton states of a grammar.")
@click.pass_obj
def command(
    terminal: Terminal,
    program: str,
    model: str | None,
    backend: str | None,
    output: str | None,
    inputs: tuple[str, ...],
    stubs: bool,
    state_limit: str | None,
) -> int:
    """Compile a program for a model's tokenizer and save it as a .smcx file.

    The file holds the program's text and the tables of its grammars; `run`, `show` and all others take it in place of
    the program. Grammars that depend on inputs are compiled for the values given with -i, or left to the run. What the
    program imports is not in the file: it must stand beside it, unchanged.
    """
    from smcdsl.engine import load

    compiled = load(program, config=terminal.config)
    terminal.report(compiled.program.warnings)
    settings = compiled.settings(model=model, backend=backend, state_limit=state_limit)
    target = _target(program, output)
    values = known_inputs(compiled.program, named_texts(compiled.program, inputs), "smcdsl build ...")
    stub = None
    if stubs:
        from smcdsl.engine.stubs import stub_text

        stub = beside(target), stub_text(compiled.program)
    loaded = compiled.load_model(model, settings)
    try:
        report = _build(compiled.program, loaded, target, settings, values, program)
    except (OSError, ValueError) as error:
        raise click.UsageError(f"`{target}` cannot be written: {getattr(error, 'strerror', None) or error}") from error
    _print(terminal, compiled.program, report, settings["model"])
    if stub is not None:
        write_stub(*stub)
        terminal.note(f"{stub[0]}: its types")
    return exits.SUCCESS


def _build(
    program: Program, model: Any, target: Path, settings: Any, values: dict[str, Any], named: str
) -> BuildReport:
    from smcdsl.engine.built import build_program

    return build_program(
        program,
        model,
        target,
        model_name=str(settings["model"]),
        values=values,
        state_limit=settings["state_limit"],
        folder=Path() if named == "-" else Path(named).parent,
    )


def _target(program: str, output: str | None) -> Path:
    """Where to write.

    Raises:
        click.UsageError: nowhere, or over the program.
    """
    from smcdsl.engine.built import SUFFIX

    if output == "":
        raise click.UsageError("`-o` needs the name of a file")
    if output is None and program == "-":
        raise click.UsageError("a program from stdin has no name: say where to write with -o FILE")
    target = Path(output) if output is not None else Path(program).with_suffix(SUFFIX)
    try:
        if target.exists() and program != "-" and target.samefile(program):
            raise click.UsageError(f"`{target}` is the program itself: say where to write with -o FILE")
    except (OSError, ValueError) as error:
        raise click.UsageError(f"`{target}` cannot be written: {getattr(error, 'strerror', None) or error}") from error
    return target


def _print(terminal: Terminal, program: Program, report: BuildReport, model: str) -> None:
    from smcdsl.report.visible import escape

    size = f"{report.size / 1e6:.1f} MB" if report.size else "written"
    tokenizer = f"tokenizer {report.fingerprint[:8]}, {report.vocab_size:,} tokens"
    click.echo(escape(f"{report.path}: {size} for {model} ({tokenizer})"))
    width = max((len(hole.name) for hole in report.holes), default=0)
    for hole in report.holes:
        click.echo(f"  {hole.name:<{width}}  {_line(program, hole)}")
    for name in report.missing:
        where = report.path.parent
        terminal.note(escape(f"note: the program imports `{name}`, which is looked for from {where} and is not there"))


def _line(program: Program, hole: BuiltHole) -> str:
    from smcdsl.engine.inputs import placeholder

    if hole.states is not None:
        bound = ", ".join(f"`{name}`" for name in hole.bound)
        return f"{hole.states:,} states" + (f", for this value of {bound} only" if bound else "")
    if hole.problem:
        return f"not included: {hole.problem}"
    types = {declared.name: declared.type for declared in program.inputs}
    names = " and ".join(f"`{name}`" for name in hole.needs)
    flags = " ".join(f"-i {name}={placeholder(types[name])}" for name in hole.needs if name in types)
    return f"not included: it depends on {names}" + (f"; give {flags}" if flags else "")
