"""The least number of actions from a state to a goal.

States are integers, one bit for each atom that can change. Two searches, both exact:

- all states in order of their distance from the start, kept and shared by all goals that are asked about (small
  problems: seven blocks have 66,000 states);
- beyond that A* with the LM-cut heuristic (Helmert and Domshlak 2009), which never overestimates.

Both count what they look at, so that giving up does not depend on the speed of the machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from heapq import heappop, heappush
from typing import Any

from smcdsl.potentials._pddl_formula import Formula
from smcdsl.potentials._pddl_ground import Grounding, PlanningLimit, Term, ground, terms_of
from smcdsl.potentials._pddl_model import Atom
from smcdsl.potentials._pddl_relaxed import LandmarkCut
from smcdsl.potentials._pddl_steps import State, Task

NODES = 40_000
"""States that are looked at by default, for one start or one goal."""
_NODES_PER_ESTIMATE = 16
"""A state of A* costs as much as this many of the plain search."""


@dataclass(frozen=True)
class Move:
    """A ground action on integers: what must and must not be set, what it clears and sets, and under what else."""

    need: int
    forbid: int
    clear: int
    set: int
    conditional: tuple[tuple[int, int, int, bool], ...]


class Planner:
    """Costs of goals in one problem."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._searches: dict[int, _Layers] = {}

    @cached_property
    def grounding(self) -> Grounding:
        """What can be reached. Raises PlanningLimit."""
        return ground(self._task)

    @cached_property
    def _bits(self) -> dict[Atom, int]:
        fluent = sorted(atom for atom in self.grounding.atoms if atom[0] in self._task.fluents)
        return {atom: 1 << number for number, atom in enumerate(fluent)}

    @cached_property
    def _moves(self) -> list[Move]:
        moves = (self._move(action) for action in self.grounding.actions)
        return list(dict.fromkeys(moves))

    def _move(self, action: Any) -> Move:
        sets = clears = 0
        conditional = []
        for effect in action.effects:
            bit = self._bits.get(effect.atom, 0)
            need, forbid = self._masks(effect.term)
            if need < 0:
                continue
            if need or forbid:
                conditional.append((need, forbid, bit, effect.adds))
            elif effect.adds:
                sets |= bit
            else:
                clears |= bit
        need, forbid = self._masks(action.term)
        return Move(need, forbid, clears, sets, tuple(conditional))

    def _masks(self, term: Term) -> tuple[int, int]:
        """(bits that must be set, bits that must not); (-1, 0) if that can never be."""
        need = forbid = 0
        for atom in term[0]:
            if atom not in self._bits:
                return -1, 0
            need |= self._bits[atom]
        for atom in term[1]:
            forbid |= self._bits.get(atom, 0)
        return need, forbid

    def cost(self, state: State, goal: Formula, nodes: int = NODES) -> int | None:
        """The fewest actions from a state to a goal; None if no plan leads there.

        Raises:
            PlanningLimit: not found out within `nodes` states.
        """
        masks = [self._masks(term) for term in terms_of(self._task, goal, {})]
        goals = [mask for mask in masks if mask[0] >= 0]
        if not goals:
            return None
        start = sum(self._bits.get(atom, 0) for atom in state)
        layers = self._searches.get(start)
        if layers is None:
            if len(self._searches) >= 8:
                self._searches.clear()
            layers = self._searches[start] = _Layers(start, self._moves)
        found = layers.distance(goals, nodes)
        return found if found >= 0 else self._search(start, goals, nodes) if found == _UNKNOWN else None

    def _search(self, start: int, goals: list[tuple[int, int]], nodes: int) -> int | None:
        """A* with LM-cut; without conditional effects only, which it cannot count."""
        if any(move.conditional for move in self._moves):
            raise PlanningLimit(f"no plan was found among {nodes:,} states")
        estimate = LandmarkCut([(move.need, move.set) for move in self._moves], [need for need, _ in goals])
        first = estimate(start)
        if first is None:
            return None
        best = {start: 0}
        queue = [(first, 0, start)]
        left = nodes // _NODES_PER_ESTIMATE
        while queue:
            total, negative_cost, state = heappop(queue)
            cost = -negative_cost
            if cost > best[state]:
                continue
            if _reached(state, goals):
                return cost
            for following in _successors(state, self._moves):
                if best.get(following, cost + 2) <= cost + 1:
                    continue
                left -= 1
                if left < 0:
                    raise PlanningLimit(f"no plan was found among {nodes:,} states")
                best[following] = cost + 1
                remaining = estimate(following)
                if remaining is not None:
                    # Ties go to the deeper state, which is nearer to a goal.
                    heappush(queue, (max(total, cost + 1 + remaining), -(cost + 1), following))
        return None


_UNREACHABLE, _UNKNOWN = -1, -2


class _Layers:
    """All states by their distance from one start, found as far as they are needed."""

    def __init__(self, start: int, moves: list[Move]) -> None:
        self._states = [start]
        self._distances = [0]
        self._known = {start}
        self._next = 0
        self._moves = moves

    def distance(self, goals: list[tuple[int, int]], nodes: int) -> int:
        """The distance of the nearest goal state, `_UNREACHABLE`, or `_UNKNOWN` beyond the bound."""
        position = 0
        while True:
            while position < len(self._states):
                if _reached(self._states[position], goals):
                    return self._distances[position]
                position += 1
            if self._next == len(self._states):
                return _UNREACHABLE
            if len(self._states) >= nodes:
                return _UNKNOWN
            self._expand()

    def _expand(self) -> None:
        distance = self._distances[self._next] + 1
        for following in _successors(self._states[self._next], self._moves):
            if following not in self._known:
                self._known.add(following)
                self._states.append(following)
                self._distances.append(distance)
        self._next += 1


def _reached(state: int, goals: list[tuple[int, int]]) -> bool:
    return any(state & need == need and not state & forbid for need, forbid in goals)


def _successors(state: int, moves: list[Move]) -> Iterator[int]:
    for move in moves:
        if state & move.need == move.need and not state & move.forbid:
            clears, sets = move.clear, move.set
            for need, forbid, bit, adds in move.conditional:
                if state & need == need and not state & forbid:
                    if adds:
                        sets |= bit
                    else:
                        clears |= bit
            yield state & ~clears | sets
