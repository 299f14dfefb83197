"""Signatures of Python functions, read with `ast`: nothing is imported or run.

Every public function at the top of a file counts. One under `@potential(...)` is a potential, and the
decorator's literal arguments are its facts; a plain one is a helper that programs may call anywhere.
Annotations become types by their last name:

    str int float bool          themselves
    list[T], Sequence[T], ...   list[T]
    Sqlite, Database,           sqlite: the function gets the database file's path
      Connection, Path
    File, FileInput             file
    dict, Mapping, Any, none    any
    Weight, LogWeight           results only: never negative; any number, exponentiated

A batch potential takes one parameter annotated `list[T]` where programs pass a `T`, and returns a list.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, get_args

from smcdsl.errors import Diagnostic, Label, Source, Span
from smcdsl.library.search import LibraryFile
from smcdsl.program.types import (
    ANY,
    BOOL,
    FILE,
    FLOAT,
    INT,
    LOGWEIGHT,
    SQLITE,
    STR,
    WEIGHT,
    Parameter,
    PotentialFacts,
    PythonLocation,
    Signature,
    Type,
    choice_of,
    list_of,
)
from smcdsl.protocols import FailurePolicy, PrefixFact, parse_cost, parse_duration

_SIMPLE = {
    "str": STR,
    "int": INT,
    "float": FLOAT,
    "bool": BOOL,
    **dict.fromkeys(("Sqlite", "SqliteDatabase", "Database", "Connection", "Path"), SQLITE),
    **dict.fromkeys(("File", "FileInput"), FILE),
    **dict.fromkeys(("Weight", "weight"), WEIGHT),
    **dict.fromkeys(("LogWeight", "logweight"), LOGWEIGHT),
}
_LISTS = ("list", "List", "Sequence", "tuple", "Tuple", "Iterable")


@dataclass
class PythonFile:
    """The public functions of one file, or why it cannot be read."""

    functions: dict[str, Signature] = field(default_factory=dict)
    problems: list[Diagnostic] = field(default_factory=list)


def read_functions(file: LibraryFile, prefix: str) -> PythonFile:
    """The signatures in `file`, named `prefix.function`."""
    source = Source(file.name, file.text)
    found = PythonFile()
    try:
        tree, defined = _parsed(file.text)
    except (SyntaxError, ValueError) as error:
        found.problems.append(_unreadable(source, error))
        return found
    reader = _Reader(file, _Places(source), found.problems, defined)
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            signature = reader.signature(node, f"{prefix}.{node.name}")
            found.functions[node.name] = signature
    return found


@dataclass
class _Places:
    """Spans of syntax tree nodes; `ast` counts columns in UTF-8 bytes."""

    source: Source

    def of(self, node: ast.expr | ast.keyword) -> Span:
        end = self._offset(node.end_lineno or node.lineno, node.end_col_offset or node.col_offset)
        return Span(self.source, self._offset(node.lineno, node.col_offset), end)

    def name_of(self, function: ast.FunctionDef) -> Span:
        start = self.source.text.index(function.name, self._offset(function.lineno, function.col_offset) + len("def"))
        return Span(self.source, start, start + len(function.name))

    def _offset(self, line: int, column: int) -> int:
        encoded = self.source.line(line).encode()[:column]
        return self.source.line_starts[line - 1] + len(encoded.decode(errors="replace"))


@dataclass
class _Reader:
    file: LibraryFile
    places: _Places
    problems: list[Diagnostic]
    defined: frozenset[str] | None
    """The names that the file defines; None where that cannot be told."""

    def signature(self, node: ast.FunctionDef, name: str) -> Signature:
        decorator = next((found for found in node.decorator_list if _is_potential(found)), None)
        facts = PotentialFacts() if decorator is None else self._facts(decorator)
        parameters = _parameters(node)
        batched = _batched(parameters) if facts.batch else -1
        if batched >= 0:
            item = parameters[batched].type.item or ANY
            parameters[batched] = replace(parameters[batched], type=item)
        result = _type(node.returns)
        if facts.batch:
            result = result.item or ANY
        if decorator is not None:
            # A prefix form may be undetermined; what programs get is a result.
            result = replace(result, optional=False)
        return Signature(
            name=name,
            parameters=tuple(parameters),
            result=result,
            facts=facts,
            location=self._location(node),
            is_potential=decorator is not None,
            batched=batched,
            doc=ast.get_docstring(node) or "",
            declared=self.places.name_of(node),
            untyped=_untyped(node),
        )

    def _location(self, node: ast.FunctionDef) -> PythonLocation:
        path = "" if self.file.module else self.file.path
        return PythonLocation(node.name, module=self.file.module, path=path, line=node.lineno)

    def _facts(self, decorator: ast.expr) -> PotentialFacts:
        values: dict[str, Any] = {}
        if isinstance(decorator, ast.Call):
            for keyword in decorator.keywords:
                try:
                    values[keyword.arg or "**"] = ast.literal_eval(keyword.value)
                except ValueError:
                    self._complain(
                        keyword, "the arguments of `@potential` must be literals", "this would have to be run"
                    )
        facts, mistakes = facts_of(values)
        keywords = {found.arg: found for found in decorator.keywords} if isinstance(decorator, ast.Call) else {}
        for name, mistake in mistakes.items():
            self._complain(keywords[name], f"`@potential` does not understand `{name}`", mistake)
        for name in FORM_NAMES:
            if values.get(name) is not None:
                self._check_form(keywords[name], values[name])
        return facts

    def _check_form(self, keyword: ast.keyword, value: object) -> None:
        """That a prefix form or an explanation is a function of the file."""
        if not isinstance(value, str):
            self._complain(keyword, f"`{keyword.arg}` is the name of a function", "a text is needed")
        elif self.defined is not None and value not in self.defined:
            near = get_close_matches(value, self.defined, 1)
            label = f"did you mean `{near[0]}`?" if near else "this file defines no such function"
            self._complain(keyword, f"`{keyword.arg}` names `{value}`, which `{self.file.name}` does not define", label)

    def _complain(self, keyword: ast.keyword, message: str, label: str) -> None:
        self.problems.append(Diagnostic("E0508", message, (Label(self.places.of(keyword), label, primary=True),)))


_POLICIES = get_args(FailurePolicy)
FACT_NAMES = (
    "cost", "prefix", "pure", "batch", "timeout", "on_error", "on_timeout", "workers", "version", "cache",
)  # fmt: skip
"""The facts that a potential may state, as programs and decorators spell them."""
FORM_NAMES = ("prefix_form", "explanation")
"""What decorators may name besides: other functions of the file."""


def facts_of(values: Mapping[str, Any]) -> tuple[PotentialFacts, dict[str, str]]:
    """Facts from literal values, and what is wrong with those that do not fit, by name.

    A duration is a text such as `40ms` or a number of seconds.
    """
    facts: dict[str, Any] = {}
    mistakes: dict[str, str] = {}
    for name, value in values.items():
        if name in FORM_NAMES:  # which functions of the file to call: run-time matters
            continue
        try:
            key, read = _fact(name, value)
            facts[key] = read
        except ValueError as error:
            mistakes[name] = str(error)
    if "on_error" in facts:
        facts.setdefault("on_timeout", facts["on_error"])
    if facts.get("cache") and not facts.get("pure", True):
        mistakes["cache"] = "results of a potential that is not pure cannot be kept"
        del facts["cache"]
    return PotentialFacts(**facts), mistakes


def _fact(name: str, value: Any) -> tuple[str, Any]:
    if name not in FACT_NAMES:
        near = get_close_matches(name, (*FACT_NAMES, *FORM_NAMES), 1)
        known = f"the facts are {', '.join((*FACT_NAMES, *FORM_NAMES))}"
        raise ValueError(f"did you mean `{near[0]}`?" if near else known)
    if name in ("cost", "timeout"):
        if value is None:
            return f"{name}_seconds", None
        if isinstance(value, str):
            return f"{name}_seconds", parse_cost(value) if name == "cost" else parse_duration(value)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return f"{name}_seconds", float(value)
        raise ValueError("a duration is needed, such as 40ms")
    allowed: tuple[Any, ...] = (True, False)
    if name == "prefix":
        allowed = get_args(PrefixFact)
    elif name in ("on_error", "on_timeout"):
        allowed = _POLICIES if value is not None else (None,)
    elif name == "workers":
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return name, value
        raise ValueError("a whole number is needed")
    elif name == "version":
        if isinstance(value, str):
            return name, value
        raise ValueError("a text is needed")
    if type(value) is not type(allowed[0]) or value not in allowed:
        raise ValueError(f"one of {', '.join(str(each).lower() for each in allowed)} is needed")
    return name, value if value is not None else "fail"


def _unreadable(source: Source, error: SyntaxError | ValueError) -> Diagnostic:
    line = min(getattr(error, "lineno", None) or 1, len(source.line_starts))
    start = source.line_starts[line - 1]
    span = Span(source, start, start + max(len(source.line(line)), 1))
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return Diagnostic("E0210", f"`{source.name}` is not valid Python", (Label(span, text, primary=True),))


@lru_cache(maxsize=16)
def _parsed(text: str) -> tuple[ast.Module, frozenset[str] | None]:
    """The tree of a file, which nobody changes, and its names; an editor asks for the same one at every keystroke."""
    tree = ast.parse(text)
    return tree, _defined(tree)


def _defined(tree: ast.Module) -> frozenset[str] | None:
    """The names that a module has when it has been run; None if it imports all that another one has."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            if any(name.name == "*" for name in node.names):
                return None
            found.update((name.asname or name.name).partition(".")[0] for name in node.names)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
    return frozenset(found)


def _is_potential(decorator: ast.expr) -> bool:
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    return _last_name(called) == "potential"


def _parameters(node: ast.FunctionDef) -> list[Parameter]:
    arguments = node.args
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults: list[ast.expr | None] = [None] * (len(positional) - len(arguments.defaults))
    pairs = list(zip(positional, [*defaults, *arguments.defaults], strict=True))
    pairs += list(zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True))
    return [
        Parameter(argument.arg, _type(argument.annotation), default is None, _literal(default))
        for argument, default in pairs
    ]


def _untyped(node: ast.FunctionDef) -> tuple[str, ...]:
    arguments = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
    names = [argument.arg for argument in arguments if argument.annotation is None]
    return (*names, *(["return"] if node.returns is None else []))


def _literal(node: ast.expr | None) -> object:
    try:
        return None if node is None else ast.literal_eval(node)
    except ValueError:
        return None


def _batched(parameters: list[Parameter]) -> int:
    return next((index for index, parameter in enumerate(parameters) if parameter.type.name == "list"), -1)


def _last_name(node: ast.expr | None) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _type(node: ast.expr | None) -> Type:
    """The type of an annotation; `any` for what has no counterpart."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        try:
            return _type(ast.parse(node.value, mode="eval").body)
        except SyntaxError:
            return ANY
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _optional(_type(node.left), node.right) or _optional(_type(node.right), node.left) or ANY
    if isinstance(node, ast.Subscript):
        return _subscript(node)
    return _SIMPLE.get(_last_name(node), list_of(ANY) if _last_name(node) in _LISTS else ANY)


def _optional(present: Type, other: ast.expr) -> Type | None:
    is_none = isinstance(other, ast.Constant) and other.value is None
    return replace(present, optional=True) if is_none and present != ANY else None


def _subscript(node: ast.Subscript) -> Type:
    name = _last_name(node.value)
    inner = node.slice.elts[0] if isinstance(node.slice, ast.Tuple) and node.slice.elts else node.slice
    if name in _LISTS:
        return list_of(_type(inner))
    if name == "Optional":
        return replace(_type(inner), optional=True)
    if name == "Annotated":
        return _type(inner)
    if name == "Literal":
        items = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        texts = [item.value for item in items if isinstance(item, ast.Constant)]
        if all(isinstance(text, str) for text in texts):
            return choice_of(tuple(str(text) for text in texts))
    return ANY
