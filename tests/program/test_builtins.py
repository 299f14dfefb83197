"""Built-ins are total: every argument of the declared type has a value."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smcdsl.compiler.analyze import GrammarAnalysis
from smcdsl.program.builtins import BUILTINS, call_builtin
from smcdsl.program.grammar import Grammar, Limit, Pattern
from smcdsl.program.types import Type

VALUES = {
    "str": st.none() | st.text(),
    "float": st.none() | st.integers() | st.floats(allow_nan=False),
    "list": st.none() | st.lists(st.integers() | st.text() | st.none()),
    "any": st.none() | st.text() | st.integers() | st.lists(st.integers()),
    "json": st.dictionaries(st.text(), st.integers()),
}


def values_of(type_: Type) -> st.SearchStrategy:
    if type_.name == "union":
        return st.one_of(*map(values_of, type_.alternatives))
    if type_.name == "list" and type_.item is not None and type_.item.name == "float":
        return st.lists(VALUES["float"])
    return VALUES[type_.name]


@pytest.mark.parametrize("name", BUILTINS)
@given(data=st.data())
def test_built_ins_are_total_and_deterministic(name, data):
    builtin = BUILTINS[name]
    arguments = [data.draw(values_of(parameter.type)) for parameter in builtin.parameters]
    value = call_builtin(name, arguments)
    assert call_builtin(name, arguments) == value or value != value
    expected = builtin.result([parameter.type for parameter in builtin.parameters])
    kinds = {"int": int, "bool": bool, "str": str, "weight": (int, float)}
    if expected.name in kinds:
        assert isinstance(value, kinds[expected.name])


@pytest.mark.parametrize(
    ("name", "arguments", "value"),
    [
        ("chars", ["naïve 🙂"], 7),
        ("words", ["  two\twords\n"], 2),
        ("lines", [""], 0),
        ("lines", ["a"], 1),
        ("lines", ["a\n"], 1),
        ("lines", ["a\n\nb"], 3),
        ("tokens", ["hello, world"], 5),
        ("first", [[]], None),
        ("last", [[1, 2]], 2),
        ("len", [{"a": 1}], 1),
        ("len", ["🙂"], 1),
        ("len", [None], 0),
        ("join", [["a", None, 1], "-"], "a--1"),
        ("min", [3, 1, 2], 1),
        ("max", [[3, 1]], 3),
        ("min", [[]], None),
        ("exp", [1e9], math.inf),
        ("exp", [-1e9], 0.0),
        ("log", [0], -math.inf),
        ("log", [-1], -math.inf),
        ("abs", [-2], 2),
        ("starts_with", [None, "a"], False),
        ("starts_with", ["abc", "ab"], True),
        ("ends_with", ["abc", "bc"], True),
        ("contains", ["abc", "b"], True),
        ("contains", [["abc"], "b"], False),
        ("contains", ["abc", 1], False),
        ("upper", ["straße"], "STRASSE"),
        ("strip", [" a "], "a"),
    ],
)
def test_edges(name, arguments, value):
    assert call_builtin(name, arguments) == value


@pytest.mark.parametrize("unit", ["chars", "words", "lines"])
@given(text=st.text(st.sampled_from("ab \n\t\r\u2028\u00a0🙂é"), max_size=8), number=st.integers(0, 4))
def test_counts_are_those_of_where(unit, text, number):
    """`G where COND` and `G` with `require COND` keep the same texts (language reference, 2.2.6)."""
    grammar = Grammar("x", "x", {"x": Pattern(".*", "s")}, conditions=(Limit(unit, number, number),))
    assert GrammarAnalysis().accepts(grammar, text) is (call_builtin(unit, [text]) == number)
