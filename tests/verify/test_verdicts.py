"""What `verify` makes of runs whose means are off: wrong, or carried by runs that are too rare to have been seen."""

from __future__ import annotations

import pytest

from smcdsl.inference.gate import judge
from smcdsl.verify import weights
from smcdsl.verify.verification import _weights

MASSES = {"a": 0.5, "b": 0.5}


def runs_with(mass_of_b: float) -> weights.Tested:
    """Runs that always see `a` right, with noise, and `b` always with one mass."""
    runs = [{"a": 0.4 + 0.2 * (number % 2), "b": mass_of_b} for number in range(400)]
    return weights.Tested("runs", len(runs), judge(MASSES, runs))


@pytest.mark.parametrize(
    ("mass_of_b", "is_exact", "passed"),
    [(0.5, True, True), (0.1, True, None), (0.1, False, False), (0.9, True, False), (0.9, False, False)],
)
def test_only_means_that_are_too_low_can_be_those_of_rare_runs(mass_of_b, is_exact, passed):
    check = _weights([runs_with(mass_of_b)], is_exact)
    assert check.passed is passed
    assert any("rare runs" in detail for detail in check.details) == (passed is None)
