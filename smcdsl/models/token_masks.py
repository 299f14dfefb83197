"""Packed masks applied to a model's logits where the logits are, without a boolean a token.

What a `TokenAutomaton` gives, 32 tokens a word, goes to the device as it is: 16 KB a row of 128,000 tokens. This is
for loops that draw from whole rows, on a device above all. The sampler of this package draws there with it where the
model is on a device (`torch_logits`); on the processor it draws from logits as they are (`host_logits`), which costs
less (`benchmarks/logits.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

_WORDS_AT_ONCE = 256
"""Words that plain torch unpacks at a time."""


def apply_masks_(logits: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Set logits to -inf, in place, wherever a mask does not have the token's bit.

    Args:
        logits: (N, V) of float32, bfloat16, float16 or float64.
        masks: (N, W) of int32 or uint32 on the same device, W at least ceil(V / 32): bit t % 32 of word t // 32 is
            set where token t is allowed. `torch.from_numpy(automaton.masks(states).view(np.int32))` makes one.

    Returns:
        `logits`.

    Raises:
        ValueError: shapes, types or devices do not go together.
    """
    import torch

    if logits.ndim != 2 or masks.ndim != 2 or len(logits) != len(masks) or 32 * masks.shape[1] < logits.shape[1]:
        raise ValueError(f"masks {tuple(masks.shape)} of words are not for logits {tuple(logits.shape)}")
    if masks.dtype not in (torch.int32, torch.uint32) or not logits.dtype.is_floating_point:
        raise ValueError(f"masks must be words of 32 bits and logits floats, not {masks.dtype} and {logits.dtype}")
    if masks.device != logits.device:
        raise ValueError(f"masks on {masks.device} and logits on {logits.device}")
    if logits.numel():
        words = masks.detach().view(torch.int32)
        with torch.no_grad():
            if logits.device.type == "cpu":
                _close_on_cpu(logits.detach(), words)
            else:
                _close_on_device(logits, words)
    return logits


def _close_on_cpu(logits: torch.Tensor, words: torch.Tensor) -> None:
    import torch

    from smcdsl.automaton.applying import close

    # Floats go by their bits: numpy has no bfloat16, and numba no arithmetic on halves.
    signed, unsigned = {2: (torch.int16, np.uint16), 4: (torch.int32, np.uint32), 8: (torch.int64, np.uint64)}[
        logits.element_size()
    ]
    shut = torch.tensor(float("-inf"), dtype=logits.dtype).view(signed).numpy().view(unsigned)
    close(logits.view(signed).numpy().view(unsigned), words.contiguous().numpy().view(np.uint32), shut[()])


def _close_on_device(logits: torch.Tensor, words: torch.Tensor) -> None:
    if logits.is_cuda:
        try:
            from smcdsl.models.token_masks_triton import close_rows
        except ImportError:
            pass
        else:
            close_rows(logits, words)
            return
    close_in_parts(logits, words)


# What follows takes no indices in brackets, so that tensors that only pretend to be on a device will do for tests.


def close_in_parts(logits: torch.Tensor, words: torch.Tensor) -> None:
    """The same with plain torch: some words' bits at a time."""
    size = logits.shape[1]
    for first in range(0, -(-size // 32), _WORDS_AT_ONCE):
        count = min(_WORDS_AT_ONCE, words.shape[1] - first)
        into = logits.narrow(1, 32 * first, min(32 * count, size - 32 * first))
        shut = unpacked(words.narrow(1, first, count), into.shape[1]).logical_not()
        into.masked_fill_(shut, float("-inf"))


def unpacked(words: torch.Tensor, size: int) -> torch.Tensor:
    """(D, size) booleans of (D, W) int32: bit t % 32 of word t // 32."""
    import torch

    shifts = torch.arange(32, dtype=torch.int32, device=words.device)
    return ((words.unsqueeze(-1) >> shifts) & 1).flatten(1).narrow(1, 0, size) != 0
