"""The one layout of .smc files.

Two spaces a level, declarations in their canonical order, `=`, settings and the verbs of factors aligned
where lines follow each other. Comments keep their place: before a line, or behind it. One blank line of
the author's stays; a block on one line stays on one line if it fits.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from smcdsl.errors import CompileError, Source, Span
from smcdsl.language import format_values as values
from smcdsl.language import syntax as sx
from smcdsl.language.parser import parse
from smcdsl.program import grammar as gr
from smcdsl.program import statements as st

WIDTH = 100
"""Lines that can be broken are broken beyond this."""

_INDENT = 2
_ORDER: tuple[type[sx.Declaration], ...] = (
    sx.Import,
    sx.InputSyntax,
    sx.ModelBlock,
    sx.GrammarSyntax,
    sx.PotentialSyntax,
    sx.TemplateSyntax,
    sx.Generate,
    sx.ReturnSyntax,
    sx.Infer,
    sx.TestSyntax,
)
_LISTED = (sx.Import, sx.InputSyntax, sx.GrammarSyntax, sx.PotentialSyntax)
"""Declarations that may follow each other without a blank line."""

_BLANK_LINE = re.compile(r"\n[ \t\r]*\n")
_COMMENT_GAP = "  "


def format_source(source: Source) -> str:
    """The text in the one layout.

    Raises:
        CompileError: the text has syntax mistakes; nothing is formatted then.
    """
    tree, diagnostics = parse(source)
    if tree is None or diagnostics:
        raise CompileError(diagnostics)
    return format_tree(tree)


def format_tree(tree: sx.SyntaxTree) -> str:
    """A tree without mistakes as text; formatting that text changes nothing more."""
    return _Formatter(tree).format()


@dataclass
class _Line:
    """A line, or several that belong together, with the comment behind it."""

    text: str
    comment: str = ""


class _Formatter:
    """Writes lines; `pending` are the comments of what is being written, in order."""

    def __init__(self, tree: sx.SyntaxTree) -> None:
        self.tree = tree
        self.text = tree.source.text
        self.lines: list[_Line] = []
        self.pending: list[sx.Comment] = []
        self.last_end: int | None = None
        """Where in the source the last thing written ends; None at the start of a block."""

    def format(self) -> str:
        """The whole file."""
        groups = self._comments_by_owner()
        self.pending = groups.pop(0)
        self._header()
        ordered = sorted(zip(self.tree.declarations, groups, strict=False), key=lambda pair: _rank(pair[0]))
        for index, (declaration, comments) in enumerate(ordered):
            before = ordered[index - 1][0] if index else None
            if before is None or self._stands_apart(before, declaration, comments):
                self._blank()
            group = [item for item, _ in self._group(ordered, index)]
            self.pending = comments
            self.last_end = None
            self._declaration(declaration, group)
        self.pending = groups[-1]
        self.last_end = max((item.span.end for item in self.tree.declarations), default=self._header_end())
        self._flush(len(self.text) + 1, 0)
        return self._joined()

    # ---- comments and lines

    def _comments_by_owner(self) -> list[list[sx.Comment]]:
        """Comments of the header, of each declaration as written, and of the end of the file."""
        ends = [self._header_end(), *(self._line_end(item.span.end) for item in self.tree.declarations)]
        groups: list[list[sx.Comment]] = [[] for _ in range(len(ends) + 1)]
        for comment in self.tree.comments:
            owner = next((index for index, end in enumerate(ends) if comment.span.start < end), len(ends))
            groups[owner].append(comment)
        return groups

    def _header_end(self) -> int:
        edition = re.compile(r"(?:[\s\ufeff]|#[^\n]*)*smc[ \t]+\d+").match(self.text)
        end = edition.end() if edition else 0
        if self.tree.name is not None:
            end = self.tree.name.span.end
        return self._line_end(end)

    def _line_end(self, offset: int) -> int:
        newline = self.text.find("\n", offset)
        return len(self.text) if newline < 0 else newline

    def _write(self, text: str, start: int, end: int, indent: int) -> None:
        """A line for source[start:end]: comments before it, the line, the comment behind it."""
        line_end = self._line_end(end)
        behind = [comment for comment in self.pending if end <= comment.span.start < line_end]
        self._flush(start, indent)
        inside = [comment for comment in self.pending if comment.span.start < end]
        for comment in inside:  # in the middle of what becomes one line
            self.lines.append(_Line(" " * indent + comment.text))
            self.pending.remove(comment)
        self._keep_blank(start)
        for comment in behind:
            self.pending.remove(comment)
        margin = " " * indent
        self.lines.append(_Line(margin + text, " ".join(comment.text for comment in behind)))
        self.last_end = max(end, behind[-1].span.end if behind else end)

    def _flush(self, before: int, indent: int) -> None:
        """The comments that stand before an offset, on lines of their own."""
        while self.pending and self.pending[0].span.start < before:
            comment = self.pending.pop(0)
            self._keep_blank(comment.span.start)
            self.lines.append(_Line(" " * indent + comment.text))
            self.last_end = comment.span.end

    def _keep_blank(self, start: int) -> None:
        if self.last_end is not None and _BLANK_LINE.search(self.text, self.last_end, max(start, self.last_end)):
            self._blank()

    def _blank(self) -> None:
        if self.lines and self.lines[-1].text:
            self.lines.append(_Line(""))

    def _joined(self) -> str:
        """All lines; comments behind lines that follow each other are aligned."""
        written: list[str] = []
        index = 0
        while index < len(self.lines):
            run = index
            while run < len(self.lines) and self.lines[run].comment and "\n" not in self.lines[run].text:
                run += 1
            column = max((len(line.text) for line in self.lines[index:run]), default=0)
            written += [f"{line.text:<{column}}{_COMMENT_GAP}{line.comment}" for line in self.lines[index:run]]
            if run < len(self.lines):
                line = self.lines[run]
                written.append(line.text + (_COMMENT_GAP + line.comment if line.comment else ""))
                run += 1
            index = run
        return "\n".join(written).replace("\r\n", "\n").rstrip("\n") + "\n"

    # ---- the file

    def _header(self) -> None:
        edition = re.compile(r"(?:[\s\ufeff]|#[^\n]*)*").match(self.text)
        start = edition.end() if edition else 0
        self._write(f"smc {self.tree.edition}", start, self._code_end(start), 0)
        name = self.tree.name
        if name is not None:
            summary = "" if self.tree.summary is None else f" {values.quote(self.tree.summary)}"
            if "\n" in self.text[start : name.span.start]:
                self.last_end = None
            self._write(f"{self.tree.kind} {name.text}{summary}", name.span.start, self._code_end(name.span.end), 0)

    def _code_end(self, offset: int) -> int:
        """The end of the line's code: where its comment begins, or its end."""
        end = self._line_end(offset)
        starts = [comment.span.start for comment in self.tree.comments if offset <= comment.span.start < end]
        return min(starts, default=end)

    def _stands_apart(self, before: sx.Declaration, after: sx.Declaration, comments: Sequence[sx.Comment]) -> bool:
        """Whether a blank line separates two declarations."""
        if type(before) is not type(after) or not isinstance(after, _LISTED):
            return True
        if self._is_tall(before) or self._is_tall(after):
            return True
        start = min([after.span.start, *(comment.span.start for comment in comments[:1])])
        earlier = [item.span.end for item in self.tree.declarations if item.span.end <= start]
        return bool(_BLANK_LINE.search(self.text, max(earlier, default=0), start))

    def _is_tall(self, declaration: sx.Declaration) -> bool:
        if isinstance(declaration, sx.GrammarSyntax):
            return bool(declaration.rules) or len(self._grammar_lines(declaration, 0)) > 1
        if isinstance(declaration, sx.PotentialSyntax):
            head = _potential_head(declaration)
            return bool(declaration.settings) and self._inline_settings(head, declaration.settings) is None
        return False

    def _group(
        self, ordered: Sequence[tuple[sx.Declaration, list[sx.Comment]]], index: int
    ) -> Sequence[tuple[sx.Declaration, list[sx.Comment]]]:
        """The declarations around one that follow each other without a blank line."""
        first = last = index
        while first and not self._stands_apart(ordered[first - 1][0], *ordered[first]):
            first -= 1
        while last + 1 < len(ordered) and not self._stands_apart(ordered[last][0], *ordered[last + 1]):
            last += 1
        return ordered[first : last + 1]

    # ---- declarations

    def _declaration(self, node: sx.Declaration, group: Sequence[sx.Declaration]) -> None:
        match node:
            case sx.Import():
                self._line(_import(node), node.span)
            case sx.InputSyntax():
                self._line(_input(node), node.span)
            case sx.ModelBlock():
                self._settings("lm", node.settings, node.span, node.keyword.end)
            case sx.GrammarSyntax():
                self._grammar(node, group)
            case sx.PotentialSyntax():
                self._potential(node)
            case sx.TemplateSyntax():
                self._block(f"template {node.name.text}{_parameters(node.parameters)}", node.body, node.span, 0)
            case sx.Generate():
                self._block("generate", node.body, node.span, 0)
            case sx.ReturnSyntax():
                self._broken(_return_lines(node), node.span, 0)
            case sx.Infer():
                name = f" {node.name.text}" if node.name else ""
                end = (node.name or node.method).span.end
                self._settings(f"infer {node.method.text}{name}", node.settings, node.span, end)
            case sx.TestSyntax():
                self._test(node)

    def _line(self, text: str, span: Span, indent: int = 0) -> None:
        self._write(text, span.start, span.end, indent)

    def _grammar(self, node: sx.GrammarSyntax, group: Sequence[sx.Declaration]) -> None:
        if node.rules:
            self._rules(node)
            return
        grammars = [item for item in group if isinstance(item, sx.GrammarSyntax)]
        width = max((len(_grammar_head(item)) for item in grammars if not item.parameters), default=0)
        lines = self._grammar_lines(node, 0 if node.parameters else width)
        self._broken(lines, node.span, 0)

    def _rules(self, node: sx.GrammarSyntax) -> None:
        self._open(_grammar_head(node), node.span.start, node.rules[0][0].span.start)
        width = max(len(name.text) for name, _ in node.rules)
        for name, rule in node.rules:
            assert rule.span is not None, "nodes of the parser have places"
            lines = _grammar_expression_lines(f"{name.text:<{width}} =", rule, "", _INDENT - width + len(name.text))
            self._broken(lines, Span(self.tree.source, name.span.start, rule.span.end), _INDENT)
        self._close(node.span.end, 0)

    def _broken(self, lines: list[tuple[str, Span | None]], span: Span, indent: int) -> None:
        """Lines of one declaration; each but the last ends where its part of the source ends."""
        start = span.start
        for index, (text, part) in enumerate(lines):
            end = part.end if part is not None and index < len(lines) - 1 else span.end
            self._write(text, start, end, indent if index == 0 else indent + _INDENT)
            if index + 1 < len(lines):
                following = lines[index + 1][1]
                start = following.start if following is not None else end

    def _grammar_lines(self, node: sx.GrammarSyntax, width: int) -> list[tuple[str, Span | None]]:
        assert node.expression is not None, "a grammar has rules or an expression"
        tail = f" as {node.as_type.text}" if node.as_type else ""
        lines = _grammar_expression_lines(f"{_grammar_head(node)} =", node.expression, tail, 0)
        head = _grammar_head(node)
        return [(f"{head:<{width}}{lines[0][0][len(head) :]}", lines[0][1]), *lines[1:]]

    def _potential(self, node: sx.PotentialSyntax) -> None:
        head = _potential_head(node)
        if node.settings:
            self._settings(head, node.settings, node.span, node.expression.span.end)
        else:
            self._line(head, node.span)

    def _settings(self, head: str, settings: Sequence[sx.Setting], span: Span, head_end: int) -> None:
        comments = [comment for comment in self.pending if head_end <= comment.span.start < span.end]
        if not settings and not comments:
            self._line(f"{head} {{}}", span)
            return
        inline = self._inline_settings(head, settings) if settings and not comments else None
        if inline is not None:
            self._line(inline, span)
            return
        self._open(head, span.start, settings[0].name.span.start if settings else span.end)
        rows = self._setting_rows(settings)
        width = max((len(row[0].name.text) for row in rows), default=0)
        for row in rows:
            first, *more = row
            text = f"{first.name.text + ':':<{width + 1}} {_setting(first).split(': ', 1)[1]}"
            text = ", ".join([text, *map(_setting, more)])
            last = row[-1]
            end = (last.when or last.value).span.end
            self._write(text, first.name.span.start, max(end, last.unit.span.end if last.unit else end), _INDENT)
        self._close(span.end, 0)

    def _inline_settings(self, head: str, settings: Sequence[sx.Setting]) -> str | None:
        """`head { a: 1, b: 2 }` if the author wrote it so and it fits."""
        inline = f"{head} {{ {', '.join(map(_setting, settings))} }}"
        return inline if self._is_inline(settings[0].name.span) and len(inline) <= WIDTH else None

    def _setting_rows(self, settings: Sequence[sx.Setting]) -> list[list[sx.Setting]]:
        """Settings that the author wrote on one line, together."""
        rows: list[list[sx.Setting]] = []
        for setting in settings:
            if rows and "\n" not in self.text[rows[-1][-1].name.span.end : setting.name.span.start]:
                rows[-1].append(setting)
            else:
                rows.append([setting])
        return rows

    def _test(self, node: sx.TestSyntax) -> None:
        self._open(f"test {values.quote(node.name)}", node.span.start, self._brace_after(node.span))
        for item in node.items:
            if isinstance(item, sx.TestInput):
                text = f"{item.name.text}: {values.expression(item.value, 0, _INDENT)}"
                self._write(text, item.name.span.start, item.value.span.end, _INDENT)
            elif isinstance(item, sx.TestExpect):
                self._line(f"expect {values.expression(item.expression, 0, _INDENT)}", item.span, _INDENT)
            else:
                verb = "accept" if item.accept else "reject"
                text = f"{verb} {item.grammar.text} {values.quoted(item.text_span, _INDENT)}"
                self._line(text, item.span, _INDENT)
        self._close(node.span.end, 0)

    def _brace_after(self, span: Span) -> int:
        return self._line_end(span.start)

    # ---- blocks

    def _open(self, head: str, start: int, first_inside: int, indent: int = 0) -> None:
        """`head {` with the comment behind the brace."""
        line_end = self._line_end(start)
        end = min(first_inside, line_end)
        comments = [comment.span.start for comment in self.pending if start <= comment.span.start < end]
        self._write(f"{head} {{", start, min(comments, default=end), indent)
        self.last_end = None

    def _close(self, end: int, indent: int, text: str = "}") -> None:
        """The comments at the end of a block, and its `}` at source offset `end` - 1."""
        self._flush(end - 1, indent + _INDENT)
        self.last_end = None
        self._write(text, end - 1, end, indent)

    def _block(self, head: str, body: Sequence[st.Statement], span: Span, indent: int) -> None:
        """A statement or declaration that is a head and one block."""
        self._braced(head, body, span.start, span.end, indent)

    def _braced(
        self, head: str, body: Sequence[st.Statement], start: int, end: int, indent: int, closing: str = "}"
    ) -> None:
        inside = [comment for comment in self.pending if start <= comment.span.start < end]
        if not body and not inside:
            self._write(f"{head} {{{closing}", start, end, indent)
            return
        inline = None if inside else self._inline(head, body, indent)
        if inline is not None and closing == "}":
            self._write(inline, start, end, indent)
            return
        self._open(head, start, body[0].span.start if body else end, indent)
        self._statements(body, indent + _INDENT)
        self._close(end, indent, closing)

    def _inline(self, head: str, body: Sequence[st.Statement], indent: int) -> str | None:
        """`head { statement }` if the author wrote it so and it fits."""
        if len(body) != 1 or isinstance(body[0], st.Branch | st.Loop) or not self._is_inline(body[0].span):
            return None
        if isinstance(body[0], st.Turn) and self._is_block_turn(body[0]):
            return None
        text = f"{head} {{ {self._simple(body[0], indent, '')} }}"
        return text if "\n" not in text and len(text) + indent <= WIDTH else None

    def _is_inline(self, first: Span) -> bool:
        """Whether only blanks stand between a `{` and the first thing in its block."""
        return self.text[: first.start].rstrip(" \t").endswith("{")

    # ---- statements

    def _statements(self, body: Sequence[st.Statement], indent: int) -> None:
        verbs = self._verb_widths(body)
        for statement, width in zip(body, verbs, strict=True):
            match statement:
                case st.Branch():
                    self._branch(statement, indent)
                case st.Loop():
                    last = f"..{values.expression(statement.last)}" if statement.last else ""
                    head = f"for {statement.variable} in {values.expression(statement.first)}{last}"
                    self._block(head, statement.body, statement.span, indent)
                case st.Turn() if self._is_block_turn(statement):
                    self._block(statement.role, statement.body, statement.span, indent)
                case st.Factor():
                    self._factor(statement, indent, width)
                case _:
                    self._line(self._simple(statement, indent, ""), statement.span, indent)

    def _verb_widths(self, body: Sequence[st.Statement]) -> list[int]:
        """For each statement the width of the verbs of the factors that it stands among."""
        widths = [0] * len(body)
        start = 0
        while start < len(body):
            end = start + 1
            while end < len(body) and self._same_run(body[end - 1], body[end]):
                end += 1
            run = body[start:end]
            width = max((len(item.verb) for item in run if isinstance(item, st.Factor)), default=0)
            widths[start:end] = [width] * (end - start)
            start = end
        return widths

    def _same_run(self, before: st.Statement, after: st.Statement) -> bool:
        if not isinstance(before, st.Factor) or not isinstance(after, st.Factor):
            return False
        return not _BLANK_LINE.search(self.text, before.span.end, after.span.start)

    def _is_block_turn(self, turn: st.Turn) -> bool:
        if len(turn.body) != 1 or not isinstance(turn.body[0], st.Text):
            return True
        between = self.text[turn.role_span.end : turn.body[0].span.start]
        return "{" in re.sub(r"#[^\n]*", "", between)

    def _simple(self, statement: st.Statement, indent: int, verb: str) -> str:
        """A statement without a block."""
        match statement:
            case st.Turn(role=role, body=(st.Text(template=template),)):
                return f"{role} {values.template(template, indent)}"
            case st.Text(template=template):
                return values.template(template, indent)
            case st.Observe(template=template):
                return f"observe {values.template(template, indent)}"
            case st.Let(name=name, expression=expression):
                return f"let {name} = {values.expression(expression, 0, indent)}"
            case st.Use(path=path, arguments=arguments):
                return f"use {'.'.join(path)}({values.arguments(arguments, indent)})"  # type: ignore[arg-type]
            case st.Factor():
                return " ".join([*self._factor_parts(statement, verb or statement.verb, indent)])
        assert isinstance(statement, st.Break), f"no syntax for {statement}"
        return "break"

    def _factor_parts(self, factor: st.Factor, verb: str, indent: int) -> list[str]:
        parts = [f"{verb} {values.expression(factor.expression, 0, indent)}"]
        if factor.each is not None:
            parts.append(f"each {factor.each.variable} in {values.expression(factor.each.source)}")
        if factor.boundaries:
            parts.append(f"at {', '.join(boundary.name for boundary in factor.boundaries)}")
        return parts

    def _factor(self, factor: st.Factor, indent: int, width: int) -> None:
        parts = self._factor_parts(factor, f"{factor.verb:<{width}}", indent)
        text = " ".join(parts)
        if indent + len(text) > WIDTH and len(parts) > 1:
            text = f"\n{' ' * (indent + _INDENT)}".join(parts)
        self._line(text, factor.span, indent)

    def _branch(self, branch: st.Branch, indent: int) -> None:
        head, start = "if", branch.span.start
        whole = self._inline_branch(branch, indent)
        if whole is not None:
            self._line(whole, branch.span, indent)
            return
        node: st.Branch | None = branch
        while node is not None:
            head += f" {values.expression(node.condition)}"
            rest = node.otherwise
            if not rest:
                self._braced_part(head, node.then, start, branch.span.end, indent, "}")
                return
            boundary = self._else_offset(node)
            self._braced_part(head, node.then, start, boundary, indent, "")
            start = boundary
            head = "} else"
            node = None
            if len(rest) == 1 and isinstance(rest[0], st.Branch) and self._is_else_if(boundary):
                node, head = rest[0], "} else if"
        self._braced_part(head, rest, start, branch.span.end, indent, "}")

    def _braced_part(
        self, head: str, body: Sequence[st.Statement], start: int, end: int, indent: int, closing: str
    ) -> None:
        """One arm of a branch; the `}` before an `else` is written with the next arm."""
        if closing and not head.startswith("}"):
            self._braced(head, body, start, end, indent)
            return
        self._open(head, start, body[0].span.start if body else end, indent)
        self._statements(body, indent + _INDENT)
        if closing:
            self._close(end, indent)
        else:
            self._flush(end, indent + _INDENT)
            self.last_end = None

    def _inline_branch(self, branch: st.Branch, indent: int) -> str | None:
        """`if a { x } else { y }` on one line, if the author wrote it so and it fits."""
        if not branch.otherwise or "\n" in branch.span.text or isinstance(branch.otherwise[0], st.Branch):
            return None
        then = self._inline(f"if {values.expression(branch.condition)}", branch.then, indent)
        otherwise = self._inline("else", branch.otherwise, indent)
        if then is None or otherwise is None or indent + len(then) + len(otherwise) >= WIDTH:
            return None
        return f"{then} {otherwise}"

    def _else_offset(self, branch: st.Branch) -> int:
        """Offset of the `else` that belongs to a branch."""
        start = branch.then[-1].span.end if branch.then else branch.condition.span.end
        position = start
        for match in re.compile(r"#[^\n]*|else(?!\w)").finditer(self.text, start):
            if match.group().startswith("else"):
                position = match.start()
                break
        return position

    def _is_else_if(self, offset: int) -> bool:
        return bool(re.compile(r"else\s+if(?!\w)").match(self.text, offset))


# ---- one line each


def _rank(declaration: sx.Declaration) -> int:
    return _ORDER.index(type(declaration))


def _import(node: sx.Import) -> str:
    word = "import potential" if node.kind == "potential" else "import"
    target = node.target.text if node.kind == "library" else values.quote(node.target.text)
    return f"{word} {target}" + (f" as {node.alias.text}" if node.alias else "")


def _input(node: sx.InputSyntax) -> str:
    text = f"input {node.name.text}: {values.type_expression(node.type)}"
    if node.default is not None:
        text += f" = {values.expression(node.default)}"
    return text if node.help is None else f"{text}  {values.quote(node.help)}"


def _parameters(parameters: Sequence[sx.ParameterSyntax]) -> str:
    inside = ", ".join(f"{item.name.text}: {values.type_expression(item.type)}" for item in parameters)
    return f"({inside})"


def _grammar_head(node: sx.GrammarSyntax) -> str:
    return f"grammar {node.name.text}" + (_parameters(node.parameters) if node.parameters else "")


def _potential_head(node: sx.PotentialSyntax) -> str:
    head = f"potential {node.name.text}{_parameters(node.parameters)} -> {node.result.text}"
    return f"{head} = {values.expression(node.expression)}"


def _return_lines(node: sx.ReturnSyntax) -> list[tuple[str, Span | None]]:
    """A `return`, its key on a line of its own where both do not fit."""
    if node.samples is not None:
        view = f"samples({values.expression(node.samples)}) "
    else:
        view = f"{node.view} " if node.view else ""
    head = f"return {view}{values.expression(node.expression)}"
    if node.key is None:
        return [(head, None)]
    key = f"by {values.expression(node.key)}"
    if len(head) + 1 + len(key) <= WIDTH and "\n" not in head:
        return [(f"{head} {key}", None)]
    return [(head, node.expression.span), (key, node.key.span)]


def _setting(setting: sx.Setting) -> str:
    unit = f" {setting.unit.text}" if setting.unit else ""
    when = f" when {values.expression(setting.when)}" if setting.when else ""
    return f"{setting.name.text}: {values.expression(setting.value)}{unit}{when}"


def _grammar_expression_lines(
    head: str, node: gr.GrammarExpression, tail: str, indent: int
) -> list[tuple[str, Span | None]]:
    """A grammar's line, or its lines if it is too long or the author broke it: (text, its part of the source)."""
    whole = f"{head} {values.grammar(node)}{tail}"
    broken_by_author = node.span is not None and "\n" in node.span.text
    if len(whole) + indent <= WIDTH and not broken_by_author:
        return [(whole, node.span)]
    conditions = values.conditions(node) if isinstance(node, gr.Restricted) else ""
    item = node.item if isinstance(node, gr.Restricted) else node
    if isinstance(item, gr.Alternatives):
        parts = zip(values.alternatives(item), item.items, strict=True)
        lines = [(f"| {text}", part.span) for text, part in parts]
        lines[0] = f"{head} {lines[0][0][2:]}", lines[0][1]
    elif isinstance(node, gr.Restricted):
        lines = [(f"{head} {values.restricted_item(node)}", item.span)]
    else:
        return [(whole, node.span)]
    if conditions:
        lines.append((f"where {conditions}", node.conditions[-1].span if isinstance(node, gr.Restricted) else None))
    lines[-1] = lines[-1][0] + tail, lines[-1][1]
    return lines
