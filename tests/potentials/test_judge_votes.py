"""Votes: the share that the law of thoughts and verdicts says, the same whenever it is asked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from smcdsl.potentials import judge
from smcdsl.potentials._judge_answers import Question, judge_of
from smcdsl.potentials._judge_votes import Ballot, _drawn, _draws, shares, thinking

from smcdsl.errors import UsageError
from smcdsl.models.load import load_model
from tests.frequencies import assert_frequencies
from tests.potentials.small_models import language_model

torch = pytest.importorskip("torch")
QUESTION = "Is it polite?"


@pytest.fixture(scope="module")
def chatting(tmp_path_factory) -> str:
    return language_model(tmp_path_factory.mktemp("voting"))


def voted_by_hand(name: str, text: str, ballot: Ballot) -> float:
    """One voter after the other, every token from the whole prefix, without a cache."""
    model, question = load_model(name), Question(QUESTION)
    asked = judge_of(name)
    prompt = asked.prefixes.sequence(asked.prompt(question, text, after=thinking(question)))
    count = 0
    for voter in range(ballot.votes):
        draws, ids = _draws(name, question, text, ballot, voter), list(prompt)

        def law(ids: list[int]):
            with torch.inference_mode():
                logits = model._model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1]
            return torch.log_softmax(logits.double(), dim=-1).numpy()

        for _ in range(ballot.tokens):
            token = _drawn(law(ids), ballot.temperature, draws.random())
            if not model.vocabulary.token_bytes[token]:
                break
            ids.append(token)
        logprobs = law([*ids, *model.encode("\nVerdict:")])
        yes, no = (
            sum(2.718281828459045 ** logprobs[token] for token in asked.tokens(word).tolist()) for word in ("yes", "no")
        )
        weight = [value ** (1 / ballot.temperature) for value in (yes, no)]
        count += draws.random() < weight[0] / sum(weight)
    return count / ballot.votes


@pytest.mark.parametrize("temperature", [0.7, 1.0])
def test_votes_are_those_of_whole_prefixes_one_by_one(chatting, temperature):
    texts, ballot = ["Thank you.", "Go away!"], Ballot(6, 5, temperature, 3)
    expected = [voted_by_hand(chatting, text, ballot) for text in texts]
    assert shares(judge_of(chatting), Question(QUESTION), texts, ballot) == expected


def test_a_call_has_one_value_whatever_else_is_asked(chatting):
    texts = [f"Text {number}" for number in range(5)]
    together = judge.votes(chatting, QUESTION, texts, 16, 4)
    assert [judge.votes(chatting, QUESTION, [text], 16, 4)[0] for text in texts[::-1]][::-1] == together
    assert judge.votes(chatting, QUESTION, texts, 16, 4) == together
    assert len({tuple(judge.votes(chatting, QUESTION, texts, 16, 4, seed=seed)) for seed in range(4)}) > 1


def test_shares_are_multiples_of_a_vote(chatting):
    for share in judge.votes(chatting, QUESTION, ["a", "b", "c"], 7, 2):
        assert 0 <= share <= 1
        assert share * 7 == pytest.approx(round(share * 7))


def table(path: Path, yes: float, end: float) -> str:
    vocabulary = ["yes", "no", "<end>", *map(chr, range(32, 127)), "\n"]
    law = [0.0] * len(vocabulary)
    law[2], law[0], law[1] = end, (1 - end) * yes, (1 - end) * (1 - yes)
    path.write_text(json.dumps({"vocab": vocabulary, "eos": 2, "lm": {"order": 0, "table": [[[], law]]}}))
    return f"toy:{path}"


@pytest.mark.statistical
def test_verdicts_come_as_often_as_their_law_says(tmp_path):
    # False alarm rate: 1e-6. Fails for a verdict at the wrong temperature, as the last line shows.
    name = table(tmp_path / "table.json", 0.3, 0.2)
    texts = [f"Text {number}" for number in range(20)]
    yes = round(sum(judge.votes(name, QUESTION, texts, 100, 3)) * 100)
    assert_frequencies({True: yes, False: 2000 - yes}, {True: 0.3, False: 0.7}, alpha=1e-6)
    tempered = round(sum(judge.votes(name, QUESTION, texts, 100, 3, temperature=0.5)) * 100)
    counts = {True: tempered, False: 2000 - tempered}
    assert_frequencies(counts, {True: 0.09 / 0.58, False: 0.49 / 0.58}, alpha=1e-6)
    with pytest.raises(AssertionError):
        assert_frequencies(counts, {True: 0.3, False: 0.7}, alpha=1e-6)


@pytest.mark.parametrize(("given", "named"), [((0, 8), "votes"), ((257, 8), "votes"), ((8, -1), "tokens")])
def test_numbers_out_of_range_are_refused(chatting, given, named):
    with pytest.raises(UsageError, match=f"`{named}` is between"):
        judge.votes(chatting, QUESTION, ["a"], *given)
