"""Every program in `examples/` is sound and formatted, and the one of the README's command runs."""

from __future__ import annotations

from pathlib import Path

import pytest

import smcdsl
from smcdsl.cli.fmt import formatted_text
from smcdsl.engine import check, read_source

EXAMPLES = Path(__file__).parents[1] / "examples"
PROGRAMS = sorted(EXAMPLES.glob("*.smc"))


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_examples_have_no_mistakes(path):
    _, diagnostics = check(read_source(path))
    assert [d for d in diagnostics if d.severity == "error"] == []


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_examples_are_formatted(path):
    source = read_source(path)
    assert formatted_text(source) == (source.text, [])


def test_text_to_sql_answers_a_question():
    program = smcdsl.load(EXAMPLES / "text_to_sql.smc")
    result = program.run(question="How many products are there?", db=str(EXAMPLES / "shop.sqlite"))
    assert result.best == "SELECT count(*) FROM product"
    assert result.target == "exact"
    assert result.posterior[result.best] > 0.9


def test_pandas_task_writes_a_program_that_passes(tmp_path, monkeypatch):
    """With the task alone as prompt: the embedded model has seen no others."""
    jail = pytest.importorskip("smcdsl.potentials._jail")
    try:
        opened = jail.open_jail()
    except jail.JailRefused as error:
        pytest.skip(str(error))
    text = (EXAMPLES / "pandas_task.smc").read_text()
    prompt = text[text.index("  system ") : text.index("  assistant {")]
    program = smcdsl.compile(text.replace(prompt, '  user "{{ task }}"\n').replace("tokens <= 400", "tokens <= 40"))
    setup = tmp_path / "setup.py"
    setup.write_text("numbers = [3, 1, 2]\n")
    inputs = {
        "task": "Sum the list numbers into result.",
        "setup": str(setup),
        "cases": [{"call": "result", "want": 6}],
    }
    result = program.run(**inputs, particles=4, timeout="600s")
    assert opened.run_all([jail.Program(setup.read_text(), result.best, ("result",))])[0].values == {0: 6}
