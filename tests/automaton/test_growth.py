"""Room that runs out everywhere: an engine whose pools grow by one entry at a time says what any other says.

Every new pair then stops a kernel in the middle of its work, which is begun again: nothing that was done by then may
count, and nothing may go on for ever.
"""

import sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles.masks import allowed, step
from oracles.vocabularies import small_vocabulary

sys.path.insert(0, str(Path(__file__).parents[1] / "compiler"))

from grammar_strategies import ALPHABET, grammars
from test_masks_indented import CHUNKS, GRAMMARS, HEADER
from test_masks_lexed import ALL_LETTERS, IGNORED, LETTERS, rule_sets, written
from test_masks_scannerless import AMBIGUOUS

from smcdsl.automaton import machine, walker
from smcdsl.automaton.automaton import TokenAutomaton
from smcdsl.automaton.layout import CAPACITY, FIRST_POOL, POOL_SLOTS, POOLS
from smcdsl.automaton.pools import Pools
from smcdsl.compiler.assemble import compile_grammar
from smcdsl.errors import CompileError
from smcdsl.notations.lark import load_lark
from smcdsl.program.grammar import Grammar, Limit

_ROOM = 1 << 12


class Stingy(Pools):
    """Pools that say they are full at every new pair."""

    grown = 0

    def __init__(self, capacity=0):
        super().__init__(_ROOM)
        for pool in range(len(POOLS)):
            self.table[FIRST_POOL + POOL_SLOTS * pool + CAPACITY] = 1

    def grow(self, pool):
        at = FIRST_POOL + POOL_SLOTS * pool + CAPACITY
        type(self).grown += 1
        assert type(self).grown < 100_000, "the same is tried again and again"
        if self.table[at] < _ROOM:
            self.table[at] += 1
        else:
            super().grow(pool)


@contextmanager
def no_room():
    """Machines and walkers made here have room for nothing."""
    with pytest.MonkeyPatch.context() as patch:
        Stingy.grown = 0
        patch.setattr(machine, "Pools", Stingy)
        patch.setattr(walker, "Pools", Stingy)
        for name in ("_FIRST_LISTED", "_FIRST_BITS", "_FIRST_ROWS"):
            patch.setattr(machine, name, 1)
        yield


def check(data, grammar, vocabulary, following, steps=5):
    """One walk through two automata, everything asked of both at each step."""
    try:
        usual = TokenAutomaton(compile_grammar(grammar, vocabulary), following)
    except CompileError:
        return
    tables = usual.tables
    with no_room():
        starved = TokenAutomaton(tables, following)
        starved._machine._walker  # noqa: B018  it gets its pools when first asked for
    states, text = (usual.start, starved.start), b""
    for _ in range(steps):
        mask, other = (allowed(automaton, state, len(vocabulary)) for automaton, state in zip((usual, starved), states))
        assert other == mask
        assert starved.forced(states[1]) == usual.forced(states[0])
        for token in range(len(vocabulary)):
            assert (step(starved, states[1], token) >= 0) == (token in mask)
        tokens = sorted(mask)
        if not tokens:
            break
        token = data.draw(st.sampled_from(tokens), label="token")
        bits = [
            automaton.noticed(np.array([state]), np.array([token]), lambda _, text=text: text).tolist()
            for automaton, state in zip((usual, starved), states)
        ]
        assert bits[0] == bits[1]
        text += vocabulary.token_bytes[token]
        states = step(usual, states[0], token), step(starved, states[1], token)
        ended = [
            [automaton.finished(np.array([state])).tolist(), automaton.written(np.array([state])).tolist()]
            for automaton, state in zip((usual, starved), states)
        ]
        assert ended[0] == ended[1]
        if ended[0][0][0]:
            break
    assert Stingy.grown > 0


def drawn_vocabulary(data, letters, chunks):
    tokens = data.draw(st.lists(chunks, max_size=6))
    return small_vocabulary([*tokens, *(bytes([byte]) for byte in sorted({*letters.encode()}))])


following_texts = st.none() | st.text("ab ", min_size=1, max_size=3).map(str.encode)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), grammar=grammars(with_restrictions=True) | grammars(), following=following_texts)
def test_inline_grammars(data, grammar, following):
    limit = data.draw(st.sampled_from([(), (Limit("chars", 0, 5),), (Limit("tokens", 1, 4),)]))
    vocabulary = drawn_vocabulary(data, ALPHABET, st.text(ALPHABET, min_size=2, max_size=4).map(str.encode))
    check(data, replace(grammar, conditions=limit), vocabulary, following)


@pytest.mark.parametrize("name", AMBIGUOUS)
@settings(max_examples=6, deadline=None)
@given(data=st.data(), following=following_texts)
def test_grammars_that_no_table_decides(data, name, following):
    vocabulary = drawn_vocabulary(data, "ab ", st.text("ab ", min_size=2, max_size=4).map(str.encode))
    check(data, Grammar("g", "start", AMBIGUOUS[name]), vocabulary, following, steps=8)


@pytest.mark.parametrize("policy", ["longest", "contextual"])
@settings(max_examples=60, deadline=None)
@given(data=st.data(), rules=rule_sets, ignored=st.sampled_from(IGNORED), following=following_texts)
def test_lexed_grammars(data, policy, rules, ignored, following):
    text = f"// smcdsl: lexing {policy}\n{written(rules, ignored, {})}"
    try:
        grammar = load_lark(text, name="g", start="start", import_paths=[])
    except CompileError:
        return
    vocabulary = drawn_vocabulary(data, ALL_LETTERS, st.text(LETTERS, min_size=2, max_size=4).map(str.encode))
    check(data, grammar, vocabulary, following)


@pytest.mark.parametrize("name", GRAMMARS)
@settings(max_examples=15, deadline=None)
@given(data=st.data(), policy=st.sampled_from(["longest", "contextual"]))
def test_indented_grammars(data, name, policy):
    grammar = load_lark(f"// smcdsl: lexing {policy}\n{HEADER}{GRAMMARS[name]}", name=name)
    vocabulary = drawn_vocabulary(data, "ab(): \n[].,", st.sampled_from(CHUNKS).map(str.encode))
    check(data, grammar, vocabulary, None, steps=8)


def test_stacks_that_begin_the_next_lexeme_otherwise_part_behind_a_blank():
    """Of the two ways to read `a''` one wants a number next and one a text; both begin with the same blank."""
    rules = "start: one QUOTED NUMBER\none: NAME QUOTED?\nNAME: /a+/\nNUMBER: /1+/\nQUOTED: /''/\n%ignore \" \"\n"
    grammar = load_lark(f"// smcdsl: lexing contextual\n{rules}", name="g")
    automaton = TokenAutomaton(compile_grammar(grammar, small_vocabulary([b"a", b"'", b" ", b"1"])), None)
    state = automaton.start
    for token in (0, 1, 1, 2):
        state = automaton.next(state, token)
    assert allowed(automaton, state, 5) == {1, 2, 3}
    assert {token for token in range(5) if step(automaton, state, token) >= 0} == {1, 2, 3}
