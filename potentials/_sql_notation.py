"""Rules written as in a `.lark` file, read into a grammar that has some of them already.

For the rules by which a dialect differs from `grammars/sql.lark`. Only what those need is read: names of rules and
terminals, `"KEYWORD"` (in any case, as all keywords here) and `"sign"`, brackets, `|`, `?`, `*` and `+`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from smcdsl.program.grammar import (
    Alternatives,
    Concatenation,
    GrammarExpression,
    LiteralText,
    Reference,
    Repeat,
    Terminal,
)

_SYMBOL = re.compile(r'\s*("[^"]+"|[A-Za-z_]+|[()|?*+])')
_RULE = re.compile(r"^([a-z_]+):", re.MULTILINE)
_TIMES: dict[str, tuple[int, int | None]] = {"?": (0, 1), "*": (0, None), "+": (1, None)}


@dataclass
class Reader:
    """Reads rules; `terminals` grows by the keywords and signs that they bring along."""

    terminals: dict[str, Terminal]
    _name_of: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self._name_of = {text: name for name, terminal in self.terminals.items() if (text := text_of(terminal))}

    def rules(self, text: str) -> dict[str, GrammarExpression]:
        """The rules of a text, each beginning a line with its name."""
        places = list(_RULE.finditer(text))
        ends = [place.start() for place in places[1:]] + [len(text)]
        return {place[1]: self._rule(text[place.end() : end]) for place, end in zip(places, ends, strict=True)}

    def _rule(self, body: str) -> GrammarExpression:
        symbols = [found[1] for found in _SYMBOL.finditer(body)]
        assert "".join(symbols) == "".join(body.split()), f"cannot read {body!r}"
        expression, rest = self._alternatives(symbols)
        assert not rest, f"a bracket too many in {body!r}"
        return expression if isinstance(expression, Alternatives) else Alternatives((expression,))

    def _alternatives(self, symbols: list[str]) -> tuple[GrammarExpression, list[str]]:
        found: list[GrammarExpression] = []
        while True:
            sequence: list[GrammarExpression] = []
            while symbols and symbols[0] not in ("|", ")"):
                item, symbols = self._item(symbols)
                sequence.append(item)
            found.append(sequence[0] if len(sequence) == 1 else Concatenation(tuple(sequence)))
            if not symbols or symbols[0] == ")":
                return (found[0] if len(found) == 1 else Alternatives(tuple(found))), symbols
            symbols = symbols[1:]

    def _item(self, symbols: list[str]) -> tuple[GrammarExpression, list[str]]:
        first, rest = symbols[0], symbols[1:]
        if first == "(":
            item, rest = self._alternatives(rest)
            assert rest[:1] == [")"], "a bracket is not closed"
            rest = rest[1:]
        else:
            item = Reference((self._terminal(first[1:-1]),) if first[0] == '"' else (first,))
        if rest and rest[0] in _TIMES:
            return Repeat(item, *_TIMES[rest[0]]), rest[1:]
        return item, rest

    def _terminal(self, text: str) -> str:
        name = self._name_of.get(text)
        if name is None:
            is_word = text.replace("_", "").isalpha()
            name = text if is_word else "SIGN_" + "_".join(str(ord(character)) for character in text)
            definition = LiteralText(text, ignore_case=is_word)
            self.terminals[name] = Terminal(name, definition, order=len(self.terminals), is_keyword=is_word)
            self._name_of[text] = name
        return name


def text_of(terminal: Terminal) -> str:
    """The text of a literal terminal, keywords in capitals; empty for a pattern."""
    definition = terminal.definition
    return definition.text.upper() if isinstance(definition, LiteralText) else ""
