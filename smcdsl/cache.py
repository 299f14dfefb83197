"""Files that only save time: where they are kept, and how they are read and written.

A file that is missing, damaged or of another format is as good as none, and one that cannot be written is not written.
Readers see all of a file or nothing of it, so processes that write the same one at once do not meet.
"""

from __future__ import annotations

import mmap
import os
import threading
import zlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

FOLDER_LIMIT = 1 << 30
"""Bytes that the files of one folder of the cache may have; those used least recently go first."""
_MAGIC = b"smcdsl, kept: 2\n"
_HEAD = len(_MAGIC) + 16


def cache_dir() -> Path:
    """The folder of all of them: `SMCDSL_CACHE_DIR`, or the user's cache folder."""
    from platformdirs import user_cache_path

    wanted = os.environ.get("SMCDSL_CACHE_DIR")
    return Path(wanted) if wanted else user_cache_path("smcdsl", appauthor=False)


def read_kept(path: Path) -> memoryview | None:
    """What `keep` wrote into a file; None if there is no such file, or it is not as it was written.

    The file is mapped into memory, at an address divisible by 16. What is written there stays in this process.
    """
    try:
        with path.open("rb") as file:
            content = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
        with suppress(OSError):
            os.utime(path)
    except (OSError, ValueError):
        # ValueError: there is nothing in it.
        return None
    head = bytes(content[:_HEAD])
    length, checksum = (int.from_bytes(head[at : at + 8], "little") for at in (len(_MAGIC), len(_MAGIC) + 8))
    content = content[_HEAD:]
    # A file is replaced, never written to, so what is sound now stays so.
    sound = head.startswith(_MAGIC) and len(content) == length and zlib.crc32(content) == checksum
    return content if sound else None


def keep(path: Path, parts: Sequence[bytes | memoryview]) -> None:
    """Write a file for `read_kept`: the parts one after another, and a checksum of them."""
    length, checksum = 0, 0
    for part in parts:
        length, checksum = length + memoryview(part).nbytes, zlib.crc32(part, checksum)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_native_id()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(_MAGIC + length.to_bytes(8, "little") + checksum.to_bytes(8, "little"))
            file.writelines(parts)
        temporary.replace(path)
        make_room(path.parent)
    except OSError:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def make_room(folder: Path, limit: int = FOLDER_LIMIT) -> None:
    """Delete the files used least recently until those that are left have `limit` bytes at most.

    A file that is in use stays readable for whoever has opened it.
    """
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            with suppress(OSError):
                if entry.is_file(follow_symlinks=False):
                    state = entry.stat()
                    found.append((state.st_mtime_ns, state.st_size, entry.path))
    total = sum(size for _, size, _ in found)
    for _, size, path in sorted(found):
        if total <= limit:
            return
        with suppress(OSError):
            os.unlink(path)
        total -= size
