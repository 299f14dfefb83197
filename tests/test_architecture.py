"""The floors: a module imports from lower floors or its own part, never sideways, never up."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import smcdsl

FLOORS: tuple[frozenset[str], ...] = (
    frozenset({"errors", "logspace", "cache", "collector", "container"}),
    frozenset({"vocabulary", "prefixes", "program", "log_rows"}),
    frozenset({"protocols", "notations", "automaton", "workers"}),
    frozenset({"library", "models", "plan", "testing"}),
    frozenset({"language", "compiler", "inference"}),
    frozenset({"report"}),
    frozenset({"engine"}),
    frozenset({"serve", "editor", "verify"}),
    frozenset({"cli"}),
)
"""The parts of `smcdsl` by floor. `__init__` stands above all, `potentials` and `grammars` beside."""

BESIDE = frozenset({"cache", "errors", "program", "protocols", "workers"})
"""What shipped potentials may import."""

JUDGES = BESIDE | {"models", "prefixes"}
"""What `potentials/judge.py` and its parts may import: they ask models, as a run does."""

LIBRARIES = {
    "lark": ("notations", "language"),
    "numba": ("automaton/memory.py",),
    "torch": ("models", "cli/doctor.py"),
    "triton": ("models/token_masks_triton.py",),
    "transformers": ("models",),
    "safetensors": ("models",),
    "tokenizers": ("models",),
    "huggingface_hub": ("models",),
    "sqlglot": ("models/embedded/training",),
    "rdkit": ("models/embedded/training",),
    "rustworkx": (),
    "unified_planning": (),
    "click": ("cli",),
    "rich": ("cli", "report/progress.py"),
    "starlette": ("serve",),
    "uvicorn": ("cli/serve.py",),
    "platformdirs": ("cache.py",),
    "pygls": ("editor",),
    "lsprotocol": ("editor",),
    "pygments": ("editor/highlighting.py",),
}
"""Where a library may be imported; elsewhere only potentials import sqlglot, rdkit, rustworkx and unified_planning."""

INSIDE_FUNCTIONS = frozenset({"torch", "transformers", "huggingface_hub"})
"""Too slow to import for a program that may not need them: never at the top of a module that runs use."""

TRAINING = "models/embedded/training"
"""Scripts that train the embedded model; nothing imports them."""


def floor_of(part: str) -> int | None:
    return next((floor for floor, parts in enumerate(FLOORS) if part in parts), None)


def imports(tree: ast.AST, package: str) -> Iterator[tuple[str, int]]:
    """(absolute module, line) of every import; relative ones are resolved against `package`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")
                base = ".".join([*parents[: len(parents) - node.level + 1], *([base] if base else [])])
            yield base, node.lineno
            if base == "smcdsl":
                for alias in node.names:
                    yield f"smcdsl.{alias.name}", node.lineno


def faults(path: str, text: str) -> list[str]:
    """What is wrong with the imports of the file at `path`, relative to the root."""
    tree = ast.parse(text)
    package = ".".join(Path(path).parts[:-1])
    own, *rest = Path(path).parts[1:]
    part = own.removesuffix(".py")
    within = "/".join((own, *rest))
    if path.startswith("potentials/"):
        allowed = JUDGES if part == "judge" or part.startswith("_judge_") else BESIDE
        return [
            f"{path}:{line}: it may import {sorted(allowed)} only, not {name}"
            for name, line in imports(tree, "smcdsl." + package)
            if name.startswith("smcdsl.") and name.split(".")[1] not in allowed | {"potentials"}
        ]
    if part == "__init__":
        return []
    if part == "__main__":
        part = "cli"
    floor = floor_of(part)
    if floor is None:
        return [f"{path}: `{part}` has no floor"]
    return [*floor_faults(tree, path, package, part, floor), *library_faults(tree, path, within)]


def floor_faults(tree: ast.AST, path: str, package: str, part: str, floor: int) -> Iterator[str]:
    for name, line in imports(tree, package):
        if not name.startswith("smcdsl."):
            continue
        other = name.split(".")[1]
        if other in ("__version__", part):
            continue
        other_floor = floor_of(other)
        if other_floor is None:
            yield f"{path}:{line}: imports `{other}`, which has no floor"
        elif other_floor >= floor:
            yield f"{path}:{line}: floor {floor} imports `{other}` of floor {other_floor}"


def library_faults(tree: ast.AST, path: str, within: str) -> Iterator[str]:
    for name, line in imports(tree, ""):
        library = name.split(".")[0]
        homes = LIBRARIES.get(library)
        if homes is not None and not any(within == home or within.startswith(home + "/") for home in homes):
            yield f"{path}:{line}: {library} belongs to {' and '.join(homes)}"
    if within.startswith(TRAINING):
        return
    for node in ast.walk(ast.Module(body=top_level(tree), type_ignores=[])):
        for name, line in imports(node, "") if isinstance(node, ast.Import | ast.ImportFrom) else ():
            if name.split(".")[0] in INSIDE_FUNCTIONS:
                yield f"{path}:{line}: {name} must be imported inside the function that needs it"


def top_level(tree: ast.AST) -> list[ast.stmt]:
    """Statements that run at import, but for those under `if TYPE_CHECKING:`."""
    kept: list[ast.stmt] = []
    for node in tree.body if isinstance(tree, ast.Module) else []:
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            continue
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.ClassDef):
            kept += [item for item in node.body if not isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef)]
        else:
            kept.append(node)
    return kept


def sources() -> dict[str, Path]:
    """Files by their path in a checkout, wherever they are installed."""
    package = Path(smcdsl.__file__).parent
    folders = {"smcdsl": package, "potentials": package / "potentials"}
    if not folders["potentials"].is_dir():
        folders["potentials"] = package.parent / "potentials"
    found = {}
    for name, folder in folders.items():
        for path in folder.rglob("*.py"):
            inside = path.relative_to(folder)
            if "__pycache__" not in inside.parts and (name, inside.parts[0]) not in OTHERS:
                found[f"{name}/{inside.as_posix()}"] = path
    return dict(sorted(found.items()))


OTHERS = {("smcdsl", "potentials"), ("smcdsl", "grammars"), ("smcdsl", "templates")}
FILES = sources()


@pytest.mark.parametrize("path", FILES)
def test_imports_go_down(path):
    assert faults(path, FILES[path].read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("smcdsl/language/parser.py", "from smcdsl.compiler import dfa"),
        ("smcdsl/inference/methods.py", "import smcdsl.language.parser"),
        ("smcdsl/compiler/trie.py", "import torch"),
        ("smcdsl/program/program.py", "from numba import njit"),
        ("smcdsl/program/program.py", "from ..protocols import Potential"),
        ("smcdsl/program/program.py", "def f():\n    from smcdsl import engine"),
        ("smcdsl/helpers/text.py", "import os"),
        ("smcdsl/models/huggingface.py", "import torch"),
        ("smcdsl/automaton/masks.py", "import numba"),
        ("smcdsl/compiler/lalr.py", "import lark"),
        ("potentials/sql.py", "from smcdsl.library import search"),
        ("potentials/sql.py", "from smcdsl.models import load"),
        ("potentials/_judge_answers.py", "from smcdsl.inference import factors"),
        ("potentials/sql.py", "from ..engine import load"),
    ],
)
def test_planted_faults_are_found(path, line):
    assert faults(path, line)


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("smcdsl/language/parser.py", "import lark"),
        ("smcdsl/models/huggingface.py", "def f():\n    import torch"),
        ("smcdsl/models/huggingface.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch"),
        ("smcdsl/automaton/memory.py", "from numba import njit"),
        ("smcdsl/cli/run.py", "from smcdsl.engine import load"),
        ("potentials/_judge_answers.py", "from smcdsl.models.load import load_model"),
        ("potentials/sql.py", "import sqlglot\nfrom smcdsl.protocols import potential\nfrom . import _schema"),
    ],
)
def test_sound_imports_pass(path, line):
    assert faults(path, line) == []
