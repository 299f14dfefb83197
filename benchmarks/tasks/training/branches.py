"""The network on one document at a time, without padding: branches attend to the common start and to themselves.

`smcdsl.models.embedded.training.network` takes packed rows, whose attention is as wide as the row. Spider's
documents are long, so that would be most of the work; here the common start does not look at the branches at all.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from smcdsl.models.embedded.training.corpus import Document
from smcdsl.models.embedded.training.network import Attention, Llama, rotate
from smcdsl.models.embedded.training.train import QUESTION_WEIGHT, SCHEMA_WEIGHT


class Laid(NamedTuple):
    """A document laid out: its common start of S tokens, then its branches, T tokens in all."""

    tokens: Tensor  # (T,)
    positions: Tensor  # (T,)
    mask: Tensor  # (T - S, T), 0 or -inf, for the branches
    at: Tensor  # (n,) places whose next token, in `wanted`, is scored
    wanted: Tensor  # (n,)
    branch: Tensor  # (n,) the branch that each belongs to, from 0; -1 in the common start
    weight: Tensor  # (n,) 1 in an answer, less in a prompt

    @property
    def shared(self) -> int:
        """The length of the common start."""
        return len(self.tokens) - len(self.mask)


def lay_out(document: Document, prompts: bool) -> Laid:
    """Lay a document out; with `prompts`, these are scored too, at the weights of the embedded model's training."""
    shared = len(document.shared)
    tokens = list(document.shared)
    positions = list(range(shared))
    owner: list[int] = []
    scored: list[tuple[int, int, int, float]] = []
    if prompts:
        scored += [(i, tokens[i + 1], -1, SCHEMA_WEIGHT) for i in range(shared - 1)]
    for number, (ids, skipped) in enumerate(document.branches):
        start = len(tokens)
        tokens += ids
        positions += range(shared, shared + len(ids))
        owner += [number] * len(ids)
        for place in range(1 if prompts else skipped, len(ids)):
            weight = 1.0 if place >= skipped else QUESTION_WEIGHT
            scored.append((start + place - 1, ids[place], number, weight))
    owners = torch.tensor(owner)
    order = torch.arange(len(owner))
    hidden = (owners[:, None] != owners[None, :]) | (order[:, None] < order[None, :])
    mask = torch.zeros(len(owner), len(tokens))
    mask[:, shared:].masked_fill_(hidden, -torch.inf)
    at, wanted, branch, weights = zip(*scored, strict=True)
    return Laid(
        torch.tensor(tokens),
        torch.tensor(positions),
        mask,
        torch.tensor(at),
        torch.tensor(wanted),
        torch.tensor(branch),
        torch.tensor(weights),
    )


def mix(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
    """Attention of (heads, t, dim) queries over (kv heads, T, dim) keys; the mask is (t, T)."""
    kv_heads, _, dim = key.shape
    time = query.shape[1]
    scores = (query.reshape(kv_heads, -1, dim) * dim**-0.5) @ key.transpose(1, 2)
    shares = torch.softmax(scores.view(-1, time, key.shape[1]) + mask, -1)
    return (shares.view(kv_heads, -1, key.shape[1]) @ value).view(-1, time, dim)


def attend(layer: Attention, x: Tensor, cos: Tensor, sin: Tensor, shared: int, masks: tuple[Tensor, Tensor]) -> Tensor:
    """Map (T, hidden) to (T, hidden)."""
    dim = layer.shape.head_dim
    query = rotate(layer.q_proj(x).view(len(x), -1, dim).transpose(0, 1), cos, sin)
    key = rotate(layer.k_proj(x).view(len(x), -1, dim).transpose(0, 1), cos, sin)
    value = layer.v_proj(x).view(len(x), -1, dim).transpose(0, 1)
    start = mix(query[:, :shared], key[:, :shared], value[:, :shared], masks[0])
    branches = mix(query[:, shared:], key, value, masks[1])
    return layer.o_proj(torch.cat((start, branches), 1).transpose(0, 1).reshape(len(x), -1))


def forward(model: Llama, laid: Laid) -> Tensor:
    """Return (n, V) logits at the scored places."""
    dim, shared = model.shape.head_dim, laid.shared
    rates = model.shape.rope_theta ** (-torch.arange(0, dim, 2, dtype=torch.float32) / dim)
    angles = laid.positions[:, None].float() * rates
    cos, sin = angles.cos(), angles.sin()
    masks = (torch.full((shared, shared), -torch.inf).triu(1), laid.mask)
    if torch.is_autocast_enabled("cpu"):
        cos, sin = cos.bfloat16(), sin.bfloat16()
        masks = (masks[0].bfloat16(), masks[1].bfloat16())
    x = model.embed_tokens(laid.tokens)
    for layer in model.layers:
        x = x + attend(layer.self_attn, layer.input_layernorm(x), cos, sin, shared, masks)
        x = x + layer.mlp(layer.post_attention_layernorm(x))
    return functional.linear(model.norm(x[laid.at]), model.embed_tokens.weight)
