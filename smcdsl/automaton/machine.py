"""The compiled engine of one automaton: states and masks as numbers, made by kernels, helped by this class.

Kernels stop where they need something: room in a pool, a walk over the vocabulary from a position that was never
visited, or the answer of a search. The methods here provide it and go on.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smcdsl.automaton import grouping, layout, reading
from smcdsl.automaton.blocks import AHEAD_NODES, Blocks, block_path
from smcdsl.automaton.deciding import row_of_place
from smcdsl.automaton.interning import intern
from smcdsl.automaton.layout import (
    ARGUMENT,
    ASK,
    ASK_CONFIG,
    CONFIGS,
    DONE,
    FIRST,
    FLAG,
    FREE_POOL,
    FULL,
    HYPOTHESES,
    LIST_POOL,
    NODES,
    PLACES,
    ROW_POOL,
    SCRATCH,
    SECOND,
    SPECIAL,
    STATES,
    SUCCESSORS,
    UNBUILT,
)
from smcdsl.automaton.parsing import STATE_MASK, push, shift
from smcdsl.automaton.pools import Pools, untouched
from smcdsl.automaton.stacks import Stacks
from smcdsl.automaton.static import set_tables
from smcdsl.automaton.tables import AutomatonTables
from smcdsl.automaton.walker import TooManyWays, Walker, ends_of, number_of, position_of

ROW_BYTES_LIMIT = 128 * 2**20
"""Masks held at most; beyond it those unused for longest are given up."""
BLOCK_BYTES_LIMIT = 192 * 2**20
"""Blocks made for masks that had to wait for them; beyond it all are forgotten."""
MEMO_LIMIT = 1 << 21
"""Remembered successors; beyond it they are forgotten together."""

_FIRST_LISTED, _FIRST_BITS, _FIRST_ROWS = 1 << 16, 64, 16
"""Room to begin with for lists of decisions, for bit sets, and for rows of small vocabularies."""
_READY_WORDS = 1 << 18
"""Of rows that have room next: 2 MB, 131 rows of Llama 3, whose first writes then wait for no memory (5 us a row)."""
_MOST_AHEAD = 8192
_SMALL_ROWS = 64
_MOST_BOUND = 512

Held = tuple[int, int, tuple[int, ...], int]
"""A hypothesis: lexer state, node, obligations, state of the filter."""


def kernels_are_compiled() -> bool:
    """Whether numba's cache holds the kernels that every run needs; if not, the first run compiles them."""
    return all(kernel._cache._cache_file._load_index() for kernel in (reading.fill_rows, reading.advance_all))


class Machine:
    """States are ints, `start` the first; rows are numbers of masks.

    Args:
        tables: the compiled grammar.
        following: the text right after the hole, b"" if the hole ends its turn.
        possible: tells whether one of some hypotheses can be completed.
        cache_dir: where blocks are kept; None for nowhere.
    """

    def __init__(
        self,
        tables: AutomatonTables,
        following: bytes,
        possible: Callable[[list[Held]], bool],
        cache_dir: Path | None = None,
    ) -> None:
        many = len(tables.trie.byte) >= AHEAD_NODES
        self.pools = Pools(4096 if many else 256)
        self.t = self.pools.address
        self._possible = possible
        self._stacks: dict[int, Stacks] = {}
        self.words = set_tables(self.pools, tables, following)
        path = None if cache_dir is None else block_path(cache_dir, tables.fingerprint, following)
        self.blocks = Blocks(
            lambda: Walker(self.pools), (lambda: _reached_states(self.pools)) if many else None, path if many else None
        )
        self._held: dict[int, tuple[NDArray[np.int32], NDArray[np.int32]]] = {}
        self._built_bytes = 0
        self._bound_ahead = -1
        self._scratch()
        self._room_for_bits(_FIRST_BITS)
        self._first_rows()
        self.start_place = self._start(tables)

    def _scratch(self) -> None:
        pools = self.pools
        pools.set(layout.PLAIN_OMEGA, np.full(int(pools.table[layout.NUM_LEXER_STATES]), -1, dtype=np.int32))
        pools.set(layout.TAIL_NOW, np.zeros(int(pools.table[layout.TAIL_WORDS]), dtype=np.uint64))
        for slot in (layout.PUSHED, layout.MOVES, layout.OLD_OMEGA, layout.OLD_NODE, layout.NEW_OMEGA):
            pools.set(slot, np.zeros(SCRATCH, dtype=np.int32))
        for slot in (layout.NEW_NODE, layout.AGENDA, layout.LEVEL, layout.LEVEL_NEXT, layout.RESULTS, layout.WANTED):
            pools.set(slot, np.zeros(SCRATCH, dtype=np.int32))
        for slot in (layout.NODE_AT, layout.LOW_AT, layout.VERDICTS):
            pools.set(slot, np.zeros(256, dtype=np.int32))
        pools.set(layout.LISTS, np.zeros(_FIRST_LISTED, dtype=np.int32))
        pools.table[layout.MAX_LISTED] = _FIRST_LISTED
        pools.set(layout.SCRATCH_ROW, np.zeros(self.words, dtype=np.uint64))
        self._one_state = np.zeros(2, dtype=np.int64)
        self._text = np.zeros(1, dtype=np.uint8)

    @cached_property
    def _walker(self) -> Walker:
        return Walker(self.pools)

    def _room_for_bits(self, capacity: int) -> None:
        words = int(self.pools.table[layout.NUM_WORDS])
        self.pools.lengthen(layout.FREE_BITS, capacity * words, np.uint64)
        self.pools.table[layout.MAX_FREE_BITS] = capacity

    def _first_rows(self) -> None:
        self._row_limit = max(64, ROW_BYTES_LIMIT // (8 * self.words))
        # Growing takes time, and room costs nothing before it is written to.
        self._room_for_rows(min(self._row_limit, 1024 if self.words > _SMALL_ROWS else _FIRST_ROWS))

    def _room_for_rows(self, capacity: int) -> None:
        pools = self.pools
        old = len(pools.get(layout.ROW_AGE)) if layout.ROW_AGE in pools._arrays else 0
        ready = slice(old * self.words, old * self.words + _READY_WORDS)
        rows = untouched(capacity * self.words, ready).reshape(capacity, self.words)
        if old:
            rows[:old] = pools.get(layout.ROWS)
        pools.set(layout.ROWS, rows)
        pools.lengthen(layout.ROW_HASH, capacity, np.int64)
        pools.lengthen(layout.ROW_STAMP, capacity, np.int64)
        pools.lengthen(layout.ROW_AGE, capacity, np.int32)
        free = np.zeros(capacity, dtype=np.int32)
        fresh = np.arange(capacity - 1, old - 1, -1)
        free[: len(fresh)] = fresh
        pools.set(layout.FREE_ROWS, free)
        pools.table[layout.NUM_FREE] = len(fresh)
        self._enter_rows(np.arange(old))

    def _enter_rows(self, live: NDArray[np.int64]) -> None:
        """Build the table that finds equal rows anew."""
        capacity = len(self.pools.get(layout.ROW_AGE))
        size = 1 << (2 * capacity - 1).bit_length()
        table = np.full(size, -1, dtype=np.int32)
        digests = self.pools.get(layout.ROW_HASH)
        for row in live.tolist():
            slot = int(digests[row]) & (size - 1)
            while table[slot] >= 0:
                slot = (slot + 1) & (size - 1)
            table[slot] = row
        self.pools.set(layout.ROW_TABLE, table)
        self.pools.table[layout.ROW_TABLE_MASK] = size - 1

    def _more_rows(self) -> None:
        capacity = len(self.pools.get(layout.ROW_AGE))
        if capacity < self._row_limit:
            self._room_for_rows(min(2 * capacity, self._row_limit))
            return
        stamps = self.pools.get(layout.ROW_STAMP)
        order = np.argsort(stamps, kind="stable")
        old = order[: capacity // 2]
        old = old[stamps[old] < self.pools.table[layout.CLOCK]]
        if len(old) == 0:
            self._row_limit *= 2
            self._room_for_rows(2 * capacity)
            return
        self.pools.get(layout.ROW_AGE)[old] += 1
        free = self.pools.get(layout.FREE_ROWS)
        free[: len(old)] = old
        self.pools.table[layout.NUM_FREE] = len(old)
        self._enter_rows(np.setdiff1d(np.arange(capacity), old))

    def _start(self, tables: AutomatonTables) -> int:
        """The place before any token."""
        while True:
            self.pools.table[FLAG] = 0
            first = push(self.t, 0, 0)
            reached = self._zero_width(tables, first) if first else []
            if self._make_room():
                continue
            hypotheses: list[tuple[int, int]] = []
            for mode, node in reached:
                if tables.lexer is None:
                    q = 1  # a regular language begins in state 1
                else:
                    assert tables.parser is not None
                    q = int(tables.parser.start_of[self._top(node), mode])
                hypotheses.append((number_of(self.t, (q, 1, ()), self._make_room), node))
            place = self._place(hypotheses)
            if not self._make_room():
                return place

    def _zero_width(self, tables: AutomatonTables, first: int) -> list[tuple[int, int]]:
        """(mode, stack) after any number of markers that enter or leave embedded grammars."""
        reached = [(0, first)]
        markers = [] if tables.parser is None else tables.parser.markers.tolist()
        for here, node in reached:
            steps = [(0, markers[here] + 1)] if here else [(m, k) for m, k in enumerate(markers) if m]
            for target, marker in steps:
                after = shift(self.t, node, marker, -1)
                if after > 0 and (target, after) not in reached:
                    reached.append((target, after))
        return reached

    def _top(self, node: int) -> int:
        content = self.pools.item(NODES, SECOND, node)
        return content & STATE_MASK if content >= 0 else self._top(self.stacks_of(node)[0])

    def whole_stacks(self, node: int) -> Stacks:
        """All stacks of a node, from the top; columns of blocks stand above the bits of LR states."""
        known = self._stacks.get(node)
        if known is None:
            below, states = self.pools.column(NODES, FIRST), self.pools.column(NODES, SECOND)
            known = self._stacks[node] = frozenset(
                (int(states[top]), self.whole_stacks(int(below[top])) if below[top] else frozenset())
                for top in self.stacks_of(node)
            )
        return known

    def stacks_of(self, node: int) -> list[int]:
        """The nodes with one top state that a node stands for."""
        below, state = (self.pools.item(NODES, which, node) for which in (FIRST, SECOND))
        if state >= 0:
            return [node]
        found = []
        rest = -below
        while rest > 0:
            found.append(self.pools.item(layout.SETS, SECOND, rest))
            rest = self.pools.item(layout.SETS, FIRST, rest)
        return found

    def _place(self, hypotheses: list[tuple[int, int]]) -> int:
        old_omega, old_node = (self._behind(slot) for slot in (layout.OLD_OMEGA, layout.OLD_NODE))
        for i, (here, node) in enumerate(hypotheses):
            old_omega[i], old_node[i] = here, node
        config = reading.pack(self.t, len(hypotheses))
        return int(intern(self.t, PLACES, config, 0))

    def _behind(self, slot: int) -> NDArray[np.int32]:
        """The scratch array at a slot; kernels swap old and new ones."""
        address = self.pools.table[slot]
        for candidate in (layout.OLD_OMEGA, layout.OLD_NODE, layout.NEW_OMEGA, layout.NEW_NODE):
            array = self.pools.get(candidate)
            if array.ctypes.data == address:
                return array
        raise AssertionError("scratch arrays are only swapped")

    def state(self, place: int, count: int) -> int:
        """The number of a state."""
        while True:
            self.pools.table[FLAG] = 0
            number = int(reading.state(self.t, place, count))
            if not self._make_room():
                return number

    def place(self, config: int, tails: int) -> int:
        """The number of a place."""
        while True:
            self.pools.table[FLAG] = 0
            number = int(intern(self.t, PLACES, config, tails))
            if not self._make_room():
                return number

    @property
    def num_rows(self) -> int:
        """Distinct masks held."""
        return len(self.pools.get(layout.ROW_AGE)) - int(self.pools.table[layout.NUM_FREE])

    @property
    def nbytes(self) -> int:
        """Memory held by everything but the vocabulary."""
        owed = sum(block.nbytes for block, _ in self._held.values() if block.base is None)
        return self.pools.nbytes + owed

    def place_of(self, state: int) -> int:
        """The place of a state."""
        return self.pools.item(STATES, FIRST, state)

    def count_of(self, state: int) -> int:
        """The number of tokens of a state, -1 once an end-of-turn token has ended the hole."""
        return self.pools.item(STATES, SECOND, state) - 1

    def parts_of(self, place: int) -> tuple[int, int]:
        """(config, tails) of a place; 0 is none."""
        return self.pools.item(PLACES, FIRST, place), self.pools.item(PLACES, SECOND, place)

    def may_end(self, config: int) -> bool:
        """Whether the text of a config is in the language."""
        while True:
            self.pools.table[FLAG] = 0
            answer = bool(reading.may_end(self.t, config))
            if not self._make_room():
                return answer

    def hypotheses(self, config: int) -> list[Held]:
        """The hypotheses of a config."""
        found = []
        while config > 0:
            found.append(self.hypothesis(self.pools.item(CONFIGS, SECOND, config)))
            config = self.pools.item(CONFIGS, FIRST, config)
        return found

    def hypothesis(self, number: int) -> Held:
        """(lexer state, node, obligations, state of the filter)."""
        here = self.pools.item(HYPOTHESES, FIRST, number)
        node = self.pools.item(HYPOTHESES, SECOND, number)
        q, r, owed = position_of(self.pools, here)
        return q, node, owed, r

    def advance(self, states: NDArray[np.int64], tokens: NDArray[np.int64], special: Callable[[int, int], int]) -> Any:
        """(N,) states after one token each; -1 where it is not allowed."""
        count = len(states)
        after = np.empty(count + 1, dtype=np.int64)
        first = 0
        while True:
            code = reading.advance_all(self.t, first, count, states.ctypes.data, tokens.ctypes.data, after.ctypes.data)
            if code == DONE:
                return after[:count]
            first = int(after[count])
            if code == SPECIAL:
                after[first] = special(int(states[first]), int(tokens[first]))
                first += 1
            else:
                self.help(code)

    def read_all(self, place: int, count: int, tokens: NDArray[np.int64]) -> NDArray[np.int64]:
        """(N,) states after one of many tokens each, as the grammar alone has it."""
        size = len(tokens)
        after = np.empty(size + 1, dtype=np.int64)
        first = 0
        while True:
            code = reading.read_all(self.t, first, size, place, count, tokens.ctypes.data, after.ctypes.data)
            if code == DONE:
                return after[:size]
            first = int(after[size])
            self.help(code)

    def reached(self, q: int) -> tuple[NDArray[np.int64], bool]:
        """(lexer states in which tokens from `q` end, whether some end in following text); for regular languages."""
        marks = np.zeros(int(self.pools.table[layout.NUM_LEXER_STATES]), dtype=np.uint8)
        ends = bool(reading.reached(self.t, q, marks.ctypes.data))
        return np.flatnonzero(marks), ends

    def inside(self, q: int, top: int, most: int) -> tuple[NDArray[np.int32], list[tuple[int, int]] | None]:
        """Where tokens under a node of the trie end within one lexeme, what leads to the node left out.

        Returns:
            (V,) lexer states, 0 for tokens that are not so; and (node, state) where a lexeme may end and others begin,
            None if they are more than `most`.
        """
        states = np.zeros(int(self.pools.table[layout.VOCAB_SIZE]), dtype=np.int32)
        cuts = np.zeros((most, 2), dtype=np.int32)
        count = int(reading.inside(self.t, q, top, states.ctypes.data, cuts.ctypes.data, most))
        return states, [(node, state) for node, state in cuts[:count].tolist()] if count <= most else None

    def next(self, state: int, token: int, special: Callable[[int, int], int]) -> int:
        """The state after a token; -1 if it is not allowed."""
        while True:
            after = int(reading.advance_one(self.t, state, token))
            if after >= -1 and not self.pools.table[FLAG]:
                return after
            if after == reading.SPECIALS:
                return special(state, token)
            self.help(FULL if self.pools.table[FLAG] else ASK_CONFIG)

    def rows(
        self, states: NDArray[np.int64], out: NDArray[np.uint64] | None, special: Callable[[int], int]
    ) -> NDArray[np.int64]:
        """(N,) rows of states; their bits are copied to `out`, (N, words), if it is given."""
        count = len(states)
        rows = np.empty(count + 1, dtype=np.int64)
        first, address = 0, 0 if out is None else out.ctypes.data
        while True:
            code = reading.fill_rows(self.t, first, count, states.ctypes.data, rows.ctypes.data, address)
            if code == DONE:
                return rows[:count]
            first = int(rows[count])
            if code == SPECIAL:
                rows[first] = self._remembered(int(states[first]), special)
                if out is not None:
                    out[first] = self.pools.get(layout.ROWS)[rows[first]]
                first += 1
            else:
                self._help_place(code, self.place_of(int(states[first])))

    def row(self, state: int, special: Callable[[int], int]) -> int:
        """The row of one state."""
        while True:
            row = int(reading.row_one(self.t, state))
            if row >= 0 and not self.pools.table[FLAG]:
                return row
            if row == reading.SPECIALS:
                return self._remembered(state, special)
            self._help_place(self._why(), self.place_of(state))

    def _remembered(self, state: int, special: Callable[[int], int]) -> int:
        """The row of a state that limits have a say in, which kernels find from now on."""
        row = special(state)
        self.pools.get(layout.STATE_ROW)[state] = row
        self.pools.get(layout.STATE_AGE)[state] = self.pools.get(layout.ROW_AGE)[row]
        return row

    def row_of_place(self, place: int) -> int:
        """The row of a place as the grammar alone has it."""
        while True:
            self.pools.table[FLAG] = self.pools.table[ARGUMENT] = 0
            row = int(row_of_place(self.t, place))
            if row >= 0 and not self.pools.table[FLAG]:
                return row
            self._help_place(self._why(), place)

    def tokens_of(self, place: int) -> NDArray[np.int64]:
        """The tokens that the grammar alone allows at a place."""
        row = self.row_of_place(place)
        return np.flatnonzero(np.unpackbits(self.row_table[row].view(np.uint8), bitorder="little")).astype(np.int64)

    def _why(self) -> int:
        if self.pools.table[FLAG]:
            return FULL
        return UNBUILT if self.pools.table[ARGUMENT] < 0 else ASK

    def keep_row(self, mask: NDArray[np.uint32]) -> int:
        """The number of a mask made elsewhere."""
        from smcdsl.automaton.deciding import keep_row

        while True:
            self.pools.table[FLAG] = 0
            scratch = self.pools.get(layout.SCRATCH_ROW).view(np.uint32)
            scratch[:] = 0
            scratch[: len(mask)] = mask
            row = int(keep_row(self.t))
            if not self._make_room():
                return row

    @property
    def row_table(self) -> NDArray[np.uint32]:
        """(R, 2 * words) masks by number; valid until the next call that makes masks."""
        return self.pools.get(layout.ROWS).view(np.uint32)

    def _help_place(self, code: int, place: int) -> None:
        """`help` for the row of a place."""
        try:
            self.help(code)
        except TooManyWays:
            self._read_row(place)

    def _read_row(self, place: int) -> None:
        """Make the row of a place by reading every token: for positions that have no block.

        Raises:
            CompileError: E0409, even one token is read in too many ways.
        """
        table, size = self.pools.table, int(self.pools.table[layout.VOCAB_SIZE])
        limits = [int(table[slot]) for slot in (layout.COUNTS, layout.LEAST, layout.MOST)]
        table[layout.COUNTS], table[layout.LEAST], table[layout.MOST] = 0, 0, -1
        try:
            allowed = self.read_all(place, 0, np.arange(size)) >= 0
        finally:
            table[layout.COUNTS], table[layout.LEAST], table[layout.MOST] = limits
        bits = np.zeros(size + -size % 32, dtype=np.bool_)
        bits[:size] = allowed
        row = self.keep_row(np.packbits(bits, bitorder="little").view(np.uint32))
        self.pools.get(layout.PLACE_ROW)[place] = row
        self.pools.get(layout.PLACE_AGE)[place] = self.pools.get(layout.ROW_AGE)[row]

    def help(self, code: int) -> None:
        """Provide what a kernel stopped for."""
        if code == FULL:
            self._make_room()
        elif code == UNBUILT:
            self._build(-int(self.pools.table[ARGUMENT]))
        elif code == ASK:
            number = int(self.pools.table[ARGUMENT])
            self.pools.get(layout.HYPOTHESIS_POSSIBLE)[number] = self._possible([self.hypothesis(number)])
        else:
            assert code == ASK_CONFIG
            number = int(self.pools.table[ARGUMENT])
            self.pools.get(layout.CONFIG_POSSIBLE)[number] = self._possible(self.hypotheses(number))

    def _make_room(self) -> bool:
        """Whether something was full, and has room now."""
        flag = int(self.pools.table[FLAG])
        if flag == 0:
            return False
        if flag < 0:
            raise TooManyWays
        pool = flag - 1
        if pool == ROW_POOL:
            self._more_rows()
        elif pool == LIST_POOL:
            size = 2 * int(self.pools.table[layout.MAX_LISTED])
            self.pools.lengthen(layout.LISTS, size, np.int32)
            self.pools.table[layout.MAX_LISTED] = size
        elif pool == FREE_POOL:
            self._room_for_bits(2 * int(self.pools.table[layout.MAX_FREE_BITS]))
        elif pool == SUCCESSORS and self.pools.used(pool) > MEMO_LIMIT:
            self.pools.clear(pool)
        else:
            self.pools.grow(pool)
        self.pools.table[FLAG] = 0
        return True

    def _build(self, here: int) -> None:
        """Put a block behind a position."""
        position = position_of(self.pools, here)
        q, r, owed = position
        plain = r == 1 and not owed
        block = self.blocks.get(q) if plain else None
        if block is None:
            block = self._walker.walk(position)
            self._built_bytes += block.nbytes
            if self._built_bytes > BLOCK_BYTES_LIMIT:
                self._forget_blocks()
            if plain:
                self.blocks.keep(q, block)
        self._bind(here, block)
        if self._bound_ahead < 0 and self.blocks.is_through:
            self._bind_ahead()

    def _bind_ahead(self) -> None:
        """Put all blocks that were made ahead behind their positions, so that no further mask has to wait."""
        self._bound_ahead = 0
        for state in self.blocks.states[:_MOST_BOUND]:
            block = self.blocks.get(state)
            here = number_of(self.t, (state, 1, ()), self._make_room)
            if block is not None and here not in self._held:
                self._bind(here, block)
                self._bound_ahead += 1

    def _bind(self, here: int, block: NDArray[np.int32]) -> None:
        numbers = [number_of(self.t, end, self._make_room) for end in ends_of(block)]
        ends = np.array(numbers or [0], dtype=np.int32)
        self._held[here] = block, ends
        self.pools.get(layout.OMEGA_BLOCK)[here] = block.ctypes.data
        self.pools.get(layout.OMEGA_ENDS)[here] = ends.ctypes.data
        for slots, needed in (
            ((layout.NODE_AT, layout.LOW_AT), int(block[grouping.B_SEQUENCES])),
            ((layout.VERDICTS,), int(block[grouping.B_GROUPS])),
        ):
            for slot in slots:
                if len(self.pools.get(slot)) < needed:
                    self.pools.set(slot, np.zeros(2 * needed, dtype=np.int32))

    def _forget_blocks(self) -> None:
        self.pools.get(layout.OMEGA_BLOCK).fill(0)
        self._held.clear()
        self.blocks.forget()
        self._built_bytes = 0


def _reached_states(pools: Pools) -> list[int]:
    """Lexer states, those that the first tokens reach first."""
    next_state = pools.get(layout.NEXT_STATE)
    found = np.zeros(len(next_state), dtype=np.bool_)
    found[0] = True
    order: list[int] = []
    here = np.unique(pools.get(layout.START_OF))
    while len(order) < _MOST_AHEAD:
        here = here[~found[here]]
        if len(here) == 0:
            break
        found[here] = True
        order += here.tolist()
        here = np.unique(next_state[here])
    return order
