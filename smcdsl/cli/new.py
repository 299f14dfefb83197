"""`smcdsl new`: start a project from a template."""

from __future__ import annotations

import re
import shutil
import sqlite3
import sys
import tempfile
from importlib.resources import as_file, files
from pathlib import Path

import click

from smcdsl.cli import exits
from smcdsl.cli.terminal import Terminal
from smcdsl.errors import Diagnostic, UsageError
from smcdsl.language.suggestions import closest

TEMPLATES = {
    "sql": "a question about a SQLite database, answered with one query",
    "python": "an expression that passes test cases, from a small grammar of one's own",
    "smiles": "drug-like molecules of about a given size",
    "pddl": "an agent's goal, from a story and the actions seen so far",
    "extract": "a record read off a document",
}
_PROGRAM, _NAME = "program.smc", "NAME"


@click.command("new")
@click.argument("template", required=False)
@click.argument("folder", type=click.Path(path_type=Path), required=False)
@click.pass_obj
def command(terminal: Terminal, template: str | None, folder: Path | None) -> int:
    """Start a project from a template: sql, python, smiles, pddl or extract.

    It is written into FOLDER, by default one with the template's name, and runs at once on the embedded model. Without
    a TEMPLATE they are listed. Files that exist are never overwritten.
    """
    if template is None:
        for name, words in TEMPLATES.items():
            click.echo(f"{name:<8} {words}")
        return exits.SUCCESS
    if template not in TEMPLATES:
        near = closest(template, TEMPLATES)
        hint = f"did you mean `{near}`?" if near else f"templates: {', '.join(TEMPLATES)}"
        raise click.UsageError(f"there is no template `{template}`; {hint}")
    target = folder or Path(template)
    program = create(template, target)
    shown = str(program) if not str(program).startswith("-") else f"./{program}"
    click.echo(shown)
    # In a pipe a run prints JSON, which is not what somebody looks at first.
    readable = "" if sys.stdout.isatty() else " -f text"
    terminal.note(f"made from `{template}`; next: smcdsl run {_quoted(shown)}{readable}")
    return exits.SUCCESS


def create(template: str, folder: Path) -> Path:
    """Write a template's files into a folder; the program's path.

    Raises:
        UsageError: E0821, a file is there already, or the folder cannot be written; then nothing is written.
    """
    name = program_name(folder)
    with tempfile.TemporaryDirectory() as scratch, as_file(files("smcdsl.templates") / template) as source:
        made = Path(scratch) / "made"
        shutil.copytree(source, made, ignore=shutil.ignore_patterns("__pycache__"))
        _fit(made, name)
        wanted = sorted(path.relative_to(made) for path in made.rglob("*") if path.is_file())
        taken = [str(folder / path) for path in wanted if (folder / path).exists()]
        if taken:
            message = f"`{taken[0]}` is there already"
            raise UsageError(Diagnostic("E0821", message, context=str(folder), help="name another folder"))
        try:
            for path in wanted:
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(made / path, folder / path)
        except OSError as error:
            message = f"`{folder}` cannot be written"
            reason = error.strerror or str(error)
            raise UsageError(Diagnostic("E0821", message, context=str(folder), facts=(reason,))) from error
    return folder / f"{name}.smc"


def program_name(folder: Path) -> str:
    """The folder's own name as a name of the language."""
    name = re.sub(r"\W+", "_", folder.resolve().name.lower(), flags=re.ASCII).strip("_")
    return name if name and not name[0].isdigit() else f"program_{name}".rstrip("_")


def _fit(made: Path, name: str) -> None:
    """Name the program, and make databases of what is written as SQL."""
    program = made / _PROGRAM
    text = program.read_text(encoding="utf-8")
    (made / f"{name}.smc").write_text(text.replace(f"program {_NAME} ", f"program {name} ", 1), encoding="utf-8")
    program.unlink()
    for script in made.glob("*.sql"):
        with sqlite3.connect(script.with_suffix(".sqlite")) as connection:
            connection.executescript(script.read_text(encoding="utf-8"))
        connection.close()
        script.unlink()


def _quoted(path: str) -> str:
    import shlex

    return shlex.quote(path)
