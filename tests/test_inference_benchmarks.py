"""The figures of `benchmarks/inference` are what they say: on instances whose mass is known, and on made-up runs."""

import argparse
import math
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

if not (ROOT / "benchmarks").is_dir():
    pytest.skip("needs a checkout", allow_module_level=True)
sys.path.insert(0, str(ROOT))

from benchmarks.inference import genlm_report  # noqa: E402
from benchmarks.inference.__main__ import programs  # noqa: E402
from benchmarks.inference.fitted import one_way  # noqa: E402
from benchmarks.inference.variance import measure, methods, table  # noqa: E402
from benchmarks.inference.variance_problems import instances  # noqa: E402


@pytest.mark.statistical
def test_every_way_to_meet_estimates_the_enumerated_mass():
    """Six standard errors of a mean of 400 runs; a wrong mass, by half, is far outside."""
    (coin,) = instances(["coin"])
    options = argparse.Namespace(runs=400, batch=200, row_runs=5, particles=[4])
    names = ("every token, independent", "barriers, stratified", "importance, independent")
    found = measure(coin, options, [methods()[name] for name in names])
    for line in found:
        assert line.dead == 0
        assert 0 < line.variance < 1
        assert line.divergence is not None
        assert 0 < line.divergence < 0.5
        assert 1 <= line.passes <= line.rows <= 4 * line.passes
        assert abs(line.bias) < 6 * math.sqrt(line.variance / 400)
        assert abs(line.bias - 0.5) > 6 * math.sqrt(line.variance / 400)
    assert table(found).count("\n") == len(names) + 1


def test_costs_are_a_token_and_without_the_first_run():
    run = {"drawn": 10, "seconds": 0.1, "forward_seconds": 0.06, "wall": 0.2, "forwards": 5}
    slow = {**run, "seconds": 9.0}
    found = genlm_report.per_token([("a", 0, slow), ("a", 0, run), ("b", 0, slow), ("a", 0, run)], "a")
    assert found["total"] == pytest.approx(10.0)
    assert found["outside"] == pytest.approx(4.0)


def test_queries_are_written_in_one_way():
    query = 'select  Count( * ) ,T1.Name from people as T1 where x <> "a b" ;'
    assert one_way(query) == "SELECT COUNT(*), t1.name FROM people AS t1 WHERE x != 'a b'"
    assert one_way("SELECT `a`") is None


def test_what_there_is_to_measure_is_listed_with_a_line():
    assert {"genlm_control", "variance"} <= programs().keys()
    assert all(programs().values())
