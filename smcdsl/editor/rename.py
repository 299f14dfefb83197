"""References, and renaming: every place of a name, in this file and in those that import it."""

from __future__ import annotations

import re

from lsprotocol import types as lsp
from pygls.exceptions import JsonRpcException

from smcdsl.editor.documents import Document, Documents
from smcdsl.editor.names import OWN, Key, Occurrence
from smcdsl.editor.words import RESERVED
from smcdsl.program.builtins import BUILTINS

_NAME = re.compile(r"[^\W\d]\w*")
_REQUEST_FAILED = -32803
_LOCAL: frozenset[str] = frozenset({"hole", "let", "loop", "occurrence", "parameter", "input", "import", "profile"})
"""Kinds that no other file can name; inputs, because programs are not imported. Holes of templates can be."""


def references(documents: Documents, document: Document, offset: int, with_declaration: bool) -> list[lsp.Location]:
    """Every place of the name at an offset."""
    found = document.names.at(offset)
    if found is None:
        return []
    return [
        lsp.Location(other.uri, other.lines.range_of(each.span))
        for other, places in _places(documents, document, found)
        for each in places
        if with_declaration or not each.defines
    ]


def highlights(document: Document, offset: int) -> list[lsp.DocumentHighlight]:
    """Every place of the name at an offset in its own file."""
    found = document.names.at(offset)
    kinds = {True: lsp.DocumentHighlightKind.Write, False: lsp.DocumentHighlightKind.Read}
    return [
        lsp.DocumentHighlight(document.lines.range_of(each.span), kinds[each.defines])
        for each in (document.names.of(found.key) if found is not None else ())
    ]


def prepare(document: Document, offset: int) -> lsp.Range | None:
    """The name at an offset, if a program declares it."""
    found = document.names.at(offset)
    return document.lines.range_of(found.span) if found is not None and found.kind in OWN else None


def rename(documents: Documents, document: Document, offset: int, name: str) -> lsp.WorkspaceEdit | None:
    """The edits that give the name at an offset another one.

    Raises:
        JsonRpcException: the new name cannot be one, or is taken; or a place may be in a line that cannot be read.
    """
    found = document.names.at(offset)
    if found is None or found.kind not in OWN:
        raise _refusal("only names that a program declares can be renamed")
    if not _NAME.fullmatch(name):
        raise _refusal(f"`{name}` is not a name: letters, digits and `_`, a letter first")
    if name in RESERVED or (found.kind == "potential" and name in BUILTINS):
        raise _refusal(f"`{name}` is a word of the language")
    places = _places(documents, document, found)
    for other, _ in places:
        _refuse_what_breaks(other, found.key, name)
    changes = {other.uri: [_edit(other, each, name) for each in own] for other, own in places}
    return lsp.WorkspaceEdit(changes=changes)


def _places(documents: Documents, document: Document, found: Occurrence) -> list[tuple[Document, list[Occurrence]]]:
    """The files that have the name, this one first."""
    files = [document]
    is_own = found.kind in OWN
    if is_own and not (found.kind in _LOCAL and found.key.file == document.file and _is_program(document)):
        files += [other for other in documents.every() if other.file != document.file]
    return [(other, own) for other in files if (own := other.names.of(found.key))]


def _is_program(document: Document) -> bool:
    return document.tree is not None and document.tree.kind == "program"


def _refuse_what_breaks(document: Document, key: Key, name: str) -> None:
    word = re.compile(rf"(?<!\w){re.escape(key.name)}(?!\w)")
    for span in document.tree.broken if document.tree is not None else ():
        if word.search(span.text):
            line, _ = document.source.position(span.start)
            raise _refusal(f"`{key.name}` may be meant in line {line}, which cannot be read; mend it first")
    taken = next((each for each in document.names.occurrences if each.key.name == name and each.kind in OWN), None)
    if taken is not None:
        line, _ = document.source.position(taken.span.start)
        raise _refusal(f"`{name}` is the name of something else in line {line}")


def _refusal(message: str) -> JsonRpcException:
    return JsonRpcException(message, _REQUEST_FAILED)


def _edit(document: Document, place: Occurrence, name: str) -> lsp.TextEdit:
    text = name
    if place.kind == "import" and place.defines and not _has_alias(document, place):
        text = f"{place.span.text} as {name}"
    return lsp.TextEdit(document.lines.range_of(place.span), text)


def _has_alias(document: Document, place: Occurrence) -> bool:
    before = document.text[document.lines.line_start(place.span.start) : place.span.start]
    return before.rstrip().endswith(" as")
