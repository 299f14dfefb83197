"""Makes blocks: one walk over the vocabulary from a lexer position, in memory of its own.

A block names positions by what they are, not by a machine's numbers, so that machines, threads and later processes
can share it. See `grouping` for what it holds.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from smcdsl.automaton import grouping, layout
from smcdsl.automaton.grouping import B_ENDS, B_GROUPS, B_SEQUENCES, B_WORDS, GROUP_END, HEAD
from smcdsl.automaton.layout import (
    ALTERNATIVES,
    FIRST,
    FLAG,
    OMEGAS,
    OWED,
    PAIR_POOL,
    ROOMS,
    SCRATCH,
    SECOND,
)
from smcdsl.automaton.lexing import omega, owe
from smcdsl.automaton.mistakes import too_many_ways
from smcdsl.automaton.pools import Pools
from smcdsl.errors import CompileError

Position = tuple[int, int, tuple[int, ...]]
"""Lexer state, state of the filter, obligations in ascending order."""


class TooManyWays(CompileError):
    """A token can be cut into lexemes in more ways than the engine keeps. Who knows another way catches it."""

    def __init__(self) -> None:
        super().__init__(too_many_ways())


class Walker:
    """Walks for one grammar, vocabulary and ending; not to be used by two threads at once."""

    def __init__(self, static: Pools) -> None:
        self._pools = Pools()
        self._pools.share(static)
        self._t = self._pools.address
        self._room()

    def _room(self) -> None:
        pools, trie_depth = self._pools, self._pools.shared(layout.TRIE_DEPTH)
        vocab_size, states = int(pools.table[layout.VOCAB_SIZE]), int(pools.table[layout.NUM_LEXER_STATES])
        levels = int(trie_depth.max(initial=0)) + 2
        pools.set(layout.ALT_SEQUENCE, np.zeros(levels * ALTERNATIVES, dtype=np.int32))
        pools.set(layout.ALT_OMEGA, np.zeros(levels * ALTERNATIVES, dtype=np.int32))
        pools.set(layout.ALT_COUNT, np.zeros(levels, dtype=np.int32))
        self._pairs(vocab_size + 1024)
        pools.set(layout.GROUP_SIZES, np.zeros(256, dtype=np.int32))
        pools.set(layout.PLAIN_OMEGA, np.full(states, -1, dtype=np.int32))
        for slot in (layout.MOVES, layout.WANTED):
            pools.set(slot, np.zeros(SCRATCH, dtype=np.int32))

    def _pairs(self, size: int) -> None:
        for slot in (layout.PAIR_GROUP, layout.PAIR_TOKEN):
            self._pools.set(slot, np.empty(size, dtype=np.int32))
        self._pools.table[layout.MAX_PAIRS] = size

    def walk(self, position: Position) -> NDArray[np.int32]:
        """The block of a position.

        Raises:
            TooManyWays: some token can be read in more than `ALTERNATIVES` ways.
        """
        pools = self._pools
        here = number_of(self._t, position, self._make_room)
        while True:
            pools.clear(layout.SEQUENCES)
            pools.clear(layout.GROUPS)
            pools.clear(layout.STEPS)
            pools.table[FLAG] = 0
            grouping.walk(self._t, here)
            if not self._make_room():
                break
        if len(pools.get(layout.GROUP_SIZES)) < pools.used(layout.GROUPS):
            pools.set(layout.GROUP_SIZES, np.zeros(2 * pools.used(layout.GROUPS), dtype=np.int32))
        size = int(grouping.block_size(self._t))
        block = np.empty(size, dtype=np.int32)
        grouping.write_block(self._t, block.ctypes.data, size)
        return self._name_ends(block)

    def _name_ends(self, block: NDArray[np.int32]) -> NDArray[np.int32]:
        """The block with the positions that its groups end in at its end, numbered as they come."""
        ends = _groups(block)[:, GROUP_END]
        special = np.flatnonzero(ends <= -2)
        block[B_ENDS] = 0
        if len(special) == 0:
            return block
        numbers, first, which = np.unique(-2 - ends[special], return_index=True, return_inverse=True)
        order = np.argsort(first)
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        ends[special] = -2 - rank[which.reshape(-1)]
        block[B_ENDS] = len(numbers)
        tail: list[int] = []
        for number in numbers[order].tolist():
            q, r, owed = position_of(self._pools, number)
            tail += [q, r, len(owed), *owed]
        return np.concatenate([block, np.array(tail, dtype=np.int32)])

    def _make_room(self) -> bool:
        flag = int(self._pools.table[FLAG])
        if flag == 0:
            return False
        if flag < 0:
            raise TooManyWays
        if flag - 1 == PAIR_POOL:
            self._pairs(2 * int(self._pools.table[layout.MAX_PAIRS]))
        else:
            self._pools.grow(flag - 1)
        self._pools.table[FLAG] = 0
        return True


def _groups(block: NDArray[np.int32]) -> NDArray[np.int32]:
    """(G, 5) the columns of a block's groups."""
    first = HEAD + 3 * int(block[B_SEQUENCES])
    return block[first : first + 5 * int(block[B_GROUPS])].reshape(-1, 5)


def ends_of(block: NDArray[np.int32]) -> list[Position]:
    """The positions that a block's groups end in, by number."""
    tail = block[int(block[B_WORDS]) :].tolist()
    found, at = [], 0
    for _ in range(int(block[B_ENDS])):
        q, r, count = tail[at : at + 3]
        found.append((q, r, tuple(tail[at + 3 : at + 3 + count])))
        at += 3 + count
    return found


def number_of(t: int, position: Position, make_room: Any) -> int:
    """The number of a position in a machine's or a walker's pools."""
    q, r, owed = position
    while True:
        number = 0
        for state in owed:
            number = int(owe(t, number, state))
        number = int(omega(t, q, r, number))
        if not make_room():
            return number


def position_of(pools: Pools, number: int) -> Position:
    """What a number stands for."""
    room, owed = (pools.item(OMEGAS, which, number) for which in (FIRST, SECOND))
    obligations = []
    while owed > 0:
        obligations.append(pools.item(OWED, SECOND, owed))
        owed = pools.item(OWED, FIRST, owed)
    q, r = (pools.item(ROOMS, which, room) for which in (FIRST, SECOND))
    return q, r, tuple(sorted(obligations))
