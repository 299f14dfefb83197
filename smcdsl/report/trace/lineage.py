"""The family tree of a population: lines that split where particles were copied, and what became of each."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from smcdsl.report.trace.populations import Death, Population

Outcome = Literal["finished", "open", "died", "dropped", "split"]


@dataclass
class Branch:
    """A line of descent from one split to the next; a leaf has no `branches`.

    It is in `slot` at its last step, `last`. `outcome`: `finished`, or `open` where the run ended before; `died`;
    `dropped` where resampling made no copy of it; `split` where it made several.
    """

    first: int
    last: int
    slot: int
    outcome: Outcome
    death: Death | None = None
    branches: list[Branch] = field(default_factory=list)

    def leaves(self) -> Iterator[Branch]:
        """The ends of all lines that begin here."""
        waiting = [self]
        while waiting:
            branch = waiting.pop()
            if branch.branches:
                waiting += reversed(branch.branches)
            else:
                yield branch


def family_tree(population: Population) -> list[Branch]:
    """The lines from the program's start on, each with what became of it."""
    if not population.steps:
        return []
    heirs = _heirs(population)
    roots = [_begin(population, 0, slot) for slot in range(population.size) if population.origins[0][slot] >= 0]
    waiting = [branch for branch in roots if branch.outcome == "open"]
    while waiting:
        branch = waiting.pop()
        while branch.last + 1 < len(population.steps):
            own = heirs[branch.last].get(branch.slot, [])
            if len(own) != 1:
                break
            branch.last, branch.slot = branch.last + 1, own[0]
            _judge(population, branch)
            if branch.outcome != "open":
                break
        if branch.outcome != "open" or branch.last + 1 == len(population.steps):
            continue
        own = heirs[branch.last].get(branch.slot, [])
        branch.outcome = "split" if own else "dropped"
        branch.branches = [_begin(population, branch.last + 1, slot) for slot in own]
        waiting += [child for child in branch.branches if child.outcome == "open"]
    return roots


def _heirs(population: Population) -> list[dict[int, list[int]]]:
    """By step, the slots of the next step that come from each slot."""
    found: list[dict[int, list[int]]] = []
    for origins in population.origins[1:]:
        own: dict[int, list[int]] = {}
        for slot, origin in enumerate(origins):
            if origin >= 0:
                own.setdefault(origin, []).append(slot)
        found.append(own)
    return found


def _begin(population: Population, step: int, slot: int) -> Branch:
    branch = Branch(step, step, slot, "open")
    _judge(population, branch)
    return branch


def _judge(population: Population, branch: Branch) -> None:
    """What a branch has come to at its last step."""
    site = population.steps[branch.last]
    if site.log_weights[branch.slot] == -math.inf:
        branch.outcome = "died"
        own = [death for death in population.deaths_at(branch.last) if death.event.slot == branch.slot]
        branch.death = own[-1] if own else None
    elif branch.last + 1 == len(population.steps):
        branch.outcome = "finished" if site.finished[branch.slot] else "open"
