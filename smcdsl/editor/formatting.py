"""Formatting: what `smcdsl fmt` would write, as the edits of the lines that change."""

from __future__ import annotations

from lsprotocol import types as lsp

from smcdsl.editor.documents import Document
from smcdsl.language.formatter import format_tree
from smcdsl.language.parser import parse


def edits(document: Document) -> list[lsp.TextEdit] | None:
    """One edit from the first line that changes to the last; none if nothing does, None where the text has mistakes."""
    tree, diagnostics = parse(document.source)
    if tree is None or any(diagnostic.severity == "error" for diagnostic in diagnostics):
        return None
    before = _lines(document.text)
    after = _lines(format_tree(tree))
    first = next(
        (index for index, pair in enumerate(zip(before, after)) if pair[0] != pair[1]), min(len(before), len(after))
    )
    if first == len(before) == len(after):
        return []
    same = 0
    while same < min(len(before), len(after)) - first and before[-1 - same] == after[-1 - same]:
        same += 1
    start = sum(map(len, before[:first]))
    end = start + sum(map(len, before[first : len(before) - same]))
    return [lsp.TextEdit(document.lines.range(start, end), "".join(after[first : len(after) - same]))]


def _lines(text: str) -> list[str]:
    """Lines with their newlines, cut at newlines only."""
    lines = [line + "\n" for line in text.split("\n")]
    lines[-1] = lines[-1][:-1]
    return lines if lines[-1] else lines[:-1]
