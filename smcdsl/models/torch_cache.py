"""Next-token log-probabilities from a transformers model, with a slab of keys and values by prefix.

The slab is written in place at (row, position); rows have their own lengths, and a 4-D mask shows each
query its own row up to its own position (layout and figures: `models/prefix_cache.py`). Blocks of unequal
lengths are padded on the left, so that the last column always holds every row's last token; what padding
writes goes to a spare position that no query sees.

Architectures whose cache is not keys and values by position (recurrent states, sliding windows that are
full) are computed from the whole prefix each time: slow and always right. Which way a model goes is
found out once, by comparing the two on a few tokens.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smcdsl.errors import Diagnostic, ModelError
from smcdsl.models.prefix_cache import PrefixRows, Step
from smcdsl.prefixes import ROOT, Prefixes

PREFIXES_AT_ONCE = 256
TOKENS_AT_ONCE = 1024
"""A longer block is fed in pieces, so that its mask stays small."""
_ROUND_UP = 64
_SPARE = 1


class CachedSession:
    """A run on a causal model with an in-place cache.

    Args:
        model: a transformers causal language model in evaluation mode.
        context_length: the most tokens a prefix may have.
        cached_length: prefixes longer than this are computed without the cache (sliding windows); 0: never use it.
    """

    def __init__(self, model: Any, prefixes: Prefixes, name: str, context_length: int, cached_length: int) -> None:
        self._model = model
        self._prefixes = prefixes
        self._name = name
        self._context_length = context_length
        self._cached_length = cached_length
        self._rows = PrefixRows(prefixes, PREFIXES_AT_ONCE)
        self._slab = _Slab()

    def next_logprobs(self, prefixes: NDArray[np.int64]) -> NDArray[np.float32]:
        """(U, V) log-probabilities after (U,) distinct prefixes; see `protocols.Session`."""
        lengths = self._prefixes.lengths[prefixes]
        if len(prefixes) and int(lengths.max()) > self._context_length:
            raise ModelError(context_exceeded(self._name, self._context_length), self._name)
        cached = lengths <= self._cached_length
        parts = [(np.flatnonzero(cached), self._cached), (np.flatnonzero(~cached), self._uncached)]
        results: NDArray[np.float32] | None = None
        for places, compute in parts:
            for start in range(0, len(places), PREFIXES_AT_ONCE):
                chosen = places[start : start + PREFIXES_AT_ONCE]
                results = _with_rows(results, chosen, self._guarded(compute, prefixes[chosen]), len(prefixes))
        return np.empty((0, 0), dtype=np.float32) if results is None else results

    def retain(self, prefixes: NDArray[np.int64]) -> None:
        """Forget the rows that none of these prefixes extends."""
        self._rows.retain(prefixes)

    def close(self) -> None:
        """Free the slab."""
        self._slab = _Slab()
        self._rows = PrefixRows(self._prefixes, PREFIXES_AT_ONCE)

    def _guarded(self, compute: Any, prefixes: NDArray[np.int64]) -> NDArray[np.float32]:
        import torch

        try:
            with torch.inference_mode():
                return compute(prefixes)
        except torch.OutOfMemoryError as error:
            raise ModelError(_failure(self._name, "out of memory", "use fewer particles"), self._name) from error
        except RuntimeError as error:
            reason = str(error).split("\n")[0]
            raise ModelError(_failure(self._name, reason, "see the chained exception"), self._name) from error

    def _cached(self, prefixes: NDArray[np.int64]) -> NDArray[np.float32]:
        results: NDArray[np.float32] | None = None
        for step in self._rows.steps(prefixes):
            self._slab.make_room(self._rows.num_rows, self._rows.num_positions, self._context_length)
            self._slab.copy(step)
            for places in _alike(step):
                logprobs = self._feed(step, places)
                asked = step.asked[places]
                if asked[0] < 0:
                    continue
                results = _with_rows(results, asked, logprobs, len(prefixes))
        assert results is not None, "every wanted prefix is asked for in the last step"
        return results

    def _feed(self, step: Step, places: NDArray[np.int64]) -> NDArray[np.float32]:
        """Run the blocks at `places` of the step, in pieces if they are long; logprobs after the last token."""
        rows, starts = step.rows[places], step.starts[places]
        blocks = [step.tokens[place] for place in places]
        while max(map(len, blocks)) > TOKENS_AT_ONCE:
            # Blocks fed together are of similar length, so each has a token left for the last piece.
            heads = [block[: min(TOKENS_AT_ONCE, len(block) - 1)] for block in blocks]
            self._forward(rows, starts, heads)
            starts = starts + np.array([len(head) for head in heads])
            blocks = [block[len(head) :] for block, head in zip(blocks, heads)]
        return self._forward(rows, starts, blocks)

    def _forward(
        self, rows: NDArray[np.int64], starts: NDArray[np.int64], blocks: Sequence[Sequence[int]]
    ) -> NDArray[np.float32]:
        import torch
        from transformers import Cache

        device = self._model.device
        width = max(map(len, blocks))
        counts = np.array([len(block) for block in blocks])
        # Padding stands on the left: column j of row i is token j - (width - counts[i]).
        offsets = np.arange(width)[None, :] - (width - counts)[:, None]
        real = offsets >= 0
        positions = np.where(real, starts[:, None] + offsets, 0)
        tokens = np.zeros((len(blocks), width), dtype=np.int64)
        tokens[real] = np.concatenate([np.asarray(block, dtype=np.int64) for block in blocks])
        visible = int((starts + counts).max())
        mask = np.arange(visible)[None, None, :] <= positions[:, :, None]
        view = _View(
            torch.from_numpy(rows).to(device),
            torch.from_numpy(np.where(real, positions, self._slab.positions)).to(device),
            visible,
            _contiguous(rows),
        )
        additive = torch.zeros(mask.shape, dtype=self._model.dtype)
        additive.masked_fill_(torch.from_numpy(~mask), torch.finfo(self._model.dtype).min)
        output = self._model(
            input_ids=torch.from_numpy(tokens).to(device),
            attention_mask=additive[:, None].to(device),
            position_ids=torch.from_numpy(positions).to(device),
            past_key_values=Cache(layers=self._slab.layers(view, self._model.config)),
            use_cache=True,
            logits_to_keep=1,
        )
        return _logprobs(output.logits[:, -1])

    def _uncached(self, prefixes: NDArray[np.int64]) -> NDArray[np.float32]:
        """The same from whole prefixes, padded on the right, where causality hides the padding."""
        sequences = [self._prefixes.sequence(int(prefix)) for prefix in prefixes]
        return recompute(self._model, sequences)


def recompute(model: Any, sequences: Sequence[Sequence[int]], at_once: int = 16) -> NDArray[np.float32]:
    """(U, V) log-probabilities after whole sequences, without any cache."""
    import torch

    results = []
    with torch.inference_mode():
        for start in range(0, len(sequences), at_once):
            chosen = sequences[start : start + at_once]
            lengths = torch.tensor([len(sequence) for sequence in chosen])
            tokens = torch.zeros((len(chosen), int(lengths.max())), dtype=torch.long)
            for row, sequence in enumerate(chosen):
                tokens[row, : len(sequence)] = torch.tensor(sequence)
            seen = torch.arange(tokens.shape[1])[None, :] < lengths[:, None]
            output = model(
                input_ids=tokens.to(model.device), attention_mask=seen.long().to(model.device), use_cache=False
            )
            results.append(_logprobs(output.logits[torch.arange(len(chosen)), lengths - 1]))
    return np.concatenate(results)


def cached_length(model: Any, context_length: int, name: str) -> int:
    """How long a prefix may be for the slab to be right: 0 where it does not fit the architecture."""
    prefixes = Prefixes()
    vocab_size = int(model.config.get_text_config().vocab_size)
    stem = prefixes.extend(ROOT, [(7 * i + 3) % vocab_size for i in range(6)])
    rounds = [
        [stem],
        [prefixes.extend(stem, [1 % vocab_size]), prefixes.extend(stem, [2 % vocab_size, 5 % vocab_size])],
        [
            prefixes.extend(stem, [1 % vocab_size, 4 % vocab_size, 6 % vocab_size]),
            prefixes.extend(stem, [2 % vocab_size]),
        ],
    ]
    session = CachedSession(model, prefixes, name, context_length, context_length)
    try:
        for wanted in rounds:
            found = session.next_logprobs(np.array(wanted, dtype=np.int64))
            expected = recompute(model, [prefixes.sequence(prefix) for prefix in wanted])
            if np.abs(np.exp(found) - np.exp(expected)).max() > _tolerance(model):
                raise ValueError("cached and uncached probabilities differ")
    except Exception as error:
        logging.getLogger(__name__).info("no cache for %s: %s", name, error)
        return 0
    return min(context_length, _window(model.config.get_text_config()) or context_length)


def _tolerance(model: Any) -> float:
    import torch

    return 1e-4 if model.dtype == torch.float32 else 5e-2


def _window(config: Any) -> int | None:
    """The sliding window that some layer has; a mask of ours knows none, so it must never be full."""
    kinds = getattr(config, "layer_types", None)
    if kinds is not None and not any("sliding" in kind or "chunked" in kind for kind in kinds):
        return None
    if getattr(config, "use_sliding_window", True) is False:
        return None
    return getattr(config, "sliding_window", None) or getattr(config, "attention_chunk_size", None)


def _alike(step: Step) -> list[NDArray[np.int64]]:
    """Feeds of similar length together: no block is padded to more than twice its length."""
    groups: dict[int, list[int]] = {}
    order = np.argsort(step.rows, kind="stable")
    for place in order.tolist():
        groups.setdefault((len(step.tokens[place]) - 1).bit_length(), []).append(place)
    return [np.array(places, dtype=np.int64) for places in groups.values()]


def _with_rows(
    results: NDArray[np.float32] | None, places: NDArray[np.int64], rows: NDArray[np.float32], count: int
) -> NDArray[np.float32]:
    """The `count` results, made with the first rows, with rows put in their places. Nothing is copied if these are all.

    A row of a large vocabulary is half a megabyte, and copying it takes as long as drawing from it.
    """
    if results is None:
        if np.array_equal(places, np.arange(count)):
            return rows
        results = np.empty((count, rows.shape[1]), dtype=np.float32)
    results[places] = rows
    return results


def _contiguous(rows: NDArray[np.int64]) -> slice | None:
    if np.array_equal(rows, np.arange(rows[0], rows[0] + len(rows))):
        return slice(int(rows[0]), int(rows[0]) + len(rows))
    return None


def _logprobs(logits: Any) -> NDArray[np.float32]:
    import torch

    return np.asarray(torch.log_softmax(logits.float(), dim=-1).cpu().numpy(), dtype=np.float32)


class _View:
    """What one forward pass writes and sees."""

    def __init__(self, rows: Any, positions: Any, visible: int, block: slice | None) -> None:
        self.rows = rows[:, None]  # (B, 1)
        self.positions = positions  # (B, q)
        self.visible = visible
        self.block = block


class _Slab:
    """Keys and values of all layers; tensors are made when a layer first writes."""

    def __init__(self) -> None:
        self.rows = 0
        self.positions = 0
        self._tensors: dict[int, list[Any]] = {}  # layer -> [keys, values], (rows, heads, positions + 1, width)

    def make_room(self, rows: int, positions: int, most: int) -> None:
        """Grow to hold that many rows and positions, by half again so that growing stays rare."""
        if rows <= self.rows and positions <= self.positions:
            return
        if positions > self.positions:
            wanted = max(positions, min(most, self.positions + self.positions // 2))
            self.positions = -(-wanted // _ROUND_UP) * _ROUND_UP
        if rows > self.rows:
            self.rows = max(rows, self.rows + self.rows // 2)
        for tensors in self._tensors.values():
            for index, old in enumerate(tensors):
                new = old.new_zeros((self.rows, old.shape[1], self.positions + _SPARE, old.shape[3]))
                kept = min(old.shape[2] - _SPARE, self.positions)
                new[: old.shape[0], :, :kept] = old[:, :, :kept]
                tensors[index] = new

    def copy(self, step: Step) -> None:
        """Make the step's copies; one a pair of rows, its suffix only."""
        for tensors in self._tensors.values():
            for tensor in tensors:
                for copy in step.copies:
                    tensor[copy.target, :, copy.start : copy.end] = tensor[copy.source, :, copy.start : copy.end]

    def write(self, layer: int, view: _View, new: tuple[Any, Any]) -> tuple[Any, Any]:
        """Store a block's keys and values; all that its rows hold comes back."""
        tensors = self._tensors.get(layer)
        if tensors is None:
            tensors = [x.new_zeros((self.rows, x.shape[1], self.positions + _SPARE, x.shape[3])) for x in new]
            self._tensors[layer] = tensors
        for tensor, states in zip(tensors, new):
            tensor[view.rows, :, view.positions] = states.transpose(1, 2)
        rows = view.block if view.block is not None else view.rows[:, 0]
        keys, values = (tensor[rows, :, : view.visible] for tensor in tensors)
        return keys, values

    def layers(self, view: _View, config: Any) -> list[Any]:
        """Cache layers for one forward pass."""
        kind = _layer_class()
        count = config.get_text_config().num_hidden_layers
        return [kind(partial(self.write, index, view), view.visible) for index in range(count)]


_LAYER_CLASS: list[type] = []


def _layer_class() -> type:
    """The cache layer class; made on first use because its base needs transformers."""
    if _LAYER_CLASS:
        return _LAYER_CLASS[0]
    from transformers.cache_utils import CacheLayerMixin

    class SlabLayer(CacheLayerMixin):
        """One layer's window onto the slab during one forward pass."""

        is_sliding = False

        def __init__(self, write: Any, visible: int) -> None:
            super().__init__()
            self._write = write
            self._visible = visible

        def lazy_initialization(self, key_states: Any, value_states: Any) -> None:
            self.is_initialized = True

        def update(self, key_states: Any, value_states: Any, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
            self.is_initialized = True
            return self._write((key_states, value_states))

        def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
            return self._visible, 0

        def get_seq_length(self) -> int:
            return self._visible

        def get_max_length(self) -> int:
            return -1

    _LAYER_CLASS.append(SlabLayer)
    return SlabLayer


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
