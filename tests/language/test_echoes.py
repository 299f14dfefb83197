"""One mistake, one message: what follows from a mistake is not reported beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from smcdsl.errors import Source
from smcdsl.language.load import check_source
from smcdsl.report.diagnostics import render

HEAD = "smc 1\n"
BODY = 'generate {\n  user "Go."\n  assistant "[[y: year]],[[w: /[a-z]{1,9}/]]"\n'
END = "}\n\nreturn posterior { y: y, w: w }\n"


def found(text: str) -> list[str]:
    return [each.code for each in check_source(Source("x.smc", text), path=Path("x.smc"))[1]]


@pytest.mark.parametrize(
    ("declaration", "code"),
    [
        ("grammar year = /[0-9]{4}/ as int\n", ""),
        ("grammar year = /[0-9]{4}/ int\n", "E0401"),
        ("grammar year = as int\n", "E0111"),
        ("grammar = /[0-9]{4}/ as int\n", "E0111"),
        ("year = /[0-9]{4}/ as int\n", "E0109"),
        ("grammar year = /[0-9]{4}/ as\n", "E0112"),
    ],
)
def test_a_name_of_which_nothing_is_known_has_no_type_to_complain_about(declaration, code):
    text = HEAD + declaration + BODY + "  require y > 1990\n" + END
    assert found(text) == ([code] if code else [])


def test_other_mistakes_are_still_reported():
    text = HEAD + "grammar year = /[0-9]{4}/ as\n" + BODY + "  require y > 1990\n  require w > 3\n" + END
    assert found(text) == ["E0112", "E0307"]


def test_one_unknown_name_is_one_mistake_wherever_it_stands():
    text = HEAD + BODY.replace("year", "/a/") + "  require chars(z) > 1\n" * 6 + END
    _, (diagnostic,) = check_source(Source("x.smc", text), path=Path("x.smc"))
    drawn = render([diagnostic])
    assert drawn.count("and here") == 3
    assert "note: and in 2 more places" in drawn


def test_one_misspelled_name_is_mended_everywhere():
    text = HEAD + BODY.replace("year", "/a/") + "  require chars(w) > lenght\n  score exp(-lenght)\n" + END
    text = text.replace("generate", "input length: int\ngenerate")
    _, (diagnostic,) = check_source(Source("x.smc", text), path=Path("x.smc"))
    assert [edit.text for edit in diagnostic.fixes] == ["length", "length"]


def test_two_unknown_names_are_two_mistakes():
    text = HEAD + BODY.replace("year", "/a/") + "  require chars(a) > 1\n  require chars(b) > 1\n" + END
    assert found(text) == ["E0201", "E0201"]


def test_a_library_that_is_nowhere_explains_its_names():
    text = HEAD + "import standard.text as tx\n" + BODY.replace("year", "tx.line") + "  require standard.x(w)\n" + END
    assert found(text) == ["E0209"]


def test_python_imported_as_a_module_is_not_read_as_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("judges.py").write_text("from smcdsl import potential\n")
    text = HEAD + 'import "judges.py" as judges\n' + BODY.replace("year", "/a/") + "  require judges.short(w)\n" + END
    _, (diagnostic,) = check_source(Source("x.smc", text), path=Path("x.smc"))
    assert diagnostic.code == "E0214"
    assert diagnostic.fixes[0].text == 'potential "judges.py"'


def test_an_argument_lost_in_a_broken_line_does_no_harm():
    text = HEAD + (
        "import std.text as tx\ntemplate quoting(: str) {\n"
        '  "[[q: tx.substring_of(text)]]\\n"\n}\n\ngenerate {\n  user "Go."\n  assistant { use quoting("a") }\n}\n'
    )
    assert found(text)[0].startswith("E01")


@pytest.mark.parametrize(("line", "code"), [("input @@ s", "E0111"), ("let s @@ = 3", "E0118")])
def test_a_value_by_a_function_that_a_broken_line_may_have_introduced_is_none(line, code):
    body = 'generate {\n  user "{{ limit }}"\n  assistant "[[q: /a/]]"\n}\n'
    _, found = check_source(Source("broken.smc", f"smc 1\n\ninput limit: int = s(3)\n{line}\n\n{body}"))
    assert [each.code for each in found] == [code]


@pytest.mark.parametrize(
    ("line", "code"),
    [("grammar q = j{0}.x()", "E0201"), ('grammar q = lark("{0}.lark")', "E0209"), ('import "{0}.smc" as p', "E0209")],
)
def test_a_name_that_no_file_can_have_is_no_file(line, code):
    text = f'smc 1\n{line.format("9" * 400)}\ngenerate {{\n  text "[[x: /a/]]"\n}}\n'
    _, found = check_source(Source("long.smc", text))
    assert code in [each.code for each in found]
