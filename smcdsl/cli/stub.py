"""`smcdsl stub`: type stubs, so that editors and type checkers know a program's inputs and results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from smcdsl.cli import exits
from smcdsl.cli.terminal import Terminal


@click.command("stub")
@click.argument("programs", nargs=-1, required=True, metavar="PROGRAM...")
@click.option("-o", "--output", metavar="FILE", help="Where to write it; `-` is stdout.  [default: beside the program]")
@click.pass_obj
def command(terminal: Terminal, programs: Sequence[str], output: str | None) -> int:
    """Write Python type stubs for programs.

    The stub of text_to_sql.smc is text_to_sql.pyi, a module of types alone. It has a class TextToSql with the
    program's inputs as keywords of `run` and the types of its results. Code says that a program is of that class:

    \b
        if TYPE_CHECKING:
            from text_to_sql import TextToSql
        prog = cast("TextToSql", smcdsl.load("text_to_sql.smc"))
    """
    from smcdsl.engine import load
    from smcdsl.engine.stubs import stub_text

    if output is not None and len(programs) > 1:
        raise click.UsageError("-o names one file, and there are several programs")
    # All are read before the first is written.
    texts = [stub_text(load(program, config=terminal.config).program) for program in programs]
    targets = [_target(program, output) for program in programs]
    for target, text in zip(targets, texts, strict=True):
        if target is None:
            click.echo(text, nl=False)
        else:
            write_stub(target, text)
            terminal.note(f"{target}: written")
    return exits.SUCCESS


def write_stub(target: Path, text: str) -> None:
    """Write a stub where nothing of somebody else's is.

    Raises:
        click.UsageError: it cannot be written, or is not one to write over.
    """
    from smcdsl.engine.stubs import HEADER
    from smcdsl.report.files import write_whole

    try:
        if target.is_file() and not target.read_bytes().startswith(HEADER.encode()) and target.stat().st_size:
            raise click.UsageError(f"`{target}` is not a stub that smcdsl wrote: move it, or name another file with -o")
        write_whole(target, text)
    except (OSError, ValueError) as error:
        raise click.UsageError(f"`{target}` cannot be written: {getattr(error, 'strerror', None) or error}") from error


def beside(program: Path) -> Path:
    """Where the stub of a program goes by itself.

    Raises:
        click.UsageError: a module of that name is there, and would be hidden.
    """
    from smcdsl.engine.stubs import stub_path

    target = stub_path(program)
    for module in (target.with_suffix(".py"), target.with_suffix("") / "__init__.py"):
        if module.exists():
            raise click.UsageError(f"`{target}` would hide the module `{module}`: name another file with -o")
    return target


def _target(program: str, output: str | None) -> Path | None:
    """Where to write; None for stdout."""
    if output == "-" or (output is None and program == "-"):
        return None
    if output == "":
        raise click.UsageError("`-o` needs the name of a file")
    return Path(output) if output is not None else beside(Path(program))
