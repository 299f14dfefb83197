"""Whether sequences of terminals meet a language: the search equals the automaton that it spares."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smcdsl.compiler.dfa import (
    TooLarge,
    complement,
    containing,
    from_bytes,
    from_expression,
    intersect,
    is_empty,
    repeat,
    sequence_in,
    union,
)
from smcdsl.program.grammar import Pattern

PARTS = ["a", "ab", "b+c", "(ab|ba)*", "c{2,3}", "[^a]", "a[bc]d", "é", "(ac)?b"]
WHOLES = ["", "a*", "(abc)+", "c{4}", ".*d.*", "ba", "[a-c]{3}", "d", "éa|bd", "a{0,2}c"]


def dfa(regex: str):
    return from_expression(Pattern(regex), {})


@settings(max_examples=30)
@given(
    st.lists(st.sampled_from(PARTS), max_size=3),
    st.sampled_from(WHOLES),
    st.booleans(),
    st.sampled_from(["", "ab", "cc"]),
)
def test_it_equals_the_repeated_union(parts, whole, complemented, without):
    automata = [dfa(part) for part in parts]
    language = complement(dfa(whole)) if complemented else dfa(whole)
    if without:
        language = intersect(language, complement(containing(from_bytes(without.encode()))))
    assert sequence_in(automata, language) == (not is_empty(intersect(repeat(union(automata), 0, None), language)))


def test_nothing_is_a_sequence_in_nothing():
    assert not sequence_in([dfa("a")], intersect(dfa("a"), dfa("b")))
    assert sequence_in([], dfa("a*"))
    assert not sequence_in([], dfa("a"))


def test_the_search_is_bounded():
    with pytest.raises(TooLarge):
        sequence_in([dfa("a{1,40}")], dfa("(a{41}){7}b"), limit=100)
