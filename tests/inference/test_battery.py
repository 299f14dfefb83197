"""The battery: runs of every mode average to the enumerated masses of every instance."""

from __future__ import annotations

import math
import random
import secrets
import time
from typing import Any

import numpy as np
import pytest
from battery import RUNS, instance
from grid import (
    SEEDS,
    Cell,
    Sums,
    cells,
    certain_cells,
    covering,
    judged,
    keep_verdicts,
    margins,
    problem_of,
    read_verdicts,
    runs_of,
    summary,
)
from oracles.instances import INSTANCES

from smcdsl.inference.gate import judge

KEPT_TOGETHER = 10

MOMENTS = {
    "coin": (4, -2.2402, 0.184, 0.561),
    "trap": (254, -4.4325, 0.938, 20.97),
    "ngram_dfa": (67, -2.3961, 0.249, 0.774),
    "dyck": (120, -1.9762, 0.700, 2.980),
    "dyck_kill": (120, -1.9762, 0.732, 3.088),
    "clauses": (399, -3.9094, 0.606, 4.956),
    "clauses_token": (399, -3.9094, 0.606, 4.956),
    "clauses_zero": (264, -3.9777, 0.657, 5.748),
    "clauses_power": (399, -9.3876, 0.835, 29.916),
    "guided": (399, -3.3240, 0.698, 6.279),
    "checked": (138, -1.0700, 0.420, 0.825),
    "tokens": (499, -1.4930, 0.555, 2.045),
}
"""Sequences, log Z, total variation between locally constrained decoding and the target, CV^2 of whole weights."""


@pytest.mark.parametrize("name", INSTANCES)
def test_an_instance_is_as_hard_as_it_is_said_to_be(name: str) -> None:
    moments = instance(name).moments()
    sequences, log_z, distance, squared_cv = MOMENTS[name]
    assert moments.sequences == sequences
    assert moments.log_z == pytest.approx(log_z, abs=5e-5)
    assert moments.total_variation == pytest.approx(distance, abs=5e-4)
    assert moments.squared_cv == pytest.approx(squared_cv, abs=5e-3)
    assert math.log(sum(instance(name).masses.values())) == pytest.approx(moments.log_z, abs=1e-12)


@pytest.mark.statistical
@pytest.mark.parametrize(("number", "cell"), covering(), ids=lambda each: getattr(each, "name", ""))
def test_runs_average_to_the_enumerated_masses(number: int, cell: Cell) -> None:
    """A sample of the grid on fixed seeds; a right sampler fails once in a million times.

    Half the runs of the whole grid, and twice those with which it still finds most of the planted bugs.
    """
    slow = cell.method.startswith("selection") or cell.method == "previews tempered by particles"
    verdict = judged(cell, number * SEEDS, RUNS // (8 if slow else 4))
    assert not verdict.failed, verdict


def test_sums_of_parts_say_what_the_gate_says_of_the_whole() -> None:
    cell = Cell("smc", "ssp", 1.0, "clause", "none", "clauses")
    problem, runs = problem_of(cell.instance), runs_of(cell, range(600))
    masses = [{item.value: math.exp(item.log_weight) for item in each.support} for each in runs]
    findings = judge(problem.masses, masses, evidence=[math.exp(each.log_z) for each in runs]).findings
    sums = Sums.of(problem, runs[:250]) + Sums.of(problem, runs[250:])
    expected = [math.nan if each.p_value is None else each.p_value for each in findings]
    assert sums.p_values() == pytest.approx(expected, rel=1e-9, nan_ok=True)
    assert sums.effective == pytest.approx([each.effective for each in findings], rel=1e-9)
    assert 0 < sum(p > 0 for p in expected) == int((~np.isnan(sums.p_values())).sum())


def certain() -> list[Any]:
    grid = list(enumerate(certain_cells()))
    return [pytest.param(cell, id=cell.name, marks=[] if n % 37 == 0 else [pytest.mark.long]) for n, cell in grid]


@pytest.mark.parametrize("cell", certain())
def test_drafts_that_name_their_tokens_change_no_particle(cell: Cell) -> None:
    """So they need no cells of their own: what is true of the runs without them is true of those with them."""
    plain, fast = (runs_of(each, range(6)) for each in (cell._replace(draft="none"), cell))
    for one, other in zip(plain, fast, strict=True):
        assert other.speculated is not None
        assert one.values == other.values
        np.testing.assert_allclose(one.log_weights, other.log_weights, rtol=0.0, atol=1e-13)
        assert one.log_z == pytest.approx(other.log_z, rel=0.0, abs=1e-13)


@pytest.mark.long
@pytest.mark.statistical
def test_no_cell_of_the_grid_fails(request: pytest.FixtureRequest) -> None:
    """Every method x resampler x threshold x meeting x draft; false alarms at most 1e-6 a cell and a margin.

    `--battery-seed` and `--battery-runs` repeat a grid, or enlarge it; with `--battery-keep FILE` one that was stopped
    goes on where it was; `-s` shows it.
    """
    chosen = request.config.getoption("--battery-seed")
    first = secrets.randbelow(2**28) if chosen is None else chosen
    usual, kept = request.config.getoption("--battery-runs"), request.config.getoption("--battery-keep")
    grid = list(enumerate(cells()))
    random.Random(first).shuffle(grid)
    verdicts, before = read_verdicts(kept, first, usual)
    print(f"seed {first}, {len(grid)} cells, {usual} runs of most, {len(verdicts)} cells known")
    began = time.process_time() - before
    for number, (index, cell) in enumerate(grid[len(verdicts) :], len(verdicts) + 1):
        verdicts.append(judged(cell, (first << 36) + index * SEEDS, usual))
        print(f"{number} {time.process_time() - began:.0f} s  {verdicts[-1]}", flush=True)
        if number % KEPT_TOGETHER == 0 or number == len(grid):
            keep_verdicts(kept, first, usual, verdicts, time.process_time() - began)
    print(summary(verdicts, time.process_time() - began))
    assert [verdict.cell.name for verdict in verdicts if verdict.failed] == []
    assert [key for key, sums in margins(verdicts).items() if sums.rejected()] == []
