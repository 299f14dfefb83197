"""JSON Schema (2020-12) as a grammar of the JSON texts that a schema admits.

The language is exact under four policies, which `docs/notations.md` states in full:

- *order*: members that the schema names come in the order in which it names them, all others after them;
- *spelling*: a string, name or number that the schema says something about has one spelling (strings) or no
  exponent (numbers); free ones are spelled in any way that JSON knows;
- *white space*: `free` between any two lexemes, none if `compact`, or one blank after `,` and `:` if `spaced`;
- *formats* limit.

A keyword that cannot be kept is an error with its place. Schemas become shapes (`expansion`), shapes become
rules (`writing`), and the lexer is contextual, over terminals that share no text where they can meet
(`languages`). Fixed terminals are the same in all schemas.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from smcdsl.errors import CompileError
from smcdsl.notations.json_schema import languages, mistakes
from smcdsl.notations.json_schema.documents import Document
from smcdsl.notations.json_schema.expansion import Expansion, Unsupported
from smcdsl.notations.json_schema.languages import Atom
from smcdsl.notations.json_schema.writing import Alternative, Lexeme, Symbol, Value, Writer
from smcdsl.program.grammar import (
    Alternatives,
    Concatenation,
    Grammar,
    GrammarExpression,
    LiteralText,
    Pattern,
    Reference,
    Terminal,
)

__all__ = ["WHITESPACE", "load_json_schema"]

Whitespace = Literal["free", "compact", "spaced"]
WHITESPACE: tuple[Whitespace, ...] = ("free", "compact", "spaced")

_FIXED = {
    "OPEN_OBJECT": "{",
    "CLOSE_OBJECT": "}",
    "OPEN_ARRAY": "[",
    "CLOSE_ARRAY": "]",
    "COMMA": ",",
    "COLON": ":",
    "NULL": "null",
    "TRUE": "true",
    "FALSE": "false",
}
_BLANKS = Terminal("BLANKS", Pattern(r"[ \t\n\r]+"))
_RESERVED = ("token", "line", "end")


def load_json_schema(text: str, *, name: str = "<schema>", whitespace: Whitespace = "free") -> Grammar:
    """Read a schema.

    Raises:
        CompileError: E0418 a keyword has no grammar, E0420 the text is no schema, E0421 a reference leads
            nowhere, E0403 no value satisfies it.
    """
    document = Document.read(text, name)
    try:
        expansion = Expansion(document)
        writer = Writer(expansion)
        start = writer.write(expansion.goal(""))
    except Unsupported as error:
        raise CompileError(error.diagnostic) from error
    except RecursionError as error:
        raise CompileError(mistakes.too_deep(document.span(""))) from error
    assembly = _Assembly(writer, whitespace)
    rules = assembly.rules(start)
    if start not in rules:
        raise CompileError(mistakes.no_value(document.span("")))
    ignored: tuple[str, ...] = ()
    if whitespace == "free":
        assembly.terminals["BLANKS"] = _BLANKS
        ignored = ("BLANKS",)
    boundaries = [each for each in rules if not each.startswith("_") and each not in (start, "value", *_RESERVED)]
    return Grammar(
        name=name,
        start=start,
        rules=rules,
        lexing="contextual",
        terminals=assembly.terminals,
        ignored=ignored,
        boundaries=tuple(boundaries),
    )


class _Assembly:
    """Turns what was written into the expressions of a grammar, without what no text reaches."""

    def __init__(self, writer: Writer, whitespace: Whitespace) -> None:
        self.writer = writer
        self.after = " " if whitespace == "spaced" else ""
        self.terminals: dict[str, Terminal] = {}
        self.known: dict[Atom, str] = {}

    def rules(self, start: str) -> Mapping[str, GrammarExpression]:
        """The rules that texts use, the start first."""
        kept = _productive(self.writer)
        found: dict[str, GrammarExpression] = {}
        pending = [start]
        while pending:
            name = pending.pop()
            if name in found or name not in kept:
                continue
            alternatives = kept[name]
            found[name] = Alternatives(tuple(self._sequence(alternative) for alternative in alternatives))
            pending += [
                following
                for alternative in reversed(alternatives)
                for symbol in reversed(alternative)
                if (following := self._rule_of(symbol)) is not None
            ]
        return found

    def _rule_of(self, symbol: Symbol) -> str | None:
        if isinstance(symbol, Value):
            return None if self.writer.lexeme_of(symbol.goal) is not None else self.writer.name(symbol.goal)
        return symbol if isinstance(symbol, str) and symbol not in _FIXED else None

    def _sequence(self, alternative: Alternative) -> GrammarExpression:
        parts = tuple(map(self._symbol, alternative))
        return parts[0] if len(parts) == 1 else Concatenation(parts)

    def _symbol(self, symbol: Symbol) -> GrammarExpression:
        if isinstance(symbol, Value):
            symbol = self.writer.lexeme_of(symbol.goal) or symbol
        if isinstance(symbol, Lexeme):
            atoms = self.writer.atoms.get(symbol.language) or languages.alone(symbol.language)
            found = tuple(Reference((self._atom(atom),)) for atom in atoms)
            return found[0] if len(found) == 1 else Alternatives(found)
        rule = self._rule_of(symbol)
        if rule is not None:
            return Reference((rule,))
        assert isinstance(symbol, str), "values have rules"
        if symbol not in self.terminals:
            text = _FIXED[symbol] + (self.after if symbol in ("COMMA", "COLON") else "")
            self.terminals[symbol] = Terminal(symbol, LiteralText(text), is_keyword=True)
        return Reference((symbol,))

    def _atom(self, atom: Atom) -> str:
        if atom not in self.known:
            name = self.known[atom] = self._name(atom)
            self.terminals[name] = Terminal(name, atom.expression, is_keyword=not atom.inside, order=bool(atom.inside))
        return self.known[atom]

    def _name(self, atom: Atom) -> str:
        kind = "LEXEME"
        if not atom.inside:
            first = min(map(str, atom.values))
            kind = "TEXT_" + re.sub(r"\W+", "_", first, flags=re.ASCII).strip("_").upper()[:30]
        return f"{kind.rstrip('_')}_{len(self.known) + 1}"


def _productive(writer: Writer) -> dict[str, list[Alternative]]:
    """The rules that derive something, without alternatives that do not."""
    rules = writer.rules
    needs: dict[str, list[tuple[str, int]]] = {}
    waiting: dict[tuple[str, int], int] = {}
    ready: list[str] = []
    done: set[str] = set()
    for name, alternatives in rules.items():
        for index, alternative in enumerate(alternatives):
            inner = {symbol for symbol in alternative if isinstance(symbol, Value) or symbol in rules}
            names = {_rule_name(writer, symbol) for symbol in inner}
            waiting[name, index] = len(names)
            for each in names:
                needs.setdefault(each, []).append((name, index))
            if not names:
                ready.append(name)
    while ready:
        name = ready.pop()
        if name in done:
            continue
        done.add(name)
        for user, index in needs.get(name, ()):
            waiting[user, index] -= 1
            if not waiting[user, index]:
                ready.append(user)
    return {
        name: kept
        for name, alternatives in rules.items()
        if name in done and (kept := [a for i, a in enumerate(alternatives) if not waiting[name, i]])
    }


def _rule_name(writer: Writer, symbol: Symbol) -> str:
    if isinstance(symbol, Value):
        return writer.names.get(symbol.goal, "")
    assert isinstance(symbol, str)
    return symbol
