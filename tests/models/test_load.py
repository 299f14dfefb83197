"""From names to models, and what is said when that fails."""

import json
import os
import shutil
import socket
from pathlib import Path

import pytest

from smcdsl.errors import ModelError
from smcdsl.models import load_mistakes
from smcdsl.models.load import aliases, load_model, similar
from smcdsl.models.token_bytes import cannot_spell
from smcdsl.report.diagnostics import render

DATA = Path(os.environ.get("SMCDSL_DATA", Path(__file__).parents[3] / "shared" / "data"))
needs_data = pytest.mark.skipif(not (DATA / "lm").is_dir(), reason="no models: set SMCDSL_DATA")


def refusal(name, **options):
    with pytest.raises(ModelError) as caught:
        load_model(name, **options)
    assert caught.value.model == name
    return caught.value.diagnostics[0]


def test_the_alias_table_has_what_the_documentation_names():
    assert aliases()["llama-3.1-8b"].hub == "meta-llama/Llama-3.1-8B"
    assert aliases()["llama-3.1-8b"].gated


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("llama3.1-8b", ["llama-3.1-8b"]), ("Llama-3.1-8B-instruct", ["llama-3.1-8b-instruct"]), ("banana", [])],
)
def test_similar_names(typed, meant):
    assert similar(typed) == meant


def test_an_unknown_name_gets_a_suggestion():
    diagnostic = refusal("llama3.1-8b")
    assert diagnostic.code == "E0803"
    assert diagnostic.message == "I do not know a model called `llama3.1-8b`"
    assert diagnostic.help == (
        "did you mean `llama-3.1-8b`? A folder or a hub name works too. `smcdsl models` lists the aliases"
    )


@pytest.mark.parametrize("name", ["./nope/model", "/nope", "a/b/c"])
def test_a_missing_folder_is_called_one(name):
    assert refusal(name).message == f"there is no model folder `{name}`"


def test_folders_without_their_parts(tmp_path):
    assert "config.json" in refusal(str(tmp_path)).message
    (tmp_path / "config.json").write_text("{}")
    diagnostic = refusal(str(tmp_path))
    assert diagnostic.code == "E0808"
    assert "weights" in diagnostic.message
    (tmp_path / "model.safetensors").write_bytes(b"")
    assert "tokenizer" in refusal(str(tmp_path)).message


@needs_data
def test_broken_weights_are_explained(tmp_path):
    for file in (DATA / "lm" / "stories260k").iterdir():
        shutil.copy(file, tmp_path / file.name)
    (tmp_path / "model.safetensors").chmod(0o644)
    (tmp_path / "model.safetensors").write_bytes(b"not weights")
    assert refusal(str(tmp_path)).code == "E0811"


@needs_data
def test_a_model_without_an_end_token_is_refused(tmp_path):
    for file in (DATA / "lm" / "stories260k").iterdir():
        shutil.copyfile(file, tmp_path / file.name)
    for file in ("config.json", "generation_config.json", "tokenizer_config.json"):
        settings = json.loads((tmp_path / file).read_text())
        settings |= {"eos_token_id": None, "eos_token": None}
        (tmp_path / file).write_text(json.dumps(settings))
    assert refusal(str(tmp_path)).code == "E0813"


def test_offline_is_noticed_at_once(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("a connection was tried"))
    assert load_mistakes.must_stay_offline("some-org/some-model", None)


class GatedRepoError(OSError):
    pass


class RepositoryNotFoundError(OSError):
    pass


class LocalEntryNotFoundError(OSError):
    pass


@pytest.mark.parametrize(
    ("cause", "code"),
    [
        (GatedRepoError(), "E0810"),
        (RepositoryNotFoundError(), "E0803"),
        (LocalEntryNotFoundError(), "E0809"),
        (ValueError("bad header"), "E0811"),
    ],
)
def test_each_cause_has_its_message(cause, code, golden):
    error = OSError("cannot load")
    error.__cause__ = cause
    with pytest.raises(ModelError) as caught, load_mistakes.explained("llama-3.1-8b", "meta-llama/Llama-3.1-8B", False):
        raise error
    assert caught.value.diagnostics[0].code == code
    golden(f"models/{code}.expected", render(caught.value.diagnostics))


@pytest.mark.parametrize(
    "diagnostic",
    [
        cannot_spell("some-model", "a naïve text".encode(), 4),
        load_mistakes.unknown_tokenizer("some-model", "a sample text comes back as b'x'"),
        load_mistakes.no_end_token("some-model"),
    ],
    ids=lambda diagnostic: diagnostic.code,
)
def test_what_does_not_fit_is_explained(diagnostic, golden):
    golden(f"models/{diagnostic.code}.expected", render([diagnostic]))
