"""Keys of kept results: hashes of all that a result may depend on.

That is the function, its source and that of the files beside it that it imports, its `version`, how it is
called, and the arguments, with the contents of files and databases in place of their paths. What has no such
key is not kept.
"""

from __future__ import annotations

import ast
import importlib.util
import struct
from collections.abc import Mapping
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

from smcdsl.program.evaluation import PotentialCall
from smcdsl.program.types import SQLITE, PythonLocation


class Unkeepable(Exception):
    """Something that a result depends on has no lasting name."""


def key_of(call: PotentialCall, source: str) -> bytes:
    """What the result of a call may depend on, as a hash; `source` is the `source_hash` of its function.

    Raises:
        Unkeepable: an argument is no plain value, or a file cannot be read.
    """
    signature, facts = call.signature, call.signature.facts
    location = signature.location
    digest = blake2b(digest_size=20)
    for text in (location.function, location.module, facts.version, str(signature.result), source):
        _add(digest, text)
    _add(digest, [call.prefix, signature.batched])
    for index, value in enumerate(call.arguments):
        is_database = index < len(signature.parameters) and signature.parameters[index].type.name == SQLITE.name
        _add(digest, _contents(str(value)) if is_database and value is not None else value)
    return digest.digest()


def _add(digest: Any, value: Any) -> None:
    """A value so that different ones are different bytes: type, length, content."""
    if value is None:
        digest.update(b"n")
    elif isinstance(value, bool):
        digest.update(b"t" if value else b"f")
    elif isinstance(value, int):
        _add_bytes(digest, b"i", str(value).encode())
    elif isinstance(value, float):
        digest.update(b"d" + struct.pack("<d", value))
    elif isinstance(value, str):
        _add_bytes(digest, b"s", value.encode("utf-8", "surrogatepass"))
    elif isinstance(value, bytes):
        _add_bytes(digest, b"b", value)
    elif isinstance(value, Mapping):
        digest.update(b"m" + len(value).to_bytes(8, "little"))
        for name, item in value.items():
            _add(digest, name)
            _add(digest, item)
    elif isinstance(value, list | tuple):
        digest.update(b"l" + len(value).to_bytes(8, "little"))
        for item in value:
            _add(digest, item)
    elif hasattr(value, "text") and hasattr(value, "path"):
        # An input of type `file`.
        _add(digest, [str(value.path), str(value.text)])
    else:
        raise Unkeepable(f"a {type(value).__name__}")


def _add_bytes(digest: Any, kind: bytes, content: bytes) -> None:
    digest.update(kind + len(content).to_bytes(8, "little") + content)


def _contents(path: str) -> bytes:
    """A hash of a database, of what waits to be written into it included."""
    try:
        state = [(file, file.stat()) for file in (Path(path), Path(path + "-wal")) if file.exists()]
    except OSError as error:
        raise Unkeepable(path) from error
    return _hash_files(tuple((str(file), stat.st_mtime_ns, stat.st_size) for file, stat in state))


@lru_cache(maxsize=256)
def _hash_files(files: tuple[tuple[str, int, int], ...]) -> bytes:
    digest = blake2b(digest_size=20)
    try:
        for path, _, size in files:
            digest.update(size.to_bytes(8, "little"))
            with open(path, "rb") as file:
                while block := file.read(1 << 20):
                    digest.update(block)
    except OSError as error:
        raise Unkeepable(path) from error
    return digest.digest()


def source_hash(location: PythonLocation) -> str:
    """A hash of the function's file and of the files beside it that it imports, directly or not.

    Raises:
        Unkeepable: there is no such file.
    """
    path = location.path
    if location.module:
        try:
            spec = importlib.util.find_spec(location.module)
        except (ImportError, ValueError):
            spec = None
        path = (spec.origin if spec is not None else None) or ""
    waiting, seen = [Path(path).resolve()], {}
    while waiting:
        file = waiting.pop()
        try:
            seen[file] = file.read_bytes()
        except OSError as error:
            raise Unkeepable(str(file)) from error
        for name in _imported(seen[file]):
            beside = file.parent / f"{name}.py"
            if beside not in seen and beside not in waiting and beside.is_file():
                waiting.append(beside)
    digest = blake2b(digest_size=20)
    for file in sorted(seen):
        _add(digest, [file.name, seen[file]])
    return digest.hexdigest()


def _imported(text: bytes) -> set[str]:
    """Every word of the module names that a file imports."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return set()
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(word for alias in node.names for word in alias.name.split("."))
        elif isinstance(node, ast.ImportFrom):
            names.update((node.module or "").split("."))
            names.update(alias.name for alias in node.names)
    return names - {""}
