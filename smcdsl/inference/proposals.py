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

from smcdsl.automaton.applying import Allowed, cumulate, draw
from smcdsl.inference.advance import Automaton
from smcdsl.inference.draws import Draws, Purpose

_CHUNK_ENTRIES = 1 << 20
"""Rows times vocabulary that are worked on at a time, so that the processor's cache holds them."""


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
        own = who.rows[particles] - chunk.start
        started = perf_counter()
        if kind == "mask":
            outcomes, own = _pick(automata, rows, chunk, log_rows, own)
        else:
            outcomes = _everything(log_rows[rows.logprobs[chunk]])
        seconds.masks += perf_counter() - started
        started = perf_counter()
        law = np.exp(outcomes.values, out=outcomes.values)
        # float32 terms, float64 sums: log normalisers within 2e-6.
        edges = np.empty(len(law))
        cumulate(law, outcomes.starts, edges)
        ends = outcomes.starts[own + 1]
        numbers = draws.uniforms(
            Purpose.TOKEN,
            np.full(len(own), step, dtype=np.int64),
            who.groups[particles],
            who.slots[particles],
            _breakpoints(edges, outcomes.starts, own),
        )
        places = np.empty(len(own), dtype=np.int64)
        draw(edges, outcomes.starts, own, numbers, places)
        some = places >= 0
        drawn = np.zeros(len(own), dtype=np.int64)
        weights = np.full(len(own), -np.inf)
        drawn[some] = outcomes.tokens[places[some]]
        with np.errstate(divide="ignore"):
            weights[some] = np.log(edges[ends[some] - 1])
        seconds.sampling += perf_counter() - started
        if kind == "lm":
            started = perf_counter()
            weights[~_allows(automata, rows, chunk, own, drawn)] = -np.inf
            seconds.masks += perf_counter() - started
        tokens[particles], log_weights[particles] = drawn, weights
    return Drawn(tokens, log_weights)


def _pick(
    automata: list[Automaton],
    rows: Rows,
    chunk: slice,
    log_rows: NDArray[np.floating[Any]],
    own: NDArray[np.int64],
) -> tuple[Allowed, NDArray[np.int64]]:
    """What the automata allow in a range of rows, one automaton after another; and where `own` rows are then."""
    numbers, states, logprobs = rows.automata[chunk], rows.states[chunk], rows.logprobs[chunk]
    distinct = np.unique(numbers)
    if len(distinct) == 1:
        return automata[int(distinct[0])].pick(states, log_rows, logprobs), own
    parts, order = [], []
    for number in distinct.tolist():
        chosen = np.flatnonzero(numbers == number)
        parts.append(automata[number].pick(states[chosen], log_rows, logprobs[chosen]))
        order.append(chosen)
    sizes = np.concatenate([np.diff(part.starts) for part in parts])
    values = np.concatenate([part.values for part in parts])
    found = Allowed(starts_of(sizes), np.concatenate([part.tokens for part in parts]), values)
    place = np.empty(len(numbers), dtype=np.int64)
    place[np.concatenate(order)] = np.arange(len(numbers))
    return found, place[own]


def _everything(rows: NDArray[np.floating[Any]]) -> Allowed:
    """All tokens of (D, V) rows."""
    count, size = rows.shape
    tokens = np.broadcast_to(np.arange(size, dtype=np.int32), rows.shape).ravel()
    return Allowed(starts_of(np.full(count, size)), tokens, rows.ravel())


def starts_of(sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where parts of these sizes begin, one after another, and where the last ends."""
    starts = np.zeros(len(sizes) + 1, dtype=np.int64)
    np.cumsum(sizes, out=starts[1:])
    return starts


def _allows(
    automata: list[Automaton], rows: Rows, chunk: slice, own: NDArray[np.int64], tokens: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """(n,) whether the automata allow tokens in rows `own` of a range."""
    numbers, states = rows.automata[chunk][own], rows.states[chunk][own]
    allowed = np.empty(len(tokens), dtype=np.bool_)
    for number in np.unique(numbers).tolist():
        chosen = numbers == number
        allowed[chosen] = automata[number].advance(states[chosen], tokens[chosen]) >= 0
    return allowed


def _breakpoints(
    edges: NDArray[np.float64], starts: NDArray[np.int64], rows: NDArray[np.int64]
) -> Callable[[], Iterator[NDArray[np.float64]]]:
    def of(row: int) -> NDArray[np.float64]:
        own = edges[starts[row] : starts[row + 1]]
        return own / own[-1] if len(own) and own[-1] > 0 else np.empty(0)

    return lambda: (of(row) for row in rows.tolist())


def _chunks(rows: Rows, who: Particular, vocab_size: int) -> Iterator[tuple[slice, NDArray[np.int64] | slice]]:
    """Ranges of rows that fit in memory together, each with its particles."""
    size = max(_CHUNK_ENTRIES // vocab_size, 1)
    if len(rows.states) <= size:
        yield slice(0, len(rows.states)), slice(None)
        return
    for start in range(0, len(rows.states), size):
        inside = (who.rows >= start) & (who.rows < start + size)
        yield slice(start, start + size), np.flatnonzero(inside)
