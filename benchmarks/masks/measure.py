"""Timing: every call by itself, on the calling thread's CPU time, less what reading the clock costs.

Engines alternate text by text, so that a change of the machine's load meets all of them. A step's cost is the least of
several rounds. `held out` replays one half of the texts with an engine that has seen the other half only; every
round begins with one that has seen nothing.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from benchmarks.masks.corpora import Text
from benchmarks.masks.engines import Batch, Engine, Smcdsl

_BATCH_STEPS = 24
_PASSES = 5

Replay = tuple[NDArray[np.float64], NDArray[np.float64]]
"""(steps + 1,) microseconds a mask, the last at the text's end; (steps,) microseconds an accepted token."""


@dataclass
class Series:
    """What an engine's calls cost, by text: the least of the rounds so far, in microseconds."""

    masks: dict[int, NDArray[np.float64]] = field(default_factory=dict)
    accepts: dict[int, NDArray[np.float64]] = field(default_factory=dict)

    def add(self, number: int, replay: Replay) -> None:
        masks, accepts = replay
        self.masks[number] = np.minimum(self.masks.get(number, masks), masks)
        self.accepts[number] = np.minimum(self.accepts.get(number, accepts), accepts)

    def mask_costs(self, texts: Sequence[int] | None = None) -> NDArray[np.float64]:
        """All steps of some texts, or of all."""
        return np.concatenate([self.masks[number] for number in (self.masks if texts is None else texts)])

    def accept_costs(self) -> NDArray[np.float64]:
        return np.concatenate(list(self.accepts.values()))


@dataclass
class Singles:
    """One matcher at a time. `refused`: why a peer could not go on, by its name."""

    cold: Series
    """The memory filling up: texts replayed once by an engine that has seen no text, or other ones of the half."""
    held_out: Series
    warm: Series
    peers: dict[str, Series]
    refused: dict[str, str]

    @staticmethod
    def empty(peers: Iterable[str]) -> Singles:
        """Before the first text."""
        return Singles(Series(), Series(), Series(), {name: Series() for name in peers}, {})

    def include(self, other: Singles, shift: int, what: str) -> None:
        """Add the texts of another measurement, `what`, as numbers from `shift` on."""
        pairs = [(self.cold, other.cold), (self.held_out, other.held_out), (self.warm, other.warm)]
        for mine, its in [*pairs, *((self.peers[name], its) for name, its in other.peers.items())]:
            for number, masks in its.masks.items():
                mine.add(shift + number, (masks, its.accepts[number]))
        for name, why in other.refused.items():
            self.refused[name] = "; ".join([*filter(None, [self.refused.get(name)]), f"{what}, {why}"])


def clock_cost() -> float:
    """Microseconds between two readings of the clock, the least of many."""
    clock = time.thread_time_ns
    gaps = []
    for _ in range(2000):
        first = clock()
        gaps.append(clock() - first)
    return float(np.percentile(gaps, 10)) / 1000


def replay(engine: Engine, text: Text, cost: float) -> Replay:
    """Follow a text through an engine, a mask before each token and one at the end."""
    clock = time.thread_time_ns
    matcher = engine.matcher()
    fill, accept = matcher.fill, matcher.accept
    masks, accepts = [], []
    for token in text.tokens:
        first = clock()
        fill()
        second = clock()
        accept(token)
        third = clock()
        masks.append(second - first)
        accepts.append(third - second)
    first = clock()
    fill()
    masks.append(clock() - first)
    return _microseconds(masks, cost), _microseconds(accepts, cost)


def _microseconds(nanoseconds: list[int], cost: float) -> NDArray[np.float64]:
    return np.maximum(np.array(nanoseconds) / 1000 - cost, 0.0)


@contextmanager
def quiet() -> Iterator[None]:
    """No garbage collection while clocks run."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def singles(ours: Smcdsl, peers: dict[str, Engine], texts: Sequence[Text], rounds: int, budget: float) -> Singles:
    """Replay all texts through all engines; a peer stops after `budget` seconds of a round."""
    cost = clock_cost()
    result = Singles.empty(peers)
    for _ in range(rounds):
        spent = dict.fromkeys(peers, 0.0)
        for half in (0, 1):
            ours.forget()
            ours.wait()
            with quiet():
                for number in range(half, len(texts), 2):
                    result.cold.add(number, replay(ours, texts[number], cost))
                for number in range(1 - half, len(texts), 2):
                    result.held_out.add(number, replay(ours, texts[number], cost))
                    for name, engine in peers.items():
                        if name not in result.refused and spent[name] < budget:
                            spent[name] += _replay_peer(result, name, engine, number, texts[number], cost)
                for number in range(1 - half, len(texts), 2):
                    result.warm.add(number, replay(ours, texts[number], cost))
    return result


def _replay_peer(result: Singles, name: str, engine: Engine, number: int, text: Text, cost: float) -> float:
    """Replay one text through a peer and give the seconds it took."""
    began = time.thread_time()
    try:
        result.peers[name].add(number, replay(engine, text, cost))
    except ValueError as error:
        result.refused[name] = f"text {number}: {str(error).splitlines()[0][:120]}"
    return time.thread_time() - began


@dataclass(frozen=True)
class Batches:
    """Microseconds of CPU for a particle and a step, once everything has been seen before."""

    num_particles: int
    clones: dict[str, float]
    spread: dict[str, float]

    @staticmethod
    def mean(found: Sequence[Batches]) -> Batches:
        """Means of several measurements, for each engine of those that it has part in."""
        return Batches(
            found[0].num_particles, _means([one.clones for one in found]), _means([one.spread for one in found])
        )


def _means(found: Sequence[dict[str, float]]) -> dict[str, float]:
    names = dict.fromkeys(name for costs in found for name in costs)
    return {name: float(np.mean([costs[name] for costs in found if name in costs])) for name in names}


def is_long(text: Text) -> bool:
    """Whether a text has enough tokens for batches."""
    return len(text.tokens) > _BATCH_STEPS


def batches(engines: dict[str, Engine], texts: Sequence[Text], num_particles: int, budget: float) -> Batches:
    """N particles on one state, and N in different places of different texts; a token accepted, then the masks.

    For this project also with numbers of rows instead of written masks, as `smcdsl rows`.
    """
    long = [text.tokens for text in texts if is_long(text)]
    clones, spread = [], []
    for number in range(num_particles):
        clones.append((long[0], 0))
        tokens = long[number % len(long)]
        spread.append((tokens, 3 * (number // len(long)) % (len(tokens) - _BATCH_STEPS)))
    return Batches(num_particles, _batch_costs(engines, clones, budget), _batch_costs(engines, spread, budget))


def _batch_costs(
    engines: dict[str, Engine], places: list[tuple[tuple[int, ...], int]], budget: float
) -> dict[str, float]:
    steps = [
        np.array([tokens[begin + step] for tokens, begin in places], dtype=np.int64) for step in range(_BATCH_STEPS)
    ]
    prefixes = [tokens[:begin] for tokens, begin in places]
    costs = {}
    for name, engine in engines.items():
        if isinstance(engine, Smcdsl):
            engine.wait()
            costs[f"{name} rows"] = _least(partial(_row_steps, engine, prefixes), steps, budget)
        costs[name] = _least(partial(_steps, engine, prefixes), steps, budget)
    return {name: seconds * 1e6 / len(places) for name, seconds in costs.items()}


Step = Callable[[NDArray[np.int64]], None]


def _steps(engine: Engine, prefixes: Sequence[Sequence[int]]) -> Step:
    return engine.batch(prefixes).step


def _row_steps(engine: Smcdsl, prefixes: Sequence[Sequence[int]]) -> Step:
    return engine.batch(prefixes).step_rows


def _least(begin: Callable[[], Step], steps: list[NDArray[np.int64]], budget: float) -> float:
    """Seconds a step of the cheapest pass but the first, each with a batch of its own; fewer where they are long.

    A first pass that is too long already counts as far as it came.
    """
    costs: list[float] = []
    spent = 0.0
    while len(costs) < _PASSES and (spent < budget or not costs):
        seconds, done = _pass(begin(), steps, budget - spent)
        if costs and done < len(steps):
            break
        costs.append(seconds / done)
        spent += seconds
    return min(costs[1:] or costs)


def _pass(step: Step, steps: list[NDArray[np.int64]], budget: float) -> tuple[float, int]:
    """Seconds of the process, threads of the engines included, and the steps done: one at least, within the budget."""
    with quiet():
        began, seconds, done = time.process_time(), 0.0, 0
        while done < len(steps) and (seconds < budget or not done):
            step(steps[done])
            done += 1
            seconds = time.process_time() - began
        return seconds, done


__all__ = ["Batch", "Batches", "Series", "Singles", "batches", "clock_cost", "replay", "singles"]
