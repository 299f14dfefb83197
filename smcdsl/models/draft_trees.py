"""What a model wrote in runs and how likely all else was: what a draft is trained on and measured by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class MaskedLaw:
    """A target's law: `tokens` that the mask allows; `places` among them that were kept, with their `probabilities`."""

    tokens: NDArray[np.int32]
    places: NDArray[np.int32]
    probabilities: NDArray[np.float32]


@dataclass(frozen=True)
class Tree:
    """What was written after one prompt, by all particles together.

    Node 0 is the prompt's end; a node's parent comes before it. `laws` is None where nothing was asked or the mask left
    no choice.
    """

    prompt: tuple[int, ...]
    parents: NDArray[np.int64]  # (n,) -1 for node 0
    tokens: NDArray[np.int64]  # (n,) the token that leads to each node; -1 for node 0
    laws: tuple[MaskedLaw | None, ...]
    certain: NDArray[np.bool_]  # (n,) whether the mask left no choice there

    def __len__(self) -> int:
        return len(self.parents)

    def sequence(self, node: int) -> list[int]:
        """All tokens up to a node, the prompt's included."""
        own: list[int] = []
        while node > 0:
            own.append(int(self.tokens[node]))
            node = int(self.parents[node])
        return [*self.prompt, *reversed(own)]
