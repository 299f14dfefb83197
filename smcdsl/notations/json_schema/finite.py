"""Shapes that hold few values, which can be listed."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from math import comb
from typing import Any

from smcdsl.notations.json_schema import numbers, texts
from smcdsl.notations.json_schema.documents import Decimal
from smcdsl.notations.json_schema.numbers import Numbers
from smcdsl.notations.json_schema.shapes import Booleans, Null, Shape, Strings

MOST_VALUES = 64


def values_of(shapes: Iterable[Shape]) -> list[Any] | None:
    """The values of a union of shapes, as a document has them; None if they are many, or no scalars."""
    found: list[Any] = []
    for shape in shapes:
        values = _listed(shape)
        if values is None or len(found) + len(values) > MOST_VALUES:
            return None
        found += values
    return found


def _listed(shape: Shape) -> list[Any] | None:
    match shape:
        case Null():
            return [None]
        case Booleans(values):
            return sorted(values)
        case Numbers():
            amounts = _amounts(shape)
            return None if amounts is None else [Decimal(numbers.spelled(each)) for each in amounts]
        case Strings():
            kept = texts.simplified(shape)
            if kept is None:
                return []
            return None if kept.only is None else sorted(kept.only)
    return None


def _amounts(shape: Numbers) -> list[Fraction] | None:
    kept = shape.simplified()
    if kept is None:
        return []
    if kept.only is not None:
        return sorted(kept.only)
    if not kept.are_integers or kept.low is None or kept.high is None or kept.high[0] - kept.low[0] > MOST_VALUES:
        return None
    return [n for n in map(Fraction, range(int(kept.low[0]), int(kept.high[0]) + 1)) if kept.contains(n)]


def count_sets(values: int, most: int | None) -> int:
    """How many sets of at most so many of some values there are."""
    return sum(comb(values, size) for size in range(min(values, values if most is None else most) + 1))
