"""The texts of a scannerless grammar, by the definition: sets of texts up to a length, iterated to a fixed point."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import product

from smcdsl.compiler.dfa import from_automaton
from smcdsl.program.builtins import lines
from smcdsl.program.grammar import (
    Alternatives,
    Automaton,
    Concatenation,
    Difference,
    Grammar,
    GrammarExpression,
    Intersection,
    Limit,
    LiteralText,
    Matches,
    Pattern,
    Reference,
    Repeat,
    Restricted,
    SubstringOf,
)

COUNTS = {"chars": len, "words": lambda text: len(text.split()), "lines": lines}


def grammar_texts(grammar: Grammar, alphabet: str, longest: int) -> set[str]:
    """Texts of a grammar over `alphabet` with at most `longest` characters; conditions and filters included."""
    texts = all_rules(grammar.rules, alphabet, longest)[grammar.start]
    for expression, keep in grammar.filters:
        texts = {t for t in texts if (t in texts_of(expression, {}, alphabet, longest)) == keep}
    return {text for text in texts if all(meets(text, condition) for condition in grammar.conditions)}


def all_rules(rules: Mapping[str, GrammarExpression], alphabet: str, longest: int) -> dict[str, set[str]]:
    """The texts of every rule."""
    known: dict[str, set[str]] = {name: set() for name in rules}
    while True:
        following = {name: texts_of(body, known, alphabet, longest) for name, body in rules.items()}
        if following == known:
            return known
        known = following


def texts_of(expression: GrammarExpression, known: Mapping[str, set[str]], alphabet: str, longest: int) -> set[str]:
    """The texts of an expression, given those of the rules."""

    def inner(part: GrammarExpression) -> set[str]:
        return texts_of(part, known, alphabet, longest)

    match expression:
        case LiteralText(text, False):
            return {text} if len(text) <= longest else set()
        case LiteralText(text):
            return {t for t in every_text(alphabet, longest) if re.fullmatch(re.escape(text), t, re.IGNORECASE)}
        case Pattern(regex, flags):
            compiled = re.compile(f"(?{flags}){regex}" if flags else regex)
            return {t for t in every_text(alphabet, longest) if compiled.fullmatch(t)}
        case Concatenation(items):
            texts = {""}
            for item in items:
                texts = joined(texts, inner(item), longest)
            return texts
        case Alternatives(items):
            return set().union(*map(inner, items))
        case Repeat(item, least, most):
            return repeated(inner(item), least, most, longest)
        case Intersection(left, right):
            return inner(left) & inner(right)
        case Difference(left, right):
            return inner(left) - inner(right)
        case Restricted(item, conditions):
            return {t for t in inner(item) if all(meets(t, condition) for condition in conditions)}
        case Reference():
            return known[expression.name]
        case SubstringOf(text):
            return {t for t in every_text(alphabet, longest) if t and t in text}
        case Automaton():
            dfa = from_automaton(expression)
            return {t for t in every_text(alphabet, longest) if dfa.accepts(t.encode())}
    raise AssertionError(expression)


_ALL: dict[tuple[str, int], list[str]] = {}


def every_text(alphabet: str, longest: int) -> list[str]:
    key = (alphabet, longest)
    if key not in _ALL:
        _ALL[key] = ["".join(t) for n in range(longest + 1) for t in product(alphabet, repeat=n)]
    return _ALL[key]


def joined(left: set[str], right: set[str], longest: int) -> set[str]:
    return {a + b for a in left for b in right if len(a) + len(b) <= longest}


def repeated(item: set[str], least: int, most: int | None, longest: int) -> set[str]:
    exactly = {""}
    for _ in range(least):
        exactly = joined(exactly, item, longest)
    found = set(exactly)
    count = least
    while exactly and (most is None or count < most):
        exactly = joined(exactly, item, longest) - found
        found |= exactly
        count += 1
    return found


def meets(text: str, condition: Limit | Matches) -> bool:
    if isinstance(condition, Limit):
        count = COUNTS[condition.unit](text)
        return (condition.least or 0) <= count and (condition.most is None or count <= condition.most)
    compiled = re.compile(condition.pattern.regex)
    return not compiled.search(text) if condition.excludes else bool(compiled.fullmatch(text))
