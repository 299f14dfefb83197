"""`smcdsl verify`: check what a program's potentials promise, and that runs of it have proper weights."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import click

from smcdsl.cli import exits
from smcdsl.cli.terminal import Terminal


@click.command("verify")
@click.argument("program", metavar="PROGRAM")
@click.option(
    "-i", "--input", "inputs", multiple=True, metavar="NAME=VALUE", help="An input; `@FILE` reads it, `-` is stdin."
)
@click.option("--inputs", "inputs_file", metavar="FILE", help="All inputs as one JSON object; `-` reads stdin.")
@click.option(
    "--example", "examples", multiple=True, metavar="TEXT",
    help="A text, or a piece of one, that ought to pass, for programs that few texts pass.",
)  # fmt: skip
@click.option("--runs", type=click.IntRange(100), default=2000, show_default=True, metavar="R", help="Runs a mode.")
@click.option("--seed", metavar="N", help="Determines the table and the runs.  [default: 0]")
@click.option("-m", "--model", metavar="NAME", help="Also measure the evidence sandwich on this model.")
@click.option("--particles", metavar="N", help="How many particles it has.")
@click.option("-f", "--format", "output_format", type=click.Choice(["text", "json"]), default="text")
@click.pass_obj
def command(
    terminal: Terminal,
    program: str,
    inputs: Sequence[str],
    inputs_file: str | None,
    examples: Sequence[str],
    runs: int,
    seed: str | None,
    model: str | None,
    particles: str | None,
    output_format: str,
) -> int:
    """Check a program on a random model of a small vocabulary, whose texts can all be walked.

    What a preview refuses must have no mass, pure potentials must answer the same twice, weights must not be negative;
    and the mean weights of runs must be the enumerated masses: along every branch of the draws where there are few,
    else by a test that fails a right sampler once in a million times. With --model log Z of a real model is measured
    from both sides. Exits with 1 if something is wrong or could not be checked.
    """
    from smcdsl.cli.run import read_values
    from smcdsl.engine import load
    from smcdsl.verify.reporting import as_json, as_text
    from smcdsl.verify.verification import verify

    loaded = load(program, config=terminal.config)
    settings = loaded.settings(seed=seed, model=model, particles=particles)
    values: dict[str, Any] = read_values(loaded, inputs, inputs_file)
    real = None if model is None else loaded.load_model(None, settings)
    found = verify(loaded, values, settings, runs=runs, examples=examples, model=real)
    if output_format == "json":
        click.echo(json.dumps(as_json(found), indent=2, ensure_ascii=False))
    else:
        terminal.report(found.findings)
        click.echo(as_text(found), nl=False)
    return exits.SUCCESS if found.passed else exits.FINDINGS
