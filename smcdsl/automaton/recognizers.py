"""Recognisers read a text byte by byte; a configuration is an int, 0 when no text of the language begins so.

`RegularRecognizer`: the configuration is the state of one automaton. `ParsedRecognizer`: an interned set of
*hypotheses* about how the text so far is cut into lexemes and parsed. A hypothesis is a lexer state inside the
current lexeme, a parser state before it, and *obligations*: lexer states of earlier lexemes that could still have
become longer. Longest match says they did not, so a hypothesis ends when one of its obligations accepts. Lexers
that need one byte of lookahead have one hypothesis and no obligations.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from smcdsl.automaton.stacks import GraphStacks, IndentedStacks, LinearStacks
from smcdsl.automaton.tables import AutomatonTables, LexerTables, RegularTables

DEAD_CONFIGURATION = 0


class Hypothesis(NamedTuple):
    """One way to read the text so far."""

    lexer: int
    parser: int
    obligations: tuple[int, ...]


class RegularRecognizer:
    """A minimal automaton: every state but 0 can still accept."""

    def __init__(self, regular: RegularTables, start: int) -> None:
        self.start = start
        self._next = regular.next_state
        self._accepting: list[bool] = regular.accepting.tolist()

    def step(self, configuration: int, byte: int) -> int:
        """The configuration after a byte."""
        return int(self._next[configuration, byte])

    def may_end(self, configuration: int) -> bool:
        """Whether the text so far is in the language."""
        return self._accepting[configuration]


class ParsedRecognizer:
    """A lexer and a parser, perhaps with a regular filter beside them."""

    def __init__(self, tables: AutomatonTables) -> None:
        assert tables.lexer is not None
        assert tables.parser is not None
        self.lexer, self.parser, self.filter = tables.lexer, tables.parser, tables.filter
        self.stacks: LinearStacks | GraphStacks
        if tables.layout is not None:
            self.stacks = IndentedStacks(tables.lexer, tables.parser, tables.layout)
        else:
            self.stacks = (LinearStacks if tables.deterministic else GraphStacks)(tables.lexer, tables.parser)
        self.plain_lexer = PlainLexer(tables.lexer)
        self._end = 1 << (tables.parser.shift.shape[1] - 1)
        self._markers = [int(marker) for marker in tables.parser.markers]
        self._contents: list[tuple[int, tuple[Hypothesis, ...]]] = [(0, ())]
        self._numbers: dict[tuple[int, tuple[Hypothesis, ...]], int] = {}
        self._steps: dict[int, int] = {}
        self._ends: dict[int, bool] = {}
        filter_start = 1
        self.start = self._intern(filter_start, self._between(self.stacks.first, 0))

    def __len__(self) -> int:
        return len(self._contents)

    def step(self, configuration: int, byte: int) -> int:
        """The configuration after a byte."""
        key = configuration << 8 | byte
        known = self._steps.get(key)
        if known is None:
            known = self._steps[key] = self._step(configuration, byte)
        return known

    def may_end(self, configuration: int) -> bool:
        """Whether the text so far is in the language."""
        known = self._ends.get(configuration)
        if known is None:
            filter_state, hypotheses = self._contents[configuration]
            allowed = self.filter is None or bool(self.filter.accepting[filter_state])
            known = self._ends[configuration] = allowed and any(self._may_end(h) for h in hypotheses)
        return known

    def content(self, configuration: int) -> tuple[int, tuple[Hypothesis, ...]]:
        """(state of the filter, hypotheses) of a configuration."""
        return self._contents[configuration]

    def of_hypotheses(self, filter_state: int, hypotheses: Iterable[Hypothesis]) -> int:
        """The configuration of some hypotheses."""
        return self._intern(filter_state, hypotheses)

    def _step(self, configuration: int, byte: int) -> int:
        filter_state, hypotheses = self._contents[configuration]
        after = filter_state if self.filter is None else int(self.filter.next_state[filter_state, byte])
        if not after:
            return DEAD_CONFIGURATION
        return self._intern(after, (new for old in hypotheses for _, new in self.moves(old, byte)))

    def moves(self, old: Hypothesis, byte: int) -> Iterable[tuple[int, Hypothesis]]:
        """All ways to go on from a hypothesis with a byte: (terminal that ended before it or -1, hypothesis)."""
        lexer = self.plain_lexer
        mode = lexer.mode[old.lexer]
        obligations = self._advanced(old.obligations, byte)
        onward = lexer.next(old.lexer, byte)
        if onward and obligations is not None:
            yield -1, Hypothesis(onward, old.parser, obligations)
        longer_wins = lexer.exclusive[mode]
        for terminal, parser in self._committed(old):
            for new_mode, new_parser in self._zero_width(mode, parser):
                owed: tuple[int, ...] = ()
                if longer_wins and new_mode == mode and new_parser == parser:
                    if obligations is None or lexer.accepting[onward]:
                        continue
                    owed = tuple(sorted({*obligations, onward})) if onward else obligations
                begun = lexer.next(self.stacks.start(new_parser, new_mode), byte)
                if begun:
                    yield terminal, Hypothesis(begun, new_parser, owed)

    def last_terminal(self, hypothesis: Hypothesis) -> int | None:
        """The terminal with which a text that ends here ends, -1 between lexemes; None if it may not end."""
        if self.plain_lexer.is_start[hypothesis.lexer]:
            return -1 if self._may_end(hypothesis) else None
        for terminal, parser in self._committed(hypothesis):
            if self._ends_after(self.plain_lexer.mode[hypothesis.lexer], parser):
                return terminal
        return None

    def _advanced(self, obligations: tuple[int, ...], byte: int) -> tuple[int, ...] | None:
        """Obligations after a byte; None if one is broken."""
        if not obligations:
            return obligations
        moved = {self.plain_lexer.next(state, byte) for state in obligations}
        moved.discard(0)
        if any(self.plain_lexer.accepting[state] for state in moved):
            return None
        return tuple(sorted(moved))

    def _committed(self, hypothesis: Hypothesis) -> Iterable[tuple[int, int]]:
        """(terminal, parser state) if the current lexeme ends here. Between lexemes nothing is left to end."""
        for terminal in self.plain_lexer.accepts(hypothesis.lexer):
            if self.plain_lexer.ignored >> terminal & 1:
                yield terminal, hypothesis.parser
            elif self.stacks.acceptable(hypothesis.parser) >> terminal & 1:
                for after in self.stacks.shift(hypothesis.parser, terminal):
                    yield terminal, after

    def _zero_width(self, mode: int, parser: int) -> list[tuple[int, int]]:
        """(mode, parser state) after any number of markers that enter or leave embedded grammars."""
        reached = [(mode, parser)]
        if len(self._markers) == 1:
            return reached
        for here, state in reached:
            enabled = self.stacks.acceptable(state)
            steps = [(0, self._markers[here] + 1)] if here else [(m, k) for m, k in enumerate(self._markers) if m]
            for target, marker in steps:
                if enabled >> marker & 1:
                    for after in self.stacks.shift(state, marker):
                        if (target, after) not in reached:
                            reached.append((target, after))
        return reached

    def _between(self, parser: int, mode: int) -> list[Hypothesis]:
        """Hypotheses of having just ended a lexeme, or of not having begun."""
        return [Hypothesis(self.stacks.start(p, m), p, ()) for m, p in self._zero_width(mode, parser)]

    def _may_end(self, hypothesis: Hypothesis) -> bool:
        mode = self.plain_lexer.mode[hypothesis.lexer]
        if self.plain_lexer.is_start[hypothesis.lexer]:
            return self._ends_after(mode, hypothesis.parser)
        return any(self._ends_after(mode, parser) for _, parser in self._committed(hypothesis))

    def _ends_after(self, mode: int, parser: int) -> bool:
        """Whether the text may end between lexemes in this parser state."""
        reached = self._zero_width(mode, parser)
        return any(here == 0 and bool(self.stacks.acceptable(after) & self._end) for here, after in reached)

    def viable(self, hypothesis: Hypothesis) -> bool:
        """Whether what the lexeme may become is something that the parser can shift."""
        if not all(self.plain_lexer.escapes(hypothesis.lexer, owed) for owed in hypothesis.obligations):
            return False
        alive = self.plain_lexer.alive(hypothesis.lexer)
        if self.plain_lexer.is_start[hypothesis.lexer]:
            alive |= self._end
        return bool(alive & self.stacks.acceptable(hypothesis.parser))

    def _intern(self, filter_state: int, hypotheses: Iterable[Hypothesis]) -> int:
        """The number of a set of hypotheses, those that cannot be completed left out."""
        merged: dict[tuple[int, tuple[int, ...]], set[int]] = {}
        for new in hypotheses:
            if self.viable(new):
                merged.setdefault((new.lexer, new.obligations), set()).add(new.parser)
        if not merged:
            return DEAD_CONFIGURATION
        content = (
            filter_state,
            tuple(
                sorted(Hypothesis(q, p, o) for (q, o), parsers in merged.items() for p in self.stacks.merge(parsers))
            ),
        )
        number = self._numbers.get(content)
        if number is None:
            number = self._numbers[content] = len(self._contents)
            self._contents.append(content)
        return number


class PlainLexer:
    """The lexer's tables for single steps: Python ints, rows fetched once."""

    def __init__(self, tables: LexerTables) -> None:
        self._rows: dict[int, list[int]] = {}
        self._next_state = tables.next_state
        self.mode: list[int] = tables.mode.tolist()
        self.accepting: list[bool] = tables.accepting.tolist()
        self.is_start: list[bool] = tables.is_start.tolist()
        self.exclusive: list[bool] = tables.exclusive.tolist()
        self.ignored = int.from_bytes(tables.ignored.tobytes(), "little")
        self._accepts, self._alive = tables.accepts, tables.alive
        self._trapped_start, self._trapped = tables.trapped_start, tables.trapped
        self._trapped_by: dict[int, frozenset[int]] = {}
        self._terminals: dict[int, list[int]] = {}

    def next(self, state: int, byte: int) -> int:
        """The state after a byte."""
        row = self._rows.get(state)
        return self.row(state)[byte] if row is None else row[byte]

    def row(self, state: int) -> list[int]:
        """The states after all bytes."""
        if state not in self._rows:
            self._rows[state] = self._next_state[state].tolist()
        return self._rows[state]

    def escapes(self, state: int, owed: int) -> bool:
        """Whether a lexeme in `state` may get rid of an obligation."""
        trapped = self._trapped_by.get(owed)
        if trapped is None:
            first, last = self._trapped_start[owed : owed + 2].tolist()
            trapped = self._trapped_by[owed] = frozenset(self._trapped[first:last].tolist())
        return state not in trapped

    def alive(self, state: int) -> int:
        """Bitmask of the terminals that a lexeme in `state` may still become."""
        return int.from_bytes(self._alive[state].tobytes(), "little")

    def accepts(self, state: int) -> list[int]:
        """Terminals that a lexeme may be when it ends in `state`."""
        found = self._terminals.get(state)
        if found is None:
            mask = int.from_bytes(self._accepts[state].tobytes(), "little")
            found = self._terminals[state] = [t for t in range(mask.bit_length()) if mask >> t & 1]
        return found
