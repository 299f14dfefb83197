"""One constructor a mistake: grammars and potentials (E04, E05)."""

from __future__ import annotations

from collections.abc import Sequence

from smcdsl.errors import Diagnostic, Edit, Span
from smcdsl.language.mistakes import diagnostic
from smcdsl.program.types import Signature

# ---- grammars


def undefined_rule(name: str, span: Span, near: str | None, near_line: int | None) -> Diagnostic:
    """A reference to a rule or grammar that does not exist."""
    label = ""
    if near:
        label = f"did you mean `{near}`" + (f" (line {near_line})?" if near_line else "?")
    return diagnostic("E0401", f"rule `{name}` is not defined", span, label, fixes=[Edit(span, near)] if near else ())


def arguments_for_plain_rule(name: str, span: Span) -> Diagnostic:
    """`rule(...)` where the rule takes no arguments."""
    return diagnostic("E0304", f"`{name}` takes no arguments", span)


def empty_grammar(span: Span, label: str, others: Sequence[tuple[Span, str]] = ()) -> Diagnostic:
    """A restriction that leaves no text."""
    return diagnostic("E0403", "no text can match this grammar", span, label, others=others)


def where_calls_a_potential(span: Span, verb_example: str) -> Diagnostic:
    """`where` with a call."""
    return diagnostic(
        "E0406",
        "`where` cannot call a potential",
        span,
        "this runs code",
        help="`where` is for limits that become part of the automaton. "
        f"Judge the value instead: `require {verb_example}`",
    )


def may_be_ambiguous(name: str, span: Span) -> Diagnostic:
    """Sites of a grammar that cannot be shown to be unambiguous."""
    return diagnostic("W0410", f"`{name}` may be ambiguous; sites come from the leftmost-longest reading", span)


def rule_never_used(name: str, span: Span) -> Diagnostic:
    """A rule or grammar that no hole and no other rule uses."""
    return diagnostic("W0411", f"rule `{name}` is never used", span)


def grammar_depends_on_the_run(name: str, span: Span, definition: Span | None) -> Diagnostic:
    """A grammar that mentions what is known only while the program runs."""
    return diagnostic(
        "E0417",
        f"a grammar cannot depend on `{name}`",
        span,
        "its value is known only during the run",
        others=[(definition, "defined here")] if definition is not None else (),
        help="grammars are compiled before the run starts: use inputs and constants",
    )


def bad_notation_argument(name: str, option: str, span: Span, label: str) -> Diagnostic:
    """`lark(...)` and the like with something other than a path and one option, both written out."""
    takes = "a start rule" if option == "start" else f"`{option}`"
    return diagnostic("E0304", f"`{name}` takes a path and {takes}, both as text", span, label)


def bad_notation_option(option: str, value: str, known: Sequence[str], span: Span) -> Diagnostic:
    """An option of a notation with a value that it cannot have."""
    return diagnostic("E0304", f"`{option}` cannot be `{value}`", span, f"one of {', '.join(known)}")


# ---- potentials


def only_judges_finished_text(
    name: str,
    span: Span,
    hole: str,
    declared: tuple[Span, str] | None,
    remove: Edit | None,
    shown: str,
) -> Diagnostic:
    """`at` with a potential without a prefix form."""
    return diagnostic(
        "E0501",
        f"`{name}` can only judge a finished text",
        span,
        f"would call it on an unfinished `{hole}`",
        others=[declared] if declared else (),
        help=f"remove `{shown}` (it will be judged at the end), or give the Python function a prefix form",
        fixes=[remove] if remove else (),
    )


def only_judges_at_boundaries(name: str, span: Span, hole: str, declared: tuple[Span, str] | None) -> Diagnostic:
    """`at token` with a potential that can judge closed prefixes only."""
    return diagnostic(
        "E0501",
        f"`{name}` can only judge text that ends at a boundary",
        span,
        f"would call it in the middle of `{hole}`",
        others=[declared] if declared else (),
        help="name a rule of the grammar instead of `token`",
    )


def slow(span: Span, tokens: int, particles: int, cost: str, total: str, help: str) -> Diagnostic:
    """A potential that would be called far too often for what it costs."""
    label = f"about {tokens} tokens x {particles} particles x {cost} = {total} per run"
    return diagnostic("W0502", "this will be slow", span, label, help=help)


def wrong_number_of_arguments(
    name: str, span: Span, given: int, takes: str, declared: Span | None, missing: Sequence[str] = ()
) -> Diagnostic:
    """A call with too many or too few arguments."""
    label = f"called with {given} argument{'' if given == 1 else 's'}"
    if missing:
        label += f"; no value for {', '.join(f'`{parameter}`' for parameter in missing)}"
    if declared is None:
        label += f"; it takes {takes}"
    others = [(declared, f"takes {takes}")] if declared is not None else []
    return diagnostic("E0503", f"`{name}` does not match its use", span, label, others=others)


def potential_decides_a_branch(call: Span) -> Diagnostic:
    """A potential in an `if`."""
    return diagnostic(
        "E0504",
        "a potential cannot decide a branch",
        call,
        "potentials weigh results; they do not steer the text",
        help=f"to demand it, write `require {_shown(call)}`. To branch on it, do so in Python after the run",
    )


def potential_outside_factor(call: Span, where: str) -> Diagnostic:
    """A potential in text, `let`, `return` and other places that are no factor."""
    return diagnostic(
        "E0504",
        f"a potential cannot be called in {where}",
        call,
        "potentials weigh results; their values are no part of the text or of the result",
        help=f"to judge with it, write `require {_shown(call)}` or `score {_shown(call)}`",
    )


def _shown(span: Span) -> str:
    text = span.text
    return text if "\n" not in text and len(text) <= 60 else "..."


def undeclared_potential(function: Signature, call: Span, result: str) -> Diagnostic:
    """A factor's value comes from a Python function without `@potential`, or without types."""
    parameters = [f"`{name}`" for name in function.untyped if name != "return"]
    lacks = [] if function.is_potential else ["no `@potential`"]
    lacks += [f"no type for {', '.join(parameters)}"] if parameters else []
    lacks += ["no type of the result"] if "return" in function.untyped else []
    steps = [] if function.is_potential else ["write `@potential()` above it (`from smcdsl import potential`)"]
    types = [f"`{name.strip('`')}: str`" for name in parameters[:1]]
    types += [f"`-> {result}`"] if "return" in function.untyped else []
    steps += [f"give it types, such as {' and '.join(types)}"] if types else []
    what = "what it takes and returns" if function.is_potential else "that it is a potential"
    return diagnostic(
        "W0515",
        f"`{function.name}` judges, but does not say {what}",
        call,
        others=[(function.declared, ", ".join(lacks))] if function.declared is not None else (),
        help=", and ".join(steps),
    )


def guide_without_effect(span: Span, example: str) -> Diagnostic:
    """`guide ... at end`."""
    return diagnostic(
        "W0505",
        "this guide has no effect",
        span,
        "a hint at the end comes too late",
        help=f"choose a boundary before the end, such as `at {example}`" if example else "",
    )


def at_beside_each(variable: str, source: str, span: Span, boundaries: str, remove: Edit) -> Diagnostic:
    """`each` and `at` on one factor."""
    return diagnostic(
        "E0506",
        f"`{variable}` ranges over `{source}`, so `at` has no meaning here",
        span,
        "each occurrence is judged as soon as it is complete",
        help=f"remove `{boundaries}`",
        fixes=[remove],
    )


def never_used(name: str, span: Span) -> Diagnostic:
    """A hole whose value plays no part."""
    return diagnostic("W0507", f"`{name}` is never judged and never returned", span)


def fact_not_understood(name: str, span: Span, reason: str) -> Diagnostic:
    """A fact of a potential with a value that it cannot have."""
    return diagnostic("E0508", f"`{name}` has a value that it cannot have", span, reason)


def facts_of_an_expression(span: Span) -> Diagnostic:
    """Facts beside a potential that is an expression."""
    return diagnostic(
        "E0508",
        "an expression has no facts of its own",
        span,
        "they follow from the potentials it calls",
        help='facts belong to Python functions: `= py("file.py:function") { ... }`',
    )


def each_needs_sites(text: str, span: Span, label: str) -> Diagnostic:
    """`each` over something other than a rule of a hole."""
    return diagnostic("E0509", f"`each` cannot range over `{text}`", span, label, help="write `each x in hole.rule`")


def at_without_hole(span: Span) -> Diagnostic:
    """`at` in a factor that mentions no hole."""
    return diagnostic("E0510", "`at` needs a hole to look at", span, "the factor mentions no hole before this boundary")


def bad_python_reference(span: Span, label: str) -> Diagnostic:
    """`py(...)` with something other than `"file.py:function"`."""
    return diagnostic("E0511", "`py` takes the place of a Python function", span, label, help='py("file.py:function")')


def python_outside_potential(span: Span) -> Diagnostic:
    """`py(...)` as a part of an expression."""
    return diagnostic(
        "E0511",
        "`py` is the whole of a potential",
        span,
        "not part of an expression",
        help='declare it: `potential name(x: str) -> weight = py("file.py:function")`',
    )
