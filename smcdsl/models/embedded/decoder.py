"""The embedded model's forward pass: a small Llama in numpy.

It does what `prefix_cache.PrefixRows` says: many rows side by side, of any lengths, and what they have in common (a
prompt) computed once and stored once. All new tokens are one packed sequence (`models/packing.py`); what a token sees
in its row and in each segment is attended to apart and merged exactly (`models/torch_attention.py` names the source).
Nothing loops over rows.

Numbers are of the weights' type. In float64, logits are within 1e-5 of those that transformers computes in
float64 (3.5e-6 measured on the prompts of the tests, of which its norms, rounded to float32 whatever the type, make
up nearly all). Float32 is twice as fast, so models run in it; it is as far from float64 as transformers' own
float32 is: 3e-6 root mean square, 2.1e-5 (transformers 2.5e-5) at most on the same prompts.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from smcdsl.models.cache_plan import Copy, Drop, Feed, Fill, Ints, Promote, Split
from smcdsl.models.packing import Block, Packing, pack, pieces

TOKENS_AT_ONCE = 1024
"""A longer stretch is fed in pieces, so that its scores stay small."""
Floats = NDArray[np.floating]
Attend = Callable[[int, Floats, Floats, Floats], Floats]
"""(layer, queries, keys, values) of new tokens to what they see, (T, heads * dim); stores keys and values first."""


class Layer(NamedTuple):
    """Weights of one layer; the weights of norms and the scale of the scores are folded in."""

    qkv: Floats  # (hidden, (heads + 2 kv heads) * dim)
    out: Floats  # (heads * dim, hidden)
    gate_up: Floats  # (hidden, 2 * intermediate)
    down: Floats  # (intermediate, hidden)


@dataclass(frozen=True)
class Weights:
    """The whole model, read-only: any number of decoders may share it."""

    embedding: Floats  # (V, hidden)
    head: Floats  # (hidden, V), the embedding with the last norm's weight folded in
    layers: tuple[Layer, ...]
    cos: Floats  # (context, dim / 2)
    sin: Floats  # (context, dim / 2)
    num_heads: int
    num_kv_heads: int
    head_dim: int
    norm_eps: float

    @property
    def context_length(self) -> int:
        """The most tokens a row may have, the common start included."""
        return len(self.cos)

    @property
    def dtype(self) -> np.dtype[np.floating]:
        """The type that everything is computed in."""
        return self.embedding.dtype


def load_weights(folder: Path, dtype: type[np.floating] = np.float32) -> Weights:
    """Read `config.json` and `model.safetensors` as transformers writes them for a Llama with tied embeddings."""
    config = json.loads((folder / "config.json").read_text())
    stored = {name: array.astype(dtype) for name, array in load_file(folder / "model.safetensors").items()}
    dim = config["head_dim"]
    query_width = config["num_attention_heads"] * dim

    def layer(index: int) -> Layer:
        at = f"model.layers.{index}."
        qkv = np.concatenate([stored[f"{at}self_attn.{name}_proj.weight"] for name in "qkv"])
        qkv *= stored[f"{at}input_layernorm.weight"]
        qkv[:query_width] *= dim**-0.5
        gate_up = np.concatenate([stored[f"{at}mlp.{name}_proj.weight"] for name in ("gate", "up")])
        gate_up *= stored[f"{at}post_attention_layernorm.weight"]
        matrices = (qkv, stored[f"{at}self_attn.o_proj.weight"], gate_up, stored[f"{at}mlp.down_proj.weight"])
        # With few rows a product with a matrix stored this way round takes two thirds of the time.
        return Layer(*(np.ascontiguousarray(matrix.T) for matrix in matrices))

    # Angles are rounded as transformers rounds them, whatever its weights' type: exact ones move logits by 3e-5.
    rates = 1 / np.float32(config["rope_theta"]) ** (np.arange(0, dim, 2, dtype=np.float32) / np.float32(dim))
    angles = (np.arange(config["max_position_embeddings"], dtype=np.float32)[:, None] * rates).astype(np.float64)
    return Weights(
        embedding=stored["model.embed_tokens.weight"],
        head=np.ascontiguousarray((stored["model.embed_tokens.weight"] * stored["model.norm.weight"]).T),
        layers=tuple(layer(index) for index in range(config["num_hidden_layers"])),
        cos=np.cos(angles).astype(dtype),
        sin=np.sin(angles).astype(dtype),
        num_heads=config["num_attention_heads"],
        num_kv_heads=config["num_key_value_heads"],
        head_dim=dim,
        norm_eps=config["rms_norm_eps"],
    )


class Decoder:
    """Keys and values of one run."""

    def __init__(self, weights: Weights) -> None:
        self.weights = weights
        shape = (len(weights.layers), 0, weights.num_kv_heads, 0, weights.head_dim)
        self._keys = np.zeros(shape, dtype=weights.dtype)  # layer, row, head, slot, width
        self._values = np.zeros_like(self._keys)
        self._segments: dict[int, tuple[Floats, Floats]] = {}  # each (layer, head, token, width)

    def make_room(self, rows: int, slots: int) -> None:
        """Hold at least that many rows and slots; twice as many, so that growing stays rare."""
        has_rows, has_slots = self._keys.shape[1], self._keys.shape[3]
        more = max(rows - has_rows, 0) and max(rows - has_rows, has_rows)
        longer = max(slots - has_slots, 0) and max(slots - has_slots, has_slots, 64)
        if more or longer:
            room = ((0, 0), (0, more), (0, 0), (0, longer), (0, 0))
            self._keys, self._values = np.pad(self._keys, room), np.pad(self._values, room)

    def copy(self, copies: Sequence[Copy]) -> None:
        """Copy slots between rows."""
        for slab in (self._keys, self._values):
            for copy in copies:
                slab[:, copy.target, :, copy.start : copy.end] = slab[:, copy.source, :, copy.start : copy.end]

    def split(self, split: Split) -> None:
        """Cut a segment in two; nothing moves."""
        keys, values = self._segments[split.segment]
        self._segments[split.head] = keys[:, :, : split.length], values[:, :, : split.length]
        self._segments[split.segment] = keys[:, :, split.length :], values[:, :, split.length :]

    def promote(self, promote: Promote) -> None:
        """Move the beginning of rows that is the same in all of them to a segment."""
        parts = []
        rows = np.asarray(promote.rows)
        for which, slab in enumerate((self._keys, self._values)):
            moved = slab[:, promote.row, :, : promote.count].copy()
            if promote.segment in self._segments:
                moved = np.concatenate([self._segments[promote.segment][which], moved], axis=2)
            parts.append(moved)
            slab[:, rows, :, : -promote.count] = slab[:, rows, :, promote.count :]
        self._segments[promote.segment] = parts[0], parts[1]

    def drop(self, drop: Drop) -> None:
        """Free a segment."""
        self._segments.pop(drop.segment, None)

    def fill(self, fill: Fill) -> None:
        """Compute a segment."""
        weights = self.weights
        shape = (len(weights.layers), weights.num_kv_heads, len(fill.tokens), weights.head_dim)
        self._segments[fill.segment] = np.empty(shape, dtype=weights.dtype), np.empty(shape, dtype=weights.dtype)
        for start in range(0, len(fill.tokens), TOKENS_AT_ONCE):
            self._fill_piece(fill, start, min(start + TOKENS_AT_ONCE, len(fill.tokens)))

    def _fill_piece(self, fill: Fill, start: int, end: int) -> None:
        """Tokens `start` to `end` of a segment, after those before."""
        hidden = np.arange(end) > np.arange(start, end)[:, None]

        def attend(layer: int, query: Floats, key: Floats, value: Floats) -> Floats:
            keys, values = (states[layer, :, None] for states in self._segments[fill.segment])
            keys[:, 0, start:end], values[:, 0, start:end] = key.swapaxes(0, 1), value.swapaxes(0, 1)
            flat = query.transpose(1, 2, 0, 3)  # (kv heads, group, T, width)
            found = attended(flat, keys[:, :, :end], values[:, :, :end], hidden)
            for number in fill.path:
                keys, values = (states[layer, :, None] for states in self._segments[number])
                found = merged(found, attended(flat, keys, values, None))
            return found[0].transpose(2, 0, 1, 3).reshape(len(query), -1)

        nothing = np.empty(0, dtype=np.int64)
        self._run(np.asarray(fill.tokens[start:end]), fill.start + np.arange(start, end), nothing, attend)

    def feed(self, feed: Feed, path: Callable[[int], Sequence[int]]) -> list[tuple[Ints, Floats]]:
        """Compute a feed; which wanted prefixes' logits came out, and these."""
        found = []
        for piece in pieces(feed, TOKENS_AT_ONCE):
            packing = pack(piece, path)

            def attend(layer: int, query: Floats, key: Floats, value: Floats, packing: Packing = packing) -> Floats:
                return self._attend(packing, layer, query, key, value)

            logits = self._run(piece.tokens, packing.positions, piece.places, attend)
            found.append((piece.asked, logits))
        return found

    def _run(self, tokens: Ints, positions: Ints, kept: Ints, attend: Attend) -> Floats:
        """The (k, V) logits after the tokens at the k kept places."""
        weights = self.weights
        heads, dim = weights.num_kv_heads, weights.head_dim
        turn = (weights.cos[positions][:, None], weights.sin[positions][:, None])
        x = weights.embedding[tokens]
        for index, layer in enumerate(weights.layers):
            qkv = (normalized(x, weights.norm_eps) @ layer.qkv).reshape(len(x), -1, dim)
            turned = rotated(qkv[:, :-heads], *turn)
            query = turned[:, :-heads].reshape(len(x), heads, -1, dim)
            x = x + attend(index, query, turned[:, -heads:], qkv[:, -heads:]) @ layer.out
            gate, up = np.split(normalized(x, weights.norm_eps) @ layer.gate_up, 2, axis=-1)
            x = x + (gate / (1 + np.exp(-np.maximum(gate, -80))) * up) @ layer.down
        return normalized(x[kept], weights.norm_eps) @ weights.head

    def _attend(self, packing: Packing, layer: int, query: Floats, key: Floats, value: Floats) -> Floats:
        """What (T, kv heads, group, dim) queries see in their rows and segments."""
        self._keys[layer][packing.rows, :, packing.slots] = key
        self._values[layer][packing.rows, :, packing.slots] = value
        mixed = np.empty_like(query)
        logs = np.empty(query.shape[:3], dtype=query.dtype)
        for block in packing.blocks:
            own = slice(None) if block.tokens is None else block.tokens
            mixed[own], logs[own] = self._own(block, layer, query[own])
        for number, tokens in packing.segments:
            seeing = slice(None) if tokens is None else tokens
            keys, values = (states[layer] for states in self._segments[number])
            flat = query[seeing].transpose(1, 0, 2, 3)  # (kv heads, t, group, dim)
            there = attended(flat.reshape(len(flat), -1, flat.shape[-1]), keys, values, None)
            shared = there[0].reshape(flat.shape).swapaxes(0, 1), there[1].reshape(flat.shape[:3]).swapaxes(0, 1)
            mixed[seeing], logs[seeing] = merged((mixed[seeing], logs[seeing]), shared)
        return mixed.reshape(len(query), -1)

    def _own(self, block: Block, layer: int, query: Floats) -> tuple[Floats, Floats]:
        """What a block's tokens see in their rows: mixtures (t, kv heads, group, dim) and logs of sums."""
        _, heads, group, dim = query.shape
        count, width = block.count, block.width
        if block.places is not None:
            own, query = query, np.zeros((count * width, heads, group, dim), dtype=query.dtype)
            query[block.places] = own
        query = query.reshape(count, width, heads, group, dim).transpose(0, 2, 3, 1, 4)
        hidden = None if block.hidden is None else np.repeat(block.hidden[:, None], group, axis=1)
        if hidden is not None:
            hidden = hidden.reshape(count, 1, group * width, -1)
        keys, values = (slab[layer][block.rows, :, : block.visible] for slab in (self._keys, self._values))
        mixed, logs = attended(query.reshape(count, heads, group * width, dim), keys, values, hidden)
        mixed = mixed.reshape(count, heads, group, width, dim).transpose(0, 3, 1, 2, 4).reshape(-1, heads, group, dim)
        logs = logs.reshape(count, heads, group, width).transpose(0, 3, 1, 2).reshape(-1, heads, group)
        return (mixed, logs) if block.places is None else (mixed[block.places], logs[block.places])


def attended(query: Floats, keys: Floats, values: Floats, hidden: NDArray[np.bool_] | None) -> tuple[Floats, Floats]:
    """Mixtures (..., Q, width) of values and logs (..., Q) of the sums of exponentiated scores."""
    scores = query @ keys.swapaxes(-1, -2)
    if hidden is not None:
        np.copyto(scores, -np.inf, where=hidden)
    highest = scores.max(axis=-1, keepdims=True)
    scores -= highest
    np.exp(scores, out=scores)
    sums = scores.sum(axis=-1, keepdims=True)
    return (scores @ values) / sums, (highest + np.log(sums))[..., 0]


def merged(first: tuple[Floats, Floats], second: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
    """What is seen in two parts together."""
    logs = np.logaddexp(first[1], second[1])
    share = np.exp(second[1] - logs)[..., None]
    return first[0] + (second[0] - first[0]) * share, logs


def normalized(x: Floats, eps: float) -> Floats:
    """Divide by the root mean square over the last axis."""
    mean_square = np.einsum("...i,...i->...", x, x)[..., None] / x.shape[-1]
    return x / np.sqrt(mean_square + eps)


def rotated(x: Floats, cos: Floats, sin: Floats) -> Floats:
    """Turn (T, heads, dim) by position: the first half of `dim` is paired with the second."""
    half = x.shape[-1] // 2
    first, second = x[..., :half], x[..., half:]
    return np.concatenate((first * cos - second * sin, second * cos + first * sin), axis=-1)


def log_softmax(logits: Floats) -> Floats:
    """Normalise (n, V) logits, row by row."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return shifted
