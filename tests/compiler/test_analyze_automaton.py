"""Grammars compiled to token automata over single bytes accept what their definitions say."""

import numpy as np
from grammar_strategies import ALPHABET
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles.languages import every_text, grammar_texts
from test_analyze import restricted_grammars

from smcdsl.automaton.automaton import TokenAutomaton
from smcdsl.compiler.analyze import GrammarAnalysis
from smcdsl.compiler.assemble import compile_grammar
from smcdsl.errors import CompileError
from smcdsl.notations.lark import load_lark
from smcdsl.program.grammar import Grammar
from smcdsl.vocabulary import Vocabulary

END = 0
BYTES = Vocabulary((b"", *(bytes([byte]) for byte in range(256))), (END,))
TEXTS = every_text(ALPHABET, 3)


def automaton_of(grammar: Grammar) -> TokenAutomaton:
    return TokenAutomaton(compile_grammar(grammar, BYTES, cache_dir=None), None)


def accepts(automaton: TokenAutomaton, text: str) -> bool:
    state = np.array([automaton.start])
    for byte in text.encode():
        state = automaton.advance(state, np.array([byte + 1]))
        if state[0] < 0:
            return False
    return bool(automaton.masks(state)[0][0] & 1)


@settings(max_examples=30, deadline=None)
@given(restricted_grammars())
def test_compiled_grammars_have_the_texts_of_the_definition(grammar):
    known = grammar_texts(grammar, ALPHABET, 3)
    try:
        automaton = automaton_of(grammar)
    except CompileError:
        assert not known
        return
    for text in [*TEXTS[::4], *sorted(known)[:20]]:
        assert accepts(automaton, text) == (text in known), text


LEXED = r"""
    start: (statement ";")+
    statement: "let"i NAME "=" value | "if"i value "then"i statement
    value: NAME | INT | "(" value ("," value)* ")"
    NAME: /[a-z_]\w*/i
    INT.1: /[0-9]+/
    %ignore " "
"""
PIECES = ["let", "LET", "If", "then", "x", "letter", "=", "1", "23", "(", ")", ",", ";", " ", "é"]
POLICIES = {policy: load_lark(f"// smcdsl: lexing {policy}\n{LEXED}") for policy in ("longest", "contextual")}
AUTOMATA = {policy: automaton_of(grammar) for policy, grammar in POLICIES.items()}
ANALYSIS = GrammarAnalysis()
words = st.lists(st.sampled_from(PIECES), max_size=9).map("".join)
sentences = st.lists(
    st.sampled_from(["let x=1;", "if x then let y = (1,z);", "letx=1;", "let let=if;", " "]), max_size=4
)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(POLICIES)), words | sentences.map("".join))
def test_compiled_lark_grammars_cut_and_parse_as_the_checker_does(policy, text):
    assert accepts(AUTOMATA[policy], text) is ANALYSIS.accepts(POLICIES[policy], text)
