"""Forward passes over padded rows, for architectures whose attention cannot be replaced.

Blocks of unequal lengths are padded on the left, so that logits are wanted at the last columns; what padding writes
goes to the spare slot that no query sees. A 4-D mask shows each query its own row up to its own slot.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from smcdsl.models.cache_plan import Feed, Ints
from smcdsl.models.packing import of_similar_length, pieces
from smcdsl.models.torch_packed import TOKENS_AT_ONCE
from smcdsl.models.torch_store import Store


class Padded:
    """Does what a `PrefixRows` that shares nothing says."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.store = Store(model.config)

    def feed(self, feed: Feed, path: Callable[[int], list[int]]) -> Iterator[tuple[Ints, Any]]:
        """Compute a feed; which wanted prefixes' logits came out, and these."""
        for piece in pieces(feed, TOKENS_AT_ONCE):
            for places in of_similar_length(piece.counts):
                yield from self._block(piece, places)

    def _block(self, feed: Feed, places: Ints) -> Iterator[tuple[Ints, Any]]:
        import torch
        from transformers import Cache

        device, store = self._model.device, self.store
        counts, starts, ends = feed.counts[places], feed.starts[places], np.cumsum(feed.counts)[places]
        width = int(counts.max())
        # Column j of row i is token j - (width - counts[i]).
        offsets = np.arange(width)[None, :] - (width - counts)[:, None]
        real = offsets >= 0
        positions = np.where(real, starts[:, None] + offsets, 0)
        tokens = np.where(real, feed.tokens[np.where(real, (ends - counts)[:, None] + offsets, 0)], 0)
        visible = int((starts + counts).max())
        hidden = np.arange(visible)[None, None, :] > positions[:, :, None]
        mask = torch.zeros(hidden.shape, dtype=self._model.dtype)
        mask.masked_fill_(torch.from_numpy(hidden), torch.finfo(self._model.dtype).min)
        rows = feed.rows[places]
        written = rows[:, None] * (store.slots + 1) + np.where(real, positions, store.slots)
        view = _View(store, torch.from_numpy(written.ravel()).to(device), _chosen(rows, device), visible)
        # Which tokens are asked about, as (row, column).
        owners = np.searchsorted(np.cumsum(feed.counts), feed.places, side="right")
        own = np.flatnonzero(np.isin(owners, places))
        lines = np.searchsorted(places, owners[own])
        columns = feed.places[own] - (ends - counts)[lines] + (width - counts)[lines]
        output = self._model(
            input_ids=torch.from_numpy(tokens).to(device),
            attention_mask=mask[:, None].to(device),
            position_ids=torch.from_numpy(positions).to(device),
            past_key_values=Cache(layers=[_layer_class()(view, layer) for layer in range(store.num_layers)]),
            use_cache=True,
            logits_to_keep=width - int(columns.min(initial=width - 1)),
        )
        if len(own):
            kept = output.logits.shape[1]
            logits = output.logits[
                torch.from_numpy(lines).to(device), torch.from_numpy(columns - width + kept).to(device)
            ]
            yield feed.asked[own], logits


class _View:
    """What one forward pass writes and sees."""

    def __init__(self, store: Store, written: Any, rows: Any, visible: int) -> None:
        self._store = store
        self._written = written
        self._rows = rows
        self.visible = visible

    def write(self, layer: int, keys: Any, values: Any) -> tuple[Any, Any]:
        """Store (rows, heads, width, dim) keys and values; all that the rows hold comes back."""
        new = [states.transpose(1, 2).flatten(0, 1) for states in (keys, values)]
        tensors = self._store.rows_of(layer, *new)
        for tensor, states in zip(tensors, new):
            tensor.flatten(0, 1).index_copy_(0, self._written, states)
        keys, values = (tensor[self._rows, : self.visible].transpose(1, 2) for tensor in tensors)
        return keys, values


def _chosen(rows: Ints, device: Any) -> Any:
    """A slice where rows follow one another, so that nothing is copied; else their numbers."""
    import torch

    if (np.diff(rows) == 1).all():
        return slice(int(rows[0]), int(rows[-1]) + 1)
    return torch.from_numpy(rows).to(device)


_LAYER_CLASS: list[type] = []


def _layer_class() -> type:
    """The cache layer class; made on first use because its base needs transformers."""
    if _LAYER_CLASS:
        return _LAYER_CLASS[0]
    from transformers.cache_utils import CacheLayerMixin

    class SlabLayer(CacheLayerMixin):
        """One layer's window onto the store during one forward pass."""

        is_sliding = False

        def __init__(self, view: _View, layer: int) -> None:
            super().__init__()
            self._view = view
            self._layer = layer

        def lazy_initialization(self, key_states: Any, value_states: Any) -> None:
            self.is_initialized = True

        def update(self, key_states: Any, value_states: Any, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
            self.is_initialized = True
            return self._view.write(self._layer, key_states, value_states)

        def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
            return self._view.visible, 0

        def get_seq_length(self) -> int:
            return self._view.visible

        def get_max_length(self) -> int:
            return -1

    _LAYER_CLASS.append(SlabLayer)
    return SlabLayer
