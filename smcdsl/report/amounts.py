"""Amounts as people read them."""

from __future__ import annotations

_UNITS = ((1.0, "s"), (1e-3, "ms"))


def duration(seconds: float) -> str:
    """`1.5 s`, `20 ms`, `3 us`: three digits, in the largest unit of which it is one at least."""
    rounded = float(f"{seconds:.3g}")
    if rounded >= 1e3:
        return f"{rounded:,.0f} s"
    size, unit = next(((size, unit) for size, unit in _UNITS if rounded >= size), (1e-6, "us"))
    return f"{rounded / size:.3g} {unit}"
