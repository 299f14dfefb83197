"""The parser made from smc.lark, and its tables on file, so that a check starts in no time.

Making the tables takes about 0.1 s, reading them back 0.015 s. `smc_tables.json` carries the hash of the
grammar and the version of lark it was made with; if either differs, the tables are made from the grammar.
After a change of smc.lark:

    python -m smcdsl.language.tables
"""

from __future__ import annotations

import hashlib
import io
import json
import pickle
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import lark
from lark import Lark, Token
from lark.lark import PostLex

from smcdsl.language.layout import COMMENT, NEWLINE

GRAMMAR = "smc.lark"
TABLES = "smc_tables.json"


class _Words(PostLex):
    """Lets words, newlines and comments through in every context; layout is done by the reader."""

    always_accept = ("NAME", NEWLINE, COMMENT)

    def process(self, stream: Iterator[Token]) -> Iterator[Token]:
        """Nothing is changed here."""
        return stream


@cache
def syntax() -> Lark:
    """The parser."""
    grammar = _read(GRAMMAR)
    saved = json.loads(_read(TABLES), object_hook=_with_numbers)
    return _revive(saved) if saved["made_from"] == origin(grammar) else build(grammar)


def build(grammar: str) -> Lark:
    """The parser from the text of the grammar."""
    return Lark(
        grammar,
        parser="lalr",
        lexer="contextual",
        postlex=_Words(),
        start=["file", "hole", "insert"],
        propagate_positions=True,
        maybe_placeholders=True,
    )


def origin(grammar: str) -> dict[str, str]:
    """What tables must have been made from."""
    return {"grammar": hashlib.sha256(grammar.encode()).hexdigest(), "lark": lark.__version__}


def dumped(grammar: str) -> str:
    """The tables of a grammar as JSON."""
    saved = io.BytesIO()
    build(grammar).save(saved, exclude_options={"postlex"})
    tables = _plain(pickle.loads(saved.getvalue()))  # what lark has just written
    return json.dumps({"made_from": origin(grammar)} | tables, separators=(",", ":"), sort_keys=True) + "\n"


def _revive(saved: dict[str, Any]) -> Lark:
    load: Any = Lark._load_from_dict  # not annotated
    return load(saved["data"], saved["memo"], postlex=_Words())


def _read(name: str) -> str:
    return (files("smcdsl.language") / name).read_text("utf-8")


def _plain(value: Any) -> Any:
    """Nested values as JSON has them."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, set | frozenset):
        return sorted(value)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _with_numbers(record: dict[str, Any]) -> dict[Any, Any]:
    """States and rules are numbered; JSON has made texts of their numbers."""
    return {int(key) if key.isdigit() else key: value for key, value in record.items()}


if __name__ == "__main__":
    folder = Path(__file__).parent
    (folder / TABLES).write_text(dumped((folder / GRAMMAR).read_text("utf-8")), "utf-8")
