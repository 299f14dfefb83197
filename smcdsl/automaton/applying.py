"""Masks applied to rows of numbers, packed as they are: what is allowed is gathered and drawn from, the rest closed.

Only words of a mask with a bit in them are looked at, and a word that allows all is copied, or passed over, whole.
Arrays come as arrays here: a call does the work of many rows, beside which what numba does for each array is little.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from smcdsl.automaton.memory import count_ones, njit, trailing_zeros
from smcdsl.log_rows import Allowed

_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
_ALL_32 = np.uint32(0xFFFFFFFF)


def gather(
    table: NDArray[np.uint64],
    numbers: NDArray[np.int64],
    values: NDArray[np.floating[Any]],
    rows: NDArray[np.int64],
    less: NDArray[np.float64] | None = None,
) -> Allowed:
    """Gather what masks allow.

    Args:
        table: (R, W) masks; no bit beyond the columns of `values` is set.
        numbers: (D,) rows of `table`.
        values: (M, V).
        rows: (D,) the row of `values` that each mask goes with.
        less: (M,) what is taken from the values of each row.
    """
    assert values.shape[1] > 64 * (table.shape[1] - 1), "masks are of the same vocabulary"
    starts = np.empty(len(numbers) + 1, dtype=np.int64)
    count_allowed(table, numbers, starts)
    tokens = np.empty(starts[-1], dtype=np.int32)
    found = np.empty(starts[-1], dtype=values.dtype)
    gather_allowed(table, numbers, np.ascontiguousarray(values), rows, starts, tokens, found)
    if less is not None:
        lower(found, starts, less[rows])
    return Allowed(starts, tokens, found)


@njit()
def count_allowed(table, numbers, starts):  # type: ignore[no-untyped-def]
    """Write `Allowed.starts`."""
    total = 0
    starts[0] = 0
    for i in range(len(numbers)):
        for w in range(table.shape[1]):
            total += count_ones(table[numbers[i], w])
        starts[i + 1] = total


@njit()
def gather_allowed(table, numbers, values, rows, starts, tokens, found):  # type: ignore[no-untyped-def]
    """Write `Allowed.tokens` and `Allowed.values`."""
    one, width = np.uint64(1), np.uint64(64)
    for i in range(len(numbers)):
        mask, row = table[numbers[i]], values[rows[i]]
        own_tokens, own = tokens[starts[i] : starts[i + 1]], found[starts[i] : starts[i + 1]]
        # Unsigned throughout: numba asks of signed indices whether they count from the end (40 us a row, else 60).
        at = np.uint64(0)
        for w in range(len(mask)):
            word, first = mask[w], width * np.uint64(w)
            if word == _ALL:
                for k in range(width):
                    own_tokens[at + k] = first + k
                    own[at + k] = row[first + k]
                at += width
                continue
            while word:
                token = first + trailing_zeros(word)
                own_tokens[at] = token
                own[at] = row[token]
                at += one
                word &= word - one


@njit()
def lower(values, starts, less):  # type: ignore[no-untyped-def]
    """Take (D,) numbers from the values of rows."""
    for i in range(len(starts) - 1):
        own, number = values[starts[i] : starts[i + 1]], less[i]
        for k in range(len(own)):
            own[k] -= number


@njit()
def cumulate(values, starts, edges):  # type: ignore[no-untyped-def]
    """Write sums of float64 from the start of each row on into `edges`."""
    # Two rows at a time: a sum waits for the one before it, and not for the other row's.
    for i in range(0, len(starts) - 1, 2):
        first, end = np.uint64(starts[i]), np.uint64(starts[i + 1])
        second, other_end = end, np.uint64(starts[min(i + 2, len(starts) - 1)])
        total, other = 0.0, 0.0
        while first < end and second < other_end:
            total += values[first]
            edges[first] = total
            other += values[second]
            edges[second] = other
            first += np.uint64(1)
            second += np.uint64(1)
        for k in range(first, end):
            total += values[k]
            edges[k] = total
        for k in range(second, other_end):
            other += values[k]
            edges[k] = other


@njit()
def shift(values, starts):  # type: ignore[no-untyped-def]
    """Take the largest of each row from its values, so that their exponentials neither vanish nor overflow."""
    for i in range(len(starts) - 1):
        # A slice, so that the last loop counts from 0 and becomes one of vectors; two peaks, as each waits for itself.
        own = values[starts[i] : starts[i + 1]]
        even, odd = -np.inf, -np.inf
        for k in range(0, len(own) - 1, 2):
            even, odd = max(even, own[k]), max(odd, own[k + 1])
        peak = max(even, odd) if len(own) % 2 == 0 else max(max(even, odd), own[-1])
        if np.isfinite(peak):
            for k in range(len(own)):
                own[k] -= peak


@njit()
def mix(wanted, plain, shares, starts, law, edges):  # type: ignore[no-untyped-def]
    """Write (1 - share) wanted / its sum + share plain / its sum, by rows, into `law`, and its sums into `edges`.

    A part of a row that has no mass stays none; `shares` is (D,).
    """
    for i in range(len(starts) - 1):
        own, other = wanted[starts[i] : starts[i + 1]], plain[starts[i] : starts[i + 1]]
        out, sums = law[starts[i] : starts[i + 1]], edges[starts[i] : starts[i + 1]]
        wanted_sum, plain_sum = sum_in_two(own), sum_in_two(other)
        of_wanted = (1.0 - shares[i]) / wanted_sum if wanted_sum > 0 else 0.0
        of_plain = shares[i] / plain_sum if plain_sum > 0 else 0.0
        for k in range(len(own)):
            out[k] = of_wanted * own[k] + of_plain * other[k]
        total = 0.0
        for k in range(len(out)):
            total += out[k]
            sums[k] = total


@njit(inline="always")
def sum_in_two(values):  # type: ignore[no-untyped-def]
    """The sum of values, those at even and at odd places apart: an addition waits for the one before it."""
    even, odd = 0.0, 0.0
    for k in range(0, len(values) - 1, 2):
        even += values[k]
        odd += values[k + 1]
    return even + odd if len(values) % 2 == 0 else even + odd + values[-1]


@njit()
def draw(edges, starts, rows, numbers, places):  # type: ignore[no-untyped-def]
    """For each of n draws the place of the first outcome of its row whose edge exceeds number * total.

    Never one of weight zero, but for rows that have no mass at all; -1 for rows without outcomes. `numbers` (n,) are
    uniform on [0, 1); `places` (n,) is written.
    """
    for i in range(len(rows)):
        first, end = starts[rows[i]], starts[rows[i] + 1]
        if first == end:
            places[i] = -1
            continue
        total = edges[end - 1]
        target = numbers[i] * total
        low, high = first, end
        while low < high:
            middle = (low + high) >> 1
            if edges[middle] > target:
                high = middle
            else:
                low = middle + 1
        if low == end:
            # Rounding can put the target on the last edge; then the outcome is the last that has weight.
            low, high = first, end - 1
            while low < high:
                middle = (low + high) >> 1
                if edges[middle] < total:
                    low = middle + 1
                else:
                    high = middle
        places[i] = low


@njit()
def close(values, masks, shut):  # type: ignore[no-untyped-def]
    """Write `shut` into `values`, (N, V), wherever the bit of `masks`, (N, ceil(V / 32)) uint32, is not set.

    Values are unsigned integers, the bits of floats of any kind; `shut` is of their type.
    """
    words = (values.shape[1] + 31) // 32
    for i in range(values.shape[0]):
        row = values[i]
        for w in range(words):
            word = masks[i, w]
            if word == _ALL_32:
                continue
            # A slice, so that the loop counts from 0 and becomes one of vectors (16 us a row of 128,000, else 400).
            part = row[32 * w : 32 * w + 32]
            if word == 0:
                part[:] = shut
                continue
            for k in range(len(part)):
                keep = -((word >> np.uint32(k)) & np.uint32(1))
                part[k] = shut ^ ((part[k] ^ shut) & keep)
