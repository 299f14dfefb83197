"""Late previews: judged in worker processes while particles write on, one boundary later; same mean evidence."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from building import Functions, call, factor, hole, program, text, turn
from oracles.enumerated import language, letters_of
from running import enumerated, exact_evidence, results, toy

from smcdsl.compiler.compile import compile_program
from smcdsl.errors import PotentialError
from smcdsl.inference.advance import Interpreter
from smcdsl.inference.factors.calls import PotentialCalls, Request
from smcdsl.inference.suitability import late_factors
from smcdsl.models.toy import ToyModel
from smcdsl.plan import Plan
from smcdsl.program.expressions import FunctionCall, Name
from smcdsl.program.types import BOOL, STR, WEIGHT, Parameter, PotentialFacts, PythonLocation, Signature
from smcdsl.protocols import Facts, Potential
from smcdsl.workers import WorkerPools

WORK = """
import os, time

def count(q):
    return (1 + q.count("a")) ** 2.5

def never(q):
    return "bb" not in q

def slow_count(q):
    time.sleep(0.01)
    return count(q)

def wait_for(path):
    until = time.monotonic() + 60
    while not os.path.exists(path):
        if time.monotonic() > until:
            return 0.0
        time.sleep(0.005)
    return 1.0

def length(texts):
    return [float(len(text)) for text in texts]

def fail_on_b(q):
    if "b" in q:
        raise ValueError("b")
    return 1.0

def sleep(q):
    time.sleep(600)
"""


@pytest.fixture(scope="module")
def pools() -> Iterator[WorkerPools]:
    with WorkerPools() as made:
        yield made


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("work") / "work.py"
    path.write_text(WORK)
    return str(path)


def in_workers(path: str, name: str, result: Any = WEIGHT, batched: int = -1, **facts: Any) -> Signature:
    made = PotentialFacts(**{"workers": 2, "prefix": "any", **facts})
    return Signature(name, (Parameter("q", STR),), result, made, PythonLocation(name, path=path), True, batched)


class Own(Functions):
    """Potentials of the file, and those of the test."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path
        self.namespace: dict[str, Any] = {}
        exec(WORK, self.namespace)

    def judged_by(self, name: str, result: Any = WEIGHT, **facts: Any) -> Any:
        made = in_workers(self.path, name, result, **facts)
        self.functions[name] = Potential(self.namespace[name], Facts(prefix="any"), name)
        return lambda value: FunctionCall(hole("q").span, made, (text_name(value),))


def text_name(name: str) -> Any:
    return Name(hole("q").span, name)


class Case:
    """One hole with a hard and a soft factor that worker processes judge."""

    def __init__(self, path: str, *, soft: str = "count", boundary: str = "q.letter") -> None:
        self.functions = Own(path)
        never, count = self.functions.judged_by("never", BOOL), self.functions.judged_by(soft)
        self.program = program(
            turn("text", "b", text(hole("q"))),
            factor("require", never("q"), "q.letter"),
            factor("score", count("q"), boundary),
        )
        texts = ["a", "ab", "abb", "ba", "bba", "aa", "aab"]
        self.model = toy(["a", "b", "ab"], seed=2)
        self.languages = {"q": language(texts, ("letter",), letters_of("ab"))}

    def exact(self, pools: WorkerPools, **more: Any) -> dict[Any, float]:
        settings = {"method": "smc", "particles": 2, "ess_threshold": 1.0, **more}
        return exact_evidence(self.program, self.model, self.languages, self.functions, pools=pools, **settings)

    def enumerated(self) -> dict[Any, float]:
        return enumerated(self.program, self.model, self.languages, self.functions)

    def runs(self, pools: WorkerPools, **more: Any) -> Any:
        return results(self.program, self.model, self.languages, self.functions, pools=pools, **more)


@pytest.mark.parametrize("scheme", ["systematic", "multinomial"])
@pytest.mark.parametrize("boundary", ["q.letter", "q.token"])
def test_the_mean_evidence_is_the_enumerated_mass(work: str, pools: WorkerPools, boundary: str, scheme: str) -> None:
    case = Case(work, boundary=boundary)
    found, expected = case.exact(pools, resample=scheme, previews="late"), case.enumerated()
    assert found.keys() == expected.keys()
    for name, mass in expected.items():
        assert found[name] == pytest.approx(mass, rel=1e-12, abs=0.0), name


def test_a_preview_that_stays_in_the_weight_is_caught(
    work: str, pools: WorkerPools, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = Interpreter._look

    def wrong(self: Any, factor: Any, watch: Any, write: Any, course: Any, *rest: Any) -> Any:
        verdict, place = yield from look(self, factor, watch, write, course, *rest)
        course.log_weight += verdict.log_weight
        return verdict, place

    case = Case(work)
    expected = case.enumerated()["Z"]
    monkeypatch.setattr(Interpreter, "_look", wrong)
    assert abs(case.exact(pools, previews="late")["Z"] / expected - 1) > 1e-3


def test_late_previews_decide_one_boundary_later(work: str, pools: WorkerPools) -> None:
    """On the first boundary all weights are the mask's; with previews in time they are not."""
    case = Case(work)

    def first_weights(**more: Any) -> list[float]:
        sites: list[Any] = []
        case.runs(pools, particles=8, seeds=[3], events=sites.append, ess_threshold=0.0, **more)
        found = [event for event in sites if type(event).__name__ == "Site"]
        return sorted(set(np.round(found[1].log_weights, 9).tolist()))

    late, now = first_weights(previews="late"), first_weights(previews="now")
    assert len(late) < len(now)


def test_how_long_a_potential_takes_changes_nothing(work: str, pools: WorkerPools) -> None:
    seeds = range(6)
    quick, slow = Case(work), Case(work, soft="slow_count")
    runs = quick.runs(pools, particles=4, seeds=seeds, previews="late", ess_threshold=1.0)
    again = slow.runs(pools, particles=4, seeds=seeds, previews="late", ess_threshold=1.0)
    for one, other in zip(runs, again, strict=True):
        assert one.log_weights.tolist() == other.log_weights.tolist()
        assert one.values == other.values


def test_calls_are_counted_once(work: str, pools: WorkerPools) -> None:
    case = Case(work)
    (run,) = case.runs(pools, particles=16, seeds=[1], previews="late", ess_threshold=0.0)
    made = run.calls["count"]["n"] - run.calls["count"]["cached"]
    # Previews of prefixes and final values of texts: no more than there are of both.
    assert 0 < made <= 14


def test_particles_write_on_while_a_potential_runs(tmp_path: Path, work: str, pools: WorkerPools) -> None:
    """The potential waits for a file that the model makes at its next token: in time it would wait in vain."""
    flag = tmp_path / "flag"

    class Flagging(ToyModel):
        def start(self, prefixes: Any) -> Any:
            session = super().start(prefixes)
            calls: list[None] = []

            class Session:
                def next_logprobs(self, asked: Any) -> Any:
                    calls.append(None)
                    if len(calls) == 2:
                        flag.touch()
                    return session.next_logprobs(asked)

                def retain(self, kept: Any) -> None:
                    session.retain(kept)

                def close(self) -> None:
                    session.close()

            return Session()

    functions = Functions()
    path = functions.add("path", lambda q: str(flag), STR, is_potential=False)
    signature = in_workers(work, "wait_for", prefix="any", timeout_seconds=50.0)
    functions.functions["wait_for"] = Potential(lambda q: 1.0, Facts(prefix="any"), "wait_for")
    waits = FunctionCall(hole("q").span, signature, (path("q"),))
    made = program(turn("text", "b", text(hole("q"))), factor("guide", waits, "q.letter"))
    law = [0.4, 0.4, 0.2]
    table = [[[place], law] for place in range(-1, 3)]
    model = Flagging({"vocab": ["a", "b", "<end>"], "eos": 2, "lm": {"order": 1, "table": table}})
    languages = {"q": language(["aaaaaa"], ("letter",), letters_of("ab"))}
    (run,) = results(made, model, languages, functions, pools=pools, particles=1, previews="late")
    assert run.values == ("aaaaaa",)


def begun(pools: WorkerPools, made: Signature, *texts: str) -> tuple[PotentialCalls, list[Any]]:
    calls = PotentialCalls(lambda signature: Potential(len, Facts(), made.name), pools=pools)
    asked = [call(made, text) for text in texts]
    calls.begin(asked)
    return calls, asked


def test_what_was_begun_is_not_called_again(work: str, pools: WorkerPools) -> None:
    made = in_workers(work, "count")
    calls, asked = begun(pools, made, "a", "aa")
    assert calls.answer([Request(one, 3) for one in asked]) == [2**2.5, 3**2.5]
    assert (calls.counts["count"].n, calls.counts["count"].cached) == (8, 6)
    calls.begin(asked)
    assert calls.counts["count"].n == 8
    calls.close()


def test_batches_begun_give_what_was_not_asked_for_too(work: str, pools: WorkerPools) -> None:
    made = in_workers(work, "length", batched=0, batch=True, workers=1)
    calls, asked = begun(pools, made, "a", "bb")
    assert calls.answer([Request(asked[0])]) == [1.0]
    assert calls.known(asked) == [1.0, 2.0]
    calls.close()


def test_a_failure_counts_when_it_is_asked_for(work: str, pools: WorkerPools) -> None:
    made = in_workers(work, "fail_on_b")
    calls, asked = begun(pools, made, "a", "b")
    assert calls.answer([Request(asked[0])]) == [1.0]
    with pytest.raises(PotentialError, match="b"):
        calls.answer([Request(asked[1])])
    calls.close()


def test_other_calls_of_a_function_wait_for_those_that_run(work: str, pools: WorkerPools) -> None:
    made = in_workers(work, "slow_count", workers=1)
    calls, asked = begun(pools, made, "a", "aa", "aaa")
    assert calls.answer([Request(call(made, "b"))]) == [1.0]
    assert calls.answer([Request(one) for one in asked]) == [2**2.5, 3**2.5, 4**2.5]
    calls.close()


def test_a_run_ends_though_a_call_does_not(work: str) -> None:
    made = in_workers(work, "sleep", workers=1)
    with WorkerPools() as own:
        calls, _ = begun(own, made, "a")
        began = time.monotonic()
        calls.close()
    assert time.monotonic() - began < 60


def test_only_what_workers_judge_alone_is_late(work: str) -> None:
    functions = Own(work)
    count, impure = functions.judged_by("count"), functions.judged_by("count", pure=False)
    here = functions.add("here", lambda q: 1.0, prefix="any")
    plan: Plan = compile_program(
        program(
            turn("text", text(hole("q"))),
            factor("score", here("q"), "q.token"),
            factor("score", count("q"), "q.token"),
            factor("score", impure("q"), "q.token"),
        )
    )
    late = [plan.factors[index] for index in late_factors(plan)]
    assert [factor.is_pure for factor in late] == [True]
