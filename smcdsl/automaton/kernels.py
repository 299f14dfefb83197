"""The compiled loops: walk the token trie, run an LR parser on shared stacks.

A *configuration* here is one lexer state `q`, one parser state `p`, and the state `r` of a regular filter.
`q = 0` means that no text of the language begins so. *Tails* are a bit set of K words: bit k says that the
text is some text of the language followed by the first k bytes of what follows the hole; it is moved by
shift-and. Where a byte leaves more than one configuration the walk stops: the caller goes on there.

Everything is indexed by numbers that the tables keep in range; arrays that grow are checked before each use.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numba
import numpy as np
from numba import njit
from numpy.typing import NDArray

from smcdsl.automaton.tables import LexerTables, ParserTables, RegularTables, TrieTables

if not numba.config.CACHE_DIR and not any(
    os.access(folder, os.W_OK) for folder in (Path(__file__).parent, Path.home())
):
    # numba refuses to cache where neither the package nor the user's folder can be written.
    numba.config.CACHE_DIR = str(Path(tempfile.gettempdir()) / f"smcdsl-numba-{os.getuid()}")

DONE, SPLIT, FULL = 0, 1, 2
"""Outcomes: one configuration or none; several, or the caller must help; an array is full."""

NO_NODE, NO_SPACE, UNKNOWN = -1, -2, -3
"""Instead of a parser state: an error in the text; an array is full; the caller must compute it."""


_MEMO = 256


class Stacks(NamedTuple):
    """Parser states, interned: node n is `state[n]` on top of `parent[n]`. Grown by `stacks.py`.

    For generalised parsing a node is a whole set of stacks; then only `yes`, `no`, `start` and the memo of
    shifts are used here.
    """

    parent: NDArray[np.int32]  # (cap,)
    state: NDArray[np.int32]  # (cap,)
    yes: NDArray[np.uint64]  # (cap, TW) terminals known to be shifted next, ignored ones included
    no: NDArray[np.uint64]  # (cap, TW) terminals known not to be
    start: NDArray[np.int32]  # (cap, modes) lexer state in which the next lexeme begins
    slot: NDArray[np.int64]  # (cap,) where in `table` the node stands
    table: NDArray[np.int32]  # open addressing, a power of two; -1 is free
    used: NDArray[np.int64]  # (2,) nodes; entries of the memo
    memo_keys: NDArray[np.int64]  # open addressing by node * T + terminal; -1 is free
    memo_values: NDArray[np.int32]  # the node after a shift, NO_NODE or UNKNOWN
    scratch: NDArray[np.int32]  # states pushed by reductions and not yet nodes
    deterministic: NDArray[np.bool_]  # (1,)
    marked: NDArray[np.bool_]  # (1,) whether the grammar has embedded grammars


class Ending(NamedTuple):
    """What follows the hole, for shift-and; K words."""

    moves: NDArray[np.uint64]  # (256, K) bit k + 1 is set where byte k of the following text is this one
    length: int  # bytes of the following text, 0 if the hole ends its turn
    first: int  # its first byte, or -1
    opens_first: bool  # whether the hole may end right before a token
    opens_later: bool  # whether it may end inside one


class Items(NamedTuple):
    """Parts of the trie still to walk: nodes `node` up to `end`, from configurations before their bytes."""

    node: NDArray[np.int64]
    end: NDArray[np.int64]
    lexer: NDArray[np.int64]
    parser: NDArray[np.int64]
    filter: NDArray[np.int64]
    tails: NDArray[np.uint64]  # (cap, K)
    used: NDArray[np.int64]  # (1,)


@njit(cache=True, inline="always")
def has(row, bit):  # type: ignore[no-untyped-def]
    """Whether a bit set holds a bit."""
    return (row[bit >> 6] >> np.uint64(bit & 63)) & np.uint64(1) != np.uint64(0)


@njit(cache=True, inline="always")
def put(row, bit):  # type: ignore[no-untyped-def]
    """Add a bit to a bit set."""
    row[bit >> 6] |= np.uint64(1) << np.uint64(bit & 63)


@njit(cache=True)
def lowest(bits):  # type: ignore[no-untyped-def]
    """The number of the lowest bit of a word that is not zero."""
    number = 0
    for width in (32, 16, 8, 4, 2, 1):
        if bits & ((np.uint64(1) << np.uint64(width)) - np.uint64(1)) == np.uint64(0):
            number += width
            bits >>= np.uint64(width)
    return number


@njit(cache=True)
def mix(parent, state, size):  # type: ignore[no-untyped-def]
    """The slot where the search for a pair begins."""
    key = np.uint64(parent) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(state) * np.uint64(0xC2B2AE3D27D4EB4F)
    key ^= key >> np.uint64(29)
    key *= np.uint64(0xBF58476D1CE4E5B9)
    return np.int64((key >> np.uint64(32)) & np.uint64(size - 1))


@njit(cache=True)
def push(lexer: LexerTables, parser: ParserTables, stacks: Stacks, parent: int, state: int) -> int:
    """The node for `state` on `parent`, new or known; NO_SPACE if it does not fit."""
    slot = mix(parent, state, len(stacks.table))
    while True:
        node = stacks.table[slot]
        if node < 0:
            break
        if stacks.parent[node] == parent and stacks.state[node] == state:
            return node
        slot = (slot + 1) & (len(stacks.table) - 1)
    node = stacks.used[0]
    if node == len(stacks.parent):
        return NO_SPACE
    stacks.used[0] = node + 1
    stacks.table[slot] = node
    stacks.slot[node] = slot
    stacks.parent[node] = parent
    stacks.state[node] = state
    stacks.yes[node] = lexer.ignored
    stacks.no[node] = 0
    stacks.start[node] = parser.start_of[state]
    return node


@njit(cache=True)
def forget(stacks: Stacks, count: int) -> None:
    """Drop the nodes from `count` on. The last entered leave first, so no chain of the table breaks."""
    for node in range(stacks.used[0] - 1, count - 1, -1):
        stacks.table[stacks.slot[node]] = -1
    stacks.used[0] = min(stacks.used[0], count)


@njit(cache=True)
def reduce_all(parser: ParserTables, stacks: Stacks, node: int, terminal: int) -> tuple[int, int, int]:
    """Do all reductions before `terminal`: (node below, states pushed on it, next state or -1).

    The pushed states are in `stacks.scratch`. An LR parser never loops here: its grammar is unambiguous.
    """
    num_terminals = parser.shift.shape[1]
    base, height = node, 0
    state = stacks.state[node]
    while True:
        target = parser.shift[state, terminal]
        if target >= 0:
            return base, height, target
        cell = state * num_terminals + terminal
        first = parser.first_reduce[cell]
        if first == parser.first_reduce[cell + 1]:
            return base, height, -1
        production = parser.reduce[first]
        length = parser.length[production]
        popped = min(length, height)
        height -= popped
        for _ in range(length - popped):
            base = stacks.parent[base]
        state = stacks.scratch[height - 1] if height else stacks.state[base]
        state = parser.goto[state, parser.lhs[production]]
        assert height < len(stacks.scratch)
        stacks.scratch[height] = state
        height += 1


@njit(cache=True)
def acceptable(parser: ParserTables, stacks: Stacks, node: int, terminal: int) -> bool:
    """Whether `terminal` can be shifted next, after reductions."""
    if has(stacks.yes[node], terminal):
        return True
    if has(stacks.no[node], terminal):
        return False
    _, _, target = reduce_all(parser, stacks, node, terminal)
    if target >= 0:
        put(stacks.yes[node], terminal)
    else:
        put(stacks.no[node], terminal)
    return target >= 0


@njit(cache=True)
def accept_set(parser: ParserTables, stacks: Stacks, node: int) -> None:
    """Settle every terminal of a node, so that `yes` is all that can be shifted next."""
    for terminal in range(parser.shift.shape[1]):
        acceptable(parser, stacks, node, terminal)


@njit(cache=True)
def shift(lexer: LexerTables, parser: ParserTables, stacks: Stacks, node: int, terminal: int) -> int:
    """The node after `terminal`; NO_NODE, NO_SPACE or UNKNOWN."""
    if not stacks.deterministic[0]:
        return recall(stacks, node * parser.shift.shape[1] + terminal)
    base, height, target = reduce_all(parser, stacks, node, terminal)
    if target < 0:
        return NO_NODE
    for i in range(height):
        base = push(lexer, parser, stacks, base, stacks.scratch[i])
        if base < 0:
            return NO_SPACE
    return push(lexer, parser, stacks, base, target)


@njit(cache=True)
def recall(stacks: Stacks, key: int) -> int:
    """The remembered value of a key, or UNKNOWN."""
    slot = mix(key, 0, len(stacks.memo_keys))
    while stacks.memo_keys[slot] >= 0:
        if stacks.memo_keys[slot] == key:
            return stacks.memo_values[slot]
        slot = (slot + 1) & (len(stacks.memo_keys) - 1)
    return UNKNOWN


@njit(cache=True)
def remember(stacks: Stacks, key: int, value: int) -> None:
    """Enter a new key. The caller keeps the table at most half full."""
    slot = mix(key, 0, len(stacks.memo_keys))
    while stacks.memo_keys[slot] >= 0:
        slot = (slot + 1) & (len(stacks.memo_keys) - 1)
    stacks.memo_keys[slot] = key
    stacks.memo_values[slot] = value
    stacks.used[1] += 1


@njit(cache=True)
def viable(lexer: LexerTables, parser: ParserTables, stacks: Stacks, q: int, node: int) -> bool:
    """Whether some terminal that the lexeme may become can be shifted."""
    if q == 0:
        return False
    alive, yes, no = lexer.alive[q], stacks.yes[node], stacks.no[node]
    for word in range(len(alive)):
        if alive[word] & yes[word]:
            return True
    possible = parser.possible[stacks.state[node]]
    for word in range(len(alive)):
        candidates = alive[word] & possible[word] & ~no[word]
        while candidates:
            bit = lowest(candidates)
            if acceptable(parser, stacks, node, word * 64 + bit):
                return True
            candidates &= candidates - np.uint64(1)
    return False


NOT_VIABLE, VIABLE, UNSETTLED = 0, 1, 2


@njit(cache=True, inline="always")
def glance(alive, yes, no, possible, q, node, state):  # type: ignore[no-untyped-def]
    """`viable` as far as it is known already."""
    result = NOT_VIABLE
    for word in range(alive.shape[1]):
        bits = alive[q, word]
        if bits & yes[node, word]:
            result = VIABLE
            break
        if bits & possible[state, word] & ~no[node, word]:
            result = UNSETTLED
    return result


@njit(cache=True)
def step(
    lexer: LexerTables, parser: ParserTables, stacks: Stacks, q: int, node: int, byte: int
) -> tuple[int, int, int]:
    """Read a byte where a lexeme may end: (DONE, lexer state or 0, parser state), or (SPLIT or FULL, _, _)."""
    onward = lexer.next_state[q, byte]
    exclusive = lexer.exclusive[lexer.mode[q]]
    found, new_q, new_node = 0, 0, node
    for word in range(lexer.accepts.shape[1]):
        bits = lexer.accepts[q, word]
        while bits:
            terminal = word * 64 + lowest(bits)
            bits &= bits - np.uint64(1)
            after = node
            if not has(lexer.ignored, terminal):
                if not acceptable(parser, stacks, node, terminal):
                    continue
                after = shift(lexer, parser, stacks, node, terminal)
                if after < 0:
                    return FULL if after == NO_SPACE else SPLIT, 0, 0
            if stacks.marked[0]:
                return SPLIT, 0, 0
            next_q = lexer.next_state[stacks.start[after, lexer.mode[q]], byte]
            if exclusive and onward and not lexer.escapes[next_q, lexer.obligation[onward]]:
                continue
            if viable(lexer, parser, stacks, next_q, after):
                found, new_q, new_node = found + 1, next_q, after
    if found == 0:
        return DONE, onward if viable(lexer, parser, stacks, onward, node) else 0, node
    if found > 1 or (exclusive and onward) or viable(lexer, parser, stacks, onward, node):
        return SPLIT, 0, 0
    return DONE, new_q, new_node


@njit(cache=True)
def may_end(lexer: LexerTables, parser: ParserTables, stacks: Stacks, q: int, node: int) -> int:
    """1 if the text so far is in the language, 0 if not; NO_SPACE or UNKNOWN."""
    end = parser.shift.shape[1] - 1
    if lexer.is_start[q]:
        return 1 if acceptable(parser, stacks, node, end) else 0
    for word in range(lexer.accepts.shape[1]):
        bits = lexer.accepts[q, word]
        while bits:
            terminal = word * 64 + lowest(bits)
            bits &= bits - np.uint64(1)
            after = node
            if not has(lexer.ignored, terminal):
                if not acceptable(parser, stacks, node, terminal):
                    continue
                after = shift(lexer, parser, stacks, node, terminal)
                if after < 0:
                    return after
            if acceptable(parser, stacks, after, end):
                return 1
    return 0


@njit(cache=True, inline="always")
def move_tails(ending: Ending, byte, opens, before, after):  # type: ignore[no-untyped-def]
    """Tails after a byte, from `before` into `after`; `opens`: the language may end before the byte."""
    # An opening tail is one of length 0, which the shift makes one of length 1.
    carry = np.uint64(opens) << np.uint64(1)
    some = False
    for word in range(len(before)):
        after[word] = ((before[word] << np.uint64(1)) | carry) & ending.moves[byte, word]
        carry = before[word] >> np.uint64(63)
        some = some or after[word] != np.uint64(0)
    return some


@njit(cache=True)
def set_tokens(trie: TrieTables, node: int, mask: NDArray[np.uint32]) -> None:
    """Allow the tokens that end at a node of the trie."""
    for i in range(trie.first_token[node], trie.first_token[node + 1]):
        token = trie.tokens[i]
        mask[token >> 5] |= np.uint32(1) << np.uint32(token & 31)


@njit(cache=True)
def defer(items: Items, node, end, q, p, r, tails):  # type: ignore[no-untyped-def]
    """Hand a part of the trie back to the caller; False if there is no room."""
    i = items.used[0]
    if i == len(items.node):
        return False
    items.node[i], items.end[i] = node, end
    items.lexer[i], items.parser[i], items.filter[i] = q, p, r
    items.tails[i] = tails
    items.used[0] = i + 1
    return True


@njit(cache=True)
def walk_parsed(
    trie: TrieTables,
    lexer: LexerTables,
    parser: ParserTables,
    filters: RegularTables,
    stacks: Stacks,
    ending: Ending,
    todo: Items,
    deferred: Items,
    finals: Items,
    record: bool,
    levels: int,
    mask: NDArray[np.uint32],
) -> int:
    """Walk parts of the trie and allow every token after which the language may still be met.

    With `record`, nodes with tokens go to `finals` with their configurations instead of into the mask.
    `levels` is one more than the depth of the trie.
    Returns DONE, or FULL if an array was too small (then nothing in the outputs counts).
    """
    lexer_at = np.zeros(levels, dtype=np.int64)
    parser_at = np.zeros(levels, dtype=np.int64)
    filter_at = np.zeros(levels, dtype=np.int64)
    tails_at = np.zeros((levels, ending.moves.shape[1]), dtype=np.uint64)
    # Local names, and a small memo of shifts: a call counts references to every array, which costs more
    # than the work itself.
    depths, byte_of, skips, first_token = trie.depth, trie.byte, trie.skip, trie.first_token
    next_state, accepting, alive, winner = lexer.next_state, lexer.accepting, lexer.alive, lexer.winner
    modes, exclusive, ignored, filter_next = lexer.mode, lexer.exclusive, lexer.ignored, filters.next_state
    escapes, obligation, possible = lexer.escapes, lexer.obligation, parser.possible
    yes, no, state_of, start_of = stacks.yes, stacks.no, stacks.state, stacks.start
    following, marked, num_terminals = ending.length, stacks.marked[0], parser.shift.shape[1]
    memo_key = np.full(_MEMO, -1, dtype=np.int64)
    memo_value = np.zeros(_MEMO, dtype=np.int64)
    for item in range(todo.used[0]):
        node, end = todo.node[item], todo.end[item]
        base = trie.depth[node] - 1
        lexer_at[base], parser_at[base] = todo.lexer[item], todo.parser[item]
        filter_at[base], tails_at[base] = todo.filter[item], todo.tails[item]
        while node < end:
            depth = depths[node]
            byte = byte_of[node]
            q, p, r = lexer_at[depth - 1], parser_at[depth - 1], filter_at[depth - 1]
            some = False
            if following:
                opens = 0
                may_open = ending.opens_first if depth == 1 else ending.opens_later
                if q and byte == ending.first and may_open and filters.accepting[r]:
                    opens = UNKNOWN if stacks.marked[0] else may_end(lexer, parser, stacks, q, p)
                    if opens == NO_SPACE:
                        return FULL
                    if opens == UNKNOWN:
                        if not defer(deferred, node, skips[node], q, p, r, tails_at[depth - 1]):
                            return FULL
                        node = skips[node]
                        continue
                some = move_tails(ending, byte, opens, tails_at[depth - 1], tails_at[depth])
            new_q, new_p, new_r = np.int64(0), p, filter_next[r, byte]
            if q and new_r:
                onward: Any = next_state[q, byte]
                candidate, after, split = np.int64(onward), p, False
                if accepting[q] and not (exclusive[modes[q]] and not marked):
                    outcome, candidate, after = step(lexer, parser, stacks, q, p, byte)
                    if outcome == FULL:
                        return FULL
                    split = outcome == SPLIT
                elif accepting[q] and not accepting[onward]:
                    terminal = winner[q]
                    after = p
                    if not has(ignored, terminal):
                        key = p * num_terminals + terminal
                        slot = (p * 31 + terminal) & (_MEMO - 1)
                        if memo_key[slot] != key:
                            after = NO_NODE
                            if acceptable(parser, stacks, p, terminal):
                                after = shift(lexer, parser, stacks, p, terminal)
                            if after == NO_SPACE:
                                return FULL
                            if after != UNKNOWN:
                                memo_key[slot], memo_value[slot] = key, after
                        else:
                            after = memo_value[slot]
                    begun: Any = np.int64(0)
                    if after >= 0:
                        begun = np.int64(next_state[start_of[after, modes[q]], byte])
                        if begun and onward and not escapes[begun, obligation[onward]]:
                            begun = 0
                        if begun:
                            seen = glance(alive, yes, no, possible, begun, after, state_of[after])
                            if seen == NOT_VIABLE or (
                                seen == UNSETTLED and not viable(lexer, parser, stacks, begun, after)
                            ):
                                begun = 0
                    if (begun and onward) or after == UNKNOWN:
                        split = True
                    elif begun:
                        candidate = begun
                    else:
                        after = p
                if split:
                    if not defer(deferred, node, skips[node], q, p, r, tails_at[depth - 1]):
                        return FULL
                    node = skips[node]
                    continue
                if candidate:
                    seen = glance(alive, yes, no, possible, candidate, after, state_of[after])
                    if seen == VIABLE or (seen == UNSETTLED and viable(lexer, parser, stacks, candidate, after)):
                        new_q, new_p = candidate, after
            if not new_q and not some:
                node = skips[node]
                continue
            if first_token[node] != first_token[node + 1]:
                if record:
                    if not defer(finals, node, node + 1, new_q, new_p, new_r, tails_at[depth]):
                        return FULL
                else:
                    for i in range(first_token[node], first_token[node + 1]):
                        token = trie.tokens[i]
                        mask[token >> 5] |= np.uint32(1) << np.uint32(token & 31)
            lexer_at[depth], parser_at[depth], filter_at[depth] = new_q, new_p, new_r
            node += 1
    return DONE


@njit(cache=True)
def walk_regular(
    trie: TrieTables,
    regular: RegularTables,
    ending: Ending,
    todo: Items,
    finals: Items,
    record: bool,
    levels: int,
    mask: NDArray[np.uint32],
) -> int:
    """As `walk_parsed`, for a regular language: only `filter` of the items is used."""
    state_at = np.zeros(levels, dtype=np.int64)
    tails_at = np.zeros((levels, ending.moves.shape[1]), dtype=np.uint64)
    for item in range(todo.used[0]):
        node, end = todo.node[item], todo.end[item]
        base = trie.depth[node] - 1
        state_at[base], tails_at[base] = todo.filter[item], todo.tails[item]
        while node < end:
            depth = trie.depth[node]
            byte = trie.byte[node]
            state = state_at[depth - 1]
            after = regular.next_state[state, byte]
            some = False
            if ending.length:
                may_open = ending.opens_first if depth == 1 else ending.opens_later
                opens = np.int64(byte == ending.first and may_open and regular.accepting[state])
                some = move_tails(ending, byte, opens, tails_at[depth - 1], tails_at[depth])
            if not after and not some:
                node = trie.skip[node]
                continue
            if trie.first_token[node] != trie.first_token[node + 1]:
                if not record:
                    set_tokens(trie, node, mask)
                elif not defer(finals, node, node + 1, 0, 0, after, tails_at[depth]):
                    return FULL
            state_at[depth] = after
            node += 1
    return DONE


@njit(cache=True)
def refill(stacks: Stacks) -> None:
    """Enter all nodes into an empty table."""
    for node in range(stacks.used[0]):
        slot = mix(stacks.parent[node], stacks.state[node], len(stacks.table))
        while stacks.table[slot] >= 0:
            slot = (slot + 1) & (len(stacks.table) - 1)
        stacks.table[slot] = node
        stacks.slot[node] = slot
