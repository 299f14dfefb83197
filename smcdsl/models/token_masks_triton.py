"""Packed masks applied to logits on a GPU by one kernel; imported only where triton is."""

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl

_BLOCK = 2048


@triton.jit
def _close(logits, words, vocab_size, row_stride, token_stride, words_stride, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]  # noqa: N803
    row = tl.program_id(0).to(tl.int64)
    tokens = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = tokens < vocab_size
    word = tl.load(words + row * words_stride + (tokens >> 5), mask=inside, other=-1)
    shut = ((word >> (tokens & 31)) & 1) == 0
    tl.store(logits + row * row_stride + tokens.to(tl.int64) * token_stride, float("-inf"), mask=inside & shut)


def close_rows(logits: Any, words: Any) -> None:
    """Write -inf into `logits`, (N, V), where the bits of `words`, (N, W) int32, are not set."""
    words = words.contiguous()
    (count, size), (row_stride, token_stride) = logits.shape, logits.stride()
    grid = count, triton.cdiv(size, _BLOCK)
    _close[grid](logits, words, size, row_stride, token_stride, words.stride(0), BLOCK=_BLOCK)
