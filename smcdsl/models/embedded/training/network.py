"""The model in torch, for training only: a small Llama whose parameters carry the names transformers uses.

Tokens of a packed row attend to earlier tokens of their own document that lie in the common
start or in their own branch; see `corpus.Document`.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class Shape:
    """Sizes of the model."""

    vocab_size: int
    hidden_size: int = 256
    num_layers: int = 5
    num_heads: int = 8
    num_kv_heads: int = 4
    head_dim: int = 32
    intermediate_size: int = 512
    rope_theta: float = 10000.0
    norm_eps: float = 1e-5


class RMSNorm(nn.Module):
    """Division by the root mean square."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., hidden) to (..., hidden)."""
        return functional.rms_norm(x, (x.shape[-1],), self.weight, self.eps)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn (B, heads, T, dim) by position, halves paired as in Llama."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)


class Attention(nn.Module):
    """Self-attention whose queries share keys by groups."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        width, kv_width = shape.num_heads * shape.head_dim, shape.num_kv_heads * shape.head_dim
        self.q_proj = nn.Linear(shape.hidden_size, width, bias=False)
        self.k_proj = nn.Linear(shape.hidden_size, kv_width, bias=False)
        self.v_proj = nn.Linear(shape.hidden_size, kv_width, bias=False)
        self.o_proj = nn.Linear(width, shape.hidden_size, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor) -> Tensor:
        """Map (..., hidden) to (..., hidden)."""
        rows, time, _ = x.shape
        dim = self.shape.head_dim
        q = rotate(self.q_proj(x).view(rows, time, -1, dim).transpose(1, 2), cos, sin)
        k = rotate(self.k_proj(x).view(rows, time, -1, dim).transpose(1, 2), cos, sin)
        v = self.v_proj(x).view(rows, time, -1, dim).transpose(1, 2)
        groups = self.shape.num_heads // self.shape.num_kv_heads
        k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
        # On a CPU this is a third faster than scaled_dot_product_attention, backward above all.
        mixed = torch.softmax(q * dim**-0.5 @ k.transpose(-1, -2) + mask, -1) @ v
        return self.o_proj(mixed.transpose(1, 2).reshape(rows, time, -1))


class MLP(nn.Module):
    """The gated layer."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(shape.hidden_size, shape.intermediate_size, bias=False)
        self.up_proj = nn.Linear(shape.hidden_size, shape.intermediate_size, bias=False)
        self.down_proj = nn.Linear(shape.intermediate_size, shape.hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., hidden) to (..., hidden)."""
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    """Attention and the gated layer, each after a norm and added to its input."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.self_attn = Attention(shape)
        self.mlp = MLP(shape)
        self.input_layernorm = RMSNorm(shape.hidden_size, shape.norm_eps)
        self.post_attention_layernorm = RMSNorm(shape.hidden_size, shape.norm_eps)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor) -> Tensor:
        """Map (..., hidden) to (..., hidden)."""
        x = x + self.self_attn(self.input_layernorm(x), cos, sin, mask)
        return x + self.mlp(self.post_attention_layernorm(x))


class Llama(nn.Module):
    """Logits at chosen positions of packed rows."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embed_tokens = nn.Embedding(shape.vocab_size, shape.hidden_size)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.num_layers))
        self.norm = RMSNorm(shape.hidden_size, shape.norm_eps)
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                nn.init.normal_(parameter, std=1.0 if "embed" in name else parameter.shape[1] ** -0.5 / 2)
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                nn.init.zeros_(parameter)
        # Embeddings are tied: large, so that the stream keeps saying what the token is; logits are scaled here.
        nn.init.constant_(self.norm.weight, 0.05)
        self.before = plant_copying(self)

    def forward(self, tokens: Tensor, positions: Tensor, mask: Tensor, at: Tensor) -> Tensor:
        """Return (n, V) logits at the flat positions `at` of (B, T) tokens."""
        dim = self.shape.head_dim
        rates = self.shape.rope_theta ** (-torch.arange(0, dim, 2, dtype=torch.float32) / dim)
        angles = positions[:, None, :, None].float() * rates
        x = self.embed_tokens(tokens)
        cos, sin = angles.cos(), angles.sin()
        if torch.is_autocast_enabled("cpu"):
            cos, sin, mask = cos.bfloat16(), sin.bfloat16(), mask.bfloat16()
        for layer in self.layers:
            x = layer(x, cos, sin, mask)
        chosen = self.norm(x.reshape(-1, x.shape[-1])[at])
        return functional.linear(chosen, self.embed_tokens.weight)


@torch.no_grad()
def plant_copying(model: Llama) -> Tensor:
    """Start from weights that copy: after a token seen before, what followed it then becomes likelier.

    In the first layer half of the heads look at the token before and write what it is into a part of the
    stream that embeddings leave empty. In the second layer all heads look for places whose token before
    is the present one, and write what stands there. Training finds such heads by itself (Olsson et al.
    2022, arXiv:2209.11895), but only after a long plateau, which this skips.

    Returns:
        (n, hidden) directions of the stream that tell of the token before; see `keep_clear`.
    """
    shape = model.shape
    dim, groups, size = shape.head_dim, shape.num_heads // shape.num_kv_heads, shape.hidden_size
    kv_heads = shape.num_kv_heads
    basis = torch.linalg.qr(torch.randn(size, size))[0].T  # rows are orthonormal directions of the stream
    constant, part = basis[0], kv_heads // 2 * dim
    identity, before, free = basis[1 : 1 + part], basis[1 + part : 1 + 2 * part], basis[1 + 2 * part :]
    embedding = model.embed_tokens.weight
    embedding -= embedding @ before.T @ before
    embedding -= torch.outer(embedding @ constant, constant)
    embedding += 4.0 * constant
    rates = shape.rope_theta ** (-torch.arange(0, dim, 2) / dim)
    first, second = model.layers[0].self_attn, model.layers[1].self_attn
    noise = 0.02
    for kv in range(kv_heads // 2):
        own = slice(kv * dim, (kv + 1) * dim)
        ahead = torch.cat((rates.cos(), -rates.sin()))
        here = torch.cat((torch.ones(dim // 2), torch.zeros(dim // 2)))
        fast = (torch.arange(dim) % (dim // 2) < 6).float()
        first.k_proj.weight[own] = torch.outer(2.4 * here * fast, constant) + noise * torch.randn(dim, size)
        first.v_proj.weight[own] = identity[own]
        for head in range(kv * groups, (kv + 1) * groups):
            rows = slice(head * dim, (head + 1) * dim)
            first.q_proj.weight[rows] = torch.outer(2.4 * ahead * fast, constant) + noise * torch.randn(dim, size)
            first.o_proj.weight[:, rows] = 1.5 / groups * before[own].T
    # Slow pairs hardly turn over a document, so they compare content.
    slow = [i for i in range(dim) if i % (dim // 2) >= dim // 2 - 6]
    spread = torch.cat((identity, free))[torch.randperm(part + len(free))]
    for kv in range(kv_heads):
        chosen = torch.arange(kv * len(slow), (kv + 1) * len(slow))
        own = slice(kv * dim, (kv + 1) * dim)
        second.k_proj.weight[own] = noise * torch.randn(dim, size)
        second.k_proj.weight[own.start + torch.tensor(slow)] += 3.0 * before[chosen]
        second.v_proj.weight[own] = spread[own]
        for head in range(kv * groups, (kv + 1) * groups):
            rows = slice(head * dim, (head + 1) * dim)
            second.q_proj.weight[rows] = noise * torch.randn(dim, size)
            second.q_proj.weight[rows.start + torch.tensor(slow)] += 3.0 * identity[chosen]
            second.o_proj.weight[:, rows] = 4.0 / groups * spread[own].T
    return before.clone()


@torch.no_grad()
def keep_clear(model: Llama) -> None:
    """Take out of the embeddings, and of what the first gated layer writes, all that would speak of a token before."""
    before = model.before
    embedding, down = model.embed_tokens.weight, model.layers[0].mlp.down_proj.weight
    embedding -= embedding @ before.T @ before
    down -= before.T @ (before @ down)
