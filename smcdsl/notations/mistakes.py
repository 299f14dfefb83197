"""What can be wrong with a grammar file, one constructor a mistake."""

from __future__ import annotations

from collections.abc import Iterable

from smcdsl.errors import Diagnostic, Label, Span


def _diagnostic(code: str, message: str, span: Span | None, label: str, context: str, help_: str = "") -> Diagnostic:
    if span is None:
        return Diagnostic(code, message, context=context, facts=(label,) if label else (), help=help_)
    return Diagnostic(code, message, labels=(Label(span, label, primary=True),), help=help_)


def undefined_rule(name: str, span: Span | None, near: str, near_line: int, context: str) -> Diagnostic:
    """A name that no definition has; `near` is a similar one, or empty."""
    suggestion = ""
    if near:
        suggestion = f"did you mean `{near}`" + (f" (line {near_line})?" if near_line else "?")
    kind = "terminal" if name.isupper() else "rule"
    return _diagnostic("E0401", f"{kind} `{name}` is not defined", span, suggestion or "not defined here", context)


def unreadable_grammar(reason: str, span: Span | None, context: str) -> Diagnostic:
    """lark cannot read the file."""
    return _diagnostic("E0412", "this is not a grammar that lark can read", span, reason, context)


def missing_import(path: str, span: Span | None, context: str) -> Diagnostic:
    """A file named by `%import` was not found."""
    return _diagnostic("E0412", f"`%import` finds no grammar file `{path}`", span, "no such file", context)


def missing_start(start: str, rules: Iterable[str], context: str) -> Diagnostic:
    """The rule to start from is not in the file."""
    known = ", ".join(rules)
    return _diagnostic(
        "E0412", f"the grammar has no rule `{start}` to start with", None, f"its rules: {known}", context
    )


def declared_terminal(name: str, span: Span | None, context: str) -> Diagnostic:
    """`%declare` promises a terminal that only a Python program could make."""
    return _diagnostic(
        "E0413",
        f"terminal `{name}` has no pattern",
        span,
        "`%declare` leaves its text to a Python lexer, which does not run while generating",
        context,
        help_=f"give it a pattern: `{name}: /.../`",
    )


def empty_terminal(name: str, span: Span | None, context: str) -> Diagnostic:
    """A terminal that could match nothing would be found everywhere."""
    return _diagnostic(
        "E0414",
        f"terminal `{name}` can match the empty text",
        span,
        "a lexer could find it everywhere",
        context,
        help_="let it match at least one character, and make it optional where it is used: `[NAME]` or `NAME?`",
    )


def bad_header(reason: str, span: Span) -> Diagnostic:
    """A line that begins with `// smcdsl:` does not say something known."""
    return _diagnostic("E0415", "this `// smcdsl:` line cannot be read", span, reason, "")


def unreadable_gbnf(reason: str, span: Span) -> Diagnostic:
    """The file is not GBNF."""
    return _diagnostic("E0422", "this is not a GBNF grammar", span, reason, "")


def missing_start_rule(start: str, rules: Iterable[str], context: str) -> Diagnostic:
    """A GBNF file without the rule to start from."""
    known = ", ".join(rules)
    message = f"the grammar has no rule `{start}` to start with"
    return _diagnostic("E0422", message, None, f"its rules: {known}" if known else "it has no rules", context)
