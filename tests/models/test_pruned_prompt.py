"""A session on shortened prompts gives what the model says after the shortened sequences."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from smcdsl.models.pruned_prompt import PrunedPrompt
from smcdsl.models.toy import ToyModel
from smcdsl.prefixes import ROOT, Prefixes


@pytest.fixture(scope="module")
def model() -> ToyModel:
    """A chain of order 4 over three tokens, so that what is left out of a prompt shows."""
    generator = np.random.default_rng(1)
    table = [[list(c), generator.dirichlet(np.ones(3)).tolist()] for c in itertools.product(range(-1, 3), repeat=4)]
    return ToyModel({"vocab": ["a", "b", "<end>"], "eos": 2, "lm": {"order": 4, "table": table}})


def said(model: ToyModel, tokens: list[int]) -> np.ndarray:
    prefixes = Prefixes()
    return model.start(prefixes).next_logprobs(np.array([prefixes.extend(ROOT, tokens)]))[0]


@pytest.mark.parametrize("first", [1, 2])
def test_rows_are_those_of_the_shortened_sequences(model, first):
    prefixes = Prefixes()
    session = PrunedPrompt(model, first=first, last=1).start(prefixes)
    prompt = [0, 1, 1, 0, 1, 0, 0]
    stem = prefixes.extend(ROOT, prompt)
    kept = prompt[:first] + prompt[-1:]
    assert np.array_equal(session.next_logprobs(np.array([stem]))[0], said(model, kept))
    one, two = prefixes.extend(stem, [1]), prefixes.extend(stem, [0, 1])
    rows = session.next_logprobs(np.array([two, one]))
    assert np.array_equal(rows[0], said(model, [*kept, 0, 1]))
    assert np.array_equal(rows[1], said(model, [*kept, 1]))
    session.retain(np.array([two]))
    assert np.array_equal(session.next_logprobs(np.array([two]))[0], said(model, [*kept, 0, 1]))
    session.close()


def test_a_prompt_first_met_with_what_follows_it_is_shared(model):
    prefixes = Prefixes()
    session = PrunedPrompt(model, first=1, last=3).start(prefixes)
    stem = prefixes.extend(ROOT, [0, 1, 1, 0, 1, 0])
    one, two = prefixes.extend(stem, [0]), prefixes.extend(stem, [1])
    rows = session.next_logprobs(np.array([one, two]))
    # The prompt is cut where the first one of them ends, and the other goes on from what they share.
    assert np.array_equal(rows[0], said(model, [0, 1, 0, 0]))
    assert np.array_equal(rows[1], said(model, [0, 1, 0, 1]))


def test_prompts_that_become_equal_have_equal_rows(model):
    prefixes = Prefixes()
    session = PrunedPrompt(model, first=1, last=1).start(prefixes)
    both = np.array([prefixes.extend(ROOT, [0, 0, 0, 1]), prefixes.extend(ROOT, [0, 1, 1, 1])])
    rows = session.next_logprobs(both)
    assert np.array_equal(rows[0], rows[1])
    assert np.array_equal(rows[0], said(model, [0, 1]))


def test_a_short_prompt_stays_whole(model):
    prefixes = Prefixes()
    session = PrunedPrompt(model, first=4, last=256).start(prefixes)
    prompt = [0, 1, 1, 0, 1]
    assert np.array_equal(session.next_logprobs(np.array([prefixes.extend(ROOT, prompt)]))[0], said(model, prompt))
