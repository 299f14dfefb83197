"""Grammars as bytes, and back: any tree of the frozen dataclasses of `program.grammar`, places in texts included.

The bytes are a JSON list of all values of the tree, each once and after those that it is made of: numbers, texts, true,
false and null as they are, everything else as a list of its kind and the positions of its parts. A dataclass has
one part a field, in order. Nothing is executed in reading them back.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from smcdsl.errors import Source, Span
from smcdsl.program import grammar
from smcdsl.program.grammar import Grammar
from smcdsl.program.types import Type

_CLASSES: dict[str, type[Any]] = {
    each.__name__: each
    for each in (*vars(grammar).values(), Type, Source, Span)
    if isinstance(each, type) and is_dataclass(each)
}
_TUPLE, _MAPPING, _BYTES = "()", "{}", "b"


def encode(tree: Grammar) -> bytes:
    """The bytes of a closed grammar.

    Raises:
        TypeError: something in it is of no kind that a closed grammar has.
    """
    writer = _Writer()
    writer.add(tree)
    return json.dumps(writer.values, separators=(",", ":")).encode()


def decode(content: bytes) -> Grammar:
    """The grammar that `encode` wrote, equal in every field. What it did not write has no defined result."""
    values: list[Any] = []
    names = {name: tuple(field.name for field in fields(each)) for name, each in _CLASSES.items()}
    for value in json.loads(content):
        if not isinstance(value, list):
            values.append(value)
            continue
        kind = value[0]
        parts = [values[place] for place in value[1:]]
        if kind in names:
            # As the constructor would: frozen, so it sets fields one by one, which takes five times as long.
            made = object.__new__(_CLASSES[kind])
            made.__dict__.update(zip(names[kind], parts, strict=True))
            values.append(made)
        elif kind == _TUPLE:
            values.append(tuple(parts))
        elif kind == _MAPPING:
            values.append(dict(zip(parts[::2], parts[1::2], strict=True)))
        else:
            assert kind == _BYTES
            values.append(parts[0].encode("latin-1"))
    last = values[-1]
    assert isinstance(last, Grammar)
    return last


class _Writer:
    """Values so far, and where each is: equal ones are written once."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._places: dict[Any, int] = {}

    def add(self, value: Any) -> int:
        """Write a value behind its parts; its position."""
        if value is None or type(value) in (bool, int, float, str):
            # 1, 1.0 and True are equal, and not the same; nor are 0.0 and -0.0.
            return self._place((type(value), repr(value)), value)
        if isinstance(value, bytes):
            return self._list(_BYTES, [self.add(value.decode("latin-1"))])
        if isinstance(value, tuple):
            return self._list(_TUPLE, [self.add(item) for item in value])
        if isinstance(value, Mapping):
            return self._list(_MAPPING, [self.add(part) for item in value.items() for part in item])
        kind = type(value).__name__
        if _CLASSES.get(kind) is not type(value):
            raise TypeError(f"{type(value).__name__} is no part of a closed grammar")
        return self._list(kind, [self.add(getattr(value, field.name)) for field in fields(value)])

    def _list(self, kind: str, parts: list[int]) -> int:
        return self._place((kind, *parts), [kind, *parts])

    def _place(self, key: Any, written: Any) -> int:
        place = self._places.get(key)
        if place is None:
            place = self._places[key] = len(self.values)
            self.values.append(written)
        return place
