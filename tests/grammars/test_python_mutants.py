"""What `ast.parse` rejects is refused by the automaton of `grammars/python.lark`, no later than the end."""

from __future__ import annotations

import ast
import warnings
from collections import Counter

import pytest

from tests.grammars.python_automata import automaton, refused_at
from tests.grammars.python_mutants import MUTATIONS, mutants
from tests.spider import needs_spider


def verdict_of_ast(text: str) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            ast.parse(text)
        except (SyntaxError, ValueError) as error:
            return str(error)
    raise AssertionError("a mutant that is right")


def accepted(tokenizer: str, number: int, step: int) -> list[str]:
    """The mutants that walk to the end, with what `ast` says of them; printed with figures."""
    walker, vocabulary, encoder = automaton(tokenizer)
    made: Counter[str] = Counter()
    early = 0
    walked = []
    for kind, place, text in mutants(number, step, seed=4):
        tokens = encoder.encode(text, add_special_tokens=False).ids
        refused = refused_at(walker, tokens, vocabulary.end_of_turn[0])
        made[kind] += 1
        early += refused is not None and refused < len(tokens)
        if refused is None:
            walked.append(f"{kind} at {place}: {verdict_of_ast(text)}")
    print(f"{tokenizer}: {1 - len(walked) / number:.2%} of {number} mutants refused, {early} before the end; {dict(made)}")
    print(*walked, sep="\n")
    return walked


def test_every_kind_of_mutation_spoils_programs():
    assert {kind for kind, _, _ in mutants(24, 90, seed=1)} == set(MUTATIONS)


@needs_spider
def test_some_mutants_are_refused():
    walked = accepted("gpt2", 30, 90)
    assert len(walked) <= 2, walked


@needs_spider
@pytest.mark.long
@pytest.mark.parametrize("tokenizer", ["llama3", "starcoder"])
def test_mutants_of_the_standard_library_are_refused(tokenizer):
    walked = accepted(tokenizer, 500, 1)
    assert len(walked) <= 0.05 * 500, walked
