"""Regular grammar expressions as minimal automata over bytes; the front door to automata.

Rules may refer to each other, and to themselves where they are linear: all such references come last, or
all come first, as in `list = item ("," list)?`. A limit in `tokens` is no property of bytes and is left
to the token automaton.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, wraps
from typing import ParamSpec

import numpy as np

from smcdsl.compiler.limits import limit_dfa
from smcdsl.compiler.minimal import DEFAULT_STATE_LIMIT, Dfa
from smcdsl.compiler.nfa import ANY_BYTE, Nfa, TooLarge, with_lists
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
    sequence_in,
    tagged_union,
    union,
)
from smcdsl.compiler.queries import (
    byte_lengths,
    can_contain,
    char_lengths,
    completion,
    is_empty,
    is_finite,
    shortest,
    texts,
)
from smcdsl.compiler.recursion import Component, needed_by, recursive_components
from smcdsl.compiler.regex import Anchor, literal, parse
from smcdsl.compiler.substrings import substrings
from smcdsl.program.grammar import (
    Alternatives,
    Automaton,
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
from smcdsl.program.regular import Choice, Repetition, Sequence, Tree

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
    "from_automaton",
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
    "sequence_in",
    "shortest",
    "substrings",
    "tagged_union",
    "texts",
    "to_automaton",
    "union",
]


Arguments = ParamSpec("Arguments")


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
        NotRegular: a reference is unknown or recursive and not linear, or an embedded grammar has a lexer of its own.
        TooLarge: an automaton on the way has more than `limit` states, or rules are nested too deeply.
        RegexError: a pattern is not valid.
    """
    if isinstance(expression, Automaton):
        return from_automaton(expression)
    rules = rules or {}
    if _is_closed(expression):
        used = needed_by(expression, rules)
        if len(used) < _MOST_CLOSED and all(_is_closed(rules[name]) for name in used):
            return _closed_dfa(expression, tuple((name, rules[name]) for name in used), limit)
    return _dfa(expression, rules, limit)


def _is_closed(expression: GrammarExpression) -> bool:
    """Whether it is a literal or pattern, or made of such and of what it refers to."""
    match expression:
        case LiteralText() | Pattern() | Automaton() | Reference(arguments=None):
            return True
        case Repeat(item):
            return _is_closed(item)
        case Concatenation(items) | Alternatives(items):
            return len(items) < _MOST_CLOSED and all(map(_is_closed, items))
        case Intersection(left, right) | Difference(left, right):
            return _is_closed(left) and _is_closed(right)
    return False


_MOST_CLOSED = 64
"""Longer lists are not worth their hash."""


def _remembered(maxsize: int) -> Callable[[Callable[Arguments, Dfa]], Callable[Arguments, Dfa]]:
    """As `lru_cache`; that an automaton is too large is remembered as well, as it takes the longest to find out."""

    def decorate(make: Callable[Arguments, Dfa]) -> Callable[Arguments, Dfa]:
        @lru_cache(maxsize=maxsize)
        def outcome(*args: Hashable, **kwargs: Hashable) -> Dfa | TooLarge:
            try:
                return make(*args, **kwargs)  # type: ignore[arg-type]
            except TooLarge as error:
                return error.with_traceback(None)

        @wraps(make)
        def known(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Dfa:
            found = outcome(*args, **kwargs)  # type: ignore[arg-type]
            if isinstance(found, TooLarge):
                raise TooLarge(found.limit, found.culprit, is_work=found.is_work)
            return found

        return known

    return decorate


@_remembered(4096)
def _closed_dfa(expression: GrammarExpression, used: tuple[tuple[str, GrammarExpression], ...], limit: int) -> Dfa:
    """Terminals, which grammars share and compile again for every vocabulary."""
    return _dfa(expression, dict(used), limit)


def _dfa(expression: GrammarExpression, rules: Mapping[str, GrammarExpression], limit: int) -> Dfa:
    nfa = Nfa(limit=4 * limit)
    start = nfa.state()
    try:
        end = Building(nfa, rules, recursive_components(rules), limit).add(expression, start)
    except RecursionError as error:
        raise TooLarge(limit, "rules within rules") from error
    return minimized(nfa, start, end, limit)


_MOST_COPIES = 4
"""A rule's body is added so often before its automaton is made on its own and copied instead."""


@dataclass
class _Repeated:
    """How often rules were added, and automata of those added often; None if too large."""

    uses: Counter[str] = field(default_factory=Counter)
    automata: dict[str, Dfa | None] = field(default_factory=dict)


class Building:
    """Adds expressions to one NFA; whatever needs a product is compiled on its own first."""

    def __init__(
        self,
        nfa: Nfa,
        rules: Mapping[str, GrammarExpression],
        components: Mapping[str, Component],
        limit: int,
        repeated: _Repeated | None = None,
    ) -> None:
        self.nfa, self.rules, self.components, self.limit = nfa, rules, components, limit
        self.repeated = _Repeated() if repeated is None else repeated

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
                return self.nfa.add_sequence(with_lists(_flat(items), _body), self.add, start)
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
            case Automaton():
                return self.embed(from_automaton(expression), start)
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
        component = self.components.get(name)
        if component is not None:
            return self.add_component(component, name, start)
        automaton = self.repeated_rule(name)
        return self.add(self.rules[name], start) if automaton is None else self.embed(automaton, start)

    def repeated_rule(self, name: str) -> Dfa | None:
        """The automaton of a rule that stands in many places: copies within copies would double at every level."""
        uses, automata = self.repeated.uses, self.repeated.automata
        uses[name] += 1
        if uses[name] <= _MOST_COPIES:
            return None
        if name not in automata:
            automata[name] = None
            try:
                automata[name] = self.alone(self.rules[name])
            except TooLarge:
                # It may still be small where it stands.
                return None
        return automata[name]

    def add_component(self, component: Component, name: str, start: int) -> int:
        """Add a copy of rules that refer to each other, entered at `name`.

        One state per rule: where its texts begin if references come last, where they end if they come first.
        """
        if component.side is None:
            raise NotRegular(component.culprit, f"`{name}` contains itself")
        nodes = {member: self.nfa.state() for member in component.members}
        if component.side == "last":
            end = self.nfa.state()
            self.nfa.silent[start].append(nodes[name])
            for member, node in nodes.items():
                self.add_linear(self.rules[member], node, end, component, nodes)
            return end
        begin = self.nfa.state()
        self.nfa.silent[start].append(begin)
        for member, node in nodes.items():
            self.add_linear(self.rules[member], begin, node, component, nodes)
        return nodes[name]

    def add_linear(
        self, expression: GrammarExpression, start: int, end: int, component: Component, nodes: Mapping[str, int]
    ) -> None:
        """Add the paths of an expression between two states; its references into the component are edges."""
        silent = self.nfa.silent
        if not component.recurs_in(expression):
            silent[self.add(expression, start)].append(end)
            return
        match expression:
            case Reference() if component.side == "last":
                silent[start].append(nodes[expression.name])
            case Reference():
                silent[nodes[expression.name]].append(end)
            case Alternatives(items):
                for item in items:
                    self.add_linear(item, start, end, component, nodes)
            case Repeat(item, least, _):
                if least == 0:
                    silent[start].append(end)
                self.add_linear(item, start, end, component, nodes)
            case Concatenation(items) if component.side == "last":
                for item in items[:-1]:
                    start = self.add(item, start)
                self.add_linear(items[-1], start, end, component, nodes)
            case Concatenation(items):
                middle = self.nfa.state()
                self.add_linear(items[0], start, middle, component, nodes)
                for item in items[1:]:
                    middle = self.add(item, middle)
                silent[middle].append(end)
            case _:
                raise AssertionError(f"{type(expression).__name__} cannot be linear")

    def alone(self, expression: GrammarExpression) -> Dfa:
        """The automaton of a part, with the same rules in sight."""
        nfa = Nfa(limit=4 * self.limit)
        start = nfa.state()
        building = Building(nfa, self.rules, self.components, self.limit, self.repeated)
        return minimized(nfa, start, building.add(expression, start), self.limit)

    def embed(self, dfa: Dfa, start: int) -> int:
        """Add a copy of an automaton."""
        return self.nfa.add_deterministic(dfa.edges, dfa.accepting.tolist(), dfa.start, start)


def _flat(items: tuple[GrammarExpression, ...]) -> Iterator[GrammarExpression]:
    for item in items:
        if isinstance(item, Concatenation):
            yield from _flat(item.items)
        else:
            yield item


def _body(expression: GrammarExpression) -> tuple[GrammarExpression, ...] | None:
    if not (isinstance(expression, Repeat) and expression.least == 0 and expression.most is None):
        return None
    return tuple(_flat((expression.item,)))


def from_automaton(expression: Automaton) -> Dfa:
    """The automaton that an expression holds."""
    accepting = np.frombuffer(expression.accepting, np.uint8).astype(bool)
    table = np.frombuffer(expression.next_state, "<i4").astype(np.int32).reshape(len(accepting), 256)
    return Dfa(table, accepting, expression.start)


def to_automaton(dfa: Dfa) -> Automaton:
    """An automaton as a grammar expression."""
    return Automaton(dfa.next_state.astype("<i4").tobytes(), dfa.accepting.astype(np.uint8).tobytes(), dfa.start)


def has_anchor(tree: Tree) -> bool:
    """Whether the tree asks where in the text it is."""
    if isinstance(tree, Sequence | Choice):
        return any(has_anchor(item) for item in tree.items)
    return isinstance(tree, Anchor) or (isinstance(tree, Repetition) and has_anchor(tree.item))


@_remembered(1024)
def pattern_dfa(regex: str, flags: str = "") -> Dfa:
    """The texts that `re.fullmatch` accepts."""
    return from_tree(parse(regex, flags))


@_remembered(256)
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
