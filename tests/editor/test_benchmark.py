"""The program that `benchmarks/lsp.py` types into is a right one, and as long as it says."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from smcdsl.errors import Source
from smcdsl.language.load import check_source

ROOT = Path(__file__).parents[2]
if not (ROOT / "benchmarks" / "lsp.py").is_file():
    pytest.skip("needs a checkout", allow_module_level=True)
sys.path.insert(0, str(ROOT))

from benchmarks.lsp import keystrokes, program  # noqa: E402


@pytest.mark.parametrize("kind", ["sql", "python"])
def test_the_program_is_long_and_right(kind):
    text = program(kind)
    assert text.count("\n") >= 200
    assert check_source(Source("long.smc", text))[1] == []


def test_what_is_typed_is_taken_away_again():
    text = program("sql")
    strokes = keystrokes(text, 1)
    assert len(strokes) == 100
    assert sum(changed == text for changed, _ in strokes) == 7
    assert all(0 < offset <= len(changed) for changed, offset in strokes)
