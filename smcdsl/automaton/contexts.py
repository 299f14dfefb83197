"""Contexts: what a lookahead knows of an automaton's states, and where tokens lead from them.

A context is the part of a state that tells what may come next without telling all that has been read: lexer states,
obligations and the topmost LR states. It is a tuple of ints that means the same in every process, so that what was
learned of it can be kept on disk. How much is left of a limit on tokens or characters is apart from it, the *budget*.
"""

from __future__ import annotations

from functools import lru_cache
from threading import RLock
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from smcdsl.automaton import layout
from smcdsl.automaton.automaton import TokenAutomaton
from smcdsl.automaton.tables import RegularTables

Context = tuple[int, ...]

DEPTH = 5
"""LR states from the top of the stack that a context tells apart."""
ENDED = -1
"""Instead of a context: the hole has ended, or only following text is left to write."""
_FAR = 1 << 20
_KEPT_TOKENS = 1 << 24
"""Tokens of places whose successors are remembered; beyond them all are forgotten."""
_COSTS = 1 << 12


class Successors(NamedTuple):
    """Where tokens lead from a place, by groups that lead alike; limits on tokens left aside.

    Attributes:
        tokens: (K,) ascending.
        groups: (K,) the group of each.
        contexts: (G,) numbers of contexts, ENDED for the hole's end.
        costs: (G,) of the budget, by one token.
        left: (G,) characters left after it; 0 where the budget is none of characters.
    """

    tokens: NDArray[np.int64]
    groups: NDArray[np.int64]
    contexts: NDArray[np.int64]
    costs: NDArray[np.int64]
    left: NDArray[np.int64]


class Contexts:
    """The contexts of one automaton, numbered as they are met.

    Attributes:
        unit: what the budget counts: `tokens`, `chars`, or None without a budget.
        budget: the budget of a whole hole, None without one.
        keys: contexts by number.
    """

    def __init__(self, automaton: TokenAutomaton) -> None:
        self.automaton = automaton
        self._machine = automaton._machine
        self.keys: list[Context] = []
        self._numbers: dict[Context, int] = {}
        self._places: dict[int, tuple[int, int]] = {}
        self._successors: dict[int, Successors] = {}
        self._held = 0
        self._lock = RLock()
        tables = automaton.tables
        self.unit: str | None = None
        self.budget: int | None = None
        self._left = np.zeros(1, dtype=np.int64)
        self._characters = np.ones(tables.vocab_size, dtype=np.int64)
        if tables.token_limit[1] >= 0:
            self.unit, self.budget = "tokens", tables.token_limit[1]
        elif tables.filter is not None:
            left = characters_left(tables.filter)
            if left[1] < _COSTS:
                self.unit, self.budget, self._left = "chars", int(left[1]), left
                self._characters = _characters(tables.trie.text, tables.trie.text_start)

    def _number(self, key: Context) -> int:
        """The number of a context, a new one if need be."""
        known = self._numbers.get(key)
        if known is None:
            known = self._numbers[key] = len(self.keys)
            self.keys.append(key)
        return known

    def at(self, states: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(n,) contexts of states and what is left of the budget, 0 without one."""
        with self._lock:
            found = [self._of_place(self._machine.place_of(state)) for state in states.tolist()]
        contexts, left = np.array(found, dtype=np.int64).reshape(-1, 2).T
        done: NDArray[np.int32] = self._machine.pools.get(layout.STATE_DONE)
        contexts = np.where(done[states] > 0, ENDED, contexts)
        if self.unit == "tokens":
            assert self.budget is not None
            counts = np.array([self._machine.count_of(state) for state in states.tolist()], dtype=np.int64)
            left = self.budget - counts
        return contexts, left

    def successors(self, state: int) -> Successors:
        """Where the tokens lead that the grammar allows in a state."""
        place = self._machine.place_of(state)
        with self._lock:
            known = self._successors.get(place)
            if known is None:
                known = self._find(place)
                self._held += len(known.tokens)
                if self._held > _KEPT_TOKENS:
                    self._successors.clear()
                    self._held = len(known.tokens)
                self._successors[place] = known
        return known

    def _find(self, place: int) -> Successors:
        with self.automaton._lock:
            machine = self._machine
            tokens = machine.tokens_of(place)
            after = machine.read_all(place, 0, tokens)
        states, of_token = np.unique(after, return_inverse=True)
        done: NDArray[np.int32] = machine.pools.get(layout.STATE_DONE)
        costs = np.minimum(self._characters[tokens], _COSTS - 1)
        pairs, groups = np.unique(of_token * _COSTS + costs, return_inverse=True)
        which, costs = np.divmod(pairs, _COSTS)
        found = [self._of_state(int(states[i]), done) for i in range(len(states))]
        contexts, left = np.array(found, dtype=np.int64).reshape(-1, 2).T[:, which]
        # What ends a hole spends nothing that counts.
        costs = np.where(contexts == ENDED, 0, costs)
        return Successors(tokens, groups.astype(np.int64), contexts, costs, left)

    def _of_state(self, state: int, done: NDArray[np.int32]) -> tuple[int, int]:
        if state < 0 or done[state] > 0:
            return ENDED, 0
        return self._of_place(self._machine.place_of(state))

    def _of_place(self, place: int) -> tuple[int, int]:
        """(context, characters left) of a place."""
        known = self._places.get(place)
        if known is None:
            config, _ = self._machine.parts_of(place)
            hypotheses = self._machine.hypotheses(config)
            if not hypotheses:
                known = ENDED, 0
            else:
                lexer, node, owed, room = hypotheses[0]
                key = (lexer, len(hypotheses), len(owed), *owed, *self._stack(node))
                known = self._number(key), int(self._left[room]) if self.unit == "chars" else 0
            self._places[place] = known
        return known

    def _stack(self, node: int) -> list[int]:
        """The topmost LR states; of several stacks one that is always the same."""
        found: list[int] = []
        stacks = self._machine.whole_stacks(node)
        while stacks and len(found) < DEPTH:
            state, stacks = min(stacks, key=lambda pair: pair[0])
            found.append(state)
        return found


@lru_cache(maxsize=16)
def contexts_of(automaton: TokenAutomaton) -> Contexts:
    """The contexts of an automaton, kept for the runs of this process."""
    return Contexts(automaton)


def coarser(key: Context) -> list[Context]:
    """What stands for a context that nothing is known of: its lexer state and LR state, then the first alone."""
    lexer, count, owed, *rest = key
    states = rest[owed:]
    return [(lexer, count, *states[:1]), (lexer,)]


def whole_stack(key: Context) -> tuple[int, ...] | None:
    """The LR states of a context from the top, if they are the whole stack."""
    _, _, owed, *rest = key
    states = tuple(rest[owed:])
    return states if len(states) < DEPTH else None


def characters_left(filters: RegularTables) -> NDArray[np.int64]:
    """(S,) the most characters that may still come before a regular language has no more texts; large if any number."""
    size = len(filters.next_state)
    begins = (np.arange(256) & 0xC0) != 0x80
    left = np.where(filters.accepting, 0, -1).astype(np.int64)
    alive = filters.next_state > 0
    # Every round reaches states one byte further away; who still grows after all rounds is on a circle.
    for _ in range(4 * _COSTS):
        after = left[filters.next_state]
        grown = np.where(alive & (after >= 0), after + begins, -1).max(axis=1)
        grown = np.maximum(left, grown)
        grown[0] = -1
        if np.array_equal(grown, left):
            return np.maximum(left, 0)
        left = grown
        if left.max() > _COSTS:
            break
    return np.full(size, _FAR, dtype=np.int64)


def _characters(text: NDArray[np.uint8], starts: NDArray[np.int64]) -> NDArray[np.int64]:
    """(V,) characters that tokens begin."""
    begins = np.concatenate([[0], np.cumsum((text & 0xC0) != 0x80)])
    return begins[starts[1:]] - begins[starts[:-1]]
