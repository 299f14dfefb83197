"""Inside masses of LR tables: how much weight all completions of a stack have together.

Every terminal has a mass, a text has the product of its terminals' masses. For LR state s, finish(s, k, A) is the
mass of all that may be read from s on until a reduction to nonterminal A pops k states, s among them; begun(s, A) is
the mass of all texts of A that begin at s:

    finish(s, k, A) = [A -> alpha is reducible in s, |alpha| = k]
                    + sum over X of mass(X) finish(goto(s, X), k + 1, A)
    begun(s, A)     = [A -> empty is reducible in s] + sum over X of mass(X) finish(goto(s, X), 1, A)

with mass(X) a terminal's mass or begun(s, X). Lookaheads are left out: they only cut paths that lead nowhere, and as
the tables have no conflicts every text has one path. Masses come by the number of terminals, up to a budget.
Source: inside probabilities (Baker 1979) on the LR automaton; `shortest` does the same for least lengths.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from smcdsl.automaton.tables import ParserTables

Masses = NDArray[np.float64]
Stack = tuple[int, ...]
"""LR states from the bottom."""

_ITERATIONS = 4000
_TOLERANCE = 1e-13


class InsideMasses:
    """Masses of one deterministic parser.

    Args:
        parser: LALR tables without conflicts.
        masses: (T,) of terminals; those of what is never read are zero.
        budget: terminals at most; None counts every text, and then masses must be small enough to have a sum.
    """

    def __init__(self, parser: ParserTables, masses: Masses, budget: int | None) -> None:
        self._parser, self._masses, self._budget = parser, masses, budget
        self._end = parser.shift.shape[1] - 1
        self._finish: list[dict[tuple[int, int], int]] = [{} for _ in parser.shift]
        self._begun: list[dict[int, int]] = [{} for _ in parser.shift]
        self._reducible = _reducible(parser)
        self._count = 0
        self._find_unknowns()
        self._values = self._solve()
        self._known: dict[tuple[Stack, int], Masses] = {}

    def of_stack(self, stack: Sequence[int]) -> Masses:
        """(B + 1,) the mass of what completes a text between two terminals, by the number of terminals left.

        Without a budget one number, the sum over all.
        """
        whole = tuple(stack)
        total = self._at_end(whole[-1])
        for (popped, lhs), unknown in self._finish[whole[-1]].items():
            total = total + self._times(self._values[unknown], self._onward(whole[:-popped], lhs))
        if len(whole) == 1:
            # Nothing takes the first state off: the whole text begins there.
            for lhs, unknown in self._begun[whole[0]].items():
                total = total + self._times(self._values[unknown], self._at_end(int(self._parser.goto[whole[0], lhs])))
        return total

    def _at_end(self, state: int) -> Masses:
        mass = np.zeros(1 if self._budget is None else self._budget + 1)
        mass[0] = float(self._parser.shift[state, self._end] >= 0)
        return mass

    def _onward(self, below: Stack, lhs: int) -> Masses:
        """The mass of what comes after a nonterminal that has been read on top of a stack."""
        if (below, lhs) not in self._known:
            self._close(below)
        return self._known[below, lhs]

    def _close(self, below: Stack) -> None:
        """`_onward` for all nonterminals on top of one stack: reading one may make another one of it."""
        goto = self._parser.goto[below[-1]]
        heads = np.flatnonzero(goto >= 0).tolist()
        fixed: dict[int, Masses] = {}
        loops: dict[int, list[tuple[int, Masses]]] = {}
        for lhs in heads:
            top = int(goto[lhs])
            total, inner = self._at_end(top), []
            for (popped, other), unknown in self._finish[top].items():
                if popped == 1:
                    inner.append((other, self._values[unknown]))
                elif popped <= len(below):
                    rest = self._onward(below[: len(below) - popped + 1], other)
                    total = total + self._times(self._values[unknown], rest)
            fixed[lhs], loops[lhs] = total, inner
        found = dict(fixed)
        for _ in range(_ITERATIONS):
            grown = {
                lhs: fixed[lhs] + sum((self._times(mass, found[other]) for other, mass in loops[lhs]), 0.0 * fixed[lhs])
                for lhs in heads
            }
            settled = all(np.allclose(grown[lhs], found[lhs], rtol=_TOLERANCE, atol=0.0) for lhs in heads)
            found = grown
            if settled:
                break
        self._known.update({(below, lhs): mass for lhs, mass in found.items()})

    def _times(self, left: Masses, right: Masses) -> Masses:
        if self._budget is None:
            return left * right
        return np.convolve(left, right)[: self._budget + 1]

    def _steps(self, state: int) -> list[tuple[int, int]]:
        """What may be read in a state, its number or -1 - nonterminal, and the state after it."""
        parser = self._parser
        shifts = np.flatnonzero((parser.shift[state, : self._end] >= 0) & (self._masses[: self._end] > 0))
        read = [(t, int(parser.shift[state, t])) for t in shifts.tolist()]
        return read + [(-1 - a, int(parser.goto[state, a])) for a in self._begun[state]]

    def _find_unknowns(self) -> None:
        """Number all (s, k, A) and (s, A) whose masses are not zero."""
        sources: list[set[int]] = [set() for _ in self._finish]
        pending = dict.fromkeys(range(len(self._finish)))
        while pending:
            state = pending.popitem()[0]
            before = len(self._finish[state]) + len(self._begun[state])
            for length, lhs in self._reducible[state]:
                self._enter(state, length, lhs)
            again = True
            while again:
                again = False
                for _, after in self._steps(state):
                    sources[after].add(state)
                    for popped, lhs in list(self._finish[after]):
                        again |= self._enter(state, popped - 1, lhs)
            if len(self._finish[state]) + len(self._begun[state]) > before:
                pending.update(dict.fromkeys(sources[state]))

    def _enter(self, state: int, popped: int, lhs: int) -> bool:
        if popped == 0:
            if lhs in self._begun[state] or self._parser.goto[state, lhs] < 0:
                return False
            self._begun[state][lhs] = self._count
        else:
            if (popped, lhs) in self._finish[state]:
                return False
            self._finish[state][popped, lhs] = self._count
        self._count += 1
        return True

    def _solve(self) -> Masses:
        """(unknowns, B + 1) or (unknowns, 1): iterated from zero, which tends to the least solution."""
        start, linear, products = self._equations()
        columns = 1 if self._budget is None else self._budget + 1
        constant = np.zeros((self._count, columns))
        constant[start, 0] = 1.0
        values = constant.copy()
        rows, inner, factors = linear
        heads, ones, twos = products
        for _ in range(_ITERATIONS):
            grown = constant.copy()
            shifted = factors[:, None] * values[inner]
            if self._budget is not None:
                shifted = np.concatenate([np.zeros((len(inner), 1)), shifted[:, :-1]], axis=1)
            np.add.at(grown, rows, shifted)
            np.add.at(grown, heads, _products(values[ones], values[twos]))
            if not np.all(np.isfinite(grown)) or grown.max(initial=0.0) > 1e12:
                raise ValueError("the terminals' masses are too large to have a sum over all texts")
            settled = np.allclose(grown, values, rtol=_TOLERANCE, atol=1e-300)
            values = grown
            if settled:
                break
        return values

    def _equations(self) -> tuple[NDArray[np.int64], tuple[NDArray[np.int64], NDArray[np.int64], Masses], _Triples]:
        """Unknowns that are 1, terms mass * unknown, and terms unknown * unknown."""
        start: list[int] = []
        linear: list[tuple[int, int, float]] = []
        products: list[tuple[int, int, int]] = []
        for state in range(len(self._finish)):
            start += [n for length, lhs in self._reducible[state] if (n := self._number(state, length, lhs)) >= 0]
            for symbol, after in self._steps(state):
                for (popped, lhs), unknown in self._finish[after].items():
                    own = self._number(state, popped - 1, lhs)
                    if own < 0:
                        continue
                    if symbol >= 0:
                        linear.append((own, unknown, float(self._masses[symbol])))
                    else:
                        products.append((own, self._begun[state][-1 - symbol], unknown))
        rows, inner, factors = np.array(linear, dtype=np.float64).reshape(-1, 3).T
        heads, ones, twos = np.array(products, dtype=np.int64).reshape(-1, 3).T
        of_terminals = rows.astype(np.int64), inner.astype(np.int64), factors
        return np.array(start, dtype=np.int64), of_terminals, (heads, ones, twos)

    def _number(self, state: int, popped: int, lhs: int) -> int:
        found = self._begun[state].get(lhs) if popped == 0 else self._finish[state].get((popped, lhs))
        return -1 if found is None else found


_Triples = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]


def _reducible(parser: ParserTables) -> list[set[tuple[int, int]]]:
    """Per state the (length, nonterminal) of productions that may be reduced there, whatever comes next."""
    terminals = parser.shift.shape[1]
    found: list[set[tuple[int, int]]] = [set() for _ in parser.shift]
    for cell in np.flatnonzero(np.diff(parser.first_reduce)).tolist():
        for production in parser.reduce[parser.first_reduce[cell] : parser.first_reduce[cell + 1]].tolist():
            found[cell // terminals].add((int(parser.length[production]), int(parser.lhs[production])))
    return found


def _products(left: Masses, right: Masses) -> Masses:
    """Rows of products of polynomials, cut off at their width."""
    out = np.zeros_like(left)
    for power in range(left.shape[1]):
        out[:, power:] += left[:, power : power + 1] * right[:, : right.shape[1] - power]
    return out
