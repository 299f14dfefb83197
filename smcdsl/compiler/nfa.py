"""Nondeterministic automata over bytes, built from regular trees, literal texts and smaller automata.

States are ints. An edge carries a set of bytes as a 256-bit integer, so that a state that goes on with
any letter is one edge. Anchors are silent edges with a condition; `without_anchors` compiles them away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from smcdsl.compiler.regex import Anchor, AnchorKind
from smcdsl.compiler.unicode_classes import END, utf8_nodes
from smcdsl.program.regular import Characters, Choice, Repetition, Sequence, Tree

Item = TypeVar("Item")

NEWLINE_BYTE = 1 << 10
ANY_BYTE = (1 << 256) - 1


class TooLarge(Exception):
    """An automaton grew past its limit of states; `culprit` names the rule or part, if known.

    With `is_work` what ran out is the work that so many states are allowed, with fewer states made.
    """

    def __init__(self, limit: int, culprit: str = "", *, is_work: bool = False) -> None:
        much = f"the work of {limit:,} automaton states" if is_work else f"{limit:,} automaton states"
        super().__init__(f"more than {much}" + (f" in {culprit}" if culprit else ""))
        self.limit, self.culprit, self.is_work = limit, culprit, is_work


@dataclass
class Nfa:
    """Edges by source state. What starts and what accepts is said by the user of the automaton."""

    edges: list[list[tuple[int, int]]] = field(default_factory=list)  # (set of bytes, target)
    silent: list[list[int]] = field(default_factory=list)
    anchors: dict[int, list[tuple[AnchorKind, int]]] = field(default_factory=dict)
    limit: int = 400_000

    def state(self) -> int:
        """A new state without edges."""
        if len(self.edges) >= self.limit:
            raise TooLarge(self.limit)
        self.edges.append([])
        self.silent.append([])
        return len(self.edges) - 1

    def add_tree(self, tree: Tree, start: int) -> int:
        """Add the paths of a tree from `start`; return the state in which they end."""
        if isinstance(tree, Characters):
            return self._add_characters(tree, start)
        if isinstance(tree, Sequence):
            return self.add_sequence(with_lists(tree.items, _body), self.add_tree, start)
        if isinstance(tree, Choice):
            end = self.state()
            for item in tree.items:
                branch = self.state()
                self.silent[start].append(branch)
                self.silent[self.add_tree(item, branch)].append(end)
            return end
        if isinstance(tree, Repetition):
            return self.add_repetition(lambda state: self.add_tree(tree.item, state), tree.least, tree.most, start)
        assert isinstance(tree, Anchor), f"unknown tree {tree}"
        end = self.state()
        self.anchors.setdefault(start, []).append((tree.kind, end))
        return end

    def add_repetition(self, add_item: Callable[[int], int], least: int, most: int | None, start: int) -> int:
        """Add what `add_item(state) -> end` adds, from `least` to `most` times."""
        for _ in range(least - (most is None)):
            before, start = start, add_item(start)
            if before == start:
                return start  # the item is empty, and so are all of them
        if most is None:
            loop, end = self.state(), self.state()
            self.silent[start].append(loop)
            last = add_item(loop)
            self.silent[last if least > 0 else loop].append(end)
            self.silent[last].append(loop)
            return end
        end = self.state()
        for _ in range(most - least):
            self.silent[start].append(end)
            entry = self.state()  # without it, edges back into `start` could pass the exit again
            self.silent[start].append(entry)
            start = add_item(entry)
        self.silent[start].append(end)
        return end

    def add_sequence(self, parts: list[Item | Listed[Item]], add: Callable[[Item, int], int], start: int) -> int:
        """Add parts one after the other; those that are lists with one copy of their item."""
        for part in parts:
            if not isinstance(part, Listed):
                start = add(part, start)
                continue
            last = loop = self.state()
            self.silent[start].append(loop)
            start = self.state()
            for item in part.item:
                last = add(item, last)
            self.silent[last].append(start)
            for item in part.separator:
                last = add(item, last)
            self.silent[last].append(loop)
        return start

    def _add_characters(self, tree: Characters, start: int) -> int:
        nodes = utf8_nodes(tree.ranges)
        end = self.state()
        states = [start, *(self.state() for _ in nodes[1:])]
        for state, edges in zip(states, nodes):
            self.edges[state].extend((mask, end if child == END else states[child]) for mask, child in edges)
        return end

    def add_literals(self, texts: list[bytes], start: int) -> int:
        """Add paths for each of the texts, sharing their beginnings."""
        end = self.state()
        known: dict[tuple[int, int], int] = {}
        for text in texts:
            state = start
            for byte in text:
                following = known.get((state, byte))
                if following is None:
                    following = known[state, byte] = self.state()
                    self.edges[state].append((1 << byte, following))
                state = following
            self.silent[state].append(end)
        return end

    def add_deterministic(
        self, edges: list[list[tuple[int, int]]], accepting: list[bool], first: int, start: int
    ) -> int:
        """Add a copy of a deterministic automaton given by its edges; state `first` is where `start` leads."""
        states = [self.state() for _ in edges]
        end = self.state()
        for state, outgoing, accepts in zip(states, edges, accepting):
            self.edges[state].extend((mask, states[target]) for mask, target in outgoing)
            if accepts:
                self.silent[state].append(end)
        self.silent[start].append(states[first])
        return end


@dataclass(frozen=True)
class Listed(Generic[Item]):
    """An item, and any number of times a separator and an item again; each is a sequence."""

    item: tuple[Item, ...]
    separator: tuple[Item, ...]


def with_lists(items: Iterable[Item], body_of: Callable[[Item], tuple[Item, ...] | None]) -> list[Item | Listed[Item]]:
    """The items of a sequence; those that are written twice, as in `x(,x)*`, as lists.

    Args:
        items: one after the other.
        body_of: the sequence that an item repeats any number of times, None if it is another item.
    """
    parts: list[Item | Listed[Item]] = []
    for item in items:
        body = body_of(item) or ()
        alike = 0
        while alike < min(len(body), len(parts)) and parts[-1 - alike] == body[-1 - alike]:
            alike += 1
        if alike:
            parts[len(parts) - alike :] = [Listed(body[-alike:], body[:-alike])]
        else:
            parts.append(item)
    return parts


def _body(tree: Tree) -> tuple[Tree, ...] | None:
    if not (isinstance(tree, Repetition) and tree.least == 0 and tree.most is None):
        return None
    return tree.item.items if isinstance(tree.item, Sequence) else (tree.item,)


# What must follow a place: nothing is known, a newline, exactly one newline and the end, or the end.
_ANYTHING, _NEWLINE_NEXT, _ONLY_NEWLINE, _NOTHING = range(4)
# What stands before a place: nothing, a newline, another byte.
_AT_START, _AFTER_NEWLINE, _INSIDE = range(3)


def without_anchors(nfa: Nfa, start: int, end: int) -> tuple[Nfa, int, int]:
    """The same language of whole texts, without anchors: a product with what stands before and must follow.

    Returns the automaton, its start, and its one accepting state.
    """
    if not nfa.anchors:
        return nfa, start, end
    product = Nfa(limit=nfa.limit)
    accepting = product.state()
    numbers: dict[tuple[int, int, int], int] = {}
    agenda: list[tuple[int, int, int]] = []

    def number(state: int, before: int, after: int) -> int:
        key = (state, before, after)
        if key not in numbers:
            numbers[key] = product.state()
            agenda.append(key)
        return numbers[key]

    first = number(start, _AT_START, _ANYTHING)
    while agenda:
        state, before, after = agenda.pop()
        here = numbers[state, before, after]
        if state == end and after in (_ANYTHING, _NOTHING):
            product.silent[here].append(accepting)
        for target in nfa.silent[state]:
            product.silent[here].append(number(target, before, after))
        for kind, target in nfa.anchors.get(state, ()):
            for demand in _demands(kind, before, after):
                product.silent[here].append(number(target, before, demand))
        for mask, target in nfa.edges[state]:
            newline, other = mask & NEWLINE_BYTE, mask & ~NEWLINE_BYTE
            if newline and after != _NOTHING:
                remaining = _NOTHING if after == _ONLY_NEWLINE else _ANYTHING
                product.edges[here].append((newline, number(target, _AFTER_NEWLINE, remaining)))
            if other and after == _ANYTHING:
                product.edges[here].append((other, number(target, _INSIDE, _ANYTHING)))
    return product, first, accepting


def _demands(kind: AnchorKind, before: int, after: int) -> list[int]:
    """What must follow once the anchor holds here; empty if it cannot hold."""
    if kind == "text start":
        return [after] if before == _AT_START else []
    if kind == "line start":
        return [after] if before in (_AT_START, _AFTER_NEWLINE) else []
    wanted = {"text end": [_NOTHING], "last line end": [_NOTHING, _ONLY_NEWLINE], "line end": [_NOTHING, _NEWLINE_NEXT]}
    both = (_both(after, demand) for demand in wanted[kind])
    return [demand for demand in both if demand is not None]


def _both(left: int, right: int) -> int | None:
    """Both demands as one; None if no text meets both."""
    if left in (_ANYTHING, right):
        return right
    if right == _ANYTHING:
        return left
    if {left, right} == {_NEWLINE_NEXT, _ONLY_NEWLINE}:
        return _ONLY_NEWLINE
    return None
