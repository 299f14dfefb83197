"""Starting the jail's processes: what they may read, as whom they run, inside which namespaces.

`start` makes a process of the same interpreter with an empty environment. It loads `_jail_server` under a bare
package, so that nothing of smcdsl is imported there, gives up root, enters bubblewrap where that works, and serves.

Bubblewrap itself gets the empty environment, because it is process 1 inside, whose environment can be read there
(`--clearenv` does not help); and it never runs as root, whose files it would not protect.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Collection
from functools import cache
from pathlib import Path

_BOOTSTRAP = """
import sys, types
for name in ("smcdsl", "smcdsl.potentials"):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [sys.argv[1]]
del sys.argv[1]
from smcdsl.potentials.{module} import main
main()
"""
ENVIRONMENT = {
    "LANG": "C.UTF-8",
    "PYTHONHASHSEED": "0",
    # Threads are refused inside.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "HOME": "/",
    "MPLBACKEND": "agg",
}
"""Of the jail's processes, nothing else: the owner's may hold keys."""
_TRIAL_SECONDS = 20


def interpreter() -> str:
    """The running interpreter, by its path in its environment."""
    return sys.executable


@cache
def readable_paths() -> tuple[str, ...]:
    """What a program may read: the interpreter, its libraries and packages, those of the system, time zones."""
    paths = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    for prefix in (sys.base_prefix, sys.prefix):
        if prefix not in ("/usr", "/"):
            paths.add(os.path.join(prefix, "lib"))
            paths.add(os.path.join(prefix, "lib64"))
    paths |= {"/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache", "/usr/share/zoneinfo", "/dev/urandom"}
    return tuple(sorted(path for path in paths if os.path.exists(path)))


def _needed_paths() -> list[str]:
    """What the server needs besides, before it is closed."""
    own = [str(Path(__file__).parent), os.path.realpath(interpreter())]
    # Whole, since links lead from one folder of an environment to another; programs may read a part only.
    own += [prefix for prefix in (sys.base_prefix, sys.prefix) if prefix not in ("/usr", "/")] or [interpreter()]
    return list(dict.fromkeys([*readable_paths(), *own]))


def start(layers: Collection[str], hidden: Collection[str] = ()) -> subprocess.Popen[bytes]:
    """Start a server; its pipes are its standard input and output, its error output a pipe of its own.

    Args:
        layers: `namespaces` among them asks for bubblewrap.
        hidden: see `_jail_server.serve`.
    """
    arguments = {
        "readable": list(readable_paths()),
        "hidden": list(hidden),
        "needed": _needed_paths(),
        "namespaces": "namespaces" in layers,
        "bubblewrap": bubblewrap() or "",
        # Between the ids that systemd knows uses for (systemd.io/UIDS-GIDS); nobody is tried next.
        "uid": 60600 + os.getpid() % 500,
    }
    return subprocess.Popen(
        command("_jail_launch", arguments),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
        cwd="/",
        bufsize=0,
        start_new_session=True,
    )


def bubblewrap() -> str | None:
    """Where `bwrap` is installed."""
    return shutil.which("bwrap")


def try_bubblewrap() -> str:
    """Start the interpreter inside bubblewrap as the jail would; empty if that works, else why not."""
    if bubblewrap() is None:
        return "bwrap is not installed"
    process = start(["namespaces"], hidden=["everything"])
    try:
        _, errors = process.communicate(timeout=_TRIAL_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        return "a trial start did not end"
    return "" if process.returncode == 0 else errors.decode(errors="replace").strip()[-300:] or "a trial start failed"


def command(module: str, arguments: dict[str, object]) -> list[str]:
    """What starts `main` of a module of this folder, with nothing else of smcdsl imported."""
    code = _BOOTSTRAP.format(module=module)
    return [interpreter(), "-I", "-B", "-X", "utf8", "-c", code, str(Path(__file__).parent), json.dumps(arguments)]


def main() -> None:
    """The started process: give up root, enter the namespaces, go on as the server."""
    from smcdsl.potentials._jail_user import CannotDrop, become_ordinary, is_root

    arguments = json.loads(sys.argv[1])
    try:
        if is_root():
            become_ordinary(arguments["needed"], arguments["uid"])
    except CannotDrop as error:
        sys.exit(f"user: {error}")
    server = command("_jail_server", {"readable": arguments["readable"], "hidden": arguments["hidden"]})
    if "everything" in arguments["hidden"]:
        server = [interpreter(), "-I", "-c", "import ctypes"]
    if arguments["namespaces"]:
        server = [arguments["bubblewrap"], *_bubblewrap_options(arguments["needed"]), "--", *server]
    os.execve(server[0], server, ENVIRONMENT)


def _bubblewrap_options(needed: list[str]) -> list[str]:
    options = ["--unshare-all", "--unshare-user", "--disable-userns", "--new-session", "--cap-drop", "ALL"]
    for path in sorted({path for path in needed if not path.startswith("/dev/")}):
        real = os.path.realpath(path)
        for place in dict.fromkeys((path, real)):
            options += ["--ro-bind", place, place]
    return [*options, "--dev", "/dev", "--remount-ro", "/dev", "--chdir", "/", "--remount-ro", "/"]
