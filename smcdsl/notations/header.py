"""The header of a library's `.lark` file: comment lines that lark passes over.

    // smcdsl: lexing longest                        | contextual
    // smcdsl: boundaries clause column table
    // smcdsl: boundary clause where_clause order_clause
    // smcdsl: grammar select(schema: sqlite | json = null) specialize smcdsl.potentials.sql:specialize
    // smcdsl: doc select One SELECT statement.
    // smcdsl: indenter newline=_NEWLINE indent=_INDENT dedent=_DEDENT open=LPAR,LSQB close=RPAR,RSQB tab=8
    // smcdsl: refused MALFORMED_NUMBER

`boundary` gathers the sites of several rules under one name. A `refused` terminal takes part in longest match and
stands in no rule: no text has a lexeme that is one.

Reading it runs nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from smcdsl.errors import CompileError, Source, Span
from smcdsl.notations import mistakes
from smcdsl.program.grammar import Indenter, Lexing
from smcdsl.program.types import Parameter, parse_type


@dataclass(frozen=True)
class GrammarDeclaration:
    """A grammar that a library offers: the rule to start with, and what may be asked of it.

    `specialize` is `module:function` to call when it is bound to values, or empty.
    """

    name: str
    parameters: tuple[Parameter, ...] = ()
    specialize: str = ""
    span: Span | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class LarkHeader:
    """What the header says; `boundaries` is None when it does not say."""

    lexing: Lexing = "longest"
    boundaries: tuple[str, ...] | None = None
    boundary_of: Mapping[str, str] = field(default_factory=dict)
    grammars: tuple[GrammarDeclaration, ...] = ()
    docs: Mapping[str, str] = field(default_factory=dict)
    indenter: Indenter | None = None
    indenter_span: Span | None = field(default=None, repr=False, compare=False)
    refused: tuple[str, ...] = ()
    spans: Mapping[str, Span] = field(default_factory=dict, repr=False, compare=False)
    """Where the rules of `boundary` and the terminals of `refused` are named."""

    def grammar(self, name: str) -> GrammarDeclaration | None:
        """The declaration of grammar `name`."""
        return next((declared for declared in self.grammars if declared.name == name), None)


_LINE = re.compile(r"^[ \t]*//[ \t]*smcdsl:[ \t]*(?P<word>\S*)[ \t]*(?P<rest>.*?)[ \t\r]*$", re.MULTILINE)
_GRAMMAR = re.compile(r"(?P<name>\w+)\s*(?:\((?P<parameters>.*)\))?\s*(?:\bspecialize\s+(?P<specialize>[\w.]+:\w+))?")
_PARAMETER = re.compile(r"\s*(?P<name>\w+)\s*:\s*(?P<type>[^=]+?)\s*(?:=\s*(?P<default>.+?))?\s*")
_INDENTER_KEYS = ("newline", "indent", "dedent", "open", "close", "tab", "first")
_WORDS = {"null": None, "true": True, "false": False}


def read_header(text: str, name: str = "<lark>") -> LarkHeader:
    """Read the header lines of a `.lark` file; lines without `// smcdsl:` do not matter.

    Raises:
        CompileError: with every line that cannot be read.
    """
    source = Source(name, text)
    lexing: Lexing = "longest"
    boundaries: tuple[str, ...] | None = None
    grammars: list[GrammarDeclaration] = []
    docs: dict[str, str] = {}
    indenter: Indenter | None = None
    indenter_span: Span | None = None
    boundary_of: dict[str, str] = {}
    refused: list[str] = []
    spans: dict[str, Span] = {}
    problems = []
    for line in _LINE.finditer(text):
        span = Span(source, line.start("word"), max(line.end("rest"), line.end("word")))
        word, rest = line["word"], line["rest"]
        try:
            if word == "lexing" and rest in ("longest", "contextual"):
                lexing = "contextual" if rest == "contextual" else "longest"
            elif word == "lexing":
                raise ValueError("lexing is `longest` or `contextual`")
            elif word == "boundaries":
                boundaries = tuple(dict.fromkeys([*(boundaries or ()), *rest.split()]))
            elif word == "boundary":
                name, *rules = rest.split() or [""]
                if not rules:
                    raise ValueError("expected `boundary NAME RULE ...`")
                boundaries = tuple(dict.fromkeys([*(boundaries or ()), name]))
                boundary_of.update((rule, name) for rule in rules)
                spans.update((rule, span) for rule in rules)
            elif word == "refused":
                refused += rest.split()
                spans.update((terminal, span) for terminal in rest.split())
            elif word == "grammar":
                grammars.append(_declaration(rest, span))
            elif word == "doc":
                subject, _, doc = rest.partition(" ")
                docs[subject] = " ".join(filter(None, (docs.get(subject), doc.strip())))
            elif word == "indenter":
                indenter, indenter_span = _indenter(rest), span
            else:
                known = ("lexing", "boundaries", "boundary", "grammar", "indenter", "refused")
                raise ValueError(f"expected {', '.join(f'`{each}`' for each in known)} or `doc`")
        except ValueError as error:
            problems.append(mistakes.bad_header(str(error), span))
    if problems:
        raise CompileError(problems)
    return LarkHeader(
        lexing, boundaries, boundary_of, tuple(grammars), docs, indenter, indenter_span, tuple(refused), spans
    )


def _indenter(text: str) -> Indenter:
    found: dict[str, str] = {}
    for part in text.split():
        key, equals, value = part.partition("=")
        if key not in _INDENTER_KEYS or not equals or not value or key in found:
            raise ValueError(f"expected `indenter` with {', '.join(f'`{k}=`' for k in _INDENTER_KEYS)}, not `{part}`")
        found[key] = value
    missing = [key for key in ("newline", "indent", "dedent") if key not in found]
    if missing:
        raise ValueError(f"`indenter` lacks `{missing[0]}=TERMINAL`")
    tab = found.get("tab", "8")
    if not tab.isdecimal() or not 1 <= int(tab) <= 16:
        raise ValueError(f"`tab={tab}` is not a number of columns from 1 to 16")
    opens, closes = (tuple(filter(None, found.get(key, "").split(","))) for key in ("open", "close"))
    if len(opens) != len(closes):
        raise ValueError("`open=` and `close=` name as many terminals each, in the same order")
    if found.get("first", "0") != "0":
        raise ValueError(f"`first={found['first']}`: the first line begins at column 0, or say nothing")
    return Indenter(found["newline"], found["indent"], found["dedent"], opens, closes, int(tab), "first" in found)


def _declaration(text: str, span: Span) -> GrammarDeclaration:
    found = _GRAMMAR.fullmatch(text)
    if found is None:
        raise ValueError("expected `grammar NAME(PARAMETERS) specialize MODULE:FUNCTION`")
    parameters = tuple(_parameter(part) for part in _split_at_commas(found["parameters"] or ""))
    return GrammarDeclaration(found["name"], parameters, found["specialize"] or "", span)


def _split_at_commas(text: str) -> list[str]:
    """The parts between commas that stand outside quotes and brackets."""
    parts, depth, quoted, start = [], 0, False, 0
    position = 0
    while position < len(text):
        character = text[position]
        if quoted:
            position += character == "\\"
            quoted = character != '"'
        elif character == '"':
            quoted = True
        elif character in "[{(":
            depth += 1
        elif character in "]})":
            depth -= 1
        elif character == "," and depth == 0:
            parts.append(text[start:position])
            start = position + 1
        position += 1
    return [part for part in (*parts, text[start:]) if part.strip()]


def _parameter(text: str) -> Parameter:
    found = _PARAMETER.fullmatch(text)
    if found is None:
        raise ValueError(f"expected `NAME: TYPE = DEFAULT`, not `{text.strip()}`")
    type_ = parse_type(found["type"])
    if found["default"] is None:
        return Parameter(found["name"], type_)
    return Parameter(found["name"], type_, required=False, default=_value(found["default"]))


def _value(text: str) -> object:
    if text in _WORDS:
        return _WORDS[text]
    try:
        return json.loads(text)
    except ValueError as error:
        raise ValueError(
            f"`{text}` is not a value; write a number, a text in double quotes, true, false or null"
        ) from error
