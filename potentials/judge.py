"""Judges: what other models, and services, make of a text.

    import judge

    input judge_model: str  "a folder, alias or hub name"
    ...
    score judge.yes(judge_model, "Is this polite?", reply) ^ 2
    score judge.reward(reward_model, question, reply, temperature: 0.5)
    score judge.endpoint("https://judge.example.com/score", reply)

| | asks | gives |
|---|---|---|
| `yes` | a language model, a question about the text | p(yes) / (p(yes) + p(no)), within [1e-6, 1 - 1e-6] |
| `votes` | the same, after it has thought, several times | the share of yes, within [0, 1] |
| `classify` | a sequence classifier | the probability of a label, within [1e-6, 1 - 1e-6] |
| `reward` | a reward model, about an answer to a prompt | exp(reward / temperature), within [e^-30, e^30] |
| `endpoint` | a service over HTTP | its score, within [0, 1] |
| `endpoint_reward` | the same | exp(score / temperature), within [e^-30, e^30] |

The temperature is always an argument: logits and rewards are divided by it. All texts of a step go to the model or
service in one call. Models are named as for `--model`: a folder, an alias or a hub name. They are loaded when first
asked, in the run's own process, on a GPU if there is one, and stay loaded: two language models and two classifiers
at most. A text is data: what looks like a special token in it stays text.

A service must stand in the environment variable `SMCDSL_HTTP_HOSTS` (docs/judges.md), since no program may open
a connection that its user has not allowed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from smcdsl.protocols import LogWeight, Weight, potential

if TYPE_CHECKING:
    from smcdsl.potentials._judge_answers import Question

REWARD_LIMIT = 30.0
"""Log-weights of rewards are cut off here on both sides."""


@potential(prefix="any", batch=True, cost="20ms", prefix_form="_yes_so_far")
def yes(
    model: str,
    question: str,
    text: list[str],
    temperature: float = 1.0,
    positive: str = "yes",
    negative: str = "no",
) -> list[Weight]:
    """How likely the model answers yes to a question about the text: p(yes) / (p(yes) + p(no)).

    Read from the logits at the answer's place, in the model's own chat template where it has one. All tokens that
    spell the word count, in any case and with blanks around it. Of an unfinished text the model is told
    that it is not finished; it may answer otherwise once it is, so that only `score` and `guide` learn from that.

    Args:
        temperature: divides the difference of the two answers' logarithms.
        positive, negative: the two answers, each one token in some spelling.

    Raises:
        ModelError: the model cannot be loaded, has no token for an answer, or the prompt exceeds its context.
        UsageError: E0802, the temperature is not positive and finite.
    """
    from smcdsl.potentials._judge_answers import WHOLE, Question

    return _answers(model, Question(question, positive, negative, WHOLE), text, temperature)


def _yes_so_far(
    model: str,
    question: str,
    text: list[str],
    temperature: float = 1.0,
    positive: str = "yes",
    negative: str = "no",
) -> list[Weight]:
    """`yes` for a beginning: never 0, since a judge's mind may change."""
    from smcdsl.potentials._judge_answers import BEGINNING, Question

    return _answers(model, Question(question, positive, negative, BEGINNING), text, temperature)


@potential(prefix="none", batch=True, cost="2s")
def votes(
    model: str,
    question: str,
    text: list[str],
    votes: int = 8,
    tokens: int = 48,
    temperature: float = 1.0,
    seed: int = 0,
    positive: str = "yes",
    negative: str = "no",
) -> list[Weight]:
    """The share of `votes` verdicts that are yes, each drawn after the model has written some tokens of its own.

    What is drawn is fixed by the arguments, `seed` among them, so the same call has the same value.

    Args:
        votes: 1 to 256. The share is a multiple of 1 / votes, 0 included.
        tokens: that each voter may write before its verdict, 0 to 4,096.
        temperature: of what voters write and of their verdicts.

    Raises:
        ModelError, UsageError: as `yes`; UsageError also for numbers out of range.
    """
    from smcdsl.potentials._judge_answers import Question, checked_temperature, judge_of
    from smcdsl.potentials._judge_votes import Ballot, shares

    ballot = Ballot(votes, tokens, checked_temperature(temperature), seed)
    return shares(judge_of(model), Question(question, positive, negative), text, ballot)


@potential(prefix="none", batch=True, cost="10ms")
def classify(model: str, text: list[str], label: str, temperature: float = 1.0) -> list[Weight]:
    """The probability that a sequence classifier gives to a label of its own.

    Args:
        label: as the model's config.json names it (`id2label`), in any case.
        temperature: divides the outputs before softmax, or before the logistic function where labels are independent.

    Raises:
        ModelError: the model cannot be loaded, is no classifier, or the text exceeds its context.
        UsageError: E0802, the model has no such label, or the temperature is not positive and finite.
    """
    from smcdsl.potentials._judge_answers import checked_temperature
    from smcdsl.potentials._judge_classes import classifier_of, probabilities

    return probabilities(classifier_of(model), text, label, checked_temperature(temperature))


@potential(prefix="none", batch=True, cost="10ms")
def reward(model: str, prompt: str, text: list[str], temperature: float) -> list[LogWeight]:
    """What a reward model gives the text as an answer to the prompt, divided by the temperature; cut off at +-30.

    Raises:
        ModelError: the model cannot be loaded, has more than one output, or the two texts exceed its context.
        UsageError: E0802, the temperature is not positive and finite.
    """
    from smcdsl.potentials._judge_answers import checked_temperature
    from smcdsl.potentials._judge_classes import classifier_of, rewards

    divisor = checked_temperature(temperature)
    return [_log_weight(value / divisor) for value in rewards(classifier_of(model), prompt, text)]


@potential(prefix="none", batch=True, cost="50ms", timeout="60s")
def endpoint(url: str, text: list[str], seconds: float = 10.0) -> list[Weight]:
    """What a service says of the text, from 0 to 1.

    It gets `{"texts": [...]}` by POST, all texts of a step in one call, and answers `{"scores": [...]}`.

    Args:
        seconds: that the whole call may take, tries and pauses included; 50 at most.

    Raises:
        UsageError: E0802, the address is none, or `SMCDSL_HTTP_HOSTS` does not allow it.
        PotentialError: R0903, the service fails, is too slow or says something else; R0904, a score is none.
    """
    from smcdsl.potentials._judge_endpoint import scores

    return scores(url, text, seconds, least=0.0, most=1.0)


@potential(prefix="none", batch=True, cost="50ms", timeout="60s")
def endpoint_reward(url: str, text: list[str], temperature: float, seconds: float = 10.0) -> list[LogWeight]:
    """A service's scores, any real numbers, divided by the temperature; cut off at +-30. Called as `endpoint`.

    Raises:
        UsageError, PotentialError: as `endpoint`; UsageError also for a temperature not positive and finite.
    """
    from smcdsl.potentials._judge_answers import checked_temperature
    from smcdsl.potentials._judge_endpoint import scores

    divisor = checked_temperature(temperature)
    return [_log_weight(score / divisor) for score in scores(url, text, seconds)]


def _answers(model: str, question: Question, texts: list[str], temperature: float) -> list[float]:
    from smcdsl.potentials._judge_answers import checked_temperature, judge_of

    return judge_of(model).probabilities(question, texts, checked_temperature(temperature))


def _log_weight(value: float) -> float:
    return max(-REWARD_LIMIT, min(REWARD_LIMIT, value))
