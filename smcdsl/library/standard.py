"""`std.text`: rules for plain prose, and the text functions under the library's name.

The rules are regular and have no lexer, so they may stand anywhere in an inline grammar:

    line          one line that is not blank, without its line break
    sentence      one line that ends in `.`, `!` or `?` (a closing quote or bracket may follow) and has
                  no such mark before white space earlier on, so `3.5` and `e.g.` at the end are fine
    paragraph     one or more lines, none of them blank
    substring_of  any non-empty part of the text given: `tx.substring_of(doc.text)`
"""

from __future__ import annotations

from smcdsl.program.grammar import GrammarExpression, Pattern, SubstringOf
from smcdsl.program.types import STR, GrammarSignature, Parameter

NAME = "std.text"

_LINE = r"[^\n\r]*[^\s][^\n\r]*"
_INSIDE = r"(?:[^\n\r.!?]|[.!?]+[^\s.!?])"

_PATTERNS = {
    "line": _LINE,
    "sentence": rf"(?:[^\s.!?]|[.!?]+[^\s.!?]){_INSIDE}*[.!?]+[\"'”’)\]]?",
    "paragraph": rf"{_LINE}(?:\n{_LINE})*",
}

RULES: dict[str, GrammarSignature] = {
    **{rule: GrammarSignature(f"{NAME}.{rule}", rule, ()) for rule in _PATTERNS},
    "substring_of": GrammarSignature(f"{NAME}.substring_of", "substring_of", (Parameter("text", STR),)),
}
"""The grammars of the library."""

FUNCTIONS = ("chars", "words", "lines", "starts_with", "ends_with", "contains", "lower", "upper", "strip", "join")
"""Built-ins that the library offers under its own name too."""


def rule_expression(rule: str, text: str | None = None) -> GrammarExpression:
    """The expression of a rule; `text` is the argument of `substring_of`."""
    if rule == "substring_of":
        assert text is not None, "substring_of is bound to a text"
        return SubstringOf(text)
    return Pattern(_PATTERNS[rule])
