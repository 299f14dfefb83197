"""Psi of likely tokens is that of the rule said plainly, and no more is asked than it needs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from smcdsl.automaton.likely_ends import add_log_psi

LOG_PSI = np.array([0.0, -30.0, -35.0, -40.0])
LIKELY = np.array([1e-1, 1e-2, 1e-4])
PASSED_OVER = 0.05
LEFT = 6


class Ends:
    """What an end takes after each token of one state."""

    def __init__(self, needs: NDArray[np.int64]) -> None:
        self.needs, self.asked = needs, np.zeros(0, dtype=np.int64)
        self._known = np.full(len(needs), -1, dtype=np.int32)

    def known_to_end_after(self, state: int) -> NDArray[np.int32]:
        return self._known

    def tokens_to_end_after(self, state: int, tokens: NDArray[np.int32]) -> NDArray[np.int64]:
        assert (self._known[tokens] < 0).all()
        self.asked = np.concatenate([self.asked, tokens])
        return self.needs[tokens]


def plainly(needs: NDArray[np.int64], logs: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Log psi of all tokens, and which have been asked about."""
    shares = np.exp(logs - logs.max())
    psi = LOG_PSI[np.clip(needs - LEFT, 0, len(LOG_PSI) - 1)]
    asked = np.zeros(len(logs), dtype=np.bool_)
    for least in (*LIKELY, 0.0):
        some = shares >= least
        left_out = shares[~some].sum()
        if left_out > PASSED_OVER * shares.sum():
            continue
        asked |= some
        in_time = shares[some & (psi == 0)].sum()
        if least == 0 or (in_time > 0 and left_out <= PASSED_OVER * (left_out + in_time)):
            return np.where(some, psi, 0.0), asked
    raise AssertionError("not reached: at last all are asked about")


@settings(deadline=None, max_examples=300)
@given(
    seed=st.integers(0, 10**6),
    size=st.sampled_from([1, 2, 7, 40, 300]),
    scale=st.sampled_from([0.0, 1.0, 3.0, 20.0]),
    late=st.sampled_from([0.0, 0.1, 0.9, 1.0]),
    narrow=st.booleans(),
)
def test_it_is_the_rule(seed: int, size: int, scale: float, late: float, narrow: bool) -> None:
    generator = np.random.default_rng(seed)
    logs = scale * generator.normal(size=size)
    logs[generator.random(size) < 0.1] = -np.inf
    # What is likely leads too far more often than not, so that the rule goes on to the next share.
    order = np.argsort(-logs)
    needs = np.where(generator.random(size) < late, LEFT + 1 + generator.integers(0, 9, size), LEFT)
    needs[order[: size // 3]] += int(late == 0.9)
    if logs.max() == -np.inf:
        return
    tokens = np.sort(generator.permutation(2 * size)[:size]).astype(np.int32)
    ends = Ends(np.zeros(2 * size, dtype=np.int64))
    ends.needs[tokens] = needs
    values = generator.normal(size=size)
    before = values.copy()
    # Another constant, as of log-probabilities.
    given_logs = (logs - 2.5).astype(np.float32 if narrow else np.float64)
    automaton: Any = ends
    add_log_psi(automaton, 3, LEFT, tokens, given_logs, LOG_PSI, LIKELY, PASSED_OVER, values)
    psi, asked = plainly(needs, logs.astype(np.float32).astype(np.float64))
    np.testing.assert_allclose(values - before, psi, atol=1e-12)
    assert sorted(ends.asked.tolist()) == tokens[asked].tolist()


@pytest.mark.parametrize("size", [0, 5])
def test_of_nothing_nothing_is_asked(size: int) -> None:
    automaton: Any = Ends(np.full(size, 9))
    values = np.zeros(size)
    tokens = np.arange(size, dtype=np.int32)
    add_log_psi(automaton, 3, LEFT, tokens, np.full(size, -np.inf), LOG_PSI, LIKELY, PASSED_OVER, values)
    assert not values.any()
    assert not len(automaton.asked)


def test_a_row_that_is_forgotten_meanwhile_is_filled_all_the_same() -> None:
    class Forgetful(Ends):
        def known_to_end_after(self, state: int) -> NDArray[np.int32]:
            return self._known.copy()

    automaton: Any = Forgetful(np.array([LEFT, LEFT + 1, LEFT + 9]))
    values = np.zeros(3)
    add_log_psi(automaton, 3, LEFT, np.arange(3, dtype=np.int32), np.zeros(3), LOG_PSI, LIKELY, PASSED_OVER, values)
    assert values.tolist() == [0.0, -30.0, -40.0]
