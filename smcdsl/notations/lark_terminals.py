"""Terminals of a `.lark` file, each put together once.

lark writes a terminal out wherever another one uses it, and reads the whole of it again to know how long its matches
are; so would every reader after it. Half a second went into the f-strings of Python, 53,000 characters made of 2,000.
Here the definition of a terminal refers to others by name, and lark gets its pattern written out, with the widths that
follow from those of its parts.

lark joins texts, not languages: in `/a|b/ "c"` the `c` belongs to `b` alone. Where a part does not stand for itself,
the pattern is read from the text that lark makes.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lark import Tree
from lark.lexer import Pattern as LarkPattern
from lark.lexer import PatternRE, PatternStr
from lark.load_grammar import PrepareLiterals, TerminalTreeToPattern
from lark.utils import get_regexp_width

from smcdsl.errors import Span
from smcdsl.program.grammar import (
    Alternatives,
    Concatenation,
    GrammarExpression,
    LiteralText,
    Pattern,
    Reference,
    Repeat,
)

LONGEST = 4_000_000
"""Characters of a pattern that is written out."""

MOST_USES = 30_000
"""Uses of terminals within one terminal, those within the used ones included: lark follows each while it reads."""

_WITHOUT_END = int(get_regexp_width("a*")[1])
_PIECE = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\{\d+(?:,\d*)?\}|\{,\d+\}|\(\?:|.", re.DOTALL)
_DEFINITION = re.compile(
    r"^[ \t]*(?:%(?:override|extend)[ \t]+)?(_?[A-Z][_A-Z0-9]*)(?:\.-?\d+)?[ \t]*:(?!:)", re.MULTILINE
)
_OTHER_START = re.compile(r"^[ \t]*(?:%\w|[?!]*_?[a-z]\w*[^\n:]*:)", re.MULTILINE)
_TEXT = re.compile(r'"(?:\\.|[^"\\\n])*"|/(?![/*])(?:\\.|[^/\\\n])*/|//[^\n]*')
_NAME = re.compile(r"(?<![A-Za-z0-9_])_?[A-Z][_A-Z0-9]*(?![A-Za-z0-9_])")
_NOT_ALONE = re.compile(r"\\[AZbB0-9]|[\^${]")


Place = Callable[[LarkPattern, str], Span | None]


class BadTerminal(Exception):
    """A terminal cannot be put together."""

    def __init__(self, terminal: str, reason: str) -> None:
        super().__init__(reason)
        self.terminal, self.reason = terminal, reason


@dataclass(frozen=True)
class Part:
    """A terminal or a part of one.

    Attributes:
        pattern: as lark makes it.
        expression: the same language; None if the pattern has a meaning only as a part of a longer text.
        is_open: whether an alternative on the outside would take in what stands beside it.
        is_joined: whether lark would have joined texts.
    """

    pattern: LarkPattern
    expression: GrammarExpression | None
    is_open: bool = False
    is_joined: bool = False


def refuse_doubling(text: str) -> None:
    """Refuse terminals that use terminals that use terminals too often, before lark follows all of them.

    Raises:
        BadTerminal: there is one.
    """
    uses = dict(_uses_by_text(_TEXT.sub(" ", text)))
    known: dict[str, int] = {}
    for name in _inner_first(uses, uses.__getitem__):
        # A circle counts once here: lark tells about those.
        known[name] = 1 + sum(known.get(used, 1) for used in uses[name])
        if known[name] > MOST_USES:
            raise BadTerminal(name, f"other terminals are used more than {MOST_USES:,} times in this")


def _inner_first(names: Iterable[str], uses: Callable[[str], Iterable[str]]) -> list[str]:
    """Names and all that they use, users last."""
    order: dict[str, None] = {}
    entered: set[str] = set()
    for first in names:
        agenda = [(first, False)]
        while agenda:
            name, is_ready = agenda.pop()
            if is_ready:
                order[name] = None
            elif name not in entered:
                entered.add(name)
                agenda.append((name, True))
                agenda += [(used, False) for used in uses(name)]
    return list(order)


def _uses_by_text(text: str) -> Iterator[tuple[str, list[str]]]:
    starts = [found.start() for found in _OTHER_START.finditer(text)]
    heads = list(_DEFINITION.finditer(text))
    ends = sorted([*starts, *(head.start() for head in heads), len(text)])
    names = {head[1] for head in heads}
    for head in heads:
        end = ends[bisect_left(ends, head.end())]
        yield head[1], [name for name in _NAME.findall(text[head.end() : end]) if name in names]


def compose(trees: Mapping[str, Tree[Any]], place: Place) -> dict[str, Part]:
    """All terminals, by name.

    Args:
        trees: their definitions, in which a use of a terminal is the tree of that terminal, not a copy.
        place: where a pattern in a terminal of some name is written.

    Raises:
        BadTerminal: one cannot be put together.
    """
    composer = _Composer({id(tree): name for name, tree in trees.items()}, place)
    for name in _inner_first(trees, lambda name: _uses(trees[name], composer.names)):
        composer.owner = name
        composer.parts[name] = composer.part(trees[name])
    return composer.parts


def _uses(tree: Tree[Any], names: Mapping[int, str]) -> Iterator[str]:
    agenda = [tree]
    while agenda:
        for child in agenda.pop().children:
            if id(child) in names:
                yield names[id(child)]
            elif isinstance(child, Tree):
                agenda.append(child)


class _Composer:
    """Works up from the leaves; lark's own code joins the texts."""

    def __init__(self, names: dict[int, str], place: Place) -> None:
        self.names, self.place = names, place
        self.parts: dict[str, Part] = {}
        self.owner = ""
        self._joiner: Any = TerminalTreeToPattern()

    def part(self, tree: Tree[Any]) -> Part:
        """A tree that is not that of a finished terminal."""
        if tree.data in ("literal", "range"):
            pattern = PrepareLiterals().transform(Tree(tree.data, list(tree.children))).children[0]
            return _leaf(pattern, self.place(pattern, self.owner))
        parts = [self._child(child) for child in tree.children if isinstance(child, Tree)]
        if tree.data == "value" or (tree.data in ("expansion", "expansions") and len(parts) == 1):
            return parts[0]
        words = [str(child) for child in tree.children if not isinstance(child, Tree)]
        if sum(len(part.pattern.value) for part in parts) > LONGEST:
            raise BadTerminal(self.owner, f"written out, this is longer than {LONGEST:,} characters")
        pattern = self._join(tree, [*(part.pattern for part in parts), *words])
        return _joined(tree.data, words, parts, pattern) if parts else _leaf(pattern)

    def _join(self, tree: Tree[Any], arguments: list[Any]) -> LarkPattern:
        try:
            pattern: LarkPattern = getattr(self._joiner, tree.data)(arguments)
        except Exception as error:
            # Which exceptions there are depends on the engine that lark asks about widths.
            raise BadTerminal(self.owner, str(error)) from error
        return pattern

    def _child(self, tree: Tree[Any]) -> Part:
        name = self.names.get(id(tree))
        if name is None:
            return self.part(tree)
        part = self.parts[name]
        if not part.is_joined or part.expression is None:
            return part
        return Part(part.pattern, Reference((name,)), part.is_open, is_joined=True)


def _joined(kind: str, words: list[str], parts: list[Part], pattern: LarkPattern) -> Part:
    expressions = [part.expression for part in parts if part.expression is not None]
    leaks = kind == "expansion" and any(part.is_open for part in parts)
    if len(expressions) < len(parts) or leaks:
        leaf = _leaf(pattern)
        return Part(pattern, leaf.expression, leaf.is_open, is_joined=True)
    widths = [(part.pattern.min_width, part.pattern.max_width) for part in parts]
    if kind == "expansion":
        width = sum(least for least, _ in widths), sum(most for _, most in widths)
        expression: GrammarExpression = Concatenation(tuple(expressions))
    elif kind == "expansions":
        width = min(least for least, _ in widths), max(most for _, most in widths)
        expression = Alternatives(tuple(expressions))
    else:
        least, most = _counts(words or ["?"])
        low, high = widths[0]
        width = low * least, high * most if most is not None else (_WITHOUT_END if high else 0)
        expression = Repeat(expressions[0], least, most)
    assert isinstance(pattern, PatternRE)
    pattern._width = [min(each, _WITHOUT_END) for each in width]
    return Part(pattern, expression, is_joined=True)


def _counts(words: list[str]) -> tuple[int, int | None]:
    """What `?`, `*`, `+`, `~n` and `~n..m` say."""
    if words[0] == "~":
        return int(words[1]), int(words[-1])
    return {"?": (0, 1), "*": (0, None), "+": (1, None)}[words[0]]


def _leaf(pattern: LarkPattern, span: Span | None = None) -> Part:
    flags = "".join(sorted(pattern.flags))
    if isinstance(pattern, PatternStr) and not flags.strip("i"):
        return Part(pattern, LiteralText(pattern.value, "i" in flags, span=span))
    regex = pattern.value if isinstance(pattern, PatternRE) else re.escape(pattern.value)
    is_open = stands_alone(regex) if not flags.strip("ims") and _is_sound(pattern) else None
    if is_open is None:
        return Part(pattern, None, is_open=True)
    return Part(pattern, Pattern(regex, flags, span=span), is_open=is_open and not flags)


def _is_sound(pattern: LarkPattern) -> bool:
    """Whether lark can read a pattern, which it does to know how long matches are, and then remembers."""
    try:
        return pattern.max_width >= 0
    except Exception:
        return False


def stands_alone(regex: str) -> bool | None:
    """Whether a sound pattern has an alternative outside all groups; None if its meaning may change beside others."""
    depth, is_open, previous = 0, False, ""
    for piece in _PIECE.findall(regex):
        if _NOT_ALONE.fullmatch(piece) or (piece == "?" and previous == "("):
            return None
        depth += (piece[0] == "(") - (piece == ")")
        is_open |= piece == "|" and depth == 0
        previous = piece
    return is_open
