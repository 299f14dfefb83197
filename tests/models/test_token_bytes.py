"""Token bytes and encoding, against the exact bytes of four real tokenizers."""

import base64
import gzip
import json
import os
from functools import cache
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from smcdsl.errors import ModelError
from smcdsl.models.token_bytes import Encoder, read_vocabulary, round_trip_fault
from smcdsl.vocabulary import Vocabulary

DATA = Path(os.environ.get("SMCDSL_DATA", Path(__file__).parents[3] / "shared" / "data"))
FOLDERS = {"gpt2": 50256, "llama3": 128009, "llama2_spm": 2, "starcoder": 0}

needs_data = pytest.mark.skipif(not (DATA / "tokenizers").is_dir(), reason="no tokenizers: set SMCDSL_DATA")


@cache
def tokenizer_of(folder: str) -> Tokenizer:
    return Tokenizer.from_file(str(DATA / "tokenizers" / folder / "tokenizer.json"))


@cache
def load(folder: str, extra: int = 0) -> tuple[Tokenizer, Vocabulary]:
    tokenizer = tokenizer_of(folder)
    return tokenizer, read_vocabulary(tokenizer, tokenizer.get_vocab_size() + extra, [FOLDERS[folder]])


@cache
def encoder_of(folder: str) -> Encoder:
    return Encoder(*load(folder), folder)


@needs_data
@pytest.mark.parametrize("folder", FOLDERS)
def test_bytes_equal_the_ground_truth(folder):
    _, vocabulary = load(folder, extra=3)
    truth = gzip.decompress((DATA / "tokenizers" / folder / "token_bytes.txt.gz").read_bytes()).decode().splitlines()
    expected = [b"" if line.startswith("!") else base64.b64decode(line[1:]) for line in truth]
    assert list(vocabulary.token_bytes) == [*expected, b"", b"", b""]


@needs_data
@pytest.mark.parametrize("folder", FOLDERS)
def test_encoding_spells_the_text_and_follows_the_tokenizer(folder):
    tokenizer, vocabulary = load(folder)
    encoder = encoder_of(folder)
    assert round_trip_fault(encoder, vocabulary) is None
    vectors = json.loads((DATA / "tokenizers" / folder / "llama_cpp_vectors.json").read_text())
    texts = [vector["text"] if isinstance(vector, dict) else vector[0] for vector in vectors]
    for text in texts:
        ids = encoder.encode(text)
        assert vocabulary.spell(ids) == text.encode()
        if folder != "llama2_spm":
            assert ids == tokenizer.encode(text, add_special_tokens=False).ids


@needs_data
def test_a_dummy_prefix_only_where_a_text_starts():
    tokenizer, vocabulary = load("llama2_spm")
    encoder = encoder_of("llama2_spm")
    assert vocabulary.spell(encoder.encode("hello")) == b"hello"
    assert encoder.encode("hello", starts_text=True) == tokenizer.encode("hello", add_special_tokens=False).ids


@needs_data
@pytest.mark.parametrize("folder", ["gpt2", "llama3", "llama2_spm"])
def test_special_tokens_in_data_stay_text(folder):
    tokenizer, vocabulary = load(folder)
    encoder = encoder_of(folder)
    (_, name), *_ = vocabulary.special_names
    ids = encoder.encode(f"a{name}b")
    assert vocabulary.spell(ids) == f"a{name}b".encode()
    assert encoder.encode_template(name) == [tokenizer.token_to_id(name)]


@needs_data
def test_a_text_outside_a_closed_vocabulary_is_refused():
    tokenizer = Tokenizer.from_file(str(DATA / "lm" / "smiles_gpt2_0.2m" / "tokenizer.json"))
    encoder = Encoder(tokenizer, read_vocabulary(tokenizer, 66, [14]), "smiles")
    assert encoder.encode("CCO")
    with pytest.raises(ModelError, match="E0806"):
        encoder.encode("CC?")
