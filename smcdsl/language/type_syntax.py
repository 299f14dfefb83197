"""Types as programs write them."""

from __future__ import annotations

from smcdsl.language import mistakes, syntax
from smcdsl.language.suggestions import closest
from smcdsl.language.symbols import Report
from smcdsl.program.types import SIMPLE_NAMES, Type, choice_of, list_of

_TYPE_SYNONYMS = {
    "string": "str",
    "text": "str",
    "integer": "int",
    "number": "float",
    "boolean": "bool",
    "path": "file",
    "database": "sqlite",
    "db": "sqlite",
    "dict": "json",
    "object": "json",
}


def read_type(expression: syntax.TypeExpression, report: Report) -> Type:
    """The type that is written."""
    if expression.name == "choices":
        return choice_of(expression.choices)
    if expression.name == "list" and expression.item is not None:
        return list_of(read_type(expression.item, report))
    if expression.name in SIMPLE_NAMES:
        return Type(expression.name)
    near = closest(expression.name, (*SIMPLE_NAMES, "list"), _TYPE_SYNONYMS)
    report.add(mistakes.unknown_type(expression.name, expression.span, near))
    return Type("any")
