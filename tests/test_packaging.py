"""What is installed: the files that a user's machine needs, under one name."""

from __future__ import annotations

import os
import tomllib
import zipfile
from importlib.metadata import distribution, version
from importlib.resources import files
from pathlib import Path

import pytest

import smcdsl

ROOT = Path(__file__).parents[1]
NEEDED = (
    "py.typed",
    "language/smc.lark",
    "report/trace/page.html",
    "report/trace/page.css",
    "report/trace/page.js",
    "report/trace/trace.css",
    "editor/vscode/package.json",
    "editor/vscode/extension.js",
    "editor/vscode/syntaxes/smc.tmLanguage.json",
    "models/aliases.toml",
    "models/embedded/model.safetensors",
    "models/embedded/tokenizer.json",
    "models/embedded/config.json",
)
MOST_EMBEDDED_BYTES = 16 * 1024 * 1024


def test_versions_agree():
    assert version("smcdsl") == smcdsl.__version__
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == smcdsl.__version__
    assert f"## {smcdsl.__version__}" in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.parametrize("name", NEEDED)
def test_data_files_are_there(name):
    assert files("smcdsl").joinpath(name).is_file()


def test_libraries_are_reached_by_their_installed_names():
    assert files("smcdsl.grammars").joinpath("sql.lark").is_file()
    import smcdsl.potentials.sql

    assert smcdsl.potentials.sql.__name__ == "smcdsl.potentials.sql"


def test_the_embedded_model_is_small_enough_to_ship():
    folder = files("smcdsl.models.embedded")
    assert len(folder.joinpath("model.safetensors").read_bytes()) <= MOST_EMBEDDED_BYTES


def test_constraints_pin_torch():
    assert "torch==2.13.0" in (ROOT / "constraints.txt").read_text().split()


@pytest.mark.parametrize("name", smcdsl.__all__)
def test_every_exported_name_exists(name):
    assert getattr(smcdsl, name) is not None


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError):
        smcdsl.nothing  # noqa: B018


@pytest.mark.skipif("SMCDSL_INSTALLED" not in os.environ, reason="for the run against an installed wheel")
def test_the_wheel_installs_one_name():
    assert "site-packages" in smcdsl.__file__
    top = {Path(str(file)).parts[0] for file in distribution("smcdsl").files or ()}
    assert {name for name in top if name.isidentifier()} == {"smcdsl"}


@pytest.mark.skipif("SMCDSL_INSTALLED" in os.environ, reason="the sources are not here")
def test_a_wheel_carries_everything(tmp_path, monkeypatch):
    build = pytest.importorskip("hatchling.build", reason="needs the extra `dev`")
    monkeypatch.chdir(ROOT)
    wheel = build.build_wheel(str(tmp_path))
    names = set(zipfile.ZipFile(tmp_path / wheel).namelist())
    assert {name.split("/")[0].split("-")[0] for name in names} == {"smcdsl"}
    assert {f"smcdsl/{name}" for name in NEEDED} <= names
    assert {"smcdsl/grammars/sql.lark", "smcdsl/grammars/__init__.py", "smcdsl/potentials/sql.py"} <= names
    pages = {
        path.relative_to(ROOT).as_posix() for kind in ("errors", "methods") for path in (ROOT / "docs" / kind).iterdir()
    }
    assert {f"smcdsl/{page}" for page in pages} <= names
    assert not any("__pycache__" in name or name.startswith(("tests", "examples")) for name in names)
