"""Every program in `examples/` is sound and formatted, and the one of the README's command runs."""

from __future__ import annotations

from pathlib import Path

import pytest

import smcdsl
from smcdsl.cli.fmt import formatted_text
from smcdsl.engine import check, read_source

EXAMPLES = Path(__file__).parents[1] / "examples"
PROGRAMS = sorted(EXAMPLES.glob("*.smc"))

NOT_YET = {"pandas_task": "python", "lead_design": "smiles"}
"""Programs of the language reference whose libraries are still to come."""


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_examples_have_no_mistakes(path):
    _, diagnostics = check(read_source(path))
    library = NOT_YET.get(path.stem)
    if library is None:
        assert [d for d in diagnostics if d.severity == "error"] == []
    else:
        assert any(f"`{library}`" in diagnostic.message for diagnostic in diagnostics)


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
