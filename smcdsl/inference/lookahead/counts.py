"""Counts of how a model goes on in a grammar: the surrogate law that lookahead is compiled from.

At every row of a model's output the grammar's legal tokens fall into groups that lead to one context (and spend the
same of the budget). What a row gives a group is added to the flow from the row's context to the group's; what it gives
no group is the mass that a mask cuts off. Rows count by the weight of the particles that went on from them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from smcdsl.automaton.contexts import Context

ENDS: Context = ()
"""In place of a context: the hole has ended."""


@dataclass
class Counts:
    """What rows gave, summed.

    Attributes:
        vocab_size: V.
        tokens: (V,) mass of legal tokens, whatever the context.
        visits: by context, the weight of its rows.
        flows: by (context, context or ENDS, cost), the mass that its rows gave.
        memory: by history (`Prefixes.histories`), the mass of what was found behind some tokens, with what factors
            made of it.
        gains: (S,) by strength (`twists.STRENGTHS`), the sum over runs of the log of how much smaller the
            variance of weights is estimated to be than with masks alone; older runs count less.
        judged: the sum of what the runs in `gains` count.
        finals: holes that ended, and the sum of what factors multiplied into their weights then.
        runs: how many runs are in.
    """

    vocab_size: int
    tokens: NDArray[np.float64] = field(init=False)
    visits: dict[Context, float] = field(default_factory=dict)
    flows: dict[tuple[Context, Context, int], float] = field(default_factory=dict)
    memory: dict[int, dict[int, float]] = field(default_factory=dict)
    gains: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    judged: float = 0.0
    finals: tuple[float, float] = (0.0, 0.0)
    runs: int = 0

    def __post_init__(self) -> None:
        self.tokens = np.zeros(self.vocab_size)

    def add(self, context: Context, groups: Iterable[tuple[Context, int, float]], weight: float) -> None:
        """Enter one row: (context or ENDS, cost, mass) of each group."""
        self.visits[context] = self.visits.get(context, 0.0) + weight
        for after, cost, mass in groups:
            key = (context, after, cost)
            self.flows[key] = self.flows.get(key, 0.0) + weight * mass

    def copy(self) -> Counts:
        """The same counts, to go on from."""
        other = replace(
            self, visits=dict(self.visits), flows=dict(self.flows), memory=dict(self.memory), gains=self.gains.copy()
        )
        other.tokens = self.tokens.copy()
        return other

    def end_value(self) -> float:
        """What factors make of a hole's end, in the mean; 1 where there are none."""
        number, total = self.finals
        return total / number if number > 0 and total > 0 else 1.0

    def law(self) -> NDArray[np.float64]:
        """(V,) the surrogate's token law: shares, smoothed so that every token has some mass, summing to 1."""
        total = self.tokens.sum()
        shares = self.tokens / total if total > 0 else np.zeros(self.vocab_size)
        return (shares + 1e-3 / self.vocab_size) / (shares.sum() + 1e-3)
