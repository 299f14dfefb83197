"""Which models may draft for which, and what is said where they may not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smcdsl.errors import Source, Span, UsageError
from smcdsl.models.draft_models import SELF, DraftModel, fits, load_draft, spelling_fingerprint, vocabulary_of
from smcdsl.models.embedded.model import FOLDER, EmbeddedModel
from smcdsl.models.pruned_prompt import PrunedPrompt
from smcdsl.models.toy import ToyModel
from smcdsl.prefixes import ROOT, Prefixes
from smcdsl.report.diagnostics import render
from smcdsl.vocabulary import Vocabulary

spellings = st.lists(st.sampled_from([b"a", b"b", b""]), max_size=4)


def vocabulary(spelled: list[bytes]) -> Vocabulary:
    return Vocabulary((b"", *spelled), (0,))


@given(spellings, spellings)
def test_models_fit_if_every_id_spells_the_same_in_both(one, other):
    spelled = [dict(enumerate([b"", *texts])) for texts in (one, other)]
    same = all(spelled[0].get(i, b"") == spelled[1].get(i, b"") for i in range(6))
    assert fits(vocabulary(one), vocabulary(other)) == same
    assert (spelling_fingerprint(vocabulary(one)) == spelling_fingerprint(vocabulary(other))) == same


def toy(size: int) -> ToyModel:
    law = np.full(size, 1 / size).tolist()
    texts = [*("ab"[: size - 1]), *[""] * (size - 3), "<end>"][:size]
    return ToyModel({"vocab": texts, "eos": size - 1, "lm": {"order": 0, "table": [[[], law]]}})


def test_rows_are_widened_and_cut_to_the_targets_ids():
    for own, wanted in ((3, 5), (5, 3)):
        prefixes = Prefixes()
        session = DraftModel(toy(own), wanted).start(prefixes)
        rows = session.next_logprobs(np.array([prefixes.extend(ROOT, [0])]))
        expected = [1 / own] * min(own, wanted) + [0.0] * max(wanted - own, 0)
        assert np.exp(rows[0]) == pytest.approx(expected)
        session.retain(np.array([ROOT]))
        session.close()


def test_the_target_drafts_for_itself():
    target = toy(3)
    assert isinstance(load_draft(SELF, target), PrunedPrompt)


def test_the_embedded_model_fits_itself():
    target = EmbeddedModel()
    assert isinstance(load_draft("tiny", target), DraftModel)
    assert vocabulary_of(FOLDER, target.vocabulary) == target.vocabulary


def test_a_folder_that_cannot_be_read_has_no_vocabulary(tmp_path):
    assert vocabulary_of(tmp_path, vocabulary([b"a"])) is None
    (tmp_path / "config.json").write_text('{"vocab_size": 3}')
    (tmp_path / "tokenizer.json").write_text("nothing")
    assert vocabulary_of(tmp_path, vocabulary([b"a"])) is None


@pytest.mark.parametrize("where", ["program", "flag"])
def test_other_tokens_are_a_mistake(where, golden, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    target = toy(3)
    source = Source("query.smc", 'infer smc {\n  draft: "tiny"\n}\n')
    place = Span(source, 21, 27) if where == "program" else "--draft tiny"
    with pytest.raises(UsageError, match="E0704") as caught:
        load_draft("tiny", target, place)
    golden(f"models/E0704_{where}.expected", render(caught.value.diagnostics))


def test_models_that_would_fit_are_named(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    target = EmbeddedModel("my-model")
    with pytest.raises(UsageError) as caught:
        load_draft(f"toy:{write_toy(tmp_path)}", target)
    assert "installed here: tiny" in caught.value.diagnostics[0].notes[0]


def write_toy(folder) -> str:
    path = folder / "toy.json"
    path.write_text('{"vocab": ["a", "<end>"], "eos": 1, "lm": {"order": 0, "table": [[[], [0.5, 0.5]]]}}')
    return str(path)
