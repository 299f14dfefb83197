"""The programs of a folder, compiled when the server starts, and the models they run on.

A client names `program@model`, or `program` for the model that the program or the server would take.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

from smcdsl.engine import CompiledProgram, load
from smcdsl.errors import Diagnostic, UsageError
from smcdsl.program.evaluation import InputFile
from smcdsl.program.types import Type
from smcdsl.protocols import LanguageModel


@dataclass
class Served:
    """What a server offers."""

    folder: Path
    programs: Mapping[str, CompiledProgram]
    model: str | None = None
    """The model for requests that name none."""
    models: Sequence[str] = ()
    """The models that clients may ask for; those beside them are refused."""
    _loaded: dict[str, LanguageModel] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def names(self) -> list[str]:
        """Everything that a client may ask for."""
        return [*self.programs, *(f"{name}@{model}" for name in self.programs for model in self.models)]

    def find(self, wanted: str) -> tuple[CompiledProgram, LanguageModel]:
        """The program and the model of a name.

        Raises:
            UsageError: E0803, there is no such program here, or the model is not offered.
            ModelError: the model cannot be loaded.
        """
        name, _, model = wanted.partition("@")
        if name not in self.programs:
            known = ", ".join(self.programs) or "none"
            raise UsageError(
                Diagnostic("E0803", f"no program called `{name}` is served", notes=(f"programs: {known}",))
            )
        return self.programs[name], self.model_for(self.programs[name], model)

    def model_for(self, program: CompiledProgram, model: str) -> LanguageModel:
        """The model of that name, or the usual one for an empty name; loaded once.

        Raises:
            UsageError: E0803, it is not offered.
            ModelError: it cannot be loaded.
        """
        if model and model not in self.models:
            known = ", ".join(self.models) or "the server's own only"
            raise UsageError(Diagnostic("E0803", f"the model `{model}` is not served", notes=(f"models: {known}",)))
        name = model or self.model
        settings = program.settings(model=name)
        with self._lock:
            key = str(settings["model"])
            if key not in self._loaded:
                self._loaded[key] = program.load_model(None, settings)
            return self._loaded[key]


def serve_folder(folder: Path, model: str | None, models: Sequence[str], config: str | None = None) -> Served:
    """Compile every program of a folder, those of folders inside it as `folder/name`.

    Raises:
        UsageError: E0816, it is no folder, or holds no programs.
        CompileError: one of them is wrong.
    """
    if not folder.is_dir():
        advice = f"name the folder that it is in, `{folder.parent}`" if folder.is_file() else ""
        raise UsageError(Diagnostic("E0816", f"`{folder}` is not a folder", context=str(folder), help=advice))
    programs = {
        path.relative_to(folder).with_suffix("").as_posix(): load(path, config=config)
        for path in sorted(folder.rglob("*.smc"))
        if path.is_file() and not _is_module(path)
    }
    if not programs:
        raise UsageError(Diagnostic("E0816", f"there are no .smc files in `{folder}`", context=str(folder)))
    return Served(folder.resolve(), programs, model, models)


def _is_module(path: Path) -> bool:
    """Whether a file is a `module`, which other programs import and nobody runs."""
    from smcdsl.engine import read_source
    from smcdsl.language.parser import parse

    tree, _ = parse(read_source(path))
    return tree is not None and tree.kind == "module"


def inputs_of(program: CompiledProgram, given: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """A client's inputs as the program sees them.

    A `file` is `{"text": ...}`, or as a `sqlite` the path of a file in the served folder: clients read nothing else.

    Raises:
        UsageError: they do not fit.
    """
    types = {known.name: known.type for known in program.program.inputs}
    return program.values({name: _checked(types.get(name), value, name, folder) for name, value in given.items()})


def _checked(type_: Type | None, value: Any, name: str, folder: Path) -> Any:
    if type_ is None:
        return value
    if type_.name == "list" and isinstance(value, list):
        return [_checked(type_.item, item, name, folder) for item in value]
    if type_.name not in ("file", "sqlite") or value is None:
        return value
    if type_.name == "file" and isinstance(value, dict) and isinstance(value.get("text"), str) and len(value) == 1:
        return InputFile(name, value["text"])
    if not isinstance(value, str):
        wanted = 'a path, or {"text": ...}' if type_.name == "file" else "a path"
        raise UsageError(Diagnostic("E0802", f"input `{name}` is {wanted}"))
    try:
        path = (folder / value).resolve()
        inside = path.is_relative_to(folder)
    except (OSError, ValueError):
        inside = False
    if not inside:
        raise UsageError(Diagnostic("E0802", f"input `{name}` names a file outside the served folder"))
    return str(path)
