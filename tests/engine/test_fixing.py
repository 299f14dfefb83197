"""Fixing never makes a program worse, ends, and is done when it says so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smcdsl.compiler.analyze import GrammarAnalysis
from smcdsl.engine.fixing import apply, fixed, together
from smcdsl.errors import Diagnostic, Edit, Label, Source, Span
from smcdsl.language.load import check_source
from tests.error_pages import PAGES, read_page

GOLDEN = Path(__file__).parents[1] / "golden"
BAD = sorted((GOLDEN / "bad").glob("*.smc"))
EXAMPLES = sorted(path for path in (Path(__file__).parents[2] / "examples").glob("*.smc") if path.stem != "pandas_task")
"""Without the one whose grammar takes seconds to analyse."""

FACTS = GrammarAnalysis()
FIXED_WHOLE = (
    "E0101 E0108 E0109 E0110 E0111 E0115 E0116 E0117 E0201 E0202 E0205 E0206 E0209 E0301 E0304 E0305 E0306 E0308 "
    "E0401 E0501 E0506 E0701 E0706"
).split()
"""Codes whose bad example in the documentation becomes free of mistakes by fixing alone."""


def check(source: Source) -> list[Diagnostic]:
    return check_source(source, path=Path(source.name), project_root=Path(), facts=FACTS)[1]


def errors(diagnostics: Sequence[Diagnostic]) -> Counter[tuple[str, str]]:
    return Counter((each.code, each.message) for each in diagnostics if each.severity == "error")


def assert_no_worse(source: Source) -> None:
    before = check(source)
    result = fixed(source, check)
    assert list(result.remaining) == check(result.source)
    assert not errors(result.remaining) - errors(before)
    assert len(errors(result.remaining)) + len(result.applied) >= len(errors(before)) or result.source != source
    assert bool(result.applied) == (result.source.text != source.text)
    again = fixed(result.source, check)
    assert (again.source, again.applied) == (result.source, ())


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_bad_programs_do_not_become_worse(path, monkeypatch):
    monkeypatch.chdir(path.parent)
    assert_no_worse(Source(path.name, path.read_text(encoding="utf-8")))


def test_what_fixing_can_mend_is_mended_whole(monkeypatch, tmp_path):
    mended = []
    for path in sorted(PAGES.glob("[EW]0*.md")):
        page = read_page(path)
        if page.command != "smcdsl check bad.smc":
            continue
        folder = tmp_path / page.code
        folder.mkdir()
        page.write_files(folder)
        monkeypatch.chdir(folder)
        result = fixed(Source("bad.smc", dict(page.files)["bad.smc"]), check)
        if not result.remaining:
            assert [diagnostic.code for diagnostic in result.applied] == [page.code]
            mended.append(page.code)
    assert sorted(mended) == sorted(FIXED_WHOLE)


@st.composite
def damaged(draw: st.DrawFn) -> str:
    """A program with letters changed, words swapped and pieces left out."""
    text = draw(st.sampled_from(EXAMPLES)).read_text(encoding="utf-8")
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text) - 1))
        length = draw(st.integers(0, 3))
        text = (
            text[:start]
            + draw(st.sampled_from(["", "x", "s", "**", "&&", ";", "'", "\\", "]", "}"]))
            + text[start + length :]
        )
    return text


@settings(max_examples=5)
@given(damaged())
def test_damaged_programs_do_not_become_worse(text):
    assert_no_worse(Source("examples.smc", text))


@pytest.mark.long
@settings(max_examples=1000)
@given(damaged())
def test_many_damaged_programs_do_not_become_worse(text):
    assert_no_worse(Source("examples.smc", text))


# ---- with a checker of letters: every `b` is an error that offers to become `a`


def letters(source: Source) -> list[Diagnostic]:
    """`b` may become `a`; `c` may become `bb`, which is worse; `d` may go with what follows it."""
    found = []
    for index, char in enumerate(source.text):
        span = Span(source, index, index + 1)
        edits = {"b": Edit(span, "a"), "c": Edit(span, "bb"), "d": Edit(Span(source, index, index + 2), "")}
        if char in edits:
            found.append(Diagnostic("E0000", char, (Label(span, "", True),), fixes=(edits[char],)))
    return found


@settings(max_examples=50)
@given(st.text("abcd", max_size=12))
def test_fixing_letters_ends_and_adds_no_error(text):
    result = fixed(Source("x", text), letters)
    assert not errors(result.remaining) - errors(letters(Source("x", text)))
    assert "b" not in result.source.text
    assert "d" not in result.source.text
    assert fixed(result.source, letters).applied == ()


def test_edits_that_overlap_are_not_made_together():
    source = Source("x", "ddb")
    chosen = together(source, letters(source))
    assert [diagnostic.primary.start for diagnostic in chosen] == [0, 2]
    assert apply(source, [edit for each in chosen for edit in each.fixes]).text == "a"


def test_edits_of_other_files_are_not_made():
    other = Source("y", "b")
    diagnostic = letters(other)[0]
    assert fixed(Source("x", "b"), lambda source: [diagnostic]).applied == ()
