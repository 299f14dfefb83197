"""Rules of a scannerless grammar as short productions over names and regular leaves.

A leaf is a largest part without references: its inner structure concerns nobody, so it is one symbol.
Helper rules for repetitions and long sequences get names that begin with a blank, which no rule of a
user has.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from smcdsl.compiler.dfa import DEFAULT_STATE_LIMIT, Dfa, NotRegular, char_lengths, from_expression, is_empty
from smcdsl.compiler.recursion import reachable
from smcdsl.program.grammar import (
    Alternatives,
    Concatenation,
    GrammarExpression,
    Reference,
    Repeat,
    references,
)

Symbol = str | GrammarExpression  # a rule's name, or a leaf
Production = tuple[Symbol, ...]


def is_leaf(expression: GrammarExpression) -> bool:
    """Whether the expression is without references."""
    return next(references(expression), None) is None


class Productions:
    """The rules reachable from `start`; right-hand sides have at most two symbols.

    Raises:
        NotRegular: a restriction has references in it (remove these first), or a name is unknown.
    """

    def __init__(self, rules: Mapping[str, GrammarExpression], start: str, limit: int = DEFAULT_STATE_LIMIT) -> None:
        self.start, self.limit = start, limit
        self._rules = rules
        self.of: dict[str, list[Production]] = {}
        self._leaves: dict[GrammarExpression, Dfa] = {}
        self._lengths: dict[GrammarExpression, tuple[int | None, int | None]] = {}
        for name in reachable(start, rules):
            self.of[name] = self._alternatives(rules[name])
        for productions in list(self.of.values()):
            for symbol in (symbol for production in productions for symbol in production):
                if isinstance(symbol, str) and symbol not in self.of:
                    raise NotRegular(Reference((symbol,)), f"`{symbol}` is not defined")

    def leaf(self, leaf: GrammarExpression) -> Dfa:
        """The automaton of a leaf."""
        if leaf not in self._leaves:
            self._leaves[leaf] = from_expression(leaf, limit=self.limit)
        return self._leaves[leaf]

    def _helper(self, productions: list[Production]) -> str:
        name = f" {len(self.of)}"
        while name in self._rules or name in self.of:
            name += "'"
        self.of[name] = productions
        return name

    def _symbol(self, expression: GrammarExpression) -> Symbol:
        if is_leaf(expression):
            return expression
        if isinstance(expression, Reference):
            return expression.name
        return self._helper(self._alternatives(expression))

    def _alternatives(self, expression: GrammarExpression) -> list[Production]:
        match expression:
            case _ if is_leaf(expression):
                return [(expression,)]
            case Reference():
                return [(expression.name,)]
            case Alternatives(items):
                leaves = tuple(item for item in items if is_leaf(item))
                inner = [production for item in items if not is_leaf(item) for production in self._alternatives(item)]
                return [(Alternatives(leaves),), *inner] if leaves else inner
            case Concatenation(items):
                return [self._sequence([self._symbol(item) for item in _merged(items)])]
            case Repeat(item, least, most):
                return self._repetition(self._symbol(item), least, most)
        raise NotRegular(expression, f"{type(expression).__name__} holds a rule")

    def _sequence(self, symbols: list[Symbol]) -> Production:
        if len(symbols) <= 2:
            return tuple(symbols)
        return symbols[0], self._helper([self._sequence(symbols[1:])])

    def _repetition(self, item: Symbol, least: int, most: int | None) -> list[Production]:
        if most is None:
            star = self._helper([()])
            self.of[star].append((star, item))
            return [self._sequence([*[item] * least, star])]
        optional: list[Production] = [()]
        for _ in range(most - least):
            optional = [(), (item, self._helper(optional))]
        return [self._sequence([*[item] * least, self._helper(optional)])] if least else optional

    def char_lengths(self) -> tuple[int, int | None] | None:
        """(shortest, longest) length of the texts of `start` in code points; longest None without bound.

        None if it has no text.
        """
        shortest = self.shortest[self.start]
        if shortest is None:
            return None
        return shortest, self._longest()

    @cached_property
    def shortest(self) -> dict[str, int | None]:
        """The fewest code points of each rule's texts; None for a rule that can never finish."""
        known: dict[str, int | None] = dict.fromkeys(self.of)
        changed = True
        while changed:
            changed = False
            for name, productions in self.of.items():
                for production in productions:
                    lengths = [known[s] if isinstance(s, str) else self._leaf_lengths(s)[0] for s in production]
                    total = sum(part for part in lengths if part is not None)
                    best = known[name]
                    if None not in lengths and (best is None or total < best):
                        known[name] = total
                        changed = True
        return known

    def _leaf_lengths(self, leaf: GrammarExpression) -> tuple[int | None, int | None]:
        if leaf not in self._lengths:
            dfa = self.leaf(leaf)
            self._lengths[leaf] = (None, None) if is_empty(dfa) else char_lengths(dfa)
        return self._lengths[leaf]

    def _longest(self) -> int | None:
        """The most code points of a text of `start`; None without bound.

        Lengths that still grow after as many rounds as there are rules come from a rule inside itself.
        """
        useful = {name: self._useful(name) for name in self._used()}
        if any(
            not isinstance(symbol, str) and self._leaf_lengths(symbol)[1] is None
            for productions in useful.values()
            for production in productions
            for symbol in production
        ):
            return None
        known = dict.fromkeys(useful, -1)
        for _ in range(len(useful) + 1):
            changed = False
            for name, productions in useful.items():
                for production in productions:
                    lengths = [known[s] if isinstance(s, str) else self._leaf_lengths(s)[1] or 0 for s in production]
                    if -1 not in lengths and sum(lengths) > known[name]:
                        known[name] = sum(lengths)
                        changed = True
            if not changed:
                return known[self.start]
        return None

    def _useful(self, name: str) -> list[Production]:
        """The productions of a rule all of whose symbols have texts."""
        return [production for production in self.of[name] if all(map(self._has_text, production))]

    def _has_text(self, symbol: Symbol) -> bool:
        return (self.shortest[symbol] if isinstance(symbol, str) else self._leaf_lengths(symbol)[0]) is not None

    def _used(self) -> list[str]:
        """The rules that occur in texts of `start`."""
        found = {self.start: None}
        agenda = [self.start]
        while agenda:
            for symbol in (symbol for production in self._useful(agenda.pop()) for symbol in production):
                if isinstance(symbol, str) and symbol not in found:
                    found[symbol] = None
                    agenda.append(symbol)
        return list(found)


def _merged(items: tuple[GrammarExpression, ...]) -> list[GrammarExpression]:
    """The items of a sequence, with neighbouring leaves as one."""
    merged: list[GrammarExpression] = []
    for item in items:
        if merged and is_leaf(item) and is_leaf(merged[-1]):
            before = merged.pop()
            first = before.items if isinstance(before, Concatenation) else (before,)
            item = Concatenation((*first, item))
        merged.append(item)
    return merged
