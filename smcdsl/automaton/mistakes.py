"""Diagnostics of grammars that a vocabulary cannot write, or that read its tokens in too many ways."""

from __future__ import annotations

from smcdsl.automaton.layout import SCRATCH
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


def too_many_ways() -> Diagnostic:
    """E0409: one token of the text has more readings than the engine keeps."""
    return Diagnostic(
        "E0409",
        f"a token can be read in more than {SCRATCH:,} ways by this grammar",
        help="rules or terminals that match the same text in many ways at once can mostly be made one",
    )
