"""Document symbols and folding."""

from __future__ import annotations

from collections.abc import Sequence

from lsprotocol import types as lsp

from smcdsl.editor.documents import Document
from smcdsl.editor.pieces import Piece
from smcdsl.errors import Span
from smcdsl.language import syntax as sx
from smcdsl.program import statements as st

_Kind = lsp.SymbolKind
_LONGEST = 60


def symbols(document: Document) -> list[lsp.DocumentSymbol]:
    """What a file declares, with rules, holes and factors inside; what could be read of it."""
    tree = document.tree
    return [_declared(document, each) for each in tree.declarations] if tree is not None else []


def _declared(document: Document, declaration: sx.Declaration) -> lsp.DocumentSymbol:
    match declaration:
        case sx.Import():
            place = declaration.alias or declaration.target
            return _symbol(document, place.text, _Kind.Module, declaration.span, place.span, "import")
        case sx.InputSyntax(name=name, type=type_):
            return _symbol(document, name.text, _Kind.Variable, declaration.span, name.span, _brief(type_.span))
        case sx.GrammarSyntax(name=name, rules=rules):
            inner = [
                _symbol(document, word.text, _Kind.Field, word.span.to(body.span or word.span), word.span, "rule")
                for word, body in rules
            ]
            return _symbol(document, name.text, _Kind.Struct, declaration.span, name.span, "grammar", inner)
        case sx.PotentialSyntax(name=name):
            return _symbol(document, name.text, _Kind.Function, declaration.span, name.span, declaration.result.text)
        case sx.TemplateSyntax(name=name, body=body):
            inner = _statements(document, body)
            return _symbol(document, name.text, _Kind.Method, declaration.span, name.span, "template", inner)
        case sx.Generate(body=body):
            inner = _statements(document, body)
            return _symbol(document, "generate", _Kind.Namespace, declaration.span, declaration.keyword, children=inner)
        case sx.Infer():
            place = declaration.name or declaration.method
            return _symbol(document, f"infer {place.text}", _Kind.Object, declaration.span, place.span)
        case sx.TestSyntax(name=test):
            return _symbol(document, f'test "{test}"', _Kind.Event, declaration.span, declaration.keyword)
    return _symbol(document, declaration.keyword.text, _Kind.Key, declaration.span, declaration.keyword)


def _statements(document: Document, body: Sequence[st.Statement]) -> list[lsp.DocumentSymbol]:
    """Holes, factors and names of a transcript, in order."""
    found: list[lsp.DocumentSymbol] = []
    for statement in body:
        match statement:
            case st.Text(template=template):
                found += [
                    _symbol(document, part.name, _Kind.Variable, part.span, part.name_span, "hole")
                    for part in template.parts
                    if isinstance(part, st.Hole)
                ]
            case st.Factor(verb=verb, expression=expression):
                name = f"{verb} {_brief(expression.span)}"
                found.append(_symbol(document, name, _Kind.Operator, statement.span, expression.span))
            case st.Let(name=name, name_span=place):
                found.append(_symbol(document, name, _Kind.Constant, statement.span, place, "let"))
            case st.Turn(body=inner) | st.Loop(body=inner):
                found += _statements(document, inner)
            case st.Branch():
                found += _statements(document, (*statement.then, *statement.otherwise))
    return found


def _symbol(
    document: Document,
    name: str,
    kind: lsp.SymbolKind,
    whole: Span,
    place: Span,
    detail: str = "",
    children: list[lsp.DocumentSymbol] | None = None,
) -> lsp.DocumentSymbol:
    within = Span(whole.source, min(whole.start, place.start), max(whole.end, place.end))
    lines = document.lines
    # Editors refuse a symbol without a name.
    return lsp.DocumentSymbol(
        name or "_", kind, lines.range_of(within), lines.range_of(place), detail=detail or None, children=children
    )


def _brief(span: Span) -> str:
    text = " ".join(span.text.split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


# ---- folding


def folds(document: Document) -> list[lsp.FoldingRange]:
    """Brackets and texts of several lines, runs of comments, runs of imports; whether or not the file is right."""
    found = [*_brackets(document), *_runs(document)]
    return sorted(found, key=lambda fold: (fold.start_line, -fold.end_line))


def _brackets(document: Document) -> list[lsp.FoldingRange]:
    found, opened = [], []
    for piece in document.pieces:
        text = document.text[piece.start : piece.end]
        if piece.kind == "mark" and text in ("{", "(", "["):
            opened.append(piece)
        elif piece.kind == "mark" and text in ("}", ")", "]") and opened:
            found += _fold(document, opened.pop().start, piece.start, ends_with_mark=True)
        elif piece.kind == "string" and "\n" in text:
            found += _fold(document, piece.start, piece.end)
    for start, end in document.scanned.prompts:
        found += _fold(document, start, end)
    return found


def _fold(document: Document, start: int, end: int, *, ends_with_mark: bool = False) -> list[lsp.FoldingRange]:
    first = document.lines.position(start).line
    last = document.lines.position(end).line - ends_with_mark
    return [lsp.FoldingRange(first, last)] if last > first else []


def _runs(document: Document) -> list[lsp.FoldingRange]:
    """Lines of comments, and of imports, that follow each other."""
    found: list[lsp.FoldingRange] = []
    for kind, lines in (
        (
            lsp.FoldingRangeKind.Comment,
            [_line(document, each) for each in document.pieces if _is_own_line(document, each)],
        ),
        (lsp.FoldingRangeKind.Imports, _import_lines(document)),
    ):
        start = 0
        for index in range(1, len(lines) + 1):
            if index == len(lines) or lines[index] != lines[index - 1] + 1:
                if index - 1 > start:
                    found.append(lsp.FoldingRange(lines[start], lines[index - 1], kind=kind))
                start = index
    return found


def _is_own_line(document: Document, piece: Piece) -> bool:
    line = document.text[document.lines.line_start(piece.start) : piece.start]
    return piece.kind == "comment" and not line.strip()


def _import_lines(document: Document) -> list[int]:
    return [
        _line(document, piece)
        for piece in document.pieces
        if piece.kind == "keyword" and document.text[piece.start : piece.end] == "import"
    ]


def _line(document: Document, piece: Piece) -> int:
    return document.lines.position(piece.start).line
