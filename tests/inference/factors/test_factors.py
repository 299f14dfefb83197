"""Calls of potentials: batches, failures, time limits, worker processes."""

from __future__ import annotations

import math
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from building import Functions, call
from hypothesis import given
from hypothesis import strategies as st

from smcdsl.errors import PotentialError
from smcdsl.inference.factors.calls import PotentialCalls, Request
from smcdsl.program.evaluation import UNKNOWN
from smcdsl.program.types import BOOL, STR, WEIGHT, Parameter, PotentialFacts, PythonLocation, Signature, Type
from smcdsl.protocols import Facts, Potential
from smcdsl.workers import WorkerPools, quiet

LOGWEIGHT = Type("logweight")


def signature(
    result: Any = WEIGHT, parameters: int = 1, batched: int = -1, path: str = "", name: str = "f", **facts: Any
) -> Signature:
    declared = tuple(Parameter(f"p{number}", STR) for number in range(parameters))
    return Signature(name, declared, result, PotentialFacts(**facts), PythonLocation(name, path=path), True, batched)


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
        (WEIGHT, 10**400, "returned a number that is too large"),
        (WEIGHT, [1.0], "returned [1.0], not a number"),
        (LOGWEIGHT, math.inf, "returned inf"),
        (BOOL, None, "returned nothing, not a yes or no"),
        (BOOL, "yes", 'returned "yes", not a yes or no'),
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


@pytest.mark.parametrize("shape", [(), (1,), (2, 2)])
def test_a_tensor_is_no_number(shape: Any) -> None:
    torch = pytest.importorskip("torch")
    made = signature()
    with pytest.raises(PotentialError) as caught:
        answers(calls_of(lambda text: torch.zeros(shape), made), made, "abc")
    assert "`f` returned tensor(" in caught.value.diagnostics[0].message


@pytest.mark.parametrize("value", [1.0, "text", None])
def test_a_batch_that_is_no_list_is_refused(value: Any) -> None:
    made = signature(batched=0, batch=True)
    with pytest.raises(PotentialError, match="not a list of 2 results"):
        answers(calls_of(lambda texts: value, made), made, "a", "b")


def test_the_text_of_a_batch_that_is_to_blame_is_named() -> None:
    made = signature(batched=0, batch=True)
    long = "x" * 100
    with pytest.raises(PotentialError) as caught:
        answers(calls_of(lambda texts: [1.0, math.nan, 1.0], made), made, "a", long, "c")
    assert caught.value.arguments == (long,)
    assert caught.value.diagnostics[0].labels[0].text == 'for p0 = ..."' + "x" * 80 + '"'
    assert caught.value.request == 1


def test_none_of_a_prefix_form_is_undetermined() -> None:
    made = signature()
    calls = PotentialCalls(lambda signature: Potential(whole, Facts(), "whole", prefix_form="not_yet"))
    requests = [Request(call(made, text, prefix=True), 3) for text in ("a", "bb", "a")]
    assert calls.answer(requests) == [UNKNOWN, 0.5, UNKNOWN]
    counts = calls.counts["f"]
    assert (counts.n, counts.cached, counts.undetermined, counts.errors) == (9, 7, 1, 0)


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


def picky(texts: list[str]) -> list[float]:
    if "bad" in texts:
        raise ValueError("bad")
    return [float(len(text)) for text in texts]


def test_a_failure_under_a_policy_takes_no_other_text_of_its_batch_along() -> None:
    made = signature(batched=0, batch=True, on_error="zero")
    calls = calls_of(picky, made)
    assert answers(calls, made, "a", "bad", "ccc") == [1.0, 0.0, 3.0]
    assert calls.counts["f"].errors == 1


@given(
    texts=st.lists(st.text("abc", min_size=1, max_size=2), min_size=1, max_size=8),
    bad=st.sets(st.text("abc", min_size=1, max_size=2), max_size=4),
    policy=st.sampled_from(["zero", "one", "fail"]),
    batch=st.booleans(),
)
def test_every_text_gets_what_it_would_get_alone(texts: list[str], bad: set[str], policy: Any, batch: bool) -> None:
    seen: list[str] = []

    def judge(given: Any) -> Any:
        asked = given if isinstance(given, list) else [given]
        seen.extend(asked)
        if bad & set(asked):
            raise ValueError(sorted(bad & set(asked))[0])
        found = [float(len(text)) for text in asked]
        return found if isinstance(given, list) else found[0]

    made = signature(batched=0 if batch else -1, batch=batch, on_error=policy)
    calls = calls_of(judge, made)
    if policy == "fail" and bad & set(texts):
        with pytest.raises(PotentialError) as caught:
            answers(calls, made, *texts)
        first = next(text for text in texts if text in bad)
        assert (caught.value.arguments, caught.value.request) == ((first,), texts.index(first))
        return
    stands_in = {"zero": 0.0, "one": 1.0}.get(policy)
    assert answers(calls, made, *texts) == [stands_in if text in bad else float(len(text)) for text in texts]
    counts = calls.counts["f"]
    assert (counts.n, counts.cached) == (len(texts), len(texts) - len(set(texts)))
    assert counts.errors == len(bad & set(texts))
    # Once, and once more alone where a batch failed.
    assert all(seen.count(text) <= 1 + (batch and bool(bad & set(texts))) for text in texts)


def test_the_text_that_makes_a_batch_raise_is_found() -> None:
    made = signature(batched=0, batch=True)
    with pytest.raises(PotentialError) as caught:
        answers(calls_of(picky, made), made, "a", "bad", "ccc")
    assert caught.value.arguments == ("bad",)


def test_a_batch_that_raises_though_no_text_of_it_does_is_an_error_all_the_same() -> None:
    def together(texts: list[str]) -> list[float]:
        if len(texts) > 1:
            raise ValueError("too many")
        return [1.0]

    made = signature(batched=0, batch=True)
    with pytest.raises(PotentialError) as caught:
        answers(calls_of(together, made), made, "a", "b", "c")
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.notes[-1] == "it failed on 3 texts at once, and on none of them alone"


def test_raising_on_the_third_call_only_is_an_error() -> None:
    seen: list[str] = []

    def third(text: str) -> float:
        seen.append(text)
        if len(seen) == 3:
            raise KeyError("third")
        return 1.0

    made = signature()
    calls = calls_of(third, made)
    requests = [Request(call(made, text)) for text in "abcd"]
    with pytest.raises(PotentialError) as caught:
        calls.answer(requests)
    assert (caught.value.arguments, caught.value.request) == (("c",), 2)
    assert seen == ["a", "b", "c"]
    assert calls.known([request.call for request in requests[:2]]) == [1.0, 1.0]
    assert calls.known([requests[2].call]) is None


def test_what_a_potential_prints_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    made = signature()
    answers(calls_of(lambda text: print("noise") or 1.0, made), made, "a")
    print("result")
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("result\n", "noise\n")


def test_stdout_is_restored_after_calls_in_many_threads() -> None:
    before = sys.stdout

    def enter() -> None:
        for _ in range(200):
            with quiet():
                assert sys.stdout is sys.stderr

    threads = [threading.Thread(target=enter) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sys.stdout is before


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


BATCH_WORKER = """
import os, signal, time

def f(texts):
    with open(__file__ + ".log", "a") as log:
        log.write(f"{len(texts)} {','.join(texts)}\\n")
    for text in texts:
        if text == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if text == "kill once" and not os.path.exists(__file__ + ".once"):
            open(__file__ + ".once", "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
        if text == "slow":
            time.sleep(60)
    return [float(len(text)) for text in texts]
"""


@pytest.fixture
def batch_file(tmp_path: Path) -> Path:
    path = tmp_path / "batch.py"
    path.write_text(BATCH_WORKER)
    return path


def test_a_death_in_a_batch_is_the_outcome_of_the_text_that_kills(batch_file: Path) -> None:
    made = signature(path=str(batch_file), batched=0, batch=True, workers=1, on_error="zero")
    calls = calls_of(None, made)
    try:
        assert answers(calls, made, "a", "kill once", "kill", "ccc") == [1.0, 9.0, 0.0, 3.0]
        assert calls.counts["f"].errors == 1
        made_calls = (batch_file.parent / "batch.py.log").read_text().splitlines()
        assert made_calls == ["4 a,kill once,kill,ccc", "1 a", "1 kill once", "1 kill", "1 ccc"]
    finally:
        calls.close()


def test_a_second_death_fails_with_the_name_of_the_text(batch_file: Path) -> None:
    made = signature(path=str(batch_file), batched=0, batch=True, workers=1)
    calls = calls_of(None, made)
    try:
        with pytest.raises(PotentialError) as caught:
            answers(calls, made, "a", "kill")
        (diagnostic,) = caught.value.diagnostics
        assert diagnostic.message == "`f` ended its worker process"
        assert diagnostic.facts == ("the worker process was killed by SIGKILL",)
        assert diagnostic.notes[1] == "it was tried 2 times"
        assert caught.value.arguments == ("kill",)
    finally:
        calls.close()


def test_a_time_out_in_a_batch_takes_no_other_text_along(batch_file: Path) -> None:
    facts = {"workers": 2, "timeout_seconds": 1.0, "on_timeout": "zero"}
    made = signature(path=str(batch_file), batched=0, batch=True, **facts)
    calls = calls_of(None, made)
    try:
        assert answers(calls, made, "a", "slow", "ccc") == [1.0, 0.0, 3.0]
        assert (calls.counts["f"].timeouts, calls.counts["f"].errors) == (1, 0)
    finally:
        calls.close()


def test_a_time_out_that_fails_is_tried_twice(worker_file: str) -> None:
    made = signature(path=worker_file, workers=1, timeout_seconds=0.3)
    calls = calls_of(None, made)
    try:
        with pytest.raises(PotentialError, match=r"took longer than 0\.3 s") as caught:
            answers(calls, made, "slow")
        assert caught.value.diagnostics[0].notes[1] == "it was tried 2 times"
    finally:
        calls.close()


def test_a_batch_is_shared_out_among_the_workers(batch_file: Path) -> None:
    made = signature(path=str(batch_file), batched=0, batch=True, workers=2)
    calls = calls_of(None, made)
    try:
        assert answers(calls, made, *"abcde", "a") == [1.0] * 6
        made_calls = (batch_file.parent / "batch.py.log").read_text().splitlines()
        assert sorted(made_calls) == ["2 d,e", "3 a,b,c"]
    finally:
        calls.close()


def test_pools_of_somebody_else_stay(worker_file: str) -> None:
    made = signature(path=worker_file, workers=1)
    with WorkerPools() as pools:
        processes = set()
        for _ in range(3):
            calls = PotentialCalls(lambda signature: None, pools=pools)
            processes.update(answers(calls, made, "pid"))
            calls.close()
        assert len(processes) == 1
        Path(worker_file).write_text(WORKER.replace("len(text)", "-1.0"))
        os.utime(worker_file, ns=(1, 1))
        calls = PotentialCalls(lambda signature: None, pools=pools)
        with pytest.raises(PotentialError, match=r"returned -1\.0"):
            answers(calls, made, "abc")
        calls.close()


def test_workers_say_why_a_file_does_not_load(tmp_path: Path) -> None:
    path = tmp_path / "bad.py"
    path.write_text("import nothing_of_this_name")
    # Whatever the policy: this is no failure of a call.
    made = signature(path=str(path), workers=1, on_error="zero")
    calls = calls_of(None, made)
    try:
        with pytest.raises(PotentialError, match="`f` cannot be loaded") as caught:
            answers(calls, made, "a", "b")
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


def not_yet(text: str) -> float | None:
    return None if len(text) < 2 else 0.5


def test_helpers_are_called_but_not_counted() -> None:
    functions = Functions()
    helper = functions.add("helper", lambda text: text.upper(), STR, is_potential=False)("q")
    calls = PotentialCalls(functions)
    made = call(helper.signature, "abc")
    assert calls.answer([Request(made)]) == ["ABC"]
    assert calls.counts == {}
