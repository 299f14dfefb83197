"""Schemas in a form that can be written as rules: unions of shapes, each of one type.

A *goal* is what one value must satisfy: a set of schemas, each as it is or negated. The goals of members and
items stay sets of schemas until their turn, so recursion is no matter. `both` intersects two shapes.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TypeAlias

from smcdsl.notations.json_schema import numbers as numeric
from smcdsl.notations.json_schema.numbers import Numbers

Goal: TypeAlias = frozenset[tuple[str, bool]]
"""(pointer of a schema, whether it must hold or must not). Empty: any value."""

ANY: Goal = frozenset()
NEVER: Goal = frozenset({("false", True)})
"""No value. (A pointer is empty or begins with a slash.)"""


@dataclass(frozen=True)
class Null:
    """`null`."""


@dataclass(frozen=True)
class Booleans:
    """Some of the two."""

    values: frozenset[bool] = frozenset({False, True})


@dataclass(frozen=True)
class Strings:
    """Texts with lengths in code points, that match patterns (kind, source, keep), of `only`, not of `without`."""

    least: int = 0
    most: int | None = None
    patterns: frozenset[tuple[str, str, bool]] = frozenset()
    only: frozenset[str] | None = None
    without: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Arrays:
    """`evaluated*` are for `unevaluatedItems`: the first so many items (-1: all), and those that satisfy some goal."""

    prefix: tuple[Goal, ...] = ()
    rest: Goal = ANY
    least: int = 0
    most: int | None = None
    contains: tuple[tuple[Goal, int, int | None], ...] = ()
    unique: str = ""
    """The pointer of the schema that asks for items without repetition, or empty."""
    evaluated: int = 0
    evaluated_by: frozenset[Goal] = frozenset()

    def item(self, index: int) -> Goal:
        """The goal of the item at an index."""
        return self.prefix[index] if index < len(self.prefix) else self.rest


@dataclass(frozen=True)
class Others:
    """One `additionalProperties`: what holds for names that are not `names` and match no pattern."""

    names: frozenset[str]
    patterns: frozenset[str]
    goal: Goal


@dataclass(frozen=True)
class Objects:
    """`properties` in the order of writing. `evaluated_*` are for `unevaluatedProperties`."""

    properties: tuple[tuple[str, Goal], ...] = ()
    required: tuple[str, ...] = ()
    patterns: tuple[tuple[str, Goal], ...] = ()
    others: tuple[Others, ...] = ()
    names: Goal = ANY
    least: int = 0
    most: int | None = None
    evaluated_names: frozenset[str] = frozenset()
    evaluated_patterns: frozenset[str] = frozenset()
    all_evaluated: bool = False


Shape: TypeAlias = Null | Booleans | Numbers | Strings | Arrays | Objects
Shapes: TypeAlias = tuple[Shape, ...]
"""Their union."""


@dataclass(frozen=True)
class Everything:
    """One shape of each type, unrestricted."""

    shapes: tuple[Shape, ...] = field(
        default=(Null(), Booleans(), Numbers(), Strings(), Arrays(), Objects()), init=False
    )


ALL: tuple[Shape, ...] = Everything().shapes
TYPES: dict[str, type] = {
    "null": Null,
    "boolean": Booleans,
    "number": Numbers,
    "string": Strings,
    "array": Arrays,
    "object": Objects,
}


def _least_most(left: int | None, right: int | None) -> int | None:
    return left if right is None else right if left is None else min(left, right)


def both(left: Shape, right: Shape) -> Shape | None:
    """What is in both; None if that is seen to be nothing."""
    match left, right:
        case (Null(), Null()):
            return left
        case (Booleans(first), Booleans(second)):
            return Booleans(first & second) if first & second else None
        case (Numbers(), Numbers()):
            return numeric.both(left, right).simplified()
        case (Strings(), Strings()):
            return _strings(left, right)
        case (Arrays(), Arrays()):
            return _arrays(left, right)
        case (Objects(), Objects()):
            return _objects(left, right)
    return None


def _strings(left: Strings, right: Strings) -> Strings | None:
    only = left.only if right.only is None else right.only if left.only is None else left.only & right.only
    found = Strings(
        max(left.least, right.least),
        _least_most(left.most, right.most),
        left.patterns | right.patterns,
        only,
        left.without | right.without,
    )
    if found.most is not None and found.most < found.least:
        return None
    return found


def _arrays(left: Arrays, right: Arrays) -> Arrays | None:
    length = max(len(left.prefix), len(right.prefix))
    found = Arrays(
        tuple(left.item(i) | right.item(i) for i in range(length)),
        left.rest | right.rest,
        max(left.least, right.least),
        _least_most(left.most, right.most),
        tuple(dict.fromkeys(left.contains + right.contains)),
        left.unique or right.unique,
        -1 if -1 in (left.evaluated, right.evaluated) else max(left.evaluated, right.evaluated),
        left.evaluated_by | right.evaluated_by,
    )
    return shortened(found)


def shortened(arrays: Arrays) -> Arrays | None:
    """Arrays with items that no value can be left out; None if some of these are needed."""
    never = next((i for i, goal in enumerate(arrays.prefix) if goal >= NEVER), None)
    if never is None and arrays.rest >= NEVER:
        never = len(arrays.prefix)
    most = arrays.most if never is None else _least_most(arrays.most, never)
    if most is not None and most < arrays.least:
        return None
    prefix = arrays.prefix if most is None else arrays.prefix[:most]
    return replace(arrays, most=most, prefix=prefix)


def _objects(left: Objects, right: Objects) -> Objects | None:
    properties = dict(left.properties)
    for name, goal in right.properties:
        properties[name] = properties.get(name, ANY) | goal
    found = Objects(
        tuple(properties.items()),
        tuple(dict.fromkeys(left.required + right.required)),
        tuple(dict.fromkeys(left.patterns + right.patterns)),
        tuple(dict.fromkeys(left.others + right.others)),
        left.names | right.names,
        max(left.least, right.least),
        _least_most(left.most, right.most),
        left.evaluated_names | right.evaluated_names,
        left.evaluated_patterns | right.evaluated_patterns,
        left.all_evaluated or right.all_evaluated,
    )
    if found.most is not None and found.most < max(found.least, len(found.required)):
        return None
    if any(properties.get(name, ANY) >= NEVER for name in found.required):
        return None
    return found


def merged(shapes: Shapes) -> Shapes:
    """Shapes that say more than another of their type are left out where that is plain to see."""
    found = tuple(dict.fromkeys(shapes))
    for bare in ALL:
        if bare in found:
            found = (*(shape for shape in found if type(shape) is not type(bare)), bare)
    return found
