"""From logits to log-probabilities, with torch; and without any cache, from whole sequences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def recompute(model: Any, sequences: Sequence[Sequence[int]], at_once: int = 16) -> NDArray[np.float32]:
    """(U, V) log-probabilities after whole sequences, without any cache."""
    import torch

    results = []
    with torch.inference_mode():
        for start in range(0, len(sequences), at_once):
            chosen = sequences[start : start + at_once]
            lengths = torch.tensor([len(sequence) for sequence in chosen])
            tokens = torch.zeros((len(chosen), int(lengths.max())), dtype=torch.long)
            for row, sequence in enumerate(chosen):
                tokens[row, : len(sequence)] = torch.tensor(sequence)
            seen = torch.arange(tokens.shape[1])[None, :] < lengths[:, None]
            output = model(
                input_ids=tokens.to(model.device), attention_mask=seen.long().to(model.device), use_cache=False
            )
            results.append(log_softmax(output.logits[torch.arange(len(chosen)), lengths - 1]))
    return np.concatenate(results)


def log_softmax(logits: Any) -> NDArray[np.float32]:
    """(..., V) log-probabilities in float32, on the processor. Logits of float32 are written over."""
    import torch

    logits = logits.float()
    # In place: rows of a large vocabulary are in no cache, and half of the time goes to fetching other memory.
    return np.asarray(torch.log_softmax(logits, dim=-1, out=logits).cpu().numpy(), dtype=np.float32)
