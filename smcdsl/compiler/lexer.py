"""Terminals -> one automaton that reads lexemes of all of them at once, with several starts.

A state is the set of (terminal, state of the terminal's automaton) that are still running, so different
starts (one per set of terminals that the parser accepts) share what they have in common. Under longest match
the best terminal by priority and order wins a lexeme, and an acceptance rules out terminals of lower
priority for good: lark tries terminals by priority first, by length second.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from smcdsl.automaton.tables import LexerTables
from smcdsl.compiler.minimal import Dfa
from smcdsl.compiler.nfa import TooLarge
from smcdsl.compiler.refinement import distinct_columns, partition, spread


@dataclass(frozen=True)
class LexicalTerminal:
    """A terminal to lex: no text of `dfa` is empty. Of equally long lexemes the smaller `order` wins."""

    number: int
    dfa: Dfa
    mode: int = 0
    priority: int = 0
    order: int = 0


@dataclass(frozen=True)
class LexerStart:
    """A state to begin lexemes in: only these terminals (numbers) take part."""

    mode: int
    terminals: frozenset[int]


class Lexer(NamedTuple):
    """A lexer, the state of each of its starts, and (K,) one byte of each class that no state tells apart."""

    tables: LexerTables
    starts: list[int]
    kinds: NDArray[np.int64]


def build_lexer(
    terminals: Sequence[LexicalTerminal],
    starts: Sequence[LexerStart],
    exclusive: Sequence[bool],
    ignored: frozenset[int],
    num_terminals: int,
    limit: int,
) -> Lexer:
    """The minimal shared automaton.

    Raises:
        TooLarge: more than `limit` states.
    """
    words = num_terminals // 64 + 1
    union = _Union(terminals, exclusive, words, limit)
    first = [union.add_start(start) for start in starts]
    states = union.close()
    if states.mostly_alone:
        # A state of one terminal alone is minimal as that terminal's automaton is; merging the few others is no gain.
        numbers = first
    else:
        states, renumber = _quotient(states, partition(states.table, states.labels()))
        numbers = renumber[first].tolist()
    tables = LexerTables(
        next_state=np.take(states.table, union.byte_class, axis=1),
        accepts=states.accepts,
        accepting=states.winner >= 0,
        winner=states.winner,
        alive=states.alive,
        mode=states.mode,
        is_start=states.start_mark > 0,
        exclusive=np.array(exclusive, dtype=np.bool_),
        ignored=bit_rows([sum(1 << number for number in ignored)], words)[0],
        trapped_start=np.zeros(len(states.table) + 1, dtype=np.int32),
        trapped=np.zeros(0, dtype=np.int32),
    )
    return Lexer(tables, numbers, union.kinds)


def bit_rows(masks: Sequence[int], words: int) -> NDArray[np.uint64]:
    """(len(masks), words) bit sets from Python integers."""
    raw = b"".join(mask.to_bytes(8 * words, "little") for mask in masks)
    return np.frombuffer(raw, dtype="<u8").astype(np.uint64).reshape(len(masks), words)


@dataclass(frozen=True)
class _States:
    """The states of a lexer over K classes of bytes; state 0 is dead. `start_mark` is 0 but for starts."""

    table: NDArray[np.int32]  # (S, K)
    accepts: NDArray[np.uint64]  # (S, words) terminals that a lexeme may be here
    winner: NDArray[np.int32]  # (S,) the first of them, or -1
    alive: NDArray[np.uint64]  # (S, words) terminals that it may be here or later
    mode: NDArray[np.int32]  # (S,)
    start_mark: NDArray[np.int64]  # (S,)
    mostly_alone: bool

    def labels(self) -> NDArray[np.int64]:
        """(S,) a number for what sets a state apart before anything is read."""
        marks = np.column_stack([self.accepts.view(np.int64), self.mode, self.start_mark])
        return distinct_columns(marks.T)[1]


class _Union:
    """The construction. Places are states of terminals, numbered through; place 0 is dead.

    Starts and states in which several terminals run come from a worklist. Mostly one terminal alone is left: then
    its automaton is copied, from the places on in which it was left alone.
    """

    def __init__(self, terminals: Sequence[LexicalTerminal], exclusive: Sequence[bool], words: int, limit: int) -> None:
        self.terminals, self.exclusive, self.words, self.limit = terminals, exclusive, words, limit
        dfas = [terminal.dfa for terminal in terminals]
        self.offsets = np.cumsum([0] + [len(dfa) for dfa in dfas])
        self.first = {t.number: place + t.dfa.start for t, place in zip(terminals, self.offsets.tolist())}
        self.kinds, self.byte_class, self.stacked = _stacked(dfas, self.offsets)
        self.owner = np.repeat(np.arange(len(dfas)), [len(dfa) for dfa in dfas])
        self.accepting = np.concatenate([np.zeros(0, np.bool_), *[dfa.accepting for dfa in dfas]])
        self.numbers: dict[tuple[int, tuple[int, ...]], int] = {}
        self.members: list[tuple[int, ...]] = [()]
        self.modes = [0]
        self.winners = [0]
        self.num_starts = 0

    def add_start(self, start: LexerStart) -> int:
        """A state of its own, never entered again."""
        members = tuple(sorted(self.first[number] for number in start.terminals if number in self.first))
        self._append(start.mode, members, winners=0)
        self.num_starts += 1
        return len(self.members) - 1

    def close(self) -> _States:
        """All states reached."""
        rows = self._rows()
        alone = self._left_alone(rows)
        if len(rows) + len(alone) > self.limit:
            raise TooLarge(self.limit)
        table = self._table(rows, alone)
        modes, places = np.divmod(alone, len(self.stacked))
        terminals = np.array([terminal.number for terminal in self.terminals], dtype=np.int64)[self.owner[places]]
        own = np.zeros((len(alone), self.words), dtype=np.uint64)
        own[np.arange(len(alone)), terminals >> 6] = np.uint64(1) << (terminals & 63).astype(np.uint64)
        done = self.accepting[places]
        marks = np.zeros(len(table), dtype=np.int64)
        marks[1 : self.num_starts + 1] = np.arange(1, self.num_starts + 1)
        firsts = [(mask & -mask).bit_length() - 1 for mask in self.winners]
        single = sum(len(members) == 1 for members in self.members)
        return _States(
            table=table,
            accepts=np.concatenate([bit_rows(self.winners, self.words), own * done[:, None]]),
            winner=np.concatenate([firsts, np.where(done, terminals, -1)]).astype(np.int32),
            alive=np.concatenate([bit_rows(self._alive(rows), self.words), own]),
            mode=np.concatenate([self.modes, modes]).astype(np.int32),
            start_mark=marks,
            mostly_alone=4 * (single + len(alone)) > 3 * len(table),
        )

    def _rows(self) -> NDArray[np.int64]:
        """(states, K) what starts and states of several terminals lead to, as in `_row`."""
        rows = [np.zeros(self.stacked.shape[1], dtype=np.int64)]
        while len(rows) < len(self.members):
            rows.append(self._row(self.modes[len(rows)], self.members[len(rows)]))
        return np.array(rows)

    def _table(self, rows: NDArray[np.int64], alone: NDArray[np.int64]) -> NDArray[np.int32]:
        """(S, K) those rows, then one for each place left alone, all with numbers of states."""
        size = len(self.stacked)
        numbers = np.zeros(len(self.exclusive) * size + 1, dtype=np.int32)
        numbers[alone] = len(rows) + np.arange(len(alone))
        modes, places = np.divmod(alone, size)
        targets = self.stacked[places]
        targets[targets > 0] += np.repeat(modes * size, np.count_nonzero(targets, axis=1))
        together = np.where(rows < 0, numbers[-np.minimum(rows, 0)], rows)
        return np.concatenate([together, numbers[targets]]).astype(np.int32)

    def _row(self, mode: int, members: tuple[int, ...]) -> NDArray[np.int64]:
        """(K,) targets: a state of several terminals, or the negative code of a place left alone."""
        base = mode * len(self.stacked)
        targets = self.stacked[list(members)]
        running = np.count_nonzero(targets, axis=0)
        row: NDArray[np.int64] = np.where(running == 1, -base - targets.sum(axis=0), 0)
        several = np.flatnonzero(running > 1)
        if len(several):
            row[several] = [self._number(mode, tuple(filter(None, each))) for each in targets[:, several].T.tolist()]
        return row

    def _number(self, mode: int, members: tuple[int, ...]) -> int:
        """As in `_row`; of several members, which are sorted."""
        key = (mode, members)
        number = self.numbers.get(key)
        if number is None:
            kept, winners = self._decide(mode, members)
            if len(kept) == 1:
                number = -mode * len(self.stacked) - kept[0]
            elif kept != members:
                number = self._number(mode, kept)
            else:
                number = self._append(mode, members, winners)
            self.numbers[key] = number
        return number

    def _decide(self, mode: int, members: tuple[int, ...]) -> tuple[tuple[int, ...], int]:
        """The terminals that a lexeme may be here, and what may still run."""
        done = [self.terminals[self.owner[member]] for member in members if self.accepting[member]]
        if not done:
            return members, 0
        if not self.exclusive[mode]:
            return members, sum(1 << terminal.number for terminal in done)
        best = min(done, key=lambda terminal: (-terminal.priority, terminal.order, terminal.number))
        kept = tuple(m for m in members if self.terminals[self.owner[m]].priority >= best.priority)
        return kept, 1 << best.number

    def _append(self, mode: int, members: tuple[int, ...], winners: int) -> int:
        if len(self.members) > self.limit:
            raise TooLarge(self.limit)
        self.members.append(members)
        self.modes.append(mode)
        self.winners.append(winners)
        return len(self.members) - 1

    def _left_alone(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Codes of the places that are entered alone, and of all that they lead to."""
        targets, offsets = self._successors()
        size = len(self.stacked)
        reached = np.zeros(len(self.exclusive) * size, dtype=np.bool_)
        reached[-rows[rows < 0]] = True
        for of_mode in reached.reshape(-1, size):
            spread(of_mode, np.flatnonzero(of_mode), targets, offsets)
        return np.flatnonzero(reached)

    def _successors(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Places that each place leads to, as `Dfa.successors`."""
        targets, offsets = [np.zeros(0, dtype=np.int64)], [np.zeros(1, dtype=np.int64)]
        edges = 0
        for terminal, place in zip(self.terminals, self.offsets.tolist()):
            after, starts = terminal.dfa.successors
            targets.append(after + place)
            offsets.append(starts[1:] + edges)
            edges += len(after)
        return np.concatenate(targets), np.concatenate(offsets)

    def _alive(self, rows: NDArray[np.int64]) -> list[int]:
        """Per state of the worklist the terminals that may be accepted from it on."""
        size = len(self.stacked)
        numbers = [1 << self.terminals[owner].number for owner in self.owner.tolist()]
        alive = list(self.winners)
        after: list[list[int]] = []
        for state, row in enumerate(rows.tolist()):
            targets = set(row)
            for target in targets:
                if target < 0:
                    alive[state] |= numbers[-target % size]
            after.append([target for target in targets if target > 0])
        changed = True
        while changed:
            changed = False
            for state in range(len(alive) - 1, 0, -1):
                mask = alive[state]
                for target in after[state]:
                    mask |= alive[target]
                if mask != alive[state]:
                    alive[state] = mask
                    changed = True
        return alive


def _stacked(
    dfas: Sequence[Dfa], offsets: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """(a byte of each class, the class of each byte, (places, K) all tables one below the other)."""
    if not dfas:
        return np.zeros(1, np.int64), np.zeros(256, np.int64), np.zeros((1, 1), np.int64)
    kinds, byte_class = distinct_columns(np.array([dfa.classes[0] for dfa in dfas]))
    stacked = np.empty((offsets[-1], len(kinds)), dtype=np.int64)
    for dfa, place in zip(dfas, offsets.tolist()):
        classes, table = dfa.classes
        table = np.take(table, classes[kinds], axis=1)
        np.add(table, place, out=stacked[place : place + len(dfa)])
        stacked[place : place + len(dfa)] *= table > 0
    return kinds, byte_class, stacked


def _quotient(states: _States, blocks: NDArray[np.int64]) -> tuple[_States, NDArray[np.int64]]:
    """(a state for each block, the block of each state), blocks in order of their first state."""
    _, first = np.unique(blocks, return_index=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    renumber = rank[blocks]
    kept = first[order]
    quotient = replace(
        states,
        table=renumber[states.table[kept]].astype(np.int32),
        accepts=states.accepts[kept],
        winner=states.winner[kept],
        alive=states.alive[kept],
        mode=states.mode[kept],
        start_mark=states.start_mark[kept],
    )
    return quotient, renumber
