"""Whether a text contains a match of a pattern, in time proportional to the text times the pattern.

Schemas and their values come from anywhere, and Python's `re` may try the ways to match one by one. Here all
ways are followed at once.

Source: Thompson (1968), "Programming techniques: regular expression search algorithm".
"""

from __future__ import annotations

from collections.abc import Iterable

from smcdsl.notations.json_schema.regexes import Edge
from smcdsl.program.regular import Characters, Choice, Ranges, Repetition, Sequence, Tree


def size(tree: Tree) -> int:
    """How many characters and edges a tree has when its counted repetitions are written out."""
    match tree:
        case Sequence(items) | Choice(items):
            return sum(map(size, items)) + 1
        case Repetition(item, least, most):
            return size(item) * max(least + 1 if most is None else most, 1)
    return 1


_MOST_KNOWN = 10_000


class Matcher:
    """A pattern's automaton over code points; `search` follows all its states side by side."""

    def __init__(self, tree: Tree) -> None:
        self.steps: list[list[tuple[Ranges, int]]] = []
        self.silent: list[list[int]] = []
        self.edges: list[list[tuple[bool, int]]] = []
        self.known: dict[tuple[frozenset[int], str, bool], frozenset[int] | None] = {}
        """Steps that were taken before."""
        self.start = self._state()
        self.end = self._add(tree, self.start)

    def search(self, text: str) -> bool:
        """Whether some part of the text matches."""
        before: frozenset[int] = frozenset()
        for place, character in enumerate(text):
            key = before, character, place == 0
            if key not in self.known:
                if len(self.known) >= _MOST_KNOWN:
                    self.known.clear()
                self.known[key] = self._step(before, ord(character), place == 0)
            found = self.known[key]
            if found is None:
                return True
            before = found
        return self.end in self._reached({*before, self.start}, not text, True)

    def _step(self, before: frozenset[int], code: int, first: bool) -> frozenset[int] | None:
        """The states after a character; None if a match ends in front of it."""
        here = self._reached({*before, self.start}, first, False)
        if self.end in here:
            return None
        return frozenset(
            target
            for state in here
            for ranges, target in self.steps[state]
            if any(low <= code <= high for low, high in ranges)
        )

    def _reached(self, states: Iterable[int], first: bool, last: bool) -> set[int]:
        pending = list(states)
        found = set(pending)
        while pending:
            state = pending.pop()
            after = [target for at_start, target in self.edges[state] if (first if at_start else last)]
            for target in (*self.silent[state], *after):
                if target not in found:
                    found.add(target)
                    pending.append(target)
        return found

    def _state(self) -> int:
        self.steps.append([])
        self.silent.append([])
        self.edges.append([])
        return len(self.steps) - 1

    def _add(self, tree: Tree, start: int) -> int:
        """Add the paths of a tree; returns the state in which they end."""
        match tree:
            case Sequence(items):
                for item in items:
                    start = self._add(item, start)
                return start
            case Repetition(item, least, most):
                return self._add_repetition(item, least, most, start)
        end = self._state()
        match tree:
            case Characters(ranges):
                self.steps[start].append((ranges, end))
            case Edge(at_start):
                self.edges[start].append((at_start, end))
            case Choice(items):
                for item in items:
                    branch = self._state()
                    self.silent[start].append(branch)
                    self.silent[self._add(item, branch)].append(end)
        return end

    def _add_repetition(self, item: Tree, least: int, most: int | None, start: int) -> int:
        for _ in range(least):
            start = self._add(item, start)
        end = self._state()
        if most is None:
            loop = self._state()
            self.silent[start].append(loop)
            self.silent[loop].append(end)
            self.silent[self._add(item, loop)].append(loop)
            return end
        for _ in range(most - least):
            self.silent[start].append(end)
            branch = self._state()
            self.silent[start].append(branch)
            start = self._add(item, branch)
        self.silent[start].append(end)
        return end
