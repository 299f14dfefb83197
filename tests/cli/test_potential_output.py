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


HELPER = """smc 1
import potential "helper.py" as own
import computed
input tag: str = "t"
generate {
  text "{{ own.shout(tag) }}[[x: computed.start(tag: tag)]]\\n"
}
"""
COMPUTED = """// smcdsl: grammar start(tag: str) specialize computed.py:specialize
start: /[ab]/
"""


@pytest.mark.parametrize(
    "verb",
    [
        ("show", "--prompt"), ("show", "--grammar", "x"), ("show", "-m", "toy:toy.json"), ("grammar", "x"),
        ("run", "-m", "toy:toy.json"), ("build", "-m", "toy:toy.json", "-i", "tag=t"), ("verify",),
    ],
    ids=" ".join,
)  # fmt: skip
def test_what_helpers_and_computed_grammars_print_is_no_result(smcdsl, verb):
    Path("grammars").mkdir()
    Path("p.smc").write_text(HELPER)
    Path("helper.py").write_text(
        'print("imported")\ndef shout(text: str) -> str:\n    print("called")\n    return text\n'
    )
    Path("grammars/computed.lark").write_text(COMPUTED)
    Path("grammars/computed.py").write_text(
        'print("imported")\ndef specialize(grammar, rule, arguments):\n    print("called")\n    return grammar\n'
    )
    made = smcdsl(verb[0], "p.smc", *verb[1:])
    assert made.code == 0, made.err
    assert "called" in made.err
    assert "imported" not in made.out
    assert "called" not in made.out


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
