"""One mistake, one message: what a syntax mistake makes the checks say afterwards is left out.

A broken line may have introduced a name that is unknown now, or given a test the input that it lacks
now. A hole that has lost a bracket, its name or its colon is ordinary text by the rules of the language;
only where names are unknown, or nothing is left to write, is it taken for what it was.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from smcdsl.errors import Diagnostic, Source, Span
from smcdsl.language import mistakes_syntax as mistakes
from smcdsl.language import syntax as sx
from smcdsl.program import statements as st

_INTRODUCES = re.compile(r"(?:import|input|grammar|potential|template|let|for)(?!\w)|[^\n]*\[\[")
_UNKNOWN_NAME = frozenset({"E0201", "E0401"})
_NOTHING_TO_WRITE = "E0602"

_NAME = r"([^\W\d]\w*)(?:\[\])?"
_LOST_NAME = re.compile(r"\[\[[ \t]*(?:\[\])?[ \t]*:(?=[^\n]*\]\])")
_LOST_COLON = re.compile(rf"\[\[{_NAME}[ \t]+(?=[^:\n]*\]\])")
_LOST_BRACKETS = re.compile(rf"(?<![\w\[]){_NAME}:(?=[^\n]*\]\])")


def without_echoes(
    tree: sx.SyntaxTree, syntax_mistakes: Sequence[Diagnostic], found: Sequence[Diagnostic]
) -> list[Diagnostic]:
    """All that is worth saying: the syntax mistakes, and of the rest what they do not explain."""
    rest = list(found)
    if syntax_mistakes:
        rest = _outside(rest, tree.source, _broken_places(tree))
        rest = _without_unknown(rest, tree)
    return [*syntax_mistakes, *_with_damaged_holes(rest, tree)]


# ---- what stands in broken lines


def _broken_places(tree: sx.SyntaxTree) -> list[tuple[int, int]]:
    """Offsets of the lines with broken spans, and of the tests and settings around them."""
    text = tree.source.text
    places = []
    for span in tree.broken:
        start = text.rfind("\n", 0, span.start) + 1
        end = text.find("\n", span.end)
        places.append((start, len(text) if end < 0 else end))
        places += [
            (declaration.span.start, declaration.span.end)
            for declaration in tree.declarations
            if isinstance(declaration, sx.TestSyntax | sx.Infer | sx.ModelBlock)
            and declaration.span.start <= span.start <= declaration.span.end
        ]
    return places


def _outside(found: list[Diagnostic], source: Source, places: list[tuple[int, int]]) -> list[Diagnostic]:
    def is_outside(diagnostic: Diagnostic) -> bool:
        span = diagnostic.primary
        if span is None or span.source != source:
            return True
        return not any(start <= span.start <= end for start, end in places)

    return [diagnostic for diagnostic in found if is_outside(diagnostic)]


def _without_unknown(found: list[Diagnostic], tree: sx.SyntaxTree) -> list[Diagnostic]:
    """Leave out unknown names, if there are no more of them than lines that may have introduced one."""
    introducers = sum(bool(_INTRODUCES.match(span.text.lstrip())) for span in tree.broken)
    if len(_unknown_names(found, tree.source)) > introducers:
        return found
    return [diagnostic for diagnostic in found if diagnostic.code not in _UNKNOWN_NAME]


def _unknown_names(found: Sequence[Diagnostic], source: Source) -> set[str]:
    return {
        diagnostic.primary.text
        for diagnostic in found
        if diagnostic.code in _UNKNOWN_NAME and diagnostic.primary and diagnostic.primary.source == source
    }


# ---- holes that have become text


def _with_damaged_holes(found: list[Diagnostic], tree: sx.SyntaxTree) -> list[Diagnostic]:
    names = _unknown_names(found, tree.source)
    has_nothing_to_write = any(diagnostic.code == _NOTHING_TO_WRITE for diagnostic in found)
    if not names and not has_nothing_to_write:
        return found
    for name, span in _damaged_holes(tree):
        if name and names and name not in names:
            continue
        explained = {name} if name else names if len(names) == 1 else set()
        if not name and not explained and not has_nothing_to_write:
            continue
        rest = [diagnostic for diagnostic in found if not _is_explained(diagnostic, explained)]
        return [mistakes.damaged_hole(span), *rest]
    return found


def _is_explained(diagnostic: Diagnostic, names: set[str]) -> bool:
    if diagnostic.code == _NOTHING_TO_WRITE:
        return True
    return diagnostic.code in _UNKNOWN_NAME and diagnostic.primary is not None and diagnostic.primary.text in names


def _damaged_holes(tree: sx.SyntaxTree) -> Iterator[tuple[str, Span]]:
    """(name or nothing, place) of text of the model's turns that looks like a hole with a part missing."""
    for given in _given(tree):
        for pattern in (_LOST_NAME, _LOST_COLON, _LOST_BRACKETS):
            for match in pattern.finditer(given.span.text):
                start = given.span.start + match.start()
                end = tree.source.text.find("]]", start) + 2
                yield match.group(1) if pattern.groups else "", Span(tree.source, start, end)


def _given(tree: sx.SyntaxTree) -> Iterator[st.Given]:
    """Given text of the model's turns."""
    for declaration in tree.declarations:
        if isinstance(declaration, sx.Generate | sx.TemplateSyntax):
            yield from _given_in(declaration.body, isinstance(declaration, sx.TemplateSyntax))


def _given_in(body: Sequence[st.Statement], is_model: bool) -> Iterator[st.Given]:
    for statement in body:
        match statement:
            case st.Text() if is_model:
                yield from (part for part in statement.template.parts if isinstance(part, st.Given))
            case st.Turn():
                yield from _given_in(statement.body, statement.role in ("assistant", "text"))
            case st.Branch():
                yield from _given_in((*statement.then, *statement.otherwise), is_model)
            case st.Loop():
                yield from _given_in(statement.body, is_model)
