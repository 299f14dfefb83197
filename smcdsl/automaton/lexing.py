"""Lexing as kernels: every way on from a lexer position with a byte.

An *omega* is a position inside a lexeme: lexer state, state of the filter, and obligations, which are lexer states
of earlier lexemes that could still have become longer. Longest match says they did not, so an omega ends when one
of its obligations accepts. Lexer state 0 with `room` k means that k bytes of the following text have been written.
"""

from __future__ import annotations

import numpy as np

from smcdsl.automaton.interning import add_distinct, first_of, intern, second_of
from smcdsl.automaton.layout import (
    ACCEPTS,
    ACCEPTS_START,
    AGENDA,
    ALIVE,
    CODE_ROW,
    CODES,
    EXCLUSIVE,
    FILTER_NEXT,
    FLAG,
    FREE_BITS,
    FREE_POOL,
    IS_START,
    MAX_FREE_BITS,
    MODE,
    MOVES,
    NEXT_STATE,
    NO,
    NUM_FREE_BITS,
    NUM_WORDS,
    OMEGA_FREE,
    OMEGA_Q,
    OMEGA_R,
    OMEGAS,
    OWED,
    PLAIN_OMEGA,
    RESTARTS,
    RESTARTS_START,
    ROOMS,
    SCRATCH,
    TRAPPED,
    TRAPPED_START,
    WANTED,
)
from smcdsl.automaton.memory import i32, i64, njit, set_i32, set_i64, set_u64, u8, u64

MOST_SHEDDING = 256
MOVE = 6
"""A move is (terminal that ended before the byte or NO, markers a, b, c, code, omega); see `code_of`."""


@njit()
def omega(t: int, q: int, r: int, owed: int) -> int:
    """The number of a position."""
    plain = q > 0 and r == 1 and owed == 0
    if plain and i32(i64(t, PLAIN_OMEGA), q) >= 0:
        return i32(i64(t, PLAIN_OMEGA), q)
    number = intern(t, OMEGAS, intern(t, ROOMS, q, r), owed)
    set_i32(i64(t, OMEGA_Q), number, q)
    set_i32(i64(t, OMEGA_R), number, r)
    if plain and i64(t, FLAG) == 0:
        set_i32(i64(t, PLAIN_OMEGA), q, number)
    return number


@njit(inline="always")
def code_of(t, start, byte):  # type: ignore[no-untyped-def]
    """How the next lexeme begins: as from lexer state `code >> 8` with byte `code & 255`, which stand for all alike.

    Starts with equal successors are alike; there is one code for all that the same starts are alike in.
    """
    return i32(i64(t, CODES), 256 * i32(i64(t, CODE_ROW), start) + byte)


@njit(inline="always")
def accepting(t, q):  # type: ignore[no-untyped-def]
    """Whether a lexeme may end in a lexer state."""
    starts = i64(t, ACCEPTS_START)
    return i32(starts, q + 1) > i32(starts, q)


@njit()
def owe(t: int, owed: int, state: int) -> int:
    """Obligations with one more; lists are kept in descending order from the front."""
    larger, count = i64(t, WANTED), 0
    while owed > 0 and second_of(t, OWED, owed) > state:
        if count == SCRATCH:
            set_i64(t, FLAG, -2)
            return owed
        set_i32(larger, count, second_of(t, OWED, owed))
        owed = first_of(t, OWED, owed)
        count += 1
    if owed == 0 or second_of(t, OWED, owed) < state:
        owed = intern(t, OWED, owed, state)
    for i in range(count - 1, -1, -1):
        owed = intern(t, OWED, owed, i32(larger, i))
    return owed


@njit(inline="always")
def owed_after(t: int, owed: int, byte: int) -> int:
    """Obligations after a byte; NO if one is broken."""
    result = 0
    while owed > 0:
        state = i32(i64(t, NEXT_STATE), 256 * second_of(t, OWED, owed) + byte)
        owed = first_of(t, OWED, owed)
        if state == 0:
            continue
        if accepting(t, state):
            return NO
        result = owe(t, result, state)
    return result


@njit()
def escapes(t: int, q: int, owed: int) -> bool:
    """Whether a lexeme in state `q` may get rid of all obligations."""
    while owed > 0:
        state = second_of(t, OWED, owed)
        low, high = i32(i64(t, TRAPPED_START), state), i32(i64(t, TRAPPED_START), state + 1)
        while low < high:
            middle = (low + high) >> 1
            found = i32(i64(t, TRAPPED), middle)
            if found == q:
                return False
            if found < q:
                low = middle + 1
            else:
                high = middle
        owed = first_of(t, OWED, owed)
    return True


@njit()
def add_move(t: int, count: int, first: int, terminal: int, restart: int, code: int, to: int) -> int:
    """Append a move unless one from `first` on is alike; `restart` is the number of a restart or NO. The new count."""
    for i in range(first, count):
        known = i64(t, MOVES) + 4 * MOVE * i
        alike = i32(known, 5) == to and i32(known, 0) == terminal
        for k in range(3):
            alike = alike and i32(known, 1 + k) == (NO if restart < 0 else i32(i64(t, RESTARTS), 5 * restart + k))
        if alike:
            return count
    if MOVE * (count + 1) > SCRATCH:
        set_i64(t, FLAG, -2)
        return count
    moves = i64(t, MOVES) + 4 * MOVE * count
    set_i32(moves, 0, terminal)
    for k in range(3):
        set_i32(moves, 1 + k, NO if restart < 0 else i32(i64(t, RESTARTS), 5 * restart + k))
    set_i32(moves, 4, code)
    set_i32(moves, 5, to)
    return count + 1


@njit()
def find_moves(t: int, here: int, byte: int) -> int:
    """Write all moves from position `here` with a byte into MOVES; how many."""
    q, r = i32(i64(t, OMEGA_Q), here), i32(i64(t, OMEGA_R), here)
    owed = second_of(t, OMEGAS, here)
    if i64(t, FILTER_NEXT):
        r = i32(i64(t, FILTER_NEXT), 256 * r + byte)
        if r == 0:
            return 0
    count = 0
    owed_now = owed_after(t, owed, byte) if owed > 0 else np.int64(0)
    onward = i32(i64(t, NEXT_STATE), 256 * q + byte)
    if onward and owed_now >= 0 and (owed_now == 0 or escapes(t, onward, owed_now)):
        count = add_move(t, count, count, NO, NO, NO, omega(t, onward, r, owed_now))
    if not accepting(t, q):
        return count
    longest = u8(i64(t, EXCLUSIVE), i32(i64(t, MODE), q))
    shut = longest and (owed_now < 0 or (onward != 0 and accepting(t, onward)))
    for i in range(i32(i64(t, ACCEPTS_START), q), i32(i64(t, ACCEPTS_START), q + 1)):
        terminal, first = i32(i64(t, ACCEPTS), i), count
        for k in range(i32(i64(t, RESTARTS_START), terminal), i32(i64(t, RESTARTS_START), terminal + 1)):
            plain = i32(i64(t, RESTARTS), 5 * k + 4)
            if shut and plain:
                continue
            start = i32(i64(t, RESTARTS), 5 * k + 3)
            begun = i32(i64(t, NEXT_STATE), 256 * start + byte)
            if begun == 0:
                continue
            owes = np.int64(0)
            if longest and plain:
                owes = owe(t, owed_now, onward) if onward else owed_now
                if owes > 0 and not escapes(t, begun, owes):
                    continue
            count = add_move(t, count, first, terminal, k, code_of(t, start, byte), omega(t, begun, r, owes))
    return count


@njit(inline="always")
def between(t, q):  # type: ignore[no-untyped-def]
    """Whether a lexer state is between two lexemes."""
    return u8(i64(t, IS_START), q) != 0


@njit()
def free_terminals(t: int, here: int) -> int:
    """The address of a bit set: terminals that the lexeme at a position may become after it has shed all obligations.

    Not all of them if there are very many ways to shed them.
    """
    words, bits = i64(t, NUM_WORDS), i64(t, FREE_BITS)
    row = i32(i64(t, OMEGA_FREE), here)
    if row >= 0:
        return bits + 8 * words * row
    row = i64(t, NUM_FREE_BITS)
    if row >= i64(t, MAX_FREE_BITS):
        set_i64(t, FLAG, FREE_POOL + 1)
        return bits
    bits += 8 * words * row
    for word in range(words):
        set_u64(bits, word, np.uint64(0))
    agenda, count, done = i64(t, AGENDA), 1, 0
    set_i32(agenda, 0, here)
    while done < count:
        position = i32(agenda, done)
        done += 1
        q, owed = i32(i64(t, OMEGA_Q), position), second_of(t, OMEGAS, position)
        for byte in range(256):
            onward = i32(i64(t, NEXT_STATE), 256 * q + byte)
            if onward == 0:
                continue
            owed_now = owed_after(t, owed, byte)
            if owed_now == 0:
                for word in range(words):
                    set_u64(bits, word, u64(bits, word) | u64(i64(t, ALIVE), words * onward + word))
            elif owed_now > 0 and count < MOST_SHEDDING and escapes(t, onward, owed_now):
                count = add_distinct(t, agenda, count, omega(t, onward, 1, owed_now))
    if i64(t, FLAG) == 0:
        set_i64(t, NUM_FREE_BITS, row + 1)
        set_i32(i64(t, OMEGA_FREE), here, row)
    return bits
