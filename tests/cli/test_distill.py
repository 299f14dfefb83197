"""`smcdsl distill` on a tiny random Llama: it learns, says by how much, and runs load what it wrote."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import smcdsl
from smcdsl.cli.main import run
from smcdsl.engine.distill import distill
from smcdsl.models.embedded.model import FOLDER

torch = pytest.importorskip("torch")

PROGRAM = """smc 1
program colours "A list of colours."

input subject: str

generate {
  text {
    "Colours of {{ subject }}, in one line: "
    "[[x: /(red|green|blue)( and (red|green|blue)){0,5}/]]\\n"
  }
}

return posterior x

infer smc {
  particles: 6
}
"""


SUBJECTS = ("skies", "seas", "woods", "towns", "fields")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A Llama of 50,000 parameters with the embedded model's tokenizer, and a program."""
    import transformers

    where = tmp_path_factory.mktemp("distill")
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=2304, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=256, bos_token_id=1, eos_token_id=2, initializer_range=0.4,
        tie_word_embeddings=True,
    )  # fmt: skip
    transformers.LlamaForCausalLM(config).save_pretrained(where / "target")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(FOLDER / name, where / "target" / name)
    (where / "colours.smc").write_text(PROGRAM)
    (where / "batch.jsonl").write_text("".join(json.dumps({"subject": subject}) + "\n" for subject in SUBJECTS))
    return where


def call(capsys, *arguments: str) -> tuple[int, str, str]:
    code = run(list(arguments))
    printed = capsys.readouterr()
    return code, printed.out, printed.err


@pytest.fixture(scope="module")
def distilled(folder) -> Path:
    """A draft of one layer, trained for so many steps however busy the machine is."""
    program = smcdsl.load(folder / "colours.smc")
    inputs = [program.values({"subject": subject}) for subject in SUBJECTS]
    made = distill(
        program, smcdsl.model(str(folder / "target")), inputs, folder / "draft", layers=1, steps=80,
        flags={"model": str(folder / "target")},
    )  # fmt: skip
    assert made.folder == folder / "draft"
    return made.folder


def test_a_draft_is_better_after_training_and_says_so(distilled):
    about = json.loads((distilled / "config.json").read_text())["smcdsl_draft"]
    assert about["distilled"] > about["untrained"] + 0.05
    assert 0 < about["text"] < 1
    assert about["inputs"] == 4
    assert about["held_out"] == 1
    assert about["steps"] > 0
    assert json.loads((distilled / "config.json").read_text())["num_hidden_layers"] == 1


def test_a_run_takes_the_draft(folder, distilled, capsys):
    arguments = [
        "run", str(folder / "colours.smc"), "--model", str(folder / "target"), "-i", "subject=leaves",
        "--format", "json", "--draft", str(distilled), "--gamma", "4",
    ]  # fmt: skip
    code, out, err = call(capsys, *arguments)
    assert code == 0, err
    record = json.loads(out)
    assert record["complete"]
    assert record["tokens"]["draft_accepted"] > 0
    assert record["tokens"]["draft_proposed"] >= record["tokens"]["draft_accepted"]


def test_the_last_fifth_of_a_batch_is_held_out(folder, capsys, tmp_path):
    code, out, err = call(
        capsys,
        "-q", "distill", str(folder / "colours.smc"), "--model", str(folder / "target"), "--out", str(tmp_path / "d"),
        "--batch", str(folder / "batch.jsonl"), "--layers", "1", "--minutes", "0.01", "-f", "json",
    )  # fmt: skip
    assert code == 0, err
    assert (json.loads(out)["inputs"], json.loads(out)["held_out"]) == (4, 1)


def test_the_same_input_with_other_seeds_is_held_out_where_there_is_one(folder, capsys, tmp_path):
    code, out, err = call(
        capsys,
        "-q", "distill", str(folder / "colours.smc"), "--model", str(folder / "target"), "-i", "subject=seas",
        "--out", str(tmp_path / "draft"), "--layers", "1", "--minutes", "0.01",
    )  # fmt: skip
    assert code == 0, err
    assert "acceptance on the same input, other seeds" in out
    assert f'draft: "{tmp_path / "draft"}"' in out


def test_another_folder_is_not_written_over(folder, capsys, tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    arguments = ["distill", str(folder / "colours.smc"), "-i", "subject=x", "--out"]
    code, _, err = call(capsys, *arguments, str(tmp_path))
    assert code == 2
    assert "E0817" in err
    code, _, err = call(capsys, *arguments, str(tmp_path / "letter.txt"))
    assert code == 2
    assert "E0817" in err
    assert (tmp_path / "letter.txt").read_text() == "dear"


def test_a_model_without_a_network_cannot_be_distilled(folder, capsys, tmp_path):
    code, _, err = call(
        capsys,
        "distill", str(folder / "colours.smc"), "--model", "tiny", "-i", "subject=x", "--out", str(tmp_path / "d"),
    )  # fmt: skip
    assert code == 2
    assert "E0822" in err
    assert np.all([not path.suffix for path in (tmp_path / "d").iterdir()])


def test_a_missing_input_is_a_mistake(folder, capsys, tmp_path):
    code, _, err = call(capsys, "distill", str(folder / "colours.smc"), "--out", str(tmp_path / "d"))
    assert code == 2
    assert "E0801" in err
