"""Values of expressions: operators, nulls, calls in rounds, weights in logs, and what a preview may conclude."""

from __future__ import annotations

import math
from typing import Any

import pytest

from smcdsl.errors import Source, Span
from smcdsl.program.evaluation import (
    UNKNOWN,
    EvaluationError,
    InputFile,
    MissingResult,
    certain_value,
    evaluate,
    free_names,
    freeze,
    log_value,
    potential_calls,
    render,
)
from smcdsl.program.expressions import (
    Binary,
    BuiltinCall,
    Constant,
    Expression,
    Field,
    FunctionCall,
    Index,
    Inlined,
    ListOf,
    Maybe,
    Name,
    Record,
    Unary,
)
from smcdsl.program.types import BOOL, STR, WEIGHT, Parameter, PotentialFacts, PythonLocation, Signature, Type

HERE = Span(Source("t", "expression"), 0, 10)


def tree(value: Any) -> Expression:
    if isinstance(value, Expression):
        return value
    return Name(HERE, value[1:]) if isinstance(value, str) and value.startswith("$") else Constant(HERE, value)


def binary(left: Any, operator: Any, right: Any) -> Binary:
    return Binary(HERE, operator, tree(left), tree(right), HERE)


def builtin(name: str, *arguments: Any) -> BuiltinCall:
    return BuiltinCall(HERE, name, tuple(map(tree, arguments)))


def call(
    name: str, *arguments: Any, result: Type = WEIGHT, prefix: Any = "none", is_potential: bool = True
) -> FunctionCall:
    parameters = tuple(Parameter(f"p{number}", STR) for number in range(len(arguments)))
    signature = Signature(name, parameters, result, PotentialFacts(prefix=prefix), PythonLocation(name), is_potential)
    return FunctionCall(HERE, signature, tuple(map(tree, arguments)))


def value(expression: Any, functions: dict[str, Any] | None = None, **names: Any) -> Any:
    return evaluate(tree(expression), names, results_of(tree(expression), functions or {}, names))


def results_of(
    expression: Expression, functions: dict[str, Any], names: Any, unfinished: Any = frozenset()
) -> dict[Any, Any]:
    results: dict[Any, Any] = {}
    while calls := potential_calls(expression, names, results, unfinished):
        for made in calls:
            results[made.key] = functions[made.signature.name](*made.arguments)
    return results


@pytest.mark.parametrize(
    ("left", "operator", "right", "expected"),
    [
        (1, "+", 2, 3),
        ("a", "+", "b", "ab"),
        (1, "-", 2, -1),
        (3, "*", 2, 6),
        (3, "/", 2, 1.5),
        (2, "^", 3, 8),
        (2, "^", -1, 0.5),
        (1, "==", 1.0, True),
        ("a", "!=", "b", True),
        (1, "<", 2, True),
        (2, "<=", 2, True),
        (1, ">", 2, False),
        (1, ">=", 2, False),
        ("b", "in", "abc", True),
        (True, "and", False, False),
        (False, "or", True, True),
    ],
)
def test_operators(left: Any, operator: Any, right: Any, expected: Any) -> None:
    assert value(binary(left, operator, right)) == expected


def test_and_and_or_look_right_only_if_needed() -> None:
    bad = binary(1, "/", 0)
    assert value(binary(False, "and", bad)) is False
    assert value(binary(True, "or", bad)) is True


def test_values_of_names_fields_and_indices() -> None:
    names = {"d": {"a": [1, 2]}, "f": InputFile("p.txt", "one\ntwo\n")}
    assert value(Index(HERE, Field(HERE, tree("$d"), "a", HERE), tree(1)), **names) == 2
    assert value(Field(HERE, tree("$f"), "text", HERE), **names) == "one\ntwo\n"
    assert value(Field(HERE, tree("$f"), "lines", HERE), **names) == ["one", "two"]
    assert value(Record(HERE, (("x", tree(1)), ("y", tree("$d")))), **names) == {"x": 1, "y": {"a": [1, 2]}}
    assert value(ListOf(HERE, (tree(1), tree("a")))) == [1, "a"]
    assert value(Unary(HERE, "not", tree(True))) is False
    assert value(Unary(HERE, "-", tree(2))) == -2


def test_a_value_that_was_not_generated_is_null() -> None:
    assert value(Maybe(HERE, tree("$e"))) is None
    assert value(Maybe(HERE, tree("$e")), e="x") == "x"
    with pytest.raises(EvaluationError, match="no value"):
        value("$e")


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        (binary(1, "/", 0), "divides by zero"),
        (binary("a", "+", 1), "does not work with text and a number"),
        (binary(-1, "^", 0.5), "does not work"),
        (binary(10.0, "^", 1000), "too large"),
        (binary(1, "and", True), "a yes or no is needed"),
        (Index(HERE, tree("$list"), tree(7)), "there is no 7"),
        (Field(HERE, tree("$record"), "b", HERE), "there is no 'b'"),
        (Field(HERE, tree("$list"), "text", HERE), "a list has no field"),
        (Unary(HERE, "-", tree("a")), "a number is needed"),
    ],
)
def test_what_has_no_value_is_explained(expression: Any, said: str) -> None:
    with pytest.raises(EvaluationError, match=said) as caught:
        value(expression, list=[1], record={"a": 1})
    assert caught.value.diagnostics[0].code == "R0904"


def test_calls_inside_calls_come_in_rounds() -> None:
    expression = call("outer", call("inner", "a"), call("inner", "b"))
    first = potential_calls(expression, {}, {})
    assert [made.arguments for made in first] == [("a",), ("b",)]
    results = {made.key: made.arguments[0].upper() for made in first}
    with pytest.raises(MissingResult):
        evaluate(expression, {}, results)
    (second,) = potential_calls(expression, {}, results)
    assert second.arguments == ("A", "B")


def test_equal_calls_have_equal_keys_and_types_count() -> None:
    keys = [potential_calls(call("f", argument), {}, {})[0].key for argument in ("1", "1", 1, 1.0, True)]
    assert keys[0] == keys[1]
    assert len(set(keys)) == 4
    assert freeze([1, {"a": [2]}]) == freeze((1, {"a": (2,)}))


def test_calls_on_the_untaken_side_are_not_made() -> None:
    expression = binary(call("f", "x", result=BOOL), "and", call("g", "x", result=BOOL))
    assert [made.signature.name for made in potential_calls(expression, {}, {})] == ["f"]
    assert value(expression, {"f": lambda text: False}) is False


def test_a_prefix_call_differs_from_a_complete_one() -> None:
    complete = potential_calls(call("f", "$q"), {"q": "a"}, {})[0]
    prefix = potential_calls(call("f", "$q"), {"q": "a"}, {}, {"q"})[0]
    other = potential_calls(call("f", "$r"), {"q": "a", "r": "a"}, {}, {"q"})[0]
    assert (complete.prefix, prefix.prefix, other.prefix) == (False, True, False)
    assert complete.key != prefix.key
    assert complete.key == other.key


LOGWEIGHT = Type("logweight")


def test_weights_stay_in_logs_where_they_are_written_in_them() -> None:
    functions = {"deep": lambda text: -5000.0, "weight": lambda text: 0.5}
    deep = call("deep", "x", result=LOGWEIGHT)

    def log_of(expression: Expression) -> float:
        return log_value(expression, {}, results_of(expression, functions, {}))

    assert log_of(deep) == -5000.0
    assert log_of(binary(deep, "^", 2)) == -10000.0
    assert log_of(binary(deep, "*", call("weight", "x"))) == pytest.approx(-5000 + math.log(0.5))
    assert log_of(builtin("exp", -800)) == -800.0
    assert log_of(Inlined(HERE, "p", ("a",), (tree(3),), binary("$a", "*", -1), log=True)) == -3.0
    assert log_of(tree(0)) == -math.inf
    assert log_of(tree(True)) == 0.0
    assert log_of(binary(tree(0), "^", 2)) == -math.inf


@pytest.mark.parametrize("weight", [-0.5, math.nan, math.inf, "a", None])
def test_what_is_no_weight_is_an_error(weight: Any) -> None:
    with pytest.raises(EvaluationError, match="weight"):
        log_value(tree("$w"), {"w": weight}, {})


def certain(expression: Expression, functions: dict[str, Any], **names: Any) -> Any:
    unfinished = {"q"}
    results = results_of(expression, functions, names, unfinished)
    return certain_value(expression, names, results, unfinished)


def test_only_a_promised_zero_is_certain() -> None:
    no, yes = {"f": lambda text: False}, {"f": lambda text: True}
    promised = call("f", "$q", result=BOOL, prefix="closed")
    assert certain(promised, no, q="a") is False
    assert certain(promised, yes, q="a") is UNKNOWN
    assert certain(call("f", "$q", result=BOOL), no, q="a") is UNKNOWN
    assert certain(Unary(HERE, "not", promised), yes, q="a") is UNKNOWN
    assert certain(Unary(HERE, "not", promised), no, q="a") is True
    assert certain(binary(promised, "and", builtin("contains", "$q", "b")), no, q="a") is False
    assert certain(binary(builtin("contains", "$q", "b"), "and", promised), no, q="ab") is False
    assert certain(binary(builtin("contains", "$q", "b"), "or", promised), no, q="a") is UNKNOWN
    assert certain(builtin("contains", "$q", "b"), {}, q="a") is UNKNOWN
    assert certain(builtin("contains", "$other", "b"), {}, q="a", other="b") is True


def test_zero_times_anything_is_certain() -> None:
    soft = call("f", "$q", prefix="any")
    assert certain(binary(soft, "*", builtin("chars", "$q")), {"f": lambda text: 0.0}, q="a") == 0
    assert certain(binary(soft, "^", 3), {"f": lambda text: 0.0}, q="a") == 0
    assert certain(binary(soft, ">", 0.5), {"f": lambda text: 0.4}, q="a") is UNKNOWN
    assert certain(binary(soft, ">", 0.5), {"f": lambda text: 0.0}, q="a") is False


def test_a_parameter_bound_to_an_unfinished_text_is_unfinished() -> None:
    inner = call("f", "$x", result=BOOL, prefix="any")
    outer = Inlined(HERE, "p", ("x",), (tree("$q"),), inner)
    assert certain(outer, {"f": lambda text: True}, q="a") is UNKNOWN
    assert certain(outer, {"f": lambda text: False}, q="a") is False
    made = potential_calls(outer, {"q": "a"}, {}, {"q"})
    assert made[0].prefix


def test_free_names_leave_out_parameters() -> None:
    inlined = Inlined(HERE, "p", ("x",), (tree("$a"),), binary("$x", "+", "$b"))
    assert free_names(inlined) == {"a", "b"}
    assert free_names(Maybe(HERE, tree("$e"))) == {"e"}
    assert free_names(Maybe(HERE, tree("$e")), certain=True) == frozenset()


@pytest.mark.parametrize(
    ("inserted", "text"),
    [
        ("a", "a"),
        (3, "3"),
        (0.5, "0.5"),
        (True, "true"),
        (None, ""),
        (["a", 1], '["a", 1]'),
        ({"é": None}, '{"é": null}'),
        (InputFile("p", "content"), "content"),
    ],
)
def test_inserted_values_are_texts(inserted: Any, text: str) -> None:
    assert render(inserted) == text
