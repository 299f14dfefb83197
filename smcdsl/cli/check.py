"""`smcdsl check`: find mistakes without running anything."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click

from smcdsl.cli import exits
from smcdsl.cli.terminal import Terminal
from smcdsl.errors import Diagnostic, Source, UsageError
from smcdsl.report.diagnostics import concise, record, render, summary

FORMATS = ("full", "concise", "json", "sarif", "github")


@click.command("check")
@click.argument("files", nargs=-1, metavar="[FILES|-]")
@click.option(
    "--output-format",
    type=click.Choice(FORMATS),
    default="full",
    help="Frames, one line each, JSON records, a SARIF log, or commands of GitHub's workflows.",
)
@click.option("--fix", is_flag=True, help="Apply the fixes that are safe; with `-` the text goes to standard output.")
@click.option("--pedantic", is_flag=True, help="Also warn of what is legal but seldom meant.")
@click.option("--tests", is_flag=True, help="Also try the `accept` and `reject` lines of test blocks.")
@click.option("--watch", is_flag=True, help="Check again whenever a file changes, until Ctrl-C.")
@click.pass_obj
def command(
    terminal: Terminal, files: Sequence[str], output_format: str, fix: bool, pedantic: bool, tests: bool, watch: bool
) -> int:
    """Find mistakes in programs, without running anything and without a model.

    FILES are programs, or folders to look through for *.smc; without any, the working folder. `-` reads
    standard input. Exits with 1 if there is an error.
    """
    checking = Checking(terminal, tuple(files), output_format, fix, pedantic, tests)
    if not watch:
        return checking.once()
    if "-" in files:
        raise click.UsageError("`--watch` needs files: standard input does not change")
    from smcdsl.cli.watch import watch_files

    return watch_files(terminal, checking.once, checking.watched)


@dataclass
class Checking:
    """What to check, and how to show it."""

    terminal: Terminal
    files: tuple[str, ...]
    output_format: str = "full"
    fix: bool = False
    pedantic: bool = False
    tests: bool = False
    read: set[str] = field(default_factory=set)
    """Files that the programs read when they were checked last."""

    def once(self) -> int:
        """Check all files, fix if asked to, show what there is to say; the exit code."""
        found: list[Diagnostic] = []
        paths = expand(self.files)
        for path in paths:
            here = self._check(path)
            found += here
            if self.tests and path != "-" and not any(diagnostic.severity == "error" for diagnostic in here):
                found += self._tested(path)
        # With `--fix -` standard output is the program's.
        show(self.terminal, found, self.output_format, err=self.fix and "-" in self.files)
        if self.output_format == "full":
            counts = summary(found)
            checked = f"{len(paths)} file{'s' if len(paths) != 1 else ''}"
            self.terminal.note(f"{checked} checked: {counts or 'no mistakes found'}")
        return exits.FINDINGS if any(diagnostic.severity == "error" for diagnostic in found) else exits.SUCCESS

    def watched(self) -> set[Path]:
        """The programs there are now, and all that they read."""
        try:
            programs = expand(self.files)
        except UsageError:
            programs = list(self.files)
        return {Path(name) for name in (*programs, *self.read)}

    def _check(self, path: str) -> Sequence[Diagnostic]:
        from smcdsl.engine import read_source
        from smcdsl.engine.kinds import refuse_other_kinds

        refuse_other_kinds(path, compiled=False)
        source = read_source(path)
        if not self.fix:
            return self._findings(source)
        from smcdsl.cli.fixing import fix_file

        return fix_file(self.terminal, path, source, self._findings)

    def _tested(self, path: str) -> list[Diagnostic]:
        """What is wrong with the lines of test blocks that need no model."""
        from smcdsl.engine import load
        from smcdsl.engine.testing import run_tests

        tested = run_tests(load(path, config=self.terminal.config))
        return [problem for each in tested for problem in each.problems]

    def _findings(self, source: Source) -> Sequence[Diagnostic]:
        from smcdsl.engine import check

        program, diagnostics = check(source, pedantic=self.pedantic)
        if program is not None:
            self.read.update(program.files)
        self.read.update(label.span.source.name for each in diagnostics for label in each.labels)
        return diagnostics


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


def show(terminal: Terminal, diagnostics: Sequence[Diagnostic], output_format: str, *, err: bool = False) -> None:
    """Findings on stdout, for they are what was asked for; with `err` on stderr."""
    if output_format == "json":
        click.echo(json.dumps([record(diagnostic) for diagnostic in diagnostics], indent=2), err=err)
        return
    if output_format == "sarif":
        from smcdsl import __version__
        from smcdsl.report.outputs import sarif

        click.echo(json.dumps(sarif(diagnostics, __version__), indent=2), err=err)
        return
    kept = [d for d in diagnostics if not (terminal.quiet and d.severity == "warning")]
    if output_format in ("concise", "github"):
        from smcdsl.report.outputs import github

        for diagnostic in kept:
            click.echo(concise(diagnostic) if output_format == "concise" else github(diagnostic), err=err)
        return
    stream = sys.stderr if err else sys.stdout
    frames = render(kept, color=terminal.colored(stream), width=terminal.width(stream))
    click.echo(frames, nl=False, color=True, err=err)
