"""Whole runs with the drafts that users can ask for: nothing but the number of passes changes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from running import exact_evidence, results, toy
from test_exactness import CASES, assert_same_masses

from smcdsl.inference.drafts.model import ModelDrafts
from smcdsl.inference.drafts.setting import makers
from smcdsl.models.draft_models import DraftModel

NAMES = tuple(CASES)


def other_model(model: Any) -> Any:
    """Another chain over the same tokens."""
    texts = [token.decode() for token in model.vocabulary.token_bytes[:-1]]
    return toy(texts, seed=77)


def drafts(name: str, draft: str) -> Any:
    """The makers of a case; a draft model is another chain over its tokens."""
    model = CASES[name]().model
    return makers(draft, model, lambda _, target: DraftModel(other_model(target), len(target.vocabulary)))


def model_alone(name: str) -> Any:
    other = other_model(CASES[name]().model)
    return [lambda around: ModelDrafts(around, other.start(around.prefixes), free_rows=1e9)]


def runs(name: str, seeds: Any, **settings: Any) -> list[Any]:
    case = CASES[name]()
    return results(case.program, case.model, case.languages, case.functions, case.inputs, seeds, **settings)


@pytest.mark.parametrize("draft", ["forced", "suffix"])
@pytest.mark.parametrize("name", NAMES)
def test_text_drafts_change_no_particle(name, draft):
    plain = runs(name, range(6), particles=8, ess_threshold=0.7)
    fast = runs(name, range(6), particles=8, ess_threshold=0.7, gamma=4, drafts=drafts(name, draft))
    for one, other in zip(plain, fast, strict=True):
        assert one.values == other.values
        np.testing.assert_array_equal(one.log_weights, other.log_weights)
        assert [view.text for view in one.particles] == [view.text for view in other.particles]
        assert one.deaths == other.deaths


@pytest.mark.parametrize("gamma", [1, 3])
@pytest.mark.parametrize("name", NAMES)
def test_a_draft_model_keeps_the_enumerated_mean_evidence(name, gamma):
    case = CASES[name]()
    for own in (model_alone(name), drafts(name, "another")):
        found = exact_evidence(
            case.program, case.model, case.languages, case.functions, case.inputs,
            drafts=own, particles=1, method="is", gamma=gamma,
        )  # fmt: skip
        assert_same_masses(found, case.enumerated())


@pytest.mark.parametrize("name", NAMES)
def test_what_a_group_drafts_does_not_depend_on_the_other_groups(name):
    settings = {"particles": 6, "gamma": 3, "drafts": drafts(name, "another")}
    seeds = [3, 1, 4, 1, 5]
    for seed, posterior in zip(seeds, runs(name, seeds, **settings), strict=True):
        (alone,) = runs(name, [seed], **settings)
        assert alone.values == posterior.values
        np.testing.assert_array_equal(alone.log_weights, posterior.log_weights)


@pytest.mark.parametrize("draft", ["suffix", "another"])
def test_a_run_is_determined_by_its_seed(draft):
    name = NAMES[0]
    first, again = (runs(name, [2, 3], particles=8, gamma=4, drafts=drafts(name, draft)) for _ in range(2))
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.log_weights, other.log_weights)
