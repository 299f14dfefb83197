"""Sets of code points as ranges, against sets."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from smcdsl.program.regular import LAST_CODE_POINT, all_but, merged

ENDS = st.integers(0, 40) | st.integers(LAST_CODE_POINT - 5, LAST_CODE_POINT) | st.integers(0xD7FE, 0xE001)
RANGES = st.lists(st.tuples(ENDS, ENDS).map(lambda pair: (min(pair), min(max(pair), min(pair) + 9))), max_size=6)


def members(ranges):
    return {code for low, high in ranges for code in range(low, high + 1)}


@given(RANGES)
def test_merging_keeps_the_members_and_leaves_gaps_between_ranges(ranges):
    found = merged(ranges)
    assert members(found) == members(ranges)
    assert all(low <= high for low, high in found)
    assert all(before[1] + 1 < after[0] for before, after in pairwise(found))


@given(RANGES)
def test_a_set_and_what_is_not_in_it_are_everything_once(ranges):
    inside = merged(ranges)
    outside = all_but(inside)
    assert merged([*inside, *outside]) == ((0, LAST_CODE_POINT),)
    assert sum(high - low + 1 for low, high in [*inside, *outside]) == LAST_CODE_POINT + 1
    assert merged(outside) == outside
    assert all_but(outside) == inside
