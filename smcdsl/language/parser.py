"""From the text of a .smc file to its syntax tree, with everything that is wrong with the syntax.

One parser serves check, fmt and run. The grammar is smc.lark; the pieces are

    layout.py             newlines and brackets
    reading.py            drives lark, statement by statement
    recovery.py           what a mistake is, and where to go on
    templates.py          what is inside the quotes
    build_tree.py         lark's tree -> syntax tree
    mistakes_syntax.py    the wording
"""

from __future__ import annotations

import re

from lark import Token

from smcdsl import __version__
from smcdsl.errors import Diagnostic, Source, Span
from smcdsl.language.build_expressions import ExpressionBuilder, Node
from smcdsl.language.build_tree import TreeBuilder
from smcdsl.language.mistakes_syntax import EDITION, too_deep, unknown_edition
from smcdsl.language.reading import Reader, Restart
from smcdsl.language.recovery import Recovery
from smcdsl.language.syntax import Comment, SyntaxTree

_MAX_RESTARTS = 20
_EDITION = re.compile(r"(?:\s|\ufeff|#[^\n]*\n)*smc[ \t]+(\d{1,9})(?!\w)")


def parse(source: Source) -> tuple[SyntaxTree | None, list[Diagnostic]]:
    """Read a file. Mistakes are in the order of their places; the tree lacks what they broke.

    The tree is None only where nothing could be made of the text (an unknown edition, for example).
    """
    edition = _EDITION.match(source.text)
    if edition is not None and int(edition[1]) != EDITION:
        return None, [unknown_edition(Span(source, *edition.span(1)), int(edition[1]), __version__)]
    recovery = Recovery()
    for _ in range(_MAX_RESTARTS):
        diagnostics: list[Diagnostic] = []
        broken: list[Span] = []
        reader = Reader(source, 0, len(source.text), "file", recovery.closers, diagnostics, broken)
        try:
            root = reader.read(recovery.recover)
        except Restart:
            continue
        break
    else:
        root = None
    diagnostics += recovery.structural
    tree = None
    if root is not None:
        read = [(root, 0)]
        try:
            tree = _build(source, root, reader, diagnostics, broken, read)
        except RecursionError:
            diagnostics.append(too_deep(_innermost(source, read)))
    return tree, in_order(_of_closed_texts(diagnostics))


def _innermost(source: Source, read: list[tuple[Node, int]]) -> Span:
    """The token with the most nodes around it, of several texts' trees with the offsets of the texts."""
    deepest, place = -1, Span(source, 0, 0)
    agenda: list[tuple[Node | Token, int, int]] = [(root, base, 0) for root, base in read]
    while agenda:
        node, base, depth = agenda.pop()
        if isinstance(node, Token):
            if depth > deepest and node.start_pos is not None and node.end_pos is not None:
                deepest, place = depth, Span(source, base + node.start_pos, base + node.end_pos)
        else:
            agenda += [(child, base, depth + 1) for child in node.children if child is not None]
    return place


def _of_closed_texts(diagnostics: list[Diagnostic]) -> list[Diagnostic]:
    """Without complaints about what stands in a text that is never closed (E0114): where it ends is not known."""
    open_lines = {_line(each): each.primary.start for each in diagnostics if each.code == "E0114" and each.primary}
    return [
        each
        for each in diagnostics
        if each.code != "E0108"
        or each.primary is None
        or each.primary.start < open_lines.get(_line(each), len(each.primary.source.text))
    ]


def _line(diagnostic: Diagnostic) -> int:
    return diagnostic.primary.source.position(diagnostic.primary.start)[0] if diagnostic.primary else 0


def in_order(diagnostics: list[Diagnostic]) -> list[Diagnostic]:
    """Sorted by place."""
    return sorted(diagnostics, key=lambda diagnostic: diagnostic.primary.start if diagnostic.primary else 0)


def _build(
    source: Source,
    root: Node,
    reader: Reader,
    diagnostics: list[Diagnostic],
    broken: list[Span],
    read: list[tuple[Node, int]],
) -> SyntaxTree:
    """The tree of a file; the nodes of what stands in its quotes are added to `read`, with where they begin."""

    def read_fragment(start: int, end: int, symbol: str) -> tuple[Node, ExpressionBuilder] | None:
        fragment = Reader(source, start, end, symbol, [], diagnostics, broken)
        node = fragment.read(Recovery().recover)
        if node is None:
            broken.append(Span(source, start, end))
            return None
        read.append((node, start))
        return node, ExpressionBuilder(source, start, diagnostics)

    comments = tuple(
        Comment(str(token).rstrip(), Span(source, token.start_pos or 0, (token.start_pos or 0) + len(token.rstrip())))
        for token in reader.layout.comments
    )
    return TreeBuilder(source, diagnostics, broken, read_fragment).tree(root, comments)
