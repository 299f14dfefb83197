"""`smcdsl distill`: train a small draft for a model on one program's domain."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from smcdsl.cli import exits
from smcdsl.cli.terminal import Terminal
from smcdsl.errors import Diagnostic, UsageError

if TYPE_CHECKING:
    from smcdsl.engine import CompiledProgram
    from smcdsl.engine.distill import Distilled


@click.command("distill")
@click.argument("program", metavar="PROGRAM")
@click.option(
    "-i", "--input", "inputs", multiple=True, metavar="NAME=VALUE", help="An input; `@FILE` reads it, `-` is stdin."
)
@click.option("--batch", metavar="FILE", help="One JSON object of inputs per line; the last fifth is held out.")
@click.option("-m", "--model", metavar="NAME", help="The model to draft for.  [env: SMCDSL_MODEL]")
@click.option("-o", "--out", metavar="FOLDER", required=True, help="Where the draft is written.")
@click.option("--layers", type=click.IntRange(1, 64), default=4, show_default=True, metavar="N")
@click.option(
    "--minutes", type=click.FloatRange(min=0, min_open=True), default=10.0, show_default=True, metavar="N",
    help="Half of it at most runs the program, the rest trains.",
)  # fmt: skip
@click.option("--particles", metavar="N", help="How many particles a run has.")
@click.option("--seed", metavar="N", help="Of the first run.")
@click.option("--max-tokens", metavar="N", help="The most that the model may write in a particle.")
@click.option("-f", "--format", "output_format", type=click.Choice(["text", "json"]), default="text")
@click.pass_obj
def command(terminal: Terminal, /, **given: Any) -> int:
    """Train a small draft for a model on the domain of a program.

    The program is run on the inputs given, a small Llama learns what the model wrote, and how often its tokens would
    be kept is measured on inputs that it has not seen. `draft: "FOLDER"` in a program, or `--draft FOLDER`, uses it.
    """
    from smcdsl.engine import load
    from smcdsl.engine.distill import distill

    folder = Path(given["out"])
    _check_folder(folder)
    program = load(given["program"], config=terminal.config)
    flags = {name: given[name] for name in ("model", "particles", "seed", "max_tokens")}
    settings = program.settings(**flags)
    inputs = _inputs(program, given)
    model = program.load_model(None, settings)
    found = distill(
        program,
        model,
        inputs,
        folder,
        layers=given["layers"],
        minutes=given["minutes"],
        flags=flags,
        report=terminal.note,
    )
    click.echo(json.dumps(found.as_json(), indent=2) if given["output_format"] == "json" else as_text(found))
    return exits.SUCCESS


def as_text(found: Distilled) -> str:
    """What was measured, and what to do with it."""
    where = f"{found.held_out} inputs held out" if found.inputs > 1 else "the same input, other seeds"
    return "\n".join(
        (
            f"acceptance on {where}: {found.held_out_nodes:,} tokens where the grammar leaves a choice",
            f"  forced and suffix   {found.text:.3f}",
            f"  draft, untrained    {found.untrained:.3f}",
            f"  draft, distilled    {found.distilled:.3f}",
            f"learnt from {found.nodes:,} tokens in {found.steps:,} steps",
            f'draft: "{found.folder}"',
        )
    )


def _check_folder(folder: Path) -> None:
    """Nothing but an earlier draft is written over. Raises UsageError (E0817)."""
    from smcdsl.models.draft_models import is_distilled

    context = f"--out {folder}"
    if folder.is_file():
        raise UsageError(Diagnostic("E0817", f"`{folder}` is a file, not a folder", context=context))
    if folder.is_dir() and any(folder.iterdir()) and not is_distilled(folder):
        fix = "choose a new folder, or one that `smcdsl distill` wrote"
        raise UsageError(Diagnostic("E0817", f"`{folder}` holds something else", context=context, help=fix))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UsageError(
            Diagnostic("E0817", f"`{folder}` cannot be written", context=context, facts=(reason,))
        ) from error


def _inputs(program: CompiledProgram, given: dict[str, Any]) -> list[dict[str, Any]]:
    """The inputs of all rows, those of `-i` added to each. Raises UsageError."""
    from smcdsl.cli.asked import named_texts
    from smcdsl.cli.batch import row_values
    from smcdsl.engine import read_source
    from smcdsl.engine.inputs import command_line, read_inputs

    texts = named_texts(program.program, given["inputs"])
    if given["batch"] is None:
        return [read_inputs(program.program, texts, {}, command_line("smcdsl distill ..."))]
    source = read_source(given["batch"])
    lines = [(number, line) for number, line in enumerate(source.text.split("\n"), 1) if line.strip()]
    return [row_values(program, texts, source.name, number, line) for number, line in lines]
