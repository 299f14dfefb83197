"""Guesses of how many tokens an end takes: exact where tokens keep to lexemes, else never too low."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

import numpy as np
import pytest
from oracles.vocabularies import small_vocabulary

from smcdsl.automaton.automaton import TokenAutomaton
from smcdsl.compiler.assemble import compile_grammar
from smcdsl.notations.lark import load_lark
from smcdsl.program.grammar import Limit

LIMIT = 30
WITHIN = [b"begin", b"yy", b"12", b"en"]
ACROSS = [b"))", b")]", b"a)", b",1", b"d>", b"n)", b"+n"]
GRAMMARS = {
    "brackets": ('start: "(" start ")" start | "[" start "]" | "a"', ["", "(", "((", "([", "(a)", "((a)("]),
    "lists": (
        'start: "begin" item ("," item)* "end"\nitem: /[0-9]+/ | "<" start ">" | "x" "yy" "z"?',
        ["", "be", "begin1,", "beginx", "begin<begin2,<begin"],
    ),
    "sums": (
        'start: sum\nsum: sum "+" product | product\nproduct: product "*" atom | atom\natom: "n" | "(" sum ")"',
        ["", "n+", "(", "((n+", "(n*(n"],
    ),
}
BYTES = [bytes([byte]) for byte in range(33, 127)]


def automaton_of(text: str, tokens: list[bytes]) -> TokenAutomaton:
    limited = replace(load_lark(text), conditions=(Limit("tokens", 0, LIMIT),))
    return TokenAutomaton(compile_grammar(limited, small_vocabulary(tokens)), None)


def after(automaton: TokenAutomaton, tokens: list[bytes], text: str) -> int:
    state = automaton.start
    for byte in text.encode():
        state = automaton.next(state, tokens.index(bytes([byte])))
    assert state >= 0, text
    return state


def fewest_tokens(automaton: TokenAutomaton, tokens: list[bytes], state: int) -> int:
    """By trying all tokens."""
    distance, agenda = {state: 0}, deque([state])
    while agenda:
        here = agenda.popleft()
        if automaton._may_end_turn(here):
            return distance[here]
        for token in range(len(tokens)):
            reached = automaton.next(here, token)
            if reached >= 0 and reached not in distance:
                distance[reached] = distance[here] + 1
                agenda.append(reached)
    raise AssertionError("every beginning has an end")


def guesses(automaton: TokenAutomaton, state: int) -> int:
    states = np.array([state])
    return int((automaton.tokens_missing(states, 1 << 20) + automaton.tokens_left(states))[0])


@pytest.mark.parametrize("name", GRAMMARS)
def test_guesses_are_exact_where_tokens_keep_to_lexemes(name):
    text, beginnings = GRAMMARS[name]
    tokens = [*WITHIN, *BYTES]
    automaton = automaton_of(text, tokens)
    for beginning in beginnings:
        state = after(automaton, tokens, beginning)
        assert guesses(automaton, state) == fewest_tokens(automaton, tokens, state), beginning


@pytest.mark.parametrize("name", GRAMMARS)
def test_guesses_are_never_too_low_where_tokens_do_not(name):
    text, beginnings = GRAMMARS[name]
    tokens = [*WITHIN, *ACROSS, *BYTES]
    automaton = automaton_of(text, tokens)
    saved = 0
    for beginning in beginnings:
        state = after(automaton, tokens, beginning)
        exact = fewest_tokens(automaton, tokens, state)
        assert exact <= guesses(automaton, state) <= 2 * exact, beginning
        saved += guesses(automaton, state) - exact
    assert saved, "no token saves another here"


@pytest.mark.parametrize(
    ("text", "needed"),
    [("a", 0), ("a if", 4), ("a if ", 4), ("a if b", 3), ("a if b ", 3), ("a if b else", 1), ("(a", 1), ("(a ", 1)],
)
def test_words_come_with_a_space_before_them(text, needed):
    """` else` is two tokens, ` c` one; `else` without its space would go on the word before it."""
    tokens = [b" if", b" el", b"se", b" c", b" ", *BYTES]
    rules = ['expression: "(" expression ")" | NAME ("if" NAME "else" NAME)?', "NAME: /[a-z]+/", '%ignore " "']
    grammar = "\n".join(["start: expression", *rules])
    automaton = automaton_of(grammar, tokens)
    state = after(automaton, tokens, text)
    assert fewest_tokens(automaton, tokens, state) == needed
    assert guesses(automaton, state) == needed


def test_guesses_after_tokens_are_those_of_the_states_they_lead_to():
    text, _ = GRAMMARS["lists"]
    tokens = [*WITHIN, *ACROSS, *BYTES]
    automaton = automaton_of(text, tokens)
    state = after(automaton, tokens, "begin1,")
    mask = automaton.mask(state)
    allowed = np.flatnonzero(np.unpackbits(mask.view(np.uint8), bitorder="little")).astype(np.int32)
    found = automaton.tokens_to_end_after(state, allowed).tolist()
    assert found == [guesses(automaton, automaton.next(state, token)) for token in allowed.tolist()]
    some = allowed[::3]
    assert automaton.tokens_to_end_after(state, some).tolist() == found[::3]


MORE = {
    **{name: (text, [*WITHIN, *ACROSS, *BYTES]) for name, (text, _) in GRAMMARS.items()},
    "words": (
        'start: NAME ("if" NAME "else" NAME)? | NUMBER\nNAME: /[a-z]+/\nNUMBER: /[0-9]+(\\.[0-9]+)?/\n%ignore " "',
        [b" if", b" el", b"se", b" c", b" ", b"a i", b"  if a", b"1.", b"1.5", b"12", *BYTES],
    ),
    "spaces": (
        'start: NAME (" = " NAME | ", " NAME)* " LIMIT " NUMBER\nNAME: /[a-z]+/\nNUMBER: /[0-9]+/',
        [b" =", b" = ", b" = a", b", b", b" ab", b" LIM", b"IT ", b" ", b"bc", b"12", *BYTES],
    ),
}


@pytest.mark.parametrize("name", MORE)
def test_where_tokens_end_in_a_lexeme_says_what_reading_them_does(name):
    text, tokens = MORE[name]
    automaton = automaton_of(text, tokens)
    rng = np.random.default_rng(3)
    told = 0
    for _ in range(40):
        state = automaton.start
        for _ in range(int(rng.integers(1, 14))):
            bits = np.unpackbits(automaton.mask(state).view(np.uint8), bitorder="little")
            allowed = np.flatnonzero(bits[: len(tokens)])
            if not len(allowed):
                break
            place = automaton._machine.place_of(state)
            config, _ = automaton._machine.parts_of(place)
            found = automaton._closing.tokens_left_inside(config, allowed)
            read = automaton._guess_reading(place, allowed)
            assert (found[found >= 0] == read[found >= 0]).all(), (name, allowed, found, read)
            told += int((found >= 0).sum())
            state = automaton.next(state, int(rng.choice(allowed)))
    assert told > 100
