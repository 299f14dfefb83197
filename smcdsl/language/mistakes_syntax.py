"""The wording of syntax mistakes, E0101 to E0123: one constructor a mistake."""

from __future__ import annotations

import re
from collections.abc import Sequence

from smcdsl.errors import Diagnostic, Edit, Label, Span

EDITION = 1


def _primary(span: Span, text: str = "") -> Label:
    return Label(span, text, primary=True)


def _point(span: Span, offset: int) -> Span:
    return Span(span.source, offset, offset)


def _line_text(span: Span) -> tuple[int, str]:
    """Number and text of the line where the span begins."""
    line, _ = span.source.position(span.start)
    return line, span.source.line(line)


def _changed_line(span: Span, replacement: str) -> str:
    """The line of the span as it would be with the replacement, as a suggestion shows it: `12 | ...`."""
    number, line = _line_text(span)
    start = span.start - span.source.line_starts[number - 1]
    return f"{number} | {line[:start]}{replacement}{line[start + span.end - span.start :]}"


# ---- E0101, E0102: the edition


def no_edition(first_word: Span) -> Diagnostic:
    """The file does not begin with `smc 1`."""
    return Diagnostic(
        "E0101",
        "this file does not say which edition of the language it uses",
        (_primary(first_word, f"expected `smc {EDITION}` on the first line"),),
        help="add the edition",
        fixes=(Edit(_point(first_word, 0), f"smc {EDITION}\n"),),
    )


def no_edition_number(after: Span, word: Span) -> Diagnostic:
    """`smc` without its number; `word` is the `smc`."""
    rest = word.source.line(1)[word.end :].partition("#")[0].strip()
    return Diagnostic(
        "E0101",
        "this file does not say which edition of the language it uses",
        (_primary(after, f"expected `smc {EDITION}` on the first line"),),
        fixes=(Edit(word, f"smc {EDITION}"),) if not rest else (),
    )


def unknown_edition(number: Span, edition: int, version: str) -> Diagnostic:
    """An edition that this tool does not know."""
    label = _primary(number, f"smcdsl {version} understands edition {EDITION}")
    if edition < EDITION:
        return Diagnostic("E0102", f"there is no edition {edition}", (label,), fixes=(Edit(number, str(EDITION)),))
    return Diagnostic(
        "E0102",
        f"edition {edition} is newer than this tool",
        (label,),
        help=f"upgrade with `pip install -U smcdsl`, or ask the author for an edition {EDITION} file",
    )


# ---- E0103, E0104, E0113, E0114: what is opened and not closed


def unclosed_block(
    opener: Span, after: Span, *, is_record: bool = False, declaration: Span | None = None, owner: str = ""
) -> Diagnostic:
    """A `{` without its `}`; `after` is the place where the closer is probably missing."""
    labels = [_primary(opener, "opened here"), _primary(after, _missing_closer("}", opener, after))]
    if declaration is not None:
        labels.append(Label(declaration, f"declarations cannot appear inside `{owner}`" if owner else ""))
    thing = "record" if is_record else "block"
    return Diagnostic("E0103", f"this {thing} is never closed", tuple(labels))


def unclosed_bracket(opener: Span, after: Span, closer: str) -> Diagnostic:
    """A `(` or `[` without its closer."""
    labels = (_primary(opener, "opened here"), _primary(after, _missing_closer(closer, opener, after)))
    return Diagnostic("E0113", f"this `{opener.text}` is never closed", labels)


def _missing_closer(closer: str, opener: Span, after: Span) -> str:
    same_line = opener.source.position(opener.start)[0] == after.source.position(after.start)[0]
    return f"the `{closer}` is probably missing " + ("here" if same_line else "after this line")


def closes_nothing(closer: Span) -> Diagnostic:
    """A closing bracket without an opener."""
    text = closer.text
    opener = {"}": "{", ")": "(", "]": "["}[text]
    return Diagnostic(
        "E0113", f"this `{text}` closes nothing", (_primary(closer, f"there is no open `{opener}` here"),)
    )


def unclosed_text_block(opener: Span, possible_end: int | None, after: Span | None = None) -> Diagnostic:
    """A block without its closing quotes.

    `possible_end` is a line that ends in two quotes; `after` is where indentation says that the text ends.
    """
    labels = [_primary(opener, 'opened here; no matching `"""` in the rest of the file')]
    if after is not None:
        labels.append(_primary(after, 'the `"""` is probably missing after this line'))
    note = f'line {possible_end} ends in `""`, which may be the intended end'
    return Diagnostic(
        "E0104",
        "this text block is never closed",
        tuple(labels),
        notes=(note,) if possible_end is not None else (),
    )


def unclosed_text(opener: Span, end: Span) -> Diagnostic:
    """A `"` without its partner on the line."""
    labels = (_primary(opener, "opened here"), Label(end, 'a `"` is missing before the end of the line'))
    return Diagnostic(
        "E0114",
        "this text is never closed",
        labels,
        help='a text ends on the line where it begins; longer ones are written between `"""`',
    )


# ---- E0105, E0109, E0118, E0119, E0120: statements


def no_such_loop(word: Span, condition: str) -> Diagnostic:
    """`while` and its relatives."""
    number, line = _line_text(word)
    indent = line[: len(line) - len(line.lstrip())]
    leave = f"if {_opposite(condition)} {{ break }}"
    pad = " " * len(str(number))
    return Diagnostic(
        "E0105",
        f"`{word.text}` is not part of the language",
        (_primary(word, "loops have a fixed bound so that every program terminates"),),
        help=f"use a bounded loop and leave it early\n{number} | {indent}for i in 1..10 {{\n{pad} + {indent}  {leave}",
    )


def _opposite(condition: str) -> str:
    """When to leave a loop that runs while the condition holds."""
    if not condition:
        return "..."
    if condition.startswith("not ") and not re.search(r"\b(?:and|or)\b", condition):
        return condition.removeprefix("not ").strip()
    return f"not {condition}" if re.fullmatch(r"[\w.]+", condition) else f"not ({condition})"


def left_out(word: Span, reason: str, advice: str) -> Diagnostic:
    """A construct of other languages that is absent on purpose."""
    return Diagnostic("E0105", f"`{word.text}` is not part of the language", (_primary(word, reason),), help=advice)


def unknown_statement(word: Span, suggestion: str, kind: str) -> Diagnostic:
    """A word that starts no statement; `suggestion` may be empty."""
    label = f"did you mean `{suggestion}`?" if suggestion else f"expected {kind}"
    fixes = (Edit(word, suggestion),) if suggestion else ()
    what = "a statement" if kind.endswith("statement") else "a declaration"
    return Diagnostic("E0109", f"`{word.text}` is not {what}", (_primary(word, label),), fixes=fixes)


def observe_needs_text(word: Span) -> Diagnostic:
    """`observe` with a condition, as in other probabilistic languages."""
    return Diagnostic(
        "E0109",
        "`observe` takes a text, not a condition",
        (_primary(word, "did you mean `require`?"),),
        fixes=(Edit(word, "require"),),
    )


def statement_outside(word: Span) -> Diagnostic:
    """A statement among declarations."""
    text = word.text if word.text[:1] not in "\"'{" else "a text"
    name = f"`{text}`" if text != "a text" else text
    return Diagnostic(
        "E0118",
        f"{name} stands outside `generate`",
        (_primary(word, "statements belong inside `generate { ... }`"),),
    )


def declaration_inside(word: Span, owner: str) -> Diagnostic:
    """A declaration in a block, indented as if it belonged there."""
    return Diagnostic(
        "E0118",
        f"`{word.text}` cannot stand inside `{owner}`",
        (_primary(word, "declarations stand on their own, outside every block"),),
    )


def else_without_if(word: Span) -> Diagnostic:
    """`else` that follows no `if` block."""
    return Diagnostic("E0118", "this `else` has no `if`", (_primary(word, "expected after the `}` of an `if`"),))


def declared_twice(keyword: Span, first: Span) -> Diagnostic:
    """A second `generate`, `return` or `lm`."""
    text = keyword.text
    return Diagnostic(
        "E0119",
        f"a program has one `{text}`",
        (Label(first, "first one"), _primary(keyword, "this is the second")),
    )


def not_in_module(keyword: Span) -> Diagnostic:
    """A declaration that modules do not have."""
    return Diagnostic(
        "E0118",
        f"a module has no `{keyword.text}`",
        (_primary(keyword, "modules hold only imports, grammars, potentials and templates"),),
        help="write `program` instead of `module` in the second line, or move this into the program",
    )


def break_outside_loop(word: Span) -> Diagnostic:
    """`break` with no loop around it."""
    return Diagnostic("E0120", "`break` stands outside a loop", (_primary(word, "there is no loop to leave"),))


# ---- E0106 to E0108, E0115: inside texts


def hole_in_other_turn(hole: Span, role: str) -> Diagnostic:
    """A hole in a `system` or `user` turn."""
    return Diagnostic(
        "E0106",
        "holes can only be filled in by the model's own turn",
        (_primary(hole, f"this is inside a `{role}` turn"),),
        help='move it to an `assistant` turn, or write r"..." if you want the brackets as text',
    )


def hole_without_grammar(hole: Span) -> Diagnostic:
    """`[[name]]` or `[[name:]]`."""
    name = hole.text.strip("[]: \t")
    suggestion = f"[[{name}{'[]' if '[]' in hole.text else ''}: std.text.paragraph]]"
    return Diagnostic(
        "E0107",
        "this hole has no grammar",
        (_primary(hole, "a hole is written `[[name: grammar]]`"),),
        help="if any text is fine, say so\n" + _changed_line(hole, suggestion),
    )


def damaged_hole(text: Span) -> Diagnostic:
    """Text that was a hole before it lost a bracket, its name or its colon."""
    return Diagnostic(
        "E0123",
        "this is text, not a hole",
        (_primary(text, "a hole is written `[[name: grammar]]`"),),
    )


def unclosed_insert(opener: Span, single_closer: Span | None) -> Diagnostic:
    """`{{` without `}}` on its line; `single_closer` is a lone `}`, if there is one."""
    return Diagnostic(
        "E0108",
        "`{{` is not closed on this line",
        (_primary(opener, "inserted expressions end with `}}`"),),
        fixes=_doubled(opener, single_closer, "}"),
    )


def unclosed_hole(opener: Span, single_closer: Span | None) -> Diagnostic:
    """`[[name:` without `]]` on its line."""
    return Diagnostic(
        "E0108",
        "`[[` is not closed on this line",
        (_primary(opener, "holes end with `]]`"),),
        fixes=_doubled(opener, single_closer, "]"),
    )


def _doubled(opener: Span, single_closer: Span | None, closer: str) -> tuple[Edit, ...]:
    """The insertion or hole with its closer doubled."""
    if single_closer is None:
        return ()
    whole = opener.to(single_closer)
    return (Edit(whole, whole.text + closer),)


def empty_insert(span: Span) -> Diagnostic:
    """`{{ }}`."""
    return Diagnostic(
        "E0112",
        "nothing is inserted here",
        (_primary(span, "expected a value between `{{` and `}}`"),),
        help='write r"..." if you want the braces as text',
    )


def unknown_escape(escape: Span) -> Diagnostic:
    """A backslash before a character that has no meaning."""
    text = escape.text.rstrip("\r\n")
    return Diagnostic(
        "E0115",
        f"`{text}` is not an escape" if text != "\\" else "a text cannot end its line with a backslash",
        (_primary(escape, 'known ones are \\n \\t \\r \\\\ \\" \\{ \\[ \\xHH \\uHHHH \\u{H...}'),),
        help=f"for a backslash itself write `\\{text}`",
        fixes=(Edit(_point(escape, escape.start), "\\"),),
    )


def wrong_quotes(span: Span) -> Diagnostic:
    """A text between other quotes than `"`."""
    inner = span.text[1:-1]
    simple = len(span.text) > 1 and span.text[-1] in "'’”»`" and not set(inner) & set('"\\{}[]')
    fixes = (Edit(span, f'"{inner}"'),) if simple else ()
    return Diagnostic("E0116", 'texts are written between `"`', (_primary(span),), fixes=fixes)


# ---- E0110, E0117, E0121, E0122: expressions and grammars


def power_stars(operator: Span) -> Diagnostic:
    """`**`."""
    return Diagnostic("E0110", "powers are written with `^`", (_primary(operator),), fixes=(Edit(operator, "^"),))


def other_operator(operator: Span, ours: str, meaning: str) -> Diagnostic:
    """An operator spelled as in another language."""
    return Diagnostic(
        "E0117",
        f"{meaning} is written `{ours}`",
        (_primary(operator),),
        fixes=(Edit(operator, ours),),
    )


def chained_comparison(operator: Span) -> Diagnostic:
    """`a < b < c`."""
    return Diagnostic(
        "E0117",
        "comparisons cannot be chained",
        (_primary(operator, "second comparison"),),
        help="write two comparisons joined by `and`",
    )


def potential_in_where(call: Span, expression: str) -> Diagnostic:
    """`where` followed by a call."""
    return Diagnostic(
        "E0406",
        "`where` cannot call a potential",
        (_primary(call, "this runs code"),),
        help="`where` is for limits that become part of the automaton. Judge the value instead: "
        f"`require {expression}`",
    )


def unknown_limit(word: Span, suggestion: str) -> Diagnostic:
    """`where` followed by something that is no condition."""
    label = f"did you mean `{suggestion}`?" if suggestion else "expected a limit"
    return Diagnostic(
        "E0117",
        "`where` takes limits that become part of the automaton",
        (_primary(word, label),),
        notes=("limits: tokens, chars, words, lines (compared, or `in a..b`), `matches /r/`, `excludes /r/`",),
        fixes=(Edit(word, suggestion),) if suggestion else (),
    )


def bad_literal(span: Span, headline: str, label: str = "") -> Diagnostic:
    """A number, duration, regular expression or type that is not well formed."""
    return Diagnostic("E0121", headline, (_primary(span, label),))


def too_deep(span: Span) -> Diagnostic:
    """Nesting beyond what can be followed; `span` is what is innermost."""
    message, label = "this is nested too deeply", "too many brackets or operators are open here"
    return Diagnostic("E0122", message, (_primary(span, label),), help="name a part with `let`, or make it a rule")


# ---- E0111, E0112: everything else


def semicolon(span: Span) -> Diagnostic:
    """`;` at the end of a statement, or between two."""
    number, line = _line_text(span)
    rest = line[span.end - span.source.line_starts[number - 1] :].strip()
    is_last = not rest or rest.startswith("#")
    label = _primary(span, "a statement ends with its line")
    return Diagnostic("E0111", "`;` does not belong here", (label,), fixes=(Edit(span, ""),) if is_last else ())


def unexpected(span: Span, thing: str, expected: str) -> Diagnostic:
    """Something that fits nowhere; `expected` says in the reader's terms what would."""
    return Diagnostic("E0111", f"{thing} does not belong here", (_primary(span, expected),))


def reserved_name(place: Span) -> Diagnostic:
    """A word of the language in place of a name."""
    label = "this word has a meaning of its own, so nothing can be called so"
    message = f"`{place.text}` is a word of the language, not a name"
    return Diagnostic("E0111", message, (_primary(place, label),), help=f"choose another name, such as `{place.text}_`")


def missing(place: Span, thing: str, label: str) -> Diagnostic:
    """A mark or a part that is missing at `place`."""
    return Diagnostic("E0112", f"{thing} is missing", (_primary(place, label),))


def incomplete(place: Span, what: str, expected: str) -> Diagnostic:
    """A line that ends too early."""
    return Diagnostic("E0112", f"{what} is not complete", (_primary(place, expected),))


def join(options: Sequence[str]) -> str:
    """`a, b or c`."""
    *most, last = options
    return f"{', '.join(most)} or {last}" if most else last
