"""Proposals: extend unfinished holes by one token, with the correction that keeps the weight proper.

`mask` draws from the model's law restricted to the allowed tokens and multiplies the weight by the
probability of all of them together, the local normaliser (the fully adapted proposal). `lm` draws from
the model's law and multiplies by whether the token was allowed. One row of logprobs decides both the
draw and the weight.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from smcdsl.inference.advance import Automaton
from smcdsl.inference.draws import Draws, Purpose

_CHUNK_ENTRIES = 1 << 23
"""Rows times vocabulary that are worked on at a time."""


@dataclass
class Seconds:
    """Time by part."""

    model: float = 0.0
    masks: float = 0.0
    sampling: float = 0.0
    potentials: float = 0.0
    bookkeeping: float = 0.0


@dataclass(frozen=True)
class Rows:
    """D distinct situations: a row of model output each, an automaton, and its state."""

    logprobs: NDArray[np.int64]
    automata: NDArray[np.int64]
    states: NDArray[np.int64]


@dataclass(frozen=True)
class Drawn:
    """(n,) tokens, the logs to add to the weights (-inf kills), and whether the automaton allowed each."""

    tokens: NDArray[np.int64]
    log_weights: NDArray[np.float64]


@dataclass(frozen=True)
class Particular:
    """Which particle draws: (n,) its row in `Rows`, its group, its slot in the group."""

    rows: NDArray[np.int64]
    groups: NDArray[np.int64]
    slots: NDArray[np.int64]


def log_probabilities(logprobs: NDArray[np.floating[Any]], temperature: float) -> NDArray[np.floating[Any]]:
    """The model's law after the program's temperature; normalised anew in float64 where that is not 1."""
    if temperature == 1.0:
        return logprobs
    rows = logprobs.astype(np.float64)
    rows /= temperature
    rows -= rows.max(axis=1, keepdims=True)
    rows -= np.log(np.exp(rows).sum(axis=1, keepdims=True))
    return rows


def propose(
    kind: Literal["mask", "lm"],
    log_rows: NDArray[np.floating[Any]],
    automata: list[Automaton],
    rows: Rows,
    who: Particular,
    step: int,
    draws: Draws,
    seconds: Seconds,
) -> Drawn:
    """One token for every particle."""
    tokens = np.empty(len(who.rows), dtype=np.int64)
    log_weights = np.empty(len(who.rows))
    for chunk, particles in _chunks(rows, who, log_rows.shape[1]):
        started = perf_counter()
        allowed = _allowed(automata, rows.automata[chunk], rows.states[chunk], log_rows.shape[1])
        seconds.masks += perf_counter() - started
        started = perf_counter()
        law = _exponentials(log_rows, rows.logprobs[chunk])
        if kind == "mask":
            law *= allowed
        # float32 terms, float64 sums: log normalisers within 2e-6.
        edges = np.cumsum(law, axis=1, dtype=np.float64)
        own = who.rows[particles] - chunk.start
        numbers = draws.uniforms(
            Purpose.TOKEN,
            np.full(len(own), step, dtype=np.int64),
            who.groups[particles],
            who.slots[particles],
            _breakpoints(edges, own),
        )
        drawn = inverse_cdf(edges, own, numbers)
        with np.errstate(divide="ignore"):
            weights = np.log(edges[own, -1])
        if kind == "lm":
            weights[~allowed[own, drawn]] = -np.inf
        tokens[particles], log_weights[particles] = drawn, weights
        seconds.sampling += perf_counter() - started
    return Drawn(tokens, log_weights)


def _exponentials(log_rows: NDArray[np.floating[Any]], rows: NDArray[np.int64]) -> NDArray[np.floating[Any]]:
    """exp of chosen rows, without a copy where all are chosen in order."""
    if len(rows) == len(log_rows) and np.array_equal(rows, np.arange(len(rows))):
        return np.exp(log_rows)
    return np.exp(log_rows[rows])


def _breakpoints(edges: NDArray[np.float64], rows: NDArray[np.int64]) -> Callable[[], Iterator[NDArray[np.float64]]]:
    return lambda: (edges[row] / edges[row, -1] if edges[row, -1] > 0 else np.empty(0) for row in rows)


def _chunks(rows: Rows, who: Particular, vocab_size: int) -> Iterator[tuple[slice, NDArray[np.int64] | slice]]:
    """Ranges of rows that fit in memory together, each with its particles."""
    size = max(_CHUNK_ENTRIES // vocab_size, 1)
    if len(rows.states) <= size:
        yield slice(0, len(rows.states)), slice(None)
        return
    for start in range(0, len(rows.states), size):
        inside = (who.rows >= start) & (who.rows < start + size)
        yield slice(start, start + size), np.flatnonzero(inside)


def _allowed(
    automata: list[Automaton], numbers: NDArray[np.int64], states: NDArray[np.int64], vocab_size: int
) -> NDArray[np.bool_]:
    """(D, V) which tokens the automata allow."""
    distinct = np.unique(numbers)
    if len(distinct) == 1:
        return unpack(automata[int(distinct[0])], states, vocab_size)
    allowed = np.empty((len(states), vocab_size), dtype=np.bool_)
    for number in distinct.tolist():
        own = numbers == number
        allowed[own] = unpack(automata[number], states[own], vocab_size)
    return allowed


def unpack(automaton: Automaton, states: NDArray[np.int64], vocab_size: int) -> NDArray[np.bool_]:
    """(D, V) booleans of the automaton's bit sets."""
    distinct, inverse = np.unique(states, return_inverse=True)
    words = np.ascontiguousarray(automaton.masks(distinct)).astype("<u4", copy=False)
    bits = np.unpackbits(words.view(np.uint8), axis=1, count=vocab_size, bitorder="little")
    return bits.view(np.bool_)[inverse]


def inverse_cdf(edges: NDArray[np.float64], rows: NDArray[np.int64], numbers: NDArray[np.float64]) -> NDArray[np.int64]:
    """For each of n draws the first outcome of its row whose upper edge exceeds number * total.

    Args:
        edges: (D, V) cumulative weights of D laws, not normalised.
        rows: (n,) the law of each draw.
        numbers: (n,) uniform on [0, 1).

    Returns:
        (n,) outcomes; never one of weight zero, but for rows that have no mass at all.
    """
    targets = numbers * edges[rows, -1]
    low = np.zeros(len(rows), dtype=np.int64)
    high = np.full(len(rows), edges.shape[1] - 1, dtype=np.int64)
    while np.any(low < high):
        middle = (low + high) >> 1
        beyond = edges[rows, middle] > targets
        high = np.where(beyond, middle, high)
        low = np.where(beyond, low, middle + 1)
        low = np.minimum(low, high)
    # Rounding can put the target on the last edge; then the outcome is the last that has weight.
    on_edge = edges[rows, low] <= targets
    if on_edge.any():
        last = (edges[rows[on_edge]] < edges[rows[on_edge], -1:]).sum(axis=1)
        low[on_edge] = np.minimum(last, edges.shape[1] - 1)
    return low
