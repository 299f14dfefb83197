"""What benchmarks and examples take from the package is there: few of them run in tests."""

import ast
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted(file for folder in ("benchmarks", "examples") for file in (ROOT / folder).rglob("*.py"))


def missing(text: str) -> list[str]:
    """Names of smcdsl that are imported anywhere in a file and do not exist."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            wanted = [(alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            wanted = [(node.module, alias.name) for alias in node.names]
        else:
            continue
        found += [
            ".".join(filter(None, each)) for each in wanted if each[0].startswith("smcdsl") and not is_there(*each)
        ]
    return found


def is_there(module: str, name: str) -> bool:
    try:
        holder = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("smcdsl"):
            pytest.skip(f"{error.name} is not installed")
        return False
    if not name or hasattr(holder, name):
        return True
    try:
        importlib.import_module(f"{module}.{name}")
    except ModuleNotFoundError:
        return False
    return True


@pytest.mark.skipif(not (ROOT / "benchmarks").is_dir(), reason="benchmarks are not part of the wheel")
@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_what_is_imported_is_there(file: Path) -> None:
    assert missing(file.read_text("utf-8")) == []


def test_what_is_not_there_is_found() -> None:
    text = "from smcdsl.errors import Diagnostic, Nothing\nimport smcdsl.nowhere\nfrom smcdsl import cache\nimport os\n"
    assert missing(text) == ["smcdsl.errors.Nothing", "smcdsl.nowhere"]
