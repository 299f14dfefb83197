"""Diagnostics of grammars that a vocabulary cannot write."""

from __future__ import annotations

from smcdsl.errors import Diagnostic


def cannot_spell(missing: bytes, most: int | None) -> Diagnostic:
    """E0410: the tokens of the model cannot make any text of the grammar, or not so few of them."""
    shown = ", ".join(repr(chr(byte)) if 32 <= byte < 127 else f"byte 0x{byte:02x}" for byte in missing[:8])
    limit = "" if most is None else f" in {most} tokens"
    advice = "use a model with single-byte tokens, or a grammar over the texts that its tokens spell"
    if limit and not missing:
        advice = "allow more tokens, or shorter texts"
    return Diagnostic(
        "E0410",
        f"the model's vocabulary cannot spell any text of this grammar{limit}",
        facts=(f"no token contains {shown}",) if missing else (),
        help=advice,
    )
