"""Python functions, imported at run time only: potentials, helpers, and what fits a grammar to its arguments.

Shipped modules are imported by name. A project's own file is loaded from its path, once, under a name
that cannot clash with an installed module's; its folder is on `sys.path` only while it loads, so that
it may import files beside it.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import re
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from smcdsl.errors import Diagnostic, Label, PotentialError, line_of_file
from smcdsl.program.references import GrammarFile
from smcdsl.program.types import PythonLocation, Signature
from smcdsl.protocols import Potential
from smcdsl.workers import raised_at, said

_NO_MODULE = re.compile(r"No module named '([\w.]+)'")
_lock = threading.RLock()


def resolve_function(signature: Signature) -> Potential | Callable[..., Any]:
    """The function that a signature names; runs the code of its file when that is not loaded yet.

    Raises:
        PotentialError: the file fails to load, or has no such function.
    """
    return load_function(signature.location, signature.name)


def load_function(location: PythonLocation, shown: str) -> Any:
    """The function at a location; `shown` names it in messages. Raises PotentialError."""
    try:
        module = importlib.import_module(location.module) if location.module else load_file(location.path)
    except Exception as error:  # whatever a user's module does at import
        raise PotentialError(_cannot_be_loaded(shown, location, error), shown) from error
    try:
        return getattr(module, location.function)
    except AttributeError as error:
        message = f"`{location.module or location.path}` has no function `{location.function}`"
        raise PotentialError(Diagnostic("R0903", message, facts=(str(error),)), shown) from error


def _cannot_be_loaded(shown: str, location: PythonLocation, error: Exception) -> Diagnostic:
    file, line = raised_at(error, str(Path(location.path).resolve()) if location.path else "")
    place = line_of_file(file, line)
    return Diagnostic(
        "R0903",
        f"`{shown}` cannot be loaded",
        () if place is None else (Label(place, said(error), primary=True),),
        facts=(f"{location.module or location.path}: {said(error)}",) if place is None else (),
        help=how_to_load(said(error)),
    )


def how_to_load(said: str) -> str:
    """What to do about a file that raised this when it was run."""
    missing = _NO_MODULE.search(said)
    if missing is None:
        return "mend the file: all of it is run before its functions are called"
    return f"install `{missing[1]}` in the environment of smcdsl, or put `{missing[1]}.py` beside the file"


def load_file(path: str) -> ModuleType:
    """The module of a project's own file; the same object every time while the file is unchanged."""
    resolved = Path(path).resolve()
    name = f"smcdsl_project_{hashlib.sha256(str(resolved).encode()).hexdigest()[:16]}"
    with _lock:
        stamp = resolved.stat().st_mtime_ns
        known = sys.modules.get(name)
        if known is not None and getattr(known, "__smcdsl_stamp__", None) == stamp:
            return known
        spec = importlib.util.spec_from_file_location(name, resolved)
        if spec is None or spec.loader is None:
            raise ImportError(f"{path} is not a Python file")
        module = importlib.util.module_from_spec(spec)
        vars(module)["__smcdsl_stamp__"] = stamp
        sys.modules[name] = module
        folder = str(resolved.parent)
        sys.path.insert(0, folder)
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
        finally:
            sys.path.remove(folder)
        return module


def load_specializer(name: str, file: GrammarFile) -> Callable[..., Any]:
    """The function that fits a library's grammar to its arguments: `module:function` or `file.py:function`.

    A file is looked for beside the grammar's own folders. Raises PotentialError.
    """
    place, _, function = name.rpartition(":")
    if not place.endswith(".py"):
        return load_function(PythonLocation(function, module=place), name)
    found = next((Path(base) / place for base in file.import_paths if (Path(base) / place).is_file()), Path(place))
    return load_function(PythonLocation(function, path=str(found)), name)
