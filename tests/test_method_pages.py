"""The pages about methods: their programs run, and their numbers are computed."""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from pathlib import Path

import pytest

import smcdsl
from smcdsl.cli.main import run
from smcdsl.language.settings import METHODS
from tests.error_pages import letters_model, read_page, words
from tests.frequencies import assert_frequencies

METHOD_PAGES = Path(__file__).parents[1] / "docs" / "methods"
LCD = read_page(METHOD_PAGES / "lcd.md")


def test_every_method_has_a_page():
    assert {path.stem for path in METHOD_PAGES.glob("*.md")} == set(METHODS)


@pytest.mark.parametrize("name", METHODS)
def test_examples_run(name, tmp_path, monkeypatch, capfd):
    page = read_page(METHOD_PAGES / f"{name}.md")
    assert page.text.startswith(f"# {name}: ")
    page.write_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    Path("letters.json").write_text(letters_model())
    command = page.right_command or "smcdsl run example.smc -m toy:letters.json --particles 64"
    if name in ("beam", "rejection"):
        command = command.replace(" --particles 64", "")
    assert run(words(command)) == 0, capfd.readouterr().err
    made = json.loads(capfd.readouterr().out)
    assert (made["target"] == "biased") == (name in ("rerank", "beam"))


@pytest.mark.parametrize("name", METHODS)
def test_a_method_is_explained(name, capfd):
    assert run(["explain", name.upper()]) == 0
    assert capfd.readouterr().out.startswith(f"{name}: ")


# ---- the worked example of the bias


def shown() -> dict[str, tuple[float, float, float]]:
    """The table of the page: probabilities of a text by the model, given the grammar, and by lcd."""
    rows = re.findall(r"^\| (\w+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", LCD.text, re.MULTILINE)
    return {text: (float(model), float(given), float(local)) for text, model, given, local in rows}


def computed() -> dict[str, tuple[float, float, float]]:
    """The same by hand: all texts, letter by letter."""
    table = json.loads(dict(LCD.files)["model.json"])
    rows = {context[0]: dict(zip(table["vocab"], row, strict=True)) for context, row in table["lm"]["table"]}
    number = {token: index for index, token in enumerate(table["vocab"])}
    allowed = [text + "\n" for text in re.findall(r'"(\w\w)"', dict(LCD.files)["example.smc"])]
    model, local = {}, {}
    for text in allowed:
        model[text] = local[text] = 1.0
        for end, (before, char) in enumerate(itertools.pairwise(" " + text)):
            row = rows[number.get(before, -1)]
            nexts = {other[end] for other in allowed if other[:end] == text[:end]}
            model[text] *= row[char]
            local[text] *= row[char] / sum(row[other] for other in nexts)
    total = sum(model.values())
    return {text.strip(): (model[text], model[text] / total, local[text]) for text in allowed}


def test_the_numbers_of_the_bias_are_right():
    exact = computed()
    assert shown().keys() == exact.keys()
    for text, numbers in shown().items():
        assert numbers == pytest.approx(exact[text], rel=1e-12)
    variation = sum(abs(given - local) for _, given, local in exact.values()) / 2
    assert f"total variation between the two is {variation:.1f}:" in LCD.text


def test_lcd_draws_from_the_law_that_the_page_gives(tmp_path, monkeypatch):
    """False alarms: one in a million. The law given the grammar would pass once in 10^9 times."""
    LCD.write_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    program, model = smcdsl.load("example.smc"), smcdsl.model("toy:model.json")
    counts = Counter(program.run(model, infer="local", seed=seed).best for seed in range(60))
    assert_frequencies(counts, {text: local for text, (_, _, local) in computed().items()})
    with pytest.raises(AssertionError):
        assert_frequencies(counts, {text: given for text, (_, given, _) in computed().items()})


def test_smc_gets_the_law_given_the_grammar(tmp_path, monkeypatch):
    LCD.write_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    result = smcdsl.load("example.smc").run(smcdsl.model("toy:model.json"), particles=2000, seed=0)
    for text, (_, given, _) in computed().items():
        assert result.posterior[text] == pytest.approx(given, abs=0.1)
    assert result.target == "exact"
