"""Values of a program's inputs: from text of the command line, and from Python or JSON values.

What each type is given as is in the language reference, 2.4. All mistakes of one set of inputs are
collected and raised together.
"""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from smcdsl.errors import Diagnostic, Label, Source, Span, UsageError
from smcdsl.program.evaluation import InputFile
from smcdsl.program.program import Input, Program, Test
from smcdsl.program.types import Type

SQLITE_MAGIC = b"SQLite format 3\0"
_SHOWN_BYTES = 11


@dataclass(frozen=True)
class Origin:
    """Where values came from, for messages.

    Args:
        missing: the context of a missing value, such as a command line.
        given: the context of a value, from its name and text.
        advice: how to give a value, from a declared input.
    """

    missing: str
    given: Callable[[str, str], str]
    advice: Callable[[Input], str]


PYTHON = Origin(
    missing="",
    given=lambda name, text: f"{name}={text}",
    advice=lambda declared: f"pass `{declared.name}=...`",
)


def command_line(command: str) -> Origin:
    """Values of `-i` flags."""
    return Origin(
        missing=f"command line\n{command}",
        given=lambda name, text: f"-i {name}={text}",
        advice=lambda declared: f"add `-i {declared.name}={placeholder(declared.type)}`",
    )


def test_block(name: str) -> Origin:
    """Values that a test gives."""
    return Origin(
        missing=f'test "{name}"',
        given=lambda given, text: f"{given}: {text}",
        advice=lambda declared: f"add the line `{declared.name}: {placeholder(declared.type)}`",
    )


def row_of(file: str, line: int) -> Origin:
    """Values of one line of a file of JSON objects."""
    return Origin(
        missing=f"{file}:{line}",
        given=lambda name, text: f"{file}:{line}: {name}",
        advice=lambda declared: f"add `{json.dumps(declared.name)}: ...` to the object",
    )


def placeholder(type_: Type) -> str:
    """What stands for a value in a usage line: PATH, N, TEXT ..."""
    if type_.choices:
        return "|".join(type_.choices)
    names = {"int": "N", "float": "X", "bool": "true|false", "file": "PATH", "sqlite": "PATH", "json": "JSON"}
    return names.get(type_.name, "JSON" if type_.name == "list" else "TEXT")


class _Unfit(Exception):
    """A value that is not of its type."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        self.diagnostic = diagnostic


def from_texts(program: Program, texts: Mapping[str, Sequence[str]], origin: Origin) -> dict[str, Any]:
    """Values from flags: each name with the texts given for it, in order.

    Raises:
        UsageError: E0801 missing, E0802 not of its type, E0814 no such input.
    """
    return read_inputs(program, texts, {}, origin)


def from_values(program: Program, values: Mapping[str, Any], origin: Origin = PYTHON) -> dict[str, Any]:
    """Values from Python, or from a JSON object.

    Raises:
        UsageError: as `from_texts`.
    """
    return read_inputs(program, {}, values, origin)


def from_test(program: Program, test: Test) -> dict[str, Any]:
    """The values that a test block gives, paths relative to the program's own folder; defaults for the others.

    Raises:
        UsageError: as `from_texts`.
    """
    inputs = tuple(
        replace(known, required=False, default=test.inputs[known.name]) if known.name in test.inputs else known
        for known in program.inputs
    )
    return read_inputs(replace(program, inputs=inputs), {}, {}, test_block(test.name))


def read_inputs(
    program: Program, texts: Mapping[str, Sequence[str]], values: Mapping[str, Any], origin: Origin
) -> dict[str, Any]:
    """Values from both; a text goes before a value.

    Raises:
        UsageError: as `from_texts`, with every mistake.
    """
    given = values.keys() | texts.keys()
    names = [known.name for known in program.inputs]
    unknown = [name for name in sorted(given) if name not in names]
    mistakes = [_unknown_input(program, name, origin) for name in unknown]
    found: dict[str, Any] = {}
    meant = {close for name in unknown for close in _close(program, name)[:1]}
    missing = [known for known in program.inputs if known.required and known.name not in given | meant]
    for declared in program.inputs:
        try:
            if declared.name in texts:
                found[declared.name] = _parse_all(declared, texts[declared.name], origin)
            elif declared.name in values:
                found[declared.name] = _convert(declared.type, values[declared.name], declared, origin)
            elif not declared.required:
                found[declared.name] = _default(program, declared, origin)
        except _Unfit as unfit:
            mistakes.append(unfit.diagnostic)
    if missing:
        mistakes.append(_missing_inputs(program, missing, given, origin))
    if mistakes:
        raise UsageError(mistakes)
    return found


def _default(program: Program, declared: Input, origin: Origin) -> Any:
    """A default value; a default path is relative to the program's own folder."""
    value = declared.default
    if declared.type.name in ("file", "sqlite") and isinstance(value, str):
        beside = Path(program.source.name).parent / value
        value = str(beside) if beside.exists() else value
    return _convert(declared.type, value, declared, origin)


def _parse_all(declared: Input, texts: Sequence[str], origin: Origin) -> Any:
    if declared.type.name == "list":
        if len(texts) == 1 and texts[0].lstrip().startswith(("[", "@")):
            value = _parse_json(_content(declared, texts[0], origin), declared, texts[0], origin)
            return _convert(declared.type, value, declared, origin)
        item = declared.type.item
        assert item is not None, "a list type has an item type"
        return [_parse(item, text, declared, origin) for text in texts]
    if len(texts) > 1:
        raise _Unfit(
            Diagnostic(
                "E0802",
                f"input `{declared.name}` is given {len(texts)} times",
                context=origin.given(declared.name, texts[-1]),
                help=f"give it once; only inputs of a list type can be repeated, and this is a `{declared.type}`",
            )
        )
    return _parse(declared.type, texts[0], declared, origin)


def _parse(type_: Type, text: str, declared: Input, origin: Origin) -> Any:
    """One value from its text."""
    if type_.name in ("file", "sqlite"):
        return _convert(type_, text.removeprefix("@"), declared, origin)
    content = _content(declared, text, origin)
    if type_.name in ("json", "list", "any"):
        return _convert(type_, _parse_json(content, declared, text, origin), declared, origin)
    if type_.name == "str":
        return _convert(type_, content, declared, origin)
    stripped = content.strip()
    parsers: dict[str, Callable[[str], Any]] = {"int": int, "float": float, "bool": _parse_bool}
    try:
        return _convert(type_, parsers[type_.name](stripped), declared, origin)
    except ValueError as error:
        raise _wrong_type(type_, repr(stripped), declared, origin, text) from error


def _parse_bool(text: str) -> bool:
    words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if text.lower() not in words:
        raise ValueError(text)
    return words[text.lower()]


def _content(declared: Input, text: str, origin: Origin) -> str:
    """The text itself, that of a file (`@path`), or standard input (`-`); `@@x` is the text `@x`."""
    if text == "-":
        return sys.stdin.read()
    if text.startswith("@@"):
        return text[1:]
    if text.startswith("@"):
        return _read_text(text[1:], declared, origin)
    return text


def _parse_json(content: str, declared: Input, text: str, origin: Origin) -> Any:
    try:
        return json.loads(content)
    except ValueError as error:
        name = text.removeprefix("@") if text.startswith("@") else origin.given(declared.name, "...")
        source = Source(name, content)
        offset = min(getattr(error, "pos", 0), len(content))
        message = str(getattr(error, "msg", error))
        label = Label(Span(source, offset, offset), message[:1].lower() + message[1:], primary=True)
        raise _Unfit(
            Diagnostic(
                "E0802",
                f"the value of `{declared.name}` is not JSON",
                (label,) if content else (),
                context=origin.given(declared.name, text),
                help="texts need quotes in JSON; `@FILE` reads a file",
            )
        ) from error


def _convert(type_: Type, value: Any, declared: Input, origin: Origin) -> Any:
    """A Python value as the program sees it."""
    if value is None and type_.optional:
        return None
    if type_.name == "list":
        if not isinstance(value, list | tuple):
            raise _wrong_type(type_, _shown(value), declared, origin)
        assert type_.item is not None, "a list type has an item type"
        return [_convert(type_.item, item, declared, origin) for item in value]
    if type_.name == "file":
        return _read_file(value, declared, origin)
    if type_.name == "sqlite":
        return _check_database(value, declared, origin)
    if type_.choices:
        if value not in type_.choices:
            raise _wrong_type(type_, _shown(value), declared, origin)
        return value
    if type_.name == "float" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type_.name == "json":
        return _json_value(value, declared, origin)
    expected: dict[str, type] = {"str": str, "int": int, "float": float, "bool": bool}
    wanted = expected.get(type_.name, object)
    if not isinstance(value, wanted) or (isinstance(value, bool) and wanted in (int, float)):
        raise _wrong_type(type_, _shown(value), declared, origin)
    return value


def _json_value(value: Any, declared: Input, origin: Origin) -> Any:
    """A value that JSON can hold, as JSON would give it back."""
    try:
        return json.loads(json.dumps(value))
    except (TypeError, ValueError) as error:
        raise _wrong_type(declared.type, _shown(value), declared, origin) from error


def _read_file(value: Any, declared: Input, origin: Origin) -> InputFile:
    if isinstance(value, InputFile):
        return value
    if value == "-":
        return InputFile("-", sys.stdin.read())
    if hasattr(value, "read"):
        return InputFile(str(getattr(value, "name", "")), str(value.read()))
    if not isinstance(value, str | Path):
        raise _wrong_type(declared.type, _shown(value), declared, origin)
    return InputFile(str(value), _read_text(str(value), declared, origin))


def _read_text(path: str, declared: Input, origin: Origin) -> str:
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        fact = f"byte 0x{error.object[error.start]:02x} at offset {error.start} is not UTF-8"
        raise _file_mistake(f"`{path}` is not a UTF-8 text", path, fact, declared, origin) from error
    except (OSError, ValueError) as error:
        raise _unreadable(path, error, declared, origin) from error


def _check_database(value: Any, declared: Input, origin: Origin) -> str:
    """The path of a readable SQLite database."""
    if not isinstance(value, str | Path):
        raise _wrong_type(declared.type, _shown(value), declared, origin)
    path = str(value)
    try:
        with Path(path).open("rb") as stream:
            start = stream.read(len(SQLITE_MAGIC))
    except (OSError, ValueError) as error:
        raise _unreadable(path, error, declared, origin) from error
    if start != SQLITE_MAGIC:
        raise _Unfit(_not_a_database(path, start, declared, origin))
    try:
        connection = sqlite3.connect(f"file:{quote(str(Path(path).resolve()))}?mode=ro&immutable=1", uri=True)
        try:
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise _file_mistake(f"the database `{path}` is damaged", path, f"SQLite: {error}", declared, origin) from error
    return path


def _not_a_database(path: str, start: bytes, declared: Input, origin: Origin) -> Diagnostic:
    shown = start.decode("latin-1").split("\n")[0].rstrip("\r")[:_SHOWN_BYTES]
    fact = (
        f"the file starts with `{shown}`; SQLite files start with `SQLite format 3`" if start else "the file is empty"
    )
    advice = "give the path of a SQLite database file"
    if path.endswith((".csv", ".tsv")) or (b"," in start.split(b"\n")[0] and start[:1] not in b"{["):
        stem = Path(path).stem
        mode = "--tsv" if path.endswith(".tsv") else "--csv"
        advice = f'import it first: sqlite3 {stem}.sqlite ".import {mode} {Path(path).name} items"'
    return Diagnostic(
        "E0802",
        f"`{path}` is not a SQLite database",
        context=origin.given(declared.name, path),
        facts=(fact,),
        help=advice,
    )


def _file_mistake(message: str, path: str, fact: str, declared: Input, origin: Origin) -> _Unfit:
    return _Unfit(Diagnostic("E0802", message, context=origin.given(declared.name, path), facts=(fact,)))


def _unreadable(path: str, error: Exception, declared: Input, origin: Origin) -> _Unfit:
    kinds: dict[type[Exception], str] = {
        FileNotFoundError: f"there is no file `{path}`",
        IsADirectoryError: f"`{path}` is a folder, not a file",
        PermissionError: f"`{path}` may not be read",
    }
    message = kinds.get(type(error), f"`{path}` cannot be read")
    reason = getattr(error, "strerror", None) or str(error)
    fact = () if type(error) in kinds else (reason,)
    advice = (
        f"input `{declared.name}` is the path of a {'SQLite database' if declared.type.name == 'sqlite' else 'file'}"
    )
    return _Unfit(Diagnostic("E0802", message, context=origin.given(declared.name, path), facts=fact, help=advice))


def _wrong_type(type_: Type, shown: str, declared: Input, origin: Origin, text: str | None = None) -> _Unfit:
    wanted = f"one of {type_}" if type_.choices else f"of type `{type_}`"
    return _Unfit(
        Diagnostic(
            "E0802",
            f"the value of `{declared.name}` must be {wanted}",
            context=origin.given(declared.name, text if text is not None else shown),
            facts=(f"it is {shown}",),
        )
    )


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _missing_inputs(program: Program, missing: list[Input], given: Set[str], origin: Origin) -> Diagnostic:
    names = " and ".join(f"`{declared.name}`" for declared in missing)
    listed = []
    for declared in program.inputs:
        state = "given" if declared.name in given else "missing" if declared.required else "default"
        listed.append(f"{declared.name}: {declared.type} ({state})")
    return Diagnostic(
        "E0801",
        f"no value for input{'s' if len(missing) > 1 else ''} {names}",
        context=origin.missing,
        help=" and ".join(origin.advice(declared) for declared in missing),
        notes=(f"inputs of {program.name}: {', '.join(listed)}",),
    )


def _unknown_input(program: Program, name: str, origin: Origin) -> Diagnostic:
    names = [declared.name for declared in program.inputs]
    close = _close(program, name)
    note = f"inputs of {program.name}: {', '.join(names)}" if names else f"{program.name} has no inputs"
    return Diagnostic(
        "E0814",
        f"{program.name} has no input `{name}`",
        context=origin.given(name, "..."),
        notes=(note,),
        help=f"did you mean `{close[0]}`?" if close else "",
    )


def _close(program: Program, name: str) -> list[str]:
    """Inputs that a wrong name may have meant."""
    return [declared.name for declared in program.inputs if _within_two(name, declared.name)]


def _within_two(left: str, right: str) -> bool:
    """Whether two names differ by at most two edits."""
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        row, previous = [i], row
        for j, b in enumerate(right, 1):
            row.append(min(previous[j] + 1, row[-1] + 1, previous[j - 1] + (a != b)))
    return row[-1] <= 2
