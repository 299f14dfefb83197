"""Attention over parts: what a query sees is cut into pieces that are attended to apart and merged exactly.

A part gives its mixture of values and the log of its sum of exponentiated scores; the mixture over two parts is the
mean of theirs, weighted by those sums. So a prompt that many rows share is one matrix product for all of them.

Source: Juravsky et al., "Hydragen: high-throughput LLM inference with shared prefixes" (2024), arXiv:2402.05099.

transformers calls `attend`, registered under `NAME`, for all architectures that look their attention function up. It
hands over to the pass that runs in this thread (`running`); without one it is transformers' own `sdpa`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

NAME = "smcdsl"
UNKNOWN = ("softcap", "s_aux", "sinks", "position_bias", "head_mask")
"""Arguments of attention functions that change the scores; who passes one is computed another way."""

_ENOUGH = 32


class Attending(Protocol):
    """A forward pass that does the attention itself."""

    def attend(self, query: Any, scale: float) -> Any:
        """(1, T, heads, width) mixtures of values for (1, heads, T, width) queries of the layer that wrote last."""
        ...


class _Running(threading.local):
    current: Attending | None = None


_running = _Running()


@contextmanager
def running(attending: Attending) -> Iterator[None]:
    """The pass whose attention functions are called in this thread."""
    _running.current = attending
    try:
        yield
    finally:
        _running.current = None


def take_over(model: Any) -> bool:
    """Let a model call our attention function from now on; false where it cannot."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.integrations.sdpa_attention import sdpa_attention_forward
    from transformers.masking_utils import sdpa_mask

    def attend(module: Any, query: Any, key: Any, value: Any, attention_mask: Any, **given: Any) -> tuple[Any, None]:
        current = _running.current
        if current is None:
            return sdpa_attention_forward(module, query, key, value, attention_mask, **given)
        if any(given.get(name) is not None for name in UNKNOWN):
            raise NotImplementedError("attention with scores of its own")
        scale = given.get("scaling")
        return current.attend(query, query.shape[-1] ** -0.5 if scale is None else scale), None

    config = model.config.get_text_config()
    if config._attn_implementation == NAME:
        return True
    if config._attn_implementation != "sdpa" or not model._can_set_attn_implementation():
        return False
    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    model.set_attn_implementation(NAME)
    return bool(config._attn_implementation == NAME)


def give_back(model: Any) -> None:
    """Let a model call transformers' own attention function again."""
    if model.config.get_text_config()._attn_implementation == NAME:
        model.set_attn_implementation("sdpa")


def part(query: Any, key: Any, value: Any, mask: Any, scale: float, causal: bool = False) -> tuple[Any, Any]:
    """Mixtures (B, heads, Q, width) and logs of sums (B, heads, Q) of (B, heads, Q, width) queries over K keys.

    `mask`, (B or 1, 1, Q, K), is added to the scores.
    """
    import torch

    # torch's fused function for processors; with few queries a row it is slow in 16 bits.
    fits = query.device.type == "cpu" and key.shape[-1] == value.shape[-1]
    if fits and (query.dtype == torch.float32 or query.shape[2] >= _ENOUGH):
        return torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
            query, key, value, 0.0, causal, attn_mask=mask, scale=scale
        )
    return plain_part(query, key, value, mask, scale, causal)


def plain_part(query: Any, key: Any, value: Any, mask: Any, scale: float, causal: bool = False) -> tuple[Any, Any]:
    """`part` by matrix products, on any device."""
    import torch

    scores = torch.matmul(query * scale, key.transpose(-1, -2)).float()
    if mask is not None:
        scores += mask
    if causal:
        later = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
        scores.masked_fill_(later, float("-inf"))
    highest = scores.amax(dim=-1, keepdim=True)
    scores.sub_(highest).exp_()
    sums = scores.sum(dim=-1, keepdim=True)
    mixed = torch.matmul(scores.to(value.dtype), value) / sums.to(value.dtype)
    return mixed, sums.log_().add_(highest).squeeze(-1)


def merged(first: tuple[Any, Any], second: tuple[Any, Any]) -> tuple[Any, Any]:
    """The part that consists of two: mixtures (..., width) and logs of sums (...)."""
    import torch

    mixed, logs = first
    weights = torch.sigmoid(second[1] - logs).unsqueeze(-1).to(mixed.dtype)
    return torch.lerp(mixed, second[0], weights), torch.logaddexp(logs, second[1])
