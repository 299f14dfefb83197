"""What becomes of a call, calls with a time limit in a thread, and calls that may print."""

from __future__ import annotations

import inspect
import queue
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple, TextIO

from smcdsl.errors import ModelError, PotentialError, UsageError


class Outcome(NamedTuple):
    """What became of a call. For an error: its type and message, and the file and line that raised it.

    `died` says that no exception was raised: the worker process ended. `unloaded` says that the function
    was not there to be called. `refusal` is an error that says itself what is wrong with an input or a model.
    """

    kind: Literal["value", "error", "timeout"]
    value: Any = None
    error: str = ""
    file: str = ""
    line: int = 0
    died: bool = False
    unloaded: bool = False
    refusal: UsageError | ModelError | None = None


def attempt(function: Callable[..., Any], arguments: Sequence[Any], file: str | None = None) -> Outcome:
    """Call a function here and now.

    Args:
        file: where the fault is looked for when it raises; by default where the function is.
    """
    try:
        return Outcome("value", function(*arguments))
    except (UsageError, ModelError) as error:
        return Outcome("error", error=error.diagnostics[0].message, refusal=error)
    except PotentialError as error:
        return Outcome("error", error=error.diagnostics[0].message)
    except (Exception, SystemExit) as error:
        where, line = raised_at(error, _file_of(function) if file is None else file)
        return Outcome("error", error=said(error), file=where, line=line)


def said(error: BaseException) -> str:
    """An exception in a line: its type and what it says."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def raised_at(error: BaseException, file: str) -> tuple[str, int]:
    """The last line on the way to where `error` was raised that is in `file` or beside it, else the very last.

    What a user's function calls in other people's code raises there, and the user can mend what is his.
    """
    # The first frame is that of whoever caught it.
    frames = traceback.extract_tb(error.__traceback__)[1:]
    own = [frame for frame in frames if file and Path(frame.filename).parent == Path(file).parent]
    if not frames:
        return "", 0
    last = (own or frames)[-1]
    return last.filename, last.lineno or 0


def _file_of(function: Callable[..., Any]) -> str:
    code = getattr(inspect.unwrap(function), "__code__", None)
    return code.co_filename if code is not None else ""


class ThreadRunner:
    """Runs calls one after the other in one thread; after a time-out in a new one."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[Any] | None = None

    def call(self, function: Callable[..., Any], arguments: Sequence[Any], timeout_seconds: float) -> Outcome:
        """The outcome within the limit. What runs past it goes on unheard."""
        if self._calls is None:
            self._calls = queue.SimpleQueue()
            threading.Thread(target=_serve_thread, args=(self._calls,), daemon=True).start()
        answers: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        self._calls.put((function, arguments, answers))
        try:
            return answers.get(timeout=timeout_seconds)
        except queue.Empty:
            self.close()
            return Outcome("timeout")

    def close(self) -> None:
        """Let the thread end after what it is doing."""
        if self._calls is not None:
            self._calls.put(None)
            self._calls = None


def _serve_thread(calls: queue.SimpleQueue[Any]) -> None:
    while (call := calls.get()) is not None:
        function, arguments, answers = call
        answers.put(attempt(function, arguments))


_printing = threading.Lock()
_diverted: list[TextIO] = []


@contextmanager
def quiet() -> Iterator[None]:
    """What is printed inside goes to stderr: stdout is for results."""
    with _printing:
        # Runs go on side by side in threads; the last one restores what the first one found.
        _diverted.append(sys.stdout)
        sys.stdout = sys.stderr
    try:
        yield
    finally:
        with _printing:
            found = _diverted[0]
            _diverted.pop()
            if not _diverted:
                sys.stdout = found
