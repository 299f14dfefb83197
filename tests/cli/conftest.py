"""A tiny program, a tiny model, and a way to call the command line in this process."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from smcdsl.cli.main import run

PROGRAM = """smc 1
program letters "Two or three letters."

input least: int = 1
input tag: str

generate {
  text {
    "{{ tag }}"
    "[[x: /[ab]{1,3}/]]\\n"
  }

  score if_long(x)
  require chars(x) >= least
}

return posterior x

infer smc {
  particles: 8
}

infer is quick {
  particles: 4
}

potential if_long(x: str) -> weight = chars(x) / 3
"""

VOCAB = ["a", "b", "\n", "t", "<end>"]
TABLE = {
    "vocab": VOCAB,
    "eos": 4,
    "lm": {"order": 1, "table": [[[c], [0.35, 0.3, 0.3, 0.0, 0.05]] for c in (-1, 0, 1, 2, 3, 4)]},
}


@dataclass(frozen=True)
class Ran:
    """What a call did."""

    code: int
    out: str
    err: str

    def json(self):
        return json.loads(self.out)

    def lines(self):
        return [json.loads(line) for line in self.out.splitlines()]


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("SMCDSL_MODEL", "SMCDSL_SEED", "SMCDSL_PARTICLES", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    Path("letters.smc").write_text(PROGRAM)
    Path("toy.json").write_text(json.dumps(TABLE))


@pytest.fixture
def smcdsl(capfd):
    """Call the command line: `smcdsl("check", "x.smc")`."""

    def call(*arguments: str) -> Ran:
        capfd.readouterr()
        code = run(list(arguments))
        captured = capfd.readouterr()
        return Ran(code, captured.out, captured.err)

    return call


@pytest.fixture
def run_letters(smcdsl):
    """Run the tiny program on the tiny model, with more arguments."""

    def call(*arguments: str, tag: str = "t") -> Ran:
        return smcdsl("run", "letters.smc", "-m", "toy:toy.json", "-i", f"tag={tag}", *arguments)

    return call
