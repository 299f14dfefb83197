"""A lookahead for limits on tokens: what can hardly end within the limit any more is hardly proposed.

Masks leave out what certainly cannot end in time, as far as that is known; for large grammars it is not known until
it is too late, and a particle that has three brackets open and two tokens left dies. `TokenAutomaton.tokens_missing`
guesses what an end takes. Where it is more than what is left, psi is small, so that tokens which close what is open
are proposed while there is room; the weight makes up for it as for any psi, and a wrong guess costs variance and no
more. Far from the limit psi is 1 and costs nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from smcdsl.automaton.automaton import TokenAutomaton
from smcdsl.automaton.likely_ends import add_log_psi
from smcdsl.inference.proposals import Lookahead, Remembering
from smcdsl.log_rows import Allowed

MOST_LEFT = 48
"""With more tokens left than this nothing is asked."""
MARGIN = 8
"""Nor with so many more left than an end takes: one token seldom opens more."""
SHARE = 0.005
"""Of the plain law near the limit: it is drawn from again and again there, and to leave the way out once is death."""
PASSED_OVER = 0.005
"""The share of draws whose psi is not known: rare tokens are many, and each costs as much to ask about as another."""
LIKELY = np.array([1e-3, 1e-4, 1e-5, 1e-6])
"""As many tokens are asked about as have so large a share of the likeliest one's probability, in turn; at last all."""
_LOG_PSI = np.array([0.0, -30.0, -35.0, -40.0, -45.0, -50.0])
"""By how many tokens are missing: with one, it outweighs a model that is sure to go on."""


class BudgetTwist:
    """Psi by what is left of a limit on tokens, times another lookahead if there is one."""

    def __init__(self, automaton: TokenAutomaton, inner: Lookahead | None = None) -> None:
        self._automaton, self._inner = automaton, inner
        self._last: tuple[NDArray[np.int64], NDArray[np.bool_]] = (np.zeros(0, dtype=np.int64), np.zeros(0, np.bool_))

    def acts(self, states: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(n,) whether psi may be another than 1 after some token of a state."""
        return np.ones(len(states), dtype=np.bool_) if self._inner is not None else self._near(states)

    def shares(self, states: NDArray[np.int64]) -> NDArray[np.float64]:
        """(n,) the share of the plain law in proposals; NaN for the usual one."""
        return np.where(self._near(states), SHARE, np.nan)

    def log_values(self, states: NDArray[np.int64]) -> NDArray[np.float64]:
        """(n,) log psi."""
        missing = self._automaton.tokens_missing(states, MOST_LEFT)
        values = _LOG_PSI[np.clip(missing, 0, len(_LOG_PSI) - 1)]
        return values if self._inner is None else self._inner.log_values(states) + values

    def log_successors(self, states: NDArray[np.int64], allowed: Allowed) -> NDArray[np.float64]:
        """(K,) log psi after each of the tokens that (D,) states allow."""
        if self._inner is None:
            values = np.zeros(len(allowed.tokens))
        else:
            values = self._inner.log_successors(states, allowed)
        return self._added(values, states, allowed)

    def _added(self, values: NDArray[np.float64], states: NDArray[np.int64], allowed: Allowed) -> NDArray[np.float64]:
        """Values and log psi."""
        near = np.flatnonzero(self._near(states))
        left = self._automaton.tokens_left(states[near]) - 1
        for row, then in zip(near.tolist(), left.tolist()):
            part = slice(int(allowed.starts[row]), int(allowed.starts[row + 1]))
            what = int(states[row]), then, allowed.tokens[part], allowed.values[part]
            add_log_psi(self._automaton, *what, _LOG_PSI, LIKELY, PASSED_OVER, values[part])
        return values

    def _near(self, states: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(n,) whether the limit is near."""
        if states is self._last[0]:
            return self._last[1]
        near = self._automaton.tokens_missing(states, MOST_LEFT) > -MARGIN
        self._last = states, near
        return near


class RememberingBudgetTwist(BudgetTwist):
    """The same with a lookahead that knows of some texts what became of them."""

    def log_remembered(
        self, histories: NDArray[np.uint64], states: NDArray[np.int64], allowed: Allowed
    ) -> NDArray[np.float64]:
        """See `Remembering`."""
        inner: Any = self._inner
        return self._added(inner.log_remembered(histories, states, allowed), states, allowed)


def with_budget(automaton: Any, inner: Lookahead | None) -> Lookahead | None:
    """A lookahead with what an automaton's limit on tokens adds to it, if it has one that masks do not keep to."""
    if not isinstance(automaton, TokenAutomaton) or not automaton.guesses_ends:
        return inner
    return (RememberingBudgetTwist if isinstance(inner, Remembering) else BudgetTwist)(automaton, inner)
