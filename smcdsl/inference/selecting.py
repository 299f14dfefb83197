"""Taking a token by selection: the successors of all particles of a group compete for its slots.

Particles in one place with one past are one, with the sum of their weights; those that have finished or wait
at a boundary are candidates as they are. So no two particles are alike, and nothing is resampled.
"""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from smcdsl.inference.draws import Purpose
from smcdsl.inference.particles import FINISHED, GRAMMAR, OBSERVED, RUNNING, WAITING
from smcdsl.inference.population import Population
from smcdsl.inference.proposals import Local, Rows, in_order, local_targets
from smcdsl.inference.selection import Kept, best, merged, thin, thinning_breaks
from smcdsl.log_rows import Laws


class Moved(NamedTuple):
    """(n,) slots that go on, the row that each continues, and its token. Their weights are set already."""

    slots: NDArray[np.int64]
    rows: NDArray[np.int64]
    tokens: NDArray[np.int64]


def select(
    population: Population,
    active: NDArray[np.int64],
    rows: NDArray[np.int64],
    row_frames: NDArray[np.int64],
    situation: Rows,
    log_rows: Laws,
) -> Moved | None:
    """One token for the particles that go on; None if none does.

    Args:
        active: (n,) running slots, and `rows` (n,) the distinct place of each.
        row_frames: (D,) frames of the places, and `situation` what else is known of them.
        log_rows: (M, V) the model's log law.
    """
    began = perf_counter()
    local = _successors(population, row_frames, situation, log_rows)
    population.seconds.masks += perf_counter() - began
    began = perf_counter()
    stuck = _without_mass(local)[rows]
    writing = situation.automata[rows] >= 0
    population.kill(active[stuck & writing], GRAMMAR)
    population.kill(active[stuck & ~writing], OBSERVED)
    moved = [
        _select_in(population, group, own, local) for group, own in _by_group(population, active[~stuck], rows[~stuck])
    ]
    population.seconds.sampling += perf_counter() - began
    return Moved(*(np.concatenate(parts) for parts in zip(*moved, strict=True))) if moved else None


def _successors(population: Population, row_frames: NDArray[np.int64], situation: Rows, log_rows: Laws) -> Local:
    """The local targets of all rows; an observed text has one outcome."""
    power = population.rules.tokens.power
    observing = situation.automata < 0
    if not observing.any():
        return local_targets(log_rows, population.interpreter.automata, situation, power, population.lookaheads)
    writing, reading = np.flatnonzero(~observing), np.flatnonzero(observing)
    tokens = population.observed(row_frames, situation, reading)[reading]
    log_target = power * log_rows[situation.logprobs[reading], tokens].astype(np.float64)
    read = Local(np.arange(len(reading) + 1), tokens.astype(np.int32), log_target, None)
    if not len(writing):
        return read
    automata, lookaheads = population.interpreter.automata, population.lookaheads
    written = local_targets(log_rows, automata, situation.part(writing), power, lookaheads)
    return in_order([read, written], [reading, writing])


def _without_mass(local: Local) -> NDArray[np.bool_]:
    """(D,) whether a row has no outcome that the model would write."""
    found = np.ones(len(local.starts) - 1, dtype=np.bool_)
    some = np.flatnonzero(np.diff(local.starts))
    if len(some):
        found[some] = np.maximum.reduceat(local.log_target, local.starts[:-1][some]) == -np.inf
    return found


def _by_group(
    population: Population, active: NDArray[np.int64], rows: NDArray[np.int64]
) -> Iterator[tuple[int, tuple[NDArray[np.int64], NDArray[np.int64]]]]:
    """Each group that has running particles, with their slots and rows."""
    groups = active // population.particles.num_particles
    for group in np.unique(groups).tolist():
        own = groups == group
        yield group, (active[own], rows[own])


def _select_in(
    population: Population, group: int, running: tuple[NDArray[np.int64], NDArray[np.int64]], local: Local
) -> Moved:
    """Select in one group, and put those that are kept into its slots."""
    particles, frames = population.particles, population.interpreter.frames
    active, rows = running
    slots = particles.slots_of(np.array([group]))[0]
    totals = population.total_log_weights().ravel()
    used, first, places = _by_first_slot(rows)
    outcomes = np.concatenate([np.arange(local.starts[row], local.starts[row + 1]) for row in used.tolist()])
    owners = np.repeat(np.arange(len(used)), np.diff(local.starts)[used])
    successors = merged(totals[active], places, len(used))[owners] + local.log_twisted()[outcomes]
    resting = slots[np.isin(particles.status[slots], (FINISHED, WAITING))]
    kept = _keep(population, group, np.concatenate([successors, totals[resting]]))
    moves = kept.places < len(outcomes)
    chosen, stay = kept.places[moves], resting[kept.places[~moves] - len(outcomes)]
    homes = np.setdiff1d(slots, stay)[: len(chosen)]
    particles.log_weights[stay] += kept.log_weights[~moves] - totals[stay]
    particles.take(homes, active[first][owners[chosen]])
    particles.vacate(np.setdiff1d(slots, np.concatenate([stay, homes])))
    particles.status[homes] = RUNNING
    if local.log_twists is not None:
        particles.log_twists[homes] = local.log_twists[0][outcomes[chosen]]
    held = particles.frames[homes]
    particles.log_weights[homes] = (
        kept.log_weights[moves] - population.log_previews(homes) - particles.log_twists[homes]
    )
    particles.written[homes] += frames.automata[held] >= 0
    population.tokens[group] += int((frames.automata[held] >= 0).sum())
    return Moved(homes, used[owners[chosen]], local.tokens[outcomes[chosen]].astype(np.int64))


def _by_first_slot(rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Distinct rows in the order of the slots that hold them, where each is first, and (n,) which is each slot's.

    Numbers of rows depend on the other groups of the batch; slots do not.
    """
    used, first, inverse = np.unique(rows, return_index=True, return_inverse=True)
    order = np.argsort(first)
    return used[order], first[order], np.argsort(order)[inverse]


def _keep(population: Population, group: int, candidates: NDArray[np.float64]) -> Kept:
    """As many of a group's candidates as it has slots."""
    size = population.particles.num_particles
    if population.rules.selection == "best":
        return best(candidates, size)
    (offset,) = population.draws.uniforms(
        Purpose.SELECT,
        np.array([population.step - population.first_steps[group]]),
        np.array([group]),
        np.zeros(1, dtype=np.int64),
        lambda _: iter([thinning_breaks(candidates, size)]),
    )
    return thin(candidates, size, float(offset))
