"""Bounds of expressions hold, suggestions are close, and names in broken lines are left alone."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smcdsl.engine import check
from smcdsl.errors import CompileError, Source
from smcdsl.language.fitting import arithmetic_interval, builtin_interval, comparable, fits
from smcdsl.language.load import check_source, load_program
from smcdsl.language.suggestions import closest, edit_distance
from smcdsl.program.builtins import call_builtin
from smcdsl.program.types import BOOL, FILE, INT, JSON, SQLITE, STR, WEIGHT, Type, list_of, parse_type

numbers = st.floats(-50, 50).map(lambda number: round(number, 2))


@st.composite
def interval_and_member(draw):
    low, high, share = draw(numbers), draw(numbers), draw(st.floats(0, 1))
    low, high = min(low, high), max(low, high)
    open_low, open_high = draw(st.booleans()), draw(st.booleans())
    member = low + share * (high - low)
    return (-math.inf if open_low else low, math.inf if open_high else high), min(max(member, low), high)


@pytest.mark.parametrize("operator", ["+", "-", "*", "/", "^"])
@given(left=interval_and_member(), right=interval_and_member(), whole=st.booleans())
def test_intervals_hold_every_result(operator, left, right, whole):
    (left_interval, a), (right_interval, b) = left, right
    if whole:
        b = float(round(b / 10))
        right_interval = (b, b)
    try:
        operations = {"+": a + b, "-": a - b, "*": a * b}
        result = a / b if operator == "/" else a**b if operator == "^" else operations[operator]
    except (ZeroDivisionError, OverflowError):
        return
    if isinstance(result, complex):
        return
    low, high = arithmetic_interval(operator, left_interval, right_interval)
    slack = 1e-9 * max(1.0, abs(result))
    assert low - slack <= result <= high + slack


@pytest.mark.parametrize("name", ["exp", "log", "abs", "min", "max"])
@given(first=interval_and_member(), second=interval_and_member())
def test_intervals_of_built_ins_hold_every_result(name, first, second):
    arguments = [first, second] if name in ("min", "max") else [first]
    result = call_builtin(name, [member for _, member in arguments])
    low, high = builtin_interval(name, [interval for interval, _ in arguments])
    slack = 1e-9 * max(1.0, abs(result)) if math.isfinite(result) else 0.0
    assert low - slack <= result <= high + slack


@pytest.mark.parametrize(
    ("actual", "expected", "fit"),
    [
        (INT, Type("float"), True),
        (WEIGHT, Type("float"), True),
        (Type("float"), INT, False),
        (BOOL, INT, False),
        (STR, FILE, False),
        (FILE, STR, False),
        (STR, SQLITE, False),
        (JSON, STR, True),
        (JSON, SQLITE, False),
        (list_of(INT), list_of(Type("float")), True),
        (list_of(STR), list_of(INT), False),
        (parse_type('"a"'), parse_type('"a" | "b"'), True),
        (STR, parse_type('"a" | "b"'), False),
        (parse_type('"a"'), STR, True),
        (parse_type("str?"), STR, False),
        (STR, parse_type("str?"), True),
        (Type("null"), parse_type("str?"), True),
        (Type("null"), STR, False),
        (SQLITE, parse_type("sqlite | json"), True),
        (parse_type("sqlite | json"), SQLITE, False),
        (Type("record"), JSON, True),
    ],
)
def test_what_fits_where(actual, expected, fit):
    assert fits(actual, expected) is fit


def test_comparable_values_are_of_one_kind():
    assert comparable(INT, WEIGHT)
    assert comparable(JSON, STR)
    assert not comparable(INT, STR)


@given(st.text("abc", max_size=6), st.text("abc", max_size=6))
def test_edit_distance_is_symmetric_and_bounded(left, right):
    distance = edit_distance(left, right, 2)
    assert distance == edit_distance(right, left, 2)
    assert 0 <= distance <= 3
    assert (distance == 0) == (left == right)


@pytest.mark.parametrize(
    ("word", "names", "near"),
    [
        ("quesiton", ["question", "db"], "question"),
        ("Clause", ["clause"], "clause"),
        ("a", ["b", "db"], None),
        ("ring", ["line"], None),
        ("greedy", ["smc", "lcd"], None),
        ("integer", ["int", "str"], "int"),
    ],
)
def test_suggestions_are_close(word, names, near):
    assert closest(word, names, {"integer": "int"}) == near


def codes(text: str) -> list[str]:
    _, diagnostics = check_source(Source("x.smc", text))
    return [diagnostic.code for diagnostic in diagnostics]


def test_names_of_a_broken_line_are_left_alone():
    text = 'smc 1\ninput question str\ngenerate {\n  user "{{ question }}"\n  assistant "[[a: "x" | "y"]]"\n}\n'
    assert [code for code in codes(text) if code.startswith("E02")] == []


def test_one_wrong_import_is_one_mistake():
    text = (
        'smc 1\nimport potential "no.py" as chem\ngenerate {\n  assistant "[[a: /[a-z]+/]]"\n'
        "  require chem.valid(a)\n  score chem.qed(a)\n}\n"
    )
    assert codes(text) == ["E0209"]


def test_one_wrong_grammar_is_one_mistake():
    text = (
        'smc 1\ngrammar word = leter+\ngenerate {\n  assistant "[[a: word]]\\n[[b: word where chars <= 3]]"\n'
        '  require starts_with(a, "x") at word\n  if a == "x" { score 2 }\n}\nreturn best { a: a, b: b }\n'
    )
    assert codes(text) == ["E0401"]


def test_checking_needs_no_facts():
    text = 'smc 1\ngenerate {\n  assistant "[[a: "x" | "y"]]"\n  if a == "X" { score 2 }\n}\n'
    assert codes(text) == []


def test_checking_runs_no_code_of_the_project(tmp_path):
    """Neither potentials nor what fits a grammar to its arguments: both would end this process."""
    for folder in ("grammars", "potentials"):
        (tmp_path / folder).mkdir()
    deadly = "import os\nos._exit(3)\ndef fit(grammar, rule, arguments): ...\ndef judge(x: str) -> bool: ...\n"
    (tmp_path / "grammars/hook.py").write_text(deadly)
    (tmp_path / "potentials/own.py").write_text(deadly)
    (tmp_path / "grammars/own.lark").write_text(
        "// smcdsl: grammar word() specialize hook.py:fit\nword: L+\nL: /[a-z]/\n"
    )
    text = (
        'smc 1\nimport own\nimport potential "potentials/own.py" as own_too\n'
        'potential again(x: str) -> bool = py("potentials/own.py:judge")\n'
        'generate {\n  assistant "[[x: own.word]]"\n  require own_too.judge(x) and again(x)\n}\n'
    )
    program, diagnostics = check_source(Source("x.smc", text), path=tmp_path / "x.smc")
    assert program is not None
    assert [diagnostic.code for diagnostic in diagnostics] == ["W0515"]  # `judge` has no decorator


def test_a_module_is_checked_and_is_no_program(tmp_path):
    text = 'smc 1\nmodule m\ngrammar w = /[a-z]+/\ntemplate t(x: str) {\n  user "{{ y }}"\n}\n'
    assert codes(text) == ["E0201"]
    program, diagnostics = check_source(Source("m.smc", text.replace("y }}", "x }}")))
    assert (program, diagnostics) == (None, [])
    with pytest.raises(CompileError) as caught:
        load_program(Source("m.smc", text.replace("y }}", "x }}")))
    assert [each.code for each in caught.value.diagnostics] == ["E0215"]


def test_raw_text_goes_on_from_one_turn_to_the_next():
    turns = '  text "Once "\n  text "[[a: /[a-z]+/]]"\n  text "[[b: /[a-z]+/]]"\n'
    text = f"smc 1\ngenerate {{\n{turns}}}\nreturn best {{ a: a, b: b }}\n"
    assert codes(text) == ["W0603", "E0606"]


@pytest.mark.parametrize("grammar", ["grammar a = a", "grammar a = b\ngrammar b = a", "grammar a = a where chars < 3"])
def test_grammars_that_only_name_each_other_are_one_mistake(grammar):
    _, diagnostics = check(Source("x.smc", f'smc 1\n{grammar}\ngenerate {{\n  assistant "[[x: a]]"\n}}\n'))
    assert [each.code for each in diagnostics] == ["E0402"]


def test_a_mistake_in_a_template_that_is_used_twice_is_told_once():
    text = """\
smc 1
import std.text as tx
input doc: file
template quote(n: int) {
  "[[quotes[]: tx.substring_of]]\\n"
}
generate {
  text {
    use quote(1)
    use quote(2)
    "[[x: /a/]]"
  }
}
return x
"""
    _, diagnostics = check(Source("x.smc", text))
    assert [each.code for each in diagnostics if each.severity == "error"] == ["E0304"]
