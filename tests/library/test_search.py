"""Where imports look."""

from __future__ import annotations

from pathlib import Path

import pytest

from smcdsl.library.search import Search, project_root


@pytest.fixture
def project(tmp_path):
    """A project with a program in a folder of its own and libraries at its root."""
    (tmp_path / "pyproject.toml").touch()
    for folder in ("programs/lib", "programs/potentials", "grammars/deep", "potentials"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "grammars/own.lark").write_text("start: A\nA: /a/\n")
    (tmp_path / "grammars/deep/inner.lark").write_text("start: A\nA: /a/\n")
    (tmp_path / "potentials/own.py").write_text("def f(x): return x\n")
    (tmp_path / "programs/potentials/near.py").write_text("def g(x): return x\n")
    (tmp_path / "programs/lib/p.smc").write_text("smc 1\nmodule p\n")
    return tmp_path


def beside(project: Path) -> Search:
    return Search.beside(project / "programs/main.smc")


def test_the_root_is_the_nearest_folder_with_a_pyproject(project):
    assert project_root(project / "programs/lib") == project
    assert beside(project).root == project


def test_without_a_pyproject_the_root_is_the_programs_folder(tmp_path):
    assert Search.beside(tmp_path / "main.smc").root == tmp_path.resolve()


def test_a_library_may_have_a_grammar_and_functions(project):
    library = beside(project).library("own")
    assert library.grammar.name == "grammars/own.lark"
    assert library.functions.name == "potentials/own.py"
    assert library.functions.module == ""
    assert library.hides == ()


def test_dots_are_folders(project):
    library = beside(project).library("deep.inner")
    assert library.grammar.text.startswith("start")
    assert library.functions is None


def test_unknown_libraries_are_none(project):
    assert beside(project).library("nothing") is None


def test_shipped_libraries_are_found_by_module(tmp_path):
    library = Search.beside(tmp_path / "main.smc").library("sql")
    assert library.functions.module == "smcdsl.potentials.sql"
    assert library.grammar.name == "smcdsl/grammars/sql.lark"


def test_a_projects_file_hides_the_shipped_one(project):
    (project / "grammars/sql.lark").write_text("start: A\nA: /a/\n")
    library = beside(project).library("sql")
    assert library.hides == ("grammars/sql.lark",)
    assert library.functions.module == "smcdsl.potentials.sql"


def test_a_checkouts_own_libraries_are_the_shipped_ones():
    library = Search.beside(Path(__file__).parents[2] / "examples/x.smc").library("sql")
    assert library.hides == ()
    assert library.functions.module == "smcdsl.potentials.sql"


def test_a_file_is_looked_for_beside_the_program_then_in_the_root_then_among_what_ships(project):
    search = beside(project)
    assert search.file("potentials/near.py").text.startswith("def g")
    assert search.file("potentials/own.py").text.startswith("def f")
    assert search.file("potentials/sql.py").module == "smcdsl.potentials.sql"
    assert search.file("potentials/none.py") is None


def test_shipped_files_cannot_be_left_upwards(project):
    assert beside(project).file("potentials/../errors.py") is None


def test_modules_are_relative_to_the_importing_file_only(project):
    search = beside(project)
    assert search.module("lib/p.smc").text.startswith("smc 1")
    assert search.module("p.smc") is None
    assert search.at(project / "programs/lib/p.smc").module("p.smc") is not None


def test_names_are_shown_as_the_user_gave_the_program(project, monkeypatch):
    monkeypatch.chdir(project)
    search = Search.beside(Path("programs/main.smc"))
    assert search.module("lib/p.smc").name == "programs/lib/p.smc"
    assert search.at(project / "programs/lib/p.smc").module("p.smc").name == "programs/lib/p.smc"


def test_names_of_libraries_are_listed(project):
    assert {"own", "sql", "std.text"} <= set(beside(project).library_names())


@pytest.mark.parametrize("path", ["no/such/folder/x.py", "\0.py", "a" * 5000, "", "../x", "/x.py"])
def test_a_path_that_is_like_nothing_is_like_nothing(path, tmp_path):
    assert Search.beside(tmp_path / "p.smc").files_like(path) == ()
