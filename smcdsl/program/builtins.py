"""Built-in functions: pure, total, deterministic (language reference, 2.16)."""

from __future__ import annotations
