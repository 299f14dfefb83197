"""Forward passes of a transformers model over packed tokens, with attention of our own (`models/packing.py`).

Linear layers see exactly the tokens there are, whatever the rows' lengths, and the output layer those asked for. What
depends on the feed alone (indices, masks) is made once a pass, not once a layer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from smcdsl.models.cache_plan import Feed, Fill, Ints
from smcdsl.models.packing import Block, pack
from smcdsl.models.torch_attention import merged, part
from smcdsl.models.torch_store import Store


@dataclass
class _Block:
    """A block with its indices on the device, and its masks as they are needed."""

    plan: Block
    rows: Any
    tokens: Any
    places: Any
    masks: dict[tuple[int, Any], Any]

    def mask(self, group: int, like: Any) -> Any:
        """(count, 1, group * width, visible) to add to scores; None where all is seen."""
        if self.plan.hidden is None:
            return None
        key = (group, like.dtype)
        if key not in self.masks:
            import torch

            hidden = torch.from_numpy(self.plan.hidden).to(like.device)
            mask = like.new_zeros(hidden.shape).masked_fill_(hidden, float("-inf"))
            self.masks[key] = mask[:, None].repeat(1, 1, group, 1)
        return self.masks[key]


class RowsPass:
    """One token or more for each of B rows."""

    def __init__(self, store: Store, feed: Feed, path: Callable[[int], Sequence[int]], device: Any) -> None:
        import torch

        def there(numbers: Ints | None) -> Any:
            return None if numbers is None else torch.from_numpy(numbers).to(device)

        packing = pack(feed, path)
        self._store = store
        self._layer = -1
        self.tokens = there(feed.tokens[None])
        self.positions = there(packing.positions[None])
        self._written = there(packing.rows * (store.slots + 1) + packing.slots)
        self._blocks = [
            _Block(
                plan=block,
                rows=block.rows if isinstance(block.rows, slice) else there(block.rows),
                tokens=there(block.tokens),
                places=there(block.places),
                masks={},
            )
            for block in packing.blocks
        ]
        self._segments = [(number, there(tokens)) for number, tokens in packing.segments]

    def write(self, layer: int, keys: Any, values: Any) -> None:
        """Store (1, heads, T, width) keys and values."""
        self._layer = layer
        new = [states[0].transpose(0, 1) for states in (keys, values)]
        for tensor, states in zip(self._store.rows_of(layer, *new), new):
            tensor.flatten(0, 1).index_copy_(0, self._written, states)

    def attend(self, query: Any, scale: float) -> Any:
        """See `torch_attention.Attending`."""
        import torch

        pair = self._store.rows_of(self._layer, None, None)
        kv_heads = pair[0].shape[2]
        # (T, kv heads, queries that share a head, width)
        query = query[0].transpose(0, 1)
        query = query.reshape(len(query), kv_heads, -1, query.shape[-1])
        if len(self._blocks) == 1:
            found = self._own(self._blocks[0], pair, query, scale)
        else:
            mixed = query.new_empty((*query.shape[:3], pair[1].shape[-1]))
            logs = mixed.new_empty(query.shape[:3], dtype=torch.float32)
            for block in self._blocks:
                mixed[block.tokens], logs[block.tokens] = self._own(block, pair, query, scale)
            found = mixed, logs
        for number, tokens in self._segments:
            if tokens is None:
                found = merged(found, self._shared(number, query, scale))
            else:
                both = merged((found[0][tokens], found[1][tokens]), self._shared(number, query[tokens], scale))
                found[0][tokens], found[1][tokens] = both
        mixed = found[0]
        return mixed.reshape(1, len(mixed), -1, mixed.shape[-1])

    def _own(self, block: _Block, pair: list[Any], query: Any, scale: float) -> tuple[Any, Any]:
        """What tokens of a block see in their own rows: (t, kv heads, group, width) and (t, kv heads, group)."""
        _, heads, group, width = query.shape
        count, columns = block.plan.count, block.plan.width
        if block.tokens is not None:
            query = query[block.tokens]
        if block.places is not None:
            own, query = query, query.new_zeros((count * columns, heads, group, width))
            query[block.places] = own
        # (rows, kv heads, group * columns, width)
        query = query.view(count, columns, heads, group, width).permute(0, 2, 3, 1, 4)
        query = query.reshape(count, heads, group * columns, width)
        keys, values = (tensor[block.rows, : block.plan.visible].transpose(1, 2) for tensor in pair)
        mixed, logs = part(query, keys, values, block.mask(group, query), scale)
        mixed = mixed.view(count, heads, group, columns, -1).permute(0, 3, 1, 2, 4).flatten(0, 1)
        logs = logs.view(count, heads, group, columns).permute(0, 3, 1, 2).flatten(0, 1)
        return (mixed, logs) if block.places is None else (mixed[block.places], logs[block.places])

    def _shared(self, number: int, query: Any, scale: float) -> tuple[Any, Any]:
        """What tokens see in a segment: one product for all of them."""
        count, heads, group, width = query.shape
        flat = query.transpose(0, 1).reshape(1, heads, count * group, width)
        keys, values = (tensor.transpose(0, 1)[None] for tensor in self._store.segment(number, self._layer))
        mixed, logs = part(flat, keys, values, None, scale)
        mixed = mixed.view(heads, count, group, -1).transpose(0, 1)
        return mixed, logs.view(heads, count, group).transpose(0, 1)


class FillPass:
    """A piece of a segment: W tokens that see the segments before, the segment's earlier tokens, and one another."""

    def __init__(
        self, store: Store, fill: Fill, start: int, tokens: Sequence[int], path: Sequence[int], device: Any
    ) -> None:
        import torch

        self._store = store
        self._fill = fill
        self._start = start  # within the segment
        self._path = path
        self._layer = -1
        self._new: list[Any] = []
        first = fill.start + start
        self.tokens = torch.tensor([list(tokens)], device=device)
        self.positions = torch.arange(first, first + len(tokens), device=device)[None]

    def write(self, layer: int, keys: Any, values: Any) -> None:
        """Store (1, heads, W, width) keys and values."""
        self._layer = layer
        self._new = [keys, values]
        new = [states[0].transpose(0, 1) for states in self._new]
        self._store.write_segment(self._fill.segment, layer, len(self._fill.tokens), self._start, new)

    def attend(self, query: Any, scale: float) -> Any:
        """See `torch_attention.Attending`."""
        heads = self._new[0].shape[1]
        _, all_heads, width, _ = query.shape
        group = all_heads // heads
        # (group, kv heads, W, width)
        query = query[0].reshape(heads, group, width, -1).transpose(0, 1)
        keys, values = (states.expand(group, -1, -1, -1) for states in self._new)
        found = part(query, keys, values, None, scale, causal=True)
        before = [self._store.segment(number, self._layer) for number in self._path]
        if self._start:
            before.append([states[: self._start] for states in self._store.segment(self._fill.segment, self._layer)])
        for pair in before:
            keys, values = (tensor.transpose(0, 1)[None].expand(group, -1, -1, -1) for tensor in pair)
            found = merged(found, part(query, keys, values, None, scale))
        return found[0].permute(2, 1, 0, 3).reshape(1, width, all_heads, -1)
