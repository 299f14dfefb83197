"""Text as a terminal may show it: control characters spelled out, widths in cells.

What a model writes and what a file holds is data; on a terminal an escape sequence inside it would act.
"""

from __future__ import annotations

import unicodedata

TAB = "    "

# Besides control characters: those that reorder or hide what stands around them.
_DECEPTIVE = frozenset("\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\u2029\ufeff")


def escape(text: str, *, keep_newlines: bool = False) -> str:
    r"""`text` with control, reordering and unpaired surrogate characters spelled out as `\n`, `\x1b`, `\u202e`."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(char if keep_newlines and char == "\n" else escape_character(char) for char in text)


def escape_character(char: str) -> str:
    """One character as it may be shown."""
    if char in "\n\t\r":
        return {"\n": "\\n", "\t": "\\t", "\r": "\\r"}[char]
    if char in _DECEPTIVE or unicodedata.category(char) in ("Cc", "Cs"):
        code = ord(char)
        return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
    return char


def display(char: str) -> str:
    """One character of a source line: a tab is four blanks, so that what stands below lines up."""
    return TAB if char == "\t" else escape_character(char)


def cells(text: str) -> int:
    """How many columns of a terminal printable `text` takes: wide characters two, combining ones none."""
    if text.isascii():
        return len(text)
    return sum(_cell(char) for char in text)


def _cell(char: str) -> int:
    if unicodedata.combining(char) or unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def shorten(text: str, width: int) -> str:
    """`text` cut to `width` columns, with an ellipsis where something is missing."""
    if cells(text) <= width:
        return text
    kept, used = [], 0
    for char in text:
        used += _cell(char)
        if used > width - 1:
            break
        kept.append(char)
    return "".join(kept) + "…"
