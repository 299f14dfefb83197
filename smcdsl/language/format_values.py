"""Expressions, grammars and texts as the formatter writes them.

Literals are copied from the source, so that an author's spelling of a text or a number stays. Brackets
are written where the tree needs them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from smcdsl.errors import Span
from smcdsl.language import syntax as sx
from smcdsl.language.templates import open_quotes
from smcdsl.program import expressions as ex
from smcdsl.program import grammar as gr
from smcdsl.program import statements as st

_OR, _AND, _NOT, _COMPARISON, _SUM, _PRODUCT, _SIGNED, _POWER, _POSTFIX = range(1, 10)
_BINARY = {
    "or": (_OR, _OR, _AND),
    "and": (_AND, _AND, _NOT),
    **dict.fromkeys(("==", "!=", "<", "<=", ">", ">=", "in"), (_COMPARISON, _SUM, _SUM)),
    **dict.fromkeys(("+", "-"), (_SUM, _SUM, _PRODUCT)),
    **dict.fromkeys(("*", "/"), (_PRODUCT, _PRODUCT, _SIGNED)),
    "^": (_POWER, _POSTFIX, _SIGNED),
}
"""operator -> its own level, the least level of its left and of its right side."""

_WHERE, _ALTERNATIVES, _SET, _SEQUENCE, _ITEM, _ATOM = range(6)

_COMPARED = re.compile(r"\w+\s*(<=|>=|==|<|>)")
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r", "\0": "\\0"}


# ---- expressions


def expression(node: ex.Expression, level: int = 0, indent: int = 0) -> str:
    """An expression; in brackets if it binds less tightly than `level`. `indent` is for text blocks in it."""
    text, own = _expression(node, indent)
    return f"({text})" if own < level else text


def _expression(node: ex.Expression, indent: int) -> tuple[str, int]:
    match node:
        case ex.Binary(operator=operator, left=left, right=right):
            own, least_left, least_right = _BINARY[operator]
            sides = expression(left, least_left, indent), expression(right, least_right, indent)
            return f" {operator} ".join(sides), own
        case ex.Unary(operator="not", operand=operand):
            return f"not {expression(operand, _NOT, indent)}", _NOT
        case ex.Unary(operand=operand):
            return f"-{expression(operand, _SIGNED, indent)}", _SIGNED
        case ex.Field(base=base, name=name):
            return f"{expression(base, _POSTFIX, indent)}.{name}", _POSTFIX
        case ex.Index(base=base, index=index):
            return f"{expression(base, _POSTFIX, indent)}[{expression(index, 0, indent)}]", _POSTFIX
        case ex.Maybe(operand=operand):
            return f"{expression(operand, _POSTFIX, indent)}?", _POSTFIX
        case ex.Call(path=path, arguments=given):
            return f"{'.'.join(path)}({arguments(given, indent)})", _POSTFIX
        case ex.Record(fields=fields):
            return _record(fields, indent), _POSTFIX
        case ex.ListOf(items=items):
            return f"[{', '.join(expression(item, 0, indent) for item in items)}]", _POSTFIX
        case ex.Name(name=name):
            return name, _POSTFIX
        case ex.Constant(value=str()):
            return quoted(node.span, indent), _POSTFIX
    return node.span.text, _POSTFIX


def arguments(given: Iterable[ex.Argument], indent: int = 0) -> str:
    """What stands between the brackets of a call."""
    return ", ".join(
        f"{argument.name}: {expression(argument.value, 0, indent)}"
        if argument.name
        else expression(argument.value, 0, indent)
        for argument in given
    )


def _record(fields: Iterable[tuple[str, ex.Expression]], indent: int) -> str:
    inside = ", ".join(f"{name}: {expression(value, 0, indent)}" for name, value in fields)
    return f"{{ {inside} }}" if inside else "{}"


# ---- grammars


def grammar(node: gr.GrammarExpression, level: int = 0, indent: int = 0) -> str:
    """A grammar expression; in brackets if it binds less tightly than `level`."""
    text, own = _grammar(node, indent)
    return f"({text})" if own < level else text


def alternatives(node: gr.Alternatives, indent: int = 0) -> list[str]:
    """The alternatives of a union, each as it stands between the bars."""
    return [grammar(item, _SET, indent) for item in node.items]


def restricted_item(node: gr.Restricted, indent: int = 0) -> str:
    """What stands before `where`."""
    return grammar(node.item, _ALTERNATIVES, indent)


def conditions(node: gr.Restricted) -> str:
    """What stands behind `where`."""
    return ", ".join(_condition(condition) for condition in node.conditions)


def _grammar(node: gr.GrammarExpression, indent: int) -> tuple[str, int]:
    match node:
        case gr.Restricted():
            return f"{restricted_item(node, indent)} where {conditions(node)}", _WHERE
        case gr.Alternatives():
            return " | ".join(alternatives(node, indent)), _ALTERNATIVES
        case gr.Intersection(left=left, right=right):
            return f"{grammar(left, _SET, indent)} & {grammar(right, _SEQUENCE, indent)}", _SET
        case gr.Difference(left=left, right=right):
            return f"{grammar(left, _SET, indent)} - {grammar(right, _SEQUENCE, indent)}", _SET
        case gr.Concatenation(items=items):
            return " ".join(grammar(item, _ITEM, indent) for item in items), _SEQUENCE
        case gr.Repeat(item=item):
            return grammar(item, _ATOM, indent) + _times(node), _ITEM
        case gr.Reference(arguments=given):
            return node.name + (f"({arguments(given, indent)})" if given is not None else ""), _ATOM
        case gr.Pattern(regex=regex, flags=flags):
            return f"/{regex}/{flags}", _ATOM
    assert isinstance(node, gr.LiteralText), f"no syntax for {node}"
    assert node.span is not None, "nodes of the parser have places"
    return quoted(node.span, indent), _ATOM


def _times(node: gr.Repeat) -> str:
    known = {(0, None): "*", (1, None): "+", (0, 1): "?"}
    if (node.least, node.most) in known:
        return known[node.least, node.most]
    if node.least == node.most:
        return f"{{{node.least}}}"
    return f"{{{node.least},{'' if node.most is None else node.most}}}"


def _condition(condition: gr.Condition) -> str:
    if isinstance(condition, gr.Matches):
        return f"{'excludes' if condition.excludes else 'matches'} {grammar(condition.pattern)}"
    compared = _COMPARED.match(condition.span.text) if condition.span else None
    if compared is None:
        return f"{condition.unit} in {_bound(condition.least)}..{_bound(condition.most)}"
    operator = compared.group(1)
    bound = condition.least if operator in (">", ">=", "==") else condition.most
    return f"{condition.unit} {operator} {_written_bound(bound, operator)}"


def _written_bound(bound: int | ex.Expression | None, operator: str) -> str:
    """The bound of a comparison as written: the tree holds that of `<=` or `>=`."""
    shift = {"<": 1, ">": -1}.get(operator, 0)
    if isinstance(bound, int):
        return str(bound + shift)
    return _bound(bound.left if shift and isinstance(bound, ex.Binary) else bound)


def _bound(bound: int | ex.Expression | None) -> str:
    return expression(bound, _SUM) if isinstance(bound, ex.Expression) else str(bound)


# ---- types and texts


def type_expression(node: sx.TypeExpression) -> str:
    """A type."""
    if node.item is not None:
        return f"list[{type_expression(node.item)}]"
    return " | ".join(map(quote, node.choices)) if node.choices else node.name


def quote(text: str) -> str:
    """A text as a string of the language."""
    escaped = "".join(_ESCAPES.get(char, char if char.isprintable() else f"\\u{{{ord(char):x}}}") for char in text)
    return f'"{escaped}"'


def quoted(span: Span, indent: int) -> str:
    """A string as the author wrote it; a block is moved to the indentation."""
    return _requoted(span, {}, indent)


def template(node: st.Template, indent: int) -> str:
    """A text of a turn: given text as written, insertions and holes in the one layout."""
    changed: dict[int, tuple[int, str]] = {}
    for part in node.parts:
        if isinstance(part, st.Insert):
            changed[part.span.start] = part.span.end, f"{{{{ {expression(part.expression)} }}}}"
        elif isinstance(part, st.Hole):
            name = part.name + ("[]" if part.collects else "")
            changed[part.span.start] = part.span.end, f"[[{name}: {grammar(part.grammar)}]]"
    return _requoted(node.span, changed, indent)


def _requoted(span: Span, changed: dict[int, tuple[int, str]], indent: int) -> str:
    text = span.source.text
    content = open_quotes(text, span.start, span.end)
    raw = "r" if content.is_raw else ""
    lines = [_with_changes(text, start, end, changed) for start, end in content.ranges]
    if not content.is_block:
        return f'{raw}"{lines[0]}"'
    if "\n" not in span.text:
        return f'{raw}"""{"".join(lines)}"""'
    margin = " " * indent
    after_opening = span.text[len(raw) + 3 :].split("\n")[0]
    closing = span.text[:-3].rsplit("\n", 1)[1]
    parts = [line.rstrip("\r\n") for line in lines]
    if after_opening.strip():
        written = [parts[0], *_indented(parts[1:], margin)]
    else:
        written = ["", *_indented(parts, margin)]
    if not closing.strip(" \t"):
        written.append(margin)
    return f'{raw}"""' + "\n".join(written) + '"""'


def _indented(lines: Iterable[str], margin: str) -> list[str]:
    return [margin + line if line else "" for line in lines]


def _with_changes(text: str, start: int, end: int, changed: dict[int, tuple[int, str]]) -> str:
    parts: list[str] = []
    position = start
    for place in sorted(place for place in changed if start <= place < end):
        stop, replacement = changed[place]
        parts += [text[position:place], replacement]
        position = stop
    return "".join([*parts, text[position:end]])
