"""The terminals of strings and numbers, kept apart where the lexer could confuse them.

A goal's strings (and its numbers) are one language. Where a parser can stand in front of several languages at
once, one lexeme may be in more than one of them, and a lexer that gives a lexeme one terminal would lose the
others. Such languages are cut into *atoms*: terminals that share no text, each language being some of them.
Values that languages name one by one are apart from all patterns.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, reduce
from itertools import combinations

from smcdsl.notations.json_schema import numbers as numeric
from smcdsl.notations.json_schema import texts
from smcdsl.notations.json_schema.numbers import Numbers
from smcdsl.notations.json_schema.shapes import Strings, both
from smcdsl.program.grammar import Alternatives, Difference, GrammarExpression, Intersection, LiteralText, Pattern

Part = Strings | Numbers
Value = str | Fraction
MOST_OVERLAPPING = 6


class TooManyOverlap(Exception):
    """Too many languages that may share texts."""


@dataclass(frozen=True)
class Language:
    """A union: `parts`, none of which is finite, and single values."""

    parts: frozenset[Part]
    values: frozenset[Value]

    @classmethod
    def of(cls, shapes: Iterable[Part]) -> Language:
        """The union of shapes of one type."""
        parts: set[Part] = set()
        values: set[Value] = set()
        for shape in shapes:
            found = simplified(shape)
            if found is None:
                continue
            if found.only is not None:
                values |= found.only
            else:
                parts.add(found)
        if len(parts) > 1:
            parts = {a for a in parts if not any(a != b and both(a, b) == a for b in parts)}
        return cls(frozenset(parts), frozenset(v for v in values if not any(contains(p, v) for p in parts)))

    @cached_property
    def is_empty(self) -> bool:
        """Whether nothing is in it, as far as can be seen."""
        return not self.parts and not self.values

    def contains(self, value: Value) -> bool:
        """Whether a value is in it."""
        return value in self.values or any(contains(part, value) for part in self.parts)


def simplified(part: Part) -> Part | None:
    """The same set in fewer words; None if it is seen to be empty."""
    return texts.simplified(part) if isinstance(part, Strings) else part.simplified()


def contains(part: Part, value: Value) -> bool:
    """Whether a value is in a part of its own type."""
    if isinstance(part, Strings):
        return isinstance(value, str) and texts.contains(part, value)
    return isinstance(value, Fraction) and part.contains(value)


def spelled(value: Value) -> str:
    """A single value's one spelling."""
    return texts.spelled(value) if isinstance(value, str) else numeric.spelled(value)


def expression_of(part: Part) -> GrammarExpression:
    """The regular expression tree of a part; the unrestricted ones are the same for all schemas."""
    if isinstance(part, Strings):
        return texts.expression(part)
    if part == Numbers():
        return Pattern(numeric.NUMBER)
    return numeric.expression(part)


@dataclass(frozen=True)
class Atom:
    """What is in all of `inside` and neither in any of `outside` nor among `without`; and single values."""

    inside: tuple[frozenset[Part], ...] = ()
    outside: tuple[frozenset[Part], ...] = ()
    without: frozenset[Value] = frozenset()
    values: frozenset[Value] = frozenset()

    @cached_property
    def expression(self) -> GrammarExpression:
        """The atom as a regular expression tree."""
        options: list[GrammarExpression] = [LiteralText(text) for text in sorted(map(spelled, self.values))]
        if self.inside:
            result = reduce(Intersection, map(_union, self.inside))
            removed = [expression_of(part) for parts in self.outside for part in sorted(parts, key=repr)]
            removed += [LiteralText(text) for text in sorted(map(spelled, self.without))]
            options.append(Difference(result, Alternatives(tuple(removed))) if removed else result)
        return options[0] if len(options) == 1 else Alternatives(tuple(options))


def _union(parts: frozenset[Part]) -> GrammarExpression:
    found = [expression_of(part) for part in sorted(parts, key=repr)]
    return found[0] if len(found) == 1 else Alternatives(tuple(found))


def alone(language: Language) -> tuple[Atom, ...]:
    """The atoms of a language that is never confused with another: the whole of it."""
    return (Atom((language.parts,) if language.parts else (), values=language.values),)


def divided(languages: Sequence[Language]) -> dict[Language, tuple[Atom, ...]]:
    """The atoms of languages that may meet. Raises TooManyOverlap."""
    named = {value for language in languages for value in language.values}
    regular = list(dict.fromkeys(language.parts for language in languages if language.parts))
    if len(regular) > MOST_OVERLAPPING:
        raise TooManyOverlap
    found: dict[Language, list[Atom]] = {language: [] for language in languages}
    for size in range(1, len(regular) + 1):
        for inside in combinations(regular, size):
            outside = tuple(parts for parts in regular if parts not in inside)
            if _is_seen_empty(inside, outside):
                continue
            outside = tuple(parts for parts in outside if not any(_apart(parts, other) for other in inside))
            without = frozenset(v for v in named if all(any(contains(p, v) for p in parts) for parts in inside))
            atom = Atom(inside, outside, without)
            for language in languages:
                if language.parts in inside:
                    found[language].append(atom)
    users: dict[tuple[Language, ...], set[Value]] = {}
    for value in named:
        users.setdefault(tuple(language for language in languages if language.contains(value)), set()).add(value)
    for together, values in users.items():
        for language in together:
            found[language].append(Atom(values=frozenset(values)))
    return {language: tuple(atoms) for language, atoms in found.items()}


def _is_seen_empty(inside: tuple[frozenset[Part], ...], outside: tuple[frozenset[Part], ...]) -> bool:
    if any(_within(small, large) for small in inside for large in outside):
        return True
    return any(_apart(first, second) for first, second in combinations(inside, 2))


def _within(small: frozenset[Part], large: frozenset[Part]) -> bool:
    """Whether one set is seen to be inside another."""
    return all(any(both(a, b) == a for b in large) for a in small)


def _apart(first: frozenset[Part], second: frozenset[Part]) -> bool:
    """Whether two sets are seen to share nothing."""
    return all(both(a, b) is None for a in first for b in second)
