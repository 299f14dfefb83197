"""Next-token log-probabilities from a transformers model, with keys and values kept by prefix.

There are three ways to compute, and which one a model takes is found out once, by comparing with whole sequences on
a few tokens (`caching`):

- *packed*: the new tokens of all rows are one sequence, attention is our own (`torch_passes`), and what many rows
  share is stored once. For all architectures that look up their attention function.
- *padded*: rows of a batch padded on the left, with a 4-D mask over a cache written in place (`torch_padded`). For
  architectures with an attention of their own that still take such a mask.
- *none*: whole prefixes each time: slow and always right. For what has no keys and values by position: recurrent
  states, and sliding windows once they are full.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from smcdsl.errors import Diagnostic, ModelError
from smcdsl.log_rows import Laws
from smcdsl.models.cache_plan import Drop, Feed, Fill, Ints, Promote, Split
from smcdsl.models.prefix_cache import PrefixRows
from smcdsl.models.torch_attention import give_back, take_over
from smcdsl.models.torch_logits import joined, law_of, written_out
from smcdsl.models.torch_packed import Packed
from smcdsl.models.torch_padded import Padded
from smcdsl.models.torch_whole import recompute
from smcdsl.prefixes import ROOT, Prefixes

ROWS_AT_ONCE = 256

Way = Literal["packed", "padded", "none"]


@dataclass(frozen=True)
class Caching:
    """How a model computes, and how long a prefix may be for that to be right (sliding windows)."""

    way: Way
    length: int


class CachedSession:
    """A run on a causal model with an in-place cache.

    Args:
        model: a transformers causal language model in evaluation mode.
        context_length: the most tokens a prefix may have.
        caching: longer prefixes than it says are computed without a cache.
    """

    def __init__(self, model: Any, prefixes: Prefixes, name: str, context_length: int, caching: Caching) -> None:
        self._model = model
        self._prefixes = prefixes
        self._name = name
        self._context_length = context_length
        self._caching = caching
        self.close()

    def next_logprobs(self, prefixes: NDArray[np.int64]) -> NDArray[np.floating[Any]]:
        """(U, V) log-probabilities after (U,) distinct prefixes; see `protocols.Session`."""
        return np.asarray(self._guarded(lambda: written_out(self._logits(prefixes))))

    def next_law(self, prefixes: NDArray[np.int64]) -> Laws:
        """The same where the model left it; see `protocols.next_law`."""
        law: Laws = self._guarded(lambda: law_of(self._logits(prefixes), self._guarded))
        return law

    def _logits(self, prefixes: NDArray[np.int64]) -> Any:
        """(U, V) logits."""
        import torch

        lengths = self._prefixes.lengths[prefixes]
        longest = int(lengths.max(initial=0))
        if longest > self._context_length:
            raise ModelError(context_exceeded(self._name, self._context_length), self._name)
        if not len(prefixes):
            return torch.empty((0, 0))
        if longest <= self._caching.length:
            return self._cached(prefixes)
        cached = lengths <= self._caching.length
        parts = [
            (places, compute(prefixes[places]))
            for places, compute in ((np.flatnonzero(cached), self._cached), (np.flatnonzero(~cached), self._uncached))
            if len(places)
        ]
        return joined(parts, len(prefixes))

    def retain(self, prefixes: NDArray[np.int64]) -> None:
        """Forget the rows that none of these prefixes extends."""
        self._rows.retain(prefixes[self._prefixes.lengths[prefixes] <= self._caching.length])

    def close(self) -> None:
        """Free keys and values."""
        self._rows = PrefixRows(self._prefixes, ROWS_AT_ONCE, shares=self._caching.way == "packed")
        self._engine: Any = None

    def _guarded(self, compute: Callable[[], Any]) -> Any:
        import torch

        try:
            with torch.inference_mode():
                return compute()
        except torch.OutOfMemoryError as error:
            raise ModelError(_failure(self._name, "out of memory", "use fewer particles"), self._name) from error
        except RuntimeError as error:
            reason = str(error).split("\n")[0]
            raise ModelError(_failure(self._name, reason, "see the chained exception"), self._name) from error

    def _cached(self, prefixes: Ints) -> Any:
        """(U, V) logits."""
        if self._engine is None:
            self._engine = _engine(self._model, self._caching.way)
        engine, parts = self._engine, []
        for operation in self._rows.operations(prefixes):
            match operation:
                case Feed():
                    engine.store.make_room(self._rows.num_rows, self._rows.num_slots)
                    engine.store.copy(operation.copies)
                    parts += engine.feed(operation, self._rows.path)
                case Fill():
                    engine.fill(operation)
                case Split():
                    engine.store.split(operation)
                case Promote():
                    engine.store.promote(operation)
                case Drop():
                    engine.store.drop(operation)
        return joined(parts, len(prefixes))

    def _uncached(self, prefixes: Ints) -> Any:
        """The same from whole prefixes, padded on the right, where causality hides the padding."""
        return recompute(self._model, [self._prefixes.sequence(int(prefix)) for prefix in prefixes])


def caching(model: Any, context_length: int, name: str) -> Caching:
    """The fastest way that gives this model's probabilities."""
    length = min(context_length, _window(model.config.get_text_config()) or context_length)
    ways: tuple[Way, ...] = ("packed", "padded")
    for way in ways:
        if way == "packed" and not take_over(model):
            continue
        try:
            _compare(model, Caching(way, context_length), context_length)
        except Exception as error:
            logging.getLogger(__name__).info("no %s cache for %s: %s", way, name, error)
            give_back(model)
        else:
            return Caching(way, length)
    return Caching("none", 0)


def _compare(model: Any, caching: Caching, context_length: int) -> None:
    """Raise unless sessions give what whole sequences give: a shared prompt, chains, forks, ragged rows."""
    prefixes = Prefixes()
    vocab_size = int(model.config.get_text_config().vocab_size)
    window = _window(model.config.get_text_config()) or context_length
    length = max(min(40, window - 8, context_length - 8), 2)

    def some(seed: int, count: int) -> list[int]:
        return [(7 * seed + 5 * place * place + 3 * place + 1) % vocab_size for place in range(count)]

    stem = prefixes.extend(ROOT, some(0, length))
    left, right = prefixes.extend(stem, some(1, 1)), prefixes.extend(stem, some(2, 2))
    chain = [prefixes.extend(left, some(3, count)) for count in (1, 2, 3)]
    other = prefixes.extend(ROOT, some(4, length - 1))
    session = CachedSession(model, prefixes, "", context_length, caching)
    for wanted in ([stem], [left, right, other], [*chain, prefixes.extend(right, some(5, 1))], [chain[0], other]):
        found = session.next_logprobs(np.array(wanted, dtype=np.int64))
        expected = written_out(recompute(model, [prefixes.sequence(prefix) for prefix in wanted]))
        if not np.abs(np.exp(found) - np.exp(expected)).max() <= _tolerance(model):
            raise ValueError("cached and uncached probabilities differ")


def _tolerance(model: Any) -> float:
    import torch

    return 1e-4 if model.dtype == torch.float32 else 5e-2


def _window(config: Any) -> int | None:
    """The sliding window that some layer has; attention of ours knows none, so it must never be full."""
    kinds = getattr(config, "layer_types", None)
    if kinds is not None and not any("sliding" in kind or "chunked" in kind for kind in kinds):
        return None
    if getattr(config, "use_sliding_window", True) is False:
        return None
    return getattr(config, "sliding_window", None) or getattr(config, "attention_chunk_size", None)


def _engine(model: Any, way: Way) -> Any:
    if way == "packed":
        return Packed(model)
    return Padded(model)


def context_exceeded(name: str, context_length: int) -> Diagnostic:
    """E0805 at run time: a prefix grew beyond the model's context."""
    return Diagnostic(
        "E0805",
        f"the text is longer than the context of `{name}`",
        facts=(f"{name} is loaded with a context of {context_length:,} tokens",),
        help="shorten the prompt, limit the holes (`where tokens <= ...`), or choose a model with a longer context",
    )


def _failure(name: str, reason: str, advice: str) -> Diagnostic:
    return Diagnostic("E0807", f"`{name}` failed while computing", facts=(reason,), help=advice)
