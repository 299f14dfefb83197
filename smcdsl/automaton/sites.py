"""Sites: occurrences of boundary rules in the text of a hole (language reference, 2.2.4).

A deterministic parser of a lexed grammar tells its sites while it reads: a rule is closed for certain when every
terminal that may come next reduces it over the same text. For other grammars sites are those of the
leftmost-longest derivation, found in a chart when the text is complete. Grammars over bytes tell before which of them
are in every derivation (`agreement`); for lexed grammars that no table decides none are reported before the end.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from functools import cached_property, reduce
from operator import or_
from typing import NamedTuple

from smcdsl.automaton.agreement import Agreement, Announced, Reading
from smcdsl.automaton.beginnings import Beginnings
from smcdsl.automaton.bits import bits
from smcdsl.automaton.derivations import Chart, Rules
from smcdsl.automaton.recognizers import Hypothesis, ParsedRecognizer, RegularRecognizer
from smcdsl.automaton.site import Site, boundary_bit, order, safe_length
from smcdsl.automaton.stacks import LinearStacks
from smcdsl.automaton.tables import AutomatonTables, ParserTables

__all__ = ["Site", "SiteFinder"]

Closing = tuple[int, int]
"""(boundary, height of the stack below the rule): a site that a reduction closes."""


class _Path(NamedTuple):
    """A way to read some bytes: what it leads to, what it closes, and whether the first lexeme still goes on."""

    hypothesis: Hypothesis
    closed: tuple[Closing, ...]
    waits: bool


class SiteFinder:
    """Finds the sites of one grammar.

    Args:
        tables: the compiled grammar.
        recognizer: made of them.
        following: the text right after the hole, None if the hole ends its turn.
    """

    def __init__(
        self, tables: AutomatonTables, recognizer: RegularRecognizer | ParsedRecognizer, following: bytes | None
    ) -> None:
        self._parser: _SiteParser | None = None
        self._chart: Chart | None = None
        self._early: _EarlySites | None = None
        if not tables.boundaries:
            return
        rules = json.loads(tables.sites)
        if rules is None:
            assert isinstance(recognizer, ParsedRecognizer)
            self._parser = _SiteParser(tables, recognizer)
            return
        self._chart = Chart(tables, rules, recognizer)
        if not rules["lexed"]:
            self._early = _EarlySites(tables, Rules(rules), following)

    @property
    def by_configuration(self) -> bool:
        """Whether `noticed` can tell; `noticed_in` does where this is False."""
        return self._parser is not None

    def find(self, text: bytes, complete: bool) -> tuple[Site, ...]:
        """The sites of a text in order of their end, longer ones after those they contain."""
        if self._early is not None and not complete:
            return self._early.find(text)
        found: Iterable[Site] = ()
        if self._parser is not None:
            found = self._parser.find(text, complete)
        elif self._chart is not None and complete:
            found = self._chart.find(text)
        return tuple(sorted(found, key=order))

    def noticed(self, configuration: int, text: bytes) -> int:
        """Bits of the boundaries of which reading `text` from `configuration` makes sites certain.

        Exact while there is one way to cut the text into lexemes; once one of several turns out right, all.
        """
        return 0 if self._parser is None else self._parser.noticed(configuration, text)

    def noticed_in(self, text: bytes, more: bytes) -> int:
        """Bits of the boundaries of which reading `more` after `text` makes sites certain, as a run looks for them."""
        return 0 if self._early is None else self._early.noticed(text, more)


class _EarlySites:
    """Sites of beginnings, for grammars over bytes."""

    def __init__(self, tables: AutomatonTables, rules: Rules, following: bytes | None) -> None:
        self._leaves, self._rules, self._following = tables.leaves, rules, following
        self._bits = {name: boundary_bit(number) for number, name in enumerate(tables.boundaries)}
        self._beginnings = Beginnings[Reading]()

    @cached_property
    def _agreement(self) -> Agreement:
        """Made when first asked for: most runs ask for no sites."""
        return Agreement(self._rules, self._leaves)

    def find(self, text: bytes) -> tuple[Site, ...]:
        """Sites that are certain after a beginning."""
        return self._read(text).all()

    def noticed(self, text: bytes, more: bytes) -> int:
        """See `SiteFinder.noticed_in`. What may be text that follows the hole is not read, as runs do not."""
        longer = text + more
        before = self._read(text[: safe_length(text, self._following)])
        after = self._read(longer[: safe_length(longer, self._following)])
        return reduce(or_, (self._bits[site.rule] for site in after.since(before)), 0)

    def _read(self, text: bytes) -> Announced:
        known = self._beginnings.longest(text)
        reading, length = (self._agreement.start, 0) if known is None else known
        if length < len(text):
            reading = self._agreement.read(reading, text[length:])
            self._beginnings.keep(text, reading)
        return reading.announced


class _SiteParser:
    """Reads with the tables of the automaton itself, spans kept."""

    def __init__(self, tables: AutomatonTables, recognizer: ParsedRecognizer) -> None:
        assert isinstance(recognizer.stacks, LinearStacks)
        self._names = tables.boundaries
        self._recognizer, self._stacks = recognizer, recognizer.stacks
        self._lexer = recognizer.plain_lexer
        self._tables = _PlainParser(recognizer.parser)
        self._certain: dict[tuple[int, int], tuple[Closing, ...]] = {}
        self._ways: dict[tuple[int, int], tuple[frozenset[Closing], ...]] = {}
        self._closings: dict[tuple[int, int], tuple[Closing, ...]] = {}
        self._heights: dict[int, int] = {}
        self._read = Beginnings[tuple[_Run, int]]()

    def find(self, text: bytes, complete: bool) -> list[Site]:
        """Sites of a complete text, or those certain after a prefix."""
        run, position = self._resumed(text)
        while True:
            state, terminal, end = self._lexeme(text, position, run.state)
            unfinished = state != 0 and not complete
            if unfinished and not self._is_final(state):
                candidates = self._lexer.alive(state)
                if terminal >= 0 and (end == len(text) or self._is_undecided(text)):
                    candidates |= 1 << terminal
                self._remember(text, position, run)
                return run.sites + self._agreed(run, candidates)
            if position == len(text) or terminal < 0:
                break
            if not self._lexer.ignored >> terminal & 1:
                run.shift(terminal, position, end)
            position = end
        if complete:
            run.look_ahead(self._tables.end)
            return run.sites
        self._remember(text, position, run)
        return run.sites + self._agreed(run, -1)

    def _resumed(self, text: bytes) -> tuple[_Run, int]:
        """A run that has read the lexemes of a beginning of a text, and where they end: where one before it was."""
        known = self._read.longest(text)
        if known is None:
            return _Run(self._tables, self._names, self._stacks, self._stacks.first), 0
        (run, position), _ = known
        return run.copy(), position

    def _remember(self, text: bytes, position: int, run: _Run) -> None:
        """Keep a run, which nobody changes any more. Up to `position` lexemes are those of all texts that begin so."""
        self._read.keep(text, (run, position))

    def noticed(self, configuration: int, text: bytes) -> int:
        """See `SiteFinder.noticed`.

        `find` waits at the longest lexeme that may still go on: the one hypothesis without obligations. When it
        cannot go on after all, what others have closed in the meantime may be certain at once.
        """
        hypotheses = self._recognizer.content(configuration)[1]
        undecided = len(hypotheses) > 1 or any(old.obligations for old in hypotheses)
        paths = [_Path(old, (), True) for old in hypotheses if not old.obligations]
        before = [closing for path in paths for closing in self._certain_now(path.hypothesis)]
        for byte in text:
            paths = [after for path in paths for after in self._after(path, byte)]
        waiting = [path for path in paths if not path.hypothesis.obligations]
        if undecided and not any(path.waits for path in waiting):
            return reduce(or_, map(boundary_bit, range(len(self._names))))
        bits = 0
        for new, closed, _ in waiting or paths:
            for closing in self._new(before, closed, self._certain_now(new)):
                bits |= boundary_bit(closing[0])
        return bits

    def _after(self, path: _Path, byte: int) -> Iterable[_Path]:
        old, closed, waits = path
        for terminal, new in self._recognizer.moves(old, byte):
            if self._recognizer.viable(new):
                more = self._closed_by(old.parser, terminal) if terminal >= 0 else ()
                yield _Path(new, (*closed, *more), waits and terminal < 0)

    def _new(
        self, before: Iterable[Closing], closed: tuple[Closing, ...], after: tuple[Closing, ...]
    ) -> Iterable[Closing]:
        """What became certain: what was so before is closed first, once each."""
        pending = Counter(before)
        for closing in (*closed, *after):
            if pending[closing]:
                pending[closing] -= 1
            else:
                yield closing

    def _lexeme(self, text: bytes, position: int, parser_state: int) -> tuple[int, int, int]:
        """(lexer state at the end of the text or 0, terminal of the longest lexeme or -1, its end)."""
        state = self._tables.start_of[parser_state]
        terminal, end = -1, position
        for i in range(position, len(text)):
            state = self._lexer.next(state, text[i])
            if not state:
                break
            if self._lexer.accepting[state]:
                terminal, end = self._lexer.accepts(state)[0], i + 1
        return (state if position < len(text) else 0), terminal, end

    def _is_undecided(self, text: bytes) -> bool:
        """Whether the last lexeme may have ended before the end of the text."""
        configuration = self._recognizer.start
        for byte in text:
            configuration = self._recognizer.step(configuration, byte)
        return any(hypothesis.obligations for hypothesis in self._recognizer.content(configuration)[1])

    def _is_final(self, state: int) -> bool:
        """Whether a lexeme in this state is complete and cannot become longer."""
        return self._lexer.accepting[state] and not any(self._lexer.row(state))

    def _agreed(self, run: _Run, candidates: int) -> list[Site]:
        """Sites that every terminal that may come next closes; -1: any may come."""
        passed_over = self._passed_over(run.node)
        if candidates & passed_over:
            candidates = -1
        agreed: set[Site] | None = None
        for closings in self._ways_to_close(candidates, run.node):
            sites = {run.closed(closing) for closing in closings}
            agreed = sites if agreed is None else agreed & sites
            if not agreed:
                return []
        return list(agreed or ())

    def _ways_to_close(self, candidates: int, parser: int) -> tuple[frozenset[Closing], ...]:
        """What the terminals that may come next close, each way once; one empty way if some terminal closes nothing."""
        key = (candidates, parser)
        known = self._ways.get(key)
        if known is None:
            enabled = self._stacks.acceptable(parser) & candidates & ~self._passed_over(parser)
            ways = {frozenset(self._closed_by(parser, terminal)) for terminal in bits(enabled)}
            known = self._ways[key] = (frozenset(),) if frozenset() in ways else tuple(ways)
        return known

    def _passed_over(self, parser: int) -> int:
        """Bitmask of the terminals that change nothing here: ignored ones, and line breaks inside brackets."""
        return self._lexer.ignored | (self._stacks.line_breaks if self._stacks.in_brackets(parser) else 0)

    def _certain_now(self, hypothesis: Hypothesis) -> tuple[Closing, ...]:
        """What every terminal that may come next will close."""
        state, parser = hypothesis.lexer, hypothesis.parser
        if self._is_final(state):
            terminal = self._lexer.accepts(state)[0]
            if self._passed_over(parser) >> terminal & 1:
                return self._certain_among(-1, parser)
            (after,) = self._stacks.shift(parser, terminal)
            # The final lexeme's own reductions come first; then what its successors agree on.
            return (*self._closed_by(parser, terminal), *self._certain_among(-1, after))
        alive = self._lexer.alive(state)
        free = bool(alive & self._passed_over(parser)) or self._lexer.is_start[state]
        return self._certain_among(-1 if free else alive, parser)

    def _certain_among(self, candidates: int, parser: int) -> tuple[Closing, ...]:
        key = (candidates, parser)
        known = self._certain.get(key)
        if known is None:
            ways = self._ways_to_close(candidates, parser)
            known = self._certain[key] = tuple(frozenset.intersection(*ways) if ways else ())
        return known

    def _closed_by(self, parser: int, terminal: int) -> tuple[Closing, ...]:
        """What the reductions before `terminal` close."""
        if self._lexer.ignored >> terminal & 1:
            return ()
        key = (parser, terminal)
        known = self._closings.get(key)
        if known is None:
            steps = self._stacks.steps(parser, terminal)
            known = self._closings[key] = tuple(closing for one, node in steps for closing in self._simulate(node, one))
        return known

    def _simulate(self, parser: int, terminal: int) -> Iterable[Closing]:
        stacks, tables = self._stacks, self._tables
        base, pushed = parser, list[int]()
        while True:
            state = pushed[-1] if pushed else stacks.state[base]
            production = tables.reduction(state, terminal)
            if production < 0:
                return
            for _ in range(tables.length[production]):
                if pushed:
                    pushed.pop()
                else:
                    base = stacks.parent[base]
            if tables.boundary[production] >= 0:
                yield tables.boundary[production], self._height(base) + len(pushed)
            pushed.append(tables.goto(pushed[-1] if pushed else stacks.state[base], production))

    def _height(self, node: int) -> int:
        path = []
        while node >= 0 and node not in self._heights:
            path.append(node)
            node = self._stacks.parent[node]
        height = self._heights[node] if node >= 0 else -1
        for upper in reversed(path):
            height += 1
            self._heights[upper] = height
        return height


class _Run:
    """An LR parse with spans: a stack of (state, start, end), its node, and the sites closed so far."""

    def __init__(self, tables: _PlainParser, names: tuple[str, ...], stacks: LinearStacks, node: int) -> None:
        self._tables, self._names, self._stacks = tables, names, stacks
        self.stack: list[tuple[int, int, int]] = [(0, 0, 0)]
        self.node = node
        self.sites: list[Site] = []

    @property
    def state(self) -> int:
        """The LR state on top."""
        return self.stack[-1][0]

    def copy(self) -> _Run:
        """The same stack and sites."""
        other = _Run(self._tables, self._names, self._stacks, self.node)
        other.stack, other.sites = list(self.stack), list(self.sites)
        return other

    def shift(self, terminal: int, start: int, end: int) -> None:
        """Read a terminal; what a line break brings in besides has no text."""
        for one, _ in self._stacks.steps(self.node, terminal):
            self._reduce(one)
            self.stack.append((self._tables.shift(self.state, one), start, end))
            start = end
        (self.node,) = self._stacks.shift(self.node, terminal)

    def look_ahead(self, terminal: int) -> None:
        """Close what a terminal closes that comes next; nothing is read after that."""
        here = self.stack[-1][2]
        for one, _ in self._stacks.steps(self.node, terminal):
            self._reduce(one)
            self.stack.append((self._tables.shift(self.state, one), here, here))

    def closed(self, closing: Closing) -> Site:
        """The site that a reduction closes that leaves so much of the stack: it spans all above."""
        boundary, height = closing
        above = [(start, end) for _, start, end in self.stack[height + 1 :] if start < end]
        here = self.stack[min(height, len(self.stack) - 1)][2]
        start, end = (above[0][0], above[-1][1]) if above else (here, here)
        return Site(self._names[boundary], start, end)

    def _reduce(self, terminal: int) -> None:
        """Do all reductions before a terminal."""
        tables = self._tables
        while (production := tables.reduction(self.state, terminal)) >= 0:
            length = tables.length[production]
            spans = [(start, end) for _, start, end in self.stack[len(self.stack) - length :] if start < end]
            del self.stack[len(self.stack) - length :]
            here = self.stack[-1][2]
            start, end = (spans[0][0], spans[-1][1]) if length and spans else (here, here)
            if tables.boundary[production] >= 0:
                self.sites.append(Site(self._names[tables.boundary[production]], start, end))
            self.stack.append((tables.goto(self.state, production), start, end))


class _PlainParser:
    """The parser's tables for single steps: Python ints."""

    def __init__(self, tables: ParserTables) -> None:
        self.num_terminals = tables.shift.shape[1]
        self.end = self.num_terminals - 1
        self._shift, self._goto = tables.shift, tables.goto
        self._first, self._reduce = tables.first_reduce, tables.reduce
        self.length: list[int] = tables.length.tolist()
        self.boundary: list[int] = tables.boundary.tolist()
        self._lhs: list[int] = tables.lhs.tolist()
        self.start_of: list[int] = tables.start_of[:, 0].tolist()

    def shift(self, state: int, terminal: int) -> int:
        """The state after a terminal, or -1."""
        return int(self._shift[state, terminal])

    def reduction(self, state: int, terminal: int) -> int:
        """The production to reduce by, or -1."""
        cell = state * self.num_terminals + terminal
        first = int(self._first[cell])
        return int(self._reduce[first]) if first < self._first[cell + 1] else -1

    def goto(self, state: int, production: int) -> int:
        """The state after a nonterminal."""
        return int(self._goto[state, self._lhs[production]])
