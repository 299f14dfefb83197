"""Grammars tried on texts: against Python's `re`, against all short texts, and lark."""

from __future__ import annotations

import itertools
import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smcdsl.engine import compile
from smcdsl.engine.tried_grammar import TriedGrammar
from smcdsl.library.binding import bind_hole

REGEXES = ["[ab]{1,3}", "(ab)*b", "a|bb|ab+", "a(b|cc)?a", "(a|b)*abb", "b{2,}a?"]


def tried(expression: str) -> TriedGrammar:
    program = compile(f'smc 1\ngenerate {{\n  text "[[x: {expression}]]"\n}}\n').program
    return TriedGrammar(bind_hole(program, "x", {}), 100_000)


GRAMMARS = {regex: tried(f"/{regex}/") for regex in REGEXES}
EXPRESSION = """smc 1
grammar sum {
  start = item ("+" item)*
  item = /[0-9]+/ | "(" start ")"
}
generate {
  text "[[x: sum where tokens <= 5, chars <= 20]]"
}
"""


@given(st.sampled_from(REGEXES), st.text("abc", max_size=6))
def test_reading_agrees_with_regular_expressions(regex: str, text: str) -> None:
    reading = GRAMMARS[regex].read(text.encode())
    assert reading.accepted == bool(re.fullmatch(regex, text))
    begins = {length for length in range(len(text) + 1) if _begins(regex, text[:length])}
    assert reading.read == max(begins)


def _begins(regex: str, prefix: str) -> bool:
    """Whether some text of at most 4 more letters completes it."""
    return any(
        re.fullmatch(regex, prefix + "".join(rest))
        for length in range(5)
        for rest in itertools.product("abc", repeat=length)
    )


@given(st.sampled_from(REGEXES), st.text("abc", max_size=4))
def test_ways_are_those_that_can_be_completed(regex: str, prefix: str) -> None:
    ways = GRAMMARS[regex].ways(prefix.encode())
    if not _begins(regex, prefix):
        assert ways is None
        return
    assert ways is not None
    assert ways.may_end == bool(re.fullmatch(regex, prefix))
    first = {text[0] for text in ways.texts} | set(ways.bytes)
    assert first == {ord(letter) for letter in "abc" if _begins(regex, prefix + letter)}
    for text in ways.texts:
        for length in range(1, len(text)):
            possible = [letter for letter in "abc" if _begins(regex, prefix + text[:length].decode() + letter)]
            assert possible == [chr(text[length])]


@pytest.mark.parametrize("regex", REGEXES)
def test_samples_are_of_the_language_and_differ(regex: str) -> None:
    numbers = random.Random(3)
    texts = [GRAMMARS[regex].sample(numbers) for _ in range(30)]
    assert all(text is not None and re.fullmatch(regex, text.decode()) for text in texts)
    assert len(set(texts)) > 2


def test_a_recursive_grammar_is_ended_shortly_and_limits_on_tokens_are_named() -> None:
    program = compile(EXPRESSION).program
    grammar = TriedGrammar(bind_hole(program, "x", {}), 100_000)
    assert [each.unit for each in grammar.without] == ["tokens"]
    numbers = random.Random(0)
    for _ in range(20):
        text = grammar.sample(numbers)
        assert text is not None
        assert len(text) <= 20
        assert grammar.read(text).accepted
        assert re.fullmatch(r"[0-9+()]+", text.decode())


def test_what_chars_beyond_ascii_begin_with_is_read_as_bytes() -> None:
    grammar = tried("/[äö]{2}/")
    assert grammar.read("äö".encode()).accepted
    assert grammar.read("äx".encode()).read == 2
    ways = grammar.ways("ä".encode())
    assert ways is not None
    assert (ways.texts, ways.bytes) == ((), (0xC3,))
