"""LM-cut: a lower bound on the cost of a plan, from disjunctive action landmarks.

Deletions and negative conditions are left out. As long as the goal costs something under h-max, a set of actions is
cut out of which every plan uses one; its cheapest cost is paid, and taken off all of them.

Source: Helmert and Domshlak (2009), "Landmarks, critical paths and abstractions: what's the difference anyway?"
"""

from __future__ import annotations

from heapq import heappop, heappush

_INFINITE = 1 << 30


class LandmarkCut:
    """Lower bounds for one set of actions and one goal.

    Args:
        actions: (needed bits, bits that are set) of each; all cost one.
        goals: alternatives, each a set of bits.
    """

    def __init__(self, actions: list[tuple[int, int]], goals: list[int]) -> None:
        bits = max((need | adds).bit_length() for need, adds in [*actions, *((goal, 0) for goal in goals)])
        self._always = bits  # true in every state, so that every action needs something
        self._goal = bits + 1
        self._size = bits + 2
        self._costs = [1] * len(actions) + [0] * len(goals)
        self._needs = [[*_positions(need), self._always] for need, _ in actions]
        self._needs += [[*_positions(goal), self._always] for goal in goals]
        self._adds = [_positions(adds) for _, adds in actions] + [[self._goal] for _ in goals]
        self._needing: list[list[int]] = [[] for _ in range(self._size)]
        self._adding: list[list[int]] = [[] for _ in range(self._size)]
        for number, (needs, adds) in enumerate(zip(self._needs, self._adds, strict=True)):
            for fact in needs:
                self._needing[fact].append(number)
            for fact in adds:
                self._adding[fact].append(number)

    def __call__(self, state: int) -> int | None:
        """A lower bound on the number of actions from a state to a goal; None if no plan leads there."""
        facts = [*_positions(state), self._always]
        costs = list(self._costs)
        total = 0
        while True:
            values, supporters = self._h_max(facts, costs)
            if values[self._goal] >= _INFINITE:
                return None
            if values[self._goal] == 0:
                return total
            cut = self._cut(facts, costs, supporters)
            paid = min(costs[action] for action in cut)
            total += paid
            for action in cut:
                costs[action] -= paid

    def _h_max(self, facts: list[int], costs: list[int]) -> tuple[list[int], list[int]]:
        """h-max of each fact, and for each action its dearest need, -1 for those out of reach."""
        values = [_INFINITE] * self._size
        supporters = [-1] * len(costs)
        missing = [len(needs) for needs in self._needs]
        queue = [(0, fact) for fact in facts]
        for fact in facts:
            values[fact] = 0
        while queue:
            value, fact = heappop(queue)
            if value > values[fact]:
                continue
            for action in self._needing[fact]:
                missing[action] -= 1
                if missing[action]:
                    continue
                supporters[action] = fact  # facts come in order of value: the last one is the dearest
                reached = value + costs[action]
                for added in self._adds[action]:
                    if reached < values[added]:
                        values[added] = reached
                        heappush(queue, (reached, added))
        return values, supporters

    def _cut(self, facts: list[int], costs: list[int], supporters: list[int]) -> list[int]:
        """The actions that lead into the part from where the goal costs nothing."""
        beyond = {self._goal}
        agenda = [self._goal]
        while agenda:
            for action in self._adding[agenda.pop()]:
                need = supporters[action]
                if costs[action] == 0 and need >= 0 and need not in beyond:
                    beyond.add(need)
                    agenda.append(need)
        cut: dict[int, None] = {}
        seen = set(facts)
        agenda = list(facts)
        while agenda:
            fact = agenda.pop()
            for action in self._needing[fact]:
                if supporters[action] != fact:
                    continue
                if not beyond.isdisjoint(self._adds[action]):
                    cut[action] = None
                    continue
                new = [added for added in self._adds[action] if added not in seen]
                seen.update(new)
                agenda += new
        return list(cut)


def _positions(bits: int) -> list[int]:
    """The numbers of the bits that are set."""
    found = []
    while bits:
        lowest = bits & -bits
        found.append(lowest.bit_length() - 1)
        bits ^= lowest
    return found
