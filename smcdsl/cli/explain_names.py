"""`smcdsl explain` for programs and for names of libraries."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from smcdsl.cli import exits
from smcdsl.cli.terminal import Terminal
from smcdsl.errors import Diagnostic, UsageError
from smcdsl.language.suggestions import closest
from smcdsl.library.search import Search
from smcdsl.report import pages
from smcdsl.report.libraries import (
    ExplainedLibrary,
    closest_members,
    find_library,
    library_text,
    member_text,
    members,
)

_CODE = re.compile(r"[EWR][0-9]{4}", re.IGNORECASE | re.ASCII)
_SHOWN = 3
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
    search = Search.beside(None)
    library = find_library(search, name) if _NAME.fullmatch(name) else None
    if library is not None:
        return library_text(library, width)
    outer, _, member = name.rpartition(".")
    library = find_library(search, outer) if _NAME.fullmatch(outer) else None
    if library is None:
        note = f"methods: {', '.join(pages.names(pages.METHODS))}; libraries: {', '.join(search.library_names())}"
        raise _unknown(name, f"`{name}` is no code, no method, no program, and no library", note, _meant(search, name))
    text = member_text(library, member)
    if text is None:
        note = f"`smcdsl explain {outer}` lists what it has"
        raise _unknown(name, f"library `{outer}` has no `{member}`", note, closest_members(library, member))
    return text


def _meant(search: Search, name: str) -> list[str]:
    """What can be explained and is written much like `name`: codes in it, its program, names, members of libraries."""
    codes = [found.upper() for found in _CODE.findall(name) if pages.page(pages.ERRORS, found.upper()) is not None]
    program = [f"{name}.smc"] if _is_file(f"{name}.smc") else []
    names = (*pages.names(pages.METHODS), *search.library_names())
    near = next((each for each in names if name in each.split(".")), None) or closest(name.lower(), names)
    outer, _, member = name.rpartition(".")
    known = [find_library(search, each) for each in search.library_names()]
    libraries = [each for each in known if each is not None and (not outer or closest(outer, (each.name,)))]
    inside = [f"{each.name}.{found}" for each in libraries if (found := _member(each, member))]
    return [*codes, *program, *([near] if near else []), *inside][:_SHOWN]


def _member(library: ExplainedLibrary, name: str) -> str | None:
    known = members(library)
    return name if name in known else closest(name, known)


def _unknown(name: str, message: str, note: str, meant: Sequence[str]) -> UsageError:
    hint = f"did you mean {' or '.join(f'`{each}`' for each in meant)}?" if meant else ""
    return UsageError(Diagnostic("E0818", message, context=name, notes=(note,), help=hint))
