"""`smcdsl fmt`: one layout, no options."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from smcdsl.cli import exits
from smcdsl.cli.check import expand
from smcdsl.cli.terminal import Terminal
from smcdsl.errors import Diagnostic, Source

NO_EDITION = "E0101"


@click.command("fmt")
@click.argument("files", nargs=-1, metavar="[FILES|-]")
@click.option("--check", "only_check", is_flag=True, help="Change nothing; exit with 1 if a file would change.")
@click.option("--diff", is_flag=True, help="Change nothing; print what would change.")
@click.option("--upgrade", is_flag=True, help="Also bring programs to the newest edition; one that names none gets it.")
@click.pass_obj
def command(terminal: Terminal, files: Sequence[str], only_check: bool, diff: bool, upgrade: bool) -> int:
    """Format programs in place; never changes what they mean.

    FILES are programs, or folders to look through for *.smc; without any, the working folder. `-` reads
    standard input and writes standard output.
    """
    from smcdsl.engine import read_source
    from smcdsl.engine.kinds import refuse_other_kinds

    mistakes: list[Diagnostic] = []
    changed = 0
    paths = expand(files)
    for path in paths:
        refuse_other_kinds(path, compiled=False)
        source = read_source(path)
        formatted, problems = formatted_text(upgraded(source) if upgrade else source)
        mistakes += problems
        if formatted is None:
            continue
        raw = source.text if path == "-" else Path(path).read_bytes().decode("utf-8")
        differs = formatted != raw
        changed += differs
        if diff:
            _print_diff(terminal, source, formatted)
        elif path == "-" and not only_check:
            click.echo(formatted, nl=False)
        elif differs and only_check:
            click.echo(f"would reformat {path}")
        elif differs:
            from smcdsl.report.files import write_whole

            write_whole(Path(path), formatted)
            terminal.note(f"formatted {path}")
    terminal.report(mistakes)
    if mistakes or (changed and (only_check or diff)):
        return exits.FINDINGS
    return exits.SUCCESS


def upgraded(source: Source) -> Source:
    """The program in the newest edition. There is one so far, so that only a program without one changes."""
    from smcdsl.engine.fixing import apply
    from smcdsl.language.parser import parse

    _, diagnostics = parse(source)
    return apply(source, [edit for each in diagnostics if each.code == NO_EDITION for edit in each.fixes])


def formatted_text(source: Source) -> tuple[str | None, list[Diagnostic]]:
    """The text in the one layout; None with the mistakes that keep it from being read."""
    from smcdsl.language.formatter import format_tree
    from smcdsl.language.parser import parse

    tree, diagnostics = parse(source)
    errors = [diagnostic for diagnostic in diagnostics if diagnostic.severity == "error"]
    if tree is None or errors:
        return None, errors
    return format_tree(tree), []


def _print_diff(terminal: Terminal, source: Source, formatted: str) -> None:
    colors = {"+": "\x1b[32m", "-": "\x1b[31m", "@": "\x1b[36m"} if terminal.colored(sys.stdout) else {}
    before, after = source.text.splitlines(keepends=True), formatted.splitlines(keepends=True)
    for line in difflib.unified_diff(before, after, source.name, source.name):
        paint = colors.get(line[0], "")
        text = line.rstrip("\n")
        click.echo(f"{paint}{text}\x1b[0m" if paint else text, color=True)
