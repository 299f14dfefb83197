"""Sets of numbers, and their decimal spellings as regular languages.

A number that its schema limits in any way is written without an exponent; fractions may end in zeros.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache

import numpy as np

from smcdsl.program.grammar import (
    Alternatives,
    Automaton,
    Difference,
    GrammarExpression,
    Intersection,
    Pattern,
)

NUMBER = r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"
DECIMAL = r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?"
INTEGER = r"-?(?:0|[1-9][0-9]*)"
ONE = Fraction(1)
MOST_RESIDUES = 20_000
MOST_DIGITS = 1_000
Bound = tuple[Fraction, bool]
"""A value, and whether it is itself outside."""


class TooFine(ValueError):
    """A divisor or a number with too many digits for an automaton."""


@dataclass(frozen=True)
class Numbers:
    """Numbers between two bounds, that are or are not multiples, in `only` and not in `without`."""

    low: Bound | None = None
    high: Bound | None = None
    multiples: frozenset[tuple[Fraction, bool]] = frozenset()
    only: frozenset[Fraction] | None = None
    without: frozenset[Fraction] = frozenset()

    def contains(self, value: Fraction) -> bool:
        """Whether the number is in the set."""
        if self.low is not None and (value < self.low[0] or (value == self.low[0] and self.low[1])):
            return False
        if self.high is not None and (value > self.high[0] or (value == self.high[0] and self.high[1])):
            return False
        if any(((value / divisor).denominator == 1) != keep for divisor, keep in self.multiples):
            return False
        return value not in self.without and (self.only is None or value in self.only)

    @property
    def are_integers(self) -> bool:
        """Whether the set holds integers only because it says so."""
        return any(keep and divisor.denominator == 1 for divisor, keep in self.multiples)

    def simplified(self) -> Numbers | None:
        """The same set in fewer words; None if it is seen to be empty."""
        if self.only is not None:
            kept = frozenset(value for value in self.only if self.contains(value))
            return Numbers(only=kept) if kept else None
        low, high = self.low, self.high
        if self.are_integers:
            if low is not None:
                whole = -((-low[0]) // 1)
                low = (Fraction(whole + (whole == low[0] and low[1])), False)
            if high is not None:
                whole = high[0] // 1
                high = (Fraction(whole - (whole == high[0] and high[1])), False)
        if low is not None and high is not None:
            if low[0] > high[0] or (low[0] == high[0] and (low[1] or high[1])):
                return None
            if low[0] == high[0]:
                return replace(self, low=None, high=None, only=frozenset({low[0]})).simplified()
        if (ONE, False) in self.multiples and self.are_integers:
            return None
        without = frozenset(value for value in self.without if replace(self, without=frozenset()).contains(value))
        return replace(self, low=low, high=high, without=without)


def both(left: Numbers, right: Numbers) -> Numbers:
    """The intersection."""
    only = left.only if right.only is None else right.only if left.only is None else left.only & right.only
    lows = [bound for bound in (left.low, right.low) if bound is not None]
    highs = [bound for bound in (left.high, right.high) if bound is not None]
    return Numbers(
        max(lows, default=None),
        min(highs, key=lambda bound: (bound[0], not bound[1]), default=None),
        left.multiples | right.multiples,
        only,
        left.without | right.without,
    )


def spelled(value: Fraction) -> str:
    """The shortest decimal spelling. Raises TooFine."""
    exponent = 0
    while (value * 10**exponent).denominator != 1:
        exponent += 1
        if exponent > MOST_DIGITS:
            raise TooFine("a number has too many digits")
    if abs(value) >= 10**MOST_DIGITS:
        raise TooFine("a number has too many digits")
    digits = str(abs(int(value * 10**exponent))).rjust(exponent + 1, "0")
    sign = "-" if value < 0 else ""
    return sign + (f"{digits[:-exponent]}.{digits[-exponent:]}" if exponent else digits)


def expression(numbers: Numbers) -> GrammarExpression:
    """The spellings of a set that is not given by `only`, as a regular expression tree. Raises TooFine."""
    assert numbers.only is None, "finite sets are literals"
    found: list[GrammarExpression] = []
    integers = numbers.are_integers
    multiples = {(divisor, keep) for divisor, keep in numbers.multiples if not (keep and divisor == ONE and integers)}
    if integers:
        found.append(Pattern(integers_between(_whole(numbers.low), _whole(numbers.high))))
    else:
        found += [Pattern(_beyond(bound, sign)) for bound, sign in ((numbers.low, 1), (numbers.high, -1)) if bound]
    found = found or [Pattern(DECIMAL)]
    found += [multiples_of(divisor) for divisor, keep in sorted(multiples) if keep]
    result = found[0]
    for part in found[1:]:
        result = Intersection(result, part)
    removed: list[GrammarExpression] = [multiples_of(divisor) for divisor, keep in sorted(multiples) if not keep]
    removed += [Pattern(_spellings(value)) for value in sorted(numbers.without)]
    return Difference(result, Alternatives(tuple(removed))) if removed else result


def _whole(bound: Bound | None) -> int | None:
    return None if bound is None else int(bound[0])


def _spellings(value: Fraction) -> str:
    """All decimal spellings of one number."""
    text = spelled(value).replace(".", r"\.")
    text = text if value else "-?0"
    return f"{text}0*" if "." in text else rf"{text}(?:\.0+)?"


def integers_between(low: int | None, high: int | None) -> str:
    """The pattern of the integers in a range; `-0` is a spelling of 0."""
    options = []
    if high is None or high >= 0:
        options.append(_naturals(max(low or 0, 0), high))
    if low is None or low <= 0:
        least = 0 if high is None else max(-high, 0)
        options.append(f"-(?:{_naturals(least, None if low is None else -low)})")
    return "|".join(options)


def _naturals(low: int, high: int | None) -> str:
    """Naturals from `low` to `high`, without leading zeros."""
    digits = len(str(low))
    if high is None:
        longer = rf"[1-9][0-9]{{{digits},}}"
        return f"{_same_length(str(low), '9' * digits)}|{longer}"
    options = []
    for length in range(digits, len(str(high)) + 1):
        first = str(low) if length == digits else "1" + "0" * (length - 1)
        last = str(high) if length == len(str(high)) else "9" * length
        options.append(_same_length(first, last))
    return "|".join(options)


def _same_length(low: str, high: str) -> str:
    """Texts of digits between two of the same length."""
    if not low:
        return ""
    if set(low) == {"0"} and set(high) == {"9"}:
        return _any_digits(len(low))
    first, last = low[0], high[0]
    if first == last:
        return f"{first}(?:{_same_length(low[1:], high[1:])})" if low[1:] else first
    if len(low) == 1:
        return f"[{first}-{last}]"
    options = []
    lowest, highest = int(first), int(last)
    if set(low[1:]) != {"0"}:
        options.append(f"{first}(?:{_same_length(low[1:], '9' * (len(low) - 1))})")
        lowest += 1
    if set(high[1:]) != {"9"}:
        options.append(f"{last}(?:{_same_length('0' * (len(low) - 1), high[1:])})")
        highest -= 1
    if lowest <= highest:
        options.append(f"[{lowest}-{highest}]{_any_digits(len(low) - 1)}")
    return "(?:" + "|".join(options) + ")"


def _any_digits(count: int) -> str:
    return "[0-9]" if count == 1 else f"[0-9]{{{count}}}"


def _beyond(bound: Bound, sign: int) -> str:
    """Decimals of at least the bound (`sign` 1), or of at most the bound (`sign` -1)."""
    value, excluded = bound[0] * sign, bound[1]
    # Mirrored by the sign, this is always "at least `value`".
    plus, minus = ("", "-") if sign == 1 else ("-", "")
    if value > 0:
        return f"{plus}(?:{_at_least(value, excluded)})"
    # At least a number that is not positive: all of this sign, and of the other those of at most its size.
    other = f"{minus}(?:{_at_most(-value, excluded)})"
    if value == 0 and excluded:
        return f"{plus}(?:{_at_least(value, excluded)})"
    return rf"{plus}(?:0|[1-9][0-9]*)(?:\.[0-9]+)?|{other}"


def _parts(value: Fraction) -> tuple[int, str]:
    whole, _, fraction = spelled(value).partition(".")
    return int(whole), fraction


def _at_least(value: Fraction, excluded: bool) -> str:
    """Decimals without sign of at least (or more than) `value` >= 0."""
    whole, fraction = _parts(value)
    options = [rf"(?:{_naturals(whole + 1, None)})(?:\.[0-9]+)?"]
    for place, digit in enumerate(fraction):
        if digit != "9":
            options.append(rf"{whole}\.{fraction[:place]}[{int(digit) + 1}-9][0-9]*")
    if excluded:
        options.append(rf"{whole}\.{fraction}0*[1-9][0-9]*")
    else:
        options.append(rf"{whole}\.{fraction}[0-9]*" if fraction else rf"{whole}(?:\.[0-9]+)?")
    return "|".join(options)


def _at_most(value: Fraction, excluded: bool) -> str:
    """Decimals without sign of at most (or less than) `value` >= 0."""
    whole, fraction = _parts(value)
    options = [rf"(?:{_naturals(0, whole - 1)})(?:\.[0-9]+)?"] if whole else []
    for place, digit in enumerate(fraction):
        if digit != "0":
            options.append(rf"{whole}\.{fraction[:place]}[0-{int(digit) - 1}][0-9]*")
        options.append(rf"{whole}\.{fraction[:place]}" if place else f"{whole}")
    if not excluded:
        options.append(rf"{whole}\.{fraction}0*" if fraction else rf"{whole}(?:\.0+)?")
    return "|".join(options) or r"[^\s\S]"


@lru_cache(maxsize=256)
def multiples_of(divisor: Fraction) -> GrammarExpression:
    """Decimals that are multiples, as an automaton (not a minimal one): residues of what was read, as whole numbers.

    A state is (residue, decimal places read); after the last place that can matter only zeros follow.
    Raises TooFine.
    """
    places = 0
    while (divisor * 10**places).denominator != 1:
        places += 1
    modulus = int(divisor * 10**places)
    if modulus * (places + 2) > MOST_RESIDUES:
        raise TooFine(f"multiples of {spelled(divisor)} have too many remainders")
    # 0 dead, 1 start, 2 after the sign, 3 after a leading zero, then whole numbers, fractions, and ends.
    whole, point = 4, 4 + modulus
    fraction = point + modulus
    count = fraction + modulus * places + 2
    zeros, last_point = count - 2, count - 1
    table = np.zeros((count, 256), dtype="<i4")
    accepting = np.zeros(count, dtype=np.uint8)
    residues = np.arange(modulus)
    settled = (residues * pow(10, places, modulus)) % modulus == 0
    table[1, ord("-")] = 2
    for digit in range(10):
        byte = ord("0") + digit
        table[[1, 2], byte] = 3 if digit == 0 else whole + digit % modulus
        table[whole : whole + modulus, byte] = whole + (residues * 10 + digit) % modulus
        for place in range(places):
            source = point if place == 0 else fraction + modulus * (place - 1)
            table[source : source + modulus, byte] = fraction + modulus * place + (residues * 10 + digit) % modulus
    table[whole : whole + modulus, ord(".")] = point + residues if places else np.where(residues == 0, last_point, 0)
    table[3, ord(".")] = point if places else last_point
    table[[zeros, last_point], ord("0")] = zeros
    accepting[[3, zeros]] = 1
    accepting[whole : whole + modulus] = settled
    for place in range(places):
        source = fraction + modulus * place
        accepting[source : source + modulus] = (residues * pow(10, places - place - 1, modulus)) % modulus == 0
    if places:
        # After all places that matter, a number that is a multiple may go on with zeros.
        table[fraction + modulus * (places - 1), ord("0")] = zeros
        table[fraction + modulus * (places - 1) + 1 : fraction + modulus * places] = 0
    return Automaton(table.tobytes(), accepting.tobytes(), 1)
