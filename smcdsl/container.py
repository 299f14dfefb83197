"""A container of plain arrays behind a JSON manifest: one file that is mapped into memory, and never unpickled.

Layout, all numbers little-endian: a magic line of 16 bytes with the format's number; the length of the manifest as
8 bytes; the SHA-256 of these 8 bytes and the manifest; 8 bytes of zeros; the manifest; sections, each at a multiple of
16. A section is some arrays, each at a multiple of 16 within it. The manifest says where sections are and what is in
them, and has the SHA-256 of each, which is compared when a section is asked for: what nobody asks for is not read.

A container may come from anybody. What is here checks that it is whole and that its arrays lie inside it; what their
values mean, who asks must check.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FORMAT = 1
_NAME = b"smcdsl built: "
MAGIC = _NAME + b"%d\n" % FORMAT
_HEAD = 64
_ALIGNMENT = 16
_MOST_MANIFEST = 1 << 23
_TYPES = ("b1", "u1", "i4", "i8", "u8")
"""The types of arrays, as numpy names them; more than one byte little-endian."""

Arrays = dict[str, NDArray[Any]]


class Damaged(Exception):
    """A file that is no whole container; the text says what is wrong with it."""


class OtherFormat(Exception):
    """A container of another format; its number is the argument."""


def is_container(path: Path) -> bool:
    """Whether a file begins as containers of any format do. Raises OSError."""
    with path.open("rb") as file:
        return file.read(len(_NAME)) == _NAME


class Container:
    """A file that was opened by `open_container`. Its arrays are parts of one piece of memory, private to the process.

    Attributes:
        facts: what `write_container` was told, not checked.
        size: bytes of the file.
    """

    def __init__(self, facts: dict[str, Any], sections: dict[str, Any], content: memoryview) -> None:
        self.facts, self._sections, self._content = facts, sections, content
        self.size = len(content)

    def section(self, name: str) -> tuple[Arrays, str]:
        """The arrays of a section, and the section's SHA-256.

        Raises:
            Damaged: there is none of that name, or it is not as it was written.
        """
        known = self._sections.get(name)
        if not isinstance(known, dict) or not isinstance(known.get("arrays"), dict):
            raise Damaged(f"it has no section {name[:40]!r}")
        offset, size = _index(known.get("offset")), _index(known.get("size"))
        if offset % _ALIGNMENT or offset + size > self.size:
            raise Damaged(f"section {name[:40]!r} is not inside it")
        content = self._content[offset : offset + size]
        digest = hashlib.sha256(content).hexdigest()
        if digest != known.get("sha256"):
            raise Damaged(f"section {name[:40]!r} is not as it was written")
        return {field: _array(content, described) for field, described in known["arrays"].items()}, digest


def open_container(path: Path) -> Container:
    """Map a container into memory.

    Raises:
        OSError: the file cannot be read.
        OtherFormat: it is of a format that this version does not know.
        Damaged: it is not a whole container.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size < _HEAD:
            raise Damaged("it ends within its first line")
        # Private: nothing that is written to the memory reaches the file.
        content = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
    head = bytes(content[:_HEAD])
    if not head.startswith(MAGIC):
        number = head[len(_NAME) : len(MAGIC)].strip()
        if head.startswith(_NAME) and number.isdigit():
            raise OtherFormat(int(number))
        raise Damaged("it does not begin like a compiled program")
    length = int.from_bytes(head[16:24], "little")
    if length > min(_MOST_MANIFEST, size - _HEAD):
        raise Damaged("its manifest is cut off")
    manifest = bytes(content[_HEAD : _HEAD + length])
    if hashlib.sha256(head[16:24] + manifest).digest() != head[24:56]:
        raise Damaged("its manifest is not as it was written")
    try:
        read = json.loads(manifest)
    except (ValueError, RecursionError) as error:
        raise Damaged("its manifest is no JSON") from error
    if not isinstance(read, dict) or not all(isinstance(read.get(part), dict) for part in ("facts", "sections")):
        raise Damaged("its manifest lacks parts")
    return Container(read["facts"], read["sections"], content)


def write_container(path: Path, facts: Mapping[str, Any], sections: Mapping[str, Arrays]) -> None:
    """Write a container, or leave what is there as it is: it has its name only once it is whole.

    Raises:
        OSError: it cannot be written.
    """
    described = {name: _described(arrays) for name, arrays in sections.items()}
    manifest = b""
    # Offsets are part of what their own length moves; numbers grow with it, so this ends.
    while True:
        offset = _padded(_HEAD + len(manifest))
        for section in described.values():
            section["offset"] = offset
            offset = _padded(offset + section["size"])
        again = json.dumps({"facts": facts, "sections": described}, ensure_ascii=False).encode(errors="surrogatepass")
        if len(again) == len(manifest):
            manifest = again
            break
        manifest = again
    length = len(manifest).to_bytes(8, "little")
    head = MAGIC + length + hashlib.sha256(length + manifest).digest()
    parts: list[bytes | memoryview] = [head.ljust(_HEAD, b"\0"), manifest, _padding(_HEAD + len(manifest))]
    for arrays in sections.values():
        for array in arrays.values():
            parts += [_bytes(array), _padding(array.nbytes)]
    _replace(path, parts)


def _described(arrays: Arrays) -> dict[str, Any]:
    digest, at, found = hashlib.sha256(), 0, {}
    for name, array in arrays.items():
        found[name] = [array.dtype.str[1:], list(array.shape), at]
        digest.update(_bytes(array))
        digest.update(_padding(array.nbytes))
        at = _padded(at + array.nbytes)
    return {"offset": 0, "size": at, "sha256": digest.hexdigest(), "arrays": found}


def _bytes(array: NDArray[Any]) -> bytes | memoryview:
    plain = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    return plain.reshape(-1).view(np.uint8).data if plain.size else b""


def _padding(length: int) -> bytes:
    return bytes(-length % _ALIGNMENT)


def _padded(length: int) -> int:
    return length + -length % _ALIGNMENT


def _index(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 1 << 62:
        raise Damaged("its manifest has no number where one must be")
    return value


def _array(content: memoryview, described: Any) -> NDArray[Any]:
    """One array of a section, not copied."""
    if not isinstance(described, list) or len(described) != 3 or not isinstance(described[1], list):
        raise Damaged("its manifest does not say what an array is")
    kind, shape, offset = described[0], [_index(length) for length in described[1]], _index(described[2])
    if kind not in _TYPES or not 1 <= len(shape) <= 2 or offset % _ALIGNMENT:
        raise Damaged("its manifest does not say what an array is")
    dtype, count = np.dtype(f"<{kind}"), 1
    for length in shape:
        count *= length
    if offset + count * dtype.itemsize > len(content) or max(shape) >= 1 << 31:
        raise Damaged("an array is not inside its section")
    if count == 0:
        return np.zeros(shape, dtype=dtype)
    return np.frombuffer(content, dtype=dtype, count=count, offset=offset).reshape(shape)


def _replace(path: Path, parts: list[bytes | memoryview]) -> None:
    if path.exists() and not path.is_file():  # a device or a pipe has no neighbours to rename from
        with path.open("wb") as file:
            file.writelines(parts)
        return
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".smcdsl-build-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.writelines(parts)
        os.chmod(temporary, path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
