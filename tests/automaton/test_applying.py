"""Masks applied without unpacking them: each kernel against numpy over booleans."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smcdsl.automaton.applying import close, cumulate, draw, gather, mix, shift

WORDS = st.sampled_from([0, 2**64 - 1, 1, 1 << 63]) | st.integers(0, 2**64 - 1)
OFFSETS = st.sampled_from([0.0, np.nextafter(1.0, 0.0)]) | st.floats(0.0, 1.0, exclude_max=True)


def packed(bits, width):
    """(R, W) words of booleans (R, V)."""
    padded = np.zeros((len(bits), width * -(-bits.shape[1] // width)), dtype=bool)
    padded[:, : bits.shape[1]] = bits
    return np.packbits(padded, axis=1, bitorder="little").view(f"u{width // 8}")


@st.composite
def masks(draw_):
    """Booleans (R, V), words of 64 tokens full, empty or mixed."""
    size, count = draw_(st.integers(1, 200)), draw_(st.integers(1, 4))
    words = draw_(st.lists(WORDS, min_size=4 * count, max_size=4 * count))
    table = np.array(words, dtype=np.uint64).reshape(count, 4)
    return np.unpackbits(table.view(np.uint8), axis=1, bitorder="little").astype(bool)[:, :size]


@settings(deadline=None)
@given(st.data(), masks(), st.sampled_from([np.float32, np.float64]))
def test_what_is_gathered_is_what_the_bits_allow(data, bits, kind):
    number = st.integers(0, len(bits) - 1)
    numbers = np.array(data.draw(st.lists(number, max_size=5)), dtype=np.int64)
    rows = np.array([data.draw(st.integers(0, 2)) for _ in numbers], dtype=np.int64)
    values = np.random.default_rng(0).standard_normal((3, bits.shape[1])).astype(kind)
    found = gather(packed(bits, 64), numbers, values, rows)
    assert found.starts[0] == 0
    assert found.starts[-1] == len(found.tokens) == len(found.values)
    for i, (mask, row) in enumerate(zip(bits[numbers], values[rows])):
        own = slice(found.starts[i], found.starts[i + 1])
        assert (found.tokens[own] == np.flatnonzero(mask)).all()
        assert (found.values[own] == row[mask]).all()


@settings(deadline=None)
@given(st.lists(st.lists(st.sampled_from([0.0, 1e-30, 0.25, 1.0, 3.0]), max_size=9), min_size=1, max_size=4), OFFSETS)
def test_draws_take_the_first_edge_beyond_the_target(laws, number):
    starts = np.cumsum([0, *map(len, laws)])
    edges = np.empty(starts[-1])
    cumulate(np.array([x for law in laws for x in law]), starts, edges)
    places = np.empty(len(laws), dtype=np.int64)
    draw(edges, starts, np.arange(len(laws)), np.full(len(laws), number), places)
    for law, start, place in zip(laws, starts, places):
        own = np.cumsum(law)
        assert (edges[start : start + len(law)] == own).all()
        if not law:
            assert place == -1
            continue
        drawn = place - start
        assert 0 <= drawn < len(law)
        if own[-1] > 0:
            assert law[drawn] > 0
            beyond = np.flatnonzero(own > number * own[-1])
            assert drawn == (beyond[0] if len(beyond) else np.searchsorted(own, own[-1]))


@settings(deadline=None)
@given(st.lists(st.lists(st.floats(-800, 0) | st.just(-np.inf), max_size=9), min_size=1, max_size=4))
def test_the_largest_of_each_row_is_taken_from_it(rows):
    starts = np.cumsum([0, *map(len, rows)])
    values = np.array([x for row in rows for x in row])
    shift(values, starts)
    for row, start in zip(rows, starts):
        peak = max(row, default=0.0)
        expected = np.array(row) - (peak if np.isfinite(peak) else 0.0)
        assert (values[start : start + len(row)] == expected).all()


masses = st.sampled_from([0.0, 1e-30, 0.25, 1.0, 3.0])


@settings(deadline=None)
@given(st.lists(st.lists(st.tuples(masses, masses), max_size=9), min_size=1, max_size=4), st.floats(0.0, 1.0))
def test_mixtures_have_their_shares_of_both_laws(rows, share):
    starts = np.cumsum([0, *map(len, rows)])
    wanted, plain = (np.array([pair[side] for row in rows for pair in row]) for side in (0, 1))
    law, edges = np.empty(starts[-1]), np.empty(starts[-1])
    mix(wanted, plain, np.full(len(rows), share), starts, law, edges)
    for first, end in pairwise(starts):
        parts = [part[first:end] / (part[first:end].sum() or 1.0) for part in (wanted, plain)]
        np.testing.assert_allclose(law[first:end], (1 - share) * parts[0] + share * parts[1], rtol=1e-12)
        assert (edges[first:end] == np.cumsum(law[first:end])).all()


@settings(deadline=None)
@given(masks(), st.sampled_from([np.uint16, np.uint32, np.uint64]))
def test_what_is_not_allowed_is_closed(bits, kind):
    values = np.arange(1, bits.size + 1).reshape(bits.shape).astype(kind)
    expected = np.where(bits, values, kind(7))
    close(values, packed(bits, 32), kind(7))
    assert (values == expected).all()


def test_masks_of_a_larger_vocabulary_are_a_mistake():
    with pytest.raises(AssertionError, match="vocabulary"):
        gather(
            np.zeros((1, 3), dtype=np.uint64), np.zeros(1, dtype=np.int64), np.zeros((1, 128)), np.zeros(1, np.int64)
        )
