"""Draws: the only door for randomness.

A random number belongs to a (seed, purpose, step, slot) and to nothing else, so results depend neither
on how work was batched nor on what else runs. Every consumer also says between which numbers its
outcome is constant; the random implementation ignores that, and tests use it to run an algorithm along
every branch of its draws (`tests/exact.py`).

Source of the generator: Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3"
(2011): Philox 4x32 with 10 rounds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import IntEnum
from fractions import Fraction
from functools import lru_cache
from itertools import accumulate
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Breakpoints = Callable[[NDArray[np.float64]], Iterable[NDArray[Any]]]
"""For each of n draws: ascending numbers; between two neighbours (0 and 1 included) the outcome is constant.

They are float64, or fractions (`shares`) where an outcome may have little probability and much weight.

Called with the (n,) numbers that are being drawn; those of earlier draws are there when a later draw's breakpoints
are asked for.
"""


def shares(masses: NDArray[np.floating[Any]]) -> NDArray[np.object_]:
    """(K,) the distribution function of outcomes with these masses, as fractions: without rounding, and 1 at its end.

    Running sums of floats lose, behind what is large, 1e-16 of the whole: all digits but three of a chance of 1e-13.
    Samplers draw by such sums; who asks how probable a branch is wants to know it to more digits than that.
    """
    return _shares(masses.astype(np.float64).tobytes())


@lru_cache(maxsize=1 << 14)
def _shares(masses: bytes) -> NDArray[np.object_]:
    ratios = [mass.as_integer_ratio() for mass in np.frombuffer(masses).tolist()]
    unit = max((below for _, below in ratios), default=1)
    sums = list(accumulate(above * (unit // below) for above, below in ratios))
    found = np.empty(len(sums) if sums and sums[-1] else 0, dtype=object)
    found[:] = [Fraction(each, sums[-1]) for each in sums[: len(found)]]
    found.flags.writeable = False
    return found


class Purpose(IntEnum):
    """What a number is for: independent streams."""

    TOKEN = 0
    RESAMPLE = 1
    ACCEPT = 2
    RETURN = 3
    ROTATE = 4
    SELECT = 5
    RETAIN = 6
    DRAFT = 7
    VERIFY = 8
    RESIDUAL = 9
    CHECK = 10


_EVERY_STEP = frozenset((Purpose.TOKEN, Purpose.ROTATE))
"""Numbers that are wanted at step after step."""


class Draws(Protocol):
    """Uniform numbers on [0, 1)."""

    def uniforms(
        self,
        purpose: Purpose,
        steps: NDArray[np.int64],
        groups: NDArray[np.int64],
        slots: NDArray[np.int64],
        breakpoints: Breakpoints,
    ) -> NDArray[np.float64]:
        """(n,) numbers for n (step, group, slot), each asked for once per purpose."""
        ...


class CounterDraws:
    """Numbers that are a function of their place.

    Args:
        seeds: one a group; taken modulo 2**64. Equal seeds give equal numbers.
        num_slots: slots a group.
        salt: separates repetitions of one run with the same seeds (rejection's rounds).
    """

    def __init__(self, seeds: Sequence[int], num_slots: int, salt: int = 0) -> None:
        self._keys = np.array([seed % 2**64 for seed in seeds], dtype=np.uint64)
        self._num_slots = num_slots
        self._salt = salt
        self._blocks: dict[Purpose, tuple[int, NDArray[np.float64]]] = {}

    def uniforms(
        self,
        purpose: Purpose,
        steps: NDArray[np.int64],
        groups: NDArray[np.int64],
        slots: NDArray[np.int64],
        breakpoints: Breakpoints,
    ) -> NDArray[np.float64]:
        """See `Draws`."""
        if purpose in _EVERY_STEP and len(steps) and steps[0] == steps[-1] and (steps == steps[0]).all():
            return self._numbers(purpose, int(steps[0]))[groups * self._num_slots + slots]
        return philox(self._keys[groups], steps, slots, int(purpose), self._salt)

    def _numbers(self, purpose: Purpose, step: int) -> NDArray[np.float64]:
        """Numbers of one step for all groups and slots, made for many steps at a time."""
        first, block = self._blocks.get(purpose, (0, ()))
        if not 0 <= step - first < len(block):
            width = len(self._keys) * self._num_slots
            rows = int(np.clip(2**16 // max(width, 1), 1, 64))
            steps, groups, slots = np.meshgrid(
                np.arange(step, step + rows), np.arange(len(self._keys)), np.arange(self._num_slots), indexing="ij"
            )
            numbers = philox(self._keys[groups.ravel()], steps.ravel(), slots.ravel(), int(purpose), self._salt)
            first, block = self._blocks[purpose] = step, numbers.reshape(rows, width)
        return block[step - first]


def philox(
    keys: NDArray[np.uint64], steps: NDArray[np.int64], slots: NDArray[np.int64], purpose: int, salt: int
) -> NDArray[np.float64]:
    """(n,) numbers on [0, 1) with 53 random bits, for n keys and counters (step, slot, purpose, salt)."""
    mask = np.uint64(0xFFFFFFFF)
    shift = np.uint64(32)
    counter0 = steps.astype(np.uint64) & mask
    counter1 = slots.astype(np.uint64) & mask
    counter2 = np.full(len(keys), purpose, dtype=np.uint64)
    counter3 = np.full(len(keys), salt, dtype=np.uint64)
    key0, key1 = keys & mask, keys >> shift
    for _ in range(10):
        product0 = np.uint64(0xD2511F53) * counter0
        product1 = np.uint64(0xCD9E8D57) * counter2
        counter0, counter1, counter2, counter3 = (
            (product1 >> shift) ^ counter1 ^ key0,
            product1 & mask,
            (product0 >> shift) ^ counter3 ^ key1,
            product0 & mask,
        )
        key0 = (key0 + np.uint64(0x9E3779B9)) & mask
        key1 = (key1 + np.uint64(0xBB67AE85)) & mask
    bits = (counter0 << np.uint64(21)) ^ (counter1 >> np.uint64(11))
    return bits.astype(np.float64) * 2.0**-53
