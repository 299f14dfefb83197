"""`smcdsl grammar`: texts tried from the command line."""

from __future__ import annotations

from pathlib import Path

import pytest


def test_accepted_and_not(smcdsl):
    assert smcdsl("grammar", "letters.smc", "x", "--accepts", "aba").out == "accepted\n"
    made = smcdsl("grammar", "letters.smc", "x", "--accepts", "abca")
    assert made.code == 1
    assert made.out == (
        "not accepted: it leaves x at byte 2 (line 1, column 3)\n"
        "1 | abca\n"
        "  |   ^ not possible here\n"
        "possible here: [ab] or the end\n"
    )


def test_why_not_explains_and_does_not_fail(smcdsl):
    made = smcdsl("grammar", "letters.smc", "x", "--why-not", "")
    assert made.code == 0
    assert "x goes on after this text" in made.out
    assert smcdsl("grammar", "letters.smc", "x", "--why-not", "b").out == "accepted\n"


def test_next_shows_forced_texts_characters_and_the_end(smcdsl):
    Path("words.smc").write_text(
        'smc 1\ngrammar word = ("select " | "söme") /[0-9A-Fxé-ü]/ | "up"?\ngenerate {\n  text "[[x: word]]"\n}\n'
    )
    assert smcdsl("grammar", "words.smc", "word", "--next", "").out == '"up"\n"s"\nthe end\n'
    assert smcdsl("grammar", "words.smc", "word", "--next", "se").out == '"lect "\n'
    assert smcdsl("grammar", "words.smc", "word", "--next", "select ").out == "[0-9A-Fx]\ncharacters beyond ASCII\n"
    assert smcdsl("grammar", "words.smc", "word", "--next", "up").out == "the end\n"


def test_next_after_what_is_no_beginning(smcdsl):
    made = smcdsl("grammar", "letters.smc", "x", "--next", "c")
    assert made.code == 1
    assert "it leaves the grammar at byte 0" in made.out


def test_samples_are_accepted_and_seeded(smcdsl):
    made = smcdsl("grammar", "letters.smc", "x", "--sample", "5", "--seed", "3")
    assert made.out == smcdsl("grammar", "letters.smc", "x", "--sample", "5", "--seed", "3").out
    assert len(made.out.splitlines()) == 5
    for text in made.out.splitlines():
        assert smcdsl("grammar", "letters.smc", "x", "--accepts", text).code == 0


def test_without_a_trial_the_rules_are_printed(smcdsl):
    made = smcdsl("grammar", "letters.smc", "x")
    assert (made.code, made.err) == (0, "")
    assert made.out == smcdsl("show", "letters.smc", "--grammar", "x").out
    assert smcdsl("grammar", "letters.smc", "x", "-f", "json").json() == {"grammar": made.out}


def test_without_a_name_the_grammars_are_listed(smcdsl):
    Path("two.smc").write_text('smc 1\ngrammar word = /[ab]/\ngenerate {\n  text "[[x: word]] [[_: word]]\\n"\n}\n')
    assert smcdsl("grammar", "two.smc").out == "x     hole\nword  grammar\n"
    assert smcdsl("grammar", "two.smc", "-f", "json").json()[1] == {"name": "word", "kind": "grammar"}
    made = smcdsl("grammar", "two.smc", "--sample", "1")
    assert (made.code, made.out) == (2, "")
    assert "name the grammar to try: x, word" in made.err


def test_json(smcdsl):
    made = smcdsl("grammar", "letters.smc", "x", "--accepts", "abca", "-f", "json")
    assert made.json() == {"accepted": False, "read": 2, "possible": ["[ab]", "the end"]}
    assert smcdsl("grammar", "letters.smc", "x", "--next", "abb", "-f", "json").json() == ["the end"]
    assert smcdsl("grammar", "letters.smc", "x", "--next", "c", "-f", "json").json() is None
    assert len(smcdsl("grammar", "letters.smc", "x", "--sample", "2", "-f", "json").json()) == 2


def test_texts_from_files(smcdsl):
    Path("text.txt").write_text("ab")
    assert smcdsl("grammar", "letters.smc", "x", "--accepts", "@text.txt").out == "accepted\n"
    made = smcdsl("grammar", "letters.smc", "x", "--accepts", "@missing.txt")
    assert made.code == 2
    assert "E0816" in made.err


def test_limits_on_tokens_are_said_to_be_left_out(smcdsl):
    Path("few.smc").write_text('smc 1\ngenerate {\n  text "[[x: /a+/ where tokens <= 2]]"\n}\n')
    made = smcdsl("grammar", "few.smc", "x", "--accepts", "aaaa")
    assert made.code == 0
    assert "limits on tokens are left out" in made.err


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["letters.smc", "x", "--accepts", "a", "--next", "a"], "try one thing at a time"),
        (["letters.smc", "y", "--accepts", "a"], "nothing here is called `y`"),
        (["missing.smc", "x", "--accepts", "a"], "there is no file `missing.smc`"),
        (["letters.smc", "x", "--sample", "0"], "0 is not in the range"),
        (["letters.smc", "x", "--accepts", "a", "-i", "tag"], "is not of the form NAME=VALUE"),
    ],
)
def test_what_cannot_be_tried_is_explained(smcdsl, arguments, found):
    made = smcdsl("grammar", *arguments)
    assert made.code == 2
    assert found in made.err
    assert made.out == ""


def test_control_characters_are_spelled_out(smcdsl):
    made = smcdsl("grammar", "letters.smc", "x", "--accepts", "a\x1b[31m\u202e")
    assert "\x1b" not in made.out
    assert "\\x1b" in made.out
    assert "\\u202e" in made.out
