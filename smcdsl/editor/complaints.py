"""Diagnostics as an editor shows them, and their fixes as code actions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from lsprotocol import types as lsp

from smcdsl.editor.documents import Document
from smcdsl.editor.places import Lines, uri_of
from smcdsl.errors import Diagnostic, Span
from smcdsl.language.syntax import Import
from smcdsl.report.pages import location as location_of_page
from smcdsl.report.visible import escape

SOURCE = "smcdsl"
FIX_ALL = "source.fixAll.smcdsl"
_UNUSED = frozenset({"W0411", "W0507"})


@dataclass(frozen=True)
class Complaint:
    """A diagnostic with what the editor is told of it."""

    diagnostic: Diagnostic
    shown: lsp.Diagnostic


def complaints(document: Document, diagnostics: Iterable[Diagnostic]) -> list[Complaint]:
    """What is said about a document; mistakes of files it imports stand at the import."""
    return [Complaint(diagnostic, _shown(document, diagnostic)) for diagnostic in diagnostics]


def _shown(document: Document, diagnostic: Diagnostic) -> lsp.Diagnostic:
    place = _place(document, diagnostic)
    primary = diagnostic.primary
    is_elsewhere = primary is not None and primary.source.name != document.source.name
    related = [
        lsp.DiagnosticRelatedInformation(location(label.span, document), escape(label.text or diagnostic.message))
        for label in diagnostic.labels
        if is_elsewhere or label.span != primary
    ]
    tags = [lsp.DiagnosticTag.Unnecessary] if diagnostic.code in _UNUSED else None
    return lsp.Diagnostic(
        range=place,
        message=message(diagnostic, _where(primary) if is_elsewhere and primary is not None else ""),
        severity=lsp.DiagnosticSeverity.Error if diagnostic.severity == "error" else lsp.DiagnosticSeverity.Warning,
        code=diagnostic.code,
        code_description=_page(diagnostic.code),
        source=SOURCE,
        related_information=related or None,
        tags=tags,
    )


@cache
def _page(code: str) -> lsp.CodeDescription | None:
    """The page about a code, which an editor opens where the code is clicked."""
    if location_of_page(code) is None:
        return None
    page = files("smcdsl.docs") / "errors" / f"{code}.md"
    return lsp.CodeDescription(uri_of(page.resolve())) if isinstance(page, Path) else None


def message(diagnostic: Diagnostic, where: str = "") -> str:
    """Headline, what is said at the place, facts, notes and help, a line each."""
    primary = next((label.text for label in diagnostic.labels if label.primary and label.text), "")
    lines = [f"{where}{diagnostic.message}", primary, *diagnostic.facts]
    lines += [f"note: {note}" for note in diagnostic.notes]
    lines += [f"help: {diagnostic.help}"] if diagnostic.help else []
    return escape("\n".join(line for line in lines if line), keep_newlines=True)


def _where(span: Span) -> str:
    line, column = span.source.position(span.start)
    return f"{span.source.name}:{line}:{column}: "


def _place(document: Document, diagnostic: Diagnostic) -> lsp.Range:
    span = diagnostic.primary
    if span is None:
        return document.lines.range(0, document.lines.line_end(0))
    if span.source.name != document.source.name:
        return _import_of(document, span.source.name)
    if span.start == span.end:  # something is missing: mark the character before, which can be seen
        start = span.start - 1 if span.start > document.lines.line_start(span.start) else span.start
        return document.lines.range(start, max(span.end, start + (start == span.start < len(document.text))))
    return document.lines.range_of(span)


def _import_of(document: Document, name: str) -> lsp.Range:
    """The import that brought a file in; else the first line."""
    declarations = document.tree.declarations if document.tree is not None else ()
    imports = [each for each in declarations if isinstance(each, Import)]
    stem = Path(name).stem
    for each in imports:
        if Path(each.target.text).stem == stem or each.target.text.rpartition(".")[2] == stem:
            return document.lines.range_of(each.span)
    first = imports[0].span if imports else Span(document.source, 0, document.lines.line_end(0))
    return document.lines.range_of(first)


def location(span: Span, document: Document) -> lsp.Location:
    """A span of this file or of another as the editor finds it."""
    if span.source.name == document.source.name:
        return lsp.Location(document.uri, document.lines.range_of(span))
    path = file_of(span.source.name)
    return lsp.Location(uri_of(path), Lines(span.source.text).range_of(span))


def file_of(name: str) -> Path:
    """The file that a source is named after; those that ship are called `smcdsl/...`."""
    path = Path(name)
    if not path.is_file() and name.startswith("smcdsl/"):
        _, kind, inner = name.split("/", 2)
        shipped = files(f"smcdsl.{kind}") / inner
        if isinstance(shipped, Path):
            path = shipped
    return path.resolve()


# ---- fixes


def actions(
    document: Document, known: Sequence[Complaint], within: lsp.Range, only: Sequence[str] | None
) -> list[lsp.CodeAction]:
    """The fixes that apply in a range: one action a mistake, and one for all of them."""
    fixable = [complaint for complaint in known if _is_fixable(document, complaint.diagnostic)]
    found: list[lsp.CodeAction] = []
    if _wanted(lsp.CodeActionKind.QuickFix, only):
        found += [_quick_fix(document, each) for each in fixable if _touch(each.shown.range, within)]
    if fixable and _wanted(FIX_ALL, only):
        edits = together([each.diagnostic for each in fixable])
        if len(fixable) > 1 or only:
            found.append(
                _action("Fix all that can be fixed", FIX_ALL, document, edits, [each.shown for each in fixable])
            )
    return found


def together(diagnostics: Sequence[Diagnostic]) -> list[lsp.TextEdit]:
    """The edits of all fixes that do not get in each other's way, by place; those of one fix go together or not."""
    taken: list[Span] = []
    kept = []
    for diagnostic in diagnostics:
        spans = [edit.span for edit in diagnostic.fixes]
        if not any(_overlap(span, other) for span in spans for other in taken):
            taken += spans
            kept += list(diagnostic.fixes)
    lines = Lines(kept[0].span.source.text) if kept else Lines("")
    return [
        lsp.TextEdit(lines.range_of(edit.span), edit.text) for edit in sorted(kept, key=lambda edit: edit.span.start)
    ]


def _overlap(left: Span, right: Span) -> bool:
    return left == right or (left.start < right.end and right.start < left.end) or left.start == right.start


def _is_fixable(document: Document, diagnostic: Diagnostic) -> bool:
    return bool(diagnostic.fixes) and all(edit.span.source.name == document.source.name for edit in diagnostic.fixes)


def _quick_fix(document: Document, complaint: Complaint) -> lsp.CodeAction:
    edits = together([complaint.diagnostic])
    title = complaint.diagnostic.help or _title(complaint.diagnostic)
    action = _action(escape(title), lsp.CodeActionKind.QuickFix, document, edits, [complaint.shown])
    action.is_preferred = True
    return action


def _title(diagnostic: Diagnostic) -> str:
    edit = diagnostic.fixes[0]
    if not edit.text.strip():
        return f"remove `{edit.span.text.strip()}`"
    if edit.span.start == edit.span.end:
        return f"insert `{edit.text.strip()}`"
    return f"replace `{edit.span.text.strip()}` by `{edit.text.strip()}`"


def _action(
    title: str, kind: str, document: Document, edits: list[lsp.TextEdit], shown: list[lsp.Diagnostic]
) -> lsp.CodeAction:
    edit = lsp.WorkspaceEdit(changes={document.uri: edits})
    return lsp.CodeAction(title=title.split("\n")[0], kind=kind, diagnostics=shown, edit=edit)


def _wanted(kind: str, only: Sequence[str] | None) -> bool:
    return not only or any(kind == asked or kind.startswith(asked + ".") for asked in only)


def _touch(left: lsp.Range, right: lsp.Range) -> bool:
    return (left.start.line, left.start.character) <= (right.end.line, right.end.character) and (
        right.start.line,
        right.start.character,
    ) <= (left.end.line, left.end.character)
