"""From lark's trees to expressions and grammar expressions, with spans of the file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

from lark import Token, Tree

from smcdsl.errors import Diagnostic, Source, Span
from smcdsl.language import mistakes_syntax as mistakes
from smcdsl.language.syntax import Word
from smcdsl.language.templates import open_quotes, plain_pieces
from smcdsl.program import expressions as ex
from smcdsl.program import grammar as gr

Node = Tree[Token]

_SECONDS = {"ms": 0.001, "s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0}
_WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None}
_MAX_DIGITS = 400


class ExpressionBuilder:
    """Builds nodes of one text that begins at offset `base` of the source; collects what is wrong."""

    def __init__(self, source: Source, base: int, diagnostics: list[Diagnostic]) -> None:
        self.source = source
        self.base = base
        self.diagnostics = diagnostics
        self.allows_durations = False

    # ---- places and words

    def span(self, node: Node | Token) -> Span:
        """Where a node stands in the file."""
        if isinstance(node, Token):
            return Span(self.source, self.base + (node.start_pos or 0), self.base + (node.end_pos or 0))
        return Span(self.source, self.base + node.meta.start_pos, self.base + node.meta.end_pos)

    def word(self, token: Token) -> Word:
        """A name with its place."""
        return Word(str(token), self.span(token))

    def dotted(self, node: Node) -> tuple[str, ...]:
        """The names of `a.b.c`."""
        return tuple(str(token) for token in tokens(node))

    def plain_text(self, node: Node) -> str:
        """The value of a string that is no template."""
        token = tokens(node)[0]
        return self.decode(token)

    def decode(self, token: Token) -> str:
        """The value of a quoted token, escapes replaced."""
        text, offset = str(token), self.base + (token.start_pos or 0)
        parts: list[str] = []
        for piece in plain_pieces(text, open_quotes(text, 0, len(text))):
            if piece.flaw:
                self.diagnostics.append(
                    mistakes.unknown_escape(Span(self.source, offset + piece.start, offset + piece.end))
                )
            parts.append(piece.text)
        return "".join(parts)

    # ---- expressions

    def expression(self, node: Node) -> ex.Expression:
        """Any expression."""
        return cast(ex.Expression, getattr(self, f"_{node.data}")(node))

    def _name(self, node: Node) -> ex.Expression:
        return ex.Name(self.span(node), str(tokens(node)[0]))

    def _text_constant(self, node: Node) -> ex.Expression:
        return ex.Constant(self.span(node), self.plain_text(trees(node)[0]))

    def _word_constant(self, node: Node) -> ex.Expression:
        return ex.Constant(self.span(node), _WORDS[str(tokens(node)[0])])

    def _number(self, node: Node) -> ex.Expression:
        return ex.Constant(self.span(node), self._number_value(tokens(node)[0]))

    def _number_value(self, token: Token) -> int | float:
        if token.type == "INT" and len(token) <= _MAX_DIGITS:
            return int(token)
        value = float(token)
        if token.type == "INT" or not math.isfinite(value):
            self.diagnostics.append(mistakes.bad_literal(self.span(token), "this number is too large"))
            return 0
        return value

    def _duration(self, node: Node) -> ex.Expression:
        token = tokens(node)[0]
        unit = next(unit for unit in _SECONDS if token.endswith(unit))
        if not self.allows_durations:
            self.diagnostics.append(
                mistakes.bad_literal(self.span(token), "a duration has no place here", "durations are for settings")
            )
        return ex.Duration(self.span(node), float(token.removesuffix(unit)) * _SECONDS[unit])

    def _binary(self, node: Node) -> ex.Expression:
        left, operator, right = node.children
        operator = cast(Token, operator)
        return ex.Binary(
            self.span(node),
            cast(Any, str(operator)),
            self.expression(cast(Node, left)),
            self.expression(cast(Node, right)),
            self.span(operator),
        )

    def _unary(self, node: Node) -> ex.Expression:
        operator, operand = node.children
        return ex.Unary(self.span(node), cast(Any, str(operator)), self.expression(cast(Node, operand)))

    def _field(self, node: Node) -> ex.Expression:
        name = tokens(node)[0]
        return ex.Field(self.span(node), self.expression(trees(node)[0]), str(name), self.span(name))

    def _index(self, node: Node) -> ex.Expression:
        base, index = trees(node)
        return ex.Index(self.span(node), self.expression(base), self.expression(index))

    def _maybe(self, node: Node) -> ex.Expression:
        return ex.Maybe(self.span(node), self.expression(trees(node)[0]))

    def _call(self, node: Node) -> ex.Expression:
        callee, arguments = trees(node)
        path = _path(self.expression(callee))
        if path is None:
            self.diagnostics.append(
                mistakes.unexpected(self.span(callee), "this call", "only names such as `sql.runs` can be called")
            )
            path = ("",)
        return ex.Call(self.span(node), path, self.span(callee), self.arguments(arguments))

    def arguments(self, node: Node) -> tuple[ex.Argument, ...]:
        """What stands between the brackets of a call."""
        return tuple(self._argument(argument) for argument in trees(node))

    def _argument(self, node: Node) -> ex.Argument:
        value = self.expression(trees(node)[0])
        names = tokens(node)
        return ex.Argument(value, str(names[0]), self.span(names[0])) if names else ex.Argument(value)

    def _record(self, node: Node) -> ex.Expression:
        fields = tuple((str(tokens(field)[0]), self.expression(trees(field)[0])) for field in trees(node))
        return ex.Record(self.span(node), fields)

    def _list_of(self, node: Node) -> ex.Expression:
        return ex.ListOf(self.span(node), tuple(self.expression(item) for item in trees(node)))

    # ---- grammar expressions

    def grammar(self, node: Node) -> gr.GrammarExpression:
        """Any grammar expression."""
        return cast(gr.GrammarExpression, getattr(self, f"_grammar_{node.data}")(node))

    def _grammars(self, node: Node) -> tuple[gr.GrammarExpression, ...]:
        return tuple(self.grammar(item) for item in trees(node))

    def _grammar_literal(self, node: Node) -> gr.GrammarExpression:
        return gr.LiteralText(self.plain_text(trees(node)[0]), span=self.span(node))

    def _grammar_pattern(self, node: Node) -> gr.Pattern:
        return self._pattern(tokens(node)[0])

    def _pattern(self, token: Token) -> gr.Pattern:
        regex, _, flags = str(token)[1:].rpartition("/")
        unknown = [index for index, flag in enumerate(flags) if flag not in "imsx"]
        if unknown:
            span = self.span(token)
            start = span.end - len(flags)
            self.diagnostics.append(
                mistakes.bad_literal(
                    Span(self.source, start, span.end),
                    f"`{flags[unknown[0]]}` is not a flag of regular expressions",
                    "flags are i, m, s and x",
                )
            )
            flags = ""
        return gr.Pattern(regex, flags, span=self.span(token))

    def _grammar_reference(self, node: Node) -> gr.GrammarExpression:
        return gr.Reference(self.dotted(trees(node)[0]), span=self.span(node))

    def _grammar_reference_call(self, node: Node) -> gr.GrammarExpression:
        path = tuple(str(tokens(node)[0]).split("."))
        return gr.Reference(path, self.arguments(trees(node)[0]), span=self.span(node))

    def _grammar_concatenation(self, node: Node) -> gr.GrammarExpression:
        return gr.Concatenation(self._grammars(node), span=self.span(node))

    def _grammar_alternatives(self, node: Node) -> gr.GrammarExpression:
        return gr.Alternatives(self._grammars(node), span=self.span(node))

    def _grammar_intersection(self, node: Node) -> gr.GrammarExpression:
        left, right = self._grammars(node)
        return gr.Intersection(left, right, span=self.span(node))

    def _grammar_difference(self, node: Node) -> gr.GrammarExpression:
        left, right = self._grammars(node)
        return gr.Difference(left, right, span=self.span(node))

    def _grammar_repeat(self, node: Node) -> gr.GrammarExpression:
        token = tokens(node)[0]
        least, most = self._bounds(token)
        return gr.Repeat(self.grammar(trees(node)[0]), least, most, span=self.span(node))

    def _bounds(self, token: Token) -> tuple[int, int | None]:
        if str(token) in "*+?":
            return {"*": (0, None), "+": (1, None), "?": (0, 1)}[str(token)]
        first, comma, second = (part.strip() for part in str(token)[1:-1].partition(","))
        if len(first) > 9 or len(second) > 9:
            self.diagnostics.append(mistakes.bad_literal(self.span(token), "this repetition is too large"))
            return 0, None
        least = int(first or 0)
        most = least if not comma else int(second) if second else None
        if most is not None and most < least:
            self.diagnostics.append(
                mistakes.bad_literal(
                    self.span(token), "this repetition is empty", f"at least {least} and at most {most} times"
                )
            )
            return most, least
        return least, most

    def _grammar_restricted(self, node: Node) -> gr.GrammarExpression:
        item, *conditions = trees(node)
        built = tuple(self._condition(condition) for condition in conditions)
        return gr.Restricted(self.grammar(item), built, span=self.span(node))

    def _condition(self, node: Node) -> gr.Condition:
        if node.data == "match":
            verb, pattern = tokens(node)
            return gr.Matches(self._pattern(pattern), verb.type == "EXCLUDES", self.span(node))
        unit, *bounds = trees(node)
        name = cast(gr.Unit, str(tokens(unit)[0]))
        if node.data == "limit_range":
            least, most = (self._bound(bound) for bound in bounds)
            return gr.Limit(name, least, most, self.span(node))
        return self._compared(name, tokens(node)[0], bounds[0], self.span(node))

    def _compared(self, unit: gr.Unit, operator: Token, node: Node, span: Span) -> gr.Limit:
        bound = self._bound(node)
        match str(operator):
            case "<=":
                return gr.Limit(unit, None, bound, span)
            case "<":
                return gr.Limit(unit, None, self._shifted(bound, -1, operator), span)
            case ">=":
                return gr.Limit(unit, bound, None, span)
            case ">":
                return gr.Limit(unit, self._shifted(bound, 1, operator), None, span)
            case "==":
                return gr.Limit(unit, bound, bound, span)
            case _:
                self.diagnostics.append(
                    mistakes.unexpected(self.span(operator), "`!=`", "limits are <, <=, >, >=, == or `in a..b`")
                )
                return gr.Limit(unit, None, None, span)

    def _bound(self, node: Node) -> int | ex.Expression:
        bound = self.expression(node)
        if isinstance(bound, ex.Constant) and type(bound.value) is int:
            return bound.value
        return bound

    def _shifted(self, bound: int | ex.Expression, by: int, operator: Token) -> int | ex.Expression:
        """The bound of a strict comparison as that of a loose one."""
        if isinstance(bound, int):
            return bound + by
        one = ex.Constant(bound.span, 1)
        return ex.Binary(bound.span, "+" if by > 0 else "-", bound, one, self.span(operator))


def trees(node: Node) -> Sequence[Node]:
    """The children that are trees."""
    return [child for child in node.children if isinstance(child, Tree)]


def tokens(node: Node) -> Sequence[Token]:
    """The children that are tokens (newlines left out)."""
    return [child for child in node.children if isinstance(child, Token)]


def _path(callee: ex.Expression) -> tuple[str, ...] | None:
    """The dotted name of what is called."""
    if isinstance(callee, ex.Name):
        return (callee.name,)
    if isinstance(callee, ex.Field):
        base = _path(callee.base)
        return None if base is None else (*base, callee.name)
    return None
