"""Learning a lookahead between runs: what a run's rows say of the grammar's contexts, for the runs after it.

A recorder is told of every row of the model's output while a sweep takes tokens, and of the particles at its end. Rows
count by the normalised weights of the particles that descend from them, plus a tenth spread evenly over all particles
that drew from them, so that ways on which particles died or were resampled away are known as well. Nothing here
changes the sweep that is recorded. What factors multiply into a weight for good is part of the mass behind a text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smcdsl.automaton.automaton import TokenAutomaton
from smcdsl.automaton.contexts import ENDED, Contexts, Successors, contexts_of
from smcdsl.inference.course import Arrival
from smcdsl.inference.lookahead.counts import ENDS, Counts
from smcdsl.inference.lookahead.judging import Step, judge
from smcdsl.inference.lookahead.twists import Twist
from smcdsl.inference.particles import FINISHED
from smcdsl.inference.population import Population
from smcdsl.inference.proposals import Rows
from smcdsl.log_rows import Laws
from smcdsl.logspace import log_mean_exp, normalize

EVEN_SHARE = 0.1
"""How much of all rows' weight is spread evenly over particles."""
_NEAR = 10
"""With fewer characters left than this, a limit on characters may cut a row, which then counts little."""
_CUT = 0.01
_LEAST_MASS = 1e-7
_LIKELY = 64
"""Tokens of a row whose probabilities are kept until the run's end."""


@dataclass
class _Row:
    """A row of output: the group masses that the grammar allows, and those that limits on tokens leave.

    `likely` has the probabilities of the most probable tokens among them.
    """

    contexts: Contexts
    state: int
    context: int
    left: int
    found: Successors
    masses: NDArray[np.float64]
    able: NDArray[np.float64]
    history: int
    likely: dict[int, float]
    weight: float = 0.0

    def group_of(self, token: int) -> int:
        """The group of a token."""
        return int(self.found.groups[np.searchsorted(self.found.tokens, token)])


@dataclass
class Recorder:
    """Records one sweep.

    Args:
        known: what earlier runs found of an automaton, None for nothing.

    Attributes:
        after: the same with this run's rows, once `finish` was called.
    """

    known: Callable[[TokenAutomaton], Counts | None]
    after: list[tuple[TokenAutomaton, Counts]] = field(default_factory=list)
    _contexts: dict[int, Contexts] = field(default_factory=dict)
    _rows: dict[tuple[int, int], _Row] = field(default_factory=dict)
    _numbers: dict[tuple[int, int], int] = field(default_factory=dict)
    _tokens: dict[int, NDArray[np.float64]] = field(default_factory=dict)
    _factors: dict[tuple[int, int], tuple[float, bool]] = field(default_factory=dict)
    _finals: dict[int, tuple[float, float]] = field(default_factory=dict)

    def note(
        self,
        population: Population,
        log_rows: Laws,
        rows: Rows,
        own: NDArray[np.int64],
        slots: Any,
    ) -> None:
        """Particles in `slots` are about to draw from `own` rows."""
        groups = slots // population.particles.num_particles
        for row, group, prefix in zip(own.tolist(), groups.tolist(), population.particles.prefixes[slots].tolist()):
            number = int(rows.automata[row])
            automaton = population.interpreter.automata[number]
            if not isinstance(automaton, TokenAutomaton):
                continue
            if (group, prefix) not in self._rows:
                values = population.rules.tokens.power * log_rows[rows.logprobs[row]].astype(np.float64)
                history = int(population.interpreter.prefixes.histories[prefix])
                self._rows[group, prefix] = self._row(number, automaton, int(rows.states[row]), values, history)
                self._numbers[group, prefix] = number
            self._rows[group, prefix].weight += EVEN_SHARE / population.particles.num_particles

    def arrived(
        self, population: Population, slots: NDArray[np.int64], arrivals: Sequence[Arrival], rows: NDArray[np.int64]
    ) -> None:
        """Factors have judged the particles in `slots`, which are still where they stopped; `rows` of `arrivals`."""
        particles, interpreter = population.particles, population.interpreter
        for slot, row in zip(slots.tolist(), rows.tolist()):
            prefix, hole = int(particles.prefixes[slot]), interpreter.frames[int(particles.frames[slot])].hole
            if hole is None or prefix == hole.start:
                continue
            death, log_factor = arrivals[row].death, arrivals[row].log_weight
            log_factor = -np.inf if death is not None else log_factor
            key = slot // particles.num_particles, prefix
            has_ended = bool(interpreter.automata[hole.automaton].finished(particles.states[[slot]])[0])
            self._factors[key] = log_factor, has_ended or death is not None
            if has_ended:
                number, total = self._finals.get(hole.automaton, (0.0, 0.0))
                self._finals[hole.automaton] = number + 1.0, total + float(np.exp(log_factor))

    def finish(self, population: Population) -> None:
        """The sweep has ended: add its rows to what was known."""
        particles = population.particles
        paths = [list(self._path(population, slot)) for slot in range(len(particles.status))]
        log_weights = np.where(particles.status == FINISHED, particles.log_weights, -np.inf)
        log_weights = log_weights.reshape(particles.num_groups, -1)
        shares = normalize(log_weights, axis=1).ravel()
        for path, share in zip(paths, np.nan_to_num(shares).tolist(), strict=True):
            for (_, row), _ in path:
                row.weight += share
        for number in sorted(set(self._numbers.values())):
            automaton = self._contexts[number].automaton
            before = self.known(automaton) or Counts(automaton.tables.vocab_size)
            after = before.copy()
            if before.runs and shares.any():
                steps = [list(self._steps(number, path)) for path in paths]
                twist = Twist(self._contexts[number], before, 1.0)
                rest = self._path_factors(population) + [self._plain(number, path) for path in paths]
                judge(twist, steps, rest, shares, log_mean_exp(log_weights, axis=1), after)
            self._enter(number, after)
            self._remember(number, population, after)
            self.after.append((automaton, after))

    def _row(
        self, number: int, automaton: TokenAutomaton, state: int, values: NDArray[np.float64], history: int
    ) -> _Row:
        contexts = self._contexts.setdefault(number, contexts_of(automaton))
        found = contexts.successors(state)
        law = np.exp(values[found.tokens])
        masses = np.bincount(found.groups, law, len(found.contexts)).astype(np.float64)
        able = masses
        if contexts.unit == "tokens":
            mask = automaton.mask(state)
            free = mask[found.tokens >> 5] >> (found.tokens & 31).astype(np.uint32) & 1
            able = np.bincount(found.groups, law * free, len(found.contexts)).astype(np.float64)
        tokens = self._tokens.setdefault(number, np.zeros(automaton.tables.vocab_size))
        tokens[found.tokens] += law
        here, left = contexts.at(np.array([state]))
        most = np.argsort(-law, kind="stable")[:_LIKELY]
        likely = dict(zip(found.tokens[most].tolist(), law[most].tolist()))
        return _Row(contexts, state, int(here[0]), int(left[0]), found, masses, able, history, likely)

    def _remember(self, number: int, population: Population, counts: Counts) -> None:
        """The mass behind every text that was written: what was seen of it, and psi for the rest; last texts first."""
        prefixes = population.interpreter.prefixes
        twist = Twist(self._contexts[number], counts, 1.0)
        ends = [key for key, (_, ended) in self._factors.items() if ended and key not in self._rows]
        own = [key for key, of in self._numbers.items() if of == number]
        for key in sorted(ends + own, key=lambda key: -int(prefixes.lengths[key[1]])):
            parent = int(prefixes.parents[key[1]])
            before = self._rows.get((key[0], parent))
            if before is None or self._numbers[key[0], parent] != number:
                continue
            mass = self._mass(self._rows[key], twist, counts) if key in self._rows else 1.0
            factor, _ = self._factors.get(key, (0.0, False))
            behind = dict(counts.memory.get(before.history, {}))
            behind[int(prefixes.tokens[key[1]])] = max(mass, 0.0) * float(np.exp(factor))
            counts.memory[before.history] = behind

    @staticmethod
    def _mass(row: _Row, twist: Twist, counts: Counts) -> float:
        """What a row's tokens lead to, in sum."""
        values = twist.group_values(row.state, row.left)
        mass = float(row.able @ np.exp(values))
        for token, value in counts.memory.get(row.history, {}).items():
            if token in row.likely:
                mass += row.likely[token] * (value - float(np.exp(values[row.group_of(token)])))
        return mass

    def _path_factors(self, population: Population) -> NDArray[np.float64]:
        """(G * N,) logs of what factors multiplied into the weights of particles on their way."""
        prefixes, particles = population.interpreter.prefixes, population.particles
        totals = np.zeros(len(particles.status))
        for slot, prefix in enumerate(particles.prefixes.tolist()):
            while prefix != 0:
                totals[slot] += self._factors.get((slot // particles.num_particles, prefix), (0.0, False))[0]
                prefix = int(prefixes.parents[prefix])
        return totals

    @staticmethod
    def _steps(number: int, path: list[tuple[tuple[int, _Row], int]]) -> Iterator[Step]:
        """What a lookahead of an automaton decides on a path."""
        for (own, row), token in path:
            if own == number and token >= 0:
                group = row.group_of(token)
                if row.able[group] > 0:
                    yield Step(row.state, row.left, row.history, row.able, row.likely, row.group_of, token)

    def _path(self, population: Population, slot: int) -> Iterator[tuple[tuple[int, _Row], int]]:
        """The recorded rows behind a particle, last one first, with the token that was drawn from each.

        Tokens are -1 where the particle died before it drew.
        """
        interpreter = population.interpreter
        group = slot // population.particles.num_particles
        prefix, token = int(population.particles.prefixes[slot]), -1
        while True:
            row = self._rows.get((group, prefix))
            if row is not None:
                yield (self._numbers[group, prefix], row), token
            if prefix == 0:
                return
            token, prefix = int(interpreter.prefixes.tokens[prefix]), int(interpreter.prefixes.parents[prefix])

    @staticmethod
    def _plain(number: int, path: list[tuple[tuple[int, _Row], int]]) -> float:
        """The log of what masks cut off in holes of other automata."""
        return sum(
            float(np.log(max(row.able.sum(), 1e-300))) for (own, row), token in path if own != number and token >= 0
        )

    def _enter(self, number: int, counts: Counts) -> None:
        counts.tokens += self._tokens[number]
        counts.runs += 1
        ended, total = self._finals.get(number, (0.0, 0.0))
        counts.finals = counts.finals[0] + ended, counts.finals[1] + total
        for key, row in self._rows.items():
            if self._numbers[key] != number or row.context == ENDED:
                continue
            names, found = row.contexts.keys, row.found
            is_cut = row.contexts.unit == "chars" and row.left < _NEAR
            groups = zip(found.contexts.tolist(), found.costs.tolist(), row.masses.tolist())
            counts.add(
                names[row.context],
                [(ENDS if to == ENDED else names[to], cost, mass) for to, cost, mass in groups if mass > _LEAST_MASS],
                row.weight * (_CUT if is_cut else 1.0),
            )
