"""`smcdsl verify`: what it finds, what it says, how it exits."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from smcdsl.inference.sampler import Sampler

PROGRAM = """smc 1
program p
import potential "keys.py" as k
input least: int = 1
generate {
  text "x[[q: /[ab]{1,3}/]];"
  require chars(q) >= least
  %s
}
return posterior q
"""

POTENTIALS = """import itertools
from smcdsl import potential
from smcdsl.protocols import Weight

count = itertools.count()

@potential(prefix="any")
def short(q: str) -> bool:
    return q != "ab"

@potential()
def moody(q: str) -> Weight:
    return 1.0 + next(count)

@potential()
def sour(q: str) -> Weight:
    return 2.5 - len(q)

@potential(prefix="any")
def fine(q: str) -> bool:
    return "ba" not in q
"""

BROKEN = [
    ("require k.short(q) at token", "R0905", 'no to the prefix "ab" but yes to the finished "ab'),
    ("score k.moody(q)", "R0908", "for q = "),
    ("score k.sour(q)", "R0904", 'on the text "'),
]


@pytest.fixture
def verify(smcdsl):
    Path("keys.py").write_text(POTENTIALS)

    def call(line: str, *arguments: str):
        Path("p.smc").write_text(PROGRAM % line)
        return smcdsl("verify", "p.smc", "--runs", "400", *arguments)

    return call


def test_a_good_program_is_verified(verify):
    made = verify("require k.fine(q) at token")
    assert made.code == 0, made.out
    assert made.out.endswith("verified: nothing wrong was found\n")
    assert "branches of two particles" in made.out
    assert made.out.count("400 runs") == 3


@pytest.mark.parametrize(("line", "code", "shown"), BROKEN)
def test_a_broken_potential_is_named_with_the_text_that_shows_it(verify, line, code, shown):
    made = verify(line)
    assert made.code == 1
    assert f"error[{code}]" in made.err
    assert shown in made.err
    assert made.out.endswith("not verified: potentials wrong\n")


def test_json_has_checks_numbers_and_findings(verify):
    record = verify("score k.sour(q)", "-f", "json").json()
    assert record["schema"] == "smcdsl.verification/1"
    assert record["verified"] is False
    assert [check["name"] for check in record["checks"]] == ["texts", "potentials", "weights"]
    assert record["checks"][1]["findings"][0]["code"] == "R0904"
    good = verify("require k.fine(q)", "-f", "json").json()
    assert good["verified"] is True
    assert good["numbers"]["values"] > 2
    assert good["numbers"]["whole"] is True


def test_a_sampler_that_is_wrong_is_caught(verify, monkeypatch):
    draw = Sampler._draw

    def wrong(self, *arguments):
        tokens, weights = draw(self, *arguments)
        return tokens, np.where(np.isneginf(weights), weights, 0.0)

    monkeypatch.setattr(Sampler, "_draw", wrong)
    made = verify("require k.fine(q)")
    assert made.code == 1
    assert "not verified: exact weights, weights wrong" in made.out
    assert "Z: mean" in made.out


def test_a_program_that_no_text_passes_is_not_verified(verify):
    made = verify("require k.fine(q)", "-i", "least=9")
    assert made.code == 1
    assert "could not be checked" in made.out


def test_examples_are_pieces_of_the_table(verify):
    made = verify('require q == "aba"', "--example", "aba", "--example", ";", "-f", "json")
    assert made.json()["numbers"]["values"] == 1


MODEL = {"vocab": ["a", "b", ";", "x", "<end>"], "eos": 4}


def test_a_real_model_has_its_evidence_measured_from_both_sides(verify):
    law = [0.4, 0.3, 0.2, 0.05, 0.05]
    Path("model.json").write_text(json.dumps({**MODEL, "lm": {"order": 0, "table": [[[], law]]}}))
    made = verify("require k.fine(q) at token", "-m", "toy:model.json", "-f", "json")
    assert made.code == 0, made.out
    sides = made.json()["numbers"]["evidence"]
    texts = ("a", "b", "aa", "ab", "bb", "aaa", "aab", "abb", "bbb")
    exact = math.log(sum(math.prod(law["ab".index(letter)] for letter in text) * law[2] for text in texts))
    assert sides["is_bound"] is True
    assert sides["lower"] - 4 * sides["lower_error"] < exact < sides["upper"] + 4 * sides["upper_error"]
    text = verify("require k.fine(q) at token", "-m", "toy:model.json").out
    assert "<= log Z <=" in text


def test_a_model_on_which_all_runs_die_leaves_the_evidence_open(verify):
    Path("model.json").write_text(json.dumps({**MODEL, "lm": {"order": 0, "table": [[[], [0, 0.8, 0.1, 0, 0.1]]]}}))
    made = verify('require contains(q, "a")', "-m", "toy:model.json")
    assert made.code == 1
    assert "no survivors" in made.out
    assert made.out.endswith("not verified: evidence could not be checked\n")


def test_a_model_that_is_not_there_is_explained(verify):
    made = verify("require k.fine(q)", "-m", "toy:nothing.json")
    assert made.code == 6
    assert "E0803" in made.err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["-i", "least=x"], 2, "E0802"),
        (["-i", "most=1"], 2, "E0814"),
        (["-i", "least"], 2, "is not of the form NAME=VALUE"),
        (["--runs", "1"], 2, "--runs"),
        (["--seed", "x"], 2, "E0708"),
    ],
)
def test_bad_input_is_explained(verify, arguments, code, said):
    made = verify("require k.fine(q)", *arguments)
    assert made.code == code
    assert said in made.err


def test_a_program_with_mistakes_is_explained(smcdsl):
    Path("bad.smc").write_text("smc 1\nprogram p\n")
    assert smcdsl("verify", "bad.smc").code == 1
    assert smcdsl("verify", "nothing.smc").code == 2


def test_the_verification_is_the_same_every_time(verify):
    first, second = (verify("require k.fine(q)", "-f", "json").out for _ in range(2))
    assert json.loads(first) == json.loads(second)
