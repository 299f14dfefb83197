"""Calls of potentials: batches, failures, time limits, worker processes."""

from __future__ import annotations

import math
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from building import NOWHERE, Functions

from smcdsl.errors import PotentialError
from smcdsl.inference.factors import PotentialCalls, Request
from smcdsl.program.evaluation import PotentialCall, freeze
from smcdsl.program.types import BOOL, STR, WEIGHT, Parameter, PotentialFacts, PythonLocation, Signature, Type
from smcdsl.protocols import Facts, Potential

LOGWEIGHT = Type("logweight")


def signature(
    result: Any = WEIGHT, parameters: int = 1, batched: int = -1, path: str = "", name: str = "f", **facts: Any
) -> Signature:
    declared = tuple(Parameter(f"p{number}", STR) for number in range(parameters))
    return Signature(name, declared, result, PotentialFacts(**facts), PythonLocation(name, path=path), True, batched)


def call(made: Signature, *arguments: Any, prefix: bool = False) -> PotentialCall:
    return PotentialCall(made, arguments, prefix, (made.name, prefix, *map(freeze, arguments)), NOWHERE)


def calls_of(function: Any, made: Signature) -> PotentialCalls:
    return PotentialCalls(lambda signature: Potential(function, Facts(), made.name))


def answers(calls: PotentialCalls, made: Signature, *texts: Any) -> list[Any]:
    return calls.answer([Request(call(made, text)) for text in texts])


def test_a_batch_potential_gets_distinct_texts_that_share_the_rest() -> None:
    seen = []

    def lengths(prefix: str, texts: list[str]) -> list[float]:
        seen.append((prefix, list(texts)))
        return [float(len(text)) for text in texts]

    made = signature(parameters=2, batched=1, batch=True)
    calls = calls_of(lengths, made)
    pairs = [("x", "a"), ("x", "bb"), ("y", "a"), ("x", "a")]
    assert calls.answer([Request(call(made, *pair)) for pair in pairs]) == [1.0, 2.0, 1.0, 1.0]
    assert seen == [("x", ["a", "bb"]), ("y", ["a"])]
    assert (calls.counts["f"].n, calls.counts["f"].cached) == (4, 1)


def test_a_batch_of_the_wrong_length_is_refused() -> None:
    made = signature(batched=0, batch=True)
    with pytest.raises(PotentialError, match="list of 2 results"):
        answers(calls_of(lambda texts: [1.0], made), made, "a", "b")


@pytest.mark.parametrize(
    ("result", "value", "said"),
    [
        (WEIGHT, math.nan, "returned NaN"),
        (WEIGHT, -0.5, "returned -0.5"),
        (WEIGHT, math.inf, "returned inf"),
        (WEIGHT, "1", 'returned "1", not a number'),
        (WEIGHT, None, "returned nothing"),
        (LOGWEIGHT, math.nan, "returned NaN"),
        (BOOL, 1, "returned 1, not a yes or no"),
    ],
)
def test_results_that_are_no_weights_are_errors(result: Any, value: Any, said: str) -> None:
    made = signature(result)
    with pytest.raises(PotentialError) as caught:
        answers(calls_of(lambda text: value, made), made, "abc")
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == "R0904"
    assert said in diagnostic.message
    assert diagnostic.labels[0].text == 'for p0 = "abc"'


def test_numpy_scalars_are_plain_values() -> None:
    np = pytest.importorskip("numpy")
    made = signature(BOOL)
    assert answers(calls_of(lambda text: np.True_, made), made, "a") == [True]


def broken(text: str) -> float:
    if text == "bad":
        raise FileNotFoundError("python3.11")
    return 1.0


def test_an_exception_is_shown_where_it_was_raised() -> None:
    made = signature()
    calls = calls_of(broken, made)
    answers(calls, made, "good", "fine")
    with pytest.raises(PotentialError) as caught:
        answers(calls, made, "bad")
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == "R0903"
    assert diagnostic.labels[1].text == "FileNotFoundError: python3.11"
    assert diagnostic.labels[1].span.text == 'raise FileNotFoundError("python3.11")'
    assert diagnostic.notes == ("2 earlier calls succeeded; the policy is `on_error: fail`",)


@pytest.mark.parametrize(
    ("result", "policy", "value"),
    [(WEIGHT, "zero", 0.0), (WEIGHT, "one", 1.0), (BOOL, "zero", False), (LOGWEIGHT, "zero", -math.inf)],
)
def test_the_policy_says_what_a_failure_means(result: Any, policy: Any, value: Any) -> None:
    made = signature(result, on_error=policy)
    calls = calls_of(broken, made)
    assert answers(calls, made, "bad") == [value]
    assert calls.counts["f"].errors == 1


def test_a_call_past_its_time_limit_is_abandoned() -> None:
    made = signature(timeout_seconds=0.5, on_timeout="zero")
    released = threading.Event()
    calls = calls_of(lambda text: released.wait() and 1.0 if text == "slow" else 2.0, made)
    assert answers(calls, made, "quick", "slow", "quick again") == [2.0, 0.0, 2.0]
    released.set()
    assert calls.counts["f"].timeouts == 1
    calls.close()


def test_a_time_out_fails_unless_told_otherwise() -> None:
    made = signature(timeout_seconds=0.05)
    calls = calls_of(lambda text: time.sleep(5), made)
    with pytest.raises(PotentialError, match=r"took longer than 0\.05 s"):
        answers(calls, made, "slow")
    calls.close()


WORKER = """
import os, time

def f(text):
    if text == "slow":
        time.sleep(30)
    if text == "die":
        os._exit(3)
    if text == "raise":
        raise ValueError("no")
    print("this must not reach the answers")
    return float(os.getpid() if text == "pid" else len(text))

def early(text):
    return 0.25
"""


@pytest.fixture
def worker_file(tmp_path: Path) -> str:
    path = tmp_path / "work.py"
    path.write_text(WORKER)
    return str(path)


def test_workers_answer_in_order_and_survive_death_and_time_outs(worker_file: str) -> None:
    made = signature(path=worker_file, workers=2, timeout_seconds=3.0, on_error="zero", on_timeout="one")
    calls = calls_of(None, made)
    try:
        assert answers(calls, made, "a", "bb", "raise", "ccc") == [1.0, 2.0, 0.0, 3.0]
        assert answers(calls, made, "pid") != [float(os.getpid())]
        assert answers(calls, made, "die", "dddd", "slow", "eeeee") == [0.0, 4.0, 1.0, 5.0]
        counts = calls.counts["f"]
        assert (counts.errors, counts.timeouts) == (2, 1)
    finally:
        calls.close()


def test_workers_say_why_a_file_does_not_load(tmp_path: Path) -> None:
    path = tmp_path / "bad.py"
    path.write_text("import nothing_of_this_name")
    made = signature(path=str(path), workers=1)
    calls = calls_of(None, made)
    try:
        with pytest.raises(PotentialError) as caught:
            answers(calls, made, "a")
        shown = repr(caught.value.diagnostics)
        assert "nothing_of_this_name" in shown
    finally:
        calls.close()


def test_previews_go_to_the_prefix_form() -> None:
    made = signature()
    potential = Potential(whole, Facts(), "whole", prefix_form="early")
    calls = PotentialCalls(lambda signature: potential)
    assert calls.answer([Request(call(made, "a")), Request(call(made, "a", prefix=True))]) == [1.0, 0.25]


def whole(text: str) -> float:
    return 1.0


def early(text: str) -> float:
    return 0.25


def test_helpers_are_called_but_not_counted() -> None:
    functions = Functions()
    helper = functions.add("helper", lambda text: text.upper(), STR, is_potential=False)("q")
    calls = PotentialCalls(functions)
    made = call(helper.signature, "abc")
    assert calls.answer([Request(made)]) == ["ABC"]
    assert calls.counts == {}
