"""Regular expressions as trees over sets of code points, whatever syntax they were written in.

A set is a sorted tuple of inclusive ranges, neither overlapping nor adjoining. Every notation adds its own leaves
for the places that it can ask for, such as `^`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

LAST_CODE_POINT = 0x10FFFF
Ranges = tuple[tuple[int, int], ...]


def merged(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """The set of ranges that may be in any order, overlap and adjoin."""
    found: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if found and low <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(high, found[-1][1]))
        else:
            found.append((low, high))
    return tuple(found)


def all_but(ranges: Ranges) -> Ranges:
    """All code points that are not in the set, surrogates included."""
    gaps, following = [], 0
    for low, high in ranges:
        if low > following:
            gaps.append((following, low - 1))
        following = high + 1
    if following <= LAST_CODE_POINT:
        gaps.append((following, LAST_CODE_POINT))
    return tuple(gaps)


@dataclass(frozen=True, slots=True)
class Tree:
    """Base of the tree."""


@dataclass(frozen=True, slots=True)
class Characters(Tree):
    """One character of a set."""

    ranges: Ranges


@dataclass(frozen=True, slots=True)
class Sequence(Tree):
    """One after the other."""

    items: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Choice(Tree):
    """Any of them; none of them if empty."""

    items: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Repetition(Tree):
    """From `least` to `most` times; `most` None is without end."""

    item: Tree
    least: int
    most: int | None
