"""A schema's text: its values, where in the text they stand, and what its references mean.

Everything is found by JSON pointers from the root of the document. References leave it nowhere: what a
`$ref` names must be in the same document.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin

from smcdsl.errors import CompileError, Source, Span
from smcdsl.notations.json_schema import mistakes
from smcdsl.notations.json_schema.numbers import MOST_DIGITS

IN_MAPS = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
IN_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
DIRECT = (
    "additionalProperties",
    "contains",
    "else",
    "if",
    "items",
    "not",
    "propertyNames",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
)
"""Keywords by how they hold schemas."""

_LONGEST_NUMBER = 4_000
"""Characters of a number; Python reads few more."""

ROOT = "file:///schema"
"""The base of a document that names none; nothing is ever read from there."""


@dataclass(frozen=True)
class Decimal:
    """A number of the document with all its digits."""

    text: str

    @property
    def value(self) -> Fraction:
        """The number; one with an enormous exponent becomes one that is still too large or small to be spelled."""
        mantissa, _, exponent = self.text.lower().partition("e")
        if exponent and abs(int(exponent)) > 2 * MOST_DIGITS + len(mantissa):
            power = (MOST_DIGITS + 1) * (1 if int(exponent) > 0 else -1)
            return Fraction(mantissa) and Fraction(10) ** power * (-1 if mantissa.startswith("-") else 1)
        return Fraction(self.text)


class RepeatedName(ValueError):
    """A name that stands twice in one object."""


@dataclass
class Document:
    """The parsed text. Schemas are known by their pointers from the root; `bases` has the base URI of each."""

    source: Source
    root: Any
    bases: dict[str, str] = field(default_factory=dict)
    resources: dict[str, str] = field(default_factory=dict)
    """Absolute URI -> pointer: of resources, and with `#name` of anchors."""
    dynamic: dict[str, list[str]] = field(default_factory=dict)
    """Name of a `$dynamicAnchor` -> pointers."""
    values: dict[str, Any] = field(default_factory=dict)
    """What stands at the pointers met so far."""

    @classmethod
    def read(cls, text: str, name: str) -> Document:
        """Parse a schema. Raises CompileError."""
        source = Source(name, text)
        try:
            root = json.loads(
                text, parse_float=_decimal, parse_int=_decimal, parse_constant=_refuse, object_pairs_hook=_once
            )
        except json.JSONDecodeError as error:
            place = min(error.pos, max(len(text) - 1, 0))
            raise CompileError(
                mistakes.unreadable(Span(source, place, min(place + 1, len(text))), error.msg)
            ) from error
        except RepeatedName as error:
            raise CompileError(mistakes.unreadable(Span(source, 0, min(1, len(text))), str(error))) from error
        except ValueError as error:
            raise CompileError(mistakes.unreadable(Span(source, 0, min(1, len(text))), str(error))) from error
        except RecursionError as error:
            raise CompileError(mistakes.too_deep(Span(source, 0, min(1, len(text))))) from error
        document = cls(source, root)
        document._register()
        return document

    def at(self, pointer: str) -> Any:
        """The value at a pointer. Raises KeyError."""
        if pointer in self.values:
            return self.values[pointer]
        value = self.root
        for part in parts_of(pointer):
            if isinstance(value, dict) and part in value:
                value = value[part]
            elif isinstance(value, list) and part.isdecimal() and int(part) < len(value):
                value = value[int(part)]
            else:
                raise KeyError(pointer)
        self.values[pointer] = value
        return value

    def span(self, pointer: str, of_key: bool = True) -> Span:
        """Where a value stands, or the name before it."""
        found = _Finder(self.source.text).find(parts_of(pointer), of_key)
        return Span(self.source, *found)

    def holder(self, keyword: str, pointer: str) -> str:
        """The pointer of the schema that has a keyword: at `pointer`, else inside it, else anywhere, else `pointer`."""
        if _has(self.values.get(pointer), keyword):
            return pointer
        found = [each for each in self.bases if _has(self.values[each], keyword)]
        inside = [each for each in found if each.startswith(f"{pointer}/")]
        return next(iter(inside or found), pointer)

    def first_of(self, keywords: Sequence[str], pointer: str) -> tuple[str, str] | None:
        """The first of some keywords that stands at a pointer, or inside, and the pointer of its schema."""
        for keyword in keywords:
            holder = self.holder(keyword, pointer)
            if _has(self.values.get(holder), keyword) and f"{holder}/".startswith(f"{pointer}/"):
                return keyword, holder
        return None

    def base(self, pointer: str) -> str:
        """The base URI at a pointer, which a schema around it may have set."""
        while pointer not in self.bases:
            pointer = pointer.rpartition("/")[0]
        return self.bases[pointer]

    def resolve(self, reference: str, pointer: str) -> str | None:
        """The pointer of what a `$ref` at `pointer` names, or None."""
        own, fragment = urldefrag(reference)
        fragment = unquote(fragment)
        uri = urldefrag(urljoin(self.base(pointer), own))[0] if own else self.base(pointer)
        if uri not in self.resources:
            return None
        if fragment and not fragment.startswith("/"):
            return self.resources.get(f"{uri}#{fragment}")
        target = self.resources[uri] + fragment
        try:
            self.at(target)
        except KeyError:
            return None
        return target

    def _register(self) -> None:
        pending: list[tuple[str, Any, str]] = [("", self.root, ROOT)]
        self.resources[ROOT] = ""
        self.bases[""] = ROOT
        while pending:
            pointer, schema, base = pending.pop()
            self.values[pointer] = schema
            if not isinstance(schema, dict):
                continue
            if isinstance(schema.get("$id"), str):
                base = urldefrag(urljoin(base, schema["$id"]))[0]
                self.resources[base] = pointer
            self.bases[pointer] = base
            for keyword in ("$anchor", "$dynamicAnchor"):
                if isinstance(schema.get(keyword), str):
                    self.resources[f"{base}#{schema[keyword]}"] = pointer
            if isinstance(schema.get("$dynamicAnchor"), str):
                self.dynamic.setdefault(schema["$dynamicAnchor"], []).append(pointer)
            pending += [(inner, value, base) for inner, value in _inside(schema, pointer)]


def _has(schema: Any, keyword: str) -> bool:
    return isinstance(schema, dict) and keyword in schema


def _decimal(text: str) -> Decimal:
    if len(text) > _LONGEST_NUMBER:
        raise ValueError(f"a number of {len(text):,} characters")
    return Decimal(text)


def _refuse(constant: str) -> None:
    raise ValueError(f"`{constant}` is not JSON")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise RepeatedName(f"`{twice}` stands twice in one object")
    return found


def _inside(schema: dict[str, Any], pointer: str) -> Iterator[tuple[str, Any]]:
    """The schemas directly inside one, with their pointers."""
    for keyword, value in schema.items():
        here = f"{pointer}/{escaped(keyword)}"
        if keyword in IN_MAPS and isinstance(value, dict):
            yield from ((f"{here}/{escaped(name)}", inner) for name, inner in value.items())
        elif keyword in IN_LISTS and isinstance(value, list):
            yield from ((f"{here}/{index}", inner) for index, inner in enumerate(value))
        elif keyword in DIRECT:
            yield here, value


def escaped(name: str) -> str:
    """A name as a part of a JSON pointer."""
    return name.replace("~", "~0").replace("/", "~1")


@lru_cache(maxsize=4096)
def parts_of(pointer: str) -> tuple[str, ...]:
    """The parts of a pointer, unescaped."""
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:])


_BLANK = re.compile(r"[ \t\n\r]*")


class _Finder:
    """Walks a valid text to the place of a pointer."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.decoder = json.JSONDecoder()

    def find(self, parts: tuple[str, ...], of_key: bool) -> tuple[int, int]:
        place = self.skip(0)
        key = None
        for part in parts:
            found = self.member(place, part) if self.text[place] == "{" else self.item(place, part)
            if found is None:
                break
            key, place = found
        if of_key and key is not None:
            return key
        try:
            end = self.decoder.raw_decode(self.text, place)[1]
        except (ValueError, RecursionError):
            end = place + 1
        line_end = self.text.find("\n", place, end)
        return place, end if line_end < 0 else line_end

    def skip(self, place: int) -> int:
        found = _BLANK.match(self.text, place)
        return found.end() if found else place

    def member(self, place: int, name: str) -> tuple[tuple[int, int], int] | None:
        place = self.skip(place + 1)
        while self.text[place] == '"':
            key, end = self.decoder.raw_decode(self.text, place)
            value = self.skip(self.skip(end) + 1)
            if key == name:
                return (place, end), value
            place = self.skip(self.decoder.raw_decode(self.text, value)[1])
            place = self.skip(place + 1) if self.text[place] == "," else place
        return None

    def item(self, place: int, index: str) -> tuple[tuple[int, int], int] | None:
        place = self.skip(place + 1)
        for _ in range(int(index)):
            place = self.skip(self.skip(self.decoder.raw_decode(self.text, place)[1]) + 1)
        end = self.decoder.raw_decode(self.text, place)[1]
        line_end = self.text.find("\n", place, end)
        return (place, end if line_end < 0 else line_end), place
