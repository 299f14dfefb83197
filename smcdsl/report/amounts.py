"""Amounts as people read them."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """`1.5 s`, `0.2 ms`."""
    return f"{seconds:.3g} s" if seconds >= 1 else f"{1e3 * seconds:.3g} ms"
