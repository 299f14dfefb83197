"""Sets of code points: what a character class matches, and the bytes that spell it.

Surrogates are never members: the texts of the language are valid UTF-8. What a class matches is asked of
Python's own `re`, so that the answer is the one of the Python that runs, for every version of Unicode.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable
from functools import lru_cache

import numpy as np

from smcdsl.program.regular import LAST_CODE_POINT, Ranges, all_but, merged

EVERYTHING: Ranges = ((0, 0xD7FF), (0xE000, LAST_CODE_POINT))
NEWLINE: Ranges = ((10, 10),)


def normalize(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """Sort, merge, and drop surrogates."""
    return _without_surrogates(merged(ranges))


def _without_surrogates(ranges: Iterable[tuple[int, int]]) -> Ranges:
    kept = []
    for low, high in ranges:
        if high < 0xD800 or low > 0xDFFF:
            kept.append((low, high))
            continue
        if low < 0xD800:
            kept.append((low, 0xD7FF))
        if high > 0xDFFF:
            kept.append((0xE000, high))
    return tuple(kept)


def complement(ranges: Ranges) -> Ranges:
    """All code points that are not in the set."""
    return _without_surrogates(all_but(ranges))


def difference(left: Ranges, right: Ranges) -> Ranges:
    """Members of `left` that are not in `right`."""
    return complement(normalize(complement(left) + right))


def contains(ranges: Ranges, code_point: int) -> bool:
    """Whether the code point is a member."""
    index = bisect_right(ranges, (code_point, LAST_CODE_POINT + 1)) - 1
    return index >= 0 and ranges[index][0] <= code_point <= ranges[index][1]


_ASSIGNED = (0, 0x3FFFF), (0xE0000, 0xE01FF)
"""Code points among which there are characters."""
_ALIKE = (
    *((0x40000, 0xDFFFF), (0xE0200, 0xEFFFF)),
    *((0xF0000, 0xFFFFD), (0xFFFFE, 0xFFFFF), (0x100000, 0x10FFFD), (0x10FFFE, LAST_CODE_POINT)),
)
"""Code points that are all unassigned or all for private use, three of four: one tells about all."""


@lru_cache(maxsize=2)
def _characters(first: int, last: int) -> str:
    return np.arange(first, last + 1, dtype="<u4").tobytes().decode("utf-32-le", "surrogatepass")


@lru_cache(maxsize=64)
def matched_by(character_class: str, flags: int = 0) -> Ranges:
    """The code points that a category, such as that of letters, matches, by asking `re`."""
    pattern = re.compile(f"(?:{character_class})+", flags)
    found = [span for span in _ALIKE if pattern.match(chr(span[0]))]
    for first, last in _ASSIGNED:
        matches = pattern.finditer(_characters(first, last))
        found += [(first + match.start(), first + match.end() - 1) for match in matches]
    return normalize(found)


@lru_cache(maxsize=1)
def _cased_characters() -> str:
    """Every character whose lower, upper or folded form is not itself, and those forms."""
    everything = _characters(*_ASSIGNED[0])
    cased: set[str] = set()
    for start in range(0, len(everything), 256):
        block = everything[start : start + 256]
        if block == block.lower() == block.upper() == block.casefold():
            continue  # true of nearly all blocks
        for character in block:
            forms = character.lower(), character.upper(), character.casefold()
            if forms != (character, character, character):
                cased.update((character, *(form for form in forms if len(form) == 1)))
    return "".join(sorted(cased))


@lru_cache(maxsize=4096)
def ignoring_case(character_class: str, plain: Ranges, flags: int) -> Ranges:
    """What `character_class` matches with `re.IGNORECASE`, if `plain` is what it matches without.

    Only characters that have case can differ, so only these are asked of `re`.
    """
    cased = _cased_characters()
    as_ranges = _cased_ranges()
    matching = re.compile(character_class, flags | re.IGNORECASE).findall(cased)
    return normalize(difference(plain, as_ranges) + tuple((ord(c), ord(c)) for c in matching))


@lru_cache(maxsize=1)
def _cased_ranges() -> Ranges:
    return normalize((ord(c), ord(c)) for c in _cased_characters())


END = -1
Utf8Nodes = tuple[tuple[tuple[int, int], ...], ...]


@lru_cache(maxsize=1024)
def utf8_nodes(ranges: Ranges) -> Utf8Nodes:
    """The automaton of the UTF-8 spellings of a set of code points: deterministic, acyclic, shared suffixes.

    Returns nodes; node 0 is the start. A node is its edges (set of bytes as a 256-bit integer, next node),
    where next node `END` accepts.
    """
    nodes: list[tuple[tuple[int, int], ...]] = [()]
    numbers: dict[tuple[tuple[int, int], ...], int] = {}

    def intern(edges: dict[int, int]) -> int:
        key = tuple((mask, child) for child, mask in sorted(edges.items()))
        if key not in numbers:
            numbers[key] = len(nodes)
            nodes.append(key)
        return numbers[key]

    def full(level: int) -> int:
        """The node that any `level` continuation bytes leave."""
        continuations = ((1 << 64) - 1) << 0x80
        return intern({END if level == 1 else full(level - 1): continuations})

    def block(members: Ranges, base: int, level: int) -> int | None:
        """The node for the `level` continuation bytes that choose among 64**level code points from `base`."""
        inside = _clip(members, base, base + 64**level - 1)
        if not inside:
            return None
        if inside == ((base, base + 64**level - 1),):
            return full(level)
        if level == 1:
            return intern({END: _mask(inside, base - 0x80)})
        edges: dict[int, int] = {}
        step = 64 ** (level - 1)
        for digit in _digits(inside, base, step):
            child = block(inside, base + digit * step, level - 1)
            if child is not None:
                edges[child] = edges.get(child, 0) | 1 << (0x80 + digit)
        return intern(edges)

    edges: dict[int, int] = {}
    ascii_members = _clip(ranges, 0, 0x7F)
    if ascii_members:
        edges[END] = _mask(ascii_members, 0)
    for low, high, level, lead in (
        (0x80, 0x7FF, 1, 0xC0),
        (0x800, 0xFFFF, 2, 0xE0),
        (0x10000, LAST_CODE_POINT, 3, 0xF0),
    ):
        members = _clip(ranges, low, high)
        step = 64**level
        for digit in _digits(members, 0, step):
            child = block(members, digit * step, level)
            if child is not None:
                edges[child] = edges.get(child, 0) | 1 << (lead + digit)
    nodes[0] = tuple((mask, child) for child, mask in sorted(edges.items()))
    return tuple(nodes)


def _clip(ranges: Ranges, low: int, high: int) -> Ranges:
    first = max(bisect_right(ranges, (low, LAST_CODE_POINT + 1)) - 1, 0)
    clipped = []
    for start, end in ranges[first:]:
        if start > high:
            break
        if end >= low:
            clipped.append((max(start, low), min(end, high)))
    return tuple(clipped)


def _digits(ranges: Ranges, base: int, step: int) -> list[int]:
    """Numbers of the blocks of `step` code points from `base` that hold a member."""
    digits: dict[int, None] = {}
    for low, high in ranges:
        digits.update(dict.fromkeys(range((low - base) // step, (high - base) // step + 1)))
    return list(digits)


def _mask(ranges: Ranges, base: int) -> int:
    """The members as a set of bytes, code point `base` being byte 0."""
    mask = 0
    for low, high in ranges:
        mask |= ((1 << (high - low + 1)) - 1) << (low - base)
    return mask
