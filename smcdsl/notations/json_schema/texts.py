"""Sets of strings, and their JSON spellings as regular languages.

A string that only its length limits may use every escape of JSON (`\\u` escapes of surrogates in pairs only,
which are one character). A string that its schema says more about has one spelling: each character stands for
itself, or as the shortest escape where JSON demands one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from smcdsl.notations.json_schema import regexes
from smcdsl.notations.json_schema.formats import FORMATS
from smcdsl.notations.json_schema.matching import Matcher
from smcdsl.notations.json_schema.shapes import Strings
from smcdsl.program.grammar import (
    Alternatives,
    Automaton,
    Concatenation,
    Difference,
    GrammarExpression,
    Intersection,
    LiteralText,
    Pattern,
)
from smcdsl.program.regular import Tree

LONGEST = 2_000
"""No automaton counts further than this many characters."""

_PAIR = r"[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_LONG = rf"u(?:[0-9a-cA-CefEF][0-9a-fA-F]{{3}}|[dD][0-7][0-9a-fA-F]{{2}}|{_PAIR})"
STRING = rf'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|{_LONG}))*"'
"""Any string, in any spelling."""
PLAIN_STRING = f'"{regexes.spelled_in_json(regexes.ANYTHING)}"'
"""Any string in its one spelling."""


def spelled(value: str) -> str:
    """The one spelling of a string, quotes included."""
    return json.dumps(value, ensure_ascii=False)


def is_text(value: str) -> bool:
    """Whether a string has no lone surrogates, which UTF-8 cannot spell."""
    return not any(0xD800 <= ord(character) < 0xE000 for character in value)


def contains(strings: Strings, value: str) -> bool:
    """Whether a value is in the set."""
    if not strings.least <= len(value) or (strings.most is not None and len(value) > strings.most):
        return False
    if value in strings.without or (strings.only is not None and value not in strings.only):
        return False
    return is_text(value) and all(
        _matcher(kind, source).search(value) == keep for kind, source, keep in strings.patterns
    )


@lru_cache(maxsize=1024)
def _matcher(kind: str, source: str) -> Matcher:
    return Matcher(tree_of(kind, source))


def tree_of(kind: str, source: str) -> Tree:
    """The pattern that `pattern` or `format` names. Raises PatternError."""
    return regexes.parse(FORMATS[source] if kind == "format" else source)


def simplified(strings: Strings) -> Strings | None:
    """The same set in fewer words; None if it is seen to be empty."""
    if strings.only is not None:
        only = frozenset(value for value in strings.only if contains(strings, value))
        return Strings(only=only) if only else None
    if strings.most is not None and strings.most < strings.least:
        return None
    bare = replace(strings, without=frozenset())
    return replace(strings, without=frozenset(value for value in strings.without if contains(bare, value)))


def is_free(strings: Strings) -> bool:
    """Whether every spelling of JSON is allowed."""
    return not (strings.patterns or strings.without or strings.only is not None)


def is_everything(strings: Strings) -> bool:
    """Whether no string is left out."""
    return strings == Strings()


@lru_cache(maxsize=1024)
def expression(strings: Strings) -> GrammarExpression:
    """The spellings of a set that is not given by `only`, quotes included."""
    assert strings.only is None, "finite sets are literals"
    free = is_free(strings)
    kept = [_quoted(kind, source) for kind, source, keep in sorted(strings.patterns) if keep]
    if strings.least or strings.most is not None:
        kept.append(lengths(strings.least, strings.most, free))
    result = kept[0] if kept else Pattern(STRING if free else PLAIN_STRING)
    for part in kept[1:]:
        result = Intersection(result, part)
    removed: list[GrammarExpression] = [
        _quoted(kind, source) for kind, source, keep in sorted(strings.patterns) if not keep
    ]
    removed += literals(strings.without)
    return Difference(result, Alternatives(tuple(removed))) if removed else result


def literals(values: Iterable[str]) -> list[GrammarExpression]:
    """The spellings of single values."""
    return [LiteralText(spelled(value)) for value in sorted(values)]


def _quoted(kind: str, source: str) -> GrammarExpression:
    """Anchors in the pattern see its own text only, so the quotes stand outside."""
    inside = regexes.spelled_in_json(tree_of(kind, source))
    return Concatenation((LiteralText('"'), Pattern(inside), LiteralText('"')))


# ---- lengths


@dataclass
class _Gadget:
    """The automaton of one character's spellings: `edges` are (state, first byte, last byte, state).

    State 0 is before the character; a target of -1 is after it.
    """

    edges: list[tuple[int, int, int, int]]
    size: int


def _utf8() -> list[tuple[int, int, int, int]]:
    one, two, three, e0, ed, f0, f4 = 1, 2, 3, 4, 5, 6, 7
    return [
        (0, 0x20, 0x21, -1),
        (0, 0x23, 0x5B, -1),
        (0, 0x5D, 0x7F, -1),
        (0, 0xC2, 0xDF, one),
        (0, 0xE0, 0xE0, e0),
        (0, 0xE1, 0xEC, two),
        (0, 0xED, 0xED, ed),
        (0, 0xEE, 0xEF, two),
        (0, 0xF0, 0xF0, f0),
        (0, 0xF1, 0xF3, three),
        (0, 0xF4, 0xF4, f4),
        (one, 0x80, 0xBF, -1),
        (two, 0x80, 0xBF, one),
        (three, 0x80, 0xBF, two),
        (e0, 0xA0, 0xBF, one),
        (ed, 0x80, 0x9F, one),
        (f0, 0x90, 0xBF, two),
        (f4, 0x80, 0x8F, two),
    ]


_ESCAPE = 8


def _edges(state: int, letters: str, target: int) -> list[tuple[int, int, int, int]]:
    return [(state, ord(letter), ord(letter), target) for letter in letters]


_HEX = "0123456789abcdefABCDEF"


def _plain_gadget() -> _Gadget:
    edges = [*_utf8(), *_edges(0, "\\", _ESCAPE), *_edges(_ESCAPE, '"\\bfnrt', -1)]
    edges += _edges(_ESCAPE, "u", 9) + _edges(9, "0", 10) + _edges(10, "0", 11) + _edges(11, "0", 12)
    edges += _edges(11, "1", 13) + _edges(12, "01234567bef", -1) + _edges(13, "0123456789abcdef", -1)
    return _Gadget(edges, 14)


def _free_gadget() -> _Gadget:
    edges = [*_utf8(), *_edges(0, "\\", _ESCAPE), *_edges(_ESCAPE, '"\\/bfnrt', -1), *_edges(_ESCAPE, "u", 9)]
    three, two, one, after_d = 10, 11, 12, 13
    edges += _edges(9, "0123456789abcefABCEF", three) + _edges(9, "dD", after_d)
    edges += _edges(three, _HEX, two) + _edges(two, _HEX, one) + _edges(one, _HEX, -1)
    edges += _edges(after_d, "01234567", two) + _edges(after_d, "89abAB", 14)
    edges += _edges(14, _HEX, 15) + _edges(15, _HEX, 16) + _edges(16, "\\", 17) + _edges(17, "u", 18)
    edges += _edges(18, "dD", 19) + _edges(19, "cdefCDEF", two)
    return _Gadget(edges, 20)


@lru_cache(maxsize=64)
def lengths(least: int, most: int | None, free: bool) -> Automaton:
    """Strings of so many characters, quotes included; a minimal automaton, built without a detour.

    There is a state for each count up to the last that matters, and for each count one copy of the gadget's
    inner states, which lead to it.
    """
    gadget = _free_gadget() if free else _plain_gadget()
    last = least if most is None else most
    inner = gadget.size - 1
    loops = most is None
    copies = max(last, 1) if loops else last
    counts = 2  # 0 dead, 1 start; then the counts from 0 to `last`, the copies, and the end
    first_copy = counts + last + 1
    end = first_copy + copies * inner
    table = np.zeros((end + 1, 256), dtype="<i4")
    block = np.zeros((gadget.size, 256), dtype=np.int64)
    for state, low, high, target in gadget.edges:
        block[state, low : high + 1] = target
    table[1, ord('"')] = counts
    table[counts + least : counts + last + 1, ord('"')] = end
    for copy in range(copies):
        count = min(copy + 1, last)  # to which this copy leads
        shift = first_copy + copy * inner - 1
        rows = np.where(block < 0, counts + count, np.where(block > 0, block + shift, 0))
        table[first_copy + copy * inner : first_copy + (copy + 1) * inner] = rows[1:]
        sources = {copy, count} if loops and count == last else {copy}
        for source in sources:
            table[counts + source] += rows[0].astype("<i4")
    accepting = np.zeros(end + 1, dtype=np.uint8)
    accepting[end] = 1
    return Automaton(table.tobytes(), accepting.tobytes(), 1)
