"""What potentials print and do does not reach the tool's results."""

import json
from pathlib import Path

import pytest

PROGRAM = """smc 1
input tag: str
potential loud(x: str) -> weight = py("loud.py:loud"){facts}
generate {{
  text "{{{{ tag }}}}[[x: /[ab]/]]\\n"
  score loud(x) at end
}}
return posterior x
"""
LOUD = """import os
import sys

print("imported")

def loud(x: str) -> float:
    print("called")
    sys.stdout.write("by name\\n")
    return 1.0
"""


@pytest.mark.parametrize("facts", ["", " { workers: 1 }", " { timeout: 60s }"])
def test_stdout_has_the_result_alone(smcdsl, facts):
    Path("loud.smc").write_text(PROGRAM.format(facts=facts))
    Path("loud.py").write_text(LOUD)
    made = smcdsl("run", "loud.smc", "-m", "toy:toy.json", "-i", "tag=t")
    assert made.code == 0
    assert made.json()["complete"] is True
    assert "imported" in made.err
    assert made.err.count("called") == made.err.count("by name") == 2


def test_rows_of_a_batch_have_workers_of_their_own_program_only(smcdsl):
    Path("loud.smc").write_text(PROGRAM.format(facts=" { workers: 2 }"))
    Path("loud.py").write_text(LOUD)
    Path("rows.jsonl").write_text("".join(json.dumps({"tag": "t" * number}) + "\n" for number in range(1, 6)))
    made = smcdsl("run", "loud.smc", "-m", "toy:toy.json", "--batch", "rows.jsonl", "--jobs", "2")
    assert [line["status"] for line in made.lines()] == ["ok"] * 5
    assert made.err.count("imported") <= 2


def test_consistency_is_asked_for_by_a_flag(smcdsl):
    Path("loud.smc").write_text(PROGRAM.format(facts=""))
    Path("loud.py").write_text(
        "import itertools\nnumbers = itertools.count(1)\ndef loud(x): return next(numbers) / 9\n"
    )
    arguments = ("run", "loud.smc", "-m", "toy:toy.json", "-i", "tag=t")
    assert smcdsl(*arguments).code == 0
    made = smcdsl(*arguments, "--check-potentials")
    assert made.code == 5
    assert made.err.startswith("error[R0908]: `loud` gives another result when it is asked again")
