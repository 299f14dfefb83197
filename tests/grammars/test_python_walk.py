"""The standard library walks through the automaton of `grammars/python.lark`, every token allowed."""

from __future__ import annotations

import time

import pytest

from tests.grammars.python_automata import automaton, library_texts, refused_at
from tests.spider import needs_spider

TOKENIZERS = ["llama3", "gpt2", "starcoder"]


def refusals(tokenizer: str, step: int) -> tuple[int, list[str]]:
    """How many files were walked, and where each that was refused went wrong; printed with figures."""
    walker, vocabulary, encoder = automaton(tokenizer)
    walked, tokens_read, seconds = 0, 0, 0.0
    refused = []
    for name, text in library_texts(step):
        tokens = encoder.encode(text, add_special_tokens=False).ids
        began = time.perf_counter()
        place = refused_at(walker, tokens, vocabulary.end_of_turn[0])
        seconds += time.perf_counter() - began
        tokens_read += len(tokens) if place is None else place
        walked += 1
        if place is not None:
            before, after = (
                b"".join(vocabulary.token_bytes[token] for token in part).decode(errors="replace")
                for part in (tokens[:place], tokens[place : place + 8])
            )
            refused.append(f"{name}: {before[-50:]!r} then {after!r}")
    share = 1 - len(refused) / walked
    microseconds = 1e6 * seconds / tokens_read
    print(f"{tokenizer}: {share:.2%} of {walked} files, {tokens_read} tokens, {microseconds:.2f} us a token")
    print(*refused, sep="\n")
    return walked, refused


@needs_spider
def test_some_of_the_standard_library_walks():
    walked, refused = refusals("gpt2", 60)
    assert walked > 20
    assert len(refused) <= 1, refused


@needs_spider
@pytest.mark.long
@pytest.mark.parametrize("tokenizer", TOKENIZERS)
def test_the_standard_library_walks(tokenizer):
    walked, refused = refusals(tokenizer, 1)
    assert walked >= 500
    # Fields of f-strings that the grammar leaves out, and names with combining marks.
    assert len(refused) <= 0.01 * walked, refused
