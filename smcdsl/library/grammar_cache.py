"""`.lark` files that were read before: the grammar is kept on disk, as lark takes up to a second for a large one.

A grammar is what it is by its own text, by the versions of lark and this package, and by the files that its imports
were looked for in. Those are known after reading only, so the file of the cache names them, found or not, with their
hashes, and holds as long as looking again would find the same.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from functools import cache
from inspect import getfile
from pathlib import Path

from smcdsl.cache import keep, read_kept
from smcdsl.collector import collector_paused
from smcdsl.notations import header, lark, lark_terminals
from smcdsl.notations.lark import load_lark
from smcdsl.program import grammar, stored
from smcdsl.program.grammar import Grammar
from smcdsl.program.references import GrammarFile
from smcdsl.program.stored import decode, encode

Looked = list[tuple[str, str]]
"""Paths of imports in the order in which they were looked for, and hashes of what was there, empty for nothing."""


def read_lark(file: GrammarFile, start: str, folder: Path) -> Grammar:
    """`load_lark` of a file, from the cache in `folder` if it is there and still right. Raises CompileError."""
    path = folder / "grammars" / f"{_digest(repr((_stamp(), file, start)).encode())}.json"
    known = _read(path)
    if known is not None:
        return known
    looked: Looked = []
    finders = [_finder(import_path, looked) for import_path in (*file.import_paths, None)]
    with collector_paused():
        made = load_lark(file.text, name=file.name, start=start, import_paths=finders)
        head = json.dumps([made.digest, *looked]).encode()
        keep(path, [len(head).to_bytes(8, "little"), head, encode(made)])
    return made


def _read(path: Path) -> Grammar | None:
    content = read_kept(path)
    if content is None:
        return None
    end = 8 + int.from_bytes(content[:8], "little")
    digest, *looked = json.loads(bytes(content[8:end]))
    if any(_hash(path) != found for path, found in looked):
        return None
    made = decode(bytes(content[end:]))
    # Known, so nobody has to work it out: it takes half as long as all else here.
    made.__dict__["digest"] = digest
    return made


def _finder(folder: str | None, looked: Looked) -> Callable[[str | None, str], tuple[str, str]]:
    """What lark calls for an import; notes where it looks. No folder stands for that of the importing file."""

    def find(base: str | None, name: str) -> tuple[str, str]:
        place = base if folder is None else folder
        if not isinstance(place, str):
            raise OSError("an import of lark's own library")
        path = os.path.join(place, name)
        looked.append((path, _hash(path)))
        return path, Path(path).read_text(encoding="utf-8")

    return find


def _hash(path: str) -> str:
    """The hash of what is in a file, empty if it cannot be read."""
    try:
        return _digest(Path(path).read_bytes())
    except OSError:
        return ""


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=20).hexdigest()


@cache
def _stamp() -> tuple[str, ...]:
    """The versions of what makes a grammar of a text, and a hash of its code, which changes between versions."""
    from smcdsl import __version__

    modules = lark, lark_terminals, header, grammar, stored
    code = b"".join(Path(file).read_bytes() for file in (__file__, *map(getfile, modules)))
    return __version__, lark.VERSION, _digest(code)
