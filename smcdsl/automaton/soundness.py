"""Whether tables from somebody's file can be run: kernels index with what tables say, and look at nothing.

A table that passes may be the table of another grammar, or of none that makes sense; but whatever is read with it, no
kernel leaves its arrays, and each comes to an end. Tables that the compiler makes pass; those it keeps in its own cache
are not asked. What needs the order of a whole array is in `proving`.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smcdsl.automaton import proving
from smcdsl.automaton.layout import CLOSED, DEDENTED, INDENTED, SCRATCH, STATE_BITS
from smcdsl.automaton.site_soundness import check_site_rules
from smcdsl.automaton.tables import (
    AutomatonTables,
    LayoutTables,
    LexerTables,
    ParserTables,
    RegularTables,
    TrieTables,
)

MOST_STATES = 1 << STATE_BITS
MOST_TERMINALS = 1 << 13
MOST_NONTERMINALS = 1 << 13
MOST_TOKENS = 1 << 22
_MOST_CHAINS = 1 << 22
"""Markers of embedded grammars in a row, times terminals: what machines lay out at their start."""
_MOST_COLUMN = 2000
_MOST_LIMIT = 1 << 40
_MOST_NOTICED = 64
"""Boundaries that are told apart in one word of bits."""

_TRIE_FAULTS = {
    proving.NOT_NESTED: "its nodes are no trie",
    proving.SKIPS_WRONG: "a node does not skip its subtree",
    proving.NOT_ASCENDING: "bytes of a node's children do not ascend",
    proving.MISSPELLED: "a token is not where it is spelled",
    proving.LISTED_TWICE: "a token is listed twice",
    proving.NOT_LISTED: "a token is missing",
}
_PARSER_FAULTS = {
    proving.TOO_SHORT: "a production is longer than the stack",
    proving.NO_GOTO: "a reduction leads nowhere",
    proving.TOO_MUCH_WORK: "it is too tangled to be checked",
    proving.ENDLESS: "its reductions go on for ever",
}


class Unsound(Exception):
    """Tables that cannot be run; the text says why, for the reader of a report."""


def check_tables(tables: AutomatonTables) -> None:
    """Look at everything that running tables takes for granted.

    Raises:
        Unsound: something is not so.
    """
    check_trie(tables.trie)
    check_grammar_tables(tables)


def check_grammar_tables(tables: AutomatonTables) -> None:
    """`check_tables` but for the trie itself. Raises Unsound."""
    _check_plain(tables)
    if tables.regular is not None:
        _demand(tables.lexer is None and tables.parser is None, "a regular language has no parser")
        _demand(tables.filter is None and tables.layout is None, "a regular language has no filter and no layout")
        _demand(tables.deterministic, "a regular language has no conflicts")
        _check_regular(tables.regular, "regular")
    else:
        if tables.lexer is None or tables.parser is None:
            raise Unsound("there is neither an automaton nor a parser")
        _check_lexer(tables.lexer, tables.parser)
        _check_parser(tables.parser, tables.lexer, tables.deterministic, len(tables.boundaries))
        _check_markers(tables.lexer, tables.parser)
        if tables.layout is not None:
            _demand(tables.deterministic, "a layout needs a deterministic parser")
            _check_layout(tables.layout, tables.parser)
        if tables.filter is not None:
            _check_regular(tables.filter, "filter")
    if tables.leaves is not None:
        _check_regular(tables.leaves, "leaves")
    _check_sites(tables)


def check_trie(trie: TrieTables) -> None:
    """Whether a vocabulary's trie is one. Raises Unsound."""
    _check_types(trie, "trie", "u1 i4 i4 i4 i4 u1 i8")
    num_nodes, vocab_size = len(trie.byte), len(trie.text_start) - 1
    _demand(num_nodes >= 1 and len(trie.depth) == len(trie.skip) == num_nodes, "trie: columns differ in length")
    _demand(1 <= vocab_size <= MOST_TOKENS, "trie: no vocabulary has so many tokens")
    _check_offsets(trie.first_token, num_nodes, len(trie.tokens), "trie.first_token")
    _check_offsets(trie.text_start, vocab_size, len(trie.text), "trie.text_start")
    _check_range(trie.tokens, 0, vocab_size, "trie.tokens")
    fault = proving.trie_fault(*trie)
    _demand(fault == proving.SOUND, f"trie: {_TRIE_FAULTS.get(fault)}")


def _demand(claim: bool | np.bool_, otherwise: str) -> None:
    if not claim:
        raise Unsound(otherwise)


def _check_types(part: Any, name: str, kinds: str) -> None:
    """Whether arrays have the types that kernels load from addresses, `b1` with no byte but 0 and 1 among them."""
    shapes = {"goto": 2, "shift": 2, "next_state": 2, "alive": 2, "accepts": 2, "possible": 2, "start_of": 2}
    for field, kind, array in zip(part._fields, kinds.split(), part, strict=True):
        place = f"{name}.{field}"
        _demand(isinstance(array, np.ndarray), f"{place} is no array")
        _demand(array.dtype == np.dtype(f"={kind}") and array.dtype.isnative, f"{place} has another type")
        _demand(array.ndim == shapes.get(field, 1), f"{place} has another shape")
        _demand(array.flags.c_contiguous and array.flags.aligned, f"{place} is not laid out as it must be")
        if kind == "b1":
            _check_range(array.view(np.uint8), 0, 2, place)


def _check_range(array: NDArray[Any], least: int, end: int, place: str) -> None:
    if array.size:
        _demand(int(array.min()) >= least and int(array.max()) < end, f"{place} has values out of range")


def _check_offsets(array: NDArray[Any], count: int, end: int, place: str) -> None:
    """Whether an array says where each of `count` lists begins in an array of `end` elements."""
    _demand(len(array) == count + 1, f"{place} has another length")
    _demand(int(array[0]) == 0 and int(array[-1]) == end, f"{place} does not end with what it points into")
    _demand(bool(np.all(array[1:] >= array[:-1])), f"{place} is not monotone")


def _check_bits(rows: NDArray[np.uint64], count: int, place: str) -> None:
    """Whether bit sets, (n, TW) or (TW,), have no terminals but the first `count`."""
    allowed = np.frombuffer(((1 << count) - 1).to_bytes(8 * rows.shape[-1], "little"), dtype=np.uint64)
    _demand(not np.any(rows & ~allowed), f"{place} has terminals that there are not")


def _check_plain(tables: AutomatonTables) -> None:
    _demand(tables.vocab_size == len(tables.trie.text_start) - 1, "another number of tokens than the trie's")
    _demand(bool(tables.end_of_turn), "no token ends a turn")
    for token in tables.end_of_turn:
        _demand(0 <= token < tables.vocab_size, "an end-of-turn token is none of the vocabulary's")
        start, end = tables.trie.text_start[token : token + 2].tolist()
        _demand(start == end, "an end-of-turn token has a text")
    least, most = tables.token_limit
    _demand(0 <= least < _MOST_LIMIT and -1 <= most < _MOST_LIMIT, "limits on tokens are out of range")


def _check_regular(regular: RegularTables, name: str) -> None:
    _check_types(regular, name, "i4 b1")
    states = len(regular.accepting)
    _demand(2 <= states <= MOST_STATES and regular.next_state.shape == (states, 256), f"{name}: shapes do not fit")
    _check_range(regular.next_state, 0, states, f"{name}.next_state")
    _demand(not regular.next_state[0].any() and not regular.accepting[0], f"{name}: state 0 is not dead")


def _check_lexer(lexer: LexerTables, parser: ParserTables) -> None:
    _check_types(lexer, "lexer", "i4 u8 b1 i4 u8 i4 b1 b1 u8 i4 i4")
    states, modes = len(lexer.mode), len(lexer.exclusive)
    terminals = parser.shift.shape[1] if parser.shift.ndim == 2 else 0
    words = terminals // 64 + 1
    _demand(1 <= terminals <= MOST_TERMINALS, "parser.shift has another number of terminals than any grammar")
    _demand(2 <= states <= MOST_STATES and modes >= 1, "lexer: shapes do not fit")
    _demand(lexer.next_state.shape == (states, 256), "lexer.next_state has another shape")
    _demand(lexer.accepts.shape == lexer.alive.shape == (states, words), "lexer: bit sets have other shapes")
    _demand(lexer.ignored.shape == (words,), "lexer.ignored has another shape")
    for name in ("accepting", "winner", "is_start"):
        _demand(len(getattr(lexer, name)) == states, f"lexer.{name} has another length")
    _check_range(lexer.next_state, 0, states, "lexer.next_state")
    _check_range(lexer.winner, -1, terminals, "lexer.winner")
    _check_range(lexer.mode, 0, modes, "lexer.mode")
    # `$end`, the last terminal, is never a lexeme.
    for rows, name in ((lexer.accepts, "accepts"), (lexer.alive, "alive"), (lexer.ignored, "ignored")):
        _check_bits(rows, terminals - 1, f"lexer.{name}")
    _demand(np.array_equal(lexer.accepting, lexer.accepts.any(axis=1)), "lexer.accepting is not what accepts")
    dead = (lexer.next_state[0].any(), lexer.accepting[0], lexer.is_start[0])
    _demand(not any(dead), "lexer: state 0 is not dead")
    _check_offsets(lexer.trapped_start, states, len(lexer.trapped), "lexer.trapped_start")
    _check_range(lexer.trapped, 0, states, "lexer.trapped")


def _check_parser(parser: ParserTables, lexer: LexerTables, deterministic: bool, num_boundaries: int) -> None:
    _check_types(parser, "parser", "i4 i4 i4 i4 i4 i4 i4 i4 u8 i4")
    states, terminals = parser.shift.shape
    productions, nonterminals, modes = len(parser.lhs), parser.goto.shape[1], len(lexer.exclusive)
    # Sets of stacks with one top state each are listed in scratch arrays.
    _demand(1 <= states < (MOST_STATES if deterministic else SCRATCH), "parser: too many states")
    _demand(len(parser.goto) == len(parser.possible) == states, "parser: shapes do not fit")
    _demand(1 <= nonterminals <= MOST_NONTERMINALS, "parser.goto has another number of nonterminals than any grammar")
    _demand(parser.possible.shape[1] == terminals // 64 + 1, "parser.possible has another shape")
    _demand(parser.start_of.shape == (states, modes), "parser.start_of has another shape")
    _demand(len(parser.length) == len(parser.boundary) == productions, "parser: productions differ in number")
    _check_range(parser.shift[:, :-1], -1, states, "parser.shift")
    _check_range(parser.shift[:, -1], -1, 1, "parser.shift of `$end`")
    _check_range(parser.goto, -1, states, "parser.goto")
    _check_offsets(parser.first_reduce, states * terminals, len(parser.reduce), "parser.first_reduce")
    _check_range(parser.reduce, 0, productions, "parser.reduce")
    _check_range(parser.lhs, 0, nonterminals, "parser.lhs")
    _check_range(parser.length, 0, SCRATCH, "parser.length")
    _check_range(parser.boundary, -1, num_boundaries, "parser.boundary")
    _check_range(parser.start_of, 0, len(lexer.mode), "parser.start_of")
    counts = np.diff(parser.first_reduce).reshape(states, terminals)
    acts = (counts > 0) | (parser.shift >= 0)
    _check_bits(parser.possible, terminals, "parser.possible")
    possible = np.unpackbits(parser.possible.view(np.uint8), axis=1, bitorder="little")[:, :terminals]
    # With significant indentation there is more: line breaks stand where their indents and dedents do.
    _demand(not np.any(acts & (possible == 0)), "parser.possible lacks what is possible")
    conflicts = bool(np.any(counts > 1) or np.any((counts > 0) & (parser.shift >= 0)))
    _demand(not (conflicts and deterministic), "a parser with conflicts is not deterministic")
    if not deterministic:
        _demand(bool(np.all(parser.length[parser.reduce] > 0)), "a generalised parser has no empty productions")
    arrays = (parser.shift, parser.goto, parser.first_reduce, parser.reduce, parser.lhs, parser.length)
    fault = proving.parser_fault(*arrays, deterministic)
    _demand(fault == proving.SOUND, f"parser: {_PARSER_FAULTS.get(fault)}")


def _check_markers(lexer: LexerTables, parser: ParserTables) -> None:
    """Whether embedded grammars are entered and left by terminals of their own, and not without end."""
    modes, terminals = len(lexer.exclusive), parser.shift.shape[1]
    _demand(len(parser.markers) == modes, "parser.markers has another length")
    markers: list[int] = parser.markers.tolist()
    _demand(markers[0] == -1, "the outermost grammar is not entered")
    _demand(all(0 <= marker < terminals - 2 for marker in markers[1:]), "parser.markers has values out of range")
    _demand(modes * modes * modes * terminals <= _MOST_CHAINS, "there are too many embedded grammars")
    if modes == 1:
        return
    # A row of markers that are shifted one right after the other must end.
    used = sorted({marker + k for marker in markers[1:] for k in (0, 1)})
    after: dict[int, set[int]] = {}
    for marker in used:
        targets = parser.shift[:, marker]
        rows = np.bitwise_or.reduce(parser.possible[targets[targets >= 0]], axis=0, initial=np.uint64(0))
        mask = int.from_bytes(np.atleast_1d(rows).tobytes(), "little")
        after[marker] = {other for other in used if mask >> other & 1}
    while after:
        last = [marker for marker, following in after.items() if not following & after.keys()]
        _demand(bool(last), "markers of embedded grammars may follow each other without end")
        for marker in last:
            del after[marker]


def _check_layout(tables: LayoutTables, parser: ParserTables) -> None:
    """Whether indents and dedents are what they are taken for, so that every dedent ends a block."""
    _check_types(tables, "layout", "i4 u1 i4")
    states, terminals = parser.shift.shape
    _demand(len(tables.column) == terminals and len(tables.access) == states, "layout: shapes do not fit")
    _demand(len(tables.numbers) == 3, "layout.numbers has another length")
    indent, dedent, most = tables.numbers.tolist()
    _check_range(tables.column, -1, _MOST_COLUMN, "layout.column")
    _check_range(tables.access, 0, DEDENTED + 1, "layout.access")
    _demand(0 <= most < _MOST_COLUMN, "layout: the deepest column is out of range")
    _demand(
        0 <= indent < terminals - 1 and 0 <= dedent < terminals - 1 and indent != dedent, "layout: no such terminal"
    )
    _demand(tables.column[indent] < 0 and tables.column[dedent] < 0, "layout: an indent is no line break")
    for terminal in range(terminals - 1):
        targets = parser.shift[:, terminal]
        kinds = set(tables.access[targets[targets >= 0]].tolist())
        allowed = {indent: {INDENTED}, dedent: {DEDENTED}}.get(terminal, set(range(CLOSED + 1)))
        _demand(kinds <= allowed, "layout.access is not what states are entered by")
    gotos = parser.goto[parser.goto >= 0]
    _demand(not tables.access[gotos].any() and tables.access[0] == 0, "layout.access speaks of no terminal")


def _check_sites(tables: AutomatonTables) -> None:
    if not tables.boundaries:
        return
    try:
        rules = json.loads(tables.sites)
    except (ValueError, RecursionError) as error:
        raise Unsound("the rules for sites are no JSON") from error
    if rules is None:
        told = tables.parser is not None and tables.deterministic
        _demand(told and len(tables.boundaries) <= _MOST_NOTICED, "no parser tells the sites")
        return
    problem = check_site_rules(
        rules,
        boundaries=frozenset(tables.boundaries),
        num_leaves=0 if tables.leaves is None else len(tables.leaves.accepting),
        num_modes=0 if tables.lexer is None else len(tables.lexer.exclusive),
    )
    _demand(problem is None, f"sites: {problem}")
