"""`check --fix`: a file is replaced by its fixed text, and what was fixed is told."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from smcdsl.cli.terminal import Terminal
from smcdsl.engine.fixing import Check, fixed
from smcdsl.errors import Diagnostic, Source, UsageError
from smcdsl.report.visible import escape


def fix_file(terminal: Terminal, path: str, source: Source, check: Check) -> Sequence[Diagnostic]:
    """Fix a file in place, or write standard input's fixed text to standard output; what is left to say.

    Raises:
        UsageError: E0817, the file cannot be written.
    """
    result = fixed(source, check)
    if path == "-":
        click.echo(result.source.text, nl=False)
    elif result.source.text != source.text:
        _write(Path(path), result.source.text)
    for diagnostic in result.applied:
        terminal.note(f"fixed {diagnostic.code} in {escape(source.name)}: {escape(diagnostic.message)}")
    return result.remaining


def _write(path: Path, text: str) -> None:
    """Replace the file whole, with its own line endings and byte order mark."""
    from smcdsl.report.files import write_whole

    try:
        write_whole(path, as_before(path.read_bytes(), text))
    except OSError as error:
        fact = error.strerror or str(error)
        raise UsageError(
            Diagnostic("E0817", f"`{path}` cannot be written", context=f"--fix {path}", facts=(fact,))
        ) from error


def as_before(raw: bytes, text: str) -> str:
    """`text` with the mark and the line endings of `raw`; where these are mixed, with newlines."""
    breaks = raw.count(b"\n")
    if breaks and raw.count(b"\r\n") == breaks and raw.count(b"\r") == breaks:
        text = text.replace("\n", "\r\n")
    elif not breaks and b"\r" in raw:
        text = text.replace("\n", "\r")
    return "\ufeff" + text if raw.startswith(b"\xef\xbb\xbf") else text
