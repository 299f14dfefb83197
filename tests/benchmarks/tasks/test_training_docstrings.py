"""Exercises made of docstrings: they run, they show what they ask for, and what is held out is not trained on."""

import ast
import sys
from pathlib import Path
from random import Random

import pytest

ROOT = Path(__file__).parents[3]
if not (ROOT / "benchmarks").is_dir():
    pytest.skip("needs a checkout", allow_module_level=True)
sys.path.insert(0, str(ROOT))
pytest.importorskip("pandas")

from smcdsl.potentials._jail import run_all  # noqa: E402
from smcdsl.potentials._jail_report import Limits, Program  # noqa: E402

from benchmarks.tasks.training import adapt, docstrings  # noqa: E402

TEXT = """clip(low, high)

Trim values at thresholds.

Examples
--------
>>> import numpy as np
>>> other = np.arange(9)
>>> data = np.array([1, 5, 9])
>>> data[0] = 2
>>> data.clip(3, 6)
array([3, 5, 6])

Changed in place:

>>> clipped = data.clip(3, 6)
>>> clipped
array([3, 5, 6])
>>> data
array([2, 5, 9])
>>> np.array([1])
array([1])
"""


@pytest.fixture(scope="module")
def found():
    return docstrings.exercises(Random(1))


def made(text):
    return list(docstrings._of("np.clip", text, Random(3)))


def test_an_example_becomes_a_question_with_the_code_that_it_needs_and_no_other():
    first, second, third = made(TEXT)
    assert first.setup == "import numpy as np\n\n\ndata = np.array([1, 5, 9])\ndata[0] = 2\n"
    assert first.answer == f"{first.name} = data.clip(3, 6)"
    assert "rim values at thresholds" in first.task
    assert second.answer == f"{second.name} = data.clip(3, 6)", "a variable that is shown is what made it"
    assert (third.name, third.answer) == ("data", "data[0] = 2"), "a change in place is an answer"


@pytest.mark.parametrize("text", ["no examples", ">>> 1 +\n2\n", ">>> f(\n", "Adds.\n\n>>> f(x)\nTraceback (most\n"])
def test_what_shows_no_value_makes_no_exercise(text):
    assert made(text) == []


def test_exercises_are_many_and_most_of_them_run(found):
    assert len(found) > 2000
    drawn = Random(2).sample(found, 40)
    reports = run_all([Program(each.setup, each.answer) for each in drawn], Limits(seconds=20.0, memory_bytes=2 << 30))
    assert sum(report.ok for report in reports) >= 36


def test_an_answer_sets_the_variable_that_is_asked_for(found):
    for each in found:
        (statement,) = ast.parse(each.answer).body
        assert each.name in docstrings._bound(statement), each


def test_what_is_held_out_is_of_other_docstrings(found):
    train, held_out = adapt.divided(found)
    assert len(train) + len(held_out) == len(found)
    assert len(held_out) >= adapt.HELD_OUT
    assert not {each.about for each in train} & {each.about for each in held_out}
    assert [e.about for e in adapt.divided(docstrings.exercises(Random(9)))[1]] == [e.about for e in held_out]


def test_the_prompt_is_the_benchmark_s():
    source = (ROOT / "benchmarks" / "tasks" / "programs" / "ds1000" / "full.smc").read_text()
    assert f'system "{adapt.SYSTEM}"' in source
    body = source.split('user """\n')[1].split('\n  """')[0]
    text = "\n".join(line.removeprefix("  ") for line in body.split("\n"))
    for name in ("task", "setup", "name"):
        text = text.replace("{{ " + name + " }}", "{" + name + "}")
    assert text == adapt.USER
    assert repr(adapt.OPENING)[1:-1] in source
