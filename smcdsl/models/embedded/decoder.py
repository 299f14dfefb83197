"""The embedded model's forward pass: a small Llama in numpy.

Many rows are carried side by side. Their common start (a prompt) is computed once by `prefill` and
stored once; each row owns the keys and values of what follows. A row attends to the first
`shared_lengths[row]` tokens of the common start, then to its own. Rows have any lengths; forking
is copying a row's keys and values. Nothing loops over rows.

Numbers are of the weights' type. In float64, logits are within 1e-5 of those that transformers computes in
float64 (3.5e-6 measured on the prompts of the tests, of which its norms, rounded to float32 whatever the type, make
up nearly all). Float32 is twice as fast, so models run in it; it is as far from float64 as transformers' own
float32 is: 3e-6 root mean square, 2.1e-5 (transformers 2.5e-5) at most on the same prompts.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

Floats = NDArray[np.floating]
Ints = NDArray[np.int64]


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
    """Rows of tokens, their keys and values, and the logits after them.

    Attributes:
        num_rows: rows there is room for; `grow_rows` makes more.
        lengths: (rows,) tokens each row has.
        shared_lengths: (rows,) how many of them are the beginning of the common start.
    """

    def __init__(self, weights: Weights, num_rows: int = 16) -> None:
        self.weights = weights
        self.num_rows = num_rows
        self.lengths = np.zeros(num_rows, dtype=np.int64)
        self.shared_lengths = np.zeros(num_rows, dtype=np.int64)
        layers, heads, dim = len(weights.layers), weights.num_kv_heads, weights.head_dim
        self._keys = np.zeros((layers, num_rows, heads, 64, dim), dtype=weights.dtype)
        self._values = np.zeros_like(self._keys)
        self._shared_keys = np.zeros((layers, heads, 0, dim), dtype=weights.dtype)
        self._shared_values = np.zeros_like(self._shared_keys)

    @property
    def shared_length(self) -> int:
        """Tokens in the common start."""
        return self._shared_keys.shape[2]

    def prefill(self, tokens: Ints) -> Floats:
        """Make `tokens` the common start and what every row holds, and return the (V,) logits after it."""
        alone = Decoder(self.weights, num_rows=1)
        logits = alone.append(np.zeros(1, dtype=np.int64), np.asarray(tokens)[None], np.asarray([len(tokens)]))
        self._shared_keys = alone._keys[:, 0, :, : len(tokens)].copy()
        self._shared_values = alone._values[:, 0, :, : len(tokens)].copy()
        self.lengths[:] = self.shared_lengths[:] = len(tokens)
        return logits[0]

    def copy(self, sources: Ints, targets: Ints, lengths: Ints) -> None:
        """Make each target row the first `lengths` tokens of its source; no target is also a source."""
        shared = np.minimum(self.shared_lengths[sources], lengths)
        longest = int((lengths - shared).max(initial=0))
        self._keys[:, targets, :, :longest] = self._keys[:, sources, :, :longest]
        self._values[:, targets, :, :longest] = self._values[:, sources, :, :longest]
        self.shared_lengths[targets] = shared
        self.lengths[targets] = lengths

    def grow_rows(self, num_rows: int) -> None:
        """Make room for at least `num_rows` rows; new ones hold the common start."""
        more = num_rows - self.num_rows
        if more <= 0:
            return
        self._keys, self._values = (np.pad(slab, ((0, 0), (0, more), (0, 0), (0, 0), (0, 0))) for slab in self._slabs)
        self.lengths = np.pad(self.lengths, (0, more), constant_values=self.shared_length)
        self.shared_lengths = np.pad(self.shared_lengths, (0, more), constant_values=self.shared_length)
        self.num_rows = num_rows

    def step(self, rows: Ints, tokens: Ints) -> Floats:
        """Append one token to each of n distinct rows and return the (n, V) logits after them."""
        return self.append(rows, tokens[:, None], np.ones(len(rows), dtype=np.int64))

    def append(self, rows: Ints, tokens: Ints, counts: Ints, starts: Ints | None = None) -> Floats:
        """Append several tokens to each of n rows.

        Args:
            rows: (n,) row numbers; one may come twice if what is written agrees.
            tokens: (n, T) token ids; what lies past a row's count is ignored.
            counts: (n,) tokens to append, from 1 to T.
            starts: (n,) tokens of each row that stay; all by default.

        Returns:
            (n, V) logits after each row's last token.

        Raises:
            ValueError: a row would pass the context length.
        """
        weights = self.weights
        width = tokens.shape[1]
        starts = self.lengths[rows] if starts is None else starts
        if int((starts + counts).max()) > weights.context_length:
            raise ValueError(f"a row would pass the context of {weights.context_length} tokens")
        shared = np.minimum(self.shared_lengths[rows], starts)
        slots = (starts - shared)[:, None] + np.arange(width)
        self._make_room(int(slots.max()) + 1)
        # Ignored tokens may lie past the context; their angles do not matter.
        positions = np.minimum(starts[:, None] + np.arange(width), weights.context_length - 1)
        turn = (weights.cos[positions][:, :, None], weights.sin[positions][:, :, None])
        hidden_shared, hidden_own = self._hidden(shared, slots)
        x = weights.embedding[tokens.reshape(-1)]
        for index, layer in enumerate(weights.layers):
            x = x + self._attend(
                index, layer, normalized(x, weights.norm_eps), rows, slots, turn, hidden_shared, hidden_own
            )
            gate, up = np.split(normalized(x, weights.norm_eps) @ layer.gate_up, 2, axis=-1)
            x = x + (gate / (1 + np.exp(-np.maximum(gate, -80))) * up) @ layer.down
        self.shared_lengths[rows] = shared
        self.lengths[rows] = starts + counts
        last = x[np.arange(len(rows)) * width + counts - 1]
        return normalized(last, weights.norm_eps) @ weights.head

    @property
    def _slabs(self) -> tuple[Floats, Floats]:
        return self._keys, self._values

    def _make_room(self, time: int) -> None:
        room = self._keys.shape[3]
        if time <= room:
            return
        more = max(room, time - room)
        self._keys, self._values = (np.pad(slab, ((0, 0), (0, 0), (0, 0), (0, more), (0, 0))) for slab in self._slabs)

    def _hidden(self, shared: Ints, slots: Ints) -> tuple[NDArray[np.bool_] | None, NDArray[np.bool_] | None]:
        """Keys a query must not see: (n, 1, S) of the common start, (n, T, L) of its own; None if it sees all."""
        hidden_shared = None
        if int(shared.min()) < self.shared_length:
            hidden_shared = np.arange(self.shared_length) >= shared[:, None, None]
        hidden_own = None
        longest = int(slots.max())
        if int(slots.min()) < longest:
            hidden_own = np.arange(longest + 1) > slots[:, :, None]
        return hidden_shared, hidden_own

    def _attend(
        self,
        index: int,
        layer: Layer,
        x: Floats,
        rows: Ints,
        slots: Ints,
        turn: tuple[Floats, Floats],
        hidden_shared: NDArray[np.bool_] | None,
        hidden_own: NDArray[np.bool_] | None,
    ) -> Floats:
        """Attention of (n * T, hidden) inputs over the common start and their rows, which get their keys and values."""
        weights = self.weights
        count, width = slots.shape
        heads, dim = weights.num_kv_heads, weights.head_dim
        qkv = (x @ layer.qkv).reshape(count, width, -1, dim)
        turned = rotated(qkv[:, :, :-heads], *turn)
        query, key, value = turned[:, :, :-heads], turned[:, :, -heads:], qkv[:, :, -heads:]
        keys, values = self._keys[index], self._values[index]
        keys[rows[:, None], :, slots] = key
        values[rows[:, None], :, slots] = value
        group = weights.num_heads // heads
        # (heads, n, T * group, dim): the queries that share keys stand together.
        query = query.reshape(count, width, heads, group, dim).transpose(2, 0, 1, 3, 4).reshape(heads, count, -1, dim)
        length = int(slots.max()) + 1
        own_keys, own_values = (slab[rows, :, :length].transpose(1, 0, 2, 3) for slab in (keys, values))
        past = self.shared_length
        scores = np.empty((heads, count, width * group, past + length), dtype=x.dtype)
        flat = query.reshape(heads, -1, dim)
        scores[..., :past] = (flat @ self._shared_keys[index].swapaxes(1, 2)).reshape(heads, count, width * group, past)
        scores[..., past:] = query @ own_keys.swapaxes(2, 3)
        if hidden_shared is not None:
            np.copyto(scores[..., :past], -np.inf, where=hidden_shared)
        if hidden_own is not None:
            np.copyto(scores[..., past:], -np.inf, where=np.repeat(hidden_own, group, axis=1))
        scores -= scores.max(axis=-1, keepdims=True)
        np.exp(scores, out=scores)
        scores /= scores.sum(axis=-1, keepdims=True)
        mixed = scores[..., past:] @ own_values
        mixed += (scores[..., :past].reshape(heads, count * width * group, past) @ self._shared_values[index]).reshape(
            mixed.shape
        )
        mixed = mixed.reshape(heads, count, width, group, dim).transpose(1, 2, 0, 3, 4)
        return mixed.reshape(count * width, -1) @ layer.out


def normalized(x: Floats, eps: float) -> Floats:
    """Divide by the root mean square over the last axis."""
    mean_square = np.einsum("...i,...i->...", x, x)[..., None] / x.shape[-1]
    return x / np.sqrt(mean_square + eps)


def rotated(x: Floats, cos: Floats, sin: Floats) -> Floats:
    """Turn (n, T, heads, dim) by position: the first half of `dim` is paired with the second."""
    half = x.shape[-1] // 2
    first, second = x[..., :half], x[..., half:]
    return np.concatenate((first * cos - second * sin, second * cos + first * sin), axis=-1)


def log_softmax(logits: Floats) -> Floats:
    """Normalise (n, V) logits, row by row."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return shifted
