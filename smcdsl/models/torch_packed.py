"""Packed passes: the new tokens of all rows are one sequence, and what rows share is attended to once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from smcdsl.models.cache_plan import Feed, Fill, Ints
from smcdsl.models.packing import pieces
from smcdsl.models.torch_attention import running
from smcdsl.models.torch_passes import FillPass, RowsPass
from smcdsl.models.torch_store import Store

TOKENS_AT_ONCE = 1024
"""A longer stretch is fed in pieces, so that its scores stay small."""


class Packed:
    """Does what `PrefixRows` says with packed passes."""

    def __init__(self, model: Any) -> None:
        self._model = model
        # Found anew at each asking, by way of the parameters.
        self._device = model.device
        self.store = Store(model.config)
        self._cache = _pass_cache()(layers=[])
        # A mask in four dimensions is passed through as it is; attention of our own looks at none.
        self._no_mask = model.get_input_embeddings().weight.new_zeros((1, 1, 1, 1))

    def feed(self, feed: Feed, path: Callable[[int], list[int]]) -> Iterator[tuple[Ints, Any]]:
        """Compute a feed; which wanted prefixes' logits came out, and these."""
        import torch

        for piece in pieces(feed, TOKENS_AT_ONCE):
            rows_pass = RowsPass(self.store, piece, path, self._device)
            logits = self._run(rows_pass, torch.from_numpy(piece.places))
            if len(piece.asked):
                yield piece.asked, logits[0]

    def fill(self, fill: Fill) -> None:
        """Compute a segment, in pieces if it is long."""
        import torch

        nothing = torch.empty(0, dtype=torch.long)
        for start in range(0, len(fill.tokens), TOKENS_AT_ONCE):
            tokens = fill.tokens[start : start + TOKENS_AT_ONCE]
            self._run(FillPass(self.store, fill, start, tokens, fill.path, self._device), nothing)

    def _run(self, one_pass: Any, kept: Any) -> Any:
        self._cache.current = one_pass
        with running(one_pass):
            output = self._model(
                input_ids=one_pass.tokens,
                attention_mask=self._no_mask,
                position_ids=one_pass.positions,
                past_key_values=self._cache,
                use_cache=True,
                logits_to_keep=kept.to(self._device),
            )
        if output.logits.shape[1] != len(kept):
            raise NotImplementedError("an output layer that takes no positions to keep")
        return output.logits


@cache
def _pass_cache() -> Any:
    """The kind of what a model takes for its cache; it hands all keys and values to the current pass."""
    from transformers import Cache

    class PassCache(Cache):
        current: Any = None

        def update(self, key_states: Any, value_states: Any, layer_idx: int, *_: Any, **__: Any) -> tuple[Any, Any]:
            self.current.write(layer_idx, key_states, value_states)
            return key_states, value_states

        def get_seq_length(self, layer_idx: int = 0) -> int:
            return 0

    return PassCache
