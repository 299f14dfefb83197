"""SQL masks over the vocabularies of GPT-2 and Llama 3 against lark: sampled prefixes, sampled tokens.

A text is open when lark's lexer and parser accept it up to its last lexeme, which some continuation turns into a
terminal that lark's parser accepts there. The continuations tried are few and fixed, chosen for SQL.
"""

import random
import re
import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from lark.exceptions import LarkError
from oracles.masks import allowed, step
from oracles.vocabularies import real_vocabulary

sys.path.insert(0, str(Path(__file__).parents[1] / "grammars"))

from lark_reading import LarkReading

from smcdsl.automaton.automaton import TokenAutomaton
from smcdsl.compiler.assemble import compile_grammar
from smcdsl.notations.lark import load_lark
from smcdsl.program.grammar import Grammar, LiteralText

SQL = files("smcdsl.grammars").joinpath("sql.lark").read_text(encoding="utf-8")
PREFIXES = [
    "",
    "SELECT",
    "SELECT name FROM singer WHERE ",
    "SELECT count(*) FROM a AS T1 JOIN b AS T2 ON T1.x",
    "SELECT 'it''s",
    "SELECT 1",
    "SELECT 1.5e",
    "SELECT x'0",
    'SELECT "é',
    "SELECT a FROM b GROUP BY c HAVING max(d) >",
    "SELECT a FROM b WHERE c IN (SELECT d FROM e",
    "WITH t AS (SELECT 1) SELECT CASE WHEN a IS NOT",
]
REST = ["", "x", "0", "1", "'", '"', "]", "`", "=", " ", "'0'", "0'", "+1", "|", ">"]


class Reader:
    """Lark's own answer to: does some SQL text begin like this?"""

    def __init__(self, grammar: Grammar) -> None:
        self.reading = LarkReading(grammar)
        texts = [terminal.definition for terminal in grammar.terminals.values() if terminal.is_keyword]
        self.words = [text.text.lower() for text in texts if isinstance(text, LiteralText)]

    def is_open(self, text: str) -> bool:
        last = re.search(r"\w*$", text).group().lower()
        rests = [word[len(last) :] for word in self.words if last and word.startswith(last)]
        return any(self.shifts(text + rest) for rest in REST + rests)

    def shifts(self, text: str) -> bool:
        """Whether lark cuts the text into lexemes and its parser shifts them all."""
        try:
            self.reading.lark.parse_interactive(text).exhaust_lexer()
        except LarkError:
            return False
        return True


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader(load_lark(SQL, name="sql", start="select"))


@pytest.mark.parametrize("name", ["gpt2", "llama3"])
def test_sql_masks_agree_with_lark(name, reader):
    vocabulary = real_vocabulary(name)
    grammar = load_lark(SQL, name="sql", start="select")
    automaton = TokenAutomaton(compile_grammar(grammar, vocabulary), None)
    single = {text: token for token, text in enumerate(vocabulary.token_bytes) if len(text) == 1}
    random.seed(0)
    for prefix in PREFIXES:
        state = automaton.start
        for byte in prefix.encode():
            state = step(automaton, state, single[bytes([byte])])
        mask = allowed(automaton, state, len(vocabulary))
        inside = random.sample(sorted(mask), min(40, len(mask)))
        outside = random.sample([t for t in range(len(vocabulary)) if t not in mask and vocabulary.token_bytes[t]], 60)
        for token in inside + outside:
            text = prefix.encode() + vocabulary.token_bytes[token]
            try:
                decoded = text.decode()
            except UnicodeDecodeError:
                continue
            if token not in vocabulary.end_of_turn:
                assert reader.is_open(decoded) == (token in mask), (prefix, vocabulary.token_bytes[token])
        assert (vocabulary.end_of_turn[0] in mask) == reader.reading.accepts(prefix)


def test_special_tokens_are_never_allowed():
    vocabulary = real_vocabulary("llama3")
    automaton = TokenAutomaton(compile_grammar(load_lark(SQL, name="sql", start="select"), vocabulary), None)
    mask = allowed(automaton, automaton.start, len(vocabulary))
    assert not mask & {token for token, text in enumerate(vocabulary.token_bytes) if not text}
    assert np.count_nonzero(automaton.masks(np.array([automaton.start]))) > 0
