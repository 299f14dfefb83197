"""Batches: inputs take the place of those that have ended, and nothing of any result changes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smcdsl
from smcdsl.engine.batches import run_in_line, share_of
from smcdsl.engine.result import Result
from smcdsl.errors import BudgetExceeded, PotentialError
from smcdsl.inference import line
from smcdsl.models.toy import ToyModel
from smcdsl.workers import WorkerPools

PROGRAM = """smc 1
input size: int
input wanted: str = "a"
potential judge(x: str, word: str) -> weight = py("judges.py:judge") {{ prefix: any }}
potential fits(x: str, word: str) -> bool = py("judges.py:fits") {{ prefix: any }}
grammar word = /[ab]+/ where chars in size..size + 2
generate {{
  text "{{{{ wanted }}}}[[x: word]]\\n"
  {factor}
}}
return posterior x
"""
JUDGES = """
def judge(x: str, word: str) -> float:
    if word == "bb":
        raise ValueError("planted")
    return (1.0 + x.count(word)) / (1.0 + len(x))

def fits(x: str, word: str) -> bool:
    return not x.startswith("bb" if word == "a" else "aaa")
"""
TABLE = {
    "vocab": ["a", "b", "\n", "ab", "<end>"],
    "eos": 4,
    "lm": {
        "order": 1,
        "table": [[[c], np.roll([0.4, 0.2, 0.25, 0.1, 0.05], c % 3).tolist()] for c in (-1, 0, 1, 2, 3, 4)],
    },
}
SIZES = [9, 1, 1, 16, 2, 1, 12, 1, 5, 1, 3, 10]
SHORT = [number % 4 + 1 for number in SIZES]
"""Where whole texts are drawn until some fit."""
SETTINGS: dict[str, dict[str, Any]] = {
    "smc": {},
    "resampled at every boundary": {"particles": 3},
    "is": {"infer": "is"},
    "rejection": {"infer": "rejection", "particles": 3},
    "rerank": {"infer": "rerank"},
    "lcd": {"infer": "lcd"},
    "islands": {"islands": 4, "particles": 3},
    "grow": {"grow": 2, "grow_ess": 4.5, "particles": 3},
    "retry": {"retry": 3, "particles": 2},
    "refine": {"refine": 2, "particles": 4},
    "temper": {"temper": "auto"},
    "drafts": {"draft": "suffix"},
    "forced drafts": {"draft": "forced", "gamma": 3},
    "checks": {"check_potentials": True},
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SMCDSL_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "judges.py").write_text(JUDGES)
    return tmp_path


@pytest.fixture
def pools() -> Iterator[WorkerPools]:
    with WorkerPools() as made:
        yield made


@pytest.fixture(scope="module")
def model() -> ToyModel:
    return ToyModel(TABLE)


def program(factor: str = "score judge(x, wanted) at token") -> Any:
    return smcdsl.compile(PROGRAM.format(factor=factor))


def requests_of(program: Any, rows: list[dict[str, Any]]) -> list[tuple[Any, int]]:
    """Each with a seed of its own."""
    return [(program.values(row), 10 + number) for number, row in enumerate(rows)]


def facts(result: Result) -> dict[str, Any]:
    """All of a result that is its own, whatever ran beside it."""
    posterior = result.outcome.posterior
    return {
        "values": posterior.values,
        "log_weights": posterior.log_weights.tolist(),
        "log_z": posterior.log_z,
        "error": posterior.log_z_error,
        "seed": posterior.seed,
        "deaths": posterior.deaths,
        "resamplings": posterior.resamplings,
        # How much of a draft is kept may depend on what others wrote; what is written does not.
        "tokens": posterior.tokens["target"],
        "attempts": (posterior.attempts, posterior.tries, posterior.sweeps, posterior.moves, posterior.islands),
        "particles": [(view.text, view.log_weight, view.tokens, view.cause, view.eve) for view in posterior.particles],
        "failure": type(posterior.failure),
    }


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_a_result_is_what_it_is_alone(settings: dict[str, Any], model: ToyModel, pools: WorkerPools) -> None:
    sizes = SHORT if settings.get("infer") == "rejection" else SIZES
    made = program()
    requests = requests_of(made, [{"size": number} for number in sizes])
    found = dict(run_in_line(made, model, requests, settings, jobs=3, pools=pools))
    assert sorted(found) == list(range(len(requests)))
    for number, request in enumerate(requests):
        (alone,) = made.run_many(model, [request], settings, pools=pools)
        result = found[number]
        assert isinstance(result, Result)
        assert facts(result) == facts(alone)
        counts = result.outcome.posterior.calls.get("judge", {"n": 0, "cached": 0})
        assert counts["n"] >= counts["cached"] >= 0


@pytest.mark.parametrize(
    "infer", ["smc { proposal: awrs }", "smc { proposal: select }", "smc { proposal: lm }", "beam { particles: 3 }"]
)
def test_proposals_do_not_mind_what_runs_beside(infer: str, model: ToyModel, pools: WorkerPools) -> None:
    source = PROGRAM.format(factor="require fits(x, wanted) at token")
    view = "best" if infer.startswith("beam") else "posterior"
    made = smcdsl.compile(source.replace("return posterior", f"return {view}") + f"infer {infer}\n")
    requests = requests_of(made, [{"size": number, "wanted": "ab"[number % 2]} for number in SIZES])
    for number, result in run_in_line(made, model, requests, {}, jobs=3, pools=pools):
        (alone,) = made.run_many(model, [requests[number]], {}, pools=pools)
        assert isinstance(result, Result)
        assert facts(result) == facts(alone)


def test_passes_stay_full(model: ToyModel, pools: WorkerPools, monkeypatch: pytest.MonkeyPatch) -> None:
    """One long input beside many short ones: the short ones come and go."""
    passes = passes_of(model, monkeypatch)
    made = program()
    requests = requests_of(made, [{"size": 40}, *({"size": 1} for _ in range(12))])
    order = [number for number, _ in run_in_line(made, model, requests, {}, jobs=2, pools=pools)]
    assert order.index(0) > 5
    together = len(passes)
    passes.clear()
    made.run_many(model, [requests[0]], {}, pools=pools)
    assert together <= len(passes) + 10


def passes_of(model: ToyModel, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The rows of every pass from here on."""
    passes: list[int] = []
    kind = type(model.start(None))  # type: ignore[arg-type]
    original = kind.next_logprobs

    def listened(self: Any, prefixes: Any) -> Any:
        passes.append(len(prefixes))
        return original(self, prefixes)

    monkeypatch.setattr(kind, "next_logprobs", listened)
    return passes


@pytest.mark.parametrize("settings", [{}, {"infer": "rejection", "particles": 2}, {"islands": 4, "particles": 2}])
def test_no_more_are_in_flight_than_jobs(
    settings: dict[str, Any], model: ToyModel, pools: WorkerPools, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes = passes_of(model, monkeypatch)
    made = program()
    settings = {"particles": 4, **settings}
    rows = settings["particles"] * settings.get("islands", 1)
    requests = requests_of(made, [{"size": number} for number in SHORT])
    list(run_in_line(made, model, requests, settings, jobs=2, pools=pools))
    assert max(passes) <= 2 * rows


@pytest.mark.parametrize("settings", [{}, {"infer": "rejection", "particles": 2}, {"refine": 1, "particles": 3}])
def test_an_input_that_fails_fails_alone(settings: dict[str, Any], model: ToyModel, pools: WorkerPools) -> None:
    made, failing = program(), (4, 5, 11)
    sizes = SHORT if settings.get("infer") == "rejection" else SIZES
    rows = [{"size": number, "wanted": "bb" if place in failing else "a"} for place, number in enumerate(sizes)]
    requests = requests_of(made, rows)
    found = dict(run_in_line(made, model, requests, settings, jobs=3, pools=pools))
    assert sorted(found) == list(range(len(rows)))
    for number, result in found.items():
        if rows[number]["wanted"] == "bb":
            assert isinstance(result, PotentialError)
            assert result.diagnostics[0].code == "R0903"
        else:
            (alone,) = made.run_many(model, [requests[number]], settings, pools=pools)
            assert isinstance(result, Result)
            assert facts(result) == facts(alone)


def test_the_batch_raises_when_the_turn_of_what_failed_comes(model: ToyModel) -> None:
    rows = [{"size": 2}, {"size": 1, "wanted": "bb"}, {"size": 1}]
    batch = program().batch(model, rows, jobs=3)
    assert next(batch).failure is None
    with pytest.raises(PotentialError):
        next(batch)


def test_results_of_a_batch_come_in_order(model: ToyModel) -> None:
    made = program()
    results = list(made.batch(model, [{"size": number} for number in SIZES], jobs=3))
    hashes = [made.run(model, size=number).outcome.inputs_sha256 for number in SIZES]
    assert [result.outcome.inputs_sha256 for result in results] == hashes


@pytest.mark.parametrize("limit", ["MOST_PREFIXES", "MOST_AUTOMATA"])
def test_a_run_that_has_become_large_leaves_the_rest_to_the_next(
    limit: str, model: ToyModel, pools: WorkerPools, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[int] = []
    start = ToyModel.start
    monkeypatch.setattr(ToyModel, "start", lambda self, prefixes: runs.append(1) or start(self, prefixes))
    monkeypatch.setattr(f"smcdsl.inference.sampler.{limit}", 0 if limit == "MOST_AUTOMATA" else 20)
    made = program()
    requests = requests_of(made, [{"size": number} for number in SIZES])
    found = dict(run_in_line(made, model, requests, {}, jobs=2, pools=pools))
    assert len(runs) == 6
    monkeypatch.undo()
    for number, result in found.items():
        (alone,) = made.run_many(model, [requests[number]], {}, pools=pools)
        assert isinstance(result, Result)
        assert facts(result) == facts(alone)
    assert line.MOST_PREFIXES > 1 << 16


def test_time_is_counted_from_where_an_input_begins(model: ToyModel, pools: WorkerPools, folder: Path) -> None:
    """Six inputs that take 0.4 s each, one after another, within 2 s each; and one that takes too long."""
    (folder / "judges.py").write_text(
        "import time\n"
        'def judge(x: str, word: str) -> float:\n    time.sleep(60.0 if word == "b" else 0.4)\n    return 1.0\n'
        "def fits(x: str, word: str) -> bool:\n    return True\n"
    )
    made = smcdsl.compile(
        PROGRAM.format(factor="score judge(x, wanted) at end").replace("prefix: any }", "prefix: any, timeout: 60s }")
    )
    requests = requests_of(made, [{"size": 1, "wanted": "b" if place == 3 else "a"} for place in range(7)])
    settings = {"particles": 1, "timeout": "2s"}
    found = dict(run_in_line(made, model, requests, settings, jobs=1, pools=pools))
    failures = [type(found[number].failure) for number in range(7)]  # type: ignore[union-attr]
    assert failures == [type(None)] * 3 + [BudgetExceeded] + [type(None)] * 3


def test_shares_hold_what_is_done_at_the_end_of_a_run_together() -> None:
    made = program()
    assert share_of(made.settings(), 4).width == 4
    assert share_of(made.settings(lookahead="learned"), 4) == (4, None, 4)
    assert share_of(made.settings(check_potentials=True), 4) == (4, None, 4)
    assert share_of(made.settings(infer="rejection"), 4).inputs == 16
    assert share_of(made.settings(islands=8), 64).inputs == 64
