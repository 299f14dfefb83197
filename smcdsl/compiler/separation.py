"""Can lexemes always be kept apart? Then whether a lexed text can be completed shows without a search.

Longest match may make two terminals that the parser wants side by side impossible: the text of the second
would prolong the first. It is possible if from everywhere inside the first the lexeme can go on to where some byte
both ends it for good and begins the second, or begins something ignored that a text of the second can follow.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from smcdsl.compiler.bnf import ContextFree, nullable
from smcdsl.compiler.lexer import Lexer
from smcdsl.compiler.refinement import reverse_edges, spread


def adjacent_terminals(grammar: ContextFree) -> dict[int, set[int]]:
    """Per terminal those that can follow it in a sentential form of the grammar."""
    empty = nullable(grammar)
    firsts = ends(grammar, empty, last=False)
    lasts = ends(grammar, empty, last=True)
    pairs: dict[int, set[int]] = {t: set() for t in range(len(grammar.terminals))}
    for production in grammar.productions:
        rhs = production.rhs
        for i, left in enumerate(rhs):
            for right in rhs[i + 1 :]:
                for terminal in lasts[~left] if left < 0 else {left}:
                    pairs[terminal] |= firsts[~right] if right < 0 else {right}
                if right >= 0 or ~right not in empty:
                    break
    return pairs


def ends(grammar: ContextFree, empty: set[int], *, last: bool) -> list[set[int]]:
    """Per nonterminal the terminals with which its texts may begin (end, if `last`)."""
    result: list[set[int]] = [set() for _ in grammar.nonterminals]
    changed = True
    while changed:
        changed = False
        for production in grammar.productions:
            found = result[production.lhs]
            before = len(found)
            for symbol in reversed(production.rhs) if last else production.rhs:
                found |= result[~symbol] if symbol < 0 else {symbol}
                if symbol >= 0 or ~symbol not in empty:
                    break
            changed = changed or len(found) > before
    return result


def is_separable(
    pairs: Mapping[int, set[int]],
    lexer: Lexer,
    ignored: set[int],
    modes: dict[int, int],
    line_break: int | None = None,
) -> bool:
    """Whether any two adjacent terminals of an exclusive mode can be kept apart, wherever in the first one is.

    Args:
        pairs: `adjacent_terminals` of a grammar without useless symbols and terminals that no lexeme can be.
        lexer: the shared automaton of the terminals.
        ignored: ignored terminals.
        modes: mode of each terminal with texts.
        line_break: a terminal that may stand before any other as well; what may stand after it, see `ends_before`.
    """
    checker = _Checker(lexer, ignored, modes)
    used = {terminal for terminal, mode in modes.items() if lexer.tables.exclusive[mode] and terminal not in ignored}
    anywhere = set() if line_break is None else {line_break}
    followers = {terminal: pairs.get(terminal, set()) | anywhere for terminal in used - anywhere}
    return all(checker.apart(t, f) for t, f in [*followers.items(), *dict.fromkeys(ignored, used).items()])


def ends_before(lexer: Lexer, ignored: set[int], modes: dict[int, int], terminal: int) -> list[NDArray[np.bool_]]:
    """For each terminal that may come after `terminal`: (S,) where a lexeme of `terminal` can end just before it."""
    checker = _Checker(lexer, ignored, modes)
    followers = {u for u, mode in modes.items() if u not in ignored and u != terminal}
    found: dict[bytes, NDArray[np.bool_]] = {}
    for admitted in checker.admitted(modes[terminal], followers):
        good = np.zeros(len(lexer.tables.next_state), dtype=np.bool_)
        good[checker.good_ends(terminal, admitted)] = True
        found[good.tobytes()] = good
    return list(found.values())


class _Checker:
    """What the questions about single pairs share. Bytes come as their K classes."""

    def __init__(self, lexer: Lexer, ignored: set[int], modes: dict[int, int]) -> None:
        self.lexer, self.starts, self.ignored, self.modes = lexer.tables, np.array(lexer.starts), ignored, modes
        self.table = lexer.tables.next_state[:, lexer.kinds]
        self.dead = self.table == 0
        self.by_winner = np.argsort(lexer.tables.winner, kind="stable")
        self.winners = lexer.tables.winner[self.by_winner]
        self.begins = self._beginnings()
        self._admitted: dict[tuple[int, bytes], NDArray[np.bool_]] = {}

    def _beginnings(self) -> NDArray[np.bool_]:
        """(T, K) bytes with which a lexeme of each terminal may begin, from every start that knows it."""
        alive = self.lexer.alive
        begins = np.full((self.table.shape[1], alive.shape[1]), ~np.uint64(0))
        for start in self.starts:
            begins &= alive[self.table[start]] | ~alive[start]
        return np.unpackbits(begins.view(np.uint8), axis=1, bitorder="little").T.astype(np.bool_)

    def apart(self, terminal: int, followers: set[int]) -> bool:
        """Whether a lexeme of `terminal`, wherever it is, can end where one of each of `followers` can follow."""
        inside = self._alive(terminal)
        return all(
            self._leads_to(terminal, self.good_ends(terminal, admitted))[inside].all()
            for admitted in self.admitted(self.modes[terminal], followers)
        )

    def good_ends(self, terminal: int, admitted: NDArray[np.bool_]) -> NDArray[np.int64]:
        """The states in which a lexeme of `terminal` ends for good with one of the admitted bytes."""
        states = self._ending(terminal)
        return states[(self.dead[states] & admitted).any(axis=1)]

    def admitted(self, mode: int, followers: set[int]) -> list[NDArray[np.bool_]]:
        """(K,) bytes that may come right before or begin each of some terminals of a mode, each set once."""
        found: dict[bytes, NDArray[np.bool_]] = {}
        for follower in followers:
            if self.modes.get(follower) == mode:
                begins = self.begins[follower]
                found[begins.tobytes()] = begins
        return [self._admitting(mode, key, begins) for key, begins in found.items()]

    def _admitting(self, mode: int, key: bytes, begins: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Bytes that are in `begins`, or begin an ignored lexeme after which one of those can stand."""
        if (mode, key) not in self._admitted:
            admitted = begins.copy()
            for terminal in self.ignored:
                if self.modes[terminal] == mode:
                    reaching = self._leads_to(terminal, self.good_ends(terminal, begins))
                    knowing = self.starts[self._alive(terminal)[self.starts]]
                    admitted |= reaching[self.table[knowing]].all(axis=0)
            self._admitted[mode, key] = admitted
        return self._admitted[mode, key]

    def _ending(self, terminal: int) -> NDArray[np.int64]:
        first, last = np.searchsorted(self.winners, [terminal, terminal + 1])
        return self.by_winner[first:last]

    def _alive(self, terminal: int) -> NDArray[np.bool_]:
        """(S,) states from which a lexeme of the terminal can be completed."""
        bits = self.lexer.alive[:, terminal >> 6] >> np.uint64(terminal & 63)
        return (bits & np.uint64(1)).astype(np.bool_)

    def _leads_to(self, terminal: int, goals: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(S,) states from which one of `goals` can be reached, all of which end a lexeme of the terminal."""
        if len(goals) == len(self._ending(terminal)):
            return self._alive(terminal)
        reached = np.zeros(len(self.table), dtype=np.bool_)
        reached[goals] = True
        spread(reached, goals, *self._edges)
        return reached

    @cached_property
    def _edges(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        return reverse_edges(self.table)
