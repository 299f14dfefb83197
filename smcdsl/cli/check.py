"""`smcdsl check`: find mistakes without running anything."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import click

from smcdsl.cli import exits
from smcdsl.cli.terminal import Terminal
from smcdsl.errors import Diagnostic, UsageError
from smcdsl.report.diagnostics import concise, record, render, summary


@click.command("check")
@click.argument("files", nargs=-1, metavar="[FILES|-]")
@click.option(
    "--output-format",
    type=click.Choice(["full", "concise", "json"]),
    default="full",
    help="Frames, one line each, or JSON records.",
)
@click.option("--pedantic", is_flag=True, help="Also warn of what is legal but seldom meant.")
@click.pass_obj
def command(terminal: Terminal, files: Sequence[str], output_format: str, pedantic: bool) -> int:
    """Find mistakes in programs, without running anything and without a model.

    FILES are programs, or folders to look through for *.smc; without any, the working folder. `-` reads
    standard input. Exits with 1 if there is an error.
    """
    from smcdsl.engine import check, read_source

    found: list[Diagnostic] = []
    paths = expand(files)
    for path in paths:
        _, diagnostics = check(read_source(path), pedantic=pedantic)
        found += diagnostics
    show(terminal, found, output_format)
    if output_format == "full":
        counts = summary(found)
        checked = f"{len(paths)} file{'s' if len(paths) != 1 else ''}"
        terminal.note(f"{checked} checked: {counts or 'no mistakes found'}")
    return exits.FINDINGS if any(diagnostic.severity == "error" for diagnostic in found) else exits.SUCCESS


def expand(files: Sequence[str]) -> list[str]:
    """Programs among files and folders, sorted within each folder; the working folder if none are named.

    Raises:
        UsageError: E0816, a folder has no programs.
    """
    found: list[str] = []
    for name in files or ["."]:
        path = Path(name)
        if name != "-" and path.is_dir():
            inside = sorted(str(file) for file in path.rglob("*.smc") if file.is_file())
            if not inside:
                raise UsageError(Diagnostic("E0816", f"there are no .smc files in `{name}`", context=name))
            found += inside
        else:
            found.append(name)
    return found


def show(terminal: Terminal, diagnostics: Sequence[Diagnostic], output_format: str) -> None:
    """Findings on stdout: they are what was asked for."""
    import sys

    if output_format == "json":
        click.echo(json.dumps([record(diagnostic) for diagnostic in diagnostics], indent=2))
        return
    kept = [d for d in diagnostics if not (terminal.quiet and d.severity == "warning")]
    if output_format == "concise":
        for diagnostic in kept:
            click.echo(concise(diagnostic))
        return
    frames = render(kept, color=terminal.colored(sys.stdout), width=terminal.width(sys.stdout))
    click.echo(frames, nl=False, color=True)
