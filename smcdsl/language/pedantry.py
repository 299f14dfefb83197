"""`check --pedantic`: warnings of what is allowed and seldom wise, after Stan's.

What tests show is found without running the program: the texts that they accept are values of the holes
with that grammar, and factors of built-in functions have values on them. Factors that call Python, and
those over occurrences, are left out, for no code of the user runs here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

from smcdsl.errors import Diagnostic, PotentialError
from smcdsl.language import mistakes_pedantic as wording
from smcdsl.program import evaluation
from smcdsl.program import statements as st
from smcdsl.program.expressions import Binary, Constant, Expression
from smcdsl.program.facts import GrammarFacts
from smcdsl.program.grammar import Alternatives, GrammarExpression, LiteralText, Restricted
from smcdsl.program.program import GrammarDeclaration, HoleDeclaration, Program, Test
from smcdsl.program.references import DeclaredReference, LibraryReference

_STEEP = 10
_BLANKS = 64
_MOST_VALUES = 64
"""Values of a factor that are looked at."""

_WORDS_OF_LIBRARIES = {
    "sql": ("sql", "sqlite", "postgres", "mysql", "query"),
    "python": ("python", "code", "program", "snippet", "function", "statement"),
    "smiles": ("smiles", "molecule", "molecules"),
    "pddl": ("pddl", "goal", "plan", "action"),
    "json": ("json",),
}
"""A prompt that has one of these says what is wanted of a library's grammar."""


def pedantic_warnings(program: Program, facts: GrammarFacts | None, *, has_errors: bool) -> list[Diagnostic]:
    """All of them; those that look at the whole program only where it has no errors."""
    factors = list(_factors(program.body))
    found = [wording.steep_power(power.span) for each in factors for power in _steep_powers(each.expression)]
    found += _white_space(program, facts)
    if not has_errors:
        found += _untested(program, factors)
        found += _unmentioned(program)
    return found


# ---- powers and white space


def _steep_powers(expression: Expression) -> list[Expression]:
    """Exponents above ten that are written as numbers."""
    found = [each for child in evaluation.children(expression) for each in _steep_powers(child)]
    if isinstance(expression, Binary) and expression.operator == "^":
        power = expression.right
        if isinstance(power, Constant) and isinstance(power.value, int | float) and power.value > _STEEP:
            found.append(power)
    return found


def _white_space(program: Program, facts: GrammarFacts | None) -> Iterator[Diagnostic]:
    for declared in program.holes.values():
        if declared.closed is None or facts is None:
            continue
        if facts.can_contain(declared.closed, " " * _BLANKS):
            yield wording.unlimited_white_space(declared.name, declared.grammar.span or declared.span)


# ---- factors that the tests do not try


def _untested(program: Program, factors: Sequence[st.Factor]) -> Iterator[Diagnostic]:
    """Factors with one value on all that the tests show, if they show several."""
    for factor in factors:
        if factor.verb == "guide" or factor.each is not None:
            continue
        values = _values(program, factor.expression)
        if len(values) < 2 or any(value != values[0] for value in values):
            continue
        if factor.verb == "score":
            yield wording.always_the_same_score(factor.expression.span, values[0], len(values))
        elif values[0] is True:
            yield wording.never_false(factor.expression.span, len(values))


def _values(program: Program, expression: Expression) -> list[Any]:
    """The expression's values on the tests' inputs and accepted texts; empty where there are none to be had."""
    if evaluation.function_calls(expression):
        return []
    names = evaluation.free_names(expression)
    values = []
    for environment in _environments(program, names):
        try:
            values.append(evaluation.evaluate(expression, environment, {}))
        except (PotentialError, evaluation.MissingResult, evaluation.Undetermined):
            return []
    return values


def _environments(program: Program, names: frozenset[str]) -> Iterator[Mapping[str, Any]]:
    """Values for the names from each test; nothing from a test that does not give all of them."""
    defaults = {each.name: each.default for each in program.inputs if not each.required}
    count = 0
    for test in program.tests:
        choices = [_choices(program, test, name, defaults) for name in sorted(names)]
        if not all(choices):
            continue
        for values in product(*choices):
            yield dict(zip(sorted(names), values, strict=True))
            count += 1
            if count == _MOST_VALUES:
                return


def _choices(program: Program, test: Test, name: str, defaults: Mapping[str, object]) -> list[Any]:
    hole = program.holes.get(name)
    if hole is None:
        known = {**defaults, **test.inputs}
        return [known[name]] if name in known and isinstance(known[name], str | int | float | bool) else []
    if hole.collects or hole.type.name != "str":
        return []
    declared = _plain(hole.grammar)
    if not isinstance(declared, DeclaredReference):
        return []
    return [each.text for each in test.grammars if each.accept and each.grammar == declared.declaration]


# ---- prompts that do not say what is wanted


def _unmentioned(program: Program) -> Iterator[Diagnostic]:
    """Holes of chats whose prompt has none of the words that would name what is wanted."""
    if not program.uses_chat:
        return
    for key, before in _prompts(program.body):
        declared = program.holes[key]
        wanted = _wanted(declared, program.grammars)
        if wanted and re.search(r"\w", before) and not any(_mentions(before, word) for word in wanted):
            choices = isinstance(_resolved(declared.grammar, program.grammars), Alternatives)
            yield wording.format_not_mentioned(declared.name, declared.span, wanted if choices else ())


def _prompts(body: Sequence[st.Statement]) -> Iterator[tuple[str, str]]:
    """Each hole's key with all given text that stands before it."""
    before: list[str] = []
    for part in _parts(body):
        if isinstance(part, st.Given):
            before.append(part.text)
        elif isinstance(part, st.Hole):
            yield part.key, " ".join(before)


def _wanted(declared: HoleDeclaration, grammars: Mapping[str, GrammarDeclaration]) -> tuple[str, ...]:
    """Words that say what is wanted; empty where nothing is known."""
    grammar = _resolved(declared.grammar, grammars)
    if isinstance(grammar, LibraryReference):
        if grammar.file.notation == "json.schema":
            return _WORDS_OF_LIBRARIES["json"]
        return _WORDS_OF_LIBRARIES.get(grammar.signature.name.partition(".")[0], ())
    if isinstance(grammar, Alternatives) and all(isinstance(item, LiteralText) for item in grammar.items):
        texts = (item.text.strip() for item in grammar.items if isinstance(item, LiteralText))
        return tuple(text for text in texts if re.search(r"\w", text))
    return ()


def _mentions(text: str, word: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text, re.IGNORECASE) is not None


# ---- what stands where


def _plain(grammar: GrammarExpression) -> GrammarExpression:
    while isinstance(grammar, Restricted):
        grammar = grammar.item
    return grammar


def _resolved(grammar: GrammarExpression, grammars: Mapping[str, GrammarDeclaration]) -> GrammarExpression:
    """What a grammar's name stands for, its restrictions aside."""
    for _ in range(len(grammars) + 1):
        grammar = _plain(grammar)
        if not isinstance(grammar, DeclaredReference):
            break
        declaration = grammars[grammar.declaration]
        grammar = declaration.rules[grammar.rule or declaration.start]
    return grammar


def _factors(body: Sequence[st.Statement]) -> Iterator[st.Factor]:
    for statement in body:
        if isinstance(statement, st.Factor):
            yield statement
        for inner in _inner(statement):
            yield from _factors(inner)


def _parts(body: Sequence[st.Statement]) -> Iterator[st.Part]:
    for statement in body:
        if isinstance(statement, st.Text | st.Observe):
            yield from statement.template.parts
        for inner in _inner(statement):
            yield from _parts(inner)


def _inner(statement: st.Statement) -> tuple[Sequence[st.Statement], ...]:
    match statement:
        case st.Turn() | st.Loop() | st.Scope():
            return (statement.body,)
        case st.Branch():
            return (statement.then, statement.otherwise)
    return ()
