"""What all verbs do with the two streams: colour or not, how wide, diagnostics, crash reports."""

from __future__ import annotations

import os
import shutil
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import click

from smcdsl.cli import exits
from smcdsl.errors import Diagnostic
from smcdsl.report.diagnostics import render


@dataclass(frozen=True)
class Terminal:
    """The options of all verbs."""

    quiet: bool = False
    verbose: int = 0
    color: str = "auto"
    config: str | None = None

    def colored(self, stream: TextIO) -> bool:
        """Whether to paint on this stream; the flag first, then NO_COLOR, then whether somebody looks."""
        if self.color != "auto":
            return self.color == "always"
        if os.environ.get("NO_COLOR"):
            return False
        if os.environ.get("FORCE_COLOR"):
            return True
        return stream.isatty() and os.environ.get("TERM") != "dumb"

    def width(self, stream: TextIO) -> int | None:
        """Columns of a terminal; None for a pipe or file, where nothing is cut."""
        return shutil.get_terminal_size().columns if stream.isatty() else None

    def report(self, diagnostics: Sequence[Diagnostic]) -> None:
        """Frames on stderr; with --quiet no warnings."""
        shown = [d for d in diagnostics if not (self.quiet and d.severity == "warning")]
        frames = render(shown, color=self.colored(sys.stderr), width=self.width(sys.stderr))
        click.echo(frames, err=True, nl=False, color=True)

    def note(self, text: str) -> None:
        """A remark on stderr, unless --quiet."""
        if not self.quiet:
            click.echo(text, err=True)

    def complain(self, message: str, hint: str = "") -> None:
        """A mistake in how the command was used."""
        head = "\x1b[1;31merror\x1b[0m" if self.colored(sys.stderr) else "error"
        text = message[:1].lower() + message[1:].rstrip(".")
        click.echo(f"{head}: {text}" + (f"\nhelp: {hint}" if hint else ""), err=True, color=True)

    def crash(self, error: Exception) -> int:
        """Save a report of a bug of ours, say where, and give the exit code."""
        import platform
        import tempfile

        from smcdsl import __version__

        where = "".join(traceback.format_exception(error))
        report = f"smcdsl {__version__}\nPython {sys.version}\n{platform.platform()}\n{sys.argv}\n\n{where}"
        with tempfile.NamedTemporaryFile("w", prefix="smcdsl-crash-", suffix=".txt", delete=False) as file:
            file.write(report)
        if self.verbose:
            click.echo(where, err=True)
        self.complain(
            f"internal error: {type(error).__name__}: {error}", f"this is a bug; the report is in {Path(file.name)}"
        )
        return exits.INTERNAL
