"""From root to nobody: the jail's processes never run as root.

A uid of its own is not enough where the interpreter lies below a folder that only root may enter, such as
/root/.pyenv. Then the process gets a view of the file system of its own, in which that folder is empty but for
what the jail needs. That takes the right to mount; without it the jail refuses.
"""

from __future__ import annotations

import ctypes
import os
import stat
from collections.abc import Iterable
from pathlib import Path

_CLONE_NEWNS, _MS_BIND, _MS_REC, _MS_PRIVATE, _MS_RDONLY = 0x20000, 0x1000, 0x4000, 1 << 18, 1
_MS_NOSUID, _MS_NODEV = 2, 4
_NOBODY = 65534

_libc = ctypes.CDLL(None, use_errno=True)


class CannotDrop(OSError):
    """The process cannot become an ordinary user that can read the interpreter; the message says why."""


def is_root() -> bool:
    """Whether this process has, or may take, root's rights."""
    return 0 in os.getresuid()


def become_ordinary(needed: Iterable[str], wanted_uid: int) -> None:
    """Give up root for good, for `wanted_uid` or nobody where that one cannot be had.

    Args:
        needed: files and folders that must stay readable.
        wanted_uid: a uid that nothing else runs under.

    Raises:
        CannotDrop: no other uid can be had, or not all of `needed` could be read.
    """
    show(needed)
    os.setgroups([])
    for uid in (wanted_uid, _NOBODY):
        try:
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
        except OSError:
            continue
        break
    if is_root():
        raise CannotDrop("running as root, and no other user id can be taken")
    for path in needed:
        if not os.access(path, os.R_OK):
            raise CannotDrop(f"{path} cannot be read by an ordinary user")


def show(needed: Iterable[str]) -> None:
    """Make `needed` readable for all, where a folder on the way is closed to others.

    Raises:
        CannotDrop: that takes a mount, and mounting is not allowed here.
    """
    hidden: dict[str, list[str]] = {}
    for path in needed:
        for real in {path, os.path.realpath(path)}:
            door = closed_door(real)
            if door is not None:
                hidden.setdefault(door, []).append(real)
    if not hidden:
        return
    first = next(iter(hidden))
    if _libc.unshare(_CLONE_NEWNS) != 0:
        raise CannotDrop(
            f"{first} is closed to ordinary users, the interpreter lies in it, and mounting is not allowed"
        )
    _mount(None, "/", None, _MS_REC | _MS_PRIVATE)
    for door, paths in hidden.items():
        _show_inside(door, paths)


def closed_door(path: str) -> str | None:
    """The first folder on the way to `path` that others may not enter."""
    for folder in reversed(Path(path).parents):
        try:
            mode = folder.stat().st_mode
        except OSError:
            return None
        if not mode & stat.S_IXOTH:
            return str(folder)
    return None


def _show_inside(door: str, paths: list[str]) -> None:
    """Put an empty folder over `door`, and into it what lies at `paths`."""
    shortest = [path for path in paths if not any(path != other and path.startswith(other + "/") for other in paths)]
    held = {path: os.open(path, os.O_PATH) for path in dict.fromkeys(shortest)}
    _mount("none", door, "tmpfs", _MS_NOSUID | _MS_NODEV, "mode=755,size=64k")
    for path, descriptor in held.items():
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            target.mkdir(exist_ok=True)
        else:
            target.touch()
        _mount(f"/proc/self/fd/{descriptor}", path, None, _MS_BIND | _MS_REC)
        os.close(descriptor)


def _mount(source: str | None, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    encoded = [None if text is None else text.encode() for text in (source, target, kind)]
    data = None if options is None else options.encode()
    if _libc.mount(*encoded, ctypes.c_ulong(flags), data) != 0:
        raise CannotDrop(f"mounting over {target}: {os.strerror(ctypes.get_errno())}")
