"""Masked laws straight from logits: normalisers, masked sums and draws, without a number a token being written.

The exponentials of a row are summed once, by blocks of 64 tokens, which a word of a mask stands for. A word that allows
all of a block takes the block's sum as it is, so that a mask that allows much costs as little as one that allows a few
tokens: what is in between is summed anew, and so is the one block that a draw falls in. Exponentials are float32, by a
polynomial that becomes vectors (0.5 ns each; numpy's 0.7, torch's softmax 1.0), sums of blocks float64.

Log masses are within 2e-6. Where a mask leaves so little of a row that float32 might not hold it, the row is summed
with the largest logit that is allowed as its peak, in float64.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from smcdsl.automaton.memory import bits_of_float, count_ones, float_of_bits, njit, trailing_zeros

_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
_MANY = 8
"""One exponential alone takes as long as so many in a row."""
_LEAST = 1e-25
"""Masses beside the peak's, below which float32 has lost too much."""
_LOG2_E = np.float32(1.44269504)
_ROUNDER = np.float32(12582912.0)
"""1.5 * 2^23: what is added to it is rounded to a whole number, which stands in its lowest bits."""
_ROUNDER_BITS = np.int32(0x4B400000 - 127)
_LN_2, _LN_2_REST = np.float32(0.693145752), np.float32(1.42860677e-6)
"""ln 2 in two parts: the first has so few bits that its multiples by whole numbers are exact."""
_P6, _P5 = np.float32(1 / 720), np.float32(1 / 120)
_P4, _P3 = np.float32(1 / 24), np.float32(1 / 6)
_HALF, _ONE, _ZERO = np.float32(0.5), np.float32(1.0), np.float32(0.0)
_LOWEST = np.float32(-87.0)


class Sums(NamedTuple):
    """What is kept of (M, V) logits: (M,) peaks, float32, and (M, ceil(V / 64)) sums of exp(logit - peak) by blocks."""

    peaks: NDArray[np.float32]
    blocks: NDArray[np.float64]

    def log_totals(self) -> NDArray[np.float64]:
        """(M,) log normalisers; NaN of rows that have one, or nothing but -inf."""
        with np.errstate(divide="ignore"):
            return np.asarray(self.peaks + np.log(self.blocks.sum(axis=1)))


class Masses(NamedTuple):
    """What D masks leave of rows: (D,) logits that all is relative to, and (D, ceil(V / 64)) running sums of blocks."""

    relative: NDArray[np.float64]
    edges: NDArray[np.float64]

    def logs(self, log_totals: NDArray[np.float64], power: float) -> NDArray[np.float64]:
        """(D,) logs of the masked sums of p^power, given the rows' log normalisers; -inf where nothing is left."""
        left = self.edges[:, -1]
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(left) + power * (np.where(left == 0, 0.0, self.relative) - log_totals))


def sums_of(logits: NDArray[np.float32]) -> Sums:
    """The sums of (M, V) logits."""
    sums = Sums(logits.max(axis=1, initial=-np.inf), np.empty((len(logits), -(-logits.shape[1] // 64))))
    sum_blocks(logits, sums.peaks, sums.blocks)
    return sums


def masses_of(
    logits: NDArray[np.float32], sums: Sums, words: NDArray[np.uint64], rows: NDArray[np.int64], power: float
) -> Masses:
    """What masks leave.

    Args:
        logits: (M, V).
        sums: of the logits.
        words: (D, ceil(V / 64)) masks; no bit beyond V is set.
        rows: (D,) the row that each mask goes with.
        power: of the probabilities.
    """
    masses = Masses(sums.peaks[rows].astype(np.float64), np.empty(words.shape))
    sum_allowed(logits, sums.blocks, words, rows, power, masses.relative, masses.edges)
    return masses


def tokens_at(
    logits: NDArray[np.float32],
    words: NDArray[np.uint64],
    rows: NDArray[np.int64],
    power: float,
    masses: Masses,
    which: NDArray[np.int64],
    numbers: NDArray[np.float64],
) -> NDArray[np.int64]:
    """(n,) the tokens that draws fall on; -1 where a mask leaves no mass.

    Args:
        masses: what `masses_of` gives for the arguments before it.
        which: (n,) the mask that each draw goes by.
        numbers: (n,) uniform on [0, 1).
    """
    tokens = np.empty(len(which), dtype=np.int64)
    draw_tokens(logits, words, rows, power, masses.relative, masses.edges, which, numbers, tokens)
    return tokens


@njit(inline="always")
def exponential(number):  # type: ignore[no-untyped-def]
    """exp of a float32 in [-87, 88], within 3e-7 of it; garbage elsewhere, NaN of NaN."""
    rounded = number * _LOG2_E + _ROUNDER
    whole = rounded - _ROUNDER
    rest = (number - whole * _LN_2) - whole * _LN_2_REST
    power = _P6 * rest + _P5
    power = power * rest + _P4
    power = power * rest + _P3
    power = power * rest + _HALF
    power = power * rest + _ONE
    power = power * rest + _ONE
    return power * float_of_bits(np.int32((bits_of_float(rounded) - _ROUNDER_BITS) << np.int32(23)))


@njit(fastmath={"contract"})
def exponentials(values, peak, power, found):  # type: ignore[no-untyped-def]
    """Write exp(power * (value - peak)), 0 where that is below 1e-37, into `found`; all are float32."""
    for k in range(len(values)):
        number = power * (values[k] - peak)
        own = exponential(number)
        found[k] = _ZERO if number <= _LOWEST else own


@njit(fastmath={"reassoc"})
def total(values):  # type: ignore[no-untyped-def]
    """The sum of float32, in any order."""
    found = _ZERO
    for k in range(len(values)):
        found += values[k]
    return found


@njit(fastmath={"reassoc"})
def open_total(values, word):  # type: ignore[no-untyped-def]
    """The same of those whose bit is set."""
    found = _ZERO
    for k in range(len(values)):
        found += values[k] * np.float32((word >> np.uint64(k)) & np.uint64(1))
    return found


@njit()
def sum_blocks(logits, peaks, sums):  # type: ignore[no-untyped-def]
    """Write the sums of `sums_of`."""
    law = np.empty(logits.shape[1], dtype=np.float32)
    for i in range(len(logits)):
        exponentials(logits[i], peaks[i], _ONE, law)
        for b in range(sums.shape[1]):
            sums[i, b] = total(law[64 * b : 64 * b + 64])


@njit()
def sum_allowed(logits, sums, words, rows, power, relative, edges):  # type: ignore[no-untyped-def]
    """Write what `masses_of` returns; `relative` comes with the peaks of the rows."""
    law = np.empty(logits.shape[1], dtype=np.float32)
    for i in range(len(rows)):
        row, mask = logits[rows[i]], words[i]
        if sum_row(row, sums[rows[i]], mask, power, relative[i], law, edges[i]) < _LEAST:
            relative[i] = highest(row, mask)
            if relative[i] > -np.inf:
                sum_row_exactly(row, mask, power, relative[i], edges[i])


@njit()
def sum_row(row, sums, mask, power, peak, law, edges):  # type: ignore[no-untyped-def]
    """Write running sums of a row by blocks; the last of them. `law` is written over."""
    narrow_power, narrow_peak = np.float32(power), np.float32(peak)
    many = _MANY * anew(mask, len(row), power) > len(row)
    if many:
        exponentials(row, narrow_peak, narrow_power, law)
    mass = 0.0
    for b in range(len(mask)):
        word = mask[b]
        if word:
            if power == 1.0 and word == everything(len(row), b):
                mass += sums[b]
            elif many:
                mass += open_total(law[64 * b : 64 * b + 64], word)
            else:
                mass += few_total(row, b, word, narrow_power, narrow_peak)
        edges[b] = mass
    return mass


@njit()
def anew(mask, size, power):  # type: ignore[no-untyped-def]
    """How many tokens are open in blocks whose sums are not known."""
    count = 0
    for b in range(len(mask)):
        if power != 1.0 or mask[b] != everything(size, b):
            count += count_ones(mask[b])
    return count


@njit(inline="always")
def everything(size, b):  # type: ignore[no-untyped-def]
    """The word that allows all of block b of a vocabulary."""
    return _ALL >> np.uint64(64 - min(size - 64 * b, 64))


@njit()
def few_total(row, b, word, power, peak):  # type: ignore[no-untyped-def]
    """What a word allows of block b, token by token."""
    found, start = 0.0, np.uint64(64 * b)
    while word:
        number = power * (row[start + trailing_zeros(word)] - peak)
        if number > _LOWEST:
            found += exponential(number)
        word &= word - np.uint64(1)
    return found


@njit()
def highest(row, mask):  # type: ignore[no-untyped-def]
    """The largest that a mask allows of a row; -inf where it allows nothing."""
    found = -np.inf
    for b in range(len(mask)):
        word = mask[b]
        while word:
            found = max(found, np.float64(row[np.uint64(64 * b) + trailing_zeros(word)]))
            word &= word - np.uint64(1)
    return found


@njit()
def sum_row_exactly(row, mask, power, peak, edges):  # type: ignore[no-untyped-def]
    """The same as `sum_row` in float64, token by token."""
    mass = 0.0
    for b in range(len(mask)):
        word = mask[b]
        while word:
            mass += np.exp(power * (row[np.uint64(64 * b) + trailing_zeros(word)] - peak))
            word &= word - np.uint64(1)
        edges[b] = mass


@njit()
def draw_tokens(logits, words, rows, power, relative, edges, which, numbers, tokens):  # type: ignore[no-untyped-def]
    """Write what `tokens_at` returns."""
    for i in range(len(which)):
        mask = which[i]
        sums = edges[mask]
        mass = sums[-1]
        if not mass > 0.0:
            tokens[i] = -1
            continue
        b = block_of(sums, numbers[i] * mass)
        before = sums[b - 1] if b else 0.0
        # How far into the block, as a share: what the block holds is added up in another order here.
        share = (numbers[i] * mass - before) / (sums[b] - before)
        start = np.uint64(64 * b)
        tokens[i] = start + token_of(logits[rows[mask]][start:], words[mask, b], power, relative[mask], share)


@njit(inline="always")
def block_of(sums, target):  # type: ignore[no-untyped-def]
    """The first block whose running sum exceeds a number; where rounding lets none, the last that has mass."""
    low, high = 0, len(sums)
    while low < high:
        middle = (low + high) >> 1
        if sums[middle] > target:
            high = middle
        else:
            low = middle + 1
    if low == len(sums):
        low = 0
        while sums[low] < sums[-1]:
            low += 1
    return low


@njit()
def token_of(block, word, power, peak, share):  # type: ignore[no-untyped-def]
    """The token within a block where a share of what a word allows of it is exceeded; never one of mass 0."""
    one, mass, rest = np.uint64(1), 0.0, word
    while rest:
        mass += np.exp(power * (block[trailing_zeros(rest)] - peak))
        rest &= rest - one
    target, added, found, rest = share * mass, 0.0, np.uint64(0), word
    while rest:
        token = trailing_zeros(rest)
        own = np.exp(power * (block[token] - peak))
        if own > 0.0:
            found = token
            added += own
            if added > target:
                return found
        rest &= rest - one
    return found
