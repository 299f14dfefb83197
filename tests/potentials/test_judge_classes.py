"""Classifiers and reward models: batched, padded outputs are those of one text at a time."""

from __future__ import annotations

import math

import numpy as np
import pytest
from smcdsl.potentials import judge
from smcdsl.potentials._judge_answers import FLOOR

from smcdsl.errors import ModelError, UsageError
from smcdsl.models.classifier import load_classifier
from tests.potentials.small_models import byte_tokenizer, language_model, save, word_tokenizer

torch = pytest.importorskip("torch")

TEXTS = ["good", "very bad indeed", "", "a b c d e f g " * 8, "Thank you. [SEP] Go!", "x"]
LABELS = {0: "negative", 1: "neutral", 2: "positive"}
BERT = {"intermediate_size": 48, "pad_token_id": 0, "type_vocab_size": 2}
LLAMA = {"intermediate_size": 48, "num_key_value_heads": 1, "bos_token_id": 0, "eos_token_id": 2}


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> dict[str, str]:
    base = tmp_path_factory.mktemp("classes")
    named = {"id2label": LABELS, "label2id": {name: number for number, name in LABELS.items()}}
    kind, tail = "BertForSequenceClassification", "LlamaForSequenceClassification"
    return {
        "bert": save(base / "bert", kind, word_tokenizer(), **BERT, **named),
        "many": save(base / "many", kind, word_tokenizer(), problem_type="multi_label_classification", **BERT, **named),
        "pairs": save(base / "pairs", kind, word_tokenizer(), num_labels=1, **BERT),
        "padded": save(base / "padded", tail, byte_tokenizer(), num_labels=1, pad_token_id=0, **LLAMA),
        "unpadded": save(base / "unpadded", tail, byte_tokenizer(), num_labels=1, pad_token_id=None, **LLAMA),
    }


def logits_by_hand(name: str, ids: list[int], kinds: list[int] | None = None) -> np.ndarray:
    """The outputs for one sequence, by transformers' own class."""
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained(name).eval()
    more = {} if kinds is None else {"token_type_ids": torch.tensor([kinds])}
    with torch.inference_mode():
        return model(input_ids=torch.tensor([ids]), **more).logits[0].double().numpy()


def ids_by_hand(text: str, other: str | None = None) -> tuple[list[int], list[int]]:
    """Every character a piece; brackets are characters too."""

    def pieces(text: str) -> list[int]:
        backend = word_tokenizer().backend_tokenizer
        found = []
        for word, _ in backend.pre_tokenizer.pre_tokenize_str(text.lower()):
            found += [backend.token_to_id(("##" if place else "") + char) for place, char in enumerate(word)]
        return found

    first = [2, *pieces(text), 3]
    second = [] if other is None else [*pieces(other), 3]
    return [*first, *second], [0] * len(first) + [1] * len(second)


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_labels_of_a_batch_are_those_of_one_text_at_a_time(models, temperature):
    expected = []
    for text in TEXTS:
        outputs = logits_by_hand(models["bert"], *ids_by_hand(text)) / temperature
        expected.append(math.exp(outputs[2]) / sum(map(math.exp, outputs)))
    assert temperature < 1 or np.ptp(expected) > 0.01, "a judge that says the same of all texts shows nothing"
    assert judge.classify(models["bert"], TEXTS, "positive", temperature) == pytest.approx(expected, abs=1e-4)
    alone = [judge.classify(models["bert"], [text], "Positive", temperature)[0] for text in TEXTS]
    assert alone == pytest.approx(expected, abs=1e-4)
    total = sum(np.array(judge.classify(models["bert"], TEXTS, label)) for label in LABELS.values())
    assert total == pytest.approx(np.ones(len(TEXTS)))


def test_independent_labels_are_each_a_yes_or_no(models):
    outputs = [logits_by_hand(models["many"], *ids_by_hand(text))[0] for text in TEXTS]
    expected = [1 / (1 + math.exp(-output)) for output in outputs]
    assert judge.classify(models["many"], TEXTS, "negative") == pytest.approx(expected, abs=1e-4)


def test_special_tokens_in_data_stay_text(models):
    encoded = load_classifier(models["bert"]).encode("a [SEP] b [CLS]")
    assert [token for token in encoded.ids if token in (0, 2, 3)] == [2, 3]
    answered = load_classifier(models["padded"]).encode_answer("Bob<|im_end|>", "<|im_start|>system")
    assert [token for token in answered.ids if token < 3] == [1, 2, 1, 2]


def test_a_reward_is_of_a_prompt_and_its_answer(models):
    outputs = [logits_by_hand(models["pairs"], *ids_by_hand("Which one?", text))[0] for text in TEXTS]
    assert np.ptp(outputs) > 0.01
    found = judge.reward(models["pairs"], "Which one?", TEXTS, 0.5)
    assert found == pytest.approx([max(-30, min(30, output / 0.5)) for output in outputs], abs=1e-3)


@pytest.mark.parametrize("name", ["padded", "unpadded"])
def test_rewards_of_chat_models_go_through_their_template(models, name):
    tokenizer = byte_tokenizer()
    expected = []
    for text in TEXTS:
        turns = [{"role": "user", "content": "Which one?"}, {"role": "assistant", "content": text}]
        ids = tokenizer.apply_chat_template(turns, tokenize=True, return_dict=True)["input_ids"]
        expected.append(logits_by_hand(models[name], ids)[0])
    assert np.ptp(expected) > 0.01
    assert judge.reward(models[name], "Which one?", TEXTS, 1.0) == pytest.approx(expected, abs=1e-3)


def test_rewards_are_cut_off_where_it_is_said(models):
    found = judge.reward(models["pairs"], "Which one?", TEXTS, 1e-6)
    assert {abs(value) for value in found} == {judge.REWARD_LIMIT}
    assert all(FLOOR <= score <= 1 - FLOOR for score in judge.classify(models["bert"], TEXTS, "positive", 1e-6))


def test_a_label_that_is_none_is_named(models):
    with pytest.raises(UsageError, match="no label `cheerful`; its labels are negative, neutral, positive"):
        judge.classify(models["bert"], ["a"], "cheerful")


def test_a_classifier_is_no_reward_model(models):
    with pytest.raises(ModelError, match="not a reward model"):
        judge.reward(models["bert"], "Which one?", ["a"], 1.0)


def test_a_language_model_is_no_classifier(tmp_path):
    with pytest.raises(ModelError, match="neither a sequence classifier nor a reward model"):
        judge.classify(language_model(tmp_path), ["a"], "positive")


def test_a_text_beyond_the_context_is_an_error(models):
    with pytest.raises(ModelError, match="E0805"):
        judge.classify(models["bert"], ["a", "b " * 600], "positive")


@pytest.mark.parametrize("name", ["no_such_model_here", "./no/such/folder"])
def test_an_unknown_model_is_named(name):
    with pytest.raises(ModelError, match="E0803"):
        judge.classify(name, ["a"], "positive")
