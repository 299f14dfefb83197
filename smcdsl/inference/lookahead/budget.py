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
_LOG_PSI = np.array([0.0, -30.0, -35.0, -40.0, -45.0, -50.0])
"""By how many tokens are missing: with one, it outweighs a model that is sure to go on."""


class BudgetTwist:
    """Psi by what is left of a limit on tokens, times another lookahead if there is one."""

    def __init__(self, automaton: TokenAutomaton, inner: Lookahead | None = None) -> None:
        self._automaton, self._inner = automaton, inner
        self._last: tuple[NDArray[np.int64], NDArray[np.bool_]] = (np.zeros(0, dtype=np.int64), np.zeros(0, np.bool_))

    def acts(self, states: NDArray[np.int64]) -> bool:
        """Whether psi may be another than 1 after some token of some of these states."""
        return self._inner is not None or bool(self._acting(states).any())

    def shares(self, states: NDArray[np.int64]) -> NDArray[np.float64]:
        """(n,) the share of the plain law in proposals; NaN for the usual one."""
        return np.where(self._acting(states), SHARE, np.nan)

    def log_values(self, states: NDArray[np.int64]) -> NDArray[np.float64]:
        """(n,) log psi."""
        values = np.zeros(len(states)) if self._inner is None else self._inner.log_values(states)
        left = self._automaton.tokens_left(states)
        near = np.flatnonzero(left <= MOST_LEFT)
        if len(near):
            values[near] += _LOG_PSI[_missing(self._automaton.tokens_to_end(states[near]), left[near])]
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
        acting = np.flatnonzero(self._acting(states))
        left = self._automaton.tokens_left(states[acting]) - 1
        for row, then in zip(acting.tolist(), left.tolist()):
            part = slice(int(allowed.starts[row]), int(allowed.starts[row + 1]))
            needed = self._automaton.tokens_to_end_after(int(states[row]), allowed.tokens[part])
            values[part] += _LOG_PSI[_missing(needed, then)]
        return values

    def _acting(self, states: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(n,) whether the limit is near, and some token leads to where less is left than an end takes."""
        if states is self._last[0]:
            return self._last[1]
        left = self._automaton.tokens_left(states)
        acting = left <= MOST_LEFT
        for guess, margin in ((self._automaton.tokens_to_end, MARGIN), (self._automaton.most_to_end_after, 1)):
            some = np.flatnonzero(acting)
            if len(some):
                acting[some] = guess(states[some]) + margin > left[some]
        self._last = states, acting
        return acting


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


def _missing(needed: NDArray[np.int64], left: NDArray[np.int64] | int) -> NDArray[np.int64]:
    """How many tokens too few are left, as far as psi tells numbers apart."""
    return np.clip(needed - left, 0, len(_LOG_PSI) - 1)
