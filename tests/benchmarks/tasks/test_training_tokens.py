"""The tokenizer with more entries cuts texts as before and joins the pieces further."""

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).parents[3]
if not (ROOT / "benchmarks").is_dir():
    pytest.skip("needs a checkout", allow_module_level=True)
sys.path.insert(0, str(ROOT))
Tokenizer = pytest.importorskip("tokenizers").Tokenizer

from benchmarks.tasks.training.tokens import extended  # noqa: E402
from smcdsl.models.embedded.model import FOLDER  # noqa: E402

OLD = Tokenizer.from_file(str(FOLDER / "tokenizer.json"))
TEXTS = ["CREATE TABLE Singer (Singer_ID INT PRIMARY KEY, Name TEXT);", "How old is the oldest singer?"] * 20
NEW, ADDED = extended(OLD, TEXTS, OLD.get_vocab_size() + 12, min_count=2)


@given(st.text(st.sampled_from("Singer_ID INTold 'é(,;\n0Å"), max_size=60) | st.text(max_size=30))
def test_every_text_comes_back(text):
    assert NEW.decode(NEW.encode(text).ids, skip_special_tokens=False) == text


def test_entries_are_added_behind_the_old_ones():
    vocabulary = OLD.get_vocab()
    assert {text: NEW.token_to_id(text) for text in vocabulary} == vocabulary
    assert [NEW.token_to_id(text) for text in ADDED] == list(range(len(vocabulary), NEW.get_vocab_size()))
    assert 5 < len(ADDED) <= 12


def test_texts_like_those_learnt_from_get_shorter():
    for text in TEXTS[:2]:
        assert len(NEW.encode(text).ids) < len(OLD.encode(text).ids)


def test_a_new_entry_is_made_of_old_ones():
    for text in ADDED:
        parts = [token.value for token in OLD.model.tokenize(text)]
        assert len(parts) > 1
        assert "".join(parts) == text


def test_a_name_is_cut_the_same_way_before_a_type_and_in_a_query():
    name = NEW.encode("Singer_ID").tokens
    for text in ("(Singer_ID INT PRIMARY KEY", "Singer.Singer_ID FROM Singer", "Singer_ID, Name"):
        tokens = NEW.encode(text).tokens
        assert any(tokens[at : at + len(name)] == name for at in range(len(tokens))), tokens
