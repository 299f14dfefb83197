"""Where a transformers model's keys and values live: rows in place, segments once (terms: `models/cache_plan.py`).

Layout: tokens before heads, so that the slots of a row are one stretch of memory, to write as to copy. Layers of one
shape are stacked, so that a copy between rows is one call for all of them. One slot more than asked for takes what
padding writes.
"""

from __future__ import annotations

from typing import Any

from smcdsl.models.cache_plan import Copy, Drop, Promote, Split

_FIRST_ROWS = 16
_ROUND_UP = 64
_SPARE = 1


class _Stack:
    """Keys and values of some layers of one shape: (layers, rows, slots + 1, heads, width) each."""

    def __init__(self, depth: int, keys: Any, values: Any) -> None:
        self.used = 0
        self.depth = depth
        self.pair = [keys, values]


class Store:
    """All keys and values of a run. Layers get their tensors when they first write.

    Attributes:
        rows, slots: capacity, without the spare slot.
    """

    def __init__(self, config: Any) -> None:
        self.rows = 0
        self.slots = 0
        text = config.get_text_config()
        self.num_layers = int(text.num_hidden_layers)
        kinds = getattr(text, "layer_types", None) or ["attention"] * self.num_layers
        self._alike = {layer: kinds.count(kind) for layer, kind in enumerate(kinds)}
        self._stacks: dict[Any, list[_Stack]] = {}
        self._layers: dict[int, tuple[_Stack, int]] = {}
        self._segments: dict[int, dict[int, list[Any]]] = {}

    def make_room(self, rows: int, slots: int) -> None:
        """Grow to hold that many rows and slots, by half again so that growing stays rare."""
        if rows <= self.rows and slots <= self.slots:
            return
        if slots > self.slots:
            wanted = max(slots, self.slots + self.slots // 2)
            self.slots = -(-wanted // _ROUND_UP) * _ROUND_UP
        if rows > self.rows:
            self.rows = max(rows, self.rows + self.rows // 2, _FIRST_ROWS)
        for stack in (stack for stacks in self._stacks.values() for stack in stacks):
            for index, old in enumerate(stack.pair):
                new = old.new_zeros((stack.depth, self.rows, self.slots + _SPARE, *old.shape[3:]))
                kept = old.shape[2] - _SPARE
                new[:, : old.shape[1], :kept] = old[:, :, :kept]
                stack.pair[index] = new

    def rows_of(self, layer: int, keys: Any, values: Any) -> list[Any]:
        """A layer's keys and values, (rows, slots + 1, heads, width) each.

        `keys` and `values`, (..., tokens, heads, width), say what to make if there are none yet.
        """
        stack, index = self._layers.get(layer) or self._new_layer(layer, keys, values)
        return [tensor[index] for tensor in stack.pair]

    def segment(self, number: int, layer: int) -> list[Any]:
        """Its keys and values in a layer, (tokens, heads, width) each."""
        return self._segments[number][layer]

    def write_segment(self, number: int, layer: int, length: int, start: int, new: list[Any]) -> None:
        """Put (tokens, heads, width) keys and values at `start` of a segment of `length` tokens."""
        segment = self._segments.setdefault(number, {})
        if layer not in segment:
            segment[layer] = [states.new_empty((length, *states.shape[1:])) for states in new]
        for tensor, states in zip(segment[layer], new):
            tensor[start : start + len(states)] = states

    def split(self, operation: Split) -> None:
        """Cut a segment in two; nothing moves."""
        head: dict[int, list[Any]] = {}
        for layer, pair in self._segments[operation.segment].items():
            head[layer] = [tensor[: operation.length] for tensor in pair]
            self._segments[operation.segment][layer] = [tensor[operation.length :] for tensor in pair]
        self._segments[operation.head] = head

    def promote(self, operation: Promote) -> None:
        """Move the beginning of rows that is the same in all of them to a segment."""
        import torch

        segment = self._segments.setdefault(operation.segment, {})
        for layer, (stack, index) in self._layers.items():
            moved = [tensor[index, operation.row, : operation.count].clone() for tensor in stack.pair]
            old = segment.get(layer)
            segment[layer] = moved if old is None else [torch.cat(both) for both in zip(old, moved)]
        for stack in (stack for stacks in self._stacks.values() for stack in stacks):
            for tensor in stack.pair:
                left = self.slots - operation.count
                for row in operation.rows:
                    tensor[:, row, :left] = tensor[:, row, operation.count : self.slots].clone()

    def drop(self, operation: Drop) -> None:
        """Free a segment."""
        self._segments.pop(operation.segment, None)

    def copy(self, copies: tuple[Copy, ...]) -> None:
        """Copy between rows: one call a pair, its suffix only."""
        for stack in (stack for stacks in self._stacks.values() for stack in stacks):
            for tensor in stack.pair:
                for copy in copies:
                    tensor[:, copy.target, copy.start : copy.end] = tensor[:, copy.source, copy.start : copy.end]

    def _new_layer(self, layer: int, keys: Any, values: Any) -> tuple[_Stack, int]:
        shape = (keys.shape[-2:], values.shape[-2:], keys.dtype)
        stacks = self._stacks.setdefault(shape, [])
        if not stacks or stacks[-1].used == stacks[-1].depth:
            depth = self._alike.get(layer, 1)
            room = (depth, self.rows, self.slots + _SPARE)
            stacks.append(_Stack(depth, *(states.new_zeros((*room, *states.shape[-2:])) for states in (keys, values))))
        stack = stacks[-1]
        self._layers[layer] = stack, stack.used
        stack.used += 1
        return self._layers[layer]
