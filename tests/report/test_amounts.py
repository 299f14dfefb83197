"""Amounts are shown with three digits in the unit that suits them."""

from __future__ import annotations

import pytest

from smcdsl.report.amounts import duration


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.0, "0 us"),
        (2e-6, "2 us"),
        (0.0002, "200 us"),
        (0.0009999, "1 ms"),
        (0.005, "5 ms"),
        (0.99999, "1 s"),
        (1.5, "1.5 s"),
        (999.7, "1,000 s"),
        (7200.0, "7,200 s"),
    ],
)
def test_a_duration_has_the_largest_unit_of_which_it_is_one_at_least(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown
