"""Masses of completions: dynamic programming equals trying every sequence of tokens, and inside masses every text."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smcdsl.automaton.inside import InsideMasses
from smcdsl.automaton.stacks import LinearStacks
from smcdsl.automaton.survival import lexeme_masses, survival, token_moves
from smcdsl.compiler.assemble import compile_grammar
from smcdsl.compiler.operations import from_tree
from smcdsl.compiler.regex import parse
from smcdsl.compiler.trie import build_trie
from smcdsl.notations.lark import load_lark
from tests.oracles.vocabularies import small_vocabulary

TOKENS = [b"a", b"b", b"ab", b"ba", b"bb", b";", b"a;", b";!"]
PATTERNS = ["(ab)*", "a*b?", "(a|b){0,3}", "b(a|bb)*a", "ab"]

laws = st.lists(st.floats(0.01, 1.0), min_size=len(TOKENS) + 1, max_size=len(TOKENS) + 1).map(
    lambda values: np.array(values) / (1.1 * sum(values))
)


@lru_cache
def dfa_of(pattern):
    return from_tree(parse(pattern))


def mass_by_trial(dfa, law, state, left, following):
    """The mass of all ways to end from a state with at most `left` more tokens, by trying each token."""
    end = len(TOKENS)
    total = 0.0 if following or not dfa.accepting[state] else float(law[end])
    for token, text in enumerate(TOKENS):
        after = state
        for at, byte in enumerate(text):
            rest = text[at:]
            ends = following and dfa.accepting[after] and following.startswith(rest)
            if ends and not run(dfa, after, rest):
                total += float(law[token])
            after = dfa.next_state[after, byte]
            if not after:
                break
        if after and left > 0:
            total += float(law[token]) * mass_by_trial(dfa, law, int(after), left - 1, following)
    return total


def run(dfa, state, text):
    for byte in text:
        state = int(dfa.next_state[state, byte])
    return state


@pytest.mark.parametrize("following", [b"", b";!"])
@pytest.mark.parametrize("pattern", PATTERNS)
@settings(max_examples=5, deadline=None)
@given(law=laws)
def test_survival_is_the_mass_of_all_token_sequences(pattern, following, law):
    dfa = dfa_of(pattern)
    trie = build_trie(small_vocabulary([*TOKENS]))
    moves, ends = token_moves(dfa.next_state, dfa.accepting, trie, law[: len(TOKENS)], following)
    if not following:
        ends = ends + dfa.accepting * law[len(TOKENS)]
    table = survival(moves, ends, 4)
    for left in range(5):
        for state in range(1, len(dfa.next_state)):
            expected = mass_by_trial(dfa, law, state, left, following)
            assert table[left, state] == pytest.approx(expected, rel=1e-12, abs=1e-15)
    forever = survival(moves, ends, None)[0]
    assert np.all(forever >= table[-1] - 1e-12)
    assert np.allclose(forever, ends + moves @ forever, rtol=1e-10)


def test_masses_of_moves_above_one_are_refused():
    with pytest.raises(ValueError, match="below one"):
        survival(np.array([[0.0, 0.0], [0.0, 1.2]]), np.array([0.0, 1.0]), None)


def test_lexeme_masses_are_those_of_all_spellings():
    dfa = dfa_of("a(ba)*")
    trie = build_trie(small_vocabulary([*TOKENS]))
    law = np.array([0.2, 0.1, 0.05, 0.15, 0.3, 0.1, 0.05, 0.05])
    masses = lexeme_masses(dfa.next_state, dfa.accepting[:, None], trie, law)
    for state in range(1, len(dfa.next_state)):
        # Up to 12 tokens; what is left out is less than 0.5 ** 12.
        total, agenda = 0.0, {state: 1.0}
        for _ in range(40):
            total += sum(mass for here, mass in agenda.items() if dfa.accepting[here])
            onward: dict[int, float] = {}
            for here, mass in agenda.items():
                for token, text in enumerate(TOKENS):
                    after = run(dfa, here, text)
                    if after:
                        onward[after] = onward.get(after, 0.0) + mass * float(law[token])
            agenda = onward
        assert masses[state, 0] == pytest.approx(total, rel=1e-9)


GRAMMARS = {
    "brackets": 'start: "(" start ")" start | "[" start "]" | "a"',
    "lists": 'start: "b" item ("," item)* "e"\nitem: "1" | "<" start ">" | "x" "y" "z"?',
    "empty": 'start: a b "!"\na: "p"*\nb: "q"? | "(" a b ")"',
    "left": 'start: sum\nsum: sum "+" product | product\nproduct: product "*" atom | atom\natom: "n" | "(" sum ")"',
    "right": 'start: "n" | "n" "^" start',
}
BYTES = small_vocabulary([bytes([byte]) for byte in range(256)])


@lru_cache
def parser_of(name):
    tables = compile_grammar(load_lark(GRAMMARS[name]), BYTES)
    assert tables.parser is not None
    assert tables.lexer is not None
    assert tables.deterministic
    return tables.parser, LinearStacks(tables.lexer, tables.parser)


def stack_of(stacks, node):
    states = []
    while node >= 0:
        states.append(stacks.state[node])
        node = stacks.parent[node]
    return tuple(reversed(states))


def masses_by_trial(parser, stacks, node, masses, left):
    """(left + 1,) by parsing every sequence of terminals."""
    end = len(masses) - 1
    total = np.zeros(left + 1)
    total[0] = float(stacks.acceptable(node) >> end & 1)
    if left:
        for terminal in np.flatnonzero(masses[:end]).tolist():
            for after in stacks.shift(node, terminal):
                total[1:] += masses[terminal] * masses_by_trial(parser, stacks, after, masses, left - 1)
    return total


def nodes_within(stacks, masses, depth):
    """Stacks that so many terminals lead to."""
    found = [stacks.first]
    layer = [stacks.first]
    for _ in range(depth):
        layer = [
            after for node in layer for terminal in range(len(masses) - 1) for after in stacks.shift(node, terminal)
        ]
        found += layer
    return sorted(set(found))


@pytest.mark.parametrize("name", GRAMMARS)
def test_inside_masses_are_those_of_all_texts(name):
    parser, stacks = parser_of(name)
    terminals = parser.shift.shape[1]
    masses = np.random.default_rng(1).uniform(0.05, 0.3, terminals)
    inside = InsideMasses(parser, masses, 7)
    for node in nodes_within(stacks, masses, 3):
        expected = masses_by_trial(parser, stacks, node, masses, 7)
        assert inside.of_stack(stack_of(stacks, node)) == pytest.approx(expected, rel=1e-10, abs=1e-16)


@pytest.mark.parametrize("name", GRAMMARS)
def test_masses_of_all_texts_are_the_sum_over_budgets(name):
    parser, stacks = parser_of(name)
    masses = np.full(parser.shift.shape[1], 0.08)
    forever = InsideMasses(parser, masses, None)
    bounded = InsideMasses(parser, masses, 40)
    for node in nodes_within(stacks, masses, 2):
        stack = stack_of(stacks, node)
        assert forever.of_stack(stack)[0] == pytest.approx(bounded.of_stack(stack).sum(), rel=1e-9)


def test_masses_without_a_sum_are_refused():
    parser, _ = parser_of("brackets")
    with pytest.raises(ValueError, match="too large"):
        InsideMasses(parser, np.full(parser.shift.shape[1], 2.0), None)
