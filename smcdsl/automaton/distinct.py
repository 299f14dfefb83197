"""Equal numbers found together. A step has a few, for which numpy's own functions take longer to call than to run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smcdsl.automaton.memory import njit


def distinct(keys: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where each of the D distinct of (n,) keys comes first, (D,) by ascending key, and (n,) which of them each is."""
    first, which = np.empty_like(keys), np.empty_like(keys)
    count = number(keys, keys.argsort(kind="stable"), first, which)
    return first[:count], which


def ranks(which: NDArray[np.int64], num_distinct: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(n,) how many equal ones come before each, and (D,) how many there are of each kind; `which` as of `distinct`."""
    before, sizes = np.empty_like(which), np.zeros(num_distinct, dtype=np.int64)
    count(which, before, sizes)
    return before, sizes


def mapped(numbers: NDArray[np.integer[Any]], of_zero: int, of_others: Callable[[int], int]) -> NDArray[np.int64]:
    """(n,) a function of small numbers, none negative, asked once for each that there is."""
    size = int(numbers.max(initial=0)) + 1
    is_there, found = np.zeros(size, dtype=np.bool_), np.full(size, of_zero)
    is_there[numbers] = True
    for each in (np.flatnonzero(is_there[1:]) + 1).tolist():
        found[each] = of_others(each)
    return found[numbers]


@njit()
def number(keys, order, first, which):  # type: ignore[no-untyped-def]
    """Write what `distinct` returns into (n,) arrays, given the stable order of keys; how many are distinct."""
    found = 0
    for i in range(len(order)):
        at = order[i]
        if i == 0 or keys[at] != keys[order[i - 1]]:
            first[found] = at
            found += 1
        which[at] = found - 1
    return found


@njit()
def count(which, before, sizes):  # type: ignore[no-untyped-def]
    """Write what `ranks` returns; `sizes` is zero."""
    for i in range(len(which)):
        before[i] = sizes[which[i]]
        sizes[which[i]] += 1
