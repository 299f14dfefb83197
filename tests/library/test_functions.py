"""Python functions are imported at run time only."""

from __future__ import annotations

import sys

import pytest

from smcdsl.errors import PotentialError
from smcdsl.library.functions import load_file, resolve_function
from smcdsl.program.types import BOOL, PotentialFacts, PythonLocation, Signature
from smcdsl.protocols import Potential


def signature(**where) -> Signature:
    return Signature("own.f", (), BOOL, PotentialFacts(), PythonLocation("f", **where))


def test_an_own_file_is_loaded_from_its_path_once(tmp_path):
    path = tmp_path / "own.py"
    path.write_text("from helper_beside import K\ncalls = []\ndef f(): calls.append(K); return len(calls)\n")
    (tmp_path / "helper_beside.py").write_text("K = 3\n")
    before = list(sys.path)
    first, second = (resolve_function(signature(path=str(path))) for _ in range(2))
    assert (first(), second()) == (1, 2)
    assert sys.path == before


def test_a_changed_file_is_loaded_again(tmp_path):
    path = tmp_path / "own.py"
    path.write_text("def f(): return 1\n")
    assert resolve_function(signature(path=str(path)))() == 1
    path.write_text("def f(): return 22\n")
    import os

    os.utime(path, ns=(1, 1))
    assert resolve_function(signature(path=str(path)))() == 22


def test_files_of_one_name_in_two_folders_are_two_modules(tmp_path):
    for number in (1, 2):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "own.py").write_text(f"def f(): return {number}\n")
    modules = [load_file(str(tmp_path / str(number) / "own.py")) for number in (1, 2)]
    assert [module.f() for module in modules] == [1, 2]


def test_shipped_functions_are_imported_by_name():
    found = resolve_function(
        Signature("sql.runs", (), BOOL, PotentialFacts(), PythonLocation("runs", "smcdsl.potentials.sql"))
    )
    assert isinstance(found, Potential)


@pytest.mark.parametrize(
    "text", ["raise RuntimeError('no')\n", "import a_module_that_is_not_there\n", "def g(): ...\n"]
)
def test_a_file_that_cannot_be_used_is_a_failed_potential(tmp_path, text):
    path = tmp_path / "own.py"
    path.write_text(text)
    with pytest.raises(PotentialError) as caught:
        resolve_function(signature(path=str(path)))
    assert caught.value.diagnostics[0].code == "R0903"


def test_a_missing_file_is_a_failed_potential(tmp_path):
    with pytest.raises(PotentialError):
        resolve_function(signature(path=str(tmp_path / "gone.py")))


def test_a_file_that_raises_when_it_is_run_is_shown_where_it_does(tmp_path):
    path = tmp_path / "own.py"
    path.write_text("import json\nX = json.loads('{')\ndef f(): return True\n")
    with pytest.raises(PotentialError, match="cannot be loaded") as caught:
        resolve_function(signature(path=str(path)))
    (label,) = caught.value.diagnostics[0].labels
    assert label.span.text == "X = json.loads('{')"
    assert label.text.startswith("JSONDecodeError")


def test_an_attribute_that_is_missing_at_import_is_no_missing_function(tmp_path):
    path = tmp_path / "own.py"
    path.write_text("import math\nX = math.no_such_thing\ndef f(): return True\n")
    with pytest.raises(PotentialError, match="cannot be loaded"):
        resolve_function(signature(path=str(path)))
