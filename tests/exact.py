"""Exact means along every branch of the draws: what `smcdsl verify` does, with any mapping as a result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from smcdsl.verify import branches
from smcdsl.verify.branches import NARROWEST, BranchDraws

__all__ = ["NARROWEST", "BranchDraws", "exact_means"]


def exact_means(
    values: Callable[[BranchDraws, int], Sequence[Any]], batch: int = 4096, limit: int = branches.LIMIT
) -> dict[Any, float]:
    """See `branches.exact_means`. Raises AssertionError if there are more paths than `limit`."""
    try:
        return branches.exact_means(values, batch, limit)
    except branches.TooManyPaths:
        raise AssertionError("too many paths") from None
