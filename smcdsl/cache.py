"""Files that only save time: where they are kept, and how they are read and written.

A file that is missing, damaged or of another format is as good as none, and one that cannot be written is not written.
Readers see all of a file or nothing of it, so processes that write the same one at once do not meet.
"""

from __future__ import annotations

import os
import threading
import zlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

_MAGIC = b"smcdsl 1"
_HEAD = len(_MAGIC) + 16


def cache_dir() -> Path:
    """The folder of all of them: `SMCDSL_CACHE_DIR`, or the user's cache folder."""
    from platformdirs import user_cache_path

    wanted = os.environ.get("SMCDSL_CACHE_DIR")
    return Path(wanted) if wanted else user_cache_path("smcdsl", appauthor=False)


def read_kept(path: Path) -> bytearray | None:
    """What `keep` wrote into a file; None if there is no such file, or it is not as it was written."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
            length, checksum = (int.from_bytes(head[at : at + 8], "little") for at in (len(_MAGIC), len(_MAGIC) + 8))
            if not head.startswith(_MAGIC) or os.fstat(file.fileno()).st_size != _HEAD + length:
                return None
            content = bytearray(length)
            if file.readinto(content) != length or zlib.crc32(content) != checksum:
                return None
    except OSError:
        return None
    return content


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
    except OSError:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
