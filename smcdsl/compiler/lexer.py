"""Terminals -> one automaton that reads lexemes of all of them at once, with several starts.

A state is the set of (terminal, state of the terminal's automaton) that are still running, so different
starts (one per set of terminals that the parser accepts) share what they have in common. Under longest match
the best terminal by priority and order wins a lexeme, and an acceptance rules out terminals of lower
priority for good: lark tries terminals by priority first, by length second.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from smcdsl.automaton.tables import LexerTables
from smcdsl.compiler.minimal import Dfa
from smcdsl.compiler.nfa import TooLarge
from smcdsl.compiler.refinement import distinct, partition


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


def build_lexer(
    terminals: Sequence[LexicalTerminal],
    starts: Sequence[LexerStart],
    exclusive: Sequence[bool],
    ignored: frozenset[int],
    num_terminals: int,
    limit: int,
) -> tuple[LexerTables, list[int]]:
    """The minimal shared automaton and the state of each start.

    Raises:
        TooLarge: more than `limit` states.
    """
    union = _Union(terminals, exclusive, limit)
    first = [union.add_start(start) for start in starts]
    union.close()
    classes = union.byte_class
    table = np.array(union.rows, dtype=np.int32)
    labels = _numbered(zip(union.modes, union.winners, union.start_marks))
    # A state of one terminal alone is minimal as that terminal's automaton is; merging the few others is no gain.
    alone = sum(len(members) == 1 for members in union.members)
    blocks = np.arange(len(table)) if 4 * alone > 3 * len(table) else partition(table, labels)
    table, representatives, renumber = _quotient(table, blocks)
    winners = [union.winners[state] for state in representatives]
    alive = _alive(table, winners)
    words = num_terminals // 64 + 1
    next_state = table[:, classes]
    # A state from which nothing can be completed is as good as dead.
    hopeless = np.array([not mask for mask in alive])
    next_state[hopeless[next_state]] = 0
    tables = LexerTables(
        next_state=np.ascontiguousarray(next_state, dtype=np.int32),
        accepts=bit_rows(winners, words),
        accepting=np.array([bool(mask) for mask in winners]),
        winner=np.array([(mask & -mask).bit_length() - 1 for mask in winners], dtype=np.int32),
        alive=bit_rows(alive, words),
        mode=np.array([union.modes[state] for state in representatives], dtype=np.int32),
        is_start=np.array([union.start_marks[state] > 0 for state in representatives]),
        exclusive=np.array(exclusive, dtype=np.bool_),
        ignored=bit_rows([sum(1 << number for number in ignored)], words)[0],
        trapped_start=np.zeros(len(next_state) + 1, dtype=np.int32),
        trapped=np.zeros(0, dtype=np.int32),
    )
    return tables, [int(renumber[state]) for state in first]


def bit_rows(masks: Sequence[int], words: int) -> NDArray[np.uint64]:
    """(len(masks), words) bit sets from Python integers."""
    raw = b"".join(mask.to_bytes(8 * words, "little") for mask in masks)
    return np.frombuffer(raw, dtype="<u8").astype(np.uint64).reshape(len(masks), words)


class _Union:
    """The worklist of the construction. State 0 is dead."""

    def __init__(self, terminals: Sequence[LexicalTerminal], exclusive: Sequence[bool], limit: int) -> None:
        self.terminals, self.exclusive, self.limit = terminals, exclusive, limit
        offsets = np.cumsum([0] + [len(terminal.dfa) for terminal in terminals])
        stacked = np.concatenate(
            [np.where(t.dfa.next_state > 0, t.dfa.next_state + offset, 0) for t, offset in zip(terminals, offsets)]
            or [np.zeros((1, 256), dtype=np.int64)]
        )
        first, self.byte_class = distinct_columns(stacked)
        self.stacked = np.ascontiguousarray(stacked[:, first])
        self.owner = np.repeat(np.arange(len(terminals)), [len(terminal.dfa) for terminal in terminals])
        accepting = [terminal.dfa.accepting for terminal in terminals]
        self.accepting = np.concatenate(accepting) if accepting else np.zeros(1, bool)
        self.first = {t.number: (i, int(offsets[i]) + t.dfa.start) for i, t in enumerate(terminals)}
        self.numbers: dict[tuple[int, tuple[int, ...]], int] = {}
        self.members: list[tuple[int, ...]] = [()]
        self.modes = [0]
        self.winners = [0]
        self.start_marks = [0]
        self.rows: list[NDArray[np.int64]] = []

    def add_start(self, start: LexerStart) -> int:
        """A state of its own, never entered again."""
        members = tuple(sorted(self.first[number][1] for number in start.terminals if number in self.first))
        self._append(start.mode, members, winners=0, mark=len(self.members))
        return len(self.members) - 1

    def close(self) -> None:
        """Compute the transitions of all states reached."""
        width = self.stacked.shape[1]
        self.rows.append(np.zeros(width, dtype=np.int64))
        # Mostly one terminal alone is left: its states have numbers in an array.
        alone = np.full((len(self.exclusive), len(self.stacked)), -1, dtype=np.int64)
        alone[:, 0] = 0
        state = 1
        while state < len(self.members):
            members, mode = self.members[state], self.modes[state]
            if len(members) == 1:
                targets = self.stacked[members[0]]
                row = alone[mode, targets]
                if row.min() < 0:
                    for target in set(targets[row < 0].tolist()):
                        alone[mode, target] = self._number(mode, (target,))
                    row = alone[mode, targets]
            elif members:
                first, inverse = distinct_columns(self.stacked[list(members)])
                sets = self.stacked[list(members)][:, first].T.tolist()
                numbers = [self._number(mode, tuple(sorted(filter(None, targets)))) for targets in sets]
                row = np.array(numbers, dtype=np.int64)[inverse]
            else:
                row = np.zeros(width, dtype=np.int64)
            self.rows.append(row)
            state += 1

    def _number(self, mode: int, members: tuple[int, ...]) -> int:
        if not members:
            return 0
        members, winners = self._decide(mode, members)
        key = (mode, members)
        number = self.numbers.get(key)
        if number is None:
            number = self.numbers[key] = self._append(mode, members, winners, mark=0)
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

    def _append(self, mode: int, members: tuple[int, ...], winners: int, mark: int) -> int:
        if len(self.members) > self.limit:
            raise TooLarge(self.limit)
        self.members.append(members)
        self.modes.append(mode)
        self.winners.append(winners)
        self.start_marks.append(mark)
        return len(self.members) - 1


def _numbered(keys: object) -> NDArray[np.int64]:
    numbers: dict[object, int] = {}
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)  # type: ignore[attr-defined]


def distinct_columns(table: NDArray[np.int32] | NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(one column of each kind, the kind of every column)."""
    rows = np.ascontiguousarray(table.T)
    packed = rows.view(np.dtype((np.void, rows.shape[1] * rows.itemsize))).reshape(-1)
    _, first, inverse = np.unique(packed, return_index=True, return_inverse=True)
    return first, inverse.reshape(-1)


def _quotient(
    table: NDArray[np.int32], blocks: NDArray[np.int64]
) -> tuple[NDArray[np.int32], list[int], NDArray[np.int64]]:
    """(table of blocks, a state of each block, block of each state), blocks in order of their first state."""
    _, first = np.unique(blocks, return_index=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    renumber = rank[blocks]
    representatives = first[order]
    return renumber[table[representatives]].astype(np.int32), representatives.tolist(), renumber


def _alive(table: NDArray[np.int32], winners: list[int]) -> list[int]:
    """Per state the union of what can be accepted from it on."""
    alive = list(winners)
    sources, bounds = distinct_edges(table)
    successors = [sources[a:b] for a, b in pairwise(bounds)]
    changed = True
    while changed:
        changed = False
        for state in range(len(alive) - 1, 0, -1):
            mask = alive[state]
            for successor in successors[state]:
                mask |= alive[successor]
            if mask != alive[state]:
                alive[state] = mask
                changed = True
    return alive


def distinct_edges(table: NDArray[np.int32]) -> tuple[list[int], list[int]]:
    """Targets of all states, each once, and where each state's begin."""
    size = len(table)
    pairs = distinct((np.arange(size, dtype=np.int64)[:, None] * size + table).reshape(-1))
    return (pairs % size).tolist(), np.searchsorted(pairs, np.arange(size + 1) * size).tolist()
