"""The pages about codes, taken apart: programs, files and commands as a reader would try them."""

from __future__ import annotations

import json
import re
import shlex
import string
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

PAGES = Path(__file__).parents[1] / "docs" / "errors"
INDEX = PAGES / "index.md"

_BLOCK = re.compile(r'^(`{3,})(\w*)(?: title="([^"]*)")?\n(.*?)^\1$', re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"^(?:error|warning)\[([EWR]\d{4})\]", re.MULTILINE)

GROUPS = {
    "E01": "Syntax",
    "E02": "Names",
    "E03": "Types",
    "E04": "Grammars",
    "E05": "Potentials and boundaries",
    "E06": "Transcript and control flow",
    "E07": "Inference and return",
    "E08": "Inputs, files, models and the command line",
    "R09": "Run time",
    "W": "Warnings",
}


@dataclass(frozen=True)
class Page:
    """A page: its code, its files, the command that shows the mistake with what it prints, the right command."""

    code: str
    text: str
    files: tuple[tuple[str, str], ...]
    command: str
    printed: str
    right_command: str

    def write_files(self, folder: Path) -> None:
        """The page's files, as a reader would copy them."""
        for name, text in self.files:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def with_printed(self, printed: str) -> str:
        """The page's text with another print of its command."""
        opening = f'```text title="{self.command}"\n'
        before, _, rest = self.text.partition(opening)
        return f"{before}{opening}{printed}```{rest.partition('```')[2]}"


def read_page(path: Path) -> Page:
    """The page in a file."""
    text = path.read_text(encoding="utf-8")
    files: list[tuple[str, str]] = []
    command = printed = right = ""
    for _, language, title, body in _BLOCK.findall(text):
        if language == "text" and title.startswith("smcdsl "):
            command, printed = title, body
        elif language == "sh":
            right = body.strip()
        elif title:
            files.append((title, body))
    return Page(path.stem, text, tuple(files), command, printed, right or command.replace("bad.smc", "good.smc"))


def codes_in(printed: str) -> list[str]:
    """The codes of all frames, in order."""
    return _CODE.findall(printed)


def words(command: str) -> list[str]:
    """A command's arguments, without the program's name."""
    return shlex.split(command)[1:]


def headline(path: Path) -> str:
    """What a page's first line says after the code."""
    return path.read_text(encoding="utf-8").partition("\n")[0].partition(": ")[2]


def index() -> str:
    """The index of all pages, by group."""
    paths = sorted(path for path in PAGES.glob("*.md") if path != INDEX)
    lines = ["# Errors and warnings", "", f"`smcdsl explain CODE` prints these {len(paths)} pages in a terminal.", ""]
    for prefix, title in GROUPS.items():
        lines += [f"## {title}", ""]
        lines += [f"- [{path.stem}]({path.name}): {headline(path)}" for path in paths if path.stem.startswith(prefix)]
        lines.append("")
    return "\n".join(lines)


def letters_model() -> str:
    """A toy model of single characters, each as likely after any text, with chat turns."""
    vocab = [*string.printable[:95], "\n", "<end>"]
    end, line = len(vocab) - 1, len(vocab) - 2
    row = [1 / len(vocab)] * len(vocab)
    turns = {role: [[vocab.index(role[0])], [line]] for role in ("system", "user")}
    chat = turns | {"assistant": [[vocab.index("a")], [end, line]]}
    return json.dumps({"vocab": vocab, "eos": end, "lm": {"order": 0, "table": [[[], row]]}, "chat": chat})


Shell = Callable[..., object]
