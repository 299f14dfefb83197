"""Laws by logits on the processor equal the law worked out in float64, token by token."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from smcdsl.automaton.applying import gather
from smcdsl.models.host_logits import HostLogits

NUMBERS = st.sampled_from([0.0, np.nextafter(1.0, 0.0)]) | st.floats(0.0, 1.0, exclude_max=True)
SIZES = (1, 63, 64, 70, 300, 2000)
OPEN = (0.002, 0.05, 0.6, 0.99)


def some(seed: int, size: int, scale: float) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """(3, V) logits, and (6, V) what masks allow: nothing, all, and some, in whole blocks too."""
    generator = np.random.default_rng(seed)
    logits = (5.0 + scale * generator.normal(size=(3, size))).astype(np.float32)
    logits[0, : size // 3] = -np.inf
    is_open = generator.random((6, size)) < generator.choice(OPEN, size=(6, 1))
    is_open[0], is_open[1] = False, True
    blocks = np.repeat(generator.random(-(-size // 64)) < 0.5, 64)[:size]
    is_open[5] = np.where(generator.random(size) < 0.01, ~blocks, blocks)
    return logits, is_open


def words_of(is_open: NDArray[np.bool_]) -> NDArray[np.uint64]:
    bits = np.zeros((len(is_open), 64 * -(-is_open.shape[1] // 64)), dtype=np.uint8)
    bits[:, : is_open.shape[1]] = is_open
    return np.packbits(bits, axis=1, bitorder="little").view(np.uint64)


def log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    exact = logits.astype(np.float64)
    return np.asarray(exact - np.logaddexp.reduce(exact, axis=1, keepdims=True))


def log_masses(law: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logs of sums by rows of logs."""
    return np.asarray(np.logaddexp.reduce(law, axis=1))


@settings(deadline=None, max_examples=150)
@given(
    seed=st.integers(0, 10**6),
    size=st.sampled_from(SIZES),
    scale=st.sampled_from([0.1, 4.0, 60.0]),
    wanted=st.lists(st.tuples(st.integers(0, 5), NUMBERS), max_size=12),
    power=st.sampled_from([1.0, 2.0, 0.5]),
)
def test_draws_and_masses_are_those_of_the_exact_law(
    seed: int, size: int, scale: float, wanted: list[tuple[int, float]], power: float
) -> None:
    logits, is_open = some(seed, size, scale)
    rows = np.random.default_rng(seed).integers(0, 3, size=6)
    which = np.array([mask for mask, _ in wanted], dtype=np.int64)
    numbers = np.array([number for _, number in wanted])
    kept = HostLogits(logits.copy())
    tokens, found = kept.drawn(words_of(is_open), rows, which, numbers, power)
    law = np.where(is_open, power * log_softmax(logits)[rows], -np.inf)
    with np.errstate(invalid="ignore"):
        expected = log_masses(law)
        # Differences of logits are float32.
        tolerance = 1e-6 + 1e-7 * power * np.maximum(-law.max(axis=1, initial=-1e9), 20)
        np.testing.assert_array_less(np.abs(found - expected)[expected > -np.inf], tolerance[expected > -np.inf])
    assert (found[expected == -np.inf] == -np.inf).all()
    for token, mask, number in zip(tokens.tolist(), which.tolist(), numbers.tolist()):
        if expected[mask] == -np.inf:
            assert token == -1
            continue
        shares = np.exp(law[mask] - expected[mask])
        edges = shares.cumsum()
        assert shares[token] > 0
        # Rounding may put a draw on an edge to either side of it.
        assert edges[token] - shares[token] - 1e-5 <= number <= edges[token] + 1e-5


@pytest.mark.parametrize("size", SIZES)
def test_rows_tokens_and_what_masks_allow_are_read_as_from_an_array(size: int) -> None:
    logits, is_open = some(size, size, 4.0)
    kept, expected = HostLogits(logits.copy()), log_softmax(logits)
    assert kept.shape == (3, size)
    rows, tokens = np.array([2, 0, 2]), np.array([size - 1, size // 2, 0])
    keys: tuple[Any, ...] = (slice(None), 1, rows, (rows, tokens))
    for key in keys:
        np.testing.assert_allclose(kept[key], expected[key], atol=1e-5)
    numbers, rows = np.array([4, 0, 1, 2, 4]), np.array([0, 1, 2, 2, 1])
    found = kept.allowed(words_of(is_open), numbers, rows)
    gathered = gather(words_of(is_open), numbers, expected.astype(np.float32), rows)
    assert (found.starts == gathered.starts).all()
    assert (found.tokens == gathered.tokens).all()
    np.testing.assert_allclose(found.values, gathered.values, atol=1e-5)
    np.testing.assert_allclose(
        kept.tempered(0.5)[:], log_softmax((2 * logits.astype(np.float64)).astype(np.float32)), atol=1e-5
    )


def test_what_is_all_but_impossible_keeps_its_weight() -> None:
    """exp(-150) is nothing in float32."""
    logits = np.zeros((1, 200), dtype=np.float32)
    logits[0, 100:] = -150.0
    is_open = np.zeros((1, 200), dtype=np.bool_)
    is_open[0, [120, 199]] = True
    tokens, found = HostLogits(logits).drawn(
        words_of(is_open), np.zeros(1, np.int64), np.zeros(2, np.int64), np.array([0.4, 0.6]), 1.0
    )
    assert tokens.tolist() == [120, 199]
    np.testing.assert_allclose(found, np.log(2.0) - 150.0 - np.log(100.0), rtol=1e-7)


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_what_is_no_number_is_not_taken_for_one(broken: float) -> None:
    logits = np.zeros((2, 70), dtype=np.float32)
    logits[1, 3] = broken
    _, found = HostLogits(logits).drawn(
        words_of(np.ones((2, 70), dtype=np.bool_)), np.arange(2), np.zeros(0, np.int64), np.zeros(0), 1.0
    )
    assert np.isfinite(found[0])
    assert np.isnan(found[1])
