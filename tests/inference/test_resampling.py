"""Laws of the resampling schemes."""

from __future__ import annotations

import numpy as np
import pytest
from exact import BranchDraws
from hypothesis import given
from hypothesis import strategies as st

from smcdsl.inference.draws import CounterDraws, Purpose, philox
from smcdsl.inference.resampling import SCHEMES

offsets = st.sampled_from([0.0, np.nextafter(1.0, 0.0)]) | st.floats(0.0, 1.0, exclude_max=True)


@st.composite
def normalized_weights(draw):
    weights = np.array(
        draw(st.lists(st.sampled_from([0.0, 1e-12, 0.1, 1.0, 3.0]) | st.floats(0, 10), min_size=1, max_size=9))
    )
    weights = weights if weights.sum() > 1e-3 else weights + 1.0
    return weights / weights.sum()


@given(normalized_weights(), st.data())
@pytest.mark.parametrize("scheme", SCHEMES)
def test_zero_weight_particles_have_no_offspring(scheme, weights, data):
    numbers = np.array(
        data.draw(
            st.lists(
                offsets, min_size=SCHEMES[scheme].numbers(len(weights)), max_size=SCHEMES[scheme].numbers(len(weights))
            )
        )
    )
    ancestors = SCHEMES[scheme].ancestors(weights[None], numbers[None])[0]
    assert len(ancestors) == len(weights)
    assert np.all(np.diff(ancestors) >= 0)
    assert not np.bincount(ancestors, minlength=len(weights))[weights == 0].any()


@pytest.mark.parametrize("scheme", ["systematic", "ssp"])
@given(normalized_weights(), st.data())
def test_counts_are_within_one_of_their_means(scheme, weights, data):
    count = SCHEMES[scheme].numbers(len(weights))
    numbers = np.array(data.draw(st.lists(offsets, min_size=count, max_size=count)))
    ancestors = SCHEMES[scheme].ancestors(weights[None], numbers[None])[0]
    counts = np.bincount(ancestors, minlength=len(weights))
    assert np.all(np.abs(counts - len(weights) * weights) < 1 + 1e-9)


@given(normalized_weights(), st.data())
def test_residual_keeps_what_is_certain(weights, data):
    numbers = np.array(data.draw(st.lists(offsets, min_size=len(weights), max_size=len(weights))))
    ancestors = SCHEMES["residual"].ancestors(weights[None], numbers[None])[0]
    counts = np.bincount(ancestors, minlength=len(weights))
    assert np.all(counts >= np.floor(len(weights) * weights))


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("weights", [[0.5, 0.3, 0.2], [0.0, 0.9, 0.1], [1.0, 0.0, 0.0], [0.25, 0.5, 0.25]])
def test_the_mean_count_is_exactly_proportional_to_the_weight(scheme, weights):
    """Over every branch of the numbers."""
    weights = np.array(weights)
    size, made = len(weights), SCHEMES[scheme]
    count = made.numbers(size)
    mean, paths = np.zeros(size), [()]
    while paths:
        draws = BranchDraws(paths)
        groups = np.repeat(np.arange(len(paths)), count)
        rows = np.repeat(weights[None], len(paths), axis=0)
        numbers = draws.uniforms(
            Purpose.RESAMPLE, groups * 0, groups, groups * 0, lambda numbers, rows=rows: made.breakpoints(rows, numbers)
        )
        ancestors = made.ancestors(rows, numbers.reshape(len(paths), count))
        for row, probability in zip(ancestors, draws.probabilities, strict=True):
            mean += probability * np.bincount(row, minlength=size)
        paths = [
            (*(choice for choice, _ in trail[:place]), other)
            for path, trail in zip(paths, draws.trails, strict=True)
            for place in range(len(path), count)
            for other in range(1, trail[place][1])
        ]
    np.testing.assert_allclose(mean, size * weights, rtol=1e-12, atol=1e-12)


def test_large_groups_agree_with_small_ones():
    weights = np.random.default_rng(0).dirichlet(np.ones(100))
    offset = np.array([[0.37]])
    ancestors = SCHEMES["systematic"].ancestors(weights[None], offset)[0]
    positions = (np.arange(100) + 0.37) / 100
    expected = [int(np.flatnonzero(np.cumsum(weights) > position)[0]) for position in positions]
    assert ancestors.tolist() == expected


def test_philox_gives_the_published_numbers():
    """Random123's known answers for Philox 4x32-10 with key and counter zero: 6627e8d5 e169c58d ..."""
    number = philox(np.zeros(1, dtype=np.uint64), np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.int64), 0, 0)[0]
    bits = (0x6627E8D5 << 21) ^ (0xE169C58D >> 11)
    assert number == bits * 2.0**-53


def test_numbers_do_not_depend_on_how_they_are_asked_for():
    def ask(draws, groups, slots, step):
        return draws.uniforms(Purpose.TOKEN, np.full(len(groups), step), np.array(groups), np.array(slots), list)

    wide, narrow = CounterDraws([7, 8, 9], 4), CounterDraws([9], 4)
    for step in (0, 1, 200, 3):
        assert ask(wide, [2, 2], [1, 3], step).tolist() == ask(narrow, [0, 0], [1, 3], step).tolist()
    assert ask(wide, [0], [0], 5) != ask(wide, [1], [0], 5)
