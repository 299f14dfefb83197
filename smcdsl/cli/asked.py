"""What a run was asked for on the command line, and where its lines go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from smcdsl.errors import Diagnostic, UsageError

if TYPE_CHECKING:
    from smcdsl.program.program import Program
    from smcdsl.report.results import View


@dataclass(frozen=True)
class Options:
    """What the command line asks for, but for settings."""

    texts: dict[str, list[str]]
    inputs: str | None
    batch: str | None
    jobs: int
    runs: int | None
    output_format: str
    view: View | None
    output: str | None
    trace: str | None
    stream: bool
    progress: bool
    flags: dict[str, Any] = field(default_factory=dict)


def named_texts(program: Program, items: Sequence[str]) -> dict[str, list[str]]:
    """The values of `-i NAME=VALUE` by name.

    Raises:
        click.UsageError: one has no `=`; the program's inputs are named.
    """
    texts: dict[str, list[str]] = {}
    for item in items:
        name, equals, value = item.partition("=")
        if not equals:
            raise click.UsageError(f"`-i {item}` is not of the form NAME=VALUE; {_inputs_of(program)}")
        texts.setdefault(name.strip(), []).append(value)
    return texts


def _inputs_of(program: Program) -> str:
    from smcdsl.engine.inputs import placeholder

    flags = [f"`-i {declared.name}={placeholder(declared.type)}`" for declared in program.inputs]
    return f"{program.name} takes {', '.join(flags)}" if flags else f"{program.name} has no inputs"


def write_file(path: str, text: str, option: str) -> None:
    """All or nothing. Raises UsageError."""
    from smcdsl.report.files import write_whole

    try:
        write_whole(Path(path), text)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UsageError(
            Diagnostic("E0817", f"`{path}` cannot be written", context=f"{option} {path}", facts=(reason,))
        ) from error


class Lines:
    """Lines of output: printed as they come, or collected for `--output` and written at the end."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._kept: list[str] = []

    def __enter__(self) -> Lines:
        return self

    def add(self, line: str) -> None:
        """One line, without its newline."""
        if self._options.output is None:
            click.echo(line)
        else:
            self._kept.append(line + "\n")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None and self._options.output is not None:
            write_file(self._options.output, "".join(self._kept), "--output")
