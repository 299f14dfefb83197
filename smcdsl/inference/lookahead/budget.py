"""A lookahead for limits on tokens: what can hardly end within the limit any more is hardly proposed.

Masks leave out what certainly cannot end in time, as far as that is known; for large grammars it is not known until
it is too late, and a particle that has three brackets open and two tokens left dies. `TokenAutomaton.tokens_to_end`
guesses what an end takes. Where it is more than what is left, psi is small, so that tokens which close what is open
are proposed while there is room; the weight makes up for it as for any psi, and a wrong guess costs variance and no
more. Far from the limit psi is 1 and costs nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from smcdsl.automaton.applying import Allowed
from smcdsl.automaton.automaton import TokenAutomaton
from smcdsl.inference.proposals import Lookahead, Remembering

MOST_LEFT = 48
"""With more tokens left than this nothing is asked."""
MARGIN = 8
"""Nor with so many more left than an end takes: one token seldom opens more."""
SHARE = 0.005
"""Of the plain law near the limit: it is drawn from again and again there, and to leave the way out once is death."""
_LOG_MISSING = 30.0
_LOG_FURTHER = 5.0
_MOST_FURTHER = 4
"""Log psi is -30 where a token is missing, so that it outweighs a model that is sure to go on; less for more."""


class BudgetTwist:
    """Psi by what is left of a limit on tokens, times another lookahead if there is one."""

    def __init__(self, automaton: TokenAutomaton, inner: Lookahead | None = None) -> None:
        self._automaton, self._inner = automaton, inner

    def acts(self, states: NDArray[np.int64]) -> bool:
        """Whether psi may be another than 1 after some token of some of these states."""
        return self._inner is not None or bool(self._near(states).any())

    def shares(self, states: NDArray[np.int64]) -> NDArray[np.float64]:
        """(n,) the share of the plain law in proposals; NaN for the usual one."""
        return np.where(self._near(states), SHARE, np.nan)

    def log_values(self, states: NDArray[np.int64]) -> NDArray[np.float64]:
        """(n,) log psi."""
        values = np.zeros(len(states)) if self._inner is None else self._inner.log_values(states)
        near = np.flatnonzero(self._near(states))
        if len(near):
            own = states[near]
            left = self._automaton.tokens_left(own)
            values[near] += _log_psi(self._automaton.tokens_to_end(own) - left)
        return values

    def log_successors(self, states: NDArray[np.int64], allowed: Allowed) -> NDArray[np.float64]:
        """(K,) log psi after each of the tokens that (D,) states allow."""
        if self._inner is None:
            values = np.zeros(len(allowed.tokens))
        else:
            values = self._inner.log_successors(states, allowed)
        return self._added(values, states, allowed)

    def _added(self, values: NDArray[np.float64], states: NDArray[np.int64], allowed: Allowed) -> NDArray[np.float64]:
        """Values and log psi."""
        for row in np.flatnonzero(self._near(states)).tolist():
            part = slice(int(allowed.starts[row]), int(allowed.starts[row + 1]))
            state = states[row : row + 1]
            needed = self._automaton.tokens_to_end_after(int(state[0]), allowed.tokens[part])
            values[part] += _log_psi(needed - (self._automaton.tokens_left(state)[0] - 1))
        return values

    def _near(self, states: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(n,) whether the limit is near."""
        left = self._automaton.tokens_left(states)
        near = left <= MOST_LEFT
        some = np.flatnonzero(near)
        if len(some):
            near[some] = self._automaton.tokens_to_end(states[some]) + MARGIN > left[some]
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


def _log_psi(missing: NDArray[np.int64]) -> NDArray[np.float64]:
    """Log psi where so many tokens are missing, none if that is not positive."""
    further = np.clip(missing - 1, 0, _MOST_FURTHER)
    return np.where(missing > 0, -_LOG_MISSING - _LOG_FURTHER * further, 0.0)
