"""The deletion test of the language reference, 3.3: mistakes are reported where they were made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from smcdsl.errors import Diagnostic, Source
from smcdsl.language.load import check_source
from smcdsl.language.parser import parse
from tests.language.deletion import Check, Score, errors, score

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SIX = ("text_to_sql", "pandas_task", "lead_design", "goal_inference", "claim_check", "invoice_date")

RIGHT_LINE, WITHIN_ONE = 0.94, 0.99
"""The shares below which the language reference lets them fall."""

SEVERAL = 0.005
"""One mistake, one message: the share of deletions that may have more."""


def total(paths: Sequence[Path], check: Check, step: int = 1) -> Score:
    result = Score()
    for path in paths:
        result.add(score(Source(str(path), path.read_text("utf-8")), check, step))
    return result


def checkable() -> list[Path]:
    return sorted([*(ROOT / "examples").glob("*.smc"), *(ROOT / "tests/golden/good").glob("program_*.smc")])


def syntax_only(source: Source) -> Sequence[Diagnostic]:
    return parse(source)[1]


def everything(source: Source) -> Sequence[Diagnostic]:
    return check_source(source)[1]


def assert_good(result: Score) -> None:
    assert result.right_line >= RIGHT_LINE * result.noticed, result
    assert result.within_one >= WITHIN_ONE * result.noticed, result
    assert result.several <= SEVERAL * result.noticed, result


def test_syntax_mistakes_of_the_six_programs_are_reported_where_they_are() -> None:
    result = total([HERE / "programs" / f"{name}.smc" for name in SIX], syntax_only)
    assert result.noticed > 700
    assert_good(result)


@pytest.mark.long
def test_syntax_mistakes_anywhere_are_reported_where_they_are() -> None:
    result = total([HERE / "programs" / "every_construct.smc"], syntax_only)
    assert result.noticed > 500
    assert_good(result)


def test_some_mistakes_of_checkable_programs_are_reported_where_they_are() -> None:
    result = total(checkable(), everything, step=3)
    assert result.noticed > 400
    assert_good(result)


@pytest.mark.long
def test_all_mistakes_of_checkable_programs_are_reported_where_they_are() -> None:
    result = total(checkable(), everything)
    assert result.noticed > 1200
    assert_good(result)


@pytest.mark.long
def test_one_mistake_has_one_message_in_all_good_programs() -> None:
    """Slow grammars aside, and those that need facts about automata."""
    total_score = Score()
    for path in sorted((ROOT / "tests/golden/good").glob("*.smc")):
        source = Source(str(path), path.read_text("utf-8"))
        if not errors(everything(source)):
            total_score.add(score(source, everything))
    assert total_score.noticed > 2500
    assert total_score.several <= SEVERAL * total_score.noticed, total_score
