"""Pedantic warnings say what is so, and keep quiet where they cannot know."""

from __future__ import annotations

from pathlib import Path

import pytest

from smcdsl.compiler.analyze import GrammarAnalysis
from smcdsl.errors import Source
from smcdsl.language.load import check_source

FACTS = GrammarAnalysis()
PROGRAM = """smc 1
import smiles
input least: int = 3
grammar colour = /[a-z]{{3,9}}/
grammar verdict = "yes" | "no"
potential short(s: str) -> weight = exp(-chars(s))
generate {{
  user "{prompt}"
  assistant "[[q: colour]],[[v: verdict]];\\n[[m: smiles.molecule() where chars <= 9]]"
  {factor}
}}
return posterior {{ q: q, v: v, m: m }}
{tests}
"""
TESTS = 'test "colours" {\n  accept colour "red"\n  accept colour "blue"\n  reject colour "x"\n}\n'
PROMPT = "A colour, yes or no, and a molecule."


def codes(*, prompt: str = PROMPT, factor: str = "", tests: str = "", pedantic: bool = True) -> list[str]:
    text = PROGRAM.format(prompt=prompt, factor=factor, tests=tests)
    found = check_source(Source("x.smc", text), path=Path("x.smc"), facts=FACTS, pedantic=pedantic)[1]
    assert not [each for each in found if each.severity == "error"], found
    return [each.code for each in found]


@pytest.mark.parametrize(
    ("factor", "found"),
    [
        ("require chars(q) < 9", ["W0514"]),
        ("require chars(q) < 4", []),
        ("require chars(q) < 2", []),  # always false is another matter
        ("require chars(q) >= least", ["W0514"]),
        ("require chars(q) > least", []),
        ("score short(q)", []),
        ("score short(q) ^ 0", ["W0513"]),
        ("score exp(-least)", ["W0513"]),
        ("score 1 / (1 + chars(m))", []),  # no test has a text for m
        ("guide short(q) at token", []),
        ("let n = 3\n  score exp(-n)", []),
    ],
)
def test_factors_are_tried_on_what_the_tests_accept(factor, found):
    tests = TESTS + 'test "more" {\n  least: 3\n  accept verdict "yes"\n}\n'
    assert codes(factor=factor, tests=tests) == found
    assert codes(factor=factor) == []
    assert codes(factor=factor, tests=tests, pedantic=False) == []


def test_one_text_shows_nothing():
    one = 'test "one" {\n  accept colour "red"\n}\n'
    assert codes(factor="require chars(q) < 9", tests=one) == []


@pytest.mark.parametrize(
    ("prompt", "count"),
    [
        (PROMPT, 0),
        ("YES, and a SMILES string.", 0),
        ("A colour and a molecule.", 1),
        ("Eyes and noses.", 2),
        ("{{ least }}", 0),
    ],
)
def test_prompts_are_looked_through_for_the_words_of_the_grammar(prompt, count):
    assert codes(prompt=prompt) == ["W0611"] * count
