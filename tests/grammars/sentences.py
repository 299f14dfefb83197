"""Random texts of a lexed grammar: derivations that hurry to their end."""

from __future__ import annotations

import random
from collections.abc import Iterator

from smcdsl.program.grammar import (
    Alternatives,
    Concatenation,
    Grammar,
    GrammarExpression,
    LiteralText,
    Pattern,
    Reference,
    Repeat,
)


class Sentences:
    """Draws texts of one grammar.

    Args:
        examples: what to write for the terminals that are patterns; others write their first text.
    """

    def __init__(self, grammar: Grammar, examples: dict[str, list[str]]) -> None:
        self.grammar = grammar
        self.examples = examples
        self.heights: dict[str, int] = dict.fromkeys(grammar.terminals, 0)
        while len(self.heights) < len(grammar.terminals) + len(grammar.rules):
            known = len(self.heights)
            for rule, expression in grammar.rules.items():
                height = self._height(expression)
                if height is not None and rule not in self.heights:
                    self.heights[rule] = height + 1
            if len(self.heights) == known:
                raise ValueError("some rules derive no text")

    def draw(self, chance: random.Random, budget: int = 60) -> str:
        """A text whose derivation takes the shortest way to its end once `budget` rules were used."""
        self.left = budget
        return " ".join(self._expand(Reference((self.grammar.start,)), chance))

    def _expand(self, expression: GrammarExpression, chance: random.Random) -> Iterator[str]:
        match expression:
            case Reference(name=name) if name in self.grammar.terminals:
                yield self._spell(name, chance)
            case Reference(name=name):
                self.left -= 1
                yield from self._expand(self.grammar.rules[name], chance)
            case Concatenation(items=items):
                for item in items:
                    yield from self._expand(item, chance)
            case Alternatives(items=items):
                yield from self._expand(self._choose(items, chance), chance)
            case Repeat(item=item, least=least):
                for _ in range(least + (self.left > 0 and chance.random() < 0.3)):
                    yield from self._expand(item, chance)

    def _choose(self, items: tuple[GrammarExpression, ...], chance: random.Random) -> GrammarExpression:
        if self.left > 0:
            return chance.choice(items)
        heights = [self._height(item) for item in items]
        return items[heights.index(min(height for height in heights if height is not None))]

    def _height(self, expression: GrammarExpression) -> int | None:
        match expression:
            case Reference(name=name):
                return self.heights.get(name)
            case Concatenation(items=items):
                parts = [self._height(item) for item in items]
                return None if None in parts else max((part for part in parts if part is not None), default=0)
            case Alternatives(items=items):
                return min((h for item in items if (h := self._height(item)) is not None), default=None)
            case Repeat(item=item, least=least):
                return self._height(item) if least else 0
            case _:
                return 0

    def _spell(self, name: str, chance: random.Random) -> str:
        if name in self.examples:
            return chance.choice(self.examples[name])
        definition = self.grammar.terminals[name].definition
        while isinstance(definition, Alternatives):
            definition = chance.choice(definition.items)
        if isinstance(definition, LiteralText):
            return definition.text
        assert isinstance(definition, Pattern)
        return definition.regex.replace("\\", "") if "[" not in definition.regex else _plain(definition.regex)


def _plain(regex: str) -> str:
    """The text of a pattern that spells each letter as `[aA]`."""
    text, rest = "", regex
    while rest:
        if rest[0] == "[" and rest[3:4] == "]":
            text, rest = text + rest[1], rest[4:]
        else:
            rest = rest[1:] if rest[0] == "\\" else rest
            text, rest = text + rest[0], rest[1:]
    return text
