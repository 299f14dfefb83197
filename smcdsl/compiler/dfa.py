"""Regular grammar expressions as minimal automata over bytes; the front door to automata.

Lengths are counted as the built-ins count them (language reference, 2.16): `chars` are Unicode code
points; `words` are maximal runs of characters that are not white space, white space being what
`str.isspace` says; `lines` are the pieces between newlines, where a final newline opens no further
line, so the empty text has none. A limit in `tokens` is no property of bytes and is left to the token
automaton.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from smcdsl.compiler.minimal import DEFAULT_STATE_LIMIT, Dfa
from smcdsl.compiler.nfa import ANY_BYTE, Nfa, TooLarge
from smcdsl.compiler.operations import (
    TaggedDfa,
    complement,
    concatenate,
    containing,
    difference,
    from_bytes,
    from_tree,
    intersect,
    minimize,
    minimized,
    nothing,
    prefixes,
    remainder,
    repeat,
    tagged_union,
    union,
)
from smcdsl.compiler.queries import (
    IS_CONTINUATION,
    byte_lengths,
    can_contain,
    char_lengths,
    completion,
    is_empty,
    is_finite,
    shortest,
    texts,
)
from smcdsl.compiler.regex import Anchor, Choice, Repetition, Sequence, Tree, literal, parse
from smcdsl.compiler.substrings import substrings
from smcdsl.program.grammar import (
    Alternatives,
    Concatenation,
    Condition,
    Difference,
    Embedded,
    GrammarExpression,
    Intersection,
    LiteralText,
    Matches,
    Pattern,
    Reference,
    Repeat,
    Restricted,
    SubstringOf,
)

__all__ = [
    "DEFAULT_STATE_LIMIT",
    "Dfa",
    "NotRegular",
    "TaggedDfa",
    "TooLarge",
    "accepts",
    "byte_lengths",
    "can_contain",
    "char_lengths",
    "complement",
    "completion",
    "concatenate",
    "condition_dfa",
    "containing",
    "difference",
    "from_bytes",
    "from_expression",
    "from_tree",
    "intersect",
    "is_empty",
    "is_finite",
    "limit_dfa",
    "minimize",
    "nothing",
    "pattern_dfa",
    "prefixes",
    "remainder",
    "repeat",
    "restrict",
    "shortest",
    "substrings",
    "tagged_union",
    "texts",
    "union",
]


class NotRegular(Exception):
    """An expression is not regular, or not in a way that is recognised; `expression` is the cause."""

    def __init__(self, expression: GrammarExpression, reason: str) -> None:
        super().__init__(reason)
        self.expression, self.reason = expression, reason


def accepts(dfa: Dfa, text: bytes) -> bool:
    """Whether `text` is in the language."""
    return dfa.accepts(text)


def from_expression(
    expression: GrammarExpression,
    rules: Mapping[str, GrammarExpression] | None = None,
    limit: int = DEFAULT_STATE_LIMIT,
) -> Dfa:
    """The minimal automaton of a regular expression tree. `rules` resolves its references.

    Limits in `tokens` are passed over: they are no property of bytes.

    Raises:
        NotRegular: a reference is recursive or unknown, or an embedded grammar has a lexer of its own.
        TooLarge: an automaton on the way has more than `limit` states.
        RegexError: a pattern is not valid.
    """
    nfa = Nfa(limit=4 * limit)
    start = nfa.state()
    end = Building(nfa, rules or {}, limit).add(expression, start)
    return minimized(nfa, start, end, limit)


class Building:
    """Adds expressions to one NFA; whatever needs a product is compiled on its own first."""

    def __init__(self, nfa: Nfa, rules: Mapping[str, GrammarExpression], limit: int) -> None:
        self.nfa, self.rules, self.limit = nfa, rules, limit
        self.open_rules: list[str] = []

    def add(self, expression: GrammarExpression, start: int) -> int:
        """Add the paths of an expression from `start`; return the state in which they end."""
        match expression:
            case LiteralText(text, ignore_case=False):
                return self.nfa.add_literals([text.encode()], start)
            case LiteralText(text):
                return self.nfa.add_tree(literal(text, ignore_case=True), start)
            case Pattern():
                return self.add_pattern(expression, start)
            case Concatenation(items):
                for item in items:
                    start = self.add(item, start)
                return start
            case Alternatives(items):
                return self.add_alternatives(items, start)
            case Repeat(item, least, most):
                return self.nfa.add_repetition(lambda state: self.add(item, state), least, most, start)
            case Reference():
                return self.add_rule(expression, start)
            case Intersection(left, right):
                return self.embed(intersect(self.alone(left), self.alone(right), self.limit), start)
            case Difference(left, right):
                return self.embed(difference(self.alone(left), self.alone(right), self.limit), start)
            case Restricted(item, conditions):
                return self.embed(restrict(self.alone(item), conditions, self.limit), start)
            case SubstringOf(text):
                return self.embed(substrings(text), start)
            case Embedded():
                raise NotRegular(expression, "it is read by a lexer of its own")
        raise NotRegular(expression, f"{type(expression).__name__} is not a regular expression")

    def add_pattern(self, pattern: Pattern, start: int) -> int:
        """Add a regular expression; one with anchors is compiled on its own, as they see its whole text."""
        tree = parse(pattern.regex, pattern.flags)
        if has_anchor(tree):
            return self.embed(pattern_dfa(pattern.regex, pattern.flags), start)
        return self.nfa.add_tree(tree, start)

    def add_alternatives(self, items: tuple[GrammarExpression, ...], start: int) -> int:
        """Add alternatives; literals share their beginnings, so long lists of names stay small."""
        end = self.nfa.state()
        literals = [item.text.encode() for item in items if isinstance(item, LiteralText) and not item.ignore_case]
        if literals:
            branch = self.nfa.state()
            self.nfa.silent[start].append(branch)
            self.nfa.silent[self.nfa.add_literals(literals, branch)].append(end)
        for item in items:
            if not (isinstance(item, LiteralText) and not item.ignore_case):
                branch = self.nfa.state()
                self.nfa.silent[start].append(branch)
                self.nfa.silent[self.add(item, branch)].append(end)
        return end

    def add_rule(self, reference: Reference, start: int) -> int:
        """Add the body of a rule in place of its name."""
        name = reference.name
        if name not in self.rules:
            raise NotRegular(reference, f"`{name}` is not defined")
        if name in self.open_rules:
            raise NotRegular(reference, f"`{name}` contains itself")
        self.open_rules.append(name)
        end = self.add(self.rules[name], start)
        self.open_rules.pop()
        return end

    def alone(self, expression: GrammarExpression) -> Dfa:
        """The automaton of a part, with the same rules in sight."""
        nfa = Nfa(limit=4 * self.limit)
        start = nfa.state()
        building = type(self)(nfa, self.rules, self.limit)
        building.open_rules = self.open_rules
        return minimized(nfa, start, building.add(expression, start), self.limit)

    def embed(self, dfa: Dfa, start: int) -> int:
        """Add a copy of an automaton."""
        return self.nfa.add_deterministic(dfa.edges, dfa.accepting.tolist(), dfa.start, start)


def has_anchor(tree: Tree) -> bool:
    """Whether the tree asks where in the text it is."""
    if isinstance(tree, Sequence | Choice):
        return any(has_anchor(item) for item in tree.items)
    return isinstance(tree, Anchor) or (isinstance(tree, Repetition) and has_anchor(tree.item))


@lru_cache(maxsize=1024)
def pattern_dfa(regex: str, flags: str = "") -> Dfa:
    """The texts that `re.fullmatch` accepts."""
    return from_tree(parse(regex, flags))


@lru_cache(maxsize=256)
def search_dfa(regex: str, flags: str = "") -> Dfa:
    """The byte strings in which `re.search` finds the pattern, if they are valid UTF-8; anchors see all of it."""
    nfa = Nfa()
    start = nfa.state()
    nfa.edges[start].append((ANY_BYTE, start))
    # A match may begin only where a character begins; the pattern itself sees to that.
    end = nfa.add_tree(parse(regex, flags), start)
    rest = nfa.state()
    nfa.silent[end].append(rest)
    nfa.edges[rest].append((ANY_BYTE, rest))
    return minimized(nfa, start, rest)


def condition_dfa(condition: Condition) -> tuple[Dfa, bool] | None:
    """A condition as (automaton, keep): texts must (keep) or must not be in it; None for limits in tokens.

    The automaton of a limit is right for valid UTF-8 only. The bounds of a limit must be numbers.
    """
    if isinstance(condition, Matches):
        pattern = condition.pattern
        if condition.excludes:
            return search_dfa(pattern.regex, pattern.flags), False
        return pattern_dfa(pattern.regex, pattern.flags), True
    if condition.unit == "tokens":
        return None
    assert not condition.least or isinstance(condition.least, int), "bounds are evaluated before compiling"
    assert condition.most is None or isinstance(condition.most, int), "bounds are evaluated before compiling"
    return limit_dfa(condition.unit, condition.least or 0, condition.most), True


def restrict(dfa: Dfa, conditions: tuple[Condition, ...], limit: int = DEFAULT_STATE_LIMIT) -> Dfa:
    """Texts that meet the conditions; limits in `tokens` are passed over.

    Raises:
        TooLarge: a product has more than `limit` states.
    """
    for condition in conditions:
        found = condition_dfa(condition)
        if found is not None:
            restriction, keep = found
            dfa = intersect(dfa, restriction, limit) if keep else difference(dfa, restriction, limit)
    return dfa


@lru_cache(maxsize=256)
def limit_dfa(unit: str, least: int, most: int | None) -> Dfa:
    """Texts with `least` to `most` chars, words or lines, among valid UTF-8."""
    if most is not None and most < least:
        return nothing()
    if max(least, most or 0) > DEFAULT_STATE_LIMIT // 4:
        raise TooLarge(DEFAULT_STATE_LIMIT, f"{unit} limit")
    if unit == "chars":
        return _chars_dfa(least, most)
    if unit == "lines":
        return _lines_dfa(least, most)
    assert unit == "words", f"no unit {unit}"
    return _words_dfa(least, most)


def _chars_dfa(least: int, most: int | None) -> Dfa:
    """State 1 + n: n characters have begun; bytes that continue a character do not count."""
    count = (least if most is None else most) + 1
    states = np.arange(1, count + 1)
    following = np.minimum(states + 1, count) if most is None else np.where(states < count, states + 1, 0)
    table = np.where(IS_CONTINUATION, states[:, None], following[:, None])
    return _with_dead_state(table, states - 1 >= least)


def _lines_dfa(least: int, most: int | None) -> Dfa:
    """State 1 + 2n + inside: n lines have begun, the last of them has no newline yet if inside."""
    count = (least if most is None else most) + 1
    numbers = np.arange(count)
    next_line = np.minimum(numbers + 1, count - 1) if most is None else np.where(numbers + 1 < count, numbers + 1, -1)
    between = np.empty((count, 256), np.int64)
    between[:] = np.where(next_line < 0, 0, 2 + 2 * next_line)[:, None]
    between[:, 10] = np.where(next_line < 0, 0, 1 + 2 * next_line)
    inside = np.empty((count, 256), np.int64)
    inside[:] = (2 + 2 * numbers)[:, None]
    inside[:, 10] = 1 + 2 * numbers
    table = np.stack([between, inside], axis=1).reshape(2 * count, 256)
    return _with_dead_state(table, np.repeat(numbers >= least, 2))


def _with_dead_state(table: NDArray[np.int64], accepting: NDArray[np.bool_]) -> Dfa:
    full = np.concatenate([np.zeros((1, 256), np.int64), table]).astype(np.int32)
    return minimize(full, np.append(False, accepting), 1)


def _words_dfa(least: int, most: int | None) -> Dfa:
    """A pattern: words with white space between and around them."""
    if most == 0:
        return from_tree(parse(r"\s*"))
    first = max(least, 1)
    further = "" if most is None else str(most - 1)
    some = parse(rf"\s*\S+(?:\s+\S+){{{first - 1},{further}}}\s*")
    return from_tree(Choice((some, parse(r"\s*"))) if least == 0 else some)
