"""Pages of the documentation run from top to bottom, in a folder that has nothing but a copy of `examples/`.

What a block is, is said by its first line:

    ```smc title="menu.smc"      written to that file, which must check without an error if it is named *.smc
    ```python title="judge.py"   written to that file
    ```json title="x.json"       any other language with a title: written to that file
    ```python                    executed; names stay for the blocks that follow
    ```smc                       a whole program must check without an error, an `infer` or `return` in one like these
    ```console                   `$ smcdsl ...` is run, what follows is what it prints (stderr first, then stdout)
    ```text                      not run; nor are blocks for other programs: sh, lua, toml, elisp, vim

In what a command prints `...` stands for anything within a line, and for any lines where it is a line of its own.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_BLOCK = re.compile(r"^(?P<indent> *)```(?P<kind>\w+)?(?P<rest>[^\n]*)\n(?P<text>.*?)^(?P=indent)```$", re.M | re.S)
_TITLE = re.compile(r'title="([^"]+)"')
_NOT_RUN = ("text", "sh", "lua", "toml", "elisp", "vim")
_AROUND = """smc 1
import sql
input db: sqlite
generate {
  text "A query:\\n[[q: sql.select(schema: db)]]\\n"
  require sql.runs(q, db) at clause
}
"""
"""What an `infer` or a `return` by itself is checked in."""


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    kind: str
    title: str
    text: str
    line: int


@dataclass(frozen=True)
class Command:
    """A command of a console block and what it should print."""

    words: list[str]
    expected: str
    line: int


def blocks(page: str) -> list[Block]:
    """All fenced blocks, in order."""
    found = []
    for match in _BLOCK.finditer(page):
        title = _TITLE.search(match["rest"])
        indent = match["indent"]
        text = "".join(line.removeprefix(indent) for line in match["text"].splitlines(keepends=True))
        found.append(
            Block(match["kind"] or "", title[1] if title else "", text, page.count("\n", 0, match.start()) + 1)
        )
    return found


def commands(block: Block) -> list[Command]:
    """The commands of a console block."""
    found: list[Command] = []
    words, expected, start = "", [], 0
    for number, line in enumerate(block.text.splitlines(), block.line + 1):
        if line.startswith("$ "):
            if words:
                found.append(Command(shlex.split(words), "\n".join(expected), start))
            words, expected, start = line[2:], [], number
        elif words.endswith("\\") and not expected:
            words = words[:-1] + line.strip()
        else:
            expected.append(line)
    return [*found, Command(shlex.split(words), "\n".join(expected), start)] if words else found


def matches(expected: str, printed: str) -> bool:
    """Whether a print is as shown; trailing blanks and blank lines at the ends do not count."""
    lines = [line.rstrip() for line in expected.strip("\n").split("\n")]
    pattern = ""
    for index, line in enumerate(lines):
        last = index == len(lines) - 1
        if line == "...":
            pattern += r"(?:[^\n]*(?:\n|$))*"
            continue
        pattern += ".*".join(map(re.escape, line.split("..."))) + ("" if last else r"\n")
    shown = "\n".join(line.rstrip() for line in printed.strip("\n").split("\n"))
    return re.fullmatch(pattern.removesuffix(r"\n"), shown + ("\n" if lines[-1] == "..." else "")) is not None


def run_page(name: str, page: str, run: Callable[[list[str]], int]) -> list[str]:
    """Run a page in the working folder; what is not as it says.

    Args:
        run: the command line in this process.
    """
    names: dict[str, Any] = {"__name__": "page"}
    faults = []
    for block in blocks(page):
        place = f"{name}:{block.line}"
        if block.title:
            Path(block.title).parent.mkdir(parents=True, exist_ok=True)
            Path(block.title).write_text(block.text, encoding="utf-8")
            if block.title.endswith(".smc"):
                faults += _checked(place, block.title, run)
        elif block.kind == "smc":
            Path("block.smc").write_text(_whole(block.text), encoding="utf-8")
            faults += _checked(place, "block.smc", run)
        elif block.kind == "console":
            faults += [fault for command in commands(block) for fault in _printed(name, command, run)]
        elif block.kind == "python":
            exec(compile(block.text, place, "exec"), names)
        elif block.kind not in _NOT_RUN:
            faults.append(f"{place}: a block of kind `{block.kind}` without a title is not run")
    return faults


def _whole(text: str) -> str:
    """A block that is only a part of a program, in one that it fits."""
    return text if text.startswith("smc ") else f"{_AROUND}\n{text}"


def _checked(place: str, path: str, run: Callable[[list[str]], int]) -> list[str]:
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()):
        code = run(["check", path])
    return [] if code == 0 else [f"{place}: {out.getvalue()}"]


def _printed(name: str, command: Command, run: Callable[[list[str]], int]) -> list[str]:
    if command.words[0] != "smcdsl":
        return [f"{name}:{command.line}: `{command.words[0]}` is not run"]
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        run(command.words[1:])
    printed = err.getvalue() + out.getvalue()
    if matches(command.expected, printed):
        return []
    return [f"{name}:{command.line}: shown\n{command.expected}\nprinted\n{printed}"]
