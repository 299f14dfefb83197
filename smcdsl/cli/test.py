"""`smcdsl test`: run the test blocks of programs."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from smcdsl.cli import exits
from smcdsl.cli.check import expand
from smcdsl.cli.terminal import Terminal

if TYPE_CHECKING:
    from smcdsl.engine import CompiledProgram
    from smcdsl.engine.testing import Tested
    from smcdsl.protocols import LanguageModel


@click.command("test")
@click.argument("files", nargs=-1, metavar="[PROGRAM]...")
@click.option("-k", "name_part", default="", metavar="TEXT", help="Only the blocks whose names contain it.")
@click.option("--no-model", is_flag=True, help="Leave out `expect`, which needs a model.")
@click.option("-m", "--model", metavar="NAME", help="The model that `expect` is run on.  [env: SMCDSL_MODEL]")
@click.option("--particles", metavar="N", help="In place of the program's own.")
@click.option("--seed", metavar="N", help="Determines the runs.  [default: 0]")
@click.option("--junit", metavar="FILE", help="Also write the outcome as JUnit XML.")
@click.option("--potentials", is_flag=True, help="Check the laws of the programs' potentials instead.")
@click.pass_obj
def command(
    terminal: Terminal,
    files: Sequence[str],
    name_part: str,
    no_model: bool,
    model: str | None,
    particles: str | None,
    seed: str | None,
    junit: str | None,
    potentials: bool,
) -> int:
    """Run the test blocks of programs.

    PROGRAMs are files, or folders to look through for *.smc; without any, the working folder. `accept` and `reject`
    try a grammar; `expect` runs the program and must be true of more than half of what it returns. With --potentials
    each program's potentials are called on beginnings of texts of its grammars, under the inputs of its tests: a no to
    a beginning must mean a no to all its ends, equal arguments must give equal answers, alone and in batches, and
    calls must cost about what is declared. Exits with 1 if anything failed.
    """
    from smcdsl.engine import load

    flags = {"model": model, "particles": particles, "seed": seed}
    programs = [(path, load(path, config=terminal.config)) for path in expand(files)]
    if potentials:
        from smcdsl.cli.laws import check_laws

        return check_laws(terminal, programs, flags)
    began = time.perf_counter()
    tested = list(_run(terminal, programs, name_part, flags, no_model))
    if junit is not None:
        _write_junit(junit, tested)
    click.echo(_total(tested, time.perf_counter() - began))
    return exits.SUCCESS if all(each.passed for each in tested) else exits.FINDINGS


def _run(
    terminal: Terminal,
    programs: Sequence[tuple[str, CompiledProgram]],
    name_part: str,
    flags: dict[str, str | None],
    no_model: bool,
) -> Iterator[Tested]:
    from smcdsl.engine.testing import run_tests

    for path, compiled in programs:
        loaded: LanguageModel | None = None
        if not no_model and any(test.expects and name_part in test.name for test in compiled.program.tests):
            loaded = compiled.load_model(flags["model"], compiled.settings(**flags))
        given = {name: value for name, value in flags.items() if name != "model"}
        for each in run_tests(compiled, name_part=name_part, model=loaded, flags=given):
            _show(terminal, path, each)
            yield each


def _show(terminal: Terminal, path: str, tested: Tested) -> None:
    from smcdsl.report.visible import escape

    words = {True: "ok", False: "FAILED", None: "left out"}
    click.echo(f"{escape(path)}: {escape(tested.name)}")
    for check in tested.checks:
        detail = f"   {escape(check.detail)}" if check.detail else ""
        click.echo(f"  {words[check.passed]:<8}  {escape(check.line)}{detail}")
    if tested.failure is not None:
        click.echo("  FAILED    it could not be run to its end")
    terminal.report(tested.problems)


def _total(tested: Sequence[Tested], seconds: float) -> str:
    checks = [check.passed for each in tested for check in each.checks]
    failed = checks.count(False) + sum(each.failure is not None for each in tested)
    parts = [f"{checks.count(True)} passed", f"{failed} failed"]
    parts += [f"{checks.count(None)} left out"] if None in checks else []
    where = f"{len(tested)} test block{'s' if len(tested) != 1 else ''}"
    return f"{', '.join(parts)} in {where}, {seconds:.1f} s"


def _write_junit(path: str, tested: Sequence[Tested]) -> None:
    from smcdsl.engine.junit import junit_xml
    from smcdsl.report.files import write_whole

    try:
        write_whole(Path(path), junit_xml(tested))
    except OSError as error:
        raise click.UsageError(f"`{path}` cannot be written: {error.strerror}") from error
