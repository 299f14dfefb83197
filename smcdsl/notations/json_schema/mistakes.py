"""What can be wrong with a JSON schema, one constructor a mistake."""

from __future__ import annotations

from smcdsl.errors import Diagnostic, Label, Span


def _diagnostic(code: str, message: str, span: Span, label: str, help_: str = "") -> Diagnostic:
    return Diagnostic(code, message, (Label(span, label, primary=True),), help=help_)


def unreadable(span: Span, reason: str) -> Diagnostic:
    """The text is no JSON, or no schema."""
    return _diagnostic("E0420", "this is not a JSON schema", span, reason)


def bad_value(keyword: str, pointer: str, span: Span, wanted: str) -> Diagnostic:
    """A keyword with a value that it cannot have."""
    return _diagnostic("E0420", f"`{keyword}` at `#{pointer}` needs {wanted}", span, "")


def too_deep(span: Span) -> Diagnostic:
    """Nested further than anybody can follow."""
    return _diagnostic("E0420", "this schema is nested too deeply", span, "")


def unsupported(keyword: str, pointer: str, span: Span, reason: str, help_: str = "") -> Diagnostic:
    """A keyword, or a use of it, that does not become a grammar."""
    return _diagnostic("E0418", f"`{keyword}` at `#{pointer}` cannot be part of a grammar", span, reason, help_)


def unknown_keyword(keyword: str, pointer: str, span: Span, near: str | None) -> Diagnostic:
    """A keyword that JSON Schema does not have; it would be passed over elsewhere."""
    label = f"did you mean `{near}`?" if near else "JSON Schema 2020-12 has no such keyword"
    help_ = "" if near else "names that begin with `x-` are passed over"
    return _diagnostic("E0418", f"`{keyword}` at `#{pointer}` is not a keyword", span, label, help_)


def unresolved(reference: str, pointer: str, span: Span) -> Diagnostic:
    """A `$ref` to what is not in the document."""
    return _diagnostic("E0421", f"`$ref` at `#{pointer}` finds no `{reference}`", span, "references stay in this file")


def endless(pointer: str, span: Span) -> Diagnostic:
    """A schema that is defined by itself alone."""
    return _diagnostic("E0421", f"the schema at `#{pointer}` refers to itself and to nothing else", span, "")


def no_value(span: Span) -> Diagnostic:
    """No value satisfies the schema."""
    return _diagnostic("E0403", "no text can match this grammar", span, "no value satisfies this schema")
