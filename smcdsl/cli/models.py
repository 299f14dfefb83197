"""`smcdsl models`: names, and what of them is on this machine."""

from __future__ import annotations

import json

import click

from smcdsl.cli.terminal import Terminal


@click.command("models")
@click.option("--format", "output_format", type=click.Choice(["text", "json"]), default="text")
@click.pass_obj
def command(terminal: Terminal, output_format: str) -> None:
    """List model aliases and what is installed.

    Besides these, `--model` takes a folder with a causal language model, a hub name such as ORG/NAME, and
    toy:FILE.json, a table of probabilities.
    """
    rows = listing()
    if output_format == "json":
        click.echo(json.dumps(rows, indent=2))
        return
    widths = {key: max(len(str(row[key])) for row in rows) for key in ("name", "hub", "parameters")}
    for row in rows:
        columns = [f"{row[key]!s:<{width}}" for key, width in widths.items()]
        facts = [fact for fact in ("chat", "gated", "here") if row[fact]]
        click.echo("  ".join([*columns, ", ".join(facts)]).rstrip())
    terminal.note("also: a folder, ORG/NAME on the hub, toy:FILE.json. `here`: usable without a network")


def listing() -> list[dict[str, object]]:
    """A row a model; `here` says that its description is in the local cache."""
    from smcdsl.models.load import EMBEDDED, aliases, installed

    rows: list[dict[str, object]] = [
        {
            "name": EMBEDDED,
            "hub": "(embedded, the default)",
            "parameters": "",
            "chat": True,
            "gated": False,
            "here": True,
        }
    ]
    for alias in aliases().values():
        rows.append(
            {
                "name": alias.name,
                "hub": alias.hub,
                "parameters": alias.parameters,
                "chat": alias.chat,
                "gated": alias.gated,
                "here": installed(alias.hub) is not None,
            }
        )
    return rows
