"""Random tokens under the mask of `grammars/python.lark`, brought to an end, make texts that `ast` takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from smcdsl.automaton.automaton import DEAD, TokenAutomaton
from smcdsl.vocabulary import Vocabulary
from tests.grammars.python_automata import automaton, library_texts, parses
from tests.spider import needs_spider

CLOSING = b")]}\"'\n:a =0e, lsiunforpt*"
"""Bytes that tend to bring a text to its end, the best first."""


def single_bytes(vocabulary: Vocabulary) -> list[int]:
    tokens: dict[int, int] = {}
    for token, spelled in enumerate(vocabulary.token_bytes):
        if len(spelled) == 1:
            tokens.setdefault(spelled[0], token)
    return [tokens.pop(byte) for byte in dict.fromkeys(CLOSING)] + list(tokens.values())


def ending(walker: TokenAutomaton, state: int, order: list[int], end: int) -> list[int] | None:
    """Tokens that lead to an end: depth first, states once; None if 20,000 steps find none."""
    seen = {state}
    path: list[tuple[int, Iterator[int], int]] = [(state, iter(order), -1)]
    for _ in range(20_000):
        here, choices, _ = path[-1]
        if walker.next(here, end) != DEAD:
            return [token for _, _, token in path[1:]]
        for token in choices:
            after = walker.next(here, token)
            if after != DEAD and after not in seen:
                seen.add(after)
                path.append((after, iter(order), token))
                break
        else:
            path.pop()
            if not path:
                return None
    return None


def weights(tokenizer: str) -> NDArray[np.float64]:
    """How often each token stands in the standard library, a little for all."""
    _, vocabulary, encoder = automaton(tokenizer)
    counts = Counter(
        token for _, text in library_texts(100) for token in encoder.encode(text, add_special_tokens=False).ids
    )
    found = np.full(len(vocabulary), 1e-3)
    found[list(counts)] += list(counts.values())
    return found


def faults(tokenizer: str, how_many: int, seed: int) -> list[str]:
    """Texts that `ast` refuses, or that did not come to an end; half of the walks are uniform."""
    walker, vocabulary, _ = automaton(tokenizer)
    order, end, weight = single_bytes(vocabulary), vocabulary.end_of_turn[0], weights(tokenizer)
    chance = np.random.default_rng(seed)
    found = []
    for number in range(how_many):
        state, tokens = walker.start, []
        for _ in range(int(chance.integers(1, 60))):
            allowed = np.flatnonzero(np.unpackbits(walker.mask(state).view(np.uint8), bitorder="little"))
            allowed = allowed[allowed != end]
            chances = weight[allowed] if number % 2 else np.ones(len(allowed))
            token = int(chance.choice(allowed, p=chances / chances.sum()))
            state = walker.next(state, token)
            assert state != DEAD
            tokens.append(token)
        rest = ending(walker, state, order, end)
        text = b"".join(vocabulary.token_bytes[token] for token in tokens + (rest or [])).decode(errors="replace")
        if rest is None or not parses(text):
            found.append(f"{'refused' if rest is not None else 'no end'}: {text!r}")
    print(f"{tokenizer}: {1 - len(found) / how_many:.2%} of {how_many} texts, seed {seed}", *found, sep="\n")
    return found


@needs_spider
def test_sampled_texts_parse():
    assert faults("gpt2", 60, seed=1) == []


@needs_spider
@pytest.mark.long
@pytest.mark.parametrize("tokenizer", ["llama3", "gpt2", "starcoder"])
def test_two_thousand_sampled_texts_parse(tokenizer):
    seed = int(np.random.default_rng().integers(1 << 32))
    assert len(faults(tokenizer, 2000, seed)) <= 2
