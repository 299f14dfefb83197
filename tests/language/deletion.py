"""Delete each token of a program in turn: where is the mistake reported?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from lark import Token

from smcdsl.errors import Diagnostic, Source
from smcdsl.language.reading import Reader
from smcdsl.language.templates import open_quotes, template_pieces

Check = Callable[[Source], Sequence[Diagnostic]]


@dataclass
class Score:
    """Of the deletions that are noticed, how many are reported near the deleted token.

    A diagnostic is on a line if one of its marked spans (drawn with carets) begins there.
    """

    deletions: int = 0
    noticed: int = 0
    right_line: int = 0
    within_one: int = 0
    several: int = 0
    """Deletions with more than one error."""

    def add(self, other: Score) -> None:
        """Sum up."""
        for name in vars(self):
            setattr(self, name, getattr(self, name) + getattr(other, name))


def score(source: Source, check: Check, step: int = 1) -> Score:
    """The score of one program, which has no mistakes itself, by every `step`-th of its tokens."""
    assert not errors(check(source)), "the program is right before anything is deleted"
    total = Score()
    for start, end in token_places(source)[::step]:
        damaged = Source(source.name, source.text[:start] + source.text[end:])
        found = errors(check(damaged))
        total.deletions += 1
        if not found:
            continue
        line, _ = source.position(start)
        marked = [damaged.position(label.span.start)[0] for label in found[0].labels if label.primary]
        distance = min(abs(number - line) for number in marked)
        total.noticed += 1
        total.right_line += distance == 0
        total.within_one += distance <= 1
        total.several += len(found) > 1
    return total


def errors(diagnostics: Sequence[Diagnostic]) -> list[Diagnostic]:
    """Without the warnings."""
    return [diagnostic for diagnostic in diagnostics if diagnostic.severity == "error"]


def token_places(source: Source) -> list[tuple[int, int]]:
    """Offsets of all tokens, those inside texts included; a text's quotes are two tokens."""
    places: set[tuple[int, int]] = set()
    for token in _tokens(source, 0, len(source.text), "file"):
        start, end = token.start_pos or 0, token.end_pos or 0
        if token.type not in ("STRING", "TEXT", "BLOCK"):
            places.add((start, end))
            continue
        places.update(_quotes(source.text, start, end))
        if token.type != "STRING":
            places.update(_places_inside(source, start, end))
    return sorted(places)


def _quotes(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    opening = text[start] == "r"
    width = 3 if text.startswith('"""', start + opening) else 1
    yield start, start + opening + width
    yield end - width, end


def _places_inside(source: Source, start: int, end: int) -> Iterator[tuple[int, int]]:
    for piece in template_pieces(source.text, open_quotes(source.text, start, end), flag_lone_names=False):
        if piece.kind in ("insert", "hole"):
            yield piece.start, piece.start + 2
            yield piece.end - 2, piece.end
            for token in _tokens(source, *piece.inner, piece.kind):
                yield piece.inner[0] + (token.start_pos or 0), piece.inner[0] + (token.end_pos or 0)


def _tokens(source: Source, start: int, end: int, symbol: str) -> list[Token]:
    reader = Reader(source, start, end, symbol, [], [], [])
    reader.read(_refuse)
    return reader.tokens


def _refuse(reader: Reader, token: Token) -> None:
    raise AssertionError(f"{reader.source.name} has a mistake at {token!r}")
