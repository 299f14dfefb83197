"""The worker process: loads one function, then answers calls until its pipe closes.

What the function prints goes to stderr, and it reads an empty stdin: the pipes are the worker's own.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import pickle
import select
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from smcdsl.program.types import PythonLocation
from smcdsl.workers.calls import Outcome, attempt

HEADER_BYTES = 8
"""A message is its length, little-endian, and a pickle."""


def load_function(location: PythonLocation, name: str) -> Callable[..., Any]:
    """Import the module, or run the file, and take the function; a `Potential` gives its function.

    The folder of a file is on `sys.path` only while it loads, so that it may import files beside it.
    """
    if location.path:
        resolved = Path(location.path).resolve()
        spec = importlib.util.spec_from_file_location("smcdsl_potentials_of_worker", resolved)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        sys.path.insert(0, str(resolved.parent))
        try:
            spec.loader.exec_module(module)
        finally:
            sys.path.remove(str(resolved.parent))
    else:
        module = importlib.import_module(location.module)
    found = getattr(module, name)
    return getattr(found, "function", found)


def serve() -> None:
    """Run the process."""
    # Ctrl-C reaches all processes of a terminal; a worker ends without a word.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    _keep_pipes_private()
    _end_with_parent(requests.fileno())
    location, name, memory_bytes = _read_message(requests)
    if memory_bytes is not None:
        _limit_memory(memory_bytes)
    loading = attempt(load_function, (location, name), str(Path(location.path).resolve()) if location.path else "")
    loading = loading._replace(unloaded=loading.kind != "value")
    # The function itself stays here.
    _write_message(answers, Outcome("value") if loading.kind == "value" else loading)
    while (arguments := _read_message(requests)) is not None:
        outcome = attempt(loading.value, arguments) if loading.kind == "value" else loading
        try:
            _write_message(answers, outcome)
        except Exception as error:  # whatever pickling a user's object does
            _write_message(answers, Outcome("error", error=f"the result cannot be pickled: {error}"))


def _keep_pipes_private() -> None:
    """Descriptors 0 and 1 become an empty input and stderr."""
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    try:
        os.dup2(2, 1)
    except OSError:  # there is no stderr
        os.dup2(nothing, 1)
    os.close(nothing)
    if sys.stdout is not None and hasattr(sys.stdout, "reconfigure"):
        # What was printed is seen also of a worker that is killed.
        sys.stdout.reconfigure(line_buffering=True)


def _end_with_parent(requests: int) -> None:
    """However the parent ends, its end of the pipe closes: then end at once, with all that was started here."""
    if not hasattr(select, "poll"):
        return

    def watch() -> NoReturn:
        poll = select.poll()
        poll.register(requests, 0)
        while not any(event & (select.POLLHUP | select.POLLERR) for _, event in poll.poll()):
            pass
        if os.getpgrp() == os.getpid():
            os.killpg(0, signal.SIGKILL)
        os._exit(0)

    # A thread's own stack would count against the memory limit.
    before = threading.stack_size(256 * 1024)
    threading.Thread(target=watch, daemon=True).start()
    threading.stack_size(before)


def _limit_memory(memory_bytes: int) -> None:
    try:
        import resource
    except ImportError:  # Windows
        return
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, hard))


def _read_message(stream: Any) -> Any:
    header = stream.read(HEADER_BYTES)
    if len(header) < HEADER_BYTES:
        return None
    return pickle.loads(stream.read(int.from_bytes(header, "little")))


def _write_message(stream: Any, message: Any) -> None:
    data = pickle.dumps(message)
    stream.write(len(data).to_bytes(HEADER_BYTES, "little") + data)
    stream.flush()
