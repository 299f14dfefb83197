"""`check --watch`: look at the files' times now and then, and check again when one has changed."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

from smcdsl.cli import exits
from smcdsl.cli.terminal import Terminal
from smcdsl.errors import UsageError

POLL_SECONDS = 0.2

Stamps = dict[Path, tuple[int, int] | None]


def watch_files(terminal: Terminal, once: Callable[[], int], watched: Callable[[], set[Path]]) -> int:
    """Call `once` now and after every change of what `watched` names, until Ctrl-C.

    Returns:
        130, as an interrupted command does.
    """
    try:
        while True:
            _checked(terminal, once)
            seen = stamps(watched())
            terminal.note(f"watching {len(seen)} file{'s' if len(seen) != 1 else ''}; Ctrl-C ends")
            while stamps(watched()) == seen:
                time.sleep(POLL_SECONDS)
    except KeyboardInterrupt:
        return exits.INTERRUPTED


def _checked(terminal: Terminal, once: Callable[[], int]) -> None:
    """A file that is gone for a moment, as while an editor saves, does not end the watch."""
    try:
        once()
    except UsageError as error:
        terminal.report(error.diagnostics)
    sys.stdout.flush()


def stamps(paths: set[Path]) -> Stamps:
    """When each file was changed last, and its size; None for one that is not there."""
    return {path: _stamp(path) for path in paths}


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_mtime_ns, status.st_size
