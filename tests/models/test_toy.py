"""The model given by a table."""

from __future__ import annotations

import json

import numpy as np
import pytest

from smcdsl.errors import ModelError
from smcdsl.models.toy import ToyModel, load
from smcdsl.prefixes import Prefixes

TABLE = {
    "vocab": ["a", "b", "ab", "<end>"],
    "eos": 3,
    "lm": {
        "order": 2,
        "table": [
            [[-1, -1], [0.5, 0.25, 0.25, 0.0]],
            [[-1, 0], [0.1, 0.2, 0.3, 0.4]],
            [[0, 1], [0.0, 0.0, 0.0, 1.0]],
            [[0, 0], [0.25, 0.25, 0.25, 0.25]],
        ],
    },
}


def changed(**changes):
    return {**TABLE, **changes}


def test_rows_are_looked_up_by_the_last_tokens():
    model = ToyModel(TABLE)
    prefixes = Prefixes()
    session = model.start(prefixes)
    ids = [prefixes.extend(0, tokens) for tokens in ([], [0], [0, 0, 1], [0, 0])]
    rows = np.exp(session.next_logprobs(np.array(ids)))
    expected = [TABLE["lm"]["table"][row][1] for row in (0, 1, 2, 3)]
    np.testing.assert_allclose(rows, expected, rtol=1e-15)


def test_a_context_without_a_row_is_an_error():
    prefixes = Prefixes()
    session = ToyModel(TABLE).start(prefixes)
    with pytest.raises(ModelError, match="E0820") as caught:
        session.next_logprobs(np.array([prefixes.extend(0, [1, 2])]))
    assert caught.value.diagnostics[0].facts == ("the table has no row for context [1, 2]",)


def test_long_contexts_are_looked_up_too():
    context = [0] * 40
    table = {"order": 40, "table": [[context, [0.1, 0.2, 0.3, 0.4]]]}
    prefixes = Prefixes()
    session = ToyModel(changed(lm=table)).start(prefixes)
    rows = session.next_logprobs(np.array([prefixes.extend(0, [0] * 50)]))
    np.testing.assert_allclose(np.exp(rows), [[0.1, 0.2, 0.3, 0.4]])


def test_order_zero_has_one_row():
    model = ToyModel(changed(lm={"order": 0, "table": [[[], [0.1, 0.2, 0.3, 0.4]]]}))
    prefixes = Prefixes()
    ids = np.array([prefixes.extend(0, [0]), prefixes.extend(0, [1])])
    np.testing.assert_allclose(np.exp(model.start(prefixes).next_logprobs(ids)), [[0.1, 0.2, 0.3, 0.4]] * 2)


def test_text_is_spelled_longest_token_first_as_far_as_it_goes():
    model = ToyModel(changed(vocab=["a", "ab", "bc", "<end>"], eos=3))
    assert model.encode("ab") == [1]
    assert model.encode("abc") == [0, 2]
    assert model.encode("") == []
    with pytest.raises(ModelError) as caught:
        model.encode("abd")
    assert caught.value.diagnostics[0].facts == ("no tokens spell the given text 'abd'",)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({}, "it has no 'vocab'"),
        (changed(eos=9), "`eos` must be the number of a token"),
        (changed(vocab=["a", 1, "b", "c"]), "`vocab` must be a list of texts"),
        (changed(lm={"order": 1, "table": [[[-1, 0], [1, 0, 0, 0]]]}), "must be 1 token numbers"),
        (changed(lm={"order": 1, "table": [[[7], [1, 0, 0, 0]]]}), "token numbers below 4"),
        (changed(lm={"order": 0, "table": [[[], [0.5, 0.4, 0, 0]]]}), "sum to 0.9"),
        (changed(lm={"order": 0, "table": [[[], [1.0, 0, 0]]]}), "needs 4 probabilities"),
        (changed(lm={"order": 0, "table": [[[], [1.5, -0.5, 0, 0]]]}), "needs 4 probabilities"),
        (changed(lm={"order": 0, "table": [[[], [1, 0, 0, 0]], [[], [1, 0, 0, 0]]]}), "two rows"),
        (changed(chat={"assistant": [[0], [1]]}), "must begin with `eos`"),
    ],
)
def test_what_is_no_table_is_refused(table, said):
    with pytest.raises(ModelError) as caught:
        ToyModel(table)
    assert said in caught.value.diagnostics[0].facts[0]


def test_chat_turns_need_a_template():
    with pytest.raises(ModelError, match="E0804"):
        ToyModel(TABLE).turn((), "user")
    model = ToyModel(changed(chat={"user": [[0], [1]], "assistant": [[2], [3, 1]]}))
    assert model.turn((), "user").opening == (0,)
    assert model.turn(("user",), "assistant").closing == (3, 1)
    with pytest.raises(ModelError, match="E0605"):
        model.turn((), "system")


def test_a_file_is_loaded_by_name(tmp_path):
    path = tmp_path / "toy.json"
    path.write_text(json.dumps(TABLE))
    model = load(str(path))
    assert model.name == f"toy:{path}"
    assert len(model.description["weights_sha256"]) == 64
    assert len(model.vocabulary) == 4
    path.write_text("{")
    with pytest.raises(ModelError, match="E0820"):
        load(str(path))
    with pytest.raises(ModelError, match="E0803"):
        load(str(tmp_path / "nothing.json"))
