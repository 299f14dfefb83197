"""What is advised after a run that came to nothing can be done in that program."""

from __future__ import annotations

from pathlib import Path

import pytest

from smcdsl.engine import compile
from smcdsl.inference.results.advice import after_collapse, after_no_survivors, earlier
from smcdsl.inference.settings import Settings

JUDGES = """
from smcdsl import Weight, potential

@potential()
def whole(text: str) -> Weight: ...

@potential(prefix="closed")
def closed(text: str) -> Weight: ...

@potential(prefix="any")
def always(text: str) -> Weight: ...
"""
PROGRAM = """smc 1

import potential "judges.py" as judges

grammar words {{
  start = word more*
  more = "-" word
  word = /[ab]{{1,2}}/
}}

generate {{
  text "[[x: words]]\\n"
  {factor}
}}
"""


@pytest.fixture
def plan_with(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("judges.py").write_text(JUDGES)
    return lambda factor: compile(PROGRAM.format(factor=factor)).plan


@pytest.mark.parametrize(
    ("factor", "advice"),
    [
        ("score judges.always(x)", "a preview at an earlier boundary (`at token`)"),
        ("score judges.always(x) at word", "a preview at an earlier boundary (`at token`)"),
        ("score judges.always(x) at token", ""),
        ("score judges.closed(x)", "a preview at an earlier boundary (`at "),
        ("score judges.closed(x) at word", ""),
        ("score judges.whole(x)", "a prefix form of `judges.whole`, to judge before the end (`at token`)"),
        ("score judges.whole(x) * judges.always(x)", "a prefix form of `judges.whole`"),
        ("score judges.always(w) each w in x.word", ""),
        ("require chars(x) > 3", "a grammar that says it (`where`)"),
    ],
)
def test_a_factor_is_judged_earlier_where_it_can_be(plan_with, factor, advice):
    plan = plan_with(factor)
    assert earlier(plan, plan.factors[0]).startswith(advice)
    assert advice or not earlier(plan, plan.factors[0])


def test_particles_are_doubled_only_by_methods_that_can(plan_with):
    plan = plan_with("require chars(x) > 3")
    for settings, grows in ((Settings(), True), (Settings(grow=2), False), (Settings(method="rerank"), False)):
        advice = after_no_survivors(plan, settings, plan.factors, [])
        assert f"--particles {4 * settings.particles}" in advice
        assert ("--grow 3" in advice) == grows


def test_without_a_factor_to_blame_particles_are_not_the_cure(plan_with):
    plan = plan_with("require chars(x) > 3")
    assert "particles" not in after_no_survivors(plan, Settings(), [], ["grammar"])
    assert "observed" in after_no_survivors(plan, Settings(), [], ["observe"])


@pytest.mark.parametrize(("power", "advice"), [("^ 3", "`^ 1`"), ("^ 0.5", "`^ 0.25`"), ("", "`^ 0.5`")])
def test_a_steep_factor_is_weakened(plan_with, power, advice):
    plan = plan_with(f"score judges.always(x) {power}")
    found = after_collapse(plan, Settings(), plan.factors[0])
    assert found.startswith(f"try {advice}, more particles (--particles 64), or a preview")
