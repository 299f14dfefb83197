"""Files that are no programs, told by their endings, and what takes them: before their text is read for one."""

from __future__ import annotations

from pathlib import Path

from smcdsl.errors import Diagnostic, UsageError

_NOTATIONS = {".lark": "lark", ".gbnf": "gbnf"}


def refuse_other_kinds(path: str | Path, *, compiled: bool = True) -> None:
    """Refuse a file that is something else than a program; one that is not there is nobody's.

    Args:
        compiled: whether a compiled program will do.

    Raises:
        UsageError: E0816, with the verb or the line of a program that takes it.
    """
    found = _kind(Path(path), compiled)
    if found is None or not _is_file(Path(path)):
        return
    kind, advice = found
    raise UsageError(Diagnostic("E0816", f"`{path}` is {kind}", context=str(path), help=advice))


def _kind(path: Path, compiled: bool) -> tuple[str, str] | None:
    """What the ending says that it is, and what takes it."""
    if path.suffix in _NOTATIONS:
        notation = _NOTATIONS[path.suffix]
        rule = ', start: "start"' if notation == "lark" else ""
        line = f'grammar {path.stem} = {notation}("{path.name}"{rule})'
        return "a grammar, not a program", f"a program beside it uses it: `{line}`"
    if path.suffix == ".py":
        line = f'import potential "{path.name}" as {path.stem}'
        return "Python, not a program", f"a program beside it imports its potentials: `{line}`"
    if path.suffix == ".jsonl":
        advice = f"`smcdsl trace {path}` shows a trace; `smcdsl run PROGRAM --batch {path}` runs rows of inputs"
        return "a file of JSON lines, not a program", advice
    if path.suffix == ".json":
        advice = f"`smcdsl run PROGRAM --inputs {path}` takes inputs, `--model toy:{path}` a table of probabilities"
        return "JSON, not a program", advice
    if path.suffix == ".smcx" and not compiled:
        return "a compiled program", f"take the one that it was built from; `smcdsl run {path}` runs it"
    return None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False
