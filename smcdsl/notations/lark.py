"""`.lark` files, read by lark's own loader, so that syntax, imports and templates are exactly lark's.

What a text is, is what lark's lexer and a parser for its rules accept. lark cuts a text with one of two
policies, named by the header line `// smcdsl: lexing longest | contextual`:

- `longest` (the default): at each position, among the terminals of the highest priority that match
  there at all, the one with the longest match wins; a match of a higher priority hides all matches of
  lower ones. Equally long matches go to the terminal with the smallest `order`: literal texts
  before patterns, so that keywords are reserved, also those written `"select"i`; then lark's own
  sort. lark's basic lexer differs only where a shorter match of an earlier alternative hides a longer
  one, an accident of Python's `|` that no grammar should rely on.
- `contextual`: the same, but only terminals that the parser can use next compete, and ignored ones.

Rules come out as lark compiles them: repetitions and `[...]` are helper rules whose names begin with
two underscores and which are never boundaries. Aliases, `?`, `!` and rule priorities shape trees and
choose among parses; they do not change which texts are accepted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import lark
from lark import Tree
from lark.exceptions import LarkError, UnexpectedInput
from lark.grammar import Rule
from lark.lexer import Pattern as LarkPattern
from lark.lexer import PatternStr, TerminalDef
from lark.load_grammar import GrammarBuilder

from smcdsl.errors import CompileError, Diagnostic, Source, Span
from smcdsl.notations import mistakes
from smcdsl.notations.header import GrammarDeclaration, LarkHeader, read_header
from smcdsl.notations.lark_terminals import BadTerminal, Part, compose, refuse_doubling
from smcdsl.program.grammar import (
    Alternatives,
    Concatenation,
    Grammar,
    GrammarExpression,
    Indenter,
    LiteralText,
    Pattern,
    Reference,
    Terminal,
    children,
)

__all__ = ["VERSION", "GrammarDeclaration", "LarkHeader", "load_lark", "read_header"]

VERSION: str = lark.__version__
"""The version of lark, which a grammar depends on as on its own text."""

ImportPath = str | Path | Callable[[Any, str], tuple[Any, str]]

_DEFINITION = re.compile(r"^[ \t]*(?:%override[ \t]+|%extend[ \t]+)?[?!]*(_*[A-Za-z]\w*)[^\n:]*:", re.MULTILINE)
_POSITION = re.compile(r"at line (\d+),? column (\d+)")
_UNDEFINED = re.compile(r"(?:Rule|Terminal) '(\w+)' used but not defined|Template '(\w+)' used but not defined")


def load_lark(
    text: str, *, name: str = "<lark>", start: str = "start", import_paths: Sequence[ImportPath] = ()
) -> Grammar:
    """Read a grammar file.

    Args:
        text: what the file holds.
        name: its name to show; relative imports start from its folder.
        start: the rule whose texts are wanted.
        import_paths: folders (or lark's loader functions) in which `%import` looks first.

    Raises:
        CompileError: lark cannot read it, or it needs what cannot run while generating.
    """
    header = read_header(text, name)
    places = _Places(Source(name, text))
    builder = GrammarBuilder(False, [path if callable(path) else str(path) for path in import_paths])
    try:
        refuse_doubling(text)
        builder.load_grammar(text, name)
        declared = [
            key for key, definition in builder._definitions.items() if definition.is_term and not definition.tree
        ]
        layout = (header.indenter.indent, header.indenter.dedent) if header.indenter else ()
        if undeclared := [terminal for terminal in declared if terminal not in layout]:
            raise CompileError([places.declared(terminal) for terminal in undeclared])
        _require_start(start, builder, name)
        parts = _put_together(builder, places)
        grammar = builder.build()
        grammar.term_defs = [
            (key, (Tree("pattern", [parts[key].pattern]) if key in parts and parts[key].is_joined else tree, priority))
            for key, (tree, priority) in grammar.term_defs
        ]
        terminals, rules, ignored = grammar.compile([start], set(header.refused))
    except BadTerminal as error:
        place = places.definition(error.terminal)
        raise CompileError(mistakes.unreadable_grammar(error.reason, place, places.context)) from error
    except (LarkError, OSError, RecursionError, AssertionError) as error:
        raise CompileError(places.explain(error)) from error
    _refuse_empty(terminals, parts, places)
    _refuse_unknown(header, builder)
    defined = {key for key, definition in builder._definitions.items() if definition.is_term and definition.tree}
    indenter = _used_indenter(header, {terminal.name for terminal in terminals}, defined, set(declared))
    return _grammar(name, start, header, indenter, places, parts, terminals, rules, ignored)


def _put_together(builder: GrammarBuilder, places: _Places) -> dict[str, Part]:
    """What the terminals are made of."""
    trees = {
        str(key): definition.tree
        for key, definition in builder._definitions.items()
        if definition.is_term and definition.tree
    }
    return compose(trees, places.raw)


def _require_start(start: str, builder: GrammarBuilder, name: str) -> None:
    rules = [str(key) for key, found in builder._definitions.items() if not found.is_term and not found.params]
    if start not in rules:
        public = [rule for rule in rules if not rule.startswith("_")]
        raise CompileError(mistakes.missing_start(start, public, name))


def _refuse_unknown(header: LarkHeader, builder: GrammarBuilder) -> None:
    kinds = {str(name): definition.is_term for name, definition in builder._definitions.items()}
    wanted = [*((rule, "rule") for rule in header.boundary_of), *((name, "terminal") for name in header.refused)]
    problems = [
        mistakes.bad_header(f"the grammar has no {kind} `{name}`", header.spans[name])
        for name, kind in wanted
        if kinds.get(name) is not (kind == "terminal")
    ]
    if problems:
        raise CompileError(problems)


def _used_indenter(header: LarkHeader, terminals: set[str], defined: set[str], declared: set[str]) -> Indenter | None:
    """The indenter without brackets that no rule has. Terminals with a text must be defined, the others declared."""
    indenter, span = header.indenter, header.indenter_span
    if indenter is None or span is None:
        return None
    for name in (indenter.newline, *indenter.opens, *indenter.closes):
        if name not in terminals | defined:
            raise CompileError(mistakes.bad_header(f"the grammar has no terminal `{name}`", span))
    if indenter.newline not in terminals:
        raise CompileError(mistakes.bad_header(f"`{indenter.newline}` is in no rule", span))
    for name in (indenter.indent, indenter.dedent):
        if name not in declared:
            raise CompileError(mistakes.bad_header(f"`{name}` needs a line `%declare {name}`", span))
    pairs = [pair for pair in zip(indenter.opens, indenter.closes) if terminals & {*pair}]
    for name in (name for pair in pairs for name in pair):
        if name not in terminals:
            raise CompileError(mistakes.bad_header(f"the other bracket of `{name}` is used, but not `{name}`", span))
    return replace(indenter, opens=tuple(a for a, _ in pairs), closes=tuple(b for _, b in pairs))


def _refuse_empty(terminals: Iterable[TerminalDef], parts: Mapping[str, Part], places: _Places) -> None:
    problems = []
    for terminal in terminals:
        # A pattern that has an expression is known to be sound.
        if terminal.name not in parts or parts[terminal.name].expression is None:
            try:
                re.compile(terminal.pattern.to_regexp())
            except re.error as error:
                problems.append(mistakes.unreadable_grammar(error.msg, places.pattern(terminal), places.context))
                continue
        if terminal.pattern.min_width == 0:
            problems.append(mistakes.empty_terminal(terminal.name, places.pattern(terminal), places.context))
    if problems:
        raise CompileError(problems)


def _grammar(
    name: str,
    start: str,
    header: LarkHeader,
    indenter: Indenter | None,
    places: _Places,
    parts: Mapping[str, Part],
    terminals: Sequence[TerminalDef],
    rules: Sequence[Rule],
    ignored: Sequence[str],
) -> Grammar:
    expansions: dict[str, list[GrammarExpression]] = {}
    for rule in rules:
        symbols = tuple(Reference((symbol.name,)) for symbol in rule.expansion)
        expansion = symbols[0] if len(symbols) == 1 else Concatenation(symbols)
        expansions.setdefault(str(rule.origin.name), []).append(expansion)
    bodies: dict[str, GrammarExpression] = {
        rule: Alternatives(tuple(items), span=places.definition(rule)) for rule, items in expansions.items()
    }
    public = [rule for rule in bodies if places.is_public(rule)]
    boundary_of = {rule: boundary for rule, boundary in header.boundary_of.items() if rule in bodies}
    gathered = {*boundary_of.values()}
    if header.boundaries is None:
        boundaries = tuple(sorted(public, key=places.order))
    else:
        boundaries = tuple(boundary for boundary in header.boundaries if boundary in bodies or boundary in gathered)
    ordered = sorted(terminals, key=_lexing_order)
    made = {terminal.name: _terminal(terminal, order, parts, places) for order, terminal in enumerate(ordered)}
    return Grammar(
        name=name,
        start=start,
        rules=bodies,
        lexing=header.lexing,
        terminals=made,
        fragments=_fragments(made.values(), parts),
        ignored=tuple(dict.fromkeys(ignored)),
        boundaries=boundaries,
        boundary_of=boundary_of,
        indenter=indenter,
    )


def _lexing_order(terminal: TerminalDef) -> tuple[int, bool, int, int, str]:
    """lark's own sort, with literal texts before patterns of the same priority."""
    pattern = terminal.pattern
    is_pattern = not isinstance(pattern, PatternStr)
    return -terminal.priority, is_pattern, -pattern.max_width, -len(pattern.value), terminal.name


def _terminal(terminal: TerminalDef, order: int, parts: Mapping[str, Part], places: _Places) -> Terminal:
    pattern = terminal.pattern
    span = places.pattern(terminal)
    part = parts.get(terminal.name)
    if part is not None and part.is_joined and part.expression is not None:
        definition = replace(part.expression, span=part.expression.span or span)
    elif isinstance(pattern, PatternStr):
        definition = LiteralText(pattern.value, "i" in pattern.flags, span=span)
    else:
        definition = Pattern(pattern.value, "".join(sorted(pattern.flags)), span=span)
    is_keyword = isinstance(pattern, PatternStr)
    return Terminal(terminal.name, definition, terminal.priority, is_keyword, order)


def _fragments(terminals: Iterable[Terminal], parts: Mapping[str, Part]) -> dict[str, GrammarExpression]:
    """What definitions refer to, directly or not."""
    found: dict[str, GrammarExpression] = {}
    agenda = [terminal.definition for terminal in terminals]
    while agenda:
        expression = agenda.pop()
        agenda += children(expression)
        if isinstance(expression, Reference) and expression.name not in found:
            definition = parts[expression.name].expression
            assert definition is not None
            found[expression.name] = definition
            agenda.append(definition)
    return found


class _Places:
    """Finds definitions and patterns in the text of the file; what came from another file has no place."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.context = source.name
        self.definitions: dict[str, Span] = {}
        for found in _DEFINITION.finditer(source.text):
            if not source.text.startswith("//", _first_character(source.text, found.start())):
                self.definitions.setdefault(found[1], Span(source, found.start(1), found.end(1)))

    def definition(self, name: str) -> Span | None:
        return self.definitions.get(name)

    def order(self, name: str) -> tuple[int, str]:
        span = self.definitions.get(name)
        return (span.start if span else len(self.source.text)), name

    def is_public(self, rule: str) -> bool:
        """Whether the rule is the file's own, or imported by this name."""
        if rule.startswith("_") or "{" in rule:
            return False
        return rule in self.definitions or "__" not in rule

    def pattern(self, terminal: TerminalDef) -> Span | None:
        """Where the pattern of a terminal is written, or the terminal's name, or nothing."""
        return self.raw(terminal.pattern, terminal.name)

    def raw(self, pattern: LarkPattern, name: str) -> Span | None:
        """The same for a pattern in a terminal of some name."""
        raw = pattern.raw
        defined = self.definitions.get(name)
        start = self.source.text.find(raw, defined.start if defined else 0) if raw else -1
        return Span(self.source, start, start + len(raw)) if start >= 0 and raw else defined

    def declared(self, terminal: str) -> Diagnostic:
        return mistakes.declared_terminal(terminal, self.word(terminal), self.context)

    def word(self, name: str) -> Span | None:
        """The first use of a name outside comments and its own definition."""
        uses = re.finditer(rf"(?<!\w){re.escape(name)}(?!\w)", self.source.text)
        for use in uses:
            line_start = self.source.text.rfind("\n", 0, use.start()) + 1
            if "//" not in self.source.text[line_start : use.start()]:
                return Span(self.source, use.start(), use.end())
        return None

    def explain(self, error: Exception) -> Diagnostic:
        """One of lark's exceptions as a diagnostic, with its place if it says or implies one."""
        message = str(error)
        if isinstance(error, OSError):
            path = str(error.filename or "")
            return mistakes.missing_import(path, self.import_of(path), self.context)
        undefined = _UNDEFINED.search(message)
        if undefined:
            name = undefined[1] or undefined[2]
            near = next(
                iter(get_close_matches(name, [n for n in self.definitions if n.isupper() == name.isupper()], 1)), ""
            )
            line = self.source.position(self.definitions[near].start)[0] if near else 0
            return mistakes.undefined_rule(name, self.word(name), near, line, self.context)
        if isinstance(error, UnexpectedInput):
            reason, line, column = f"unexpected {_what_came(error)}", error.line, error.column
        elif position := _POSITION.search(message):
            line, column = int(position[1]), int(position[2])
            reason = message[: position.start()].rstrip(" ,") or "unexpected input"
        else:
            return mistakes.unreadable_grammar(
                message.splitlines()[0] if message else type(error).__name__, self.named_in(message), self.context
            )
        return mistakes.unreadable_grammar(_lowered(reason), self.at(line, column), self.context)

    def at(self, line: int, column: int) -> Span | None:
        """One character, or nothing for a place behind the text (which may belong to another file).

        What is wrong at the end of a line is shown at its last character.
        """
        if not 0 < line <= len(self.source.line_starts):
            return None
        start = self.source.line_starts[line - 1]
        last = len(self.source.line(line).rstrip()) - 1
        offset = start + max(min(column - 1, last), 0)
        return Span(self.source, offset, min(offset + 1, len(self.source.text)))

    def import_of(self, path: str) -> Span | None:
        """The `%import` line whose dotted path is the file's."""
        dotted = re.escape(path.removesuffix(".lark").replace("\\", "/").replace("/", "."))
        found = re.search(rf"^%import[ \t]+\.?({dotted})\b", self.source.text, re.MULTILINE)
        return Span(self.source, found.start(1), found.end(1)) if found else None

    def named_in(self, message: str) -> Span | None:
        """The definition of the first name that a message mentions."""
        return next((self.definitions[word] for word in re.findall(r"\w+", message) if word in self.definitions), None)


def _what_came(error: UnexpectedInput) -> str:
    token = getattr(error, "token", None)
    text = str(token).strip() if token is not None else ""
    return f"`{text}`" if text else "end of line"


def _first_character(text: str, position: int) -> int:
    while position < len(text) and text[position] in " \t":
        position += 1
    return position


def _lowered(reason: str) -> str:
    return reason[:1].lower() + reason[1:]
