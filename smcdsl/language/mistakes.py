"""One constructor a mistake: names and types (E02, E03).

The wording is that of the language reference, 3.2. Mistakes of the syntax, of grammars and potentials,
of the transcript and of inference settings have their own files.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from smcdsl.errors import Diagnostic, Edit, Label, Source, Span
from smcdsl.program.types import Type


def diagnostic(
    code: str,
    message: str,
    span: Span,
    label: str = "",
    *,
    others: Sequence[tuple[Span, str]] = (),
    notes: Sequence[str] = (),
    help: str = "",
    fixes: Sequence[Edit] = (),
    others_first: bool = False,
) -> Diagnostic:
    """A mistake at `span`; `others` are further places with what is said about them, shown after it or before."""
    primary = (Label(span, label, primary=True),)
    secondary = tuple(Label(place, text) for place, text in others)
    labels = secondary + primary if others_first else primary + secondary
    return Diagnostic(code, message, labels, tuple(notes), help, tuple(fixes))


# ---- names


def unknown_value(name: str, span: Span, near: str | None, kind: str) -> Diagnostic:
    """A name that stands for no value; `near` is a similar one, of which `kind` says what it is."""
    return diagnostic(
        "E0201",
        f"nothing here is called `{name}`",
        span,
        "not an input, hole or `let`",
        help=f"there is {kind} with a similar name: `{near}`" if near else "",
        fixes=[Edit(span, near)] if near else (),
    )


def unknown_function(name: str, span: Span, near: str | None) -> Diagnostic:
    """A call of something that is neither a built-in nor a potential."""
    return diagnostic(
        "E0201",
        f"nothing here is called `{name}`",
        span,
        f"did you mean `{near}`?" if near else "not a potential or built-in function",
        fixes=[Edit(span, near)] if near else (),
    )


def unknown_template(name: str, span: Span, near: str | None) -> Diagnostic:
    """`use` of a template that is not declared."""
    return diagnostic(
        "E0201",
        f"nothing here is called `{name}`",
        span,
        f"did you mean `{near}`?" if near else "not a template",
        fixes=[Edit(span, near)] if near else (),
    )


def unknown_import(name: str, span: Span, near: str | None, library_exists: bool) -> Diagnostic:
    """`name.something` where nothing imported is called `name`."""
    return diagnostic(
        "E0201",
        f"nothing here is called `{name}`",
        span,
        f"did you mean `{near}`?" if near else "not an import",
        help=f"there is a library of that name: add `import {name}`" if library_exists else "",
        fixes=[Edit(span, near)] if near else (),
    )


def function_as_value(name: str, span: Span, what: str) -> Diagnostic:
    """A function, grammar or import where a value is needed."""
    help = "call it with its arguments in parentheses" if what in ("a potential", "a function") else ""
    return diagnostic("E0201", f"`{name}` is {what}, not a value", span, "a value is needed here", help=help)


def not_in_library(
    library: str, name: str, span: Span, near: str | None, kind: str, names: Iterable[str]
) -> Diagnostic:
    """A library without that function or grammar; `kind` is the plural of what it was looked for."""
    known = ", ".join(sorted(names))
    return diagnostic(
        "E0202",
        f"library `{library}` has no `{name}`",
        span,
        f"did you mean `{library}.{near}`?" if near else "",
        notes=[f"{kind} in `{library}`: {known}"] if known else [f"there are no {kind} in `{library}`"],
        fixes=[_renamed(span, library, name, near)] if near else (),
    )


def _renamed(span: Span, library: str, name: str, near: str) -> Edit:
    """Replace `library.name`, or the name alone where it does not stand behind the library's."""
    start = span.start - len(library) - 1
    whole = Span(span.source, start, span.end)
    return Edit(whole, f"{library}.{near}") if start >= 0 and whole.text == f"{library}.{name}" else Edit(span, near)


def no_field(name: str, type_: Type, span: Span, near: str | None, known: Sequence[str]) -> Diagnostic:
    """A field that values of this type do not have."""
    return diagnostic(
        "E0202",
        f"a `{type_}` has no field `{name}`" if known else f"a `{type_}` has no fields",
        span,
        f"did you mean `{near}`?" if near else "",
        notes=[f"its fields: {', '.join(known)}"] if known else (),
        fixes=[Edit(span, near)] if near else (),
    )


def used_before_generated(name: str, span: Span, hole: Span) -> Diagnostic:
    """A hole's value is asked for before the hole."""
    return diagnostic(
        "E0203",
        f"`{name}` is used before the model has written it",
        span,
        "no value yet at this point",
        others=[(hole, "it is generated here")],
    )


def used_before_let(name: str, span: Span, definition: Span) -> Diagnostic:
    """A `let` or loop variable outside of where it has a value."""
    return diagnostic(
        "E0203", f"`{name}` has no value yet", span, "used here", others=[(definition, "it is defined only here")]
    )


def same_hole_twice(name: str, first: Span, second: Span, grammar: str) -> Diagnostic:
    """Two holes would give one name."""
    return diagnostic(
        "E0204",
        f"two holes are called `{name}`",
        second,
        "this would overwrite it",
        others=[(first, "first one")],
        help=f"rename one, or collect both with `[[{name}[]: {grammar}]]`",
        others_first=True,
    )


def overwritten_in_loop(name: str, span: Span, loop: Span) -> Diagnostic:
    """A hole in a loop that does not collect."""
    return diagnostic(
        "E0204",
        f"every round of the loop would overwrite `{name}`",
        span,
        "generated once in each round",
        others=[(loop, "in this loop")],
        help=f"collect the rounds with `[[{name}[]: ...]]`",
        fixes=[Edit(Span(span.source, span.end, span.end), "[]")],
    )


def not_always_generated(name: str, span: Span, condition: str, hole: Span) -> Diagnostic:
    """A value that only some runs have."""
    return diagnostic(
        "E0205",
        f"`{name}` is not always generated",
        span,
        f"generated only {condition}",
        others=[(hole, "here")],
        help=f"allow it to be absent: `{name}?`",
        fixes=[Edit(span, f"{name}?")],
    )


def no_such_boundary(
    hole: str, name: str, span: Span, near: str | None, owner: str, boundaries: Sequence[str]
) -> Diagnostic:
    """`at` or `each` names a rule that the hole's grammar does not have."""
    known = ", ".join(boundaries) if boundaries else "none"
    return diagnostic(
        "E0206",
        f"the grammar of `{hole}` has no rule `{name}`",
        span,
        f"did you mean `{near}`?" if near else "",
        notes=[f"boundaries of `{owner}`: {known}; always available: token, line, end"],
        fixes=[Edit(span, near)] if near else (),
    )


def import_cycle(chain: Sequence[str], span: Span) -> Diagnostic:
    """Modules that import each other."""
    return diagnostic("E0207", "these modules import each other", span, " -> ".join(chain))


def hides_library(file: str, library: str, span: Span) -> Diagnostic:
    """A project's file stands before a shipped library."""
    kind = "grammar" if file.endswith(".lark") else "potentials"
    return diagnostic("W0208", f"your `{file}` hides the library {kind} `{library}`", span)


def file_not_found(path: str, span: Span, places: str, near: str | None) -> Diagnostic:
    """An imported file that is nowhere; `near` is the one that may have been meant."""
    whole = span.text == f'"{path}"'  # not so where a function is named behind the path
    return diagnostic(
        "E0209",
        f"cannot find `{path}`",
        span,
        f"did you mean `{near}`?" if near else "",
        notes=[f"looked {places}"],
        fixes=[Edit(span, f'"{near}"')] if near and whole else (),
    )


def library_not_found(name: str, span: Span, near: str | None, known: Sequence[str]) -> Diagnostic:
    """`import NAME` of a library that is nowhere."""
    return diagnostic(
        "E0209",
        f"cannot find the library `{name}`",
        span,
        f"did you mean `{near}`?" if near else "",
        notes=[
            "looked in `grammars/` and `potentials/` of the project, and in the installed library",
            f"libraries: {', '.join(known)}",
        ],
        fixes=[Edit(span, near)] if near else (),
    )


def library_of_a_later_version(name: str, span: Span, known: Sequence[str]) -> Diagnostic:
    """A library of the language reference that does not ship yet."""
    return diagnostic(
        "E0211",
        f"the library `{name}` is not part of this version of smcdsl",
        span,
        "planned for a later one",
        notes=[f"libraries: {', '.join(known)}"],
    )


def file_unreadable(path: str, span: Span, reason: str) -> Diagnostic:
    """An imported file that exists but is no UTF-8 text, or cannot be opened."""
    return diagnostic("E0210", f"cannot read `{path}`", span, reason)


def defined_twice(name: str, first: Span | None, second: Span, what: str = "") -> Diagnostic:
    """A name that stands for two things."""
    return diagnostic(
        "E0212",
        what or f"`{name}` is already defined",
        second,
        "second one" if what else "this would hide it",
        others=[(first, "first one" if what else "first defined here")] if first is not None else (),
        others_first=True,
    )


def refers_to_itself(kind: str, name: str, span: Span) -> Diagnostic:
    """A template or potential that uses itself."""
    return diagnostic("E0213", f"{kind} `{name}` uses itself", span, "there is no recursion, so that programs end")


def not_a_module(path: str, span: Span) -> Diagnostic:
    """A program that is imported."""
    return diagnostic(
        "E0214", f"`{path}` is a program, not a module", span, help="begin its second line with `module NAME`"
    )


def python_as_module(path: str, span: Span) -> Diagnostic:
    """A Python file that is imported as if it were a module."""
    return diagnostic(
        "E0214",
        f"`{path}` is Python, not a module",
        span,
        help=f"potentials in Python are imported so: `import potential {span.text}`",
        fixes=[Edit(span, f"potential {span.text}")],
    )


# ---- types

_IN_WORDS = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "a yes or no",
    "file": "a file",
    "json": "a JSON value",
    "sqlite": "a database",
    "list": "a list",
    "record": "a record",
    "weight": "a weight",
    "logweight": "a log-weight",
    "grammar": "a grammar",
    "null": "null",
    "any": "any value",
}


def is_a(type_: Type) -> str:
    """`this is a `str``, with the article that the type's name takes."""
    return f"this is {'an' if str(type_)[0] in 'aeio' else 'a'} `{type_}`"


def in_words(type_: Type) -> str:
    """A type as a reader would say it: `a database`."""
    if type_.name == "union":
        return " or ".join(in_words(alternative) for alternative in type_.alternatives)
    return _IN_WORDS[type_.name]


def unknown_type(name: str, span: Span, near: str | None) -> Diagnostic:
    """A type that does not exist."""
    return diagnostic(
        "E0308",
        f"there is no type `{name}`",
        span,
        f"did you mean `{near}`?"
        if near
        else 'types are str, int, float, bool, file, json, sqlite, list[T], "a" | "b"',
        fixes=[Edit(span, near)] if near else (),
    )


def unknown_value_type(name: str, span: Span) -> Diagnostic:
    """`as T` with a type that text cannot be read as."""
    return diagnostic(
        "E0308", f"a grammar's text cannot be read as `{name}`", span, "it may be int, float, json or str"
    )


def wrong_argument(
    callee: str, expected: Type, actual: Type, span: Span, parameter: str, candidates: Sequence[str]
) -> Diagnostic:
    """An argument of the wrong type; `candidates` are the inputs that would fit."""
    absent = actual.optional and not expected.optional
    message = f"`{callee}` needs {in_words(expected)} here, not {in_words(actual)}"
    if absent:
        message = f"`{callee}` needs {in_words(expected)} here, and this may be absent"
    elif expected.choices:
        message = f"`{callee}` needs one of {', '.join(f'`{choice}`' for choice in expected.choices)} here"
    return diagnostic(
        "E0301",
        message,
        span,
        f"{is_a(actual)}; parameter `{parameter}` is `{expected}`",
        help=f"there is one input of that type: `{candidates[0]}`" if len(candidates) == 1 else "",
        fixes=[Edit(span, candidates[0])] if len(candidates) == 1 and not absent else (),
    )


def wrong_default(name: str, expected: Type, actual: Type, span: Span) -> Diagnostic:
    """A default or test value that does not fit its input."""
    message = f"input `{name}` needs {in_words(expected)}, not {in_words(actual)}"
    if expected.choices:
        message = f"input `{name}` needs one of {', '.join(f'`{choice}`' for choice in expected.choices)}"
    return diagnostic("E0301", message, span, f"`{name}` is `{expected}`")


def cannot_insert(type_: Type, span: Span, help: str) -> Diagnostic:
    """`{{ }}` around something that has no text."""
    return diagnostic("E0301", f"`{{{{ }}}}` needs text here, not {in_words(type_)}", span, is_a(type_), help=help)


def requires_yes_or_no(type_: Type, span: Span, verb: Span) -> Diagnostic:
    """`require` of a number or text."""
    number = type_.name in ("weight", "float", "int")
    line, _ = span.source.position(span.start)
    indent = " " * (verb.source.position(verb.start)[1] - 1)
    help = "set a threshold, or make it a preference\n" + "\n".join(
        (f"{line} | {indent}require {span.text} > 0.6", f"{line} | {indent}score   {span.text}")
    )
    return diagnostic(
        "E0302",
        "`require` needs a yes or no",
        span,
        is_a(type_),
        help=help if number and "\n" not in span.text else "",
    )


def condition_needs_yes_or_no(word: str, type_: Type, span: Span) -> Diagnostic:
    """A condition or a logical operand that is no bool."""
    return diagnostic("E0302", f"`{word}` needs a yes or no", span, is_a(type_))


def may_be_negative(
    what: str,
    span: Span,
    label: str,
    example: str,
    verb: str,
    others: Sequence[tuple[Span, str]] = (),
    notes: Sequence[str] = (),
) -> Diagnostic:
    """A weight that can be below zero; `what` names it."""
    return diagnostic(
        "E0303",
        f"{verb} needs a non-negative number and {what} can be negative",
        span,
        label,
        others=others,
        help=f"say how strongly it should count, for example `{example}`" if example else "",
        notes=notes,
    )


def needs_a_number(what: str, type_: Type, span: Span) -> Diagnostic:
    """Something other than a number where one is needed."""
    return diagnostic("E0307", f"{what} needs a number", span, is_a(type_))


def operands_do_not_fit(operator: str, left: Type, right: Type, span: Span, operands: tuple[Span, Span]) -> Diagnostic:
    """Two values that an operator cannot take together."""
    shown = [is_a(type_).removeprefix("this is ") for type_ in (left, right)]
    message = f"`{operator}` does not work with {in_words(left)} and {in_words(right)}"
    return diagnostic("E0307", message, span, others=list(zip(operands, shown, strict=True)))


def cannot_index(type_: Type, span: Span) -> Diagnostic:
    """`x[i]` of something without items."""
    return diagnostic("E0307", f"{in_words(type_)} has no items to pick from", span, is_a(type_))


def unknown_parameter(callee: str, name: str, span: Span, near: str | None, signature: str) -> Diagnostic:
    """A named argument that the callee does not have."""
    return diagnostic(
        "E0304",
        f"`{callee}` has no parameter `{name}`",
        span,
        f"did you mean `{near}`?" if near else "",
        notes=[signature] if signature else (),
        fixes=[Edit(span, near)] if near else (),
    )


def given_twice(callee: str, name: str, span: Span) -> Diagnostic:
    """An argument given by position and by name, or twice by name."""
    return diagnostic("E0304", f"`{callee}` gets its parameter `{name}` twice", span, "second one")


def missing_parameter(callee: str, names: Sequence[str], span: Span, signature: str) -> Diagnostic:
    """A grammar called without an argument it needs."""
    shown = ", ".join(f"`{name}`" for name in names)
    return diagnostic("E0304", f"`{callee}` needs a value for {shown}", span, notes=[signature] if signature else ())


def always_the_same(
    outcome: str,
    span: Span,
    label: str,
    others: Sequence[tuple[Span, str]] = (),
    near: str | None = None,
    alike: str | None = None,
) -> Diagnostic:
    """A comparison with a text that cannot occur; `outcome` is `true` or `false`.

    `near` is a text that may have been meant, `alike` one that differs only in case and is marked among `others`.
    """
    meant = near or alike
    return diagnostic(
        "E0305",
        f"this comparison is always {outcome}",
        span,
        label,
        others=others,
        help=f"did you mean `{_quoted(near)}`?" if near else "",
        fixes=[Edit(span, _quoted(meant))] if meant and meant.isprintable() and not set(meant) & set('"\\{[') else (),
    )


def _quoted(text: str) -> str:
    return f'"{text}"'


def list_where_item_needed(name: str, item: Type, span: Span) -> Diagnostic:
    """A collecting hole where one of its texts is needed."""
    return diagnostic(
        "E0306",
        f"`{name}` is a list",
        span,
        f"a `{item}` is needed; `{name}` collects one text per round",
        help=f"the latest one is `last({name})`",
        fixes=[Edit(span, f"last({name})")],
    )


def unknown_result(name: str, span: Span, near: str | None) -> Diagnostic:
    """A potential's result type other than the three there are."""
    return diagnostic(
        "E0308",
        f"a potential cannot return `{name}`",
        span,
        f"did you mean `{near}`?" if near else "it may be bool, weight or logweight",
        fixes=[Edit(span, near)] if near else (),
    )


def potential_result(name: str, declared: str, type_: Type, span: Span) -> Diagnostic:
    """A potential's expression of another type than declared."""
    needed = "a yes or no" if declared == "bool" else "a number"
    return diagnostic("E0302", f"`{name}` is declared `{declared}` and needs {needed}", span, is_a(type_))


def limits_are_whole_numbers(type_: Type, span: Span) -> Diagnostic:
    """A limit of `where` that is no int."""
    return diagnostic("E0301", "a length limit needs a whole number", span, is_a(type_))


def nothing_to_run(source: Source) -> Diagnostic:
    """A module where a program is needed."""
    first = Span(source, 0, len(source.line(1)))
    return diagnostic("E0215", f"`{source.name}` is a module, not a program", first, "there is nothing to run")


def no_such_python_function(file: str, name: str, span: Span, near: str | None, names: Sequence[str]) -> Diagnostic:
    """`py("file.py:name")` without such a function in the file."""
    written = span.text.endswith(f':{name}"')
    return diagnostic(
        "E0202",
        f"`{file}` has no function `{name}`",
        span,
        f"did you mean `{near}`?" if near else "",
        notes=[f"functions in `{file}`: {', '.join(sorted(names))}"] if names else (),
        fixes=[Edit(Span(span.source, span.end - 1 - len(name), span.end - 1), near)] if near and written else (),
    )
