"""`where tokens in a..b`: masks keep exactly what can still end within the limit, by trying every sequence."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles.masks import Language, allowed, step
from oracles.vocabularies import small_vocabulary

from smcdsl.automaton.automaton import DEAD, TokenAutomaton
from smcdsl.compiler.assemble import compile_grammar
from smcdsl.errors import CompileError
from smcdsl.program.grammar import (
    Alternatives,
    Concatenation,
    Grammar,
    Limit,
    LiteralText,
    Pattern,
    Reference,
    Restricted,
)

RULES = {
    "repeated": {"start": Pattern("(ab){0,3}")},
    "words": {"start": Pattern("a{1,4}|bb")},
    "nested": {
        "start": Alternatives(
            (Concatenation((LiteralText("a"), Reference(("start",)), LiteralText("b"))), LiteralText("b"))
        )
    },
}
TEXTS = {
    "repeated": {b"ab" * n for n in range(4)},
    "words": {b"a" * n for n in range(1, 5)} | {b"bb"},
    "nested": {b"a" * n + b"b" + b"b" * n for n in range(9)},
}


def ends(sequence, language, least, most):
    """Whether the hole may end its turn after `sequence`."""
    return language.contains(b"".join(sequence)) and least <= len(sequence) <= most


def reachable(sequence, tokens, language, least, most):
    """Whether some more tokens lead to an end within the limits."""
    if ends(sequence, language, least, most):
        return True
    if len(sequence) >= most or not language.begins(b"".join(sequence)):
        return False
    return any(reachable([*sequence, t], tokens, language, least, most) for t in tokens)


@pytest.mark.parametrize("name", RULES)
@settings(max_examples=25, deadline=None)
@given(data=st.data(), least=st.integers(0, 2), most=st.integers(0, 4))
def test_masks_keep_what_can_end_within_the_limit(data, name, least, most):
    rules = {**RULES[name], "whole": Restricted(Reference(("start",)), (Limit("tokens", least, most),))}
    tokens = [*data.draw(st.lists(st.sampled_from([b"ab", b"aa", b"bb", b"aab", b"ba"]), max_size=3)), b"a", b"b"]
    vocabulary = small_vocabulary(tokens)
    language = Language.of(TEXTS[name])
    try:
        automaton = TokenAutomaton(compile_grammar(Grammar("g", "whole", rules), vocabulary), None)
    except CompileError:
        assert not reachable([], tokens, language, least, most)
        return
    state, sequence = automaton.start, []
    for _ in range(most + 1):
        mask = allowed(automaton, state, len(vocabulary))
        expected = {i for i, token in enumerate(tokens) if reachable([*sequence, token], tokens, language, least, most)}
        if ends(sequence, language, least, most):
            expected.add(vocabulary.end_of_turn[0])
        assert mask == expected, sequence
        choices = sorted(mask - set(vocabulary.end_of_turn))
        if not choices:
            return
        token = data.draw(st.sampled_from(choices))
        state, sequence = step(automaton, state, token), [*sequence, tokens[token]]
        assert state != DEAD


def test_a_token_that_only_spells_what_follows_does_not_count():
    grammar = Grammar("g", "start", {"start": Pattern("a*")}, conditions=(Limit("tokens", 0, 2),))
    vocabulary = small_vocabulary([b"a", b"!", b"a!"])
    automaton = TokenAutomaton(compile_grammar(grammar, vocabulary), b"!")
    two = step(automaton, step(automaton, automaton.start, 0), 0)
    assert allowed(automaton, two, 4) == {1}
    assert automaton.finished(np.array([step(automaton, two, 1)]))[0]
    one = step(automaton, automaton.start, 0)
    assert allowed(automaton, one, 4) == {0, 1, 2}
    assert automaton.written(np.array([step(automaton, one, 2)]))[0] == 1
