"""Limits on length as automata.

Lengths are counted as the built-ins count them (language reference, 2.16): `chars` are Unicode code
points; `words` are maximal runs of characters that are not white space, white space being what
`str.isspace` says; `lines` are the pieces between newlines, where a final newline opens no further
line, so the empty text has none.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from smcdsl.compiler.minimal import DEFAULT_STATE_LIMIT, Dfa
from smcdsl.compiler.nfa import TooLarge
from smcdsl.compiler.operations import from_tree, minimize, nothing
from smcdsl.compiler.queries import IS_CONTINUATION
from smcdsl.compiler.regex import parse
from smcdsl.program.regular import Choice


@lru_cache(maxsize=256)
def limit_dfa(unit: str, least: int, most: int | None) -> Dfa:
    """Texts with `least` to `most` chars, words or lines, among valid UTF-8."""
    if most is not None and most < least:
        return nothing()
    # A char is a state; lines and words are several.
    if max(least, most or 0) > DEFAULT_STATE_LIMIT // (1 if unit == "chars" else 4):
        raise TooLarge(DEFAULT_STATE_LIMIT, f"{unit} limit")
    if unit == "chars":
        return _chars_dfa(least, most)
    if unit == "lines":
        return _lines_dfa(least, most)
    assert unit == "words", f"no unit {unit}"
    return _words_dfa(least, most)


def _chars_dfa(least: int, most: int | None) -> Dfa:
    """State 1 + n: n characters have begun; bytes that continue a character do not count."""
    count = (least if most is None else most) + 1
    states = np.arange(1, count + 1)
    following = np.minimum(states + 1, count) if most is None else np.where(states < count, states + 1, 0)
    table = np.where(IS_CONTINUATION, states[:, None], following[:, None])
    return _with_dead_state(table, states - 1 >= least)


def _lines_dfa(least: int, most: int | None) -> Dfa:
    """State 1 + 2n + inside: n lines have begun, the last of them has no newline yet if inside."""
    count = (least if most is None else most) + 1
    numbers = np.arange(count)
    next_line = np.minimum(numbers + 1, count - 1) if most is None else np.where(numbers + 1 < count, numbers + 1, -1)
    between = np.empty((count, 256), np.int64)
    between[:] = np.where(next_line < 0, 0, 2 + 2 * next_line)[:, None]
    between[:, 10] = np.where(next_line < 0, 0, 1 + 2 * next_line)
    inside = np.empty((count, 256), np.int64)
    inside[:] = (2 + 2 * numbers)[:, None]
    inside[:, 10] = 1 + 2 * numbers
    table = np.stack([between, inside], axis=1).reshape(2 * count, 256)
    return _with_dead_state(table, np.repeat(numbers >= least, 2))


def _with_dead_state(table: NDArray[np.int64], accepting: NDArray[np.bool_]) -> Dfa:
    full = np.concatenate([np.zeros((1, 256), np.int64), table]).astype(np.int32)
    return minimize(full, np.append(False, accepting), 1)


def _words_dfa(least: int, most: int | None) -> Dfa:
    """A pattern: words with white space between and around them."""
    if most == 0:
        return from_tree(parse(r"\s*"))
    first = max(least, 1)
    further = "" if most is None else str(most - 1)
    some = parse(rf"\s*\S+(?:\s+\S+){{{first - 1},{further}}}\s*")
    return from_tree(Choice((some, parse(r"\s*"))) if least == 0 else some)
