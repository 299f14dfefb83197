"""A grammar's tables, as a machine's kernels want them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smcdsl.automaton import layout
from smcdsl.automaton.layout import CONFLICT
from smcdsl.automaton.pools import Pools
from smcdsl.automaton.tables import AutomatonTables, LayoutTables, LexerTables, ParserTables, RegularTables, TrieTables

_MARKERS_IN_A_ROW = 3
_PARSER_SLOTS = {
    "shift": layout.SHIFT,
    "first_reduce": layout.FIRST_REDUCE,
    "reduce": layout.REDUCE,
    "goto": layout.GOTO,
    "lhs": layout.LHS,
    "length": layout.LENGTH,
    "start_of": layout.START_OF,
    "possible": layout.POSSIBLE,
}
_TRIE_SLOTS = {
    "byte": layout.TRIE_BYTE,
    "depth": layout.TRIE_DEPTH,
    "skip": layout.TRIE_SKIP,
    "first_token": layout.FIRST_TOKEN,
    "tokens": layout.TRIE_TOKENS,
    "text": layout.TEXT,
    "text_start": layout.TEXT_START,
}


def set_tables(pools: Pools, tables: AutomatonTables, following: bytes) -> int:
    """Put everything that does not change into a pointer table; returns the 64-bit words of a mask."""
    lexer, parser = _regular_as_parsed(tables.regular) if tables.regular is not None else (tables.lexer, tables.parser)
    assert lexer is not None
    assert parser is not None
    _set_lexer(pools, lexer)
    lines = np.zeros(0, dtype=np.int64)
    if tables.layout is not None:
        lines = np.flatnonzero(tables.layout.column >= 0)
        _set_layout(pools, tables.layout)
    _set_parser(pools, lexer, parser, lines)
    _set_borders(pools, lexer, parser, lines)
    if tables.filter is not None:
        pools.set(layout.FILTER_NEXT, tables.filter.next_state)
        pools.set(layout.FILTER_ACCEPTS, tables.filter.accepting.astype(np.uint8))
    _set_following(pools, following)
    words = _set_vocabulary(pools, tables, not following)
    pools.table[layout.IS_GENERALISED] = not tables.deterministic
    pools.table[layout.IS_LOCAL] = tables.regular is not None or (tables.separable and tables.filter is None)
    pools.table[layout.MOST] = -1
    return words


def _regular_as_parsed(regular: RegularTables) -> tuple[LexerTables, ParserTables]:
    """A regular language as one terminal: the automaton is the lexer, and the parser wants that terminal once."""
    states = len(regular.next_state)
    one = np.ones((states, 1), dtype=np.uint64)
    zero = np.zeros(states, dtype=np.int32)
    lexer = LexerTables(
        next_state=regular.next_state,
        accepts=regular.accepting.astype(np.uint64).reshape(-1, 1),
        accepting=regular.accepting,
        winner=np.where(regular.accepting, 0, -1).astype(np.int32),
        alive=one,
        mode=zero,
        is_start=np.zeros(states, dtype=np.bool_),
        exclusive=np.array([False]),
        ignored=np.zeros(1, dtype=np.uint64),
        trapped_start=np.zeros(states + 1, dtype=np.int32),
        trapped=np.zeros(0, dtype=np.int32),
    )
    parser = ParserTables(
        shift=np.array([[1, -1], [-1, 0]], dtype=np.int32),
        first_reduce=np.zeros(5, dtype=np.int32),
        reduce=np.zeros(0, dtype=np.int32),
        goto=np.full((2, 1), -1, dtype=np.int32),
        lhs=np.zeros(0, dtype=np.int32),
        length=np.zeros(0, dtype=np.int32),
        boundary=np.zeros(0, dtype=np.int32),
        start_of=np.zeros((2, 1), dtype=np.int32),
        possible=np.array([[1], [2]], dtype=np.uint64),
        markers=np.array([-1], dtype=np.int32),
    )
    return lexer, parser


def _set_fields(pools: Pools, part: ParserTables | TrieTables, slots: dict[str, int]) -> None:
    """Put arrays behind their slots as they are."""
    for name, slot in slots.items():
        pools.set(slot, getattr(part, name))


def _flat(rows: list[list[int]]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Lists one after the other, and where each begins."""
    starts = np.cumsum([0] + [len(row) for row in rows]).astype(np.int32)
    return starts, np.array([value for row in rows for value in row] or [0], dtype=np.int32)


def _bits(rows: NDArray[np.uint64], width: int) -> NDArray[np.bool_]:
    """(n, width) bit sets as booleans."""
    return np.unpackbits(rows.view(np.uint8), axis=1, bitorder="little")[:, :width].astype(np.bool_)


def _packed(rows: NDArray[np.bool_], words: int) -> NDArray[np.uint64]:
    """(n, words) booleans as bit sets."""
    padded = np.zeros((len(rows), 64 * words), dtype=np.bool_)
    padded[:, : rows.shape[1]] = rows
    return np.packbits(padded, axis=1, bitorder="little").view(np.uint64)


def _classes(rows: NDArray[np.uint64]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """(the class of each row, the first row of each class): equal rows are one class."""
    numbers: dict[bytes, int] = {}
    size = rows.shape[1] * rows.itemsize
    content = rows.tobytes()
    keys = [content[at : at + size] for at in range(0, len(content), size)]
    of = np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int32)
    first = np.empty(len(numbers), dtype=np.int32)
    first[of[::-1]] = np.arange(len(of) - 1, -1, -1)
    return of, first


def _set_lexer(pools: Pools, lexer: LexerTables) -> None:
    terminals = 64 * lexer.accepts.shape[1]
    accepts = _bits(lexer.accepts[lexer.accepting], terminals)
    counts = np.zeros(len(lexer.accepting) + 1, dtype=np.int32)
    counts[1:][lexer.accepting] = accepts.sum(axis=1)
    starts = np.cumsum(counts, dtype=np.int32)
    of, first = _classes(lexer.alive)
    pools.set(layout.NEXT_STATE, lexer.next_state)
    pools.set(layout.ACCEPTS_START, starts)
    pools.set(layout.ACCEPTS, np.nonzero(accepts)[1].astype(np.int32))
    pools.set(layout.ALIVE, lexer.alive)
    pools.set(layout.ALIVE_CLASS, of)
    pools.set(layout.CLASS_STATE, first)
    pools.set(layout.MODE, lexer.mode)
    pools.set(layout.IS_START, lexer.is_start.astype(np.uint8))
    pools.set(layout.EXCLUSIVE, lexer.exclusive.astype(np.uint8))
    pools.set(layout.IGNORED, _bits(lexer.ignored.reshape(1, -1), terminals)[0].astype(np.uint8))
    pools.set(layout.TRAPPED_START, lexer.trapped_start)
    pools.set(layout.TRAPPED, lexer.trapped)
    pools.table[layout.NUM_LEXER_STATES] = len(lexer.next_state)


def _set_parser(pools: Pools, lexer: LexerTables, parser: ParserTables, lines: NDArray[np.int64]) -> None:
    states, terminals = parser.shift.shape
    action = parser.shift.reshape(-1) + np.int32(1)
    counts = np.diff(parser.first_reduce)
    cells = np.flatnonzero(counts)
    only = -parser.reduce[parser.first_reduce[cells]] - 1
    action[cells] = np.where((counts[cells] > 1) | (action[cells] > 0), CONFLICT, only)
    words = lexer.alive.shape[1]
    pools.set(layout.ACTION, action)
    _set_fields(pools, parser, _PARSER_SLOTS)
    at_once = parser.shift >= 0
    at_once[:, lines] = False  # whether a line break fits, the stack tells
    pools.set(layout.SHIFTABLE, _packed(at_once, words) | lexer.ignored)
    pools.table[layout.NUM_STATES] = states
    pools.table[layout.NUM_TERMINALS] = terminals
    pools.table[layout.NUM_WORDS] = words
    pools.table[layout.NUM_NONTERMINALS] = parser.goto.shape[1]
    pools.table[layout.NUM_MODES] = parser.start_of.shape[1]


def _set_layout(pools: Pools, tables: LayoutTables) -> None:
    pools.set(layout.COLUMN, tables.column)
    pools.set(layout.ACCESS, tables.access)
    pools.table[layout.HAS_LINES] = 1
    indent, dedent, most = tables.numbers.tolist()
    pools.table[layout.INDENT], pools.table[layout.DEDENT] = indent, dedent
    pools.table[layout.MOST_COLUMNS] = most


def _set_borders(pools: Pools, lexer: LexerTables, parser: ParserTables, lines: NDArray[np.int64]) -> None:
    """What may stand between two lexemes: markers, ends, and where the next lexeme begins."""
    terminals, modes = parser.shift.shape[1], parser.start_of.shape[1]
    words = lexer.alive.shape[1]
    by_terminal = np.ascontiguousarray(parser.shift.T)
    shifted, _ = np.nonzero(by_terminal >= 0)
    targets = by_terminal[by_terminal >= 0]
    first = np.flatnonzero(np.diff(shifted, prepend=-1))
    states_after = dict(zip(shifted[first].tolist(), np.split(targets, first[1:])))
    follows = np.zeros((64 * words, words), dtype=np.uint64)
    if len(first):
        follows[shifted[first]] = np.bitwise_or.reduceat(parser.possible[targets], first, axis=0)
    follows[:terminals] |= lexer.ignored
    follows_bits = _bits(follows, 64 * words)
    ignored = _bits(lexer.ignored.reshape(1, -1), 64 * words)[0]
    # After a line break comes whatever its column brings in.
    passed_over = ignored.copy()
    passed_over[lines] = True
    follows[passed_over] = ~np.uint64(0)
    pools.set(layout.FOLLOWS, follows)
    chains = _chains(parser.markers.tolist(), follows_bits, modes)
    modes_of = _modes_of_terminals(lexer, terminals)
    restarts: list[list[int]] = [[] for _ in range(terminals)]
    endings: list[list[int]] = [[] for _ in range(modes)]
    starts = [sorted({*column}) for column in parser.start_of.T.tolist()]
    for mode in range(modes):
        for chain, target in chains[mode]:
            padded = [*chain, *[-1] * (_MARKERS_IN_A_ROW - len(chain))]
            if target == 0:
                endings[mode] += padded
            for terminal in modes_of[mode]:
                last = chain[-1] if chain else terminal
                if chain and not ignored[terminal] and not follows_bits[terminal, chain[0]]:
                    continue
                begins = starts[target]
                if not chain and passed_over[terminal]:
                    begins = starts[mode]
                elif last not in states_after:
                    continue
                elif len(begins) > 1:
                    begins = sorted({*parser.start_of[states_after[last], target].tolist()})
                for start in begins:
                    if start:
                        restarts[terminal] += [*padded, start, int(not chain)]
    restarts_start, flat = _flat(restarts)
    endings_start, flat_endings = _flat(endings)
    pools.set(layout.RESTARTS_START, restarts_start // 5)
    pools.set(layout.RESTARTS, flat)
    pools.set(layout.ENDINGS_START, endings_start // 3)
    pools.set(layout.ENDINGS, flat_endings)
    pools.table[layout.CHECK_STARTS] = any(len(found) > 1 for found in starts)
    _set_codes(pools, lexer, [np.array([start for start in found if start], dtype=np.int32) for found in starts])


def _set_codes(pools: Pools, lexer: LexerTables, starts: list[NDArray[np.int32]]) -> None:
    """Numbers for how lexemes begin, given the start states of each mode."""
    row = np.zeros(len(lexer.next_state), dtype=np.int32)
    every = np.concatenate(starts)
    row[every] = np.arange(len(every))
    codes = [_codes(lexer.next_state[members], members) for members in starts]
    pools.set(layout.CODE_ROW, row)
    pools.set(layout.CODES, np.ascontiguousarray(np.concatenate(codes)))


def _codes(after: NDArray[np.int32], starts: NDArray[np.int32]) -> NDArray[np.int32]:
    """(n, 256) a (start, byte) that stands for all with which the same of n starts have the same state `after` it.

    Were there a code for every byte, tokens that differ in it would never be one group.
    """
    if len(starts) < 2:
        return np.repeat(256 * starts[:, None], 256, axis=1)
    _, first, kind_of = np.unique(after, axis=1, return_index=True, return_inverse=True)
    codes = np.zeros((len(starts), len(first)), dtype=np.int32)
    known: dict[bytes, int] = {}
    for kind, byte in enumerate(first.tolist()):
        for state in np.unique(after[:, byte]):
            alike = after[:, byte] == state
            codes[alike, kind] = known.setdefault(alike.tobytes(), 256 * int(starts[np.argmax(alike)]) + byte)
    return np.take(codes, kind_of.reshape(-1), axis=1)


def _modes_of_terminals(lexer: LexerTables, terminals: int) -> dict[int, list[int]]:
    """Terminals that lexemes of each mode may be."""
    found = {}
    for mode in range(len(lexer.exclusive)):
        some = np.bitwise_or.reduce(lexer.accepts[lexer.mode == mode], axis=0, initial=0, keepdims=True)
        found[mode] = np.flatnonzero(_bits(some, terminals)[0]).tolist()
    return found


def _chains(markers: list[int], follows: NDArray[np.bool_], modes: int) -> dict[int, list[tuple[tuple[int, ...], int]]]:
    """Per mode the sequences of markers that may stand between two lexemes, and the mode they lead to."""
    found: dict[int, list[tuple[tuple[int, ...], int]]] = {}
    for mode in range(modes):
        found[mode] = [((), mode)]
        for chain, here in found[mode]:
            if len(chain) == _MARKERS_IN_A_ROW:
                continue
            steps = [(0, markers[here] + 1)] if here else [(m, k) for m, k in enumerate(markers) if m]
            for target, marker in steps:
                if not chain or follows[chain[-1], marker]:
                    found[mode].append(((*chain, marker), target))
    return found


def _set_following(pools: Pools, following: bytes) -> None:
    words = len(following) // 64 + 1
    moves = np.zeros((256, words), dtype=np.uint64)
    for position, byte in enumerate(following):
        moves[byte, (position + 1) >> 6] |= np.uint64(1) << np.uint64((position + 1) & 63)
    pools.set(layout.FOLLOWING, np.frombuffer(following or b"\0", dtype=np.uint8).copy())
    pools.set(layout.TAIL_MOVES, moves)
    pools.table[layout.NUM_FOLLOWING] = len(following)
    pools.table[layout.TAIL_WORDS] = words


def _set_vocabulary(pools: Pools, tables: AutomatonTables, ends_turn: bool) -> int:
    _set_fields(pools, tables.trie, _TRIE_SLOTS)
    pools.set(layout.TURN_ENDS, np.array([*tables.end_of_turn, 0], dtype=np.int32))
    words = (tables.vocab_size + 63) // 64
    pools.table[layout.NUM_TURN_ENDS] = len(tables.end_of_turn) if ends_turn else 0
    pools.table[layout.NUM_TRIE] = len(tables.trie.byte)
    pools.table[layout.VOCAB_SIZE] = tables.vocab_size
    pools.table[layout.MASK_WORDS] = words
    return words
