"""Which values fit where, and between which numbers they lie."""

from __future__ import annotations

import math

from smcdsl.program.types import FLOAT, Type

NUMBERS = ("int", "float", "weight", "logweight")
Interval = tuple[float, float]
EVERYTHING: Interval = (-math.inf, math.inf)


def fits(actual: Type, expected: Type) -> bool:
    """Whether a value of type `actual` may stand where `expected` is declared.

    JSON values are checked at run time, so they fit everything that JSON can hold.
    """
    if "any" in (actual.name, expected.name):
        return True
    if actual.optional and not expected.optional:
        return False
    if actual.name == "null":
        return expected.optional or expected.name in ("null", "json") or _one_fits(actual, expected)
    if expected.name == "union":
        return _one_fits(actual, expected)
    if actual.name == "union":
        return all(fits(alternative, expected) for alternative in actual.alternatives)
    if actual.name == "list" and expected.name == "list":
        return actual.item is None or expected.item is None or fits(actual.item, expected.item)
    if expected.name == "json":
        return actual.name not in ("file", "sqlite", "grammar")
    if actual.name == "json":
        return expected.name not in ("file", "sqlite", "grammar")
    if expected.choices:
        return bool(actual.choices) and set(actual.choices) <= set(expected.choices)
    if expected.name in ("float", "weight", "logweight"):
        return actual.name in NUMBERS
    return actual.name == expected.name


def _one_fits(actual: Type, expected: Type) -> bool:
    return any(fits(actual, alternative) for alternative in expected.alternatives)


def is_number(type_: Type) -> bool:
    """Whether values of the type may be numbers."""
    return type_.name in (*NUMBERS, "any", "json") and not type_.optional


def is_yes_or_no(type_: Type) -> bool:
    """Whether values of the type may be true or false."""
    return type_.name in ("bool", "any", "json") and not type_.optional


def comparable(left: Type, right: Type) -> bool:
    """Whether `==` between the two can ever be true."""
    if {"any", "json", "null"} & {left.name, right.name}:
        return True
    if left.name in NUMBERS and right.name in NUMBERS:
        return True
    return left.name == right.name


def joined(left: Type, right: Type) -> Type:
    """A type for a value that comes from either of two."""
    if left == right:
        return left
    if left.name == "str" == right.name:
        return Type("str", optional=left.optional or right.optional)
    if left.name in NUMBERS and right.name in NUMBERS:
        return FLOAT
    return Type("any")


def natural_interval(type_: Type) -> Interval:
    """Where values of a type lie; a weight is never negative."""
    if type_.name == "bool":
        return (0.0, 1.0)
    return (0.0, math.inf) if type_.name in ("weight", "logweight") else EVERYTHING


def arithmetic_interval(operator: str, left: Interval, right: Interval) -> Interval:
    """Where `left operator right` lies. Exact for finite corners, cautious otherwise."""
    low, high = _arithmetic(operator, left, right)
    return EVERYTHING if math.isnan(low) or math.isnan(high) else (low, high)


def _arithmetic(operator: str, left: Interval, right: Interval) -> Interval:
    if operator == "+":
        return (left[0] + right[0], left[1] + right[1])
    if operator == "-":
        return (left[0] - right[1], left[1] - right[0])
    if operator == "*":
        corners = [_product(a, b) for a in left for b in right]
        return (min(corners), max(corners))
    if operator == "/":
        if right[0] <= 0.0 <= right[1]:
            return (0.0, math.inf) if left[0] >= 0.0 and right[0] >= 0.0 else EVERYTHING
        corners = [_quotient(a, b) for a in left for b in right]
        return (min(corners), max(corners))
    return _power_interval(left, right)


def _product(a: float, b: float) -> float:
    return 0.0 if 0.0 in (a, b) else a * b


def _quotient(a: float, b: float) -> float:
    return 0.0 if math.isinf(b) else a / b


def _power_interval(base: Interval, exponent: Interval) -> Interval:
    low, high = base
    if exponent[0] != exponent[1]:
        bounded = high <= 1.0 and exponent[0] >= 0.0
        return (0.0, 1.0 if bounded else math.inf) if low >= 0.0 else EVERYTHING
    power = exponent[0]
    if power <= 0.0:
        return (0.0, math.inf) if low >= 0.0 or power % 2 == 0 else EVERYTHING
    if low >= 0.0:
        return (_power(low, power), _power(high, power))
    if power % 2 == 0:
        return (0.0 if high >= 0.0 else _power(high, power), max(_power(low, power), _power(high, power)))
    return (-_power(-low, power), _power(high, power) if high >= 0.0 else -_power(-high, power))


def _power(base: float, power: float) -> float:
    try:
        return float(abs(base) ** power)
    except OverflowError:
        return math.inf


def builtin_interval(name: str, arguments: list[Interval]) -> Interval:
    """Where the value of a built-in lies."""
    if name == "exp" and arguments:
        return (_exp(arguments[0][0]), _exp(arguments[0][1]))
    if name == "log" and arguments:
        low, high = arguments[0]
        return (math.log(low) if 0 < low < math.inf else -math.inf, math.log(high) if 0 < high < math.inf else math.inf)
    if name == "abs" and arguments:
        low, high = arguments[0]
        return (0.0 if low <= 0.0 <= high else min(abs(low), abs(high)), max(abs(low), abs(high)))
    if name in ("min", "max") and len(arguments) > 1:
        choose = min if name == "min" else max
        return (choose(low for low, _ in arguments), choose(high for _, high in arguments))
    if name in ("starts_with", "ends_with", "contains"):
        return (0.0, 1.0)
    return (0.0, math.inf) if name in ("chars", "words", "lines", "tokens", "len") else EVERYTHING


def _exp(value: float) -> float:
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf
