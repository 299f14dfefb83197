"""Semantic tokens: what names are, and what stands inside the brackets of prompts.

Outside prompts keywords, strings and numbers are left to the editor's grammar, which knows them as well.
"""

from __future__ import annotations

from collections.abc import Iterator

from lsprotocol import types as lsp

from smcdsl.editor.documents import Document
from smcdsl.editor.names import NameKind, Occurrence
from smcdsl.editor.pieces import Piece

_TYPES = (
    "namespace", "variable", "parameter", "property", "function", "method", "struct", "enumMember", "macro",
    "keyword", "string", "number", "regexp", "operator",
)  # fmt: skip
_MODIFIERS = ("declaration", "readonly", "defaultLibrary")
LEGEND = lsp.SemanticTokensLegend(list(_TYPES), list(_MODIFIERS))

_BY_NAME: dict[NameKind, str] = {
    "input": "parameter",
    "hole": "variable",
    "let": "variable",
    "loop": "variable",
    "occurrence": "variable",
    "parameter": "parameter",
    "grammar": "struct",
    "rule": "property",
    "potential": "function",
    "template": "method",
    "import": "namespace",
    "function": "function",
    "library_grammar": "struct",
    "library_rule": "enumMember",
    "reserved": "enumMember",
    "builtin": "function",
    "profile": "variable",
}
_BY_PIECE = {
    "hole": "macro",
    "insert": "macro",
    "escape": "macro",
    "keyword": "keyword",
    "operator_word": "keyword",
    "constant": "keyword",
    "unit": "keyword",
    "string": "string",
    "number": "number",
    "regex": "regexp",
    "operator": "operator",
}
_LIBRARY: frozenset[NameKind] = frozenset({"function", "library_grammar", "library_rule", "reserved", "builtin"})


def tokens(document: Document) -> lsp.SemanticTokens:
    """All tokens of a document, each place told from the one before, as the protocol wants them."""
    data: list[int] = []
    line = column = 0
    for start, end, kind, modifiers in sorted(_tokens(document)):
        place = document.lines.position(start)
        length = document.lines.position(end).character - place.character
        shift = place.character - column if place.line == line else place.character
        data += [place.line - line, shift, length, _TYPES.index(kind), modifiers]
        line, column = place.line, place.character
    return lsp.SemanticTokens(data)


def _tokens(document: Document) -> Iterator[tuple[int, int, str, int]]:
    taken: set[int] = set()
    for name in document.names.occurrences:
        if "\n" not in name.span.text and name.span.start < name.span.end:
            taken.update(range(name.span.start, name.span.end))
            yield name.span.start, name.span.end, _BY_NAME[name.kind], _modifiers(name)
    for piece in document.pieces:
        kind = _kind(piece)
        is_one_line = "\n" not in document.text[piece.start : piece.end]
        if kind and is_one_line and not taken.intersection(range(piece.start, piece.end)):
            yield piece.start, piece.end, kind, 0


def _kind(piece: Piece) -> str:
    if not piece.inside and piece.kind not in ("hole", "insert", "escape"):
        return ""
    return _BY_PIECE.get(piece.kind, "")


def _modifiers(name: Occurrence) -> int:
    given = {
        "declaration": name.defines,
        "readonly": name.kind == "input",
        "defaultLibrary": name.kind in _LIBRARY,
    }
    return sum(1 << _MODIFIERS.index(modifier) for modifier, holds in given.items() if holds)
