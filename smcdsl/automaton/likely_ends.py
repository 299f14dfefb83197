"""Psi of a limit on tokens, of likely tokens only: what an end takes after a token is asked when it has to be known.

For `inference/lookahead/budget`, whose rows have ten thousand tokens: few passes for what numpy takes fifteen.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from smcdsl.automaton.automaton import TokenAutomaton
from smcdsl.automaton.masked_laws import exponentials, total
from smcdsl.automaton.memory import njit

_ONE = np.float32(1.0)


def add_log_psi(
    automaton: TokenAutomaton,
    state: int,
    left: int,
    tokens: NDArray[np.int32],
    logs: NDArray[np.floating[Any]],
    log_psi: NDArray[np.float64],
    likely: NDArray[np.float64],
    passed_over: float,
    values: NDArray[np.float64],
) -> None:
    """Add log psi after each of the K tokens that a state allows; nothing after those that are not asked about.

    Args:
        left: how many tokens are left after these.
        logs: (K,) of probabilities, up to a constant.
        log_psi: by how many tokens are missing, the last for more.
        likely: shares of the likeliest token's probability: tokens that have as much are asked about; the next share
            counts where these are too little of what may be drawn, and at last all tokens are.
        passed_over: the share of draws that may fall on tokens that are not asked about.
        values: (K,) what is added to.
    """
    logs = np.ascontiguousarray(logs, dtype=np.float32)
    peak = logs.max(initial=-np.inf)
    if peak == -np.inf:
        return
    shares, unknown = np.empty_like(logs), np.empty(len(tokens), dtype=np.int32)
    exponentials(logs, peak, _ONE, shares)
    known = automaton.known_to_end_after(state)
    while True:
        count = add_known(tokens, known, left, shares, log_psi, likely, passed_over, values, unknown)
        if not count:
            return
        # As the row may have been forgotten meanwhile, it is filled here.
        known[unknown[:count]] = automaton.tokens_to_end_after(state, unknown[:count])


@njit()
def add_known(tokens, known, left, shares, log_psi, likely, passed_over, values, unknown):  # type: ignore[no-untyped-def]
    """Do what `add_log_psi` does if all is known for it; else write the tokens to ask about, and return how many.

    Args:
        known: (V,) what an end takes after each token, negative where that is not known.
        shares: (K,) probabilities as shares of the largest.
    """
    mass = np.float64(total(shares))
    for step in range(len(likely) + 1):
        is_last = step == len(likely)
        least = np.float32(0.0 if is_last else likely[step])
        others = _mass_below(shares, least)
        if others > passed_over * mass:
            continue
        count, in_time = _ask(tokens, known, left, shares, least, unknown)
        if count:
            return count
        # Where likely tokens lead too far, it is from the others that is drawn.
        if is_last or (in_time > 0.0 and others <= passed_over * (others + in_time)):
            for k in range(len(tokens)):
                if shares[k] >= least:
                    values[k] += log_psi[min(max(known[tokens[k]] - left, 0), len(log_psi) - 1)]
            return 0
    return 0


@njit(fastmath={"reassoc"})
def _mass_below(shares, least):  # type: ignore[no-untyped-def]
    """The sum of those that are too small: as a difference of sums it would be lost."""
    found = np.float32(0.0)
    for k in range(len(shares)):
        found += np.float32(0.0) if shares[k] >= least else shares[k]
    return np.float64(found)


@njit()
def _ask(tokens, known, left, shares, least, unknown):  # type: ignore[no-untyped-def]
    """How many tokens that are likely enough are not known, which are written; the mass of those that are in time."""
    count, in_time = 0, 0.0
    for k in range(len(tokens)):
        if shares[k] >= least:
            guess = known[tokens[k]]
            if guess < 0:
                unknown[count] = tokens[k]
                count += 1
            elif guess <= left:
                in_time += shares[k]
    return count, in_time
