"""Pages in the terminal."""

import re
import subprocess
import sys

import pytest

from smcdsl.cli.explain_code import nearest
from smcdsl.report import pages
from smcdsl.report.visible import cells

CODES = pages.names(pages.ERRORS)


@pytest.mark.parametrize("typed", ["E0303", "e0303"])
def test_a_code_is_explained_in_any_case(smcdsl, typed):
    made = smcdsl("explain", typed)
    assert (made.code, made.err) == (0, "")
    assert made.out.startswith("E0303: a weight that may be negative\n\n`score` multiplies")
    for part in ("\nCause\n", "\nExample\n", "\n    smc 1\n", "error[E0303]", "\nBackground\n"):
        assert part in made.out
    assert "\x1b" not in made.out
    assert "```" not in made.out


@pytest.mark.parametrize(
    ("typed", "among"), [("E0332", "E0302"), ("E9999", "E0"), ("e303", "E0303"), ("W0303", "W0"), ("R1", "R09")]
)
def test_an_unknown_code_names_the_nearest(smcdsl, typed, among):
    made = smcdsl("explain", typed)
    assert (made.code, made.out) == (2, "")
    assert f"there is no code `{typed}`" in made.err
    assert among in made.err


@pytest.mark.parametrize("typed", ["", " ", "\x1b[2J", "E03\n03", "é", "E" + "0" * 5000, "nope"])
def test_what_nothing_is_called_is_a_mistake(smcdsl, typed):
    made = smcdsl("explain", "--", typed)
    assert (made.code, made.out) == (2, "")
    assert "E0818" in made.err
    assert "\x1b" not in made.err


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("rejecton", "`rejection`"),
        ("sqll", "`sql`"),
        ("std", "`std.text`"),
        ("error[E0303]", "`E0303`"),
        ("runs", "`sql.runs`"),
        ("sqll.rums", "`sql.runs`"),
        ("letters", "`letters.smc`"),
    ],
)
def test_an_unknown_name_is_told_what_it_may_mean(smcdsl, typed, meant):
    made = smcdsl("explain", typed)
    assert (made.code, made.out) == (2, "")
    assert f"`{typed}` is no code, no method, no program, and no library" in made.err
    assert f"help: did you mean {meant}?\n" in made.err
    assert "methods: beam, is, lcd, rejection, rerank, smc; libraries: " in made.err


def test_a_name_like_no_other_is_told_what_there_is(smcdsl):
    made = smcdsl("explain", "nothing_like_it")
    assert "did you mean" not in made.err
    assert "libraries: " in made.err


def test_explain_wants_something_to_explain(smcdsl):
    assert smcdsl("explain").code == 2


def test_a_code_is_nearest_to_itself():
    assert all(nearest(code)[0] == code for code in CODES[::12])


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_paragraphs_keep_to_the_width(width):
    for code in CODES:
        text = pages.page(pages.ERRORS, code)
        prose = re.sub(r"^(`{3,}).*?^\1$", "", text, flags=re.MULTILINE | re.DOTALL)
        for line in pages.drawn(prose, width=width).split("\n"):
            assert cells(line) <= width or " " not in line.strip() or re.fullmatch(r"\S* ?`[^`]+`\S*", line.strip())


def test_colour_changes_no_letter():
    for code in CODES:
        text = pages.page(pages.ERRORS, code)
        plain = re.sub(r"\x1b\[[0-9;]*m", "", pages.drawn(text, color=True))
        assert plain.replace("`", "").split() == pages.drawn(text).replace("`", "").split()


def test_colour_follows_the_option(smcdsl, monkeypatch):
    assert "\x1b[" in smcdsl("--color", "always", "explain", "E0303").out
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[" not in smcdsl("explain", "E0303").out


def test_a_closed_pipe_is_no_error():
    command = f"{sys.executable} -m smcdsl explain E0303 | true"
    made = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert made.stderr == ""


def test_every_page_has_a_place_in_the_documentation():
    assert pages.location("E0303") == "docs/errors/E0303.md"
    assert pages.location("E9999") is None
