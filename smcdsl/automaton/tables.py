"""AutomatonTables: a grammar compiled for one vocabulary, as flat arrays, and how they are stored.

Conventions: lexer state 0 is dead; terminal numbers fit bit sets of TW words of 64 bits; terminal T - 1 is
`$end`; parser state 0 is the first. The tables are values: nothing in them changes once made.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from smcdsl.cache import keep, read_kept

FORMAT = 8
"""Raised whenever the meaning of a stored array changes."""


class TrieTables(NamedTuple):
    """All tokens that spell text, as a trie of bytes in depth-first order; node 0 is the root."""

    byte: NDArray[np.uint8]  # (M,) the byte that leads to the node
    depth: NDArray[np.int32]  # (M,) bytes from the root
    skip: NDArray[np.int32]  # (M,) the first node after the node's subtree
    first_token: NDArray[np.int32]  # (M + 1,) the node's tokens are tokens[first_token[i] : first_token[i + 1]]
    tokens: NDArray[np.int32]  # ids that spell exactly the path to the node
    text: NDArray[np.uint8]  # the bytes of token t are text[text_start[t] : text_start[t + 1]]
    text_start: NDArray[np.int64]  # (V + 1,)


class LexerTables(NamedTuple):
    """One automaton for the terminals of all modes; S states.

    A mode is a lexer of its own: mode 0 is the grammar's, further ones belong to embedded grammars. A
    start state has no edges into it, so being in one means being between two lexemes.
    """

    next_state: NDArray[np.int32]  # (S, 256) state after a byte
    accepts: NDArray[np.uint64]  # (S, TW) terminals that a lexeme may be when it ends here
    accepting: NDArray[np.bool_]  # (S,) whether there is one
    winner: NDArray[np.int32]  # (S,) the lowest of them, the only one under longest match; -1 for none
    alive: NDArray[np.uint64]  # (S, TW) terminals that a lexeme may still become, those of `accepts` included
    mode: NDArray[np.int32]  # (S,)
    is_start: NDArray[np.bool_]  # (S,)
    exclusive: NDArray[np.bool_]  # (modes,) the longest lexeme wins; otherwise every way to cut the text counts
    ignored: NDArray[np.uint64]  # (TW,) terminals between which the parser sees nothing
    trapped_start: NDArray[np.int32]  # (S + 1,) where in `trapped` those of each owed state begin
    trapped: NDArray[np.int32]  # ascending states in which no lexeme can end before the owed one accepts


class ParserTables(NamedTuple):
    """LALR(1) tables with all actions; R states, T terminals, P productions."""

    shift: NDArray[np.int32]  # (R, T) next state or -1; 0 for accepting $end
    first_reduce: NDArray[np.int32]  # (R * T + 1,) reductions of (state, terminal) are reduce[first : next first]
    reduce: NDArray[np.int32]  # productions
    goto: NDArray[np.int32]  # (R, nonterminals) next state or -1
    lhs: NDArray[np.int32]  # (P,) nonterminal of a production
    length: NDArray[np.int32]  # (P,) length of its right-hand side
    boundary: NDArray[np.int32]  # (P,) the boundary whose site this reduction closes, or -1
    start_of: NDArray[np.int32]  # (R, modes) lexer state in which the next lexeme begins
    possible: NDArray[np.uint64]  # (R, TW) terminals with any action
    markers: NDArray[np.int32]  # (modes,) terminal that enters the mode, or -1; the next number leaves it


class LayoutTables(NamedTuple):
    """Significant indentation: line breaks are one terminal a column."""

    column: NDArray[np.int32]  # (T,) column of the next line, -1 for terminals that are no line break
    access: NDArray[np.uint8]  # (R,) what an LR state was entered by: 1 a bracket, 2 its end, 3 indent, 4 dedent
    numbers: NDArray[np.int32]  # (3,) the terminals indent and dedent; the deepest column outside brackets


class RegularTables(NamedTuple):
    """A minimal automaton of the whole language; state 0 is dead."""

    next_state: NDArray[np.int32]  # (S, 256)
    accepting: NDArray[np.bool_]  # (S,)


class AutomatonTables(NamedTuple):
    """Everything a `TokenAutomaton` runs on."""

    trie: TrieTables
    regular: RegularTables | None
    """The language, if regular; then `lexer` and `parser` are None."""
    lexer: LexerTables | None
    parser: ParserTables | None
    deterministic: bool
    """Whether the parser tables have no conflict."""
    separable: bool
    """Whether lexemes can always be kept apart, so that a mask needs no search."""
    filter: RegularTables | None
    """A regular language that texts must be in besides, where the grammar is not regular."""
    layout: LayoutTables | None
    """Significant indentation, for deterministic parsers."""
    token_limit: tuple[int, int]
    """Least and most tokens; most is -1 without a bound."""
    boundaries: tuple[str, ...]
    sites: str
    """JSON: rules for finding sites, see `derivations`; null where the parser itself tells."""
    leaves: RegularTables | None
    """Automata of the regular parts of those rules."""
    vocab_size: int
    end_of_turn: tuple[int, ...]
    fingerprint: str
    """Content hash of grammar and vocabulary."""

    @property
    def num_states(self) -> int:
        """States of the automata, lexer and parser together."""
        parts = (
            (self.regular, "next_state"),
            (self.lexer, "next_state"),
            (self.parser, "shift"),
            (self.filter, "next_state"),
        )
        return sum(len(getattr(part, name)) for part, name in parts if part is not None)


PARTS: dict[str, Any] = {
    "trie": TrieTables,
    "regular": RegularTables,
    "lexer": LexerTables,
    "parser": ParserTables,
    "filter": RegularTables,
    "layout": LayoutTables,
    "leaves": RegularTables,
}
"""The parts that are arrays."""
PLAIN = (
    "deterministic",
    "separable",
    "token_limit",
    "boundaries",
    "sites",
    "vocab_size",
    "end_of_turn",
    "fingerprint",
)
"""The others."""


def plain_arrays(part: Any) -> Any:
    """The same tables with arrays that all have one layout, so that kernels are compiled for one only."""
    return type(part)(*(np.require(array, requirements=["C", "W", "O"]) for array in part))


def save_tables(tables: AutomatonTables, path: Path) -> None:
    """Write tables to a file of the cache. Arrays are stored raw, never pickled; the trie is left out."""
    arrays: dict[str, NDArray[Any]] = {}
    for name, kind in PARTS.items():
        part = getattr(tables, name)
        if part is not None and name != "trie":
            arrays.update({f"{name}.{field}": getattr(part, field) for field in kind._fields})
    plain = {name: getattr(tables, name) for name in PLAIN} | {"format": FORMAT}
    arrays["plain"] = np.frombuffer(json.dumps(plain).encode(), dtype=np.uint8)
    write_arrays(arrays, path)


def load_tables(path: Path, trie: TrieTables) -> AutomatonTables | None:
    """Read tables back; None if the file is missing, damaged or of another format."""
    arrays = read_arrays(path)
    if arrays is None or "plain" not in arrays:
        return None
    plain = json.loads(arrays["plain"].tobytes())
    if plain.pop("format") != FORMAT:
        return None
    parts: dict[str, Any] = {"trie": trie}
    for name, kind in PARTS.items():
        if name != "trie":
            found = f"{name}.{kind._fields[0]}" in arrays
            parts[name] = kind(*(arrays[f"{name}.{field}"] for field in kind._fields)) if found else None
    for name in ("token_limit", "boundaries", "end_of_turn"):
        plain[name] = tuple(plain[name])
    return AutomatonTables(**parts, **plain)


_ALIGNMENT = 16


def write_arrays(arrays: dict[str, NDArray[Any]], path: Path) -> None:
    """Write named arrays to a file of the cache, one after another and each as it is in memory."""
    described = [(name, array.dtype.str, array.shape) for name, array in arrays.items()]
    head = json.dumps(described).encode()
    parts: list[bytes | memoryview] = [len(head).to_bytes(8, "little"), head, _padding(8 + len(head))]
    for array in arrays.values():
        parts += [np.ascontiguousarray(array).reshape(-1).view(np.uint8).data, _padding(array.nbytes)]
    keep(path, parts)


def read_arrays(path: Path) -> dict[str, NDArray[Any]] | None:
    """Arrays written by `write_arrays`, parts of one piece of memory; None if the file is missing or damaged."""
    content = read_kept(path)
    if content is None:
        return None
    at = 8 + int.from_bytes(content[:8], "little")
    described = json.loads(bytes(content[8:at]))
    arrays = {}
    for name, dtype, shape in described:
        at += len(_padding(at))
        size = int(np.prod(shape, dtype=np.int64))
        arrays[name] = np.frombuffer(content, dtype=dtype, count=size, offset=at).reshape(shape)
        at += arrays[name].nbytes
    return arrays


def _padding(length: int) -> bytes:
    return bytes(-length % _ALIGNMENT)
