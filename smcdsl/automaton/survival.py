"""The mass of all completions of a regular language, under a law that draws tokens independently.

For an automaton with token masses u, psi_b(s) is the probability that tokens drawn from u one after another, from
state s on, spell a rest of the language and then end, b tokens at most:

    psi_b(s) = end(s) + sum over s' of M(s, s') psi_{b-1}(s'),    M(s, s') = mass of the tokens from s to s'

Without a budget it is the least solution of psi = end + M psi. As a twist: Zhao et al. (2024), arXiv:2404.17546.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smcdsl.automaton.tables import TrieTables

Masses = NDArray[np.float64]

MOST_STATES = 2048
"""Beyond so many states the masses of moves, one number a pair, are not worth their memory."""


def token_moves(
    next_state: NDArray[np.int32],
    accepting: NDArray[np.bool_],
    trie: TrieTables,
    law: Masses,
    following: bytes = b"",
) -> tuple[Masses, Masses]:
    """What one token does in every state of an automaton whose state 0 is dead.

    Args:
        next_state: (S, 256).
        accepting: (S,).
        law: (V,) the masses of tokens.
        following: the given text after the hole, empty if the hole ends its turn.

    Returns:
        (S, S) the mass of tokens between states, and (S,) the mass of tokens that end the hole in `following`.
    """
    size = len(next_state)
    moves, ends = np.zeros((size, size)), np.zeros(size)
    every = np.arange(size)
    path = [every]
    node, count = 1, len(trie.byte)
    spelled = bytearray()
    while node < count:
        depth = int(trie.depth[node])
        del path[depth:], spelled[depth - 1 :]
        byte = int(trie.byte[node])
        path.append(next_state[path[-1], byte])
        spelled.append(byte)
        own = trie.tokens[trie.first_token[node] : trie.first_token[node + 1]]
        mass = float(law[own].sum()) if len(own) else 0.0
        if mass > 0:
            moves[every, path[-1]] += mass
            for at in range(depth if following else 0):
                if following.startswith(bytes(spelled[at:])):
                    ends += mass * accepting[path[at]] * (path[-1] == 0)
        # No state is alive and no text can have begun to follow: nothing below this node counts.
        node = node + 1 if path[-1].any() or following else int(trie.skip[node])
    moves[:, 0] = 0.0
    moves[0] = 0.0
    ends[0] = 0.0
    return moves, ends


def survival(moves: Masses, ends: Masses, budget: int | None) -> Masses:
    """(B + 1, S) the mass of completions with at most b tokens, by b; (1, S) without a budget.

    Args:
        moves: (S, S) masses between states; rows sum to 1 at most.
        ends: (S,) masses of ending at once.
    """
    if budget is None:
        return solve(moves, ends[:, None]).T
    rows = np.empty((budget + 1, len(ends)))
    rows[0] = ends
    for left in range(1, budget + 1):
        rows[left] = ends + moves @ rows[left - 1]
    return rows


def solve(moves: Masses, ends: Masses) -> Masses:
    """The least X with X = ends + moves X, (S, C).

    Raises:
        ValueError: rows of `moves` sum to more than one, and there may be none.
    """
    if moves.sum(axis=1).max(initial=0.0) > 1.0 + 1e-9:
        raise ValueError("the masses of moves do not stay below one")
    # What cannot end has none; without it the matrix is regular, as mass leaves from everywhere else.
    alive = ends.any(axis=1)
    while (grown := alive | (moves[:, alive] > 0).any(axis=1)).sum() > alive.sum():
        alive = grown
    rows = np.flatnonzero(alive)
    found = np.zeros_like(ends)
    found[rows] = np.linalg.solve(np.eye(len(rows)) - moves[np.ix_(rows, rows)], ends[rows])
    return np.maximum(found, 0.0)


def lexeme_masses(next_state: NDArray[np.int32], accepts: NDArray[np.bool_], trie: TrieTables, law: Masses) -> Masses:
    """(S, T) the mass of token sequences that lead from a lexer state to where a lexeme may be each terminal.

    Tokens that go on into the next lexeme are left out; `accepts` is (S, T).
    """
    some: NDArray[np.bool_] = accepts.max(axis=1)
    moves, _ = token_moves(next_state, some, trie, law)
    return solve(moves, accepts.astype(np.float64))
