"""What is shown of programs and libraries in Markdown: nothing in it can end its block or act on a terminal."""

from __future__ import annotations

from smcdsl.editor.names import Occurrence
from smcdsl.language.checker import Examined
from smcdsl.language.symbols import LibraryScope
from smcdsl.library.lark_files import LibraryGrammar
from smcdsl.program.types import Parameter, Signature
from smcdsl.report.visible import escape

_MOST_LINES = 24
_LONGEST_LINE = 160


def code(text: str) -> str:
    """A block of the language in Markdown, shortened; nothing in it can end the block or act on a terminal."""
    lines = [escape(line) for line in text.rstrip().split("\n")]
    lines = [line if len(line) <= _LONGEST_LINE else line[: _LONGEST_LINE - 1] + "…" for line in lines]
    if len(lines) > _MOST_LINES:
        lines = [*lines[:_MOST_LINES], f"… {len(lines) - _MOST_LINES} more lines"]
    fence = "`" * max(3, max((_ticks(line) for line in lines), default=0) + 1)
    return "\n".join([f"{fence}smc", *lines, fence])


def _ticks(line: str) -> int:
    longest = run = 0
    for char in line:
        run = run + 1 if char == "`" else 0
        longest = max(longest, run)
    return longest


def libraries(examined: Examined) -> list[LibraryScope]:
    """The libraries that a program and its modules import."""
    found = list(examined.module.libraries.values())
    for inner in examined.module.modules.values():
        found += inner.libraries.values()
    return found


def library_grammar(examined: Examined, found: Occurrence) -> LibraryGrammar | None:
    """The library's grammar that a name stands for."""
    every = [each for library in libraries(examined) for each in library.grammars.values()]
    return next((g for g in every if g.file.name == found.key.file and g.signature.rule == found.key.name), None)


def signature_text(signature: Signature) -> str:
    """`sql.runs(query: str, db: sqlite) -> bool`."""
    shown = ", ".join(map(_parameter, signature.parameters))
    return f"{'potential ' if signature.is_potential else ''}{signature.name}({shown}) -> {signature.result}"


def _parameter(parameter: Parameter) -> str:
    return f"{parameter.name}: {parameter.type}{'' if parameter.required else ' = ...'}"
