"""Can lexemes always be kept apart? Then whether a lexed text can be completed shows without a search.

Longest match may make two terminals that the parser wants side by side impossible: the text of the second
would prolong the first. It is possible if from everywhere inside the first the lexeme can go on to where some byte
both ends it for good and begins the second, or begins something ignored that a text of the second can follow.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from smcdsl.automaton.tables import LexerTables
from smcdsl.compiler.bnf import ContextFree, nullable
from smcdsl.compiler.refinement import distinct_columns


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
    lexer: LexerTables,
    starts: list[int],
    ignored: set[int],
    modes: dict[int, int],
    line_break: int | None = None,
) -> bool:
    """Whether any two adjacent terminals of an exclusive mode can be kept apart, wherever in the first one is.

    Args:
        pairs: `adjacent_terminals` of a grammar without useless symbols and terminals that no lexeme can be.
        lexer: the shared automaton of the terminals.
        starts: its start states.
        ignored: ignored terminals.
        modes: mode of each terminal with texts.
        line_break: a terminal that may stand before any other as well; what may stand after it, see `ends_before`.
    """
    checker = _Checker(lexer, starts, ignored, modes)
    used = {terminal for terminal, mode in modes.items() if lexer.exclusive[mode] and terminal not in ignored}
    for terminal in used - {line_break}:
        wanted = pairs.get(terminal, set()) | (set() if line_break is None else {line_break})
        if not all(checker.apart(terminal, u) for u in wanted if modes.get(u) == modes[terminal]):
            return False
    return all(
        checker.apart(terminal, follower)
        for terminal in ignored
        for follower in used
        if modes[follower] == modes[terminal]
    )


def ends_before(
    lexer: LexerTables, starts: list[int], ignored: set[int], modes: dict[int, int], terminal: int
) -> list[NDArray[np.bool_]]:
    """For each terminal that may come after `terminal`: (S,) where a lexeme of `terminal` can end just before it."""
    checker = _Checker(lexer, starts, ignored, modes)
    followers = {u for u, mode in modes.items() if mode == modes[terminal] and u not in ignored and u != terminal}
    found: dict[bytes, NDArray[np.bool_]] = {}
    for follower in followers:
        good = np.zeros(len(lexer.next_state), dtype=np.bool_)
        good[checker.good_ends(terminal, follower)] = True
        found[good.tobytes()] = good
    return list(found.values())


class _Checker:
    def __init__(self, lexer: LexerTables, starts: list[int], ignored: set[int], modes: dict[int, int]) -> None:
        self.lexer, self.starts, self.ignored, self.modes = lexer, starts, ignored, modes
        self.dead = lexer.next_state == 0
        kinds, _ = distinct_columns(lexer.next_state)
        self._kinds = np.ascontiguousarray(lexer.next_state[:, kinds])
        self.begins: dict[int, NDArray[np.bool_]] = {}
        self._after_ignored: dict[tuple[int, bytes], NDArray[np.bool_]] = {}
        self._beginnings: dict[int, bytes] = {}
        self._apart: dict[tuple[int, int, bytes], bool] = {}

    def apart(self, terminal: int, follower: int) -> bool:
        """Whether a lexeme of `terminal`, wherever it is, can end where one of `follower` can follow."""
        key = (terminal, self.modes[follower], self._beginning(follower))
        if key not in self._apart:
            states, good = self._ending(terminal), self.good_ends(terminal, follower)
            inside = self._alive(np.arange(len(self.lexer.alive), dtype=np.int32), terminal)
            self._apart[key] = len(good) == len(states) or bool(self._reaching(good)[inside].all())
        return self._apart[key]

    def _beginning(self, follower: int) -> bytes:
        """What `first_bytes` says, to compare."""
        found = self._beginnings.get(follower)
        if found is None:
            found = self._beginnings[follower] = self.first_bytes(follower).tobytes()
        return found

    def good_ends(self, terminal: int, follower: int) -> NDArray[np.int64]:
        """The states in which a lexeme of `terminal` ends for good with some byte that `follower` can begin with."""
        states = self._ending(terminal)
        direct = self.dead[states] @ self.first_bytes(follower)
        return states[direct | (self.dead[states] @ self._by_way_of_ignored(follower))]

    def first_bytes(self, terminal: int) -> NDArray[np.bool_]:
        """(256,) bytes with which a lexeme of the terminal may begin, from every start that knows it."""
        if terminal not in self.begins:
            row = np.ones(256, dtype=np.bool_)
            for start in self._knowing(terminal):
                row &= self._alive(self.lexer.next_state[start], terminal)
            self.begins[terminal] = row
        return self.begins[terminal]

    def _by_way_of_ignored(self, follower: int) -> NDArray[np.bool_]:
        """(256,) bytes that begin an ignored lexeme after which `follower` can begin."""
        key = (self.modes[follower], self._beginning(follower))
        if key not in self._after_ignored:
            row = np.zeros(256, dtype=np.bool_)
            for terminal in self.ignored:
                if self.modes[terminal] != self.modes[follower]:
                    continue
                states = self._ending(terminal)
                good = states[self.dead[states] @ self.first_bytes(follower)]
                reaching = self._reaching(good)
                begins = np.ones(256, dtype=np.bool_)
                for start in self._knowing(terminal):
                    begins &= reaching[self.lexer.next_state[start]]
                row |= begins
            self._after_ignored[key] = row
        return self._after_ignored[key]

    def _knowing(self, terminal: int) -> list[int]:
        return [s for s in self.starts if self.lexer.alive[s, terminal >> 6] >> np.uint64(terminal & 63) & np.uint64(1)]

    def _ending(self, terminal: int) -> NDArray[np.int64]:
        bits = self.lexer.accepts[:, terminal >> 6] >> np.uint64(terminal & 63)
        return np.flatnonzero(bits & np.uint64(1))

    def _alive(self, states: NDArray[np.int32], terminal: int) -> NDArray[np.bool_]:
        return (self.lexer.alive[states, terminal >> 6] >> np.uint64(terminal & 63) & np.uint64(1)).astype(np.bool_)

    def _reaching(self, goals: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(S,) states from which one of `goals` can be reached."""
        reached = np.zeros(len(self.lexer.next_state), dtype=np.bool_)
        reached[goals] = True
        while True:
            wider = reached | reached[self._kinds].any(axis=1)
            wider[0] = False
            if (wider == reached).all():
                return reached
            reached = wider
