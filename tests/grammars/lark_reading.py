"""A `Grammar` as lark reads it: the oracle for what `sql.lark` and its bound forms accept.

The rules go to lark's own LALR parser as a lark text. Lark's basic lexer cannot let the longest match win and
reserve keywords in any case at once, so a small lexer stands in for it: at each place the terminal with the longest
match, the earliest in `order` among equals.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import lark
from lark import Lark, Token
from lark.exceptions import LarkError
from lark.lexer import Lexer

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


class LarkReading:
    """Parses texts of one grammar."""

    def __init__(self, grammar: Grammar) -> None:
        names = {name: f"T{index}" for index, name in enumerate(grammar.terminals)}
        declared = "%declare " + " ".join(names.values())
        self.rule_of = {f"r{index}": rule for index, rule in enumerate(grammar.rules)}
        names |= {rule: name for name, rule in self.rule_of.items()}
        lines = [f"{names[rule]}: {_rule(expression, names)}" for rule, expression in grammar.rules.items()]
        lines.append(declared)
        terminals = sorted(grammar.terminals.values(), key=lambda t: (-t.priority, not t.is_keyword, t.order))
        patterns = tuple((names[t.name], _regex(t.definition), t.name in grammar.ignored) for t in terminals)
        self.lark, self.conflicts = _parser("\n".join(lines), names[grammar.start], patterns)

    def accepts(self, text: str) -> bool:
        """Whether `text` is in the language."""
        return self.mistake(text) is None

    def mistake(self, text: str) -> str | None:
        """What lark says against `text`, or None."""
        try:
            self.lark.parse(text)
        except LarkError as error:
            return f"{type(error).__name__}: {str(error).splitlines()[0]}"
        return None

    def sites(self, text: str, rules: set[str]) -> list[tuple[str, str]]:
        """(rule, text) of every occurrence of these rules, in order of their end."""
        tree = self.lark.parse(text)
        found = []
        for part in tree.iter_subtrees_topdown():
            tokens = list(part.scan_values(lambda value: isinstance(value, Token)))
            rule = self.rule_of.get(str(part.data), "")
            if rule in rules and tokens:
                start, end = min(t.start_pos for t in tokens), max(t.end_pos for t in tokens)
                found.append((end, -start, rule, text[start:end]))
        return [(rule, spelled) for _, _, rule, spelled in sorted(found)]


Patterns = tuple[tuple[str, str, bool], ...]


# Tables of a grammar of SQL take a second, and several files of tests read the same.
@cache
def _parser(rules: str, start: str, patterns: Patterns) -> tuple[Lark, list[str]]:
    """A parser, and what lark said of conflicts, which it settles by itself."""
    told, before = _Told(), lark.logger.level
    lark.logger.addHandler(told)
    lark.logger.setLevel(logging.DEBUG)
    try:
        made = Lark(rules, parser="lalr", lexer=_lexer(patterns), keep_all_tokens=True, start=start)
    finally:
        lark.logger.removeHandler(told)
        lark.logger.setLevel(before)
    return made, [message for message in told.messages if "conflict" in message.lower()]


class _Told(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


def _lexer(spelled: Patterns) -> type[Lexer]:
    patterns = [(name, re.compile(regex), skip) for name, regex, skip in spelled]

    class Longest(Lexer):
        def __init__(self, lexer_conf: Any) -> None:
            pass

        def lex(self, text: Any) -> Iterator[Token]:
            text = getattr(text, "text", text)
            position = 0
            while position < len(text):
                ends = [(match.end(), name, skip) for name, p, skip in patterns if (match := p.match(text, position))]
                end, name, skip = max(ends, key=lambda found: found[0], default=(position, "", True))
                if end == position:
                    raise LarkError(f"no terminal at {text[position : position + 10]!r}")
                if not skip:
                    yield Token(name, text[position:end], position, end_pos=end)
                position = end

    return Longest


def _rule(expression: GrammarExpression, names: dict[str, str]) -> str:
    match expression:
        case Reference():
            return names[expression.name]
        case Concatenation(items=items):
            return " ".join(_rule(item, names) for item in items)
        case Alternatives(items=items):
            return "(" + " | ".join(_rule(item, names) for item in items) + ")"
        case Repeat(item=item, least=0, most=1):
            return f"[{_rule(item, names)}]"
        case Repeat(item=item, least=least, most=None):
            return f"({_rule(item, names)}){'+' if least else '*'}"
        case _:
            raise NotImplementedError(type(expression).__name__)


def _regex(expression: GrammarExpression) -> str:
    match expression:
        case LiteralText(text=text, ignore_case=ignore_case):
            return f"(?i:{re.escape(text)})" if ignore_case else re.escape(text)
        case Pattern(regex=regex, flags=flags):
            return f"(?{flags}:{regex})" if flags else f"(?:{regex})"
        case Alternatives(items=items):
            return "(?:" + "|".join(sorted((_regex(item) for item in items), key=len, reverse=True)) + ")"
        case _:
            raise NotImplementedError(type(expression).__name__)
