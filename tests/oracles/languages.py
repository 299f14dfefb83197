"""The texts of a scannerless grammar, by the definition: sets of texts up to a length, iterated to a fixed point."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache, lru_cache
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
            return set(matching(re.escape(text), alphabet, longest, re.IGNORECASE))
        case Pattern(regex, flags):
            return set(matching(f"(?{flags}){regex}" if flags else regex, alphabet, longest))
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
            parts = {text[i:j] for i in range(len(text)) for j in range(i + 1, min(len(text), i + longest) + 1)}
            return {part for part in parts if set(part) <= set(alphabet)}
        case Automaton():
            dfa = from_automaton(expression)
            return {t for t in every_text(alphabet, longest) if dfa.accepts(t.encode())}
    raise AssertionError(expression)


@cache
def every_text(alphabet: str, longest: int) -> list[str]:
    return ["".join(t) for n in range(longest + 1) for t in product(alphabet, repeat=n)]


# Every round of the fixed point asks again, and so does every other grammar with the same leaf.
@lru_cache(maxsize=1000)
def matching(regex: str, alphabet: str, longest: int, flags: int = 0) -> frozenset[str]:
    compiled = re.compile(regex, flags)
    return frozenset(t for t in every_text(alphabet, longest) if compiled.fullmatch(t))


def joined(left: set[str], right: set[str], longest: int) -> set[str]:
    fitting = [[b for b in right if len(b) <= room] for room in range(longest + 1)]
    return {a + b for a in left if len(a) <= longest for b in fitting[longest - len(a)]}


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
