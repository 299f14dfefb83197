"""Significant indentation: what it asks of a grammar, and line breaks with columns in the tables.

A line break becomes a family of terminals, one for each column at which the next line can begin, and the lexer's
states inside a line break are multiplied by the column so far. The parser's tables treat all of the family alike;
which of them fits the open columns, the automaton sees on its stack, because brackets and indented blocks are
closed by the rule that opens them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from smcdsl.automaton.tables import LayoutTables, LexerTables, ParserTables
from smcdsl.compiler.bnf import ContextFree
from smcdsl.compiler.refinement import distinct_columns, forward_edges

MOST_COLUMNS = 120
"""The deepest column of a line that a rule can begin at; beyond it lines go on inside brackets only."""
OVER = MOST_COLUMNS + 1
_COUNTS = OVER + 1
_NEWLINE, _BLANK, _TAB = 10, 32, 9


@dataclass(frozen=True)
class Layout:
    """An indenter's terminals as numbers."""

    newline: int
    indent: int
    dedent: int
    opens: tuple[int, ...]
    closes: tuple[int, ...]
    tab: int


def layout_fault(grammar: ContextFree, layout: Layout) -> str:
    """Why texts of a grammar cannot be indented as they are read, or nothing.

    Asked is that every rule closes what it opens, that no line break is inside brackets, and that blocks begin and
    end where a line does. Then whatever the parser wants next, some column brings.
    """
    names, terminals = grammar.nonterminals, grammar.terminals
    opened = {**dict(zip(layout.opens, layout.closes)), layout.indent: layout.dedent}
    closers = {*layout.closes, layout.dedent}
    lines = _deriving(grammar, {layout.newline, layout.indent, layout.dedent})
    last, empty = _last_terminals(grammar)
    for production in grammar.productions:
        inside: list[int] = []
        rule = names[production.lhs]
        before: set[int] | None = None
        for symbol in production.rhs:
            bracketed = bool(inside) and inside[-1] != layout.indent
            if bracketed and (symbol in lines if symbol < 0 else symbol in (layout.newline, layout.indent)):
                return f"rule `{rule}` has a line break inside brackets"
            if symbol in opened:
                if symbol == layout.indent and before != {layout.newline}:
                    return f"`{terminals[symbol]}` does not follow `{terminals[layout.newline]}` in rule `{rule}`"
                inside.append(symbol)
            elif symbol in closers:
                if not inside or opened[inside.pop()] != symbol:
                    return f"`{terminals[symbol]}` in rule `{rule}` closes nothing that the rule opens"
                if symbol == layout.dedent and not (before and before <= {layout.newline, layout.dedent}):
                    return f"a line may go on before `{terminals[symbol]}` in rule `{rule}`"
            if symbol >= 0:
                before = {symbol}
            elif ~symbol in empty:
                before = None if before is None else before | last[~symbol]
            else:
                before = last[~symbol]
        if inside:
            return f"`{terminals[inside[-1]]}` in rule `{rule}` is not closed by the rule"
    return ""


def _deriving(grammar: ContextFree, wanted: set[int]) -> set[int]:
    """Nonterminals, as symbols of right-hand sides, with a text that contains a wanted terminal."""
    found: set[int] = set()
    while True:
        more = {
            ~production.lhs
            for production in grammar.productions
            if any(symbol in wanted or symbol in found for symbol in production.rhs)
        }
        if more <= found:
            return found
        found |= more


def _last_terminals(grammar: ContextFree) -> tuple[list[set[int]], set[int]]:
    """Per nonterminal the terminals that its texts can end with, and those that can be empty."""
    from smcdsl.compiler.bnf import nullable
    from smcdsl.compiler.separation import ends

    empty = nullable(grammar)
    return ends(grammar, empty, last=True), empty


class Widened(NamedTuple):
    """Tables with a terminal for every column; `separable`: every line break can end before whatever may follow."""

    lexer: LexerTables
    parser: ParserTables
    layout: LayoutTables
    separable: bool


def with_columns(lexer: LexerTables, parser: ParserTables, layout: Layout, ends: list[NDArray[np.bool_]]) -> Widened:
    """The same tables with a terminal for every column of a line break. Further ones stand before `$end`.

    Args:
        ends: for what may follow a line break, (S,) the states in which one can end before it.
    """
    count = parser.shift.shape[1]
    total = count + _COUNTS - 1
    words = total // 64 + 1
    family = np.array([layout.newline, *range(count - 1, total - 1)])
    source = np.concatenate([np.arange(count - 1), np.full(_COUNTS - 1, layout.newline), [count - 1]])
    states = _States(lexer, layout)
    new_lexer = states.tables(family, words)
    new_parser = _parser(parser, source, family, words, states.number)
    column = np.full(total, -1, dtype=np.int32)
    column[family] = np.arange(_COUNTS)
    kinds = {layout.indent: 3, layout.dedent: 4, **dict.fromkeys(layout.opens, 1), **dict.fromkeys(layout.closes, 2)}
    access = np.zeros(len(parser.shift), dtype=np.uint8)
    for terminal, kind in kinds.items():
        targets = parser.shift[:, terminal]
        access[targets[targets >= 0]] = kind
    numbers = np.array([layout.indent, layout.dedent, MOST_COLUMNS], dtype=np.int32)
    separable = all(states.reach(good) == states.columns_ahead for good in ends)
    return Widened(new_lexer, new_parser, LayoutTables(column, access, numbers), separable)


class _States:
    """Lexer states, those inside a line break multiplied by the column so far; `number[q]` is q outside one."""

    def __init__(self, lexer: LexerTables, layout: Layout) -> None:
        self.lexer, self.newline = lexer, layout.newline
        self.inside = _has(lexer.alive, layout.newline) & ~lexer.is_start
        self.inside[0] = False
        size = len(lexer.next_state)
        counts = np.arange(_COUNTS)
        # Every state as (old state, count): first those outside, then all counts of each inside.
        outside, inside = np.flatnonzero(~self.inside), np.flatnonzero(self.inside)
        old = np.concatenate([outside, np.repeat(inside, _COUNTS)])
        # Before the first newline there is no column, as for lark: such a break fits inside brackets only.
        column = np.concatenate([np.full(len(outside), OVER), np.tile(counts, len(inside))]).astype(np.int32)
        first = np.zeros(size, dtype=np.int32)
        first[outside] = np.arange(len(outside))
        first[inside] = len(outside) + _COUNTS * np.arange(len(inside))
        kinds, kind_of = distinct_columns(lexer.next_state)
        wider = {_BLANK: np.minimum(column + 1, OVER), _TAB: np.minimum(column + layout.tab, OVER)}
        counted = {_NEWLINE: np.zeros_like(column)} | wider
        kind_of[list(counted)] = len(kinds) + np.arange(len(counted))
        after = np.tile(column[:, None], (1, len(kinds) + len(counted)))
        for byte, columns in counted.items():
            after[:, kind_of[byte]] = columns
        target = lexer.next_state[:, [*kinds, *counted]][old]
        next_state = first[target] + np.where(self.inside[target], after, 0)
        reached = _reached(next_state, first[np.flatnonzero(lexer.is_start)])
        renumbered = np.cumsum(reached) - 1
        self.old, self.column = old[reached], column[reached]
        self._by_kind = renumbered[next_state[reached]].astype(np.int32)
        self.next_state = np.take(self._by_kind, kind_of, axis=1)
        self.number = np.where(self.inside, 0, renumbered[first]).astype(np.int32)

    def tables(self, family: NDArray[np.int64], words: int) -> LexerTables:
        """The lexer over the new states and terminals."""
        lexer, inside = self.lexer, self.inside[self.old]
        accepts = _widened(lexer.accepts[self.old], words)
        ends = inside & _has(accepts, self.newline)
        _clear(accepts, self.newline)
        rows = np.flatnonzero(ends)
        _set(accepts, rows, family[self.column[rows]])
        alive = _widened(lexer.alive[self.old], words)
        _clear(alive, self.newline)
        bits_of: dict[int, NDArray[np.uint64]] = {}
        for state, columns in zip(self.breaks.tolist(), self.columns_ahead):
            if columns not in bits_of:
                bits = sum(1 << int(terminal) for column, terminal in enumerate(family) if columns >> column & 1)
                bits_of[columns] = np.frombuffer(bits.to_bytes(8 * words, "little"), dtype=np.uint64)
            alive[state] |= bits_of[columns]
        winner = lexer.winner[self.old].copy()
        won = winner == self.newline
        winner[won] = family[self.column[won]]
        return lexer._replace(
            next_state=self.next_state,
            accepts=accepts,
            accepting=lexer.accepting[self.old],
            winner=winner,
            alive=alive,
            mode=lexer.mode[self.old],
            is_start=lexer.is_start[self.old],
            ignored=_widened(lexer.ignored.reshape(1, -1), words)[0],
            trapped_start=np.zeros(len(self.old) + 1, dtype=np.int32),
        )

    @cached_property
    def breaks(self) -> NDArray[np.int64]:
        """States from which a line break can be completed, deeper columns first."""
        states = np.flatnonzero(_has(self.lexer.alive[self.old], self.newline))
        return states[np.argsort(-self.column[states], kind="stable")]

    @cached_property
    def columns_ahead(self) -> list[int]:
        """`reach` of all places in which a line break can end."""
        return self.reach(np.ones(len(self.inside), dtype=np.bool_))

    def reach(self, good: NDArray[np.bool_]) -> list[int]:
        """For each of `breaks` a bitmask of the columns that the line break can end with from there.

        Args:
            good: (S,) old states in which it may end.
        """
        old, column = self.old[self.breaks], self.column[self.breaks]
        ends = self.inside[old] & _has(self.lexer.accepts[old], self.newline) & good[old]
        reach = [0, *[1 << at if end else 0 for end, at in zip(ends.tolist(), column.tolist())]]
        after, bounds = self._edges
        changed = True
        while changed:
            changed = False
            # Most is known when it is asked for: columns only grow, but for a new line.
            for number in range(1, len(reach)):
                found = reach[number]
                for target in after[bounds[number] : bounds[number + 1]]:
                    found |= reach[target]
                changed = changed or found != reach[number]
                reach[number] = found
        return reach[1:]

    @cached_property
    def _edges(self) -> tuple[list[int], list[int]]:
        """`forward_edges` between `breaks`, which are counted from 1."""
        number = np.zeros(len(self.old), dtype=np.int32)
        number[self.breaks] = np.arange(1, len(self.breaks) + 1)
        table = np.concatenate([np.zeros_like(self._by_kind[:1]), number[self._by_kind[self.breaks]]])
        kinds, _ = distinct_columns(table)
        after, bounds = forward_edges(table[:, kinds])
        return after.tolist(), bounds.tolist()


def _parser(
    parser: ParserTables, source: NDArray[np.int64], family: NDArray[np.int64], words: int, number: NDArray[np.int32]
) -> ParserTables:
    states, count = parser.shift.shape
    first = parser.first_reduce[:-1].reshape(states, count).astype(np.int64)
    sizes = (parser.first_reduce[1:].astype(np.int64) - parser.first_reduce[:-1]).reshape(states, count)
    starts, lengths = first[:, source].reshape(-1), sizes[:, source].reshape(-1)
    bounds = np.concatenate([[0], np.cumsum(lengths)])
    picks = np.repeat(starts - bounds[:-1], lengths) + np.arange(bounds[-1])
    wanted = np.unpackbits(parser.possible.view(np.uint8), axis=1, bitorder="little")[:, :count]
    padded = np.zeros((states, 64 * words), dtype=np.uint8)
    padded[:, : len(source)] = wanted[:, source]
    # Inside brackets every line break is passed over, whatever the state wants.
    padded[:, family] = 1
    return parser._replace(
        shift=np.ascontiguousarray(parser.shift[:, source]),
        first_reduce=bounds.astype(np.int32),
        reduce=parser.reduce[picks],
        start_of=number[parser.start_of],
        possible=np.packbits(padded, axis=1, bitorder="little").view(np.uint64),
    )


def _reached(next_state: NDArray[np.int32], starts: NDArray[np.int32]) -> NDArray[np.bool_]:
    found = np.zeros(len(next_state), dtype=np.bool_)
    found[0] = True
    here = np.unique(starts)
    while len(here):
        found[here] = True
        here = np.unique(next_state[here])
        here = here[~found[here]]
    return found


def _has(rows: NDArray[np.uint64], bit: int) -> NDArray[np.bool_]:
    return (rows[:, bit >> 6] >> np.uint64(bit & 63) & np.uint64(1)).astype(np.bool_)


def _clear(rows: NDArray[np.uint64], bit: int) -> None:
    rows[:, bit >> 6] &= ~(np.uint64(1) << np.uint64(bit & 63))


def _set(rows: NDArray[np.uint64], which: NDArray[np.int64], bits: NDArray[np.int64]) -> None:
    np.bitwise_or.at(rows, (which, bits >> 6), np.uint64(1) << (bits & 63).astype(np.uint64))


def _widened(rows: NDArray[np.uint64], words: int) -> NDArray[np.uint64]:
    wide = np.zeros((len(rows), words), dtype=np.uint64)
    wide[:, : rows.shape[1]] = rows
    return wide
