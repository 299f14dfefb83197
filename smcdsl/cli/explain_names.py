"""`smcdsl explain` for programs and for names of libraries."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import click

from smcdsl.cli import exits
from smcdsl.cli.terminal import Terminal
from smcdsl.errors import Diagnostic, UsageError

_NAME = re.compile(r"[A-Za-z_][\w.]{0,99}", re.ASCII)


def explain_other(terminal: Terminal, argument: str) -> int:
    """Explain a program's file, a library, or a name in a library.

    Raises:
        UsageError: E0816, there is no such file; E0818, no such name.
        CompileError: the program is wrong.
    """
    width = terminal.width(sys.stdout)
    if argument.endswith(".smc") or argument == "-" or _is_file(argument):
        click.echo(_program(terminal, argument, width), nl=False)
    else:
        click.echo(_name(argument, width), nl=False)
    return exits.SUCCESS


def _is_file(argument: str) -> bool:
    try:
        return Path(argument).is_file()
    except (OSError, ValueError):
        return False


def _program(terminal: Terminal, path: str, width: int | None) -> str:
    from smcdsl.compiler.analyze import GrammarAnalysis
    from smcdsl.engine import load
    from smcdsl.report.explained import explained

    return explained(load(path, config=terminal.config).plan, GrammarAnalysis(), width)


def _name(name: str, width: int | None) -> str:
    from smcdsl.library.search import Search
    from smcdsl.report.libraries import closest_members, find_library, library_text, member_text

    search = Search.beside(None)
    library = find_library(search, name) if _NAME.fullmatch(name) else None
    if library is not None:
        return library_text(library, width)
    outer, _, member = name.rpartition(".")
    library = find_library(search, outer) if _NAME.fullmatch(outer) else None
    if library is None:
        known = ", ".join(search.library_names())
        raise _unknown(name, f"`{name}` is no code, no program, and no library", f"libraries: {known}")
    text = member_text(library, member)
    if text is None:
        close = closest_members(library, member)
        hint = f"did you mean {' or '.join(f'`{each}`' for each in close)}?" if close else ""
        raise _unknown(
            name, f"library `{outer}` has no `{member}`", f"`smcdsl explain {outer}` lists what it has", hint
        )
    return text


def _unknown(name: str, message: str, note: str, hint: str = "") -> UsageError:
    return UsageError(Diagnostic("E0818", message, context=name, notes=(note,), help=hint))
