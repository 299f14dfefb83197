"""Logits from whole sequences, without any cache: slow, and right for every model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def recompute(model: Any, sequences: Sequence[Sequence[int]], at_once: int = 16) -> Any:
    """(U, V) logits after whole sequences, float32, where the model is."""
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
            results.append(output.logits[torch.arange(len(chosen)), lengths - 1].float())
    return torch.cat(results)
