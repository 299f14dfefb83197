"""What runs inside the jail: a program, then the calls that are asked of it. Nothing here is trusted afterwards.

The program shares the process with this code, so it can change anything: print, json, the interpreter. Therefore
nothing is decided here. Results leave as lines of JSON, expected values are not here to be seen, and the last line
carries a ticket that is not in the process's memory while the program runs.
"""

from __future__ import annotations

import builtins
import json
import sys
import types
from collections.abc import Callable
from typing import Any

_LONGEST_MESSAGE = 300
_DEEPEST = 50


def run(setup: str, code: str, calls: list[str], write: Callable[[str], None]) -> None:
    """Run the texts in one namespace, then evaluate `calls`; writes a line for each thing that happened."""
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    namespace = module.__dict__
    namespace["__builtins__"] = builtins
    # Bound now: the program may replace the modules' functions.
    encode, evaluate, compile_text = json.dumps, builtins.eval, builtins.compile
    for part, text in (("setup", setup), ("code", code)):
        try:
            exec(compile_text(text, f"<{part}>", "exec", dont_inherit=True), namespace)
        except BaseException as error:
            write(encode({"failed": part, **_described(error)}))
            return
        write(encode({"done": part}))
    for index, call in enumerate(calls):
        try:
            value = _plain(evaluate(compile_text(call, "<call>", "eval", dont_inherit=True), namespace), 0)
            line = encode({"call": index, "value": value})
        except BaseException as error:
            line = encode({"call": index, **_described(error)})
        write(line)


def _described(error: BaseException) -> dict[str, Any]:
    """An exception as data: its kind and message, its line in the program, whether a function raised it."""
    try:
        message = str(error)[:_LONGEST_MESSAGE]
    except BaseException:
        message = ""
    line, inside = getattr(error, "lineno", None) if isinstance(error, SyntaxError) else 0, False
    trace = error.__traceback__
    while trace is not None:
        frame = trace.tb_frame.f_code
        if frame.co_filename in ("<setup>", "<code>", "<call>"):
            line, inside = trace.tb_lineno, frame.co_name != "<module>"
        trace = trace.tb_next
    return {
        "error": type(error).__name__[:80],
        "message": message,
        "line": line or 0,
        "missing_name": type(error) is NameError,
        "inside_function": inside,
    }


def _plain(value: Any, depth: int) -> Any:
    """The value as JSON has it: tuples and arrays are lists, a set is its sorted items, keys are texts.

    Raises:
        TypeError: it is not a number, text, list, mapping or table of such.
    """
    if depth > _DEEPEST:
        raise TypeError("the result is nested too deeply")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, dict):
        return {_key(key): _plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, depth + 1) for item in value]
    if isinstance(value, set | frozenset):
        return [_plain(item, depth + 1) for item in sorted(value)]
    if hasattr(value, "to_dict") and hasattr(value, "columns"):
        return _plain(value.to_dict(orient="list"), depth + 1)
    if hasattr(value, "tolist"):
        return _plain(value.tolist(), depth + 1)
    if hasattr(value, "isoformat"):
        return value.isoformat()
    raise TypeError(f"the result is a {type(value).__name__}, which has no form in JSON")


def _key(key: Any) -> str:
    if isinstance(key, str):
        return key
    if isinstance(key, bool | int | float) or key is None:
        return json.dumps(key)
    return str(key)
