"""Interned pairs: the one structure under stacks, hypotheses, configurations and memos.

A pool holds pairs of ints, each once, under a number; 0 is no pair. When a pool is full the number is 0 and
FLAG is set: whatever is computed from then on does not count, and the caller makes room and begins again.
"""

from __future__ import annotations

import numpy as np

from smcdsl.automaton.layout import (
    CAPACITY,
    FIRST,
    FIRST_POOL,
    FLAG,
    POOL_SLOTS,
    SCRATCH,
    SECOND,
    TABLE,
    TABLE_MASK,
    USED,
)
from smcdsl.automaton.memory import i32, i64, njit, set_i32, set_i64


@njit(inline="always")
def slot_of(pool, first, second, mask):  # type: ignore[no-untyped-def]
    """Where the search for a pair begins."""
    key = np.uint64(first) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(second) * np.uint64(0xC2B2AE3D27D4EB4F)
    key ^= key >> np.uint64(29)
    key *= np.uint64(0xBF58476D1CE4E5B9)
    return np.int64(key >> np.uint64(32)) & mask


@njit(inline="always")
def _look_up(t, at, pool, first, second):  # type: ignore[no-untyped-def]
    """(number of a pair or -1, slot of the table that has it or could)."""
    table, mask = i64(t, at + TABLE), i64(t, at + TABLE_MASK)
    firsts, seconds = i64(t, at + FIRST), i64(t, at + SECOND)
    slot = slot_of(pool, first, second, mask)
    number = i32(table, slot)
    while number >= 0 and (i32(firsts, number) != first or i32(seconds, number) != second):
        slot = (slot + 1) & mask
        number = i32(table, slot)
    return number, slot


@njit()
def find(t: int, pool: int, first: int, second: int) -> int:
    """The number of a pair, or -1."""
    return _look_up(t, FIRST_POOL + POOL_SLOTS * pool, pool, first, second)[0]


@njit()
def intern(t: int, pool: int, first: int, second: int) -> int:
    """The number of a pair, new or known; 0, with FLAG set, if there is no room."""
    at = FIRST_POOL + POOL_SLOTS * pool
    number, slot = _look_up(t, at, pool, first, second)
    if number >= 0:
        return number
    number = i64(t, at + USED)
    if number >= i64(t, at + CAPACITY):
        set_i64(t, FLAG, pool + 1)
        return 0
    set_i64(t, at + USED, number + 1)
    set_i32(i64(t, at + FIRST), number, first)
    set_i32(i64(t, at + SECOND), number, second)
    set_i32(i64(t, at + TABLE), slot, number)
    return number


@njit(inline="always")
def first_of(t, pool, number):  # type: ignore[no-untyped-def]
    """The first of an interned pair."""
    return i32(i64(t, FIRST_POOL + POOL_SLOTS * pool + FIRST), number)


@njit(inline="always")
def second_of(t, pool, number):  # type: ignore[no-untyped-def]
    """The second of an interned pair."""
    return i32(i64(t, FIRST_POOL + POOL_SLOTS * pool + SECOND), number)


@njit(inline="always")
def used(t, pool):  # type: ignore[no-untyped-def]
    """How many numbers are taken, 0 included."""
    return i64(t, FIRST_POOL + POOL_SLOTS * pool + USED)


@njit()
def refill(t: int, pool: int) -> None:
    """Enter all pairs into an empty table, in order of age."""
    at = FIRST_POOL + POOL_SLOTS * pool
    table, mask = i64(t, at + TABLE), i64(t, at + TABLE_MASK)
    firsts, seconds = i64(t, at + FIRST), i64(t, at + SECOND)
    for number in range(1, i64(t, at + USED)):
        slot = slot_of(pool, i32(firsts, number), i32(seconds, number), mask)
        while i32(table, slot) >= 0:
            slot = (slot + 1) & mask
        set_i32(table, slot, number)


@njit(inline="always")
def forget(t: int, pool: int, count: int) -> None:
    """Drop the pairs from number `count` on. The last entered leave first, so no chain of the table breaks."""
    at = FIRST_POOL + POOL_SLOTS * pool
    table, mask = i64(t, at + TABLE), i64(t, at + TABLE_MASK)
    firsts, seconds = i64(t, at + FIRST), i64(t, at + SECOND)
    for number in range(i64(t, at + USED) - 1, count - 1, -1):
        slot = slot_of(pool, i32(firsts, number), i32(seconds, number), mask)
        while i32(table, slot) != number:
            slot = (slot + 1) & mask
        set_i32(table, slot, -1)
    if i64(t, at + USED) > count:
        set_i64(t, at + USED, count)


@njit()
def add_distinct(t: int, array: int, count: int, value: int) -> int:
    """Append a value to a scratch array unless it is there; the new length. FLAG is set if there are too many."""
    for i in range(count):
        if i32(array, i) == value:
            return count
    if count >= SCRATCH:
        set_i64(t, FLAG, -1)
        return count
    set_i32(array, count, value)
    return count + 1
