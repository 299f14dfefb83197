"""`smcdsl trace`: look at what the particles of a run did."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from smcdsl.cli import exits
from smcdsl.cli.terminal import Terminal
from smcdsl.errors import Diagnostic, UsageError

if TYPE_CHECKING:
    from smcdsl.report.trace.populations import Population


@click.command("trace")
@click.argument("file", metavar="FILE", required=False)
@click.option("--last", is_flag=True, help="The last run that was traced, or that showed its progress on a terminal.")
@click.option("--html", "page", metavar="FILE", help="Write one self-contained page.")
@click.option("--particle", type=int, metavar="N", help="One particle's way, by its last slot, from 0.")
@click.option("--deaths", is_flag=True, help="Every death with its text.")
@click.option("--population", type=click.IntRange(1), default=1, metavar="N", help="Of several, from 1.")
@click.pass_obj
def command(
    terminal: Terminal,
    /,
    file: str | None,
    last: bool,
    page: str | None,
    particle: int | None,
    deaths: bool,
    population: int,
) -> int:
    """Look at what the particles of a run did.

    Draws the family tree of the particles, their effective sample size and weights at every boundary, and every
    death with its reason. `smcdsl run --trace FILE` writes traces.
    """
    if (file is None) != last:
        raise click.UsageError("name a trace, or give --last")
    path = last_trace() if file is None else file
    from smcdsl.report.trace.file import read
    from smcdsl.report.trace.populations import populations

    found = populations(read(path))
    if population > len(found):
        noun = "population" if len(found) == 1 else "populations"
        raise click.UsageError(f"--population {population}: the trace has {len(found)} {noun}")
    chosen = found[population - 1]
    if page is not None:
        return _write_page(terminal, found, population - 1, page)
    from smcdsl.report.trace import text

    width = terminal.width(sys.stdout)
    if particle is not None:
        if not 0 <= particle < chosen.size:
            raise click.UsageError(f"--particle {particle}: there are particles 0 to {chosen.size - 1}")
        lines = text.particle_lines(chosen, particle)
    elif deaths:
        lines = text.death_lines(chosen, every=True) or ["  no particle died"]
    else:
        lines = text.overview(chosen, len(found) - 1, width=width)
    click.echo("\n".join(lines))
    return exits.SUCCESS


def _write_page(terminal: Terminal, found: list[Population], chosen: int, path: str) -> int:
    from smcdsl.cli.asked import write_file
    from smcdsl.report.trace.page import MOST_POPULATIONS, page_of

    write_file(path, page_of(found, chosen), "--html")
    if len(found) > MOST_POPULATIONS:
        terminal.note(f"note: {MOST_POPULATIONS} of {len(found)} populations are on the page")
    return exits.SUCCESS


def last_trace() -> Path:
    """Where the last trace is kept. Raises UsageError if there is none."""
    path = kept_trace()
    if not path.is_file():
        raise UsageError(
            Diagnostic(
                "E0830",
                "no run has been traced yet",
                context="--last",
                facts=("a run is traced with `--trace FILE`, and while it shows its progress on a terminal",),
                help="smcdsl run PROGRAM --trace FILE",
            )
        )
    return path


def kept_trace() -> Path:
    """The file of `--last`."""
    from smcdsl.cache import cache_dir

    return cache_dir() / "traces" / "last.jsonl"
