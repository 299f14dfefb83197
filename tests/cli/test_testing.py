"""`smcdsl test`: test blocks, JUnit XML, and the laws of potentials."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

TESTED = """smc 1
input least: int = 1
input tag: str = "t"

grammar word = /[ab]{1,3}/
grammar few  = word where tokens <= 2

generate {
  text {
    "{{ tag }}"
    "[[x: word]]\\n"
  }

  require chars(x) >= least
}

return posterior x

test "words" {
  accept word "ab"
  reject word "abc"
  accept word "abab"
  reject word "a"
  accept few "abc"
  expect chars(x) >= 2
  expect chars(x) < 2
  least: 2
}

test "others" {
  accept word "b"
}
"""


@pytest.fixture
def tested():
    Path("tested.smc").write_text(TESTED)


def test_lines_pass_and_fail_with_their_reasons(smcdsl, tested):
    made = smcdsl("test", "tested.smc", "-m", "toy:toy.json")
    assert made.code == 1
    assert made.out.splitlines()[:8] == [
        "tested.smc: words",
        '  ok        accept word "ab"',
        '  ok        reject word "abc"',
        "  FAILED    accept word \"abab\"   it is left at 'b', character 4",
        '  FAILED    reject word "a"   it should be rejected',
        "  FAILED    accept few \"abc\"   it is left at 'c', character 3",
        "  ok        expect chars(x) >= 2   true of 100 % of the posterior",
        "  FAILED    expect chars(x) < 2   true of 0 % of the posterior",
    ]
    assert made.out.splitlines()[-1].startswith("4 passed, 4 failed in 2 test blocks")
    assert "error[E0424]: `word` does not accept this text" in made.err
    assert "tested.smc:22:3" in made.err
    assert "error[R0920]: the result is not as expected" in made.err


def test_without_a_model_claims_are_left_out(smcdsl, tested):
    made = smcdsl("test", "tested.smc", "--no-model", "-k", "words")
    assert made.out.count("left out  expect") == 2
    assert made.out.splitlines()[-1].startswith("2 passed, 3 failed, 2 left out in 1 test block,")
    assert smcdsl("test", "tested.smc", "--no-model", "-k", "others").code == 0


def test_no_model_is_loaded_for_blocks_without_claims(smcdsl, tested):
    assert smcdsl("test", "tested.smc", "-m", "no-such-model", "-k", "others").code == 0
    assert smcdsl("test", "tested.smc", "-m", "no-such-model").code == 6


def test_best_is_one_value_and_a_posterior_is_its_weight(smcdsl):
    text = TESTED.replace('test "words" {', 'test "view" {\n  expect x == "a"\n').split('  accept word "ab"')[0] + "}\n"
    Path("view.smc").write_text(text)
    shares = {}
    for view in ("posterior", "best", "samples(4)"):
        Path("view.smc").write_text(text.replace("return posterior", f"return {view}"))
        made = smcdsl("test", "view.smc", "-m", "toy:toy.json", "--particles", "200")
        shares[view] = float(made.out.split("true of ")[1].split(" %")[0])
        assert made.code == (0 if shares[view] > 50 else 1)
    assert shares["best"] in (0, 100)
    assert 0 < shares["posterior"] < 100
    assert shares["samples(4)"] == shares["posterior"]


def test_a_block_that_cannot_run_fails_and_the_others_go_on(smcdsl):
    Path("dead.smc").write_text(TESTED.replace("least: 2", "least: 9"))
    made = smcdsl("test", "dead.smc", "-m", "toy:toy.json")
    assert made.code == 1
    assert "  FAILED    it could not be run to its end" in made.out
    assert "R0901" in made.err
    assert '  ok        accept word "b"' in made.out


def test_junit(smcdsl, tested):
    smcdsl("test", "tested.smc", "--no-model", "--junit", "out.xml")
    suite = ElementTree.parse("out.xml").getroot()[0]
    assert suite.attrib == {"name": "tested", "tests": "8", "failures": "3", "errors": "0", "skipped": "2"}
    cases = {(case.get("classname"), case.get("name")): [child.tag for child in case] for case in suite}
    assert cases["words", 'accept word "ab"'] == []
    assert cases["words", 'reject word "a"'] == ["failure"]
    assert cases["words", "expect chars(x) >= 2"] == ["skipped"]
    assert "E0424" in suite.find("./testcase/failure").text


def test_junit_that_cannot_be_written(smcdsl, tested):
    made = smcdsl("test", "tested.smc", "--no-model", "--junit", "no/such/folder/out.xml")
    assert made.code == 2
    assert "cannot be written" in made.err


def test_folders_are_looked_through(smcdsl, tested):
    made = smcdsl("test", "--no-model", "-k", "others")
    assert made.code == 0
    assert "1 passed" in made.out


def test_inputs_of_a_block_are_checked(smcdsl):
    Path("bad.smc").write_text(
        'smc 1\ninput data: json\ngrammar g = json.schema("s.json")\ngenerate {\n  text "[[x: /a/]]"\n}\n'
        'test "t" {\n  accept g "a"\n}\n'
    )
    made = smcdsl("test", "bad.smc")
    assert made.code == 1
    assert "error[" in made.err


LAWFUL = '''from smcdsl import potential


@potential(prefix="any", cost="{cost}")
def short(x: str) -> bool:
    """At most two letters."""
    {body}
    return len(x) < 3
'''


@pytest.mark.parametrize(
    ("cost", "body", "code", "found"),
    [
        ("1ms", "", 0, "verified"),
        ("1us", "import time; time.sleep(0.004)", 1, "not verified: costs wrong"),
        ("1ms", "if len(x) == 1: return False", 1, "R0905"),
    ],
)
def test_laws_of_potentials(smcdsl, cost, body, code, found):
    Path("judges.py").write_text(LAWFUL.format(cost=cost, body=body))
    Path("judged.smc").write_text(
        'smc 1\nimport potential "judges.py" as judges\ngenerate {\n  text "[[x: /[ab]{1,3}/]]\\n"\n'
        "  require judges.short(x) at token\n}\n"
    )
    made = smcdsl("test", "--potentials", "judged.smc")
    assert found in made.out + made.err
    assert made.code == code


def test_laws_need_the_inputs_of_a_test(smcdsl):
    made = smcdsl("test", "--potentials", "letters.smc")
    assert made.code == 0
    assert "left out" in made.err


def test_check_tries_texts_too(smcdsl, tested):
    assert smcdsl("check", "tested.smc").code == 0
    made = smcdsl("check", "--tests", "--output-format", "concise", "tested.smc")
    assert made.code == 1
    assert [line.split(": ")[:2] for line in made.out.splitlines()] == [
        ["tested.smc:22:3", "error[E0424]"],
        ["tested.smc:23:3", "error[E0424]"],
        ["tested.smc:24:3", "error[E0424]"],
    ]
