"""Limits on the number of tokens: `where tokens <= n`.

What counts are the tokens that spell some part of the hole; a token that only spells following text or ends
the turn does not. A state carries the count. Masks leave out tokens after which the hole could no longer end
within the limit, as far as the fewest tokens to an end are known: exactly for small regular languages, else
by a lower bound.
"""

from __future__ import annotations

import numpy as np

from smcdsl.automaton.machine import Machine
from smcdsl.automaton.memory import njit
from smcdsl.automaton.tables import AutomatonTables

_NEAR = 8
"""With more tokens than this left, an end within the limit is taken for granted where it is not known exactly."""
_EXACT_STATES = 256
"""Automata up to this size are walked once from every state to count tokens exactly."""

FAR_FROM_LIMIT = -(1 << 30)
"""Where so many tokens are left that nobody asks how many an end takes."""
UNASKED = -(1 << 31)


class TokenLimit:
    """The bounds of one grammar over one vocabulary."""

    def __init__(self, tables: AutomatonTables, machine: Machine) -> None:
        self.least, most = tables.token_limit
        self.most = most if most >= 0 else None
        self.active = self.least > 0 or self.most is not None
        self._tables, self._machine = tables, machine
        self._distances: list[int] | None = None

    def allows_end(self, num_tokens: int) -> bool:
        """Whether a hole of so many tokens is within the limits."""
        return self.least <= num_tokens and (self.most is None or num_tokens <= self.most)

    def is_near(self, num_tokens: int) -> bool:
        """Whether a bound is so close that the distance to an end may matter."""
        if num_tokens < 0:
            return False
        return num_tokens < self.least or (self.most is not None and self.most - num_tokens <= _NEAR)

    def feasible(self, config: int, num_tokens: int) -> bool:
        """Whether the hole can perhaps still end within the limit."""
        return self.most is None or num_tokens + self.distance(config) <= self.most

    def distance(self, config: int) -> int:
        """At least so many tokens until the hole may end."""
        if self._tables.regular is not None:
            return min(self._table()[q] for q, _, _, _ in self._machine.hypotheses(config))
        return 0 if self._machine.may_end(config) else 1

    def free_counts(self, searches: bool) -> tuple[int, int]:
        """Counts at least and at most so large that limits make no difference to what comes next.

        Args:
            searches: whether ends near the limit are searched for (`is_near`).
        """
        if self.most is None:
            return self.least, 1 << 30
        reserve = max(self._farthest(), _NEAR if searches else 0)
        return self.least, self.most - 1 - reserve

    def _farthest(self) -> int:
        return max(self._table()[1:]) if self._tables.regular is not None else 1

    def _table(self) -> list[int]:
        """Per state of a regular language the fewest tokens to an end, or a lower bound."""
        if self._distances is None:
            assert self._tables.regular is not None
            small = len(self._tables.regular.next_state) <= _EXACT_STATES
            self._distances = self._count_tokens() if small else self._bound_tokens()
        return self._distances

    def _count_tokens(self) -> list[int]:
        assert self._tables.regular is not None
        accepting = self._tables.regular.accepting.tolist()
        sources: list[list[int]] = [[] for _ in accepting]
        distances = [0 if accepts else -1 for accepts in accepting]
        one_away: set[int] = set()
        for state in range(1, len(accepting)):
            ends_in, ends = self._machine.reached(state)
            for after in ends_in.tolist():
                sources[after].append(state)
            if ends and not accepting[state]:
                one_away.add(state)
        frontier = [state for state in range(1, len(accepting)) if accepting[state]]
        distance = 0
        while frontier or (distance == 0 and one_away):
            distance += 1
            reached = {source for state in frontier for source in sources[state] if source and distances[source] < 0}
            if distance == 1:
                reached |= one_away
            frontier = sorted(reached)
            for state in frontier:
                distances[state] = distance
        # From the others no tokens lead to an end; more than any limit.
        return [distance if distance >= 0 else 1 << 40 for distance in distances]

    def _bound_tokens(self) -> list[int]:
        """Bytes to the nearest end, all spelled by the longest token."""
        regular = self._tables.regular
        assert regular is not None
        longest = max(int(self._tables.trie.depth.max(initial=1)), 1)
        unknown = np.iinfo(np.int64).max // 2
        distances = np.where(regular.accepting, 0, unknown)
        while True:
            shorter = np.minimum(distances, distances[regular.next_state].min(axis=1) + 1)
            if np.array_equal(shorter, distances):
                break
            distances = shorter
        return [int(-(-d // longest)) for d in distances.tolist()]


@njit()
def missing_tokens(states, places, counts, done, most, within, guesses, found):  # type: ignore[no-untyped-def]
    """Write `TokenAutomaton.tokens_missing` of (N,) states; how many wait for the guess of their place (UNASKED).

    Args:
        places, counts, done: by state; `counts` is 1 + the number of tokens.
        most: the limit.
        guesses: by place, negative where there is none yet.
    """
    unasked = 0
    for i in range(len(states)):
        state = states[i]
        left = most - max(counts[state] - 1, 0)
        place = places[state]
        if left > within:
            found[i] = FAR_FROM_LIMIT
        elif done[state] != 0:
            found[i] = -left
        elif place < len(guesses) and guesses[place] >= 0:
            found[i] = guesses[place] - left
        else:
            found[i] = UNASKED
            unasked += 1
    return unasked
