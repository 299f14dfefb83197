"""Probabilities of labels and rewards, from the outputs of a sequence classifier."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from smcdsl.potentials._judge_answers import probability

from smcdsl.errors import Diagnostic, ModelError, UsageError
from smcdsl.models.classifier import Classifier, load_classifier

MODELS_KEPT = 2
"""Classifiers that stay loaded in a process."""


@lru_cache(maxsize=MODELS_KEPT)
def classifier_of(name: str) -> Classifier:
    """The classifier or reward model of that name, loaded once in a process. Raises ModelError."""
    return load_classifier(name)


def probabilities(classifier: Classifier, texts: Sequence[str], label: str, temperature: float) -> list[float]:
    """The probability of a label for each text, no nearer to 0 and 1 than `FLOOR`.

    Raises:
        UsageError: E0802, there is no such label.
    """
    column = _column(classifier, label)
    outputs = classifier.logits([classifier.encode(text) for text in texts]) / temperature
    logits = outputs[:, column]
    if not classifier.independent:
        others = np.delete(outputs, column, axis=1)
        logits = logits - np.logaddexp.reduce(others, axis=1)
    return [probability(logit) for logit in logits.tolist()]


def rewards(classifier: Classifier, prompt: str, texts: Sequence[str]) -> list[float]:
    """The model's one output for each text as an answer to the prompt.

    Raises:
        ModelError: E0811, it has several outputs.
    """
    if len(classifier.labels) != 1:
        message = f"`{classifier.name}` is a classifier, not a reward model"
        fact = f"it has {len(classifier.labels)} outputs: {', '.join(classifier.labels)}"
        fix = "ask for a label's probability: judge.classify(model, text, label)"
        raise ModelError(Diagnostic("E0811", message, facts=(fact,), help=fix), classifier.name)
    return [float(value) for value in classifier.logits([classifier.encode_answer(prompt, t) for t in texts])[:, 0]]


def _column(classifier: Classifier, label: str) -> int:
    names = [name.lower() for name in classifier.labels]
    if names.count(label.lower()) != 1:
        message = f"`{classifier.name}` has no label `{label}`; its labels are {', '.join(classifier.labels)}"
        raise UsageError(Diagnostic("E0802", message))
    return names.index(label.lower())
