"""What previews said, counted for the warnings after a run (`health`)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Looks:
    """What a factor with boundaries said of distinct texts: early, and at the end."""

    early: int = 0
    spoke_early: int = 0
    ended: int = 0
    spoke_at_end: int = 0

    def look(self, log_weight: float) -> None:
        """A preview; 0 says nothing."""
        self.early += 1
        self.spoke_early += log_weight != 0.0

    def end(self, log_weight: float) -> None:
        """A final value."""
        self.ended += 1
        self.spoke_at_end += log_weight != 0.0
