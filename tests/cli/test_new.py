"""`smcdsl new`: every template is sound, formatted, tested, and runs at once on the embedded model."""

from __future__ import annotations

from pathlib import Path

import pytest

from smcdsl.cli.new import TEMPLATES, program_name


@pytest.mark.parametrize("template", TEMPLATES)
def test_templates_run_at_once(smcdsl, template):
    made = smcdsl("new", template, "my project")
    assert made.code == 0
    program = made.out.strip()
    assert program == "my project/my_project.smc"
    assert "next: smcdsl run 'my project/my_project.smc'" in made.err
    checked = smcdsl("check", "--pedantic", program)
    assert (checked.code, "no mistakes found" in checked.err) == (0, True), checked.out
    assert smcdsl("fmt", "--check", program).code == 0
    assert smcdsl("test", "--no-model", program).code == 0
    ran = smcdsl("run", program, "-f", "json", "--no-progress")
    assert ran.code == 0, ran.err
    found = ran.json()
    assert found["complete"]
    assert found["program"] == "my_project"


def test_templates_answer_right_where_the_embedded_model_can(smcdsl):
    smcdsl("new", "sql", "a")
    assert smcdsl("run", "a/a.smc", "-f", "json", "--view", "best").json()["best"] == "SELECT count(*) FROM book"
    smcdsl("new", "extract", "b")
    best = smcdsl("run", "b/b.smc", "-f", "json", "--view", "best").json()["best"]
    assert best == {"number": "QK-3071", "issued": "2024-03-18", "total": 1240.0}


def test_without_a_template_they_are_listed(smcdsl):
    made = smcdsl("new")
    assert [line.split()[0] for line in made.out.splitlines()] == list(TEMPLATES)


def test_files_are_never_overwritten(smcdsl):
    assert smcdsl("new", "sql").out == "sql/sql.smc\n"
    Path("sql/sql.smc").write_text("mine")
    Path("sql/books.sqlite").unlink()
    made = smcdsl("new", "sql")
    assert made.code == 2
    assert "E0821" in made.err
    assert Path("sql/sql.smc").read_text() == "mine"
    assert not Path("sql/books.sqlite").exists()


def test_a_folder_that_cannot_be_made(smcdsl):
    Path("file").write_text("")
    made = smcdsl("new", "sql", "file/inside")
    assert made.code == 2
    assert "E0821" in made.err


@pytest.mark.parametrize(
    ("folder", "name"), [("My Project!", "my_project"), ("2nd", "program_2nd"), ("éé", "program"), ("a-b", "a_b")]
)
def test_names(folder, name):
    assert program_name(Path(folder)) == name


@pytest.mark.parametrize(
    ("typed", "said"),
    [("cobol", "templates: sql, python, smiles, pddl, extract"), ("extrct", "did you mean `extract`?")],
)
def test_an_unknown_template(smcdsl, typed, said):
    made = smcdsl("new", typed)
    assert (made.code, made.out) == (2, "")
    assert f"there is no template `{typed}`; {said}" in made.err
    assert not Path(typed).exists()


def test_the_hint_after_new_asks_for_text_where_a_run_would_print_json(smcdsl, monkeypatch):
    assert "next: smcdsl run sql/sql.smc -f text\n" in smcdsl("new", "sql").err
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert "next: smcdsl run other/other.smc\n" in smcdsl("new", "sql", "other").err
