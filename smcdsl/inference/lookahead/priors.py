"""What a lookahead makes of contexts that no run has met: the token law through the automaton, compiled.

For regular grammars it is the mass of completions by state and budget (`automaton/survival`), for LR tables the inside
mass of the stack (`automaton/inside`) times the mass of ending the lexeme that has begun. Tokens that straddle lexemes
are left out, so this says which contexts are better, not how good they are: `Twist` sets the scale.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from smcdsl.automaton.bits import bits
from smcdsl.automaton.contexts import Context, Contexts
from smcdsl.automaton.inside import InsideMasses
from smcdsl.automaton.stacks import LinearStacks
from smcdsl.automaton.survival import MOST_STATES, lexeme_masses, survival, token_moves
from smcdsl.automaton.tables import LexerTables, ParserTables

_MOST_PARSER_STATES = 1500
_MOST_WALKS = 5e8
"""Nodes of the vocabulary's trie times lexer states at most: a second or two of work."""

Prior = Callable[[Context, tuple[int, ...]], NDArray[np.float64] | None]
"""(context, its whole stack from the top) -> (B + 1,) or (1,) log masses, None where nothing is known."""


def prior_of(contexts: Contexts, law: NDArray[np.float64]) -> Prior:
    """The compiled masses of one automaton under a token law."""
    tables = contexts.automaton.tables
    nodes = len(tables.trie.byte)
    if tables.regular is not None:
        size = len(tables.regular.next_state)
        return _of_states(contexts, law) if size <= MOST_STATES and size * nodes <= _MOST_WALKS else _nothing
    lexer, parser = tables.lexer, tables.parser
    assert lexer is not None
    assert parser is not None
    plain = tables.deterministic and tables.layout is None and len(parser.markers) == 1
    small = len(parser.shift) <= _MOST_PARSER_STATES and len(lexer.next_state) <= MOST_STATES
    if not plain or not small or len(lexer.next_state) * nodes > _MOST_WALKS:
        return _nothing
    return _Parsed(contexts, lexer, parser, law)


def _nothing(context: Context, stack: tuple[int, ...]) -> None:
    return None


def _of_states(contexts: Contexts, law: NDArray[np.float64]) -> Prior:
    automaton = contexts.automaton
    regular = automaton.tables.regular
    assert regular is not None
    following = automaton.following or b""
    moves, ends = token_moves(regular.next_state, regular.accepting, automaton.tables.trie, law, following)
    if automaton.following is None:
        ends = ends + regular.accepting * float(law[list(automaton.tables.end_of_turn)].sum())
    budget = contexts.budget if contexts.unit == "tokens" else None
    with np.errstate(divide="ignore"):
        table = np.log(survival(moves, ends, budget))
    return lambda context, stack: table[:, context[0]]


class _Parsed:
    """Inside masses of stacks, for an LALR parser with a plain lexer."""

    def __init__(self, contexts: Contexts, lexer: LexerTables, parser: ParserTables, law: NDArray[np.float64]) -> None:
        tables = contexts.automaton.tables
        terminals = parser.shift.shape[1]
        accepts = np.unpackbits(lexer.accepts.view(np.uint8), axis=1, bitorder="little")[:, :terminals].astype(bool)
        self._lexemes = lexeme_masses(lexer.next_state, accepts, tables.trie, law)
        starts = np.unique(parser.start_of)
        masses = self._lexemes[starts[starts > 0]].max(axis=0)
        self._ignored = int.from_bytes(lexer.ignored.tobytes(), "little")
        self._end = terminals - 1
        # Shares, so that the sum over all texts exists.
        masses[[t for t in range(terminals) if self._ignored >> t & 1 or t == self._end]] = 0.0
        self._inside = InsideMasses(parser, masses / max(masses.sum(), 1.0), None)
        self._stacks = LinearStacks(lexer, parser)
        self._is_start = lexer.is_start
        self._alive = lexer.alive
        self._after: dict[tuple[int, ...], float] = {}

    def __call__(self, context: Context, stack: tuple[int, ...]) -> NDArray[np.float64] | None:
        node = self._node(stack)
        lexer = context[0]
        if self._is_start[lexer]:
            total = self._mass(node)
        else:
            alive = int.from_bytes(self._alive[lexer].tobytes(), "little") & self._stacks.acceptable(node)
            total = sum(float(self._lexemes[lexer, t]) * self._mass(self._reads(node, t)) for t in bits(alive))
        return np.array([math.log(total)]) if total > 0 else None

    def _node(self, stack: tuple[int, ...]) -> int:
        node = -1
        for state in reversed(stack):
            node = self._stacks.push(node, state)
        return node

    def _reads(self, node: int, terminal: int) -> int:
        if self._ignored >> terminal & 1:
            return node
        return self._stacks.shift(node, terminal)[0]

    def _mass(self, node: int) -> float:
        states: list[int] = []
        while node >= 0:
            states.append(self._stacks.state[node])
            node = self._stacks.parent[node]
        key = tuple(reversed(states))
        if key not in self._after:
            self._after[key] = float(self._inside.of_stack(key).sum())
        return self._after[key]
