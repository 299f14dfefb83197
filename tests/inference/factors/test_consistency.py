"""Consistency mode: functions that count as pure are asked twice."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from building import NOWHERE, Functions, factor, hole, program, text, turn
from oracles.enumerated import language, letters_of
from running import results, toy

from smcdsl.errors import PotentialError
from smcdsl.inference.factors.calls import PotentialCalls, Request
from smcdsl.inference.factors.consistency import regrouped, same
from smcdsl.program.evaluation import UNKNOWN, PotentialCall, freeze
from smcdsl.program.types import BOOL, STR, WEIGHT, Parameter, PotentialFacts, PythonLocation, Signature, Type
from smcdsl.protocols import Facts, Potential

LOGWEIGHT = Type("logweight")


def signature(result: Any = WEIGHT, batched: int = -1, **facts: Any) -> Signature:
    facts = {"batch": batched >= 0, **facts}
    return Signature("f", (Parameter("p0", STR),), result, PotentialFacts(**facts), PythonLocation("f"), True, batched)


def call(made: Signature, argument: str) -> PotentialCall:
    return PotentialCall(made, (argument,), False, ("f", freeze(argument)), NOWHERE)


def checked(function: Callable[..., Any], made: Signature, *texts: str) -> None:
    calls = PotentialCalls(lambda signature: Potential(function, Facts(), "f"), checks=True)
    calls.answer([Request(call(made, text)) for text in texts])
    calls.check()


class Memory:
    """Potentials that depend on more than their arguments."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.random = random.Random(0)

    def counts(self, text: str) -> float:
        self.seen.append(text)
        return float(len(self.seen))

    def compares_with_the_last(self, text: str) -> float:
        self.seen.append(text)
        return 1.0 if self.seen[-2:-1] < [text] else 0.5

    def draws(self, text: str) -> float:
        return self.random.random()

    def ranks_within_the_batch(self, texts: list[str]) -> list[float]:
        return [sorted(texts).index(text) / len(texts) for text in texts]

    def answers_in_another_order(self, texts: list[str]) -> list[float]:
        return [float(len(text)) for text in sorted(texts)]


@pytest.mark.parametrize(
    ("name", "batched"),
    [
        ("counts", -1),
        ("compares_with_the_last", -1),
        ("draws", -1),
        ("ranks_within_the_batch", 0),
        ("answers_in_another_order", 0),
    ],
)
def test_what_depends_on_more_than_its_arguments_is_found(name: str, batched: int) -> None:
    with pytest.raises(PotentialError) as caught:
        checked(getattr(Memory(), name), signature(batched=batched), "ccc", "a", "bb", "dddd")
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == "R0908"
    assert diagnostic.message == "`f` gives another result when it is asked again"
    assert caught.value.potential == "f"
    assert diagnostic.labels[0].text.endswith(f'for p0 = "{caught.value.arguments[0]}"')


@pytest.mark.parametrize("batched", [-1, 0])
def test_what_depends_on_its_arguments_alone_passes(batched: int) -> None:
    def lengths(given: Any) -> Any:
        return [len(text) / 7 for text in given] if isinstance(given, list) else len(given) / 7

    checked(lengths, signature(batched=batched), "ccc", "a", "bb", "dddd", "e", "ff", "g")


def test_impure_ones_are_not_asked_again() -> None:
    memory = Memory()
    checked(memory.counts, signature(pure=False), "a", "b")
    assert memory.seen == ["a", "b"]


def test_what_a_policy_put_in_place_is_not_compared() -> None:
    memory = Memory()

    def fails_first(text: str) -> float:
        memory.seen.append(text)
        return 1 / (len(memory.seen) - 1)

    checked(fails_first, signature(on_error="zero"), "a")
    assert memory.seen == ["a"]


def test_all_calls_are_made_again_in_other_batches_in_the_other_order() -> None:
    made = signature(batched=0)
    wanted = {number: call(made, str(number)) for number in reversed(range(9))}
    batches = list(regrouped(wanted, lambda call, key: "all"))
    assert batches == [[8], [7, 6], [5, 4, 3], [2], [1, 0]]


@pytest.mark.parametrize(
    ("result", "first", "second", "agree"),
    [
        (WEIGHT, 0.5, 0.50001, True),
        (WEIGHT, 0.5, 0.501, False),
        (WEIGHT, 1e-9, 2e-9, False),
        (WEIGHT, 0.0, 1e-12, False),
        (LOGWEIGHT, 0.0, 1e-6, True),
        (LOGWEIGHT, -3.0, -3.1, False),
        (LOGWEIGHT, float("-inf"), float("-inf"), True),
        (LOGWEIGHT, float("-inf"), -700.0, False),
        (BOOL, True, True, True),
        (BOOL, True, False, False),
        (WEIGHT, True, 1.0, False),
        (WEIGHT, UNKNOWN, UNKNOWN, True),
        (WEIGHT, UNKNOWN, 1.0, False),
        (STR, "a", "a", True),
        (STR, "a", "b", False),
    ],
)
def test_results_agree_up_to_rounding(result: Any, first: Any, second: Any, agree: bool) -> None:
    made = call(signature(result), "a")
    assert same(made, first, second) is agree
    assert same(made, second, first) is agree


def test_a_run_finds_it_and_keeps_its_result() -> None:
    functions, memory = Functions(), Memory()
    judge = functions.add("judge", memory.counts, prefix="any")
    made = program(turn("text", "b", text(hole("q"))), factor("score", judge("q"), "q.token"))
    words = {"q": language(["a", "ab", "abb"], ("letter",), letters_of("ab"))}
    model = toy(["a", "b"])
    with pytest.raises(PotentialError, match="gives another result") as caught:
        results(made, model, words, functions, particles=8, check_potentials=True)
    (partial,) = caught.value.partial
    assert partial.finished.any()
    results(made, model, words, functions, particles=8)


def test_kept_results_that_are_out_of_date_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMCDSL_CACHE_DIR", str(tmp_path))
    made = replace(signature(cache=True), location=PythonLocation("f", path=__file__))
    for result in (0.5, 0.25):
        calls = PotentialCalls(
            lambda signature, result=result: Potential(lambda text: result, Facts(), "f"), checks=True
        )
        assert calls.answer([Request(call(made, "a"))]) == [0.5]
        if result == 0.5:
            calls.check()
        else:
            with pytest.raises(PotentialError, match="another result"):
                calls.check()
        calls.close()
