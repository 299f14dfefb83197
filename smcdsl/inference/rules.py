"""What a method is made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from smcdsl.inference.proposals import (
    TokenRule,
)


@dataclass(frozen=True)
class Rules:
    """What a method is made of: how tokens are drawn, what goes into the weights, when to resample.

    `ess_threshold` is a fraction of the particles; None never resamples. With `normalizes` false the
    probability of the allowed tokens stays out of the weights (`rerank`, `lcd`). `selection` takes tokens
    by selecting among all successors in place of drawing one a particle.
    """

    tokens: TokenRule = field(default_factory=TokenRule)
    normalizes: bool = True
    ess_threshold: float | None = None
    scheme: str = "ssp"
    selection: Literal["", "thin", "best"] = ""
    max_tokens: int | None = None
    temper: float | Literal["auto"] = 1.0
    """The power of previews in decisions on copies; `auto` chooses it (`inference/tempering`)."""
