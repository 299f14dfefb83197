"""GBNF, the grammar notation of llama.cpp, read into a scannerless grammar.

    root  ::= item ("," ws item){0,9}    # a comment
    item  ::= [a-z_]+ | "\\"" [^"\\n]* "\\""
    ws    ::= [ \\t\\n]*

A rule ends with its line, except inside parentheses, after `::=` and after `|`; a line may also begin with `|`.
`.` is any character. Left recursion, which llama.cpp refuses, is fine. Elements that name tokens of a vocabulary
(`<[1000]>`, `<think>`) are refused: a grammar is about text. A dash in a rule's name becomes `_` where a program
names the rule as a boundary.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

from smcdsl.errors import CompileError, Diagnostic, Source, Span
from smcdsl.notations import mistakes
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

MOST_REPEATS = 10_000
DEEPEST = 100
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")
_COUNTS = re.compile(r"\{\s*(\d*)\s*(,?)\s*(\d*)\s*\}")
_LINE_END = re.compile(r"[\r\n]")
_SIMPLE = {"t": "\t", "r": "\r", "n": "\n", "\\": "\\", '"': '"', "[": "[", "]": "]", "-": "-", "^": "^"}
_SIGNS: dict[str, tuple[int, int | None]] = {"*": (0, None), "+": (1, None), "?": (0, 1)}
_HEX_DIGITS = {"x": 2, "u": 4, "U": 8}
_RESERVED = ("token", "line", "end")


class _Stop(Exception):
    """The text cannot be read on from here."""

    def __init__(self, reason: str, start: int, end: int) -> None:
        super().__init__(reason)
        self.reason, self.start, self.end = reason, start, end


def load_gbnf(text: str, *, name: str = "<gbnf>", start: str = "root") -> Grammar:
    """Read a grammar file.

    Raises:
        CompileError: E0422 it is no GBNF, E0401 it uses a rule that it does not define.
    """
    source = Source(name, text)
    parser = _Parser(text)
    try:
        parser.file()
    except _Stop as stop:
        end = max(stop.end, stop.start + (stop.start < len(text)))
        raise CompileError(mistakes.unreadable_gbnf(stop.reason, Span(source, stop.start, end))) from stop
    problems = _undefined(parser, source)
    if start not in parser.rules:
        problems.append(mistakes.missing_start_rule(start, list(parser.rules), name))
    if problems:
        raise CompileError(problems)
    rules = {rule: _placed(body, Span(source, *parser.places[rule])) for rule, body in parser.rules.items()}
    return _grammar(name, start, rules)


def _placed(body: GrammarExpression, span: Span) -> GrammarExpression:
    return Alternatives(body.items if isinstance(body, Alternatives) else (body,), span=span)


def _grammar(name: str, start: str, rules: Mapping[str, GrammarExpression]) -> Grammar:
    boundary_of: dict[str, str] = {}
    boundaries: list[str] = []
    for rule in rules:
        public = rule.replace("-", "_")
        if public.isidentifier() and public not in boundaries and public not in _RESERVED:
            boundaries.append(public)
            if public != rule:
                boundary_of[rule] = public
    return Grammar(name=name, start=start, rules=rules, boundaries=tuple(boundaries), boundary_of=boundary_of)


def _undefined(parser: _Parser, source: Source) -> list[Diagnostic]:
    problems = []
    for rule, start in parser.uses.items():
        if rule not in parser.rules:
            near = next(iter(get_close_matches(rule, parser.rules, 1)), "")
            line = source.position(parser.places[near][0])[0] if near else 0
            problems.append(mistakes.undefined_rule(rule, Span(source, start, start + len(rule)), near, line, ""))
    return problems


@dataclass
class _Parser:
    """Recursive descent, as llama.cpp's own."""

    text: str
    place: int = 0
    rules: dict[str, GrammarExpression] = field(default_factory=dict)
    places: dict[str, tuple[int, int]] = field(default_factory=dict)
    uses: dict[str, int] = field(default_factory=dict)
    """Names of rules, and where each is first used."""
    depth: int = 0

    def file(self) -> None:
        self.skip(newlines=True)
        while self.place < len(self.text):
            self.rule()

    def rule(self) -> None:
        start = self.place
        name = self.name("a rule's name")
        if name in self.rules:
            raise _Stop(f"the rule `{name}` is defined twice", start, self.place)
        self.places[name] = (start, self.place)
        self.skip(newlines=False)
        if not self.took("::="):
            raise self.wrong("expected `::=`")
        self.skip(newlines=True)
        self.rules[name] = self.alternatives(nested=False)
        if self.place < len(self.text) and self.text[self.place] not in "\r\n":
            raise self.wrong(f"unexpected `{self.text[self.place]}`")
        self.skip(newlines=True)

    def alternatives(self, nested: bool) -> GrammarExpression:
        items = [self.sequence(nested)]
        while self.at_bar():
            self.skip(newlines=True)
            items.append(self.sequence(nested))
        return items[0] if len(items) == 1 else Alternatives(tuple(items))

    def at_bar(self) -> bool:
        """Pass a `|`, which may stand at the start of the next line."""
        back = self.place
        self.skip(newlines=True)
        if self.took("|"):
            return True
        self.place = back
        return False

    def sequence(self, nested: bool) -> GrammarExpression:
        items: list[GrammarExpression] = []
        while (item := self.element()) is not None:
            self.skip(newlines=False)
            quantified = self.place
            while (counts := self.counts()) is not None:
                if self.place - quantified > DEEPEST and isinstance(item, Repeat) and counts not in _SIGNS.values():
                    raise _Stop("too many counts on one item", quantified, self.place)
                item = self.repeated(item, counts)
                self.skip(newlines=False)
            items.append(item)
            self.skip(newlines=nested)
        return items[0] if len(items) == 1 else Concatenation(tuple(items))

    def repeated(self, item: GrammarExpression, counts: tuple[int, int | None]) -> GrammarExpression:
        """An item with a quantifier; `*`, `+` and `?` after one another are one of them."""
        if isinstance(item, Repeat) and counts in _SIGNS.values() and (item.least, item.most) in _SIGNS.values():
            return Repeat(item.item, min(item.least, counts[0]), 1 if item.most == counts[1] == 1 else None)
        return Repeat(item, *counts)

    def element(self) -> GrammarExpression | None:
        if self.place >= len(self.text):
            return None
        character = self.text[self.place]
        if character == '"':
            return self.literal()
        if character == "[":
            return self.character_class()
        if character == "(":
            return self.group()
        if character == ".":
            self.place += 1
            return Pattern(".", "s")
        if character in "<!":
            raise self.wrong("tokens of a vocabulary cannot be part of a grammar, which is about text")
        if _NAME.match(self.text, self.place):
            start = self.place
            name = self.name("a name")
            self.uses.setdefault(name, start)
            return Reference((name,))
        if character in "*+?{":
            raise self.wrong("nothing to repeat")
        return None

    def group(self) -> GrammarExpression:
        start = self.place
        self.place += 1
        self.depth += 1
        if self.depth > DEEPEST:
            raise _Stop(f"more than {DEEPEST} groups inside each other", start, self.place)
        self.skip(newlines=True)
        inner = self.alternatives(nested=True)
        self.skip(newlines=True)
        if not self.took(")"):
            raise self.wrong("expected `)`")
        self.depth -= 1
        return inner

    def counts(self) -> tuple[int, int | None] | None:
        for sign, counts in _SIGNS.items():
            if self.took(sign):
                return counts
        if not self.text.startswith("{", self.place):
            return None
        found = _COUNTS.match(self.text, self.place)
        if found is None or not (found[1] or found[3]):
            raise self.wrong("expected counts such as `{2}`, `{2,}` or `{2,5}`")
        least = int(found[1] or 0)
        most = int(found[3]) if found[3] else None if found[2] else least
        if most is not None and most < least:
            raise _Stop("the counts are out of order", self.place, found.end())
        if max(least, most or 0) > MOST_REPEATS:
            raise _Stop(f"more than {MOST_REPEATS:,} repetitions", self.place, found.end())
        self.place = found.end()
        return least, most

    def literal(self) -> GrammarExpression:
        start = self.place
        self.place += 1
        characters = []
        while not self.took('"'):
            if self.place >= len(self.text):
                line_end = self.text.find("\n", start)
                raise _Stop("this text does not end", start, len(self.text) if line_end < 0 else line_end)
            characters.append(self.character())
        return LiteralText("".join(characters))

    def character_class(self) -> GrammarExpression:
        start = self.place
        self.place += 1
        negated = self.took("^")
        members = []
        while not self.took("]"):
            if self.place >= len(self.text):
                raise _Stop("this class does not end", start, start + 1)
            first = last = self.character()
            if self.text.startswith("-", self.place) and not self.text.startswith("-]", self.place):
                self.place += 1
                last = self.character()
            if first > last:
                raise _Stop("a range is out of order", start, self.place)
            members.append(f"\\U{ord(first):08x}-\\U{ord(last):08x}")
        if not members:
            return Pattern(".", "s") if negated else Alternatives(())
        return Pattern(f"[{'^' if negated else ''}{''.join(members)}]")

    def character(self) -> str:
        """One character or escape."""
        if self.place >= len(self.text):
            raise self.wrong("the text ends too early")
        character = self.text[self.place]
        self.place += 1
        if character != "\\":
            return character
        letter = self.text[self.place : self.place + 1]
        self.place += 1
        if letter in _HEX_DIGITS:
            digits = self.text[self.place : self.place + _HEX_DIGITS[letter]]
            if len(digits) == _HEX_DIGITS[letter] and re.fullmatch("[0-9a-fA-F]+", digits):
                code = int(digits, 16)
                if code <= 0x10FFFF and not 0xD800 <= code < 0xE000:
                    self.place += len(digits)
                    return chr(code)
        elif letter in _SIMPLE:
            return _SIMPLE[letter]
        raise _Stop(f"`\\{letter}` is not an escape here", self.place - 2, self.place)

    def name(self, what: str) -> str:
        found = _NAME.match(self.text, self.place)
        if found is None:
            raise self.wrong(f"expected {what}")
        self.place = found.end()
        return found[0]

    def took(self, text: str) -> bool:
        if self.text.startswith(text, self.place):
            self.place += len(text)
            return True
        return False

    def skip(self, newlines: bool) -> None:
        """Pass blanks and comments."""
        blanks = " \t\r\n" if newlines else " \t"
        while self.place < len(self.text):
            if self.text[self.place] == "#":
                found = _LINE_END.search(self.text, self.place)
                self.place = len(self.text) if found is None else found.start()
            elif self.text[self.place] in blanks:
                self.place += 1
            else:
                return

    def wrong(self, reason: str) -> _Stop:
        return _Stop(reason, self.place, self.place + 1)
