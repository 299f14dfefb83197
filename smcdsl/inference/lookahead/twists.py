"""Twists: a lookahead psi for a hole, made of counts and frozen for a run.

psi_b(c) is the mass that the counted law gives to ending the hole from context c on with at most b of the budget:

    psi_b(c) = phi ends(c) + sum over (c', cost) of flow(c, c', cost) psi_{b - cost}(c')

that is a Markov chain on contexts which loses, at every step, what masks cut off; phi is what factors make of an end
in the mean. Contexts that no run has met get the
value of the contexts most like them, else that of the compiled prior. Of texts that earlier runs wrote themselves, what
became of them counts instead (the same prompt, token by token). Any positive psi leaves weights proper
(`proposals`); it is raised to a power between 0 and 1 that earlier runs have shown to help (`learning`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smcdsl.automaton.contexts import ENDED, Context, Contexts, coarser, whole_stack
from smcdsl.inference.lookahead.counts import ENDS, Counts
from smcdsl.inference.lookahead.priors import Prior, prior_of
from smcdsl.log_rows import Allowed

STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Powers of psi that runs compare; 0 is no lookahead."""

_FLOOR = 1e-12
_ITERATIONS = 2000
_TOLERANCE = 1e-6
_LEAST_GAIN = np.log(1.5)
"""Variances must be this much smaller, in the mean of the logs, for a psi to be used."""


def chosen_strength(counts: Counts) -> float:
    """The power of psi with the largest mean gain, 0 where none gains enough."""
    if counts.judged == 0 or not len(counts.gains):
        return 0.0
    best = int(np.argmax(counts.gains))
    return STRENGTHS[best] if counts.gains[best] / counts.judged > _LEAST_GAIN else 0.0


@dataclass(frozen=True)
class _Edges:
    """The flows between rows of a table: (E,) from, to, cost, mass."""

    sources: NDArray[np.int64]
    targets: NDArray[np.int64]
    costs: NDArray[np.int64]
    masses: NDArray[np.float64]


class Chain:
    """The chain on contexts: `table` (R, B + 1) or (R, 1) is psi by row and budget; rows of contexts in `rows`.

    After the contexts come rows of coarser ones, means of the contexts that they stand for; the last row is the mean
    of all, for what resembles nothing.
    """

    def __init__(self, counts: Counts, budget: int | None) -> None:
        self._budget = budget
        self.contexts = sorted(counts.visits)
        self.rows: dict[Context, int] = {context: row for row, context in enumerate(self.contexts)}
        members: dict[Context, list[int]] = {}
        for context in self.contexts:
            for coarse in coarser(context):
                members.setdefault(coarse, []).append(self.rows[context])
        self.visits = np.array([counts.visits[context] for context in self.contexts])
        self._coarse = {coarse: len(self.contexts) + i for i, coarse in enumerate(members)}
        self.unknown = len(self.contexts) + len(members)
        self._members = np.array([m for own in members.values() for m in own] + list(range(len(self.contexts))))
        sizes = [*(len(own) for own in members.values()), len(self.contexts)]
        self._groups = np.repeat(np.arange(len(sizes)), sizes)
        shares = self.visits[self._members]
        self._shares = shares / np.bincount(self._groups, shares)[self._groups]
        ends, edges = self._flows(counts)
        ends *= counts.end_value()
        self.table = self._forever(ends, edges) if budget is None else self._by_budget(ends, edges, budget)
        np.maximum(self.table, _FLOOR * counts.end_value(), out=self.table)

    def row(self, context: Context) -> int:
        """The row for a context: its own, or that of the most similar ones."""
        for key in (context, *coarser(context)):
            found = self.rows.get(key) if key is context else self._coarse.get(key)
            if found is not None:
                return found
        return self.unknown

    def _flows(self, counts: Counts) -> tuple[NDArray[np.float64], _Edges]:
        ends = np.zeros(len(self.contexts))
        found: list[tuple[int, int, int, float]] = []
        for (source, target, cost), mass in counts.flows.items():
            row = self.rows[source]
            share = mass / self.visits[row]
            if target == ENDS:
                ends[row] += share
            else:
                found.append((row, self.row(target), cost, share))
        sources, targets, costs, masses = np.array(found, dtype=np.float64).reshape(-1, 4).T
        edges = _Edges(sources.astype(np.int64), targets.astype(np.int64), costs.astype(np.int64), masses)
        return ends, edges

    def _spread(self, own: NDArray[np.float64]) -> NDArray[np.float64]:
        """(R,) values of all rows, given those of contexts."""
        return np.concatenate([own, np.bincount(self._groups, own[self._members] * self._shares)])

    def _forever(self, ends: NDArray[np.float64], edges: _Edges) -> NDArray[np.float64]:
        values = self._spread(ends)
        for _ in range(_ITERATIONS):
            own = ends + np.bincount(edges.sources, edges.masses * values[edges.targets], len(ends))
            grown = self._spread(own)
            settled = np.allclose(grown, values, rtol=_TOLERANCE, atol=0.0)
            values = grown
            if settled:
                break
        return values[:, None]

    def _by_budget(self, ends: NDArray[np.float64], edges: _Edges, budget: int) -> NDArray[np.float64]:
        table = np.zeros((self.unknown + 1, budget + 1))
        free = edges.costs == 0
        for left in range(budget + 1):
            able = np.flatnonzero(~free & (edges.costs <= left))
            spent = edges.masses[able] * table[edges.targets[able], left - edges.costs[able]]
            fixed = ends + np.bincount(edges.sources[able], spent, len(ends))
            values = self._spread(fixed)
            for _ in range(_ITERATIONS if free.any() else 0):
                more = np.bincount(edges.sources[free], edges.masses[free] * values[edges.targets[free]], len(ends))
                grown = self._spread(fixed + more)
                settled = np.allclose(grown, values, rtol=_TOLERANCE, atol=0.0)
                values = grown
                if settled:
                    break
            table[:, left] = values
        return table


class Twist:
    """The lookahead of one automaton: see `proposals.Lookahead`.

    Args:
        contexts: of the automaton.
        counts: what earlier runs found.
        strength: the power of psi.
        version: names the counts that it was made of.
    """

    def __init__(self, contexts: Contexts, counts: Counts, strength: float, version: str = "") -> None:
        self.version, self.strength = version, strength
        self._contexts = contexts
        self._chain = Chain(counts, contexts.budget)
        self._memory = counts.memory
        self._log_end = float(np.log(counts.end_value()))
        self._prior = prior_of(contexts, counts.law())
        self._log_rows: list[NDArray[np.float64]] = []
        self._slope, self._middle = self._calibrate(self._prior)
        self._known = np.zeros((0, self._chain.table.shape[1]))

    def log_values(self, states: NDArray[np.int64]) -> NDArray[np.float64]:
        """(n,) log psi of states."""
        contexts, left = self._contexts.at(states)
        return self._log_psi(contexts, left)

    def log_successors(self, states: NDArray[np.int64], allowed: Allowed) -> NDArray[np.float64]:
        """(K,) log psi after each of the tokens that (D,) states allow."""
        values = np.empty(len(allowed.tokens))
        _, left = self._contexts.at(states)
        for i, state in enumerate(states.tolist()):
            part = slice(int(allowed.starts[i]), int(allowed.starts[i + 1]))
            values[part] = self._after(state, int(left[i]), allowed.tokens[part])
        return values

    def log_remembered(
        self, histories: NDArray[np.uint64], states: NDArray[np.int64], allowed: Allowed
    ) -> NDArray[np.float64]:
        """The same, with what earlier runs found behind texts that they wrote themselves."""
        values = self.log_successors(states, allowed)
        for i, history in enumerate(histories.tolist()):
            known = self._memory.get(history)
            if known:
                first, last = int(allowed.starts[i]), int(allowed.starts[i + 1])
                tokens, logs = self._remembered(known)
                places = np.searchsorted(allowed.tokens[first:last], tokens)
                there = np.flatnonzero(places < last - first)
                there = there[allowed.tokens[first + places[there]] == tokens[there]]
                values[first + places[there]] = logs[there]
        return values

    def remembered(self, history: int) -> dict[int, float]:
        """Log psi after the tokens of a history that earlier runs went on with."""
        known = self._memory.get(history)
        if not known:
            return {}
        tokens, logs = self._remembered(known)
        return dict(zip(tokens.tolist(), logs.tolist()))

    def _remembered(self, known: dict[int, float]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        masses = np.array(list(known.values()))
        logs = np.maximum(np.log(np.maximum(masses, 1e-300)), np.log(_FLOOR) + self._log_end)
        return np.array(list(known), dtype=np.int64), self.strength * logs

    def group_values(self, state: int, left: int) -> NDArray[np.float64]:
        """(G,) log psi after each group of tokens of a state, `left` of the budget being left in the state."""
        found = self._contexts.successors(state)
        after = left - found.costs if self._contexts.unit == "tokens" else found.left
        return self._log_psi(found.contexts, after)

    def _after(self, state: int, left: int, tokens: NDArray[np.int32]) -> NDArray[np.float64]:
        found = self._contexts.successors(state)
        values = self.group_values(state, left)
        if len(tokens) == len(found.tokens):
            return values[found.groups]
        return values[found.groups[np.searchsorted(found.tokens, tokens)]]

    def _log_psi(self, contexts: NDArray[np.int64], left: NDArray[np.int64]) -> NDArray[np.float64]:
        while len(self._log_rows) < len(self._contexts.keys):
            self._log_rows.append(self._log_row(len(self._log_rows)))
        if len(self._known) < len(self._log_rows):
            self._known = np.array(self._log_rows)
        end = self.strength * self._log_end
        if not len(self._known):
            return np.full(len(contexts), end)
        column = np.clip(left, 0, self._known.shape[1] - 1)
        return np.where(contexts == ENDED, end, self._known[np.maximum(contexts, 0), column])

    def _log_row(self, number: int) -> NDArray[np.float64]:
        context = self._contexts.keys[number]
        row = self._chain.row(context)
        values = np.log(self._chain.table[row])
        stack = whole_stack(context)
        if row == self._chain.unknown and self._slope and stack is not None:
            prior = self._prior(context, stack)
            if prior is not None:
                values = np.minimum(values + self._slope * (prior[-1] - self._middle), self._log_end)
        return self.strength * np.maximum(values, np.log(_FLOOR) + self._log_end)

    def _calibrate(self, prior: Prior) -> tuple[float, float]:
        """How much of the prior's differences is found in the chain: (slope in [0, 1], the prior's mean)."""
        pairs = []
        for context, row in self._chain.rows.items():
            stack = whole_stack(context)
            own = None if stack is None else prior(context, stack)
            if own is not None and np.isfinite(own[-1]):
                pairs.append((own[-1], np.log(self._chain.table[row, -1]), self._chain.visits[row]))
        if len(pairs) < 3:
            return 0.0, 0.0
        ours, theirs, weights = np.array(pairs).T
        middle = float(np.average(ours, weights=weights))
        spread = np.average((ours - middle) ** 2, weights=weights)
        shared = np.average((ours - middle) * (theirs - np.average(theirs, weights=weights)), weights=weights)
        return (float(np.clip(shared / spread, 0.0, 1.0)) if spread > 0 else 0.0), middle
