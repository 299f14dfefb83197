"""A model that reads less of its prompt: the first few tokens and the last few hundred, then all that was written.

As a draft of itself it needs no second set of weights. What it saves is attention to the prompt, so it pays where that
costs more than the weights do: prompts of many thousand tokens. Cutting the prompt once, and not sliding along
with the text, keeps every key and value of the cache good.

Source: keeping the first tokens, which much attention falls back on: Xiao et al. (2024), arXiv:2309.17453.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from smcdsl.prefixes import ROOT, Prefixes
from smcdsl.protocols import LanguageModel, Session

FIRST, LAST = 4, 256
"""Tokens of a prompt that are kept."""


class PrunedSession:
    """A session over a trie of its own, in which prompts are shortened.

    Args:
        start: begins a session of the model over a trie.
        prefixes: the run's trie.
        first, last: how many tokens of a prompt to keep at its beginning and at its end.
    """

    def __init__(self, start: Any, prefixes: Prefixes, first: int = FIRST, last: int = LAST) -> None:
        self._prefixes, self._first, self._last = prefixes, first, last
        self._shorter = Prefixes()
        self._short_of: dict[int, int] = {ROOT: ROOT}
        self._session: Session = start(self._shorter)

    def next_logprobs(self, prefixes: NDArray[np.int64]) -> NDArray[np.floating[Any]]:
        """(U, V) log-probabilities after the shortened prefixes; prompts that differ may be equal when shortened."""
        short = np.array([self._shortened(prefix) for prefix in prefixes.tolist()], dtype=np.int64)
        distinct, inverse = np.unique(short, return_inverse=True)
        rows = self._session.next_logprobs(distinct)
        return rows if np.array_equal(distinct, short) else rows[inverse]

    def retain(self, prefixes: NDArray[np.int64]) -> None:
        """See `Session`."""
        known = {self._shortened(prefix) for prefix in prefixes.tolist()}
        self._session.retain(np.array(sorted(known), dtype=np.int64))

    def close(self) -> None:
        """See `Session`."""
        self._session.close()

    def _shortened(self, prefix: int) -> int:
        """The prefix in the trie of shortened ones; a prompt is cut when it is first met."""
        path = []
        while prefix not in self._short_of:
            path.append(prefix)
            prefix = int(self._prefixes.parents[prefix])
        path.reverse()
        short = self._short_of[prefix]
        if prefix == ROOT and len(path) > self._first + self._last:
            short = self._shorter.extend(ROOT, (int(self._prefixes.tokens[node]) for node in path[: self._first]))
            path = path[len(path) - self._last :]
        for node in path:
            short = self._shorter.extend(short, (int(self._prefixes.tokens[node]),))
            self._short_of[node] = short
        return short


class PrunedPrompt:
    """What starts sessions of a model on shortened prompts."""

    def __init__(self, model: LanguageModel, first: int = FIRST, last: int = LAST) -> None:
        self._model, self._first, self._last = model, first, last

    def start(self, prefixes: Prefixes) -> Session:
        """A session whose prompts are shortened."""
        return PrunedSession(self._model.start, prefixes, self._first, self._last)
