"""`smcdsl cache`: what is kept from run to run, and how to get rid of it."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import click

from smcdsl.cli import exits
from smcdsl.cli.terminal import Terminal

KINDS = {
    "automata": "compiled grammars",
    "blocks": "walks over vocabularies",
    "grammars": "grammar files that were read",
    "facts": "what is known of grammars without a vocabulary",
    "vocabularies": "vocabularies as tries",
    "scores": "results of potentials",
    "wasm": "the interpreter that runs Python in a jail",
    "lookahead": "what runs learned (`lookahead: learned`)",
}
"""Folders of the cache, and the file of scores, with what they hold."""
_LEARNED = ("lookahead",)
"""What only runs can make again: cleared by name alone."""
_SCORES = ("scores.sqlite", "scores.sqlite-wal", "scores.sqlite-shm", "scores.sqlite-journal")


@dataclass(frozen=True)
class Kept:
    """The files of one kind."""

    kind: str
    files: tuple[Path, ...]
    size: int


@click.command("cache")
@click.argument("action", type=click.Choice(["stats", "clear", "dir"]), default="stats")
@click.argument("kinds", nargs=-1, metavar="[KIND]...")
@click.option("-f", "--format", "output_format", type=click.Choice(["text", "json"]), default="text")
@click.pass_obj
def command(terminal: Terminal, action: str, kinds: Sequence[str], output_format: str) -> int:
    """Show or clear compiled grammars and cached judgements.

    `stats` says what is kept and how large it is, `dir` where. `clear` deletes it, or only the KINDs named; what runs
    have learned goes only if it is named (`clear lookahead`). Nothing that is deleted changes a result, but for that.
    """
    from smcdsl.cache import cache_dir

    folder = cache_dir()
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        raise click.UsageError(f"`{unknown[0]}` is not kept; there are {', '.join(KINDS)}")
    if action == "dir":
        click.echo(str(folder))
        return exits.SUCCESS
    found = [kept(folder, kind) for kind in KINDS if not kinds or kind in kinds]
    if action == "clear":
        chosen = [each for each in found if kinds or each.kind not in _LEARNED]
        return _clear(terminal, chosen)
    if output_format == "json":
        rows = [{"kind": each.kind, "files": len(each.files), "bytes": each.size} for each in found]
        click.echo(json.dumps({"dir": str(folder), "kept": rows}, indent=2))
        return exits.SUCCESS
    for each in found:
        click.echo(f"{each.kind:<13} {len(each.files):>6} files  {_size(each.size):>9}  {KINDS[each.kind]}")
    click.echo(f"in {folder}")
    return exits.SUCCESS


def kept(folder: Path, kind: str) -> Kept:
    """The files of a kind; what vanishes meanwhile is left out."""
    if kind == "scores":
        files = [folder / name for name in _SCORES if (folder / name).is_file()]
    else:
        inside = os.walk(folder / kind, followlinks=False)
        files = [Path(where) / name for where, _, names in inside for name in names]
    sizes = {}
    for file in files:
        with suppress(OSError):
            sizes[file] = file.lstat().st_size
    return Kept(kind, tuple(sizes), sum(sizes.values()))


def _clear(terminal: Terminal, chosen: Sequence[Kept]) -> int:
    deleted, freed, failed = 0, 0, []
    for each in chosen:
        for file in each.files:
            try:
                size = file.lstat().st_size
                file.unlink()
            except FileNotFoundError:
                continue
            except OSError as error:
                failed.append(f"{file}: {error.strerror}")
            else:
                deleted, freed = deleted + 1, freed + size
    click.echo(f"{deleted} files deleted, {_size(freed)}")
    for line in failed:
        terminal.complain(f"cannot delete {line}")
    return exits.USAGE if failed else exits.SUCCESS


def _size(number: int) -> str:
    if number < 1000:
        return f"{number} B"
    for unit, size in (("kB", 1e3), ("MB", 1e6), ("GB", 1e9)):
        if number < 1000 * size or unit == "GB":
            return f"{number / size:.1f} {unit}"
    raise AssertionError("the largest unit takes all")
