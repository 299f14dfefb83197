"""Given text, turns and their failures."""

from __future__ import annotations

from typing import Any

import pytest
from building import Functions, hole, insert, program, text, turn
from oracles.enumerated import language
from running import results, toy

from smcdsl.errors import ModelError, UsageError
from smcdsl.models.toy import ToyModel
from smcdsl.program.evaluation import EvaluationError
from smcdsl.program.types import INT
from smcdsl.vocabulary import Vocabulary


def test_a_character_that_the_model_began_is_finished_byte_by_byte() -> None:
    """After `a` the model writes the first byte of `é`; the second is given, and the next hole follows it."""
    a, first, second, b = range(4)
    rows = {-1: {a: 1.0}, a: {first: 1.0}, second: {b: 1.0}, b: {4: 1.0}}
    table = [[[context], [law.get(token, 0.0) for token in range(5)]] for context, law in rows.items()]
    model = ToyModel({"vocab": ["a", "x", "y", "b", "<end>"], "eos": 4, "lm": {"order": 1, "table": table}})
    model.vocabulary = Vocabulary((b"a", b"\xc3", b"\xa9", b"b", b""), (4,))
    made = program(turn("text", text(hole("q"), "é"), text(hole("r"))), returns="r")
    languages = {"q": language(["a"]), "r": language(["b"])}
    (posterior,) = results(made, model, languages, Functions(), particles=3)
    assert posterior.values == ("b", "b", "b")
    assert posterior.log_z == pytest.approx(0.0)
    assert posterior.particles[0].text == "aéb"


def test_a_given_text_that_cannot_be_spelled_is_an_error() -> None:
    made = program(turn("text", "z", text(hole("q"))))
    with pytest.raises(ModelError, match="E0820"):
        results(made, toy(["a"]), {"q": language(["a"])}, Functions())


def test_chat_turns_on_a_model_without_a_template_point_at_the_turn() -> None:
    made = program(turn("user", "a"), turn("assistant", text(hole("q"))))
    with pytest.raises(ModelError) as caught:
        results(made, toy(["a"]), {"q": language(["a"])}, Functions())
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == "E0804"
    assert diagnostic.labels[0].text == "chat turns need a template"


def test_an_empty_text_cannot_end_a_hole() -> None:
    made = program(turn("text", text(hole("q"), insert("end")), text(hole("r"))))
    languages = {"q": language(["a"]), "r": language(["a"])}
    with pytest.raises(UsageError, match="E0607"):
        results(made, toy(["a", "b"]), languages, Functions(), {"end": ""})
    (posterior,) = results(made, toy(["a", "b"]), languages, Functions(), {"end": "b"}, particles=2)
    assert posterior.finished.all()


@pytest.mark.parametrize(("texts", "values"), [(["1", "22"], {1, 22}), (["007"], {7})])
def test_values_have_the_declared_type(texts: list[str], values: set[int]) -> None:
    made = program(turn("text", text(hole("n"))), types={"n": INT})
    (posterior,) = results(made, toy(["0", "1", "2", "7"]), {"n": language(texts)}, Functions(), particles=8)
    assert set(posterior.values) <= values


def test_a_text_that_is_no_value_of_its_type_is_explained() -> None:
    made = program(turn("text", text(hole("n"))), types={"n": INT})
    with pytest.raises(EvaluationError, match="`n` is 'a', which is no `int`"):
        results(made, toy(["a"]), {"n": language(["a"])}, Functions(), particles=2)


def test_the_transcript_shows_given_text_between_holes() -> None:
    made = program(turn("text", "b", text(hole("q"), ";ab"), text(hole("r"))))
    languages: dict[str, Any] = {"q": language(["a"]), "r": language(["b"])}
    (posterior,) = results(made, toy(["a", "b", ";"]), languages, Functions(), particles=2)
    assert posterior.particles[0].text == "a;abb"
    assert posterior.particles[0].holes == {"q": "a", "r": "b"}
