"""What a sweep that speculates is told."""

from __future__ import annotations

from dataclasses import dataclass

from smcdsl.inference.drafts.drafting import DraftSource
from smcdsl.inference.speculation.gamma import Gamma


@dataclass(frozen=True)
class Speculation:
    """Where drafts come from, how long they are, and how gladly they are accepted (1: exactly)."""

    source: DraftSource
    gamma: Gamma
    lenience: float = 1.0
