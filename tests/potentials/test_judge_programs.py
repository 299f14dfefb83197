"""Programs with judges: what they denote is what comes out, and what goes wrong has a place in the program."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from smcdsl.potentials import judge

import smcdsl
from smcdsl.errors import ModelError, PotentialError, UsageError
from smcdsl.report.diagnostics import render
from tests.potentials.endpoints import answer, endpoint
from tests.potentials.small_models import language_model

torch = pytest.importorskip("torch")
EXAMPLE = Path(__file__).parents[2] / "examples" / "judged.smc"

TWO = """smc 1
import judge
input judge_model: str
generate {{
  text {{
    "Say:"
    "[[w: " good" | " bad"]]\\n"
  }}
  score {score}
}}
return posterior w
infer smc {{
  particles: 2000
}}
"""


@pytest.fixture(scope="module")
def chatting(tmp_path_factory) -> str:
    return language_model(tmp_path_factory.mktemp("judging"), seed=2, spread=1.0)


def posterior(score: str, judge_model: str, **settings: object) -> dict[str, float]:
    source = TWO.format(score=score)
    result = smcdsl.compile(source).run(smcdsl.model("toy:" + str(settings.pop("lm"))), judge_model=judge_model, seed=1)
    return {text: result.posterior[text] for text in (" good", " bad")}


@pytest.fixture
def even(tmp_path) -> str:
    """A table that writes either word with probability one half."""
    vocabulary = ["Say:", " good", " bad", "\n", "<end>"]
    row = [0.0, 0.5, 0.5, 0.0, 0.0]
    table = [[[token], row if token == 0 else [0, 0, 0, 1, 0]] for token in range(-1, 5)]
    path = tmp_path / "even.json"
    path.write_text(json.dumps({"vocab": vocabulary, "eos": 4, "lm": {"order": 1, "table": table}}))
    return str(path)


def test_the_posterior_is_the_prior_times_the_judge(even, chatting):
    question = "Is it friendly?"
    weights = [score**2 for score in judge.yes(chatting, question, [" good", " bad"], 1.5)]
    expected = weights[0] / sum(weights)
    assert abs(expected - 0.5) > 0.1, "a judge that says the same of both shows nothing"
    found = posterior(f'judge.yes(judge_model, "{question}", w, temperature: 1.5) ^ 2', chatting, lm=even)
    # 2,000 particles: the standard error is 0.011 at most, and the seed is fixed.
    assert found[" good"] == pytest.approx(expected, abs=0.06)
    assert found[" good"] + found[" bad"] == pytest.approx(1)


def test_a_step_asks_a_service_once_for_all_texts(even, monkeypatch):
    def likes_good(connection, request, number):
        scores = [1.0 if text == " good" else 0.0 for text in request.texts]
        return answer(connection, json.dumps({"scores": scores}).encode())

    with endpoint(likes_good) as service:
        monkeypatch.setenv("SMCDSL_HTTP_HOSTS", service.place)
        found = posterior("judge.endpoint(judge_model, w)", service.url, lm=even)
        assert found == pytest.approx({" good": 1.0, " bad": 0.0})
        assert [sorted(request.texts) for request in service.requests] == [[" bad", " good"]]


@pytest.mark.parametrize(
    ("name", "score", "error", "said"),
    [
        ("./no/such/folder", 'judge.yes(judge_model, "Is it?", w)', ModelError, "there is no model folder"),
        ("http://127.0.0.1:9/", "judge.endpoint(judge_model, w)", UsageError, "SMCDSL_HTTP_HOSTS does not list it"),
        ("tiny", 'judge.yes(judge_model, "Is it?", w)', ModelError, "no token for the answer `yes`"),
        (
            "tiny",
            'judge.classify(judge_model, w, "good")',
            ModelError,
            "neither a sequence classifier",
        ),
    ],
)
def test_what_goes_wrong_is_the_error_it_is_and_has_a_place_in_the_program(even, monkeypatch, name, score, error, said):
    monkeypatch.delenv("SMCDSL_HTTP_HOSTS", raising=False)
    with pytest.raises(error) as caught:
        posterior(score, name, lm=even)
    printed = render(caught.value.diagnostics)
    assert said in printed
    assert "score judge." in printed
    assert "Traceback" not in printed


def test_fifteen_scores_for_sixteen_texts_stop_the_run(even, monkeypatch):
    with endpoint(lambda c, r, n: answer(c, b'{"scores": [0.5]}')) as service:
        monkeypatch.setenv("SMCDSL_HTTP_HOSTS", service.place)
        with pytest.raises(PotentialError, match="R0903") as caught:
            posterior("judge.endpoint(judge_model, w)", service.url, lm=even)
        assert "gives 1 scores for 2 texts" in render(caught.value.diagnostics)


def test_the_program_of_the_page_has_no_mistakes():
    page = (EXAMPLE.parents[1] / "docs" / "judges.md").read_text(encoding="utf-8")
    program = page.partition("```smc\n")[2].partition("```")[0]
    assert "judge.reward" in program
    assert smcdsl.compile(program)


def test_the_example_runs_with_a_folder(chatting):
    result = smcdsl.load(EXAMPLE).run(judge_model=chatting, particles=4, seed=0)
    assert result.best
    assert result.target == "exact"


def test_judges_are_functions_of_their_arguments(even, chatting):
    score = 'judge.yes(judge_model, "Is it?", w) * (0.1 + judge.votes(judge_model, "Is it?", w, votes: 5, tokens: 3))'
    program = smcdsl.compile(TWO.format(score=score))
    result = program.run(smcdsl.model(f"toy:{even}"), judge_model=chatting, seed=1, check_potentials=True)
    assert set(result.posterior) == {" good", " bad"}


def test_previews_leave_the_target_as_it_is(even, chatting):
    score = 'judge.yes(judge_model, "Is it friendly?", w)'
    found = posterior(score, chatting, lm=even)
    assert posterior(f"{score} at token", chatting, lm=even)[" good"] == pytest.approx(found[" good"], abs=0.05)
