"""Strategies for small grammar expressions and scannerless grammars over a small alphabet."""

from functools import cache

from hypothesis import strategies as st

from smcdsl.program.grammar import (
    Alternatives,
    Concatenation,
    Difference,
    Grammar,
    Intersection,
    Limit,
    LiteralText,
    Matches,
    Pattern,
    Reference,
    Repeat,
    Restricted,
    SubstringOf,
)

ALPHABET = "ab \n"

literals = st.builds(LiteralText, st.text(ALPHABET, max_size=2), st.booleans())
patterns = st.sampled_from(["a+", "[ab]", "b?a", "(ab)*", r"\w", r"\s+", ".", "a|b b", "[^a]", ""]).map(Pattern)
substrings = st.builds(SubstringOf, st.text(ALPHABET, max_size=5))
leaves = literals | patterns | substrings


def bounds(largest: int) -> st.SearchStrategy[tuple[int, int | None]]:
    return st.tuples(st.integers(0, largest), st.none() | st.integers(0, largest)).map(
        lambda pair: (pair[0], None if pair[1] is None else max(pair))
    )


limits = st.builds(lambda unit, pair: Limit(unit, *pair), st.sampled_from(["chars", "words", "lines"]), bounds(3))
searched = st.sampled_from(["a", "ba", "^a", "b$", r"\s\s", "(?m)^b", "a$"]).map(Pattern)
conditions = limits | st.builds(Matches, searched | patterns, st.booleans())


def sequences(parts: st.SearchStrategy) -> st.SearchStrategy:
    return st.lists(parts, max_size=3).map(lambda items: Concatenation(tuple(items)))


def alternatives(parts: st.SearchStrategy) -> st.SearchStrategy:
    return st.lists(parts, min_size=1, max_size=3).map(lambda items: Alternatives(tuple(items)))


def repeats(parts: st.SearchStrategy) -> st.SearchStrategy:
    return st.builds(lambda item, pair: Repeat(item, *pair), parts, bounds(2))


def restricted(parts: st.SearchStrategy) -> st.SearchStrategy:
    return st.builds(
        lambda item, found: Restricted(item, tuple(found)), parts, st.lists(conditions, min_size=1, max_size=2)
    )


def regular(parts: st.SearchStrategy) -> st.SearchStrategy:
    """Expressions over `parts` and all regular operations."""
    return st.recursive(
        parts,
        lambda inner: st.one_of(
            sequences(inner),
            alternatives(inner),
            repeats(inner),
            st.builds(Intersection, inner, inner),
            st.builds(Difference, inner, inner),
            restricted(inner),
        ),
        max_leaves=6,
    )


def references(names: tuple[str, ...]) -> st.SearchStrategy:
    return st.sampled_from(names).map(lambda name: Reference((name,)))


# Made once for each set of names: hypothesis takes longer to look over a new strategy than to draw from a known one.
@cache
def bodies(used: tuple[str, ...]) -> st.SearchStrategy:
    return st.recursive(
        references(used) | leaves,
        lambda inner: sequences(inner) | alternatives(inner) | repeats(inner),
        max_leaves=5,
    )


@cache
def restrictions_over(later: tuple[str, ...]) -> st.SearchStrategy:
    return restrictions(sequences(references(later) | leaves))


@st.composite
def grammars(draw: st.DrawFn, with_restrictions: bool = False) -> Grammar:
    """Scannerless grammars of up to three rules; a restriction uses only rules after its own."""
    names = ("start", "one", "two")[: draw(st.integers(1, 3))]
    rules = {}
    for index, name in enumerate(names):
        later = names[index + 1 :]
        parts = [draw(bodies(names[index:] if with_restrictions else names))]
        if later and with_restrictions:
            parts.append(draw(restrictions_over(later)))
        rules[name] = Alternatives((parts[0], Concatenation(tuple(parts)), draw(leaves)))
    return Grammar("g", "start", rules, boundaries=names)


def restrictions(inner: st.SearchStrategy) -> st.SearchStrategy:
    return st.one_of(
        restricted(inner),
        st.builds(Intersection, inner, leaves),
        st.builds(Intersection, leaves, inner),
        st.builds(Difference, inner, leaves),
    )
