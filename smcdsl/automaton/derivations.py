"""The leftmost-longest derivation of a text, for sites in grammars without a deterministic parser.

Rules are nested lists: `["rule", n]`, `["leaf", n]` (a regular part, by the start state of its automaton),
`["terminal", n]`, `["embedded", n]` (a lexed grammar), `["sequence", ...]`, `["choice", ...]`,
`["repeat", item, least, most]`, `["keep", item, leaf]` and `["drop", item, leaf]` (texts of the item that are, are
not, in a leaf). A chart tells from where to where every part can derive; recursion, left and right, is closed by
iteration. The derivation then takes at every place, from left to right, the longest text with which the rest still
fits, and of equal ones the first alternative.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from smcdsl.automaton.recognizers import Hypothesis, ParsedRecognizer, RegularRecognizer
from smcdsl.automaton.site import Site
from smcdsl.automaton.tables import AutomatonTables

Node = list[Any]
Recognizer = RegularRecognizer | ParsedRecognizer
Trail = tuple[Any, int, int] | None
"""Lexemes so far, linked backwards: (those before, terminal, end)."""
Bound = tuple[int, int, int]
"""(start, end, rank): rules over just this stretch of the text must rank lower."""
Part = tuple[Node, int, int, Bound | None]


class Rules:
    """The rules of one grammar, as the compiler wrote them down."""

    def __init__(self, data: dict[str, Any]) -> None:
        self.bodies: list[Node] = data["rules"]
        self.start: int = data["start"]
        self.boundaries: list[str | None] = data["boundaries"]
        self.lexed: bool = data["lexed"]
        self.ignored: frozenset[int] = frozenset(data["ignored"])
        self.mode: int = data["mode"]
        self.embedded = [Rules(inner) for inner in data["embedded"]]


class Chart:
    """Derives complete texts of one grammar."""

    def __init__(self, tables: AutomatonTables, rules: dict[str, Any], recognizer: Recognizer) -> None:
        self._rules = Rules(rules)
        self._recognizer = recognizer
        self._leaves = tables.leaves
        self._lexer, self._parser = tables.lexer, tables.parser
        self._rows: dict[int, list[int]] = {}
        self._accepting: list[bool] = [] if tables.leaves is None else tables.leaves.accepting.tolist()

    def find(self, text: bytes) -> list[Site]:
        """The sites of a text of the grammar, inner ones before those around them; none if it is not one."""
        if self._rules.lexed:
            assert isinstance(self._recognizer, ParsedRecognizer)
            lexemes = read_lexemes(self._recognizer, text)
        else:
            lexemes = [(byte, i, i + 1) for i, byte in enumerate(text)]
        found = self._sites(self._rules, lexemes)
        return [] if found is None else [Site(*site) for site in reversed(found)]

    def leaf_ends(self, leaf: int, symbols: list[int], start: int) -> Iterator[int]:
        """Where texts of a regular part that begin at `start` may end."""
        state = leaf
        if not state:
            return
        if self._accepting[state]:
            yield start
        for position in range(start, len(symbols)):
            state = self._row(state)[symbols[position]]
            if not state:
                return
            if self._accepting[state]:
                yield position + 1

    def embedded_sites(self, inner: Rules, text: bytes) -> list[tuple[str, int, int]] | None:
        """Sites of a text of an embedded grammar; None if it is not one."""
        lexemes = self._cut(inner, text)
        return None if lexemes is None else self._sites(inner, lexemes)

    def _sites(self, rules: Rules, lexemes: list[tuple[int, int, int]] | None) -> list[tuple[str, int, int]] | None:
        if lexemes is None:
            return None
        derivation = _Derivation(self, rules, [symbol for symbol, _, _ in lexemes])
        if not derivation.succeeds():
            return None
        spans = [(start, end) for _, start, end in lexemes]
        return [(rule, *_span(spans, start, end)) for rule, start, end in derivation.occurrences()]

    def _row(self, state: int) -> list[int]:
        row = self._rows.get(state)
        if row is None:
            assert self._leaves is not None
            row = self._rows[state] = self._leaves.next_state[state].tolist()
        return row

    def _cut(self, rules: Rules, text: bytes) -> list[tuple[int, int, int]] | None:
        """(terminal, start, end) of the lexemes by longest match, ignored ones left out."""
        assert self._lexer is not None
        assert self._parser is not None
        found, position = [], 0
        first = int(self._parser.start_of[0, rules.mode])
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
            if terminal not in rules.ignored:
                found.append((terminal, position, end))
            position = end
        return found


def read_lexemes(recognizer: ParsedRecognizer, text: bytes) -> list[tuple[int, int, int]] | None:
    """(terminal, start, end) of a text's lexemes as the recogniser cuts it, ignored ones left out."""
    ignored = recognizer.plain_lexer.ignored
    first = recognizer.content(recognizer.start)[1]
    paths: dict[Hypothesis, Trail] = dict.fromkeys(first)
    for position, byte in enumerate(text):
        following: dict[Hypothesis, Trail] = {}
        for old, trail in paths.items():
            for terminal, new in recognizer.moves(old, byte):
                if recognizer.viable(new):
                    following.setdefault(new, trail if terminal < 0 else (trail, terminal, position))
        paths = following
    for hypothesis, trail in paths.items():
        last = recognizer.last_terminal(hypothesis)
        if last is None:
            continue
        ended = trail if last < 0 else (trail, last, len(text))
        cuts: list[tuple[int, int]] = []
        while ended is not None:
            ended, terminal, end = ended
            cuts.append((terminal, end))
        cuts.reverse()
        starts = [0, *(end for _, end in cuts)]
        return [(t, start, end) for (t, end), start in zip(cuts, starts) if not ignored >> t & 1]
    return None


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

    def __init__(self, chart: Chart, rules: Rules, symbols: list[int]) -> None:
        self._chart, self._rules, self._symbols = chart, rules, symbols
        self._inner: dict[tuple[int, int, int], list[tuple[str, int, int]] | None] = {}
        self._ends: dict[tuple[int, int], set[int]] = {}
        self._ranks: dict[tuple[int, int, int], int] = {}
        self._visited: set[tuple[int, int]] = set()
        self._changed = False

    def succeeds(self) -> bool:
        """Fill the chart; whether the rules derive all symbols."""
        start = self._rules.start
        while True:
            self._changed, self._visited = False, set()
            self._rule_ends(start, 0)
            if not self._changed:
                return len(self._symbols) in self._ends[start, 0]

    def occurrences(self) -> list[tuple[str, int, int]]:
        """(boundary, start, end) of all boundary rules in the derivation of the whole, outer ones first."""
        found: list[tuple[str, int, int]] = []
        agenda: list[Part] = [(["rule", self._rules.start], 0, len(self._symbols), None)]
        while agenda:
            agenda.extend(self._expand(*agenda.pop(), found))
        return found

    def _rule_ends(self, rule: int, start: int) -> set[int]:
        known = self._ends.setdefault((rule, start), set())
        if (rule, start) not in self._visited:
            self._visited.add((rule, start))
            for end in sorted(self._node_ends(self._rules.bodies[rule], start, None) - known):
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
        if kind == "embedded":
            return {e for e in range(start, len(self._symbols) + 1) if self._within(node[1], start, e) is not None}
        if kind == "sequence":
            return self._sequence_ends(node[1:], {start}, bound)
        if kind == "choice":
            return {end for item in node[1:] for end in self._node_ends(item, start, bound)}
        if kind == "repeat":
            return self._repeat_ends(node, start, bound)
        within = set(self._chart.leaf_ends(node[2], self._symbols, start))
        ends = self._node_ends(node[1], start, bound)
        return ends & within if kind == "keep" else ends - within

    def _within(self, inner: int, start: int, end: int) -> list[tuple[str, int, int]] | None:
        """Sites of a stretch that an embedded grammar derives; None if it does not."""
        key = (inner, start, end)
        if key not in self._inner:
            text = bytes(self._symbols[start:end])
            self._inner[key] = self._chart.embedded_sites(self._rules.embedded[inner], text)
        return self._inner[key]

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
            body, boundary = self._rules.bodies[node[1]], self._rules.boundaries[node[1]]
            if boundary is not None:
                found.append((boundary, start, end))
            return [(body, start, end, (start, end, self._ranks[node[1], start, end]))]
        if kind == "embedded":
            found.extend((rule, start + s, start + e) for rule, s, e in self._within(node[1], start, end) or ())
            return []
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
