"""Frames of the language reference's catalogue, drawn from records."""

import json

import pytest

from smcdsl.errors import Diagnostic, Edit, Label, Source, Span
from smcdsl.report.diagnostics import concise, record, render, render_one, summary
from smcdsl.report.visible import cells, escape, shorten


def span(source: Source, text: str, after: str = "") -> Span:
    start = source.text.index(text, source.text.index(after))
    return Span(source, start, start + len(text))


def at(source: Source, text: str, label: str, *, primary: bool = False, after: str = "") -> Label:
    return Label(span(source, text, after), label, primary)


BLOCK = Source(
    "query.smc",
    "smc 1\n" + "\n" * 10 + "generate {\n" + "  a\n" * 10 + "  score   sql.returns_rows(q, db)\nreturn posterior q\n",
)
DATE = Source("date.smc", "\n\n\n\ngrammar short_date = iso_date where chars <= 8\n")


def test_labels_on_several_lines_with_a_gap():
    end = BLOCK.text.index("(q, db)") + len("(q, db)")
    labels = (
        at(BLOCK, "{", "opened here", primary=True),
        Label(Span(BLOCK, end, end), "the `}` is probably missing after this line", primary=True),
        at(BLOCK, "return", "declarations cannot appear inside `generate`", after="return posterior"),
    )
    assert render_one(Diagnostic("E0103", "this block is never closed", labels)) == (
        "error[E0103]: this block is never closed\n"
        "  --> query.smc:12:10\n"
        "12 | generate {\n"
        "   |          ^ opened here\n"
        "...\n"
        "23 |   score   sql.returns_rows(q, db)\n"
        "   |                                  ^ the `}` is probably missing after this line\n"
        "24 | return posterior q\n"
        "   | ------ declarations cannot appear inside `generate`"
    )


def test_two_labels_on_one_line_hang_below_each_other():
    labels = (
        at(DATE, "chars <= 8", "at most 8 characters", primary=True),
        at(DATE, "iso_date", "`iso_date` is always 10 characters long"),
    )
    assert render_one(Diagnostic("E0403", "no text can match this grammar", labels)) == (
        "error[E0403]: no text can match this grammar\n"
        " --> date.smc:5:37\n"
        "5 | grammar short_date = iso_date where chars <= 8\n"
        "  |                      --------       ^^^^^^^^^^ at most 8 characters\n"
        "  |                      `iso_date` is always 10 characters long"
    )


def test_lines_come_in_the_order_of_the_labels():
    source = Source("c.smc", "first\nsecond\n")
    labels = (at(source, "second", "used", primary=True), at(source, "first", "here"))
    drawn = render_one(Diagnostic("E0205", "m", labels)).splitlines()
    assert [line[:3] for line in drawn[2:]] == ["2 |", "  |", "1 |", "  |"]


def test_another_file_has_its_own_arrow():
    program = Source("lead.smc", "score   chem.qed(m, core)\n")
    module = Source("potentials/chem.py", "\n" * 16 + "def qed(smiles: str) -> float:\n")
    labels = (
        at(program, "chem.qed(m, core)", "called with 2 arguments", primary=True),
        at(module, "qed", "takes 1"),
    )
    assert render_one(Diagnostic("E0503", "`chem.qed` does not match its use", labels)) == (
        "error[E0503]: `chem.qed` does not match its use\n"
        "  --> lead.smc:1:9\n"
        " 1 | score   chem.qed(m, core)\n"
        "   |         ^^^^^^^^^^^^^^^^^ called with 2 arguments\n"
        "  ::: potentials/chem.py:17\n"
        "17 | def qed(smiles: str) -> float:\n"
        "   |     --- takes 1"
    )


def test_a_place_without_its_text_is_named():
    program = Source("task.smc", "require f(x)\n")
    elsewhere = Label(Span(Source("potentials/f.py:54", ""), 0, 0), "FileNotFoundError: 'python3.11'")
    diagnostic = Diagnostic(
        "R0903", "`f` raised an exception", (at(program, "f", "on particle 3", primary=True), elsewhere)
    )
    assert render_one(diagnostic).splitlines()[-1] == " ::: potentials/f.py:54  FileNotFoundError: 'python3.11'"


def test_context_facts_notes_and_help_without_a_place_in_a_text():
    diagnostic = Diagnostic(
        "E0802",
        "`shop.csv` is not a SQLite database",
        context="-i db=shop.csv",
        facts=("the file starts with `id,name,pri`; SQLite files start with `SQLite format 3`",),
        notes=("one\ntwo",),
        help="import it first",
    )
    assert render_one(diagnostic) == (
        "error[E0802]: `shop.csv` is not a SQLite database\n"
        " --> -i db=shop.csv\n"
        "  = the file starts with `id,name,pri`; SQLite files start with `SQLite format 3`\n"
        "help: import it first\n"
        "note: one\n"
        "      two"
    )


def test_context_may_show_a_command():
    drawn = render_one(Diagnostic("E0801", "no value for input `db`", context="command line\nsmcdsl run x.smc"))
    assert drawn.splitlines()[1:] == [" --> command line", "  | smcdsl run x.smc"]


def test_a_line_to_add_is_shown_with_a_plus():
    fix = Edit(Span(DATE, 0, 0), "smc 1\n")
    drawn = render_one(
        Diagnostic(
            "E0101", "m", (at(DATE, "grammar", "expected `smc 1`", primary=True),), help="add the edition", fixes=(fix,)
        )
    )
    assert drawn.splitlines()[-2:] == ["help: add the edition", "1 + smc 1"]


def test_a_changed_line_stands_beside_an_empty_help():
    source = Source("chem.smc", "score   chem.qed(m) ** 3\n")
    fix = Edit(span(source, "**"), "^")
    drawn = render_one(
        Diagnostic("E0110", "powers are written with `^`", (at(source, "**", "", primary=True),), fixes=(fix,))
    )
    assert drawn.splitlines()[-1] == "help: 1 | score   chem.qed(m) ^ 3"


def test_a_line_replaced_by_two():
    source = Source("agent.smc", "\n    while not done {\n")
    fix = Edit(span(source, "while not done {"), "for i in 1..10 {\n      if done { break }")
    drawn = render_one(
        Diagnostic("E0105", "m", (at(source, "while", "x", primary=True),), help="use a bounded loop", fixes=(fix,))
    )
    assert drawn.splitlines()[-2:] == ["2 |     for i in 1..10 {", "  +       if done { break }"]


def test_a_fix_named_in_words_is_not_drawn_again():
    source = Source("q.smc", "requires x\n")
    fix = Edit(span(source, "requires"), "require")
    drawn = render_one(
        Diagnostic("E0109", "m", (at(source, "requires", "did you mean `require`?", primary=True),), fixes=(fix,))
    )
    assert "help" not in drawn


def test_wide_characters_tabs_and_control_characters_keep_marks_in_place():
    source = Source("w.smc", '日本\t\x1b[31m x = ""\n')
    lines = render_one(Diagnostic("E0101", "m", (at(source, "x", "here", primary=True),))).splitlines()
    assert "\x1b" not in lines[2]
    shown = lines[2].index("x =")
    assert cells(lines[2][:shown]) == lines[3].index("^")


def test_long_lines_are_cut_around_the_mark():
    source = Source("long.smc", "a" * 300 + " mark " + "b" * 300 + "\n")
    lines = render_one(Diagnostic("E0101", "m", (at(source, "mark", "here", primary=True),)), width=60).splitlines()
    assert cells(lines[2]) <= 60
    assert lines[2][lines[3].index("^") :].startswith("mark")


def test_a_span_over_lines_is_marked_on_its_first():
    source = Source("m.smc", "abc {\n  d\n}\n")
    label = Label(Span(source, 0, len(source.text)), "all of it", primary=True)
    assert render_one(Diagnostic("E0602", "m", (label,))).splitlines()[2:] == ["1 | abc {", "  | ^^^^^ all of it"]


def test_colors_only_when_asked_for():
    diagnostic = Diagnostic("W0705", "m", (at(DATE, "where", "x", primary=True),))
    assert "\x1b" not in render([diagnostic])
    assert "\x1b[1;33mwarning[W0705]\x1b[0m" in render([diagnostic], color=True)


def test_frames_are_separated_by_a_blank_line():
    assert render([Diagnostic("E0101", "a"), Diagnostic("E0102", "b")]) == "error[E0101]: a\n\nerror[E0102]: b\n"
    assert render([]) == ""


def test_concise_is_one_line():
    assert (
        concise(Diagnostic("E0403", "a\nb", (at(DATE, "chars", "x", primary=True),)))
        == "date.smc:5:37: error[E0403]: a\\nb"
    )
    assert concise(Diagnostic("E0801", "m", context="command line\nmore")) == "command line: error[E0801]: m"


def test_json_has_the_fields_of_the_reference():
    fix = Edit(span(DATE, "chars"), "words")
    made = record(Diagnostic("W0408", "m", (at(DATE, "chars", "x", primary=True),), help="h", fixes=(fix,)))
    assert json.loads(json.dumps(made)) == made
    assert {"code", "severity", "message", "spans", "help", "fixes", "url"} <= set(made)
    assert made["severity"] == "warning"
    assert made["spans"][0] == {
        "file": "date.smc",
        "start": {"line": 5, "column": 37, "offset": 40},
        "end": {"line": 5, "column": 42, "offset": 45},
        "label": "x",
        "primary": True,
    }
    assert made["fixes"][0]["edits"][0]["text"] == "words"


def test_summary_counts():
    assert (
        summary([Diagnostic("E0101", "a"), Diagnostic("W0408", "b"), Diagnostic("E0102", "c")]) == "2 errors, 1 warning"
    )
    assert summary([]) == ""


@pytest.mark.parametrize(
    ("text", "shown"),
    [("a\x1b[2J", "a\\x1b[2J"), ("\u202eabc", "\\u202eabc"), ("\ud800", "\\ud800"), ("é日", "é日"), ("a\nb", "a\\nb")],
)
def test_escape_spells_out_what_would_act_on_a_terminal(text, shown):
    assert escape(text) == shown


def test_shorten_counts_cells():
    assert shorten("日本語", 5) == "日本…"
    assert shorten("abc", 3) == "abc"
