"""Scouting: walks through a program that write a short text into every hole, judged by nothing.

A text is found byte by byte: a few bytes at random, then the cheapest way to the hole's end where every byte costs
a random price, so that walks differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any

import numpy as np

from smcdsl.errors import PotentialError
from smcdsl.inference.advance import Interpreter
from smcdsl.inference.course import Arrival
from smcdsl.inference.factors.calls import PotentialCalls
from smcdsl.inference.holes import Automata
from smcdsl.inference.particles import RUNNING, OpenHole
from smcdsl.plan import Plan
from smcdsl.prefixes import Prefixes
from smcdsl.verify.stepping import settle
from smcdsl.verify.table_model import END, TableModel

_MOST_FREE = 4
_MOST_STEPS = 3000
"""States that a search for a hole's end goes on from."""
_MOST_STOPS = 64
"""Holes and observed texts of a walk."""
_LEFT = 3.0
"""What a byte that is still to be written is taken to cost: more than most do, so that searches hurry."""


class NotFound(Exception):
    """No short text was found for a hole, whose name this carries."""


@dataclass
class Scouted:
    """What walks wrote: texts of holes with what the model writes of what follows, and observed texts."""

    written: list[bytes] = field(default_factory=list)
    observed: list[bytes] = field(default_factory=list)


def scout(
    plan: Plan, automata: Automata, inputs: dict[str, Any], calls: PotentialCalls, *, walks: int, seed: int
) -> Scouted:
    """Walk through a plan with a model of bytes, whose vocabulary is that of the automata.

    Raises:
        NotFound: a hole's end was not found.
        PotentialError: a function that the text needs failed.
    """
    found, model = Scouted(), TableModel()
    for number in range(walks):
        interpreter = Interpreter(plan, model, Prefixes(), automata, applies_factors=False, previews=False)
        _walk(interpreter, inputs, calls, found, np.random.default_rng([seed, number]))
    return found


def _walk(
    interpreter: Interpreter, inputs: dict[str, Any], calls: PotentialCalls, found: Scouted, chance: np.random.Generator
) -> None:
    frame, prefix, state = interpreter.begin(inputs), 0, 0
    for _ in range(_MOST_STOPS):
        (arrival,) = settle([interpreter.advance(frame, prefix, state)], calls)
        if isinstance(arrival, PotentialError):
            raise arrival
        assert isinstance(arrival, Arrival)
        if arrival.status != RUNNING:
            return
        frame = arrival.frame
        place = interpreter.frames[frame]
        if place.hole is None:
            tokens, state = list(place.observing), len(place.observing)
            found.observed.append(interpreter.model.vocabulary.spell(tokens))
        else:
            tokens, state = _end_of(interpreter, place.hole, place.position, chance)
            found.written.append(interpreter.model.vocabulary.spell(tokens))
        prefix = interpreter.prefixes.extend(arrival.prefix, tokens)


def _end_of(
    interpreter: Interpreter, hole: OpenHole, position: int, chance: np.random.Generator
) -> tuple[list[int], int]:
    """Bytes from a hole's start to its end, and the state there."""
    automaton: Any = interpreter.automata[hole.automaton]
    values = np.zeros((1, len(interpreter.model.vocabulary)), dtype=np.float32)
    tokens, state = [], automaton.start
    for _ in range(int(chance.integers(0, _MOST_FREE + 1))):
        allowed = automaton.pick(np.array([state]), values, np.zeros(1, dtype=np.int64)).tokens
        inside = allowed[allowed != END]
        if not len(inside):
            break
        token = int(chance.choice(inside))
        after = int(automaton.advance(np.array([state]), np.array([token]))[0])
        if after < 0:
            break
        tokens.append(token)
        state = after
        if automaton.finished(np.array([state]))[0]:
            return tokens, state
    agenda: list[tuple[float, int, float, int, tuple[int, ...]]] = [(0.0, 0, 0.0, state, ())]
    seen = {state}
    for _ in range(_MOST_STEPS):
        if not agenda:
            break
        _, _, cost, current, path = heappop(agenda)
        if automaton.finished(np.array([current]))[0]:
            return [*tokens, *path], current
        allowed = automaton.pick(np.array([current]), values, np.zeros(1, dtype=np.int64)).tokens.astype(np.int64)
        after_all = automaton.advance(np.full(len(allowed), current), allowed).tolist()
        for token, after, price in zip(allowed.tolist(), after_all, chance.exponential(size=len(allowed)).tolist()):
            if after >= 0 and after not in seen:
                seen.add(after)
                reached = cost + price
                left = 0.0 if token == END else _LEFT * automaton.bytes_left(after)
                heappush(agenda, (reached + left, len(seen), reached, after, (*path, token)))
    raise NotFound(getattr(interpreter.plan.instructions[position], "name", ""))


def pieces_of(scouted: Scouted, given: Sequence[bytes], most: int, chance: np.random.Generator) -> list[bytes]:
    """Without repeats: given texts and observed ones whole, then all texts cut into up to three, at characters."""
    pieces: dict[bytes, None] = {text: None for text in (*given, *scouted.observed) if text}
    for data in (*given, *scouted.written):
        places = [place for place in range(1, len(data)) if data[place] & 0xC0 != 0x80]
        count = min(int(chance.integers(0, 3)), len(places))
        cuts = sorted(chance.choice(places, size=count, replace=False).tolist()) if count else []
        for start, end in zip([0, *cuts], [*cuts, len(data)]):
            if end > start and len(pieces) < most:
                pieces[data[start:end]] = None
    return list(pieces)
