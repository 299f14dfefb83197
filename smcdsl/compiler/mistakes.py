"""What can be wrong with a closed grammar: one constructor a mistake, all wording of grammar analysis."""

from __future__ import annotations

from collections.abc import Sequence

from smcdsl.compiler.regex import RegexError
from smcdsl.errors import Diagnostic, Label, Span
from smcdsl.program.grammar import Limit

_LEFT_TO_RIGHT = "the automaton reads left to right only"


def _at(span: Span | None, text: str, others: Sequence[tuple[Span, str]] = ()) -> tuple[Label, ...]:
    primary = () if span is None else (Label(span, text, primary=True),)
    return (*primary, *(Label(other, said) for other, said in others))


def undefined_rule(name: str, span: Span | None, near: str) -> Diagnostic:
    """E0401: a reference without a rule."""
    return Diagnostic("E0401", f"rule `{name}` is not defined", _at(span, f"did you mean `{near}`?" if near else ""))


def never_finishes(name: str, span: Span | None) -> Diagnostic:
    """E0402: a rule all of whose alternatives need the rule."""
    return Diagnostic(
        "E0402",
        f"rule `{name}` can never finish",
        _at(span, f"every alternative contains `{name}` again"),
        help="add an alternative that ends, for example `| /[0-9]+/`",
    )


def bad_layout(reason: str, span: Span | None) -> Diagnostic:
    """E0423: an indenter whose line breaks, blocks and brackets the rules do not keep in order."""
    return Diagnostic(
        "E0423",
        f"this grammar cannot be indented: {reason}",
        _at(span, ""),
        help="write blocks as `NEWLINE INDENT line+ DEDENT`, lines that end with NEWLINE, and brackets in one rule",
    )


def indented_part(name: str, span: Span | None) -> Diagnostic:
    """E0423: a grammar with significant indentation as a part of another."""
    return Diagnostic(
        "E0423",
        f"grammar `{name}` has an indenter, so it cannot be a part of another grammar",
        _at(span, ""),
        help="use it for the whole hole",
    )


def empty(span: Span | None, label: str, others: Sequence[tuple[Span, str]] = ()) -> Diagnostic:
    """E0403: the language is empty; `label` says why."""
    return Diagnostic("E0403", "no text can match this grammar", _at(span, label, others))


def limit_in_words(limit: Limit) -> str:
    """A limit as a phrase: `at most 8 characters`."""
    unit = {"chars": "characters"}.get(limit.unit, limit.unit)
    if limit.least == limit.most:
        return f"exactly {limit.most} {unit}"
    if not limit.least:
        return f"at most {limit.most} {unit}"
    return f"at least {limit.least} {unit}" if limit.most is None else f"{limit.least} to {limit.most} {unit}"


def restricts_itself(span: Span | None, grammar_span: Span | None) -> Diagnostic:
    """E0404: `&`, `-` or `where` around a rule that contains this restriction."""
    return Diagnostic(
        "E0404",
        "a restriction cannot hold inside itself",
        _at(span or grammar_span, "this contains the restriction again"),
        help="restrict the whole grammar instead, or a rule that is not recursive",
    )


def restricted_library(span: Span | None, grammar_span: Span | None) -> Diagnostic:
    """E0404: `&`, `-` or `where` around a grammar with a lexer, inside a larger one."""
    return Diagnostic(
        "E0404",
        "a library grammar inside a larger one cannot be restricted",
        _at(span or grammar_span, "its texts are read by a lexer of its own"),
        help="restrict the whole grammar, or give the library grammar a hole of its own",
    )


def bad_regex(error: RegexError, span: Span | None) -> Diagnostic:
    """E0405: what no left-to-right automaton can do, or no regular expression at all."""
    label, advice = _LEFT_TO_RIGHT, ""
    match error.kind:
        case "look-ahead":
            advice = "intersect two patterns: `/[a-z0-9]{8,}/ & /.*[0-9].*/`"
        case "look-behind":
            advice = "write what comes before as a part of the pattern, or use `where excludes /.../`"
        case "back-reference" | "conditional group":
            label, advice = "an automaton does not remember what was matched", "write the alternatives out"
        case "atomic group" | "possessive quantifier":
            label = "an automaton does not go back, so there is nothing to forbid"
            advice = "use a plain group or quantifier, and `where excludes /.../` for what must not match"
        case "word boundary":
            advice = r"write the neighbours out, for example `(^|\W)word(\W|$)`"
        case "flag":
            return Diagnostic("E0405", error.message, _at(span, "the flags are `i`, `m`, `s` and `x`"))
        case "syntax":
            return Diagnostic("E0405", "this is not a regular expression", _at(span, error.message))
    return Diagnostic("E0405", error.message, _at(span, label), help=advice)


def special_token(name: str, span: Span | None) -> Diagnostic:
    """E0407: a literal spells a special token."""
    return Diagnostic(
        "E0407",
        f"`{name}` is a special token of the model and cannot be part of a text",
        _at(span, "turns are ended by the chat template"),
        help="remove it; a hole at the end of a turn ends with the model's own end-of-turn token",
    )


def too_large(
    span: Span | None, limit: int, rule: str, size: int | None, effort: int, reason: str, *, is_work: bool
) -> Diagnostic:
    """E0409: more automaton states than allowed.

    Args:
        span: the grammar.
        limit: the states allowed.
        rule: the rule with the most states, or empty.
        size: how many it has; None if more than `effort`.
        effort: where counting stopped.
        reason: the part of the rule that is to blame, or empty.
        is_work: whether the work that the limit allows ran out before the states did.
    """
    notes: tuple[str, ...] = ()
    if rule:
        states = f"more than {effort:,}" if size is None else f"{size:,}"
        alone = f"`{rule}` alone takes too much" if is_work and size is None else f"`{rule}` alone has {states} states"
        notes = (f"rule {alone}" + (f", because of `{reason}`" if reason else ""),)
    headline, stopped = "this grammar is too large to compile", f"stopped at {limit:,} automaton states, the limit"
    if is_work:
        headline = "this grammar takes too much work to compile"
        stopped = f"stopped after the work that the limit of {limit:,} automaton states allows"
    drop = f"lower or drop `{reason}` there" if reason else "make the grammar smaller"
    return Diagnostic(
        "E0409",
        headline,
        _at(span, stopped),
        notes=notes,
        help=f"{drop}, or raise the limit with `--state-limit`",
    )
