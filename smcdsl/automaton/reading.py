"""Reading tokens, as kernels: from state to state, one token or one batch at a time.

A *hypothesis* is a position in a lexeme and a stack; a *config* is a set of hypotheses, a *place* a config with its
tails, a *state* a place with the number of tokens if it is limited. All are interned, so a token that was read
before costs one look-up.
"""

from __future__ import annotations

import numpy as np

from smcdsl.automaton.deciding import explain, is_fresh, row_of_place, start_at, those_alike
from smcdsl.automaton.interning import find, first_of, intern, second_of
from smcdsl.automaton.layout import (
    ACCEPTS,
    ACCEPTS_START,
    ARGUMENT,
    ASK_CONFIG,
    CLOCK,
    CONFIG_POSSIBLE,
    CONFIGS,
    COUNT_FROM,
    COUNT_TO,
    COUNTS,
    DONE,
    FILTER_ACCEPTS,
    FILTER_NEXT,
    FIRST_TOKEN,
    FLAG,
    FOLLOWING,
    FULL,
    HYPOTHESES,
    IGNORED,
    IS_GENERALISED,
    IS_LOCAL,
    LEAST,
    MASK_WORDS,
    MODE,
    MOST,
    MOVES,
    NEW_NODE,
    NEW_OMEGA,
    NEXT_STATE,
    NO,
    NUM_FOLLOWING,
    NUM_MODES,
    NUM_TRIE,
    NUM_TURN_ENDS,
    OLD_NODE,
    OLD_OMEGA,
    OMEGA_Q,
    OMEGA_R,
    OMEGAS,
    PLACES,
    ROW_AGE,
    ROWS,
    SCRATCH,
    SPECIAL,
    STATE_AGE,
    STATE_DONE,
    STATE_ROW,
    STATES,
    SUCCESSOR,
    SUCCESSORS,
    TEXT,
    TEXT_START,
    TRIE_BYTE,
    TRIE_DEPTH,
    TRIE_SKIP,
    TRIE_TOKENS,
    TURN_ENDS,
    VOCAB_SIZE,
)
from smcdsl.automaton.lexing import MOVE, accepting, between, escapes, find_moves, free_terminals
from smcdsl.automaton.memory import i32, i64, njit, set_i32, set_i64, set_u8, u8
from smcdsl.automaton.parsing import after_lexeme, ends_after, shift, union, viable, viable_of
from smcdsl.automaton.tails import keep_tails, load_tails, longest_tail, move_tails

DEAD = -1
ASKS, SPECIALS, FULLS = -2, -3, -4
"""Instead of a state: a search must tell if ARGUMENT, a config, can be completed; the limits must tell; no room."""


@njit(inline="always")
def viable_at(t: int, here: int, node: int) -> bool:
    """Whether what a lexeme may become is something that the parser can shift."""
    q = i32(i64(t, OMEGA_Q), here)
    if between(t, q) and ends_after(t, node, i32(i64(t, MODE), q)):
        return True
    owed = second_of(t, OMEGAS, here)
    return (owed == 0 or escapes(t, q, owed)) and viable(t, q, node)


@njit()
def may_end_at(t: int, here: int, node: int) -> bool:
    """Whether a text of the language may end in a hypothesis."""
    q = i32(i64(t, OMEGA_Q), here)
    if i64(t, FILTER_NEXT) and not u8(i64(t, FILTER_ACCEPTS), i32(i64(t, OMEGA_R), here)):
        return False
    mode = i32(i64(t, MODE), q)
    if between(t, q):
        return ends_after(t, node, mode)
    for i in range(i32(i64(t, ACCEPTS_START), q), i32(i64(t, ACCEPTS_START), q + 1)):
        after = after_lexeme(t, node, i32(i64(t, ACCEPTS), i))
        if after >= 0 and ends_after(t, after, mode):
            return True
    return False


@njit(inline="always")
def may_end(t: int, config: int) -> bool:
    """Whether the text of a config is in the language."""
    while config > 0:
        hypothesis = second_of(t, CONFIGS, config)
        if may_end_at(t, first_of(t, HYPOTHESES, hypothesis), second_of(t, HYPOTHESES, hypothesis)):
            return True
        config = first_of(t, CONFIGS, config)
    return False


@njit(inline="always")
def follow(t: int, node: int, move: int) -> int:
    """The node after what a move ends and enters, or NO."""
    terminal, code = i32(move, 0), i32(move, 4)
    if terminal == NO:
        return node
    plain = i32(move, 1) == NO
    if u8(i64(t, IGNORED), terminal):
        if plain:
            node = those_alike(t, node, code)
    else:
        node = shift(t, node, terminal, code if plain else NO)
    for k in range(1, 4):
        marker = i32(move, k)
        if marker >= 0 and node >= 0:
            last = k == 3 or i32(move, k + 1) == NO
            node = shift(t, node, marker, code if last else NO)
    return node


@njit(inline="always")
def add_hypothesis(t: int, count: int, here: int, node: int) -> int:
    """Append to the new hypotheses, once; stacks that read on alike become one node. The new count."""
    heres, nodes = i64(t, NEW_OMEGA), i64(t, NEW_NODE)
    for i in range(count):
        if i32(heres, i) == here:
            other = i32(nodes, i)
            if other == node:
                return count
            if i64(t, IS_GENERALISED) and _starts_alike(t, other, node):
                set_i32(nodes, i, union(t, other, node))
                return count
    if count >= SCRATCH:
        set_i64(t, FLAG, -4)
        return count
    set_i32(heres, count, here)
    set_i32(nodes, count, node)
    return count + 1


@njit(inline="always")
def _starts_alike(t: int, one: int, two: int) -> bool:
    for mode in range(i64(t, NUM_MODES)):
        if start_at(t, one, mode) != start_at(t, two, mode):
            return False
    return True


@njit(inline="always")
def unpack(t: int, config: int) -> int:
    """Write a config's hypotheses into the old arrays; how many."""
    heres, nodes = i64(t, OLD_OMEGA), i64(t, OLD_NODE)
    count = 0
    while config > 0 and count < SCRATCH:
        hypothesis = second_of(t, CONFIGS, config)
        set_i32(heres, count, first_of(t, HYPOTHESES, hypothesis))
        set_i32(nodes, count, second_of(t, HYPOTHESES, hypothesis))
        config = first_of(t, CONFIGS, config)
        count += 1
    return count


@njit(inline="always")
def pack(t: int, count: int) -> int:
    """The config of the old hypotheses, those that cannot be completed left out; 0 if none is left."""
    heres, nodes = i64(t, OLD_OMEGA), i64(t, OLD_NODE)
    kept = 0
    for i in range(count):
        here, node = i32(heres, i), i32(nodes, i)
        if viable_at(t, here, node):
            # Insertion in order, so that equal sets are equal configs.
            at = kept
            while at > 0 and (i32(heres, at - 1) > here or (i32(heres, at - 1) == here and i32(nodes, at - 1) > node)):
                set_i32(heres, at, i32(heres, at - 1))
                set_i32(nodes, at, i32(nodes, at - 1))
                at -= 1
            set_i32(heres, at, here)
            set_i32(nodes, at, node)
            kept += 1
    config = 0
    for i in range(kept):
        config = intern(t, CONFIGS, config, intern(t, HYPOTHESES, i32(heres, i), i32(nodes, i)))
    return config


@njit(inline="always")
def read_byte(t: int, count: int, byte: int) -> int:
    """Move the old hypotheses by a byte; how many there are then."""
    fresh = 0
    for i in range(count):
        here, node = i32(i64(t, OLD_OMEGA), i), i32(i64(t, OLD_NODE), i)
        moves = i64(t, MOVES)
        found = find_moves(t, here, byte)
        for k in range(found):
            move = moves + 4 * MOVE * k
            after = follow(t, node, move)
            if after >= 0:
                to = i32(move, 5)
                if i32(move, 0) == NO or viable(t, i32(i64(t, OMEGA_Q), to), after):
                    fresh = add_hypothesis(t, fresh, to, after)
    old, nodes = i64(t, OLD_OMEGA), i64(t, OLD_NODE)
    set_i64(t, OLD_OMEGA, i64(t, NEW_OMEGA))
    set_i64(t, OLD_NODE, i64(t, NEW_NODE))
    set_i64(t, NEW_OMEGA, old)
    set_i64(t, NEW_NODE, nodes)
    return fresh


@njit(inline="always")
def any_may_end(t: int, count: int) -> bool:
    """Whether the language may end in one of the old hypotheses."""
    for i in range(count):
        if may_end_at(t, i32(i64(t, OLD_OMEGA), i), i32(i64(t, OLD_NODE), i)):
            return True
    return False


@njit()
def allows_end(t: int, count: int) -> bool:
    """Whether a hole of so many tokens is within the limits."""
    return i64(t, LEAST) <= count and (i64(t, MOST) < 0 or count <= i64(t, MOST))


@njit()
def read_text(t: int, place: int, text: int, length: int, opens_first: bool, opens_later: bool) -> int:
    """The place after some bytes, 0 if there is none; ASKS if a search must tell."""
    count = unpack(t, first_of(t, PLACES, place))
    load_tails(t, second_of(t, PLACES, place))
    following = i64(t, NUM_FOLLOWING)
    some = second_of(t, PLACES, place) > 0
    for i in range(length):
        byte = u8(text, i)
        if following:
            opens = opens_first if i == 0 else opens_later
            opens = opens and byte == u8(i64(t, FOLLOWING), 0) and any_may_end(t, count)
            some = move_tails(t, byte, opens)
        count = read_byte(t, count, byte)
        if i64(t, FLAG) or (count == 0 and not some):
            return 0
    config = pack(t, count)
    tails = keep_tails(t) if following else np.int64(0)
    if i64(t, FLAG):
        return 0
    if config > 0 and (not i64(t, IS_LOCAL) or owes_all(t, config)):
        possible = i32(i64(t, CONFIG_POSSIBLE), config)
        if possible < 0:
            set_i64(t, ARGUMENT, config)
            return ASKS
        if not possible:
            config = 0
    if config == 0 and tails == 0:
        return 0
    return intern(t, PLACES, config, tails)


@njit(inline="always")
def owes_all(t: int, config: int) -> bool:
    """Whether every hypothesis owes something that it may never get rid of: then only a search tells."""
    while config > 0:
        hypothesis = second_of(t, CONFIGS, config)
        here, node = first_of(t, HYPOTHESES, hypothesis), second_of(t, HYPOTHESES, hypothesis)
        if second_of(t, OMEGAS, here) == 0 or viable_of(t, free_terminals(t, here), node):
            return False
        config = first_of(t, CONFIGS, config)
    return True


@njit()
def state(t: int, place: int, count: int) -> int:
    """The state of a place after so many tokens; whether the hole has ended is settled once."""
    before = find(t, STATES, place, count + 1)
    if before >= 0:
        return before
    number = intern(t, STATES, place, count + 1)
    done = 0
    if count < 0:
        done = 1
    elif i64(t, NUM_FOLLOWING):
        load_tails(t, second_of(t, PLACES, place))
        longest = longest_tail(t)
        if longest > 0 and (longest == i64(t, NUM_FOLLOWING) or first_of(t, PLACES, place) == 0):
            done = 1 + longest
    set_i32(i64(t, STATE_DONE), number, done)
    return number


@njit()
def is_special(t: int, count: int) -> bool:
    """Whether limits may matter at a count."""
    return count < i64(t, COUNT_FROM) or count > i64(t, COUNT_TO)


@njit()
def advance(t: int, before: int, token: int) -> int:
    """The state after a token, DEAD, or what the caller must do first."""
    if before < 0:
        return DEAD
    known = find(t, SUCCESSORS, before, token)
    if known >= 0:
        return i32(i64(t, SUCCESSOR), known)
    if i32(i64(t, STATE_DONE), before):
        return DEAD
    place, count = first_of(t, STATES, before), second_of(t, STATES, before) - 1
    if is_special(t, count):
        return SPECIALS
    after = read_token(t, place, count, token)
    if i64(t, FLAG):
        return FULLS
    if after < DEAD:
        return after
    entry = intern(t, SUCCESSORS, before, token)
    if i64(t, FLAG):
        return FULLS
    set_i32(i64(t, SUCCESSOR), entry, after)
    return after


@njit()
def read_token(t: int, place: int, count: int, token: int) -> int:
    """`advance` without memory and without regard to what limits leave of the rest."""
    if token < 0 or token >= i64(t, VOCAB_SIZE):
        return DEAD
    for i in range(i64(t, NUM_TURN_ENDS)):
        if i32(i64(t, TURN_ENDS), i) == token:
            if allows_end(t, count) and may_end(t, first_of(t, PLACES, place)):
                return state(t, intern(t, PLACES, 0, 0), -1)
            return DEAD
    starts = i64(t, TEXT_START)
    first, length = i64(starts, token), i64(starts, token + 1) - i64(starts, token)
    if length == 0:
        return DEAD
    counted = count + 1 if i64(t, COUNTS) else np.int64(0)
    after = read_text(t, place, i64(t, TEXT) + first, length, allows_end(t, count), allows_end(t, counted))
    if after < 0:
        return after
    if after == 0 or i64(t, FLAG):
        return DEAD
    return state(t, after, counted)


@njit()
def read_all(t: int, first: int, count: int, place: int, counted: int, tokens: int, after: int) -> int:
    """`read_token` for many tokens from one place; arrays and codes as in `advance_all`."""
    for i in range(first, count):
        set_i64(t, FLAG, 0)
        set_i64(t, ARGUMENT, 0)
        result = read_token(t, place, counted, i64(tokens, i))
        if result < DEAD or i64(t, FLAG):
            set_i64(after, count, i)
            return FULL if i64(t, FLAG) else ASK_CONFIG
        set_i64(after, i, result)
    return DONE


@njit()
def reached(t: int, q: int, marks: int) -> bool:
    """Mark the lexer states in which tokens from state `q` end (u8 at `marks`).

    Returns whether some token ends in following text. For regular languages.
    """
    next_state, depths = i64(t, NEXT_STATE), i64(t, TRIE_DEPTH)
    # OLD_OMEGA holds the states along the path; tails are tried where the language may end.
    path = i64(t, OLD_OMEGA)
    set_i32(path, 0, q)
    ends = False
    node = 1
    while node < i64(t, NUM_TRIE):
        depth, byte = i32(depths, node), u8(i64(t, TRIE_BYTE), node)
        before = i32(path, depth - 1)
        if i64(t, NUM_FOLLOWING) and not ends and accepting(t, before) and byte == u8(i64(t, FOLLOWING), 0):
            ends = _spells_following(t, node)
        after = i32(next_state, 256 * before + byte)
        set_i32(path, depth, after)
        if after == 0:
            node = i32(i64(t, TRIE_SKIP), node)
            continue
        if i32(i64(t, FIRST_TOKEN), node) != i32(i64(t, FIRST_TOKEN), node + 1):
            set_u8(marks, after, 1)
        node += 1
    return ends


@njit()
def inside(t: int, q: int, top: int, states: int, cuts: int, most: int) -> int:
    """Write for tokens under a node of the trie the lexer states in which they end (i32 (V,) at `states`).

    They are read from `q` on, what leads to the node left out, within one lexeme; others are passed over. Nodes at
    which a lexeme may end and some byte ends it, and the state there, are written in pairs (i32 at `cuts`), but no
    more than `most`. Returns how many there are.
    """
    next_state, depths, path = i64(t, NEXT_STATE), i64(t, TRIE_DEPTH), i64(t, OLD_OMEGA)
    first_token, tokens = i64(t, FIRST_TOKEN), i64(t, TRIE_TOKENS)
    set_i32(path, i32(depths, top), q)
    # NEW_OMEGA holds the nodes along the path, negative once one is written down.
    nodes = i64(t, NEW_OMEGA)
    set_i32(nodes, i32(depths, top), top)
    node, found = top + 1, 0
    while node < i32(i64(t, TRIE_SKIP), top):
        depth = i32(depths, node)
        before = i32(path, depth - 1)
        after = i32(next_state, 256 * before + u8(i64(t, TRIE_BYTE), node))
        if after == 0:
            parent = i32(nodes, depth - 1)
            if parent >= 0 and accepting(t, before):
                set_i32(nodes, depth - 1, -1)
                if found < most:
                    set_i32(cuts, 2 * found, parent)
                    set_i32(cuts, 2 * found + 1, before)
                found += 1
            node = i32(i64(t, TRIE_SKIP), node)
            continue
        set_i32(path, depth, after)
        set_i32(nodes, depth, node)
        for i in range(i32(first_token, node), i32(first_token, node + 1)):
            set_i32(states, i32(tokens, i), after)
        node += 1
    return found


@njit(inline="always")
def _spells_following(t: int, node: int) -> bool:
    """Whether a token goes on from a node of the trie (byte included) with following text and ends within it."""
    at = 0
    end = i64(t, NUM_TRIE)
    while node < end and at < i64(t, NUM_FOLLOWING):
        if u8(i64(t, TRIE_BYTE), node) != u8(i64(t, FOLLOWING), at):
            node = i32(i64(t, TRIE_SKIP), node)
            continue
        if i32(i64(t, FIRST_TOKEN), node) != i32(i64(t, FIRST_TOKEN), node + 1):
            return True
        end = i32(i64(t, TRIE_SKIP), node)
        node += 1
        at += 1
    return False


@njit()
def row_of_state(t: int, number: int) -> int:
    """The row of a state, or NO with ARGUMENT and FLAG set; SPECIALS if limits must tell."""
    known = i32(i64(t, STATE_ROW), number)
    if is_fresh(t, known, i32(i64(t, STATE_AGE), number)):
        return known
    place = first_of(t, STATES, number)
    if i32(i64(t, STATE_DONE), number):
        place = intern(t, PLACES, 0, 0)
    elif is_special(t, second_of(t, STATES, number) - 1):
        return SPECIALS
    row = row_of_place(t, place)
    if row >= 0 and i64(t, FLAG) == 0:
        set_i32(i64(t, STATE_ROW), number, row)
        set_i32(i64(t, STATE_AGE), number, i32(i64(t, ROW_AGE), row))
    return row


@njit()
def fill_rows(t: int, first: int, count: int, states: int, rows: int, out: int) -> int:
    """Rows of states from `first` on, and their bits to `out` if that is not 0: a code, ARGUMENT says where it stopped.

    The address `rows` gets one int64 a state. After a code other than DONE the caller helps and calls again; rows
    before the one that stopped stay good.
    """
    if first == 0:
        # Not when the same batch goes on: its rows so far must not be older than the rest, and be given up for it.
        set_i64(t, CLOCK, i64(t, CLOCK) + 1)
    words = i64(t, MASK_WORDS)
    for i in range(first, count):
        set_i64(t, ARGUMENT, 0)
        set_i64(t, FLAG, 0)
        number = i64(states, i)
        row = row_of_state(t, number)
        if i64(t, FLAG) or row < 0:
            set_i64(rows, count, i)
            return SPECIAL if row == SPECIALS and i64(t, FLAG) == 0 else explain(t)
        set_i64(rows, i, row)
        if out:
            stored, into = i64(t, ROWS) + 8 * words * row, out + 8 * words * i
            for k in range(words):
                set_i64(into, k, i64(stored, k))
    return DONE


@njit()
def advance_all(t: int, first: int, count: int, states: int, tokens: int, after: int) -> int:
    """States after one token each, from `first` on: a code. `after` has room for one more, where it stopped."""
    for i in range(first, count):
        set_i64(t, FLAG, 0)
        set_i64(t, ARGUMENT, 0)
        result = advance(t, i64(states, i), i64(tokens, i))
        if result < DEAD or i64(t, FLAG):
            set_i64(after, count, i)
            if i64(t, FLAG) or result == FULLS:
                return FULL
            return SPECIAL if result == SPECIALS else ASK_CONFIG
        set_i64(after, i, result)
    return DONE


@njit()
def advance_one(t: int, before: int, token: int) -> int:
    """`advance` with FLAG and ARGUMENT cleared."""
    set_i64(t, FLAG, 0)
    set_i64(t, ARGUMENT, 0)
    return advance(t, before, token)


@njit()
def row_one(t: int, number: int) -> int:
    """`row_of_state` with FLAG and ARGUMENT cleared and the clock moved on."""
    set_i64(t, FLAG, 0)
    set_i64(t, ARGUMENT, 0)
    set_i64(t, CLOCK, i64(t, CLOCK) + 1)
    return row_of_state(t, number)
