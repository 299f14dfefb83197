"""What a grammar of JSON texts accepts, and the texts of a value in every order of its members."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import numpy as np

from smcdsl.automaton.automaton import DEAD, TokenAutomaton
from smcdsl.compiler.assemble import compile_grammar
from smcdsl.compiler.lexed import LexedGrammar
from smcdsl.program.grammar import Grammar
from smcdsl.vocabulary import Vocabulary

BYTES = Vocabulary((*(bytes([byte]) for byte in range(256)), b""), (256,))
MOST_ORDERS = 300


def automaton_of(grammar: Grammar, vocabulary: Vocabulary = BYTES) -> TokenAutomaton:
    return TokenAutomaton(compile_grammar(grammar, vocabulary), None)


def may_end(automaton: TokenAutomaton, state: int, end: int) -> bool:
    (row,) = automaton.masks(np.array([state], dtype=np.int64))
    return bool(row[end >> 5] >> np.uint32(end & 31) & 1)


def accepts(automaton: TokenAutomaton, text: str) -> bool:
    """Whether an automaton over single bytes takes the text to its end."""
    state = automaton.start
    for byte in text.encode():
        state = int(automaton.advance(np.array([state], dtype=np.int64), np.array([byte], dtype=np.int64))[0])
        if state == DEAD:
            return False
    return may_end(automaton, state, 256)


class Oracle:
    """The same question to a lexer and a parser that know of no tokens; None where they cannot say."""

    def __init__(self, grammar: Grammar) -> None:
        self.grammar = LexedGrammar(grammar)

    def accepts(self, text: str) -> bool | None:
        return self.grammar.accepts(text.encode())


def spelled(value: Any) -> str:
    """A scalar in its one spelling: no needless escape, whole numbers without fraction, no exponent."""
    if isinstance(value, float):
        return str(int(value)) if value == int(value) else format(Decimal(repr(value)), "f")
    return json.dumps(value, ensure_ascii=False)


def in_order(value: Any) -> str:
    """The compact text of a value, its members in their order."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{spelled(name)}:{in_order(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(in_order, value)) + "]"
    return spelled(value)


def texts(value: Any) -> Iterator[str]:
    """The compact texts of a value, one for each order of its members."""
    if isinstance(value, dict):
        options = [[f"{spelled(name)}:{text}" for text in texts(inner)] for name, inner in value.items()]
        for chosen in itertools.product(*options):
            for members in itertools.permutations(chosen):
                yield "{" + ",".join(members) + "}"
    elif isinstance(value, list):
        for items in itertools.product(*map(list, map(texts, value))):
            yield "[" + ",".join(items) + "]"
    else:
        yield spelled(value)


def some_texts(value: Any) -> list[str]:
    return list(itertools.islice(texts(value), MOST_ORDERS))
