"""What attacks go for, on the host's side, and how it is seen that one got there."""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import secrets
import socket
import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path

from tests.potentials.jail_attacks import NUMBERS

_SEGMENT_BYTES = 4096
_IPC_CREATE, _IPC_REMOVE = 0o1000, 0
_libc = ctypes.CDLL(None, use_errno=True)


class Canaries:
    """A file, listeners, a process, a segment of shared memory, an environment variable; all within easy reach.

    Nothing but the jail protects them: the file may be written by all, the process is the same user's.
    """

    def __init__(self) -> None:
        self.word = secrets.token_hex(16)
        self._stack = ExitStack()
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="smcdsl-canaries-")))
        self._folder = folder
        folder.chmod(0o777)
        self._secret = folder / "secret"
        self._secret.write_text(self.word)
        self._secret.chmod(0o666)
        self._listeners = {
            "port": self._listener(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)),
            "udp": self._listener(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)),
            "socket": self._listener(socket.AF_UNIX, socket.SOCK_STREAM, str(folder / "stream")),
            "datagrams": self._listener(socket.AF_UNIX, socket.SOCK_DGRAM, str(folder / "datagrams")),
            "abstract": self._listener(socket.AF_UNIX, socket.SOCK_STREAM, f"\0smcdsl-{self.word[:8]}"),
        }
        self._victim = subprocess.Popen(["sleep", "1000"], env={"SMCDSL_CANARY": self.word})
        self._stack.callback(self._end_victim)
        self._segment = _libc.shmget(0, _SEGMENT_BYTES, _IPC_CREATE | 0o666)
        self._stack.callback(lambda: _libc.shmctl(self._segment, _IPC_REMOVE, None))
        _libc.shmat.restype = ctypes.c_void_p
        where = _libc.shmat(self._segment, None, 0)
        ctypes.memmove(where, self.word.encode(), len(self.word))
        # In the environment that processes of this one would inherit, as a key of a service would be.
        os.environ["SMCDSL_CANARY"] = self.word
        self._stack.callback(lambda: os.environ.pop("SMCDSL_CANARY", None))
        self._before = self._state()

    def _listener(self, family: int, kind: int, address: object) -> socket.socket:
        made = self._stack.enter_context(socket.socket(family, kind))
        made.bind(address)
        if kind == socket.SOCK_STREAM:
            made.listen()
        made.setblocking(False)
        if isinstance(address, str) and not address.startswith("\0"):
            os.chmod(address, 0o777)
        return made

    def places(self) -> dict[str, str]:
        """Where they are, for the programs; the word is not among it."""
        numbers = {name: str(number) for name, number in NUMBERS.get(platform.machine(), NUMBERS["x86_64"]).items()}
        return {
            **numbers,
            "secret": str(self._secret),
            "folder": str(self._folder),
            "port": str(self._listeners["port"].getsockname()[1]),
            "udp": str(self._listeners["udp"].getsockname()[1]),
            "socket": str(self._folder / "stream"),
            "datagrams": str(self._folder / "datagrams"),
            "abstract": self._listeners["abstract"].getsockname()[1:].decode(),
            "victim": str(self._victim.pid),
            "owner": str(os.getpid()),
            "segment": str(self._segment),
        }

    def traces(self) -> list[str]:
        """What an attack did outside since the last call."""
        now = self._state()
        found = [f"{name}: {self._before[name]} became {now[name]}" for name in now if now[name] != self._before[name]]
        self._before = now
        return found + [f"{name} was visited" for name, listener in self._listeners.items() if _visited(listener)]

    def _state(self) -> dict[str, object]:
        victim = self._victim.pid
        status = Path(f"/proc/{victim}/stat")
        alive = self._victim.poll() is None and status.exists()
        try:
            file: object = (self._secret.read_text(), oct(self._secret.stat().st_mode), self._secret.stat().st_mtime)
        except OSError as error:
            file = repr(error)
        return {
            "folder": sorted(os.listdir(self._folder)),
            "secret": file,
            "shared memory files": _attackers_files(Path("/dev/shm")),
            "victim": _condition(status.read_text()) if alive else "ended",
            "victim's limits": alive and resource.prlimit(victim, resource.RLIMIT_NOFILE),
            "victim's priority": alive and os.getpriority(os.PRIO_PROCESS, victim),
            "victim's affinity": alive and sorted(os.sched_getaffinity(victim)),
            "victim's scheduler": alive and os.sched_getscheduler(victim),
        }

    def _end_victim(self) -> None:
        self._victim.kill()
        self._victim.wait()

    def close(self) -> None:
        """Remove them."""
        self._stack.close()


def _condition(status: str) -> str:
    """What signals make of a process, by its line of /proc; if it computes, sleeps or waits for a disk is chance."""
    letter = status.rpartition(")")[2].split()[0]
    return {"T": "stopped", "t": "traced", "Z": "ended", "X": "ended"}.get(letter, "goes on")


def _attackers_files(folder: Path) -> list[str]:
    """Those named as the attacks name theirs: other programs use the folder too."""
    return sorted(path.name for path in folder.glob("*smcdsl*")) if folder.is_dir() else []


def _visited(listener: socket.socket) -> bool:
    try:
        if listener.type == socket.SOCK_DGRAM:
            listener.recv(16)
        else:
            listener.accept()[0].close()
    except OSError:
        return False
    return True
