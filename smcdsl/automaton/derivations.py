"""The leftmost-longest derivation of a text, for sites in grammars without a deterministic parser.

Rules are nested lists: `["rule", n]`, `["leaf", n]` (a regular part, by the start state of its automaton),
`["terminal", n]`, `["sequence", ...]`, `["choice", ...]`, `["repeat", item, least, most]`, `["keep", item, leaf]`
and `["drop", item, leaf]` (texts of the item that are, are not, in a leaf). A chart tells from where to where
every part can derive; recursion, left and right, is closed by iteration. The derivation then takes at every
place, from left to right, the longest text with which the rest still fits, and of equal ones the first alternative.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from smcdsl.automaton.site import Site
from smcdsl.automaton.tables import AutomatonTables

Node = list[Any]
Bound = tuple[int, int, int]
"""(start, end, rank): rules over just this stretch of the text must rank lower."""
Part = tuple[Node, int, int, Bound | None]


class Chart:
    """Derives complete texts of one grammar."""

    def __init__(self, tables: AutomatonTables, rules: dict[str, Any]) -> None:
        self._rules: list[Node] = rules["rules"]
        self._start: int = rules["start"]
        self._boundary: list[str | None] = rules["boundaries"]
        self._ignored: frozenset[int] = frozenset(rules.get("ignored", ()))
        self._lexed: bool = rules["lexed"]
        self._leaves = tables.leaves
        self._lexer = tables.lexer
        self._rows: dict[int, list[int]] = {}
        self._accepting: list[bool] = [] if tables.leaves is None else tables.leaves.accepting.tolist()

    def find(self, text: bytes) -> list[Site]:
        """The sites of a text of the grammar; none if it is not one."""
        if self._lexed:
            lexemes = self._lexemes(text)
            if lexemes is None:
                return []
            terminals, spans = [t for t, _, _ in lexemes], [(start, end) for _, start, end in lexemes]
        else:
            terminals, spans = list(text), [(i, i + 1) for i in range(len(text))]
        derivation = _Derivation(self, terminals)
        occurrences = derivation.occurrences(self._start)
        # Rules are found before those inside them; sites come in order of their end, inner ones first.
        return [Site(rule, *_span(spans, start, end)) for rule, start, end in reversed(occurrences)]

    def rule(self, number: int) -> tuple[Node, str | None]:
        """The body of a rule and the boundary that it is."""
        return self._rules[number], self._boundary[number]

    def leaf_ends(self, leaf: int, symbols: list[int], start: int) -> Iterator[int]:
        """Where texts of a regular part that begin at `start` may end."""
        state = leaf
        if self._accepting[state]:
            yield start
        for position in range(start, len(symbols)):
            state = self._row(state)[symbols[position]]
            if not state:
                return
            if self._accepting[state]:
                yield position + 1

    def _row(self, state: int) -> list[int]:
        row = self._rows.get(state)
        if row is None:
            assert self._leaves is not None
            row = self._rows[state] = self._leaves.next_state[state].tolist()
        return row

    def _lexemes(self, text: bytes) -> list[tuple[int, int, int]] | None:
        """(terminal, start, end) of the lexemes by longest match, ignored ones left out."""
        assert self._lexer is not None
        found, position = [], 0
        first = int(self._lexer.is_start.argmax())
        while position < len(text):
            state, terminal, end = first, -1, position
            for i in range(position, len(text)):
                state = int(self._lexer.next_state[state, text[i]])
                if not state:
                    break
                if self._lexer.accepting[state]:
                    terminal, end = int(self._lexer.winner[state]), i + 1
            if terminal < 0:
                return None
            if terminal not in self._ignored:
                found.append((terminal, position, end))
            position = end
        return found


def _span(spans: list[tuple[int, int]], start: int, end: int) -> tuple[int, int]:
    """Bytes of symbols `start` up to `end`."""
    if start < end:
        return spans[start][0], spans[end - 1][1]
    here = spans[start - 1][1] if start else 0
    return here, here


class _Derivation:
    """Chart and derivation of one text, a list of symbols.

    A rule's rank over a stretch of the text is when it was found to derive it; what it was found from ranks lower.
    So a derivation that goes down in rank wherever it stays on one stretch is finite, whatever the recursion.
    """

    def __init__(self, chart: Chart, symbols: list[int]) -> None:
        self._chart, self._symbols = chart, symbols
        self._ends: dict[tuple[int, int], set[int]] = {}
        self._ranks: dict[tuple[int, int, int], int] = {}
        self._visited: set[tuple[int, int]] = set()
        self._changed = False

    def occurrences(self, start: int) -> list[tuple[str, int, int]]:
        """(boundary, start, end) of all boundary rules in the derivation of the whole text, outer ones first."""
        while True:
            self._changed, self._visited = False, set()
            self._rule_ends(start, 0)
            if not self._changed:
                break
        found: list[tuple[str, int, int]] = []
        size = len(self._symbols)
        agenda: list[Part] = []
        if size in self._ends.get((start, 0), set()):
            agenda.append((["rule", start], 0, size, None))
        while agenda:
            agenda.extend(self._expand(*agenda.pop(), found))
        return found

    def _rule_ends(self, rule: int, start: int) -> set[int]:
        known = self._ends.setdefault((rule, start), set())
        if (rule, start) not in self._visited:
            self._visited.add((rule, start))
            for end in sorted(self._node_ends(self._chart.rule(rule)[0], start, None) - known):
                self._ranks[rule, start, end] = len(self._ranks)
                known.add(end)
                self._changed = True
        return known

    def _node_ends(self, node: Node, start: int, bound: Bound | None) -> set[int]:
        """Where a part that begins at `start` may end."""
        kind = node[0]
        if kind == "rule":
            ends = set(self._rule_ends(node[1], start))
            if bound is None or start != bound[0] or bound[1] not in ends:
                return ends
            return ends - {bound[1]} if self._ranks[node[1], start, bound[1]] >= bound[2] else ends
        if kind == "leaf":
            return set(self._chart.leaf_ends(node[1], self._symbols, start))
        if kind == "terminal":
            return {start + 1} if start < len(self._symbols) and self._symbols[start] == node[1] else set()
        if kind == "sequence":
            return self._sequence_ends(node[1:], {start}, bound)
        if kind == "choice":
            return {end for item in node[1:] for end in self._node_ends(item, start, bound)}
        if kind == "repeat":
            return self._repeat_ends(node, start, bound)
        within = set(self._chart.leaf_ends(node[2], self._symbols, start))
        ends = self._node_ends(node[1], start, bound)
        return ends & within if kind == "keep" else ends - within

    def _sequence_ends(self, items: list[Node], ends: set[int], bound: Bound | None) -> set[int]:
        for item in items:
            ends = {end for start in ends for end in self._node_ends(item, start, bound)}
        return ends

    def _repeat_ends(self, node: Node, start: int, bound: Bound | None) -> set[int]:
        _, item, least, most = node
        level = self._sequence_ends([item] * least, {start}, bound)
        ends = set(level)
        count = least
        while level and (most is None or count < most):
            level = {end for begin in level for end in self._node_ends(item, begin, bound)} - ends
            ends |= level
            count += 1
        return ends

    def _expand(
        self, node: Node, start: int, end: int, bound: Bound | None, found: list[tuple[str, int, int]]
    ) -> list[Part]:
        """The parts of one part of the derivation."""
        kind = node[0]
        if kind in ("leaf", "terminal"):
            return []
        if kind == "rule":
            body, boundary = self._chart.rule(node[1])
            if boundary is not None:
                found.append((boundary, start, end))
            return [(body, start, end, (start, end, self._ranks[node[1], start, end]))]
        if kind in ("keep", "drop"):
            return [(node[1], start, end, bound)]
        if kind == "choice":
            chosen = next(item for item in node[1:] if end in self._node_ends(item, start, bound))
            return [(chosen, start, end, bound)]
        items = node[1:] if kind == "sequence" else self._items(node, start, end, bound)
        return self._split(items, start, end, bound)

    def _items(self, node: Node, start: int, end: int, bound: Bound | None) -> list[Node]:
        """A repetition as so many items: longest first, none empty beyond the least number."""
        _, item, least, most = node
        items: list[Node] = []
        while len(items) < least or start < end:
            left = None if most is None else most - len(items) - 1
            rest = ["repeat", item, max(least - len(items) - 1, 0), left]
            stops = [e for e in self._node_ends(item, start, bound) if end in self._node_ends(rest, e, bound)]
            items.append(item)
            start = max(stops)
        return items

    def _split(self, items: list[Node], start: int, end: int, bound: Bound | None) -> list[Part]:
        """Give every item of a sequence, from left to right, the longest stretch with which the rest still fits."""
        parts: list[Part] = []
        for i, item in enumerate(items):
            rest = items[i + 1 :]
            stops = [e for e in self._node_ends(item, start, bound) if end in self._sequence_ends(rest, {e}, bound)]
            parts.append((item, start, max(stops), bound))
            start = max(stops)
        return parts
