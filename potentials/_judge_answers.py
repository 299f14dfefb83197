"""What a language model answers to a yes-or-no question about a text, read from its logits.

A prompt is made of four parts, each encoded by itself: what comes before the text (the question is there),
the text, what comes after it, and the opening of the model's turn. Before the text all prompts of a
question are equal, so the model's cache keeps that part from call to call. The text is data: what looks
like a special token in it is encoded as the characters that it is made of.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from smcdsl.errors import Diagnostic, ModelError, UsageError
from smcdsl.models.load_mistakes import no_answer_token
from smcdsl.prefixes import ROOT, Prefixes

if TYPE_CHECKING:
    from smcdsl.protocols import LanguageModel, TurnTokens

TEXTS_AT_ONCE = 32
"""Computed together; a bound on the cache, which holds a row for each of them."""
QUESTIONS_KEPT = 8
"""Of which the common part of the prompts stays in a model's cache."""
MOST_NODES = 1 << 18
"""Tokens of all prompts so far, beyond which a model's cache begins anew."""
MODELS_KEPT = 2
"""Language models that stay loaded in a process."""
NO_CHAT_TEMPLATE = "E0804"
FLOOR = 1e-6
"""A judge is never surer than this: its probabilities lie between FLOOR and 1 - FLOOR."""

WHOLE, BEGINNING = "Text", "The text so far, which is not finished"
"""What the prompt calls a complete text and the beginning of one."""


@dataclass(frozen=True)
class Question:
    """What is asked about a text, the two words that may answer it, and what the prompt calls the text."""

    question: str
    positive: str = "yes"
    negative: str = "no"
    called: str = WHOLE

    @property
    def before(self) -> str:
        """What stands before the text."""
        return f"{self.question}\n\n{self.called}:\n"

    @property
    def after(self) -> str:
        """What stands after the text in a chat turn."""
        return f"\n\nAnswer with one word, {self.positive} or {self.negative}."

    @property
    def after_raw(self) -> str:
        """What stands after the text where there are no turns: the answer comes next."""
        return f"\n\nAnswer ({self.positive} or {self.negative}):"


class Judge:
    """A language model that is asked; made by `judge_of`. Calls from several threads wait for each other."""

    def __init__(self, model: LanguageModel) -> None:
        self.model = model
        self.lock = threading.RLock()
        self._answers: dict[str, NDArray[np.int64]] = {}
        self._questions: OrderedDict[int, None] = OrderedDict()
        self._begin()

    def probabilities(self, question: Question, texts: Sequence[str], temperature: float) -> list[float]:
        """p(yes) / (p(yes) + p(no)) at the answer's place, for each text."""
        with self.lock:
            self.renew()
            wanted = np.array([self.prompt(question, text) for text in texts], dtype=np.int64)
            logits = self.answer_logits(wanted, question)
            return [probability(logit / temperature) for logit in logits.tolist()]

    def prompt(self, question: Question, text: str, *, after: str | None = None) -> int:
        """The prefix after which the model answers, in `prefixes`; `after` takes the place of the question's own."""
        model = self.model
        turns = self._turns
        if turns is None:
            common = [*model.begin_text(), *model.encode(question.before, starts_text=True)]
            rest = model.encode(question.after_raw if after is None else after)
        else:
            common = [*turns[0].opening, *model.encode(question.before)]
            rest = [*model.encode(question.after if after is None else after), *turns[0].closing, *turns[1].opening]
        shared = self.prefixes.extend(ROOT, common)
        self._questions[shared] = None
        self._questions.move_to_end(shared)
        return self.prefixes.extend(shared, [*model.encode(text), *rest])

    def answer_logits(self, wanted: NDArray[np.int64], question: Question) -> NDArray[np.float64]:
        """log p(yes) - log p(no) after each prefix: (U,), between -inf and inf."""
        yes, no = self.tokens(question.positive), self.tokens(question.negative)
        distinct, places = np.unique(wanted, return_inverse=True)
        logits = np.empty(len(distinct))
        order = np.argsort(self.prefixes.lengths[distinct], kind="stable")
        for start in range(0, len(order), TEXTS_AT_ONCE):
            chosen = order[start : start + TEXTS_AT_ONCE]
            logprobs = np.asarray(self.logprobs(distinct[chosen]), dtype=np.float64)
            # A model that rules both answers out leaves the question open.
            with np.errstate(invalid="ignore"):
                logits[chosen] = np.nan_to_num(_log_sum(logprobs[:, yes]) - _log_sum(logprobs[:, no]), nan=0.0)
            self._forget()
        return logits[places]

    def tokens(self, answer: str) -> NDArray[np.int64]:
        """Tokens that spell the answer, in any case and with blanks around.

        Raises:
            ModelError: E0806, there is none.
        """
        known = self._answers.get(answer)
        if known is None:
            wanted = answer.strip().lower()
            spelled = self.model.vocabulary.token_bytes
            found = [token for token, text in enumerate(spelled) if wanted and _plain(text) == wanted]
            if not found:
                raise ModelError(no_answer_token(self.model.name, answer), self.model.name)
            known = self._answers[answer] = np.array(found, dtype=np.int64)
        return known

    def logprobs(self, prefixes: NDArray[np.int64]) -> NDArray[np.floating[Any]]:
        """(U, V) log-probabilities after distinct prefixes."""
        try:
            return self.session.next_logprobs(prefixes)
        except BaseException:
            # The cache may hold less than it believes.
            self.session.close()
            self._begin()
            raise

    def renew(self) -> None:
        """Begin anew where the trie of prompts has grown large; prefixes made before mean nothing after."""
        if len(self.prefixes) > MOST_NODES:
            self.session.close()
            self._begin()

    def _begin(self) -> None:
        self.prefixes = Prefixes()
        self.session = self.model.start(self.prefixes)
        self._questions.clear()

    def _forget(self) -> None:
        """Keep of all prompts the common part of those of the questions asked last."""
        while len(self._questions) > QUESTIONS_KEPT:
            self._questions.popitem(last=False)
        self.session.retain(np.array(list(self._questions), dtype=np.int64))

    @cached_property
    def _turns(self) -> tuple[TurnTokens, TurnTokens] | None:
        """What the chat template writes around the question and before the answer; None without a template."""
        try:
            return self.model.turn((), "user"), self.model.turn(("user",), "assistant")
        except ModelError as error:
            if error.diagnostics[0].code != NO_CHAT_TEMPLATE:
                raise
            return None


@lru_cache(maxsize=MODELS_KEPT)
def judge_of(name: str) -> Judge:
    """The model of that name, loaded once in a process: a folder, an alias, a hub name, `tiny` or `toy:FILE`.

    Raises:
        ModelError: it is unknown, gated, out of reach, incomplete or broken.
    """
    from smcdsl.models.load import load_model

    return Judge(load_model(name))


def probability(logit: float) -> float:
    """The logistic function of a logit, no nearer to 0 and 1 than FLOOR."""
    odds = math.exp(-abs(logit))
    less = max(odds / (1.0 + odds), FLOOR)
    return 1.0 - less if logit >= 0 else less


def checked_temperature(temperature: float) -> float:
    """A temperature that one can divide by.

    Raises:
        UsageError: E0802, it is not positive and finite.
    """
    if not (0 < temperature < math.inf):
        raise UsageError(Diagnostic("E0802", f"a judge's temperature is a number above zero, not {temperature!r}"))
    return float(temperature)


def _plain(token: bytes) -> str:
    return token.decode("utf-8", "replace").strip().lower()


def _log_sum(logprobs: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.logaddexp.reduce(logprobs, axis=1)
