"""Tails, as kernels: after how much of the following text a text of the language may stand, as bits.

Bit k says that the text so far is some text of the language followed by the first k bytes of what follows the hole.
A byte moves them by shift-and. Sets of bits are interned word by word.
"""

from __future__ import annotations

import numpy as np

from smcdsl.automaton.interning import first_of, intern, second_of
from smcdsl.automaton.layout import TAIL_MOVES, TAIL_NOW, TAIL_WORDS, TAILS, WORDS
from smcdsl.automaton.memory import i64, njit, set_u64, u64

_LOW_HALF = np.uint64(0xFFFFFFFF)


@njit()
def load_tails(t: int, tails: int) -> None:
    """Write an interned set into TAIL_NOW."""
    now, words = i64(t, TAIL_NOW), i64(t, TAIL_WORDS)
    for i in range(words):
        set_u64(now, i, np.uint64(0))
    for i in range(words):
        if tails == 0:
            break
        word = second_of(t, TAILS, tails)
        high, low = first_of(t, WORDS, word), second_of(t, WORDS, word)
        set_u64(now, i, (np.uint64(high) << np.uint64(32)) | (np.uint64(low) & _LOW_HALF))
        tails = first_of(t, TAILS, tails)


@njit(inline="always")
def keep_tails(t: int) -> int:
    """The number of the set in TAIL_NOW, 0 if it is empty."""
    now = i64(t, TAIL_NOW)
    tails = 0
    for i in range(i64(t, TAIL_WORDS) - 1, -1, -1):
        word = u64(now, i)
        if tails == 0 and word == np.uint64(0):
            continue
        high = np.int64(np.int32(np.int64(word >> np.uint64(32))))
        low = np.int64(np.int32(np.int64(word & _LOW_HALF)))
        tails = intern(t, TAILS, tails, intern(t, WORDS, high, low))
    return tails


@njit(inline="always")
def move_tails(t: int, byte: int, opens: bool) -> bool:
    """Move TAIL_NOW by a byte; `opens`: the language may end before it. Whether any are left."""
    now, moves, words = i64(t, TAIL_NOW), i64(t, TAIL_MOVES), i64(t, TAIL_WORDS)
    # An opening tail is one of length 0, which the shift makes one of length 1.
    carry = np.uint64(2) if opens else np.uint64(0)
    some = False
    for i in range(words):
        word = u64(now, i)
        moved = ((word << np.uint64(1)) | carry) & u64(moves, byte * words + i)
        carry = word >> np.uint64(63)
        set_u64(now, i, moved)
        some = some or moved != np.uint64(0)
    return some


@njit(inline="always")
def longest_tail(t: int) -> int:
    """The longest tail in TAIL_NOW, 0 if there is none."""
    now = i64(t, TAIL_NOW)
    for i in range(i64(t, TAIL_WORDS) - 1, -1, -1):
        word = u64(now, i)
        if word:
            length = 0
            while word > np.uint64(1):
                word >>= np.uint64(1)
                length += 1
            return 64 * i + length
    return 0
