"""Type stubs for programs: the keywords that `run` takes, and the types of what comes back.

A stub is a module of types alone: a class for the program, one for its results, and one for each record. Code that
loads the program says that it is of that class:

    if TYPE_CHECKING:
        from text_to_sql import TextToSql
    prog = cast("TextToSql", smcdsl.load("text_to_sql.smc"))
"""

from __future__ import annotations

import keyword
import re
from pathlib import Path

from smcdsl.engine.settings import NAMES
from smcdsl.program.program import Input, Program
from smcdsl.program.types import Type

HEADER = "# Types of a smcdsl program, written by `smcdsl stub`: write them again when the program has changed.\n"
_OWN = frozenset({"self", "model", "inputs", "on_event", "on_compiled", "rows", "jobs"})
"""Parameters of the methods; an input of such a name is given in `inputs`."""
_PATH = "str | Path"
_SIMPLE = {"str": "str", "int": "int", "float": "float", "bool": "bool", "weight": "float", "logweight": "float"}
_SETTINGS = {
    "model": "str",
    "backend": 'Literal["auto", "hf", "toy"]',
    "chat_template": "str",
    "temperature": "float",
    "power": "float",
    "infer": "str",
    "resample": "str",
    "proposal": "str",
    "lookahead": "str",
    "previews": "str",
    "draft": "str",
    "timeout": "str | float",
    "gamma": 'int | Literal["auto"]',
    "temper": 'float | Literal["auto"]',
    "check_potentials": "bool",
    **dict.fromkeys(("particles", "seed", "max_tokens", "state_limit", "islands", "grow", "retry", "refine"), "int"),
}
"""Types of settings; those that are not here are numbers."""


def stub_path(program: Path) -> Path:
    """Where the stub of a program stands: beside it, under a name that can be imported."""
    name = re.sub(r"\W", "_", program.stem) or "_"
    name = f"_{name}" if name[0].isdigit() else name
    return program.with_name(f"{name}_.pyi" if keyword.iskeyword(name) else f"{name}.pyi")


def class_name(program: Program) -> str:
    """The name of a program's class: `text_to_sql` is `TextToSql`."""
    words = re.findall(r"[^\W_]+", program.name)
    name = "".join(word[:1].upper() + word[1:] for word in words)
    return name if name.isidentifier() and not keyword.iskeyword(name) else f"Program{name}"


def stub_text(program: Program) -> str:
    """The stub of a program."""
    name = class_name(program)
    records = _Records(name)
    value = records.of(program.returns.type)
    view = {"best": value, "samples": f"list[{value}]"}.get(program.returns.view, f"Distribution[{value}]")
    inputs = [known for known in program.inputs if not _is_taken(known.name)]
    rows = _typed_dict(f"{name}Inputs", [(known.name, _given(known.type), known.required) for known in program.inputs])
    settings = [known for known in NAMES if known not in {each.name for each in inputs} and known != "model"]
    keywords = [_parameter(known) for known in inputs]
    if len(inputs) < len(program.inputs):
        keywords.append("inputs: Mapping[str, Any] = ...")
    keywords.append("on_event: Callable[[Any], None] | None = ...")
    options = _typed_dict(f"{name}Settings", [(known, _SETTINGS.get(known, "float"), False) for known in settings])
    summary = f"    {_docstring(program.summary)}\n\n" if program.summary else ""
    unpacked = f"**settings: Unpack[{name}Settings]"
    run = f"self, model: LanguageModel | str | None = None, *, {', '.join(keywords)}, {unpacked}"
    stream = run.replace("on_event: Callable[[Any], None] | None = ..., ", "")
    batch = f"self, model: LanguageModel | str | None, rows: Sequence[{name}Inputs], *, jobs: int = 4, {unpacked}"
    ignored = "# type: ignore[override]"
    return (
        f"{HEADER}"
        "from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence\n"
        "from pathlib import Path\n"
        "from typing import Any, Literal, NotRequired, TypedDict, Unpack\n\n"
        "from smcdsl import CompiledProgram, Distribution, Result\n"
        "from smcdsl.protocols import LanguageModel\n\n"
        f"{records.text}{rows}{options}"
        f"class {name}Result(Result):\n"
        f"    @property\n    def best(self) -> {value}: ...\n"
        f"    @property\n    def posterior(self) -> Distribution[{value}]: ...\n"
        f"    @property\n    def value(self) -> {view}: ...\n"
        f"    def samples(self, number: int, seed: int | None = None) -> list[{value}]: ...\n\n"
        f"class {name}(CompiledProgram):\n{summary}"
        f"    def run({run}) -> {name}Result: ...  {ignored}\n"
        f"    async def arun({run}) -> {name}Result: ...  {ignored}\n"
        f"    def astream({stream}) -> AsyncIterator[Any]: ...  {ignored}\n"
        f"    def batch({batch}) -> Iterator[{name}Result]: ...  {ignored}\n"
    )


def _is_taken(name: str) -> bool:
    return name in _OWN or keyword.iskeyword(name) or not name.isidentifier()


def _parameter(declared: Input) -> str:
    return f"{declared.name}: {_given(declared.type)}" + ("" if declared.required else " = ...")


def _given(type_: Type) -> str:
    """What an input may be given as."""
    if type_.name == "list" and type_.item is not None:
        item = _given(type_.item)
        text = f"list[{item}] | tuple[{item}, ...]"
    elif type_.name in ("file", "sqlite"):
        text = _PATH
    else:
        text = _plain(type_)
    return f"{text} | None" if type_.optional else text


def _plain(type_: Type) -> str:
    if type_.choices:
        return f"Literal[{', '.join(_quoted(choice) for choice in type_.choices)}]"
    return "None" if type_.name == "null" else _SIMPLE.get(type_.name, "Any")


def _quoted(text: str) -> str:
    """A string literal in double quotes, of printable characters only."""
    return '"' + "".join(f"\\{c}" if c in '"\\' else c if c.isprintable() else ascii(c)[1:-1] for c in text) + '"'


def _docstring(text: str) -> str:
    return f'""{_quoted(text)}""'


def _typed_dict(name: str, fields: list[tuple[str, str, bool]]) -> str:
    """A class of dictionaries; by a call, as keys need not be identifiers."""
    items = ", ".join(
        f"{_quoted(key)}: {kind if required else f'NotRequired[{kind}]'}" for key, kind, required in fields
    )
    return f"{name} = TypedDict({_quoted(name)}, {{{items}}})\n\n"


class _Records:
    """Types of results; the classes of records on the way."""

    def __init__(self, name: str) -> None:
        self._name, self._count = name, 0
        self.text = ""

    def of(self, type_: Type) -> str:
        """A type as Python writes it."""
        if type_.name == "list" and type_.item is not None:
            text = f"list[{self.of(type_.item)}]"
        elif type_.name == "union":
            text = " | ".join(self.of(alternative) for alternative in type_.alternatives)
        elif type_.name == "record":
            text = self._record(type_)
        else:
            text = _plain(type_)
        return f"{text} | None" if type_.optional else text

    def _record(self, type_: Type) -> str:
        fields = [(key, self.of(kind), True) for key, kind in type_.fields]
        self._count += 1
        name = f"{self._name}Value{self._count if self._count > 1 else ''}"
        self.text += _typed_dict(name, fields)
        return name
