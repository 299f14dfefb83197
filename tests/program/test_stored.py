"""Grammars as bytes come back as they were."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass, replace
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smcdsl.errors import Source, Span
from smcdsl.notations.lark import load_lark
from smcdsl.program.expressions import Constant
from smcdsl.program.grammar import (
    Alternatives,
    Automaton,
    Concatenation,
    Embedded,
    Grammar,
    Indenter,
    Limit,
    LiteralText,
    Matches,
    Pattern,
    Terminal,
)
from smcdsl.program.stored import decode, encode
from smcdsl.program.types import choice_of, list_of
from tests.compiler.grammar_strategies import grammars

SOURCE = Source("π.lark", 'start: "ä" | "\ud800"\n')

spans = st.none() | st.builds(lambda a, b: Span(SOURCE, min(a, b), max(a, b)), st.integers(0, 9), st.integers(0, 9))
definitions = st.one_of(
    st.builds(LiteralText, st.text(max_size=3), st.booleans(), span=spans),
    st.builds(Pattern, st.text(max_size=3), st.sampled_from(["", "i", "ims"]), span=spans),
    st.builds(Automaton, st.binary(max_size=8), st.binary(max_size=3), st.integers(0, 3), span=spans),
)
terminals = st.builds(
    Terminal, st.text("AB", min_size=1, max_size=2), definitions, st.integers(-2, 2), st.booleans(), st.integers(0, 9)
)


@st.composite
def lexed(draw) -> Grammar:
    """Grammars with every field that `.lark` files fill, and some that only programs do."""
    found = {terminal.name: terminal for terminal in draw(st.lists(terminals, max_size=3))}
    inner = draw(grammars(with_restrictions=True))
    return Grammar(
        "lexed",
        "start",
        {"start": Alternatives((Concatenation(()), Embedded(inner, span=draw(spans))), span=draw(spans))},
        lexing=draw(st.sampled_from(["longest", "contextual"])),
        terminals=found,
        ignored=tuple(found),
        boundaries=("start",),
        boundary_of=draw(st.dictionaries(st.text(max_size=2), st.text(max_size=2), max_size=2)),
        conditions=(Limit("tokens", 0, None, span=draw(spans)), Matches(Pattern("a"), True, span=draw(spans))),
        filters=((draw(definitions), draw(st.booleans())),),
        value_type=draw(st.sampled_from([None, list_of(choice_of(("a", "b")))])),
        indenter=draw(st.none() | st.builds(Indenter, st.just("N"), st.just("I"), st.just("D"), flush=st.booleans())),
        span=draw(spans),
    )


def spelled(value: object) -> object:
    """Everything in a value, spans and types of numbers included, which equality passes over."""
    if is_dataclass(value):
        return (type(value).__name__, [spelled(getattr(value, field.name)) for field in fields(value)])
    if isinstance(value, tuple):
        return [spelled(item) for item in value]
    if isinstance(value, dict):
        return [(spelled(key), spelled(item)) for key, item in value.items()]
    return (type(value).__name__, repr(value))


@given(grammars() | grammars(with_restrictions=True) | lexed())
def test_a_grammar_comes_back_as_it_was(grammar):
    again = decode(encode(grammar))
    assert again == grammar
    assert repr(again) == repr(grammar)
    assert spelled(again) == spelled(grammar)
    assert hash(again.span) == hash(grammar.span)


@pytest.mark.parametrize(("name", "start"), [("sql", "select"), ("python", "statements")])
def test_a_shipped_grammar_comes_back_as_it_was(name, start):
    text = files("smcdsl.grammars").joinpath(f"{name}.lark").read_text()
    grammar = load_lark(text, name=f"{name}.lark", start=start)
    again = decode(encode(grammar))
    assert again == grammar
    assert spelled(again) == spelled(grammar)


def test_numbers_that_are_equal_stay_different():
    conditions = tuple(Limit("chars", least, None) for least in (1, True, 0, False))
    grammar = Grammar("g", "start", {"start": LiteralText("a")}, conditions=conditions)
    assert [limit.least for limit in decode(encode(grammar)).conditions] == [1, True, 0, False]
    assert spelled(decode(encode(grammar))) == spelled(grammar)


def test_equal_parts_are_written_once():
    rule = Alternatives(tuple(LiteralText("a") for _ in range(100)))
    one, many = (Grammar("g", "start", {"start": Alternatives(rule.items[:n])}) for n in (1, 100))
    assert len(json.loads(encode(many))) == len(json.loads(encode(one)))


def test_a_grammar_that_is_not_closed_cannot_be_stored():
    grammar = Grammar("g", "start", {"start": LiteralText("a")})
    open_limit = Limit("chars", Constant(Span(SOURCE, 0, 1), 3), None)
    with pytest.raises(TypeError, match="Constant"):
        encode(replace(grammar, conditions=(open_limit,)))
