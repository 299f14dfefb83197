"""Any tree of dataclasses as indented text: one node a line, without places."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from smcdsl.errors import Source, Span


def tree_text(node: Any) -> str:
    """The tree, two blanks a level. Ends in a newline."""
    return "\n".join(_lines(node, "", 0)) + "\n"


def _lines(node: Any, name: str, level: int) -> Iterator[str]:
    head = "  " * level + (f"{name}: " if name else "")
    if is_dataclass(node) and not isinstance(node, type):
        values = [(f.name, getattr(node, f.name)) for f in fields(node)]
        shown = [(key, value) for key, value in values if not isinstance(value, Span | Source)]
        plain = [f"{key}={value!r}" for key, value in shown if _is_plain(value) and value not in (None, (), "")]
        yield head + " ".join([type(node).__name__, *plain])
        for key, value in shown:
            if not _is_plain(value):
                yield from _lines(value, key, level + 1)
    elif isinstance(node, Mapping):
        yield head + ("{}" if not node else "")
        for key, value in node.items():
            yield from _lines(value, str(key), level + 1)
    elif isinstance(node, tuple | list) and not _is_plain(node):
        yield head.rstrip()
        for item in node:
            yield from _lines(item, "", level + 1)
    else:
        yield head + repr(node)


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return all(_is_plain(item) for item in value)
    return value is None or isinstance(value, str | int | float | bool)
