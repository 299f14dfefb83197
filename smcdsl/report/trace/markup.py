"""Text in HTML and SVG: nothing in it is markup, and no character of it acts on those around it."""

from __future__ import annotations

import html
import json
import re
from typing import Any

from smcdsl.report.visible import escape

_NO_XML = re.compile("[\ufffe\uffff]")
"""Characters that XML has no place for, besides those that `escape` spells out."""


def visible(text: str) -> str:
    r"""The text with everything spelled out that is not to be seen: `\x1b`, `\u202e`, `\n`."""
    return _NO_XML.sub(lambda found: f"\\u{ord(found[0]):04x}", escape(text))


def markup(text: str) -> str:
    """For an element or an attribute in double quotes."""
    return html.escape(visible(text), quote=True)


def markup_block(text: str) -> str:
    """For an element where line breaks are kept."""
    return "\n".join(markup(line) for line in text.split("\n"))


def script_data(value: Any) -> str:
    """JSON inside a script element: ASCII, and nothing that could end the element. Texts must be `visible` already."""
    stored = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return stored.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
