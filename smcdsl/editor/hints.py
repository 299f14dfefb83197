"""Inlay hints (how long each turn of the prompt is) and code lenses (Run, Show prompt, Test).

No model is loaded, so lengths are the estimate of the built-in `tokens`; `smcdsl show --prompt --tokens` counts
those of a model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lsprotocol import types as lsp

from smcdsl.editor.documents import Document
from smcdsl.language import syntax as sx
from smcdsl.program import statements as st
from smcdsl.program.builtins import tokens

RUN, SHOW_PROMPT, TEST = "smcdsl.run", "smcdsl.showPrompt", "smcdsl.test"
"""Commands of the editor's side; their arguments are the document's URI and, for a test, its name."""


def inlay_hints(document: Document, within: lsp.Range) -> list[lsp.InlayHint]:
    """A hint behind the role of every turn in a range of lines."""
    tree = document.tree
    hints = []
    for declaration in tree.declarations if tree is not None else ():
        if isinstance(declaration, sx.Generate | sx.TemplateSyntax):
            for turn in _turns(declaration.body):
                place = document.lines.position(turn.role_span.end)
                if within.start.line <= place.line <= within.end.line:
                    hints.append(_hint(turn, place))
    return hints


def _hint(turn: st.Turn, place: lsp.Position) -> lsp.InlayHint:
    parts = list(_parts(turn.body))
    given = sum(tokens(part.text) for part in parts if isinstance(part, st.Given))
    inserted = sum(isinstance(part, st.Insert) for part in parts)
    holes = sum(isinstance(part, st.Hole) for part in parts)
    label = f"~{given} tokens"
    label += f" + {_count(inserted, 'value')}" if inserted else ""
    label += f" + {_count(holes, 'hole')}" if holes else ""
    note = "an estimate: about four letters a token; `smcdsl show --prompt --tokens` counts a model's"
    if any(isinstance(statement, st.Loop | st.Branch | st.Use) for statement in turn.body):
        note += "\nloops and branches count once, templates not at all"
    return lsp.InlayHint(place, label, tooltip=note, padding_left=True)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' if number > 1 else ''}"


def _turns(body: Sequence[st.Statement]) -> Iterator[st.Turn]:
    for statement in body:
        match statement:
            case st.Turn():
                yield statement
            case st.Branch():
                yield from _turns((*statement.then, *statement.otherwise))
            case st.Loop(body=inner):
                yield from _turns(inner)


def _parts(body: Sequence[st.Statement]) -> Iterator[st.Part]:
    for statement in body:
        match statement:
            case st.Text(template=template) | st.Observe(template=template):
                yield from template.parts
            case st.Branch():
                yield from _parts((*statement.then, *statement.otherwise))
            case st.Turn(body=inner) | st.Loop(body=inner):
                yield from _parts(inner)


# ---- lenses


def code_lenses(document: Document) -> list[lsp.CodeLens]:
    """Run and Show prompt above the transcript, Test above every test."""
    tree = document.tree
    lenses = []
    for declaration in tree.declarations if tree is not None else ():
        if isinstance(declaration, sx.Generate):
            lenses.append(_lens(document, declaration, "Run", RUN))
            lenses.append(_lens(document, declaration, "Show prompt", SHOW_PROMPT))
        elif isinstance(declaration, sx.TestSyntax):
            lenses.append(_lens(document, declaration, "Test", TEST, declaration.name))
    return lenses


def _lens(document: Document, declaration: sx.Declaration, title: str, command: str, *more: str) -> lsp.CodeLens:
    return lsp.CodeLens(
        document.lines.range_of(declaration.keyword), lsp.Command(title, command, arguments=[document.uri, *more])
    )
