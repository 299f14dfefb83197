"""Looking through syntax that is not resolved yet."""

from __future__ import annotations

import re
from collections.abc import Sequence

from smcdsl.errors import Span
from smcdsl.program import expressions as ex
from smcdsl.program import statements as st
from smcdsl.program.evaluation import children

_NAME = re.compile(r"[^\W\d]\w*")


def word_spans(span: Span) -> list[Span]:
    """The places of the words of a dotted name."""
    return [Span(span.source, span.start + m.start(), span.start + m.end()) for m in _NAME.finditer(span.text)]


def parts_of(expression: ex.Expression) -> list[ex.Expression]:
    """The expressions directly inside one that is not resolved yet."""
    if isinstance(expression, ex.Call):
        return [argument.value for argument in expression.arguments]
    return children(expression)


def names_in(expression: ex.Expression) -> list[ex.Name]:
    """The names in an expression that is not resolved yet, in reading order."""
    if isinstance(expression, ex.Name):
        return [expression]
    return [name for child in parts_of(expression) for name in names_in(child)]


def uses_in(body: Sequence[st.Statement]) -> list[st.Use]:
    """Every `use` in a transcript."""
    found: list[st.Use] = []
    for statement in body:
        match statement:
            case st.Use():
                found.append(statement)
            case st.Turn(body=inner) | st.Loop(body=inner):
                found += uses_in(inner)
            case st.Branch():
                found += uses_in((*statement.then, *statement.otherwise))
    return found
