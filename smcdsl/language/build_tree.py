"""From lark's tree of a file to the syntax tree."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from lark import Token, Tree

from smcdsl.errors import Diagnostic, Source, Span
from smcdsl.language import mistakes_syntax as mistakes
from smcdsl.language import syntax as sx
from smcdsl.language.build_expressions import ExpressionBuilder, Node, tokens, trees
from smcdsl.language.templates import Piece, open_quotes, template_pieces
from smcdsl.program import expressions as ex
from smcdsl.program import statements as st

FragmentReader = Callable[[int, int, str], tuple[Node, ExpressionBuilder] | None]
"""Parses source.text[start:end] from a start symbol; None after a mistake that it has reported."""

_ONCE = (sx.Generate, sx.ReturnSyntax, sx.ModelBlock)
_IN_MODULES = (sx.Import, sx.GrammarSyntax, sx.PotentialSyntax, sx.TemplateSyntax)


class TreeBuilder(ExpressionBuilder):
    """Builds declarations and statements; strings of turns are opened and their insides parsed."""

    def __init__(
        self, source: Source, diagnostics: list[Diagnostic], broken: list[Span], read_fragment: FragmentReader
    ) -> None:
        super().__init__(source, 0, diagnostics)
        self.broken = broken
        self.read_fragment = read_fragment
        self.role: str | None = None
        self.loops = 0

    def tree(self, node: Node, comments: tuple[sx.Comment, ...]) -> sx.SyntaxTree:
        """The whole file."""
        edition, *rest = trees(node)
        kind, name, summary = self._title(rest.pop(0) if rest and rest[0].data == "title" else None)
        declarations = tuple(self._declaration(item) for item in rest)
        self._check_declarations(declarations, kind)
        return sx.SyntaxTree(
            self.source,
            int(tokens(edition)[0]),
            cast(Any, kind),
            name,
            summary,
            declarations,
            comments,
            tuple(self.broken),
        )

    def _title(self, node: Node | None) -> tuple[str, sx.Word | None, str | None]:
        if node is None:
            return "program", None, None
        kind, name = tokens(node)
        summary = self.plain_text(trees(node)[0]) if trees(node) else None
        return str(kind), self.word(name), summary

    def _check_declarations(self, declarations: tuple[sx.Declaration, ...], kind: str) -> None:
        first: dict[type[sx.Declaration], Span] = {}
        for declaration in declarations:
            if kind == "module" and not isinstance(declaration, _IN_MODULES):
                self.diagnostics.append(mistakes.not_in_module(declaration.keyword))
            elif isinstance(declaration, _ONCE):
                earlier = first.setdefault(type(declaration), declaration.keyword)
                if earlier is not declaration.keyword:
                    self.diagnostics.append(mistakes.declared_twice(declaration.keyword, earlier))

    # ---- declarations

    def _declaration(self, node: Node) -> sx.Declaration:
        return cast(sx.Declaration, getattr(self, f"_declare_{node.data}")(node, *self._head(node)))

    def _head(self, node: Node) -> tuple[Span, Span]:
        """Span of a declaration, and of its keyword."""
        span = self.span(node)
        end = span.start
        while end < span.end and (self.source.text[end].isalnum() or self.source.text[end] == "_"):
            end += 1
        return span, Span(self.source, span.start, end)

    def _declare_import_library(self, node: Node, span: Span, keyword: Span) -> sx.Import:
        dotted = trees(node)[0]
        alias = [self.word(token) for token in tokens(node)]
        target = sx.Word(".".join(self.dotted(dotted)), self.span(dotted))
        return sx.Import(span, keyword, "library", target, alias[0] if alias else None)

    def _declare_import_module(self, node: Node, span: Span, keyword: Span) -> sx.Import:
        return sx.Import(span, keyword, "module", self._path_word(node), self.word(tokens(node)[0]))

    def _declare_import_potential(self, node: Node, span: Span, keyword: Span) -> sx.Import:
        return sx.Import(span, keyword, "potential", self._path_word(node), self.word(tokens(node)[0]))

    def _path_word(self, node: Node) -> sx.Word:
        string = trees(node)[0]
        return sx.Word(self.plain_text(string), self.span(string))

    def _declare_input(self, node: Node, span: Span, keyword: Span) -> sx.InputSyntax:
        name, type_, default, help_text = node.children
        return sx.InputSyntax(
            span,
            keyword,
            self.word(cast(Token, name)),
            self._type(cast(Node, type_)),
            None if default is None else self.expression(cast(Node, default)),
            None if help_text is None else self.plain_text(cast(Node, help_text)),
        )

    def _type(self, node: Node) -> sx.TypeExpression:
        span = self.span(node)
        if node.data == "type_name":
            return sx.TypeExpression(str(tokens(node)[0]), span)
        if node.data == "type_list":
            return sx.TypeExpression("list", span, item=self._type(trees(node)[0]))
        return sx.TypeExpression("choices", span, choices=tuple(self.plain_text(item) for item in trees(node)))

    def _declare_lm(self, node: Node, span: Span, keyword: Span) -> sx.ModelBlock:
        return sx.ModelBlock(span, keyword, self._settings(trees(node)[0]))

    def _settings(self, node: Node | None) -> tuple[sx.Setting, ...]:
        if node is None:
            return ()
        self.allows_durations = True
        settings = tuple(self._setting(setting) for setting in trees(node))
        self.allows_durations = False
        return settings

    def _setting(self, node: Node) -> sx.Setting:
        name, value, unit, when = node.children
        return sx.Setting(
            self.word(cast(Token, name)),
            self.expression(cast(Node, value)),
            None if when is None else self.expression(cast(Node, when)),
            None if unit is None else self.word(cast(Token, unit)),
        )

    def _parameters(self, node: Node | None) -> tuple[sx.ParameterSyntax, ...]:
        if node is None:
            return ()
        return tuple(
            sx.ParameterSyntax(self.word(tokens(parameter)[0]), self._type(trees(parameter)[0]))
            for parameter in trees(node)
        )

    def _declare_grammar(self, node: Node, span: Span, keyword: Span) -> sx.GrammarSyntax:
        name, parameters, body, as_type = cast(Any, node.children)
        return sx.GrammarSyntax(
            span,
            keyword,
            self.word(name),
            self._parameters(parameters),
            self.grammar(body),
            (),
            None if as_type is None else self.word(as_type),
        )

    def _declare_grammar_rules(self, node: Node, span: Span, keyword: Span) -> sx.GrammarSyntax:
        name, parameters = cast(Any, node.children[:2])
        rules = tuple(
            (self.word(tokens(rule)[0]), self.grammar(trees(rule)[0])) for rule in trees(node) if rule.data == "rule"
        )
        return sx.GrammarSyntax(span, keyword, self.word(name), self._parameters(parameters), None, rules, None)

    def _declare_potential(self, node: Node, span: Span, keyword: Span) -> sx.PotentialSyntax:
        name, _, result = tokens(node)
        parameters, expression, *settings = trees(node)
        return sx.PotentialSyntax(
            span,
            keyword,
            self.word(name),
            self._parameters(parameters),
            self.word(result),
            self.expression(expression),
            self._settings(settings[0] if settings else None),
        )

    def _declare_template_declaration(self, node: Node, span: Span, keyword: Span) -> sx.TemplateSyntax:
        parameters, block = trees(node)
        self.role = None
        body = self._block(block)
        return sx.TemplateSyntax(span, keyword, self.word(tokens(node)[0]), self._parameters(parameters), body)

    def _declare_generate(self, node: Node, span: Span, keyword: Span) -> sx.Generate:
        self.role = None
        return sx.Generate(span, keyword, self._block(trees(node)[0]))

    def _declare_return_(self, node: Node, span: Span, keyword: Span) -> sx.ReturnSyntax:
        view, written, by = cast(Any, node.children)
        expression = self.expression(written)
        key = None if by is None else self.expression(trees(by)[0])
        if view is None:
            return sx.ReturnSyntax(span, keyword, None, None, None, expression, key)
        samples = [self.expression(item) for item in trees(view)]
        name = cast(Any, str(tokens(view)[0]))
        return sx.ReturnSyntax(span, keyword, name, self.span(view), samples[0] if samples else None, expression, key)

    def _declare_infer(self, node: Node, span: Span, keyword: Span) -> sx.Infer:
        method, name, settings = cast(Any, node.children)
        return sx.Infer(
            span,
            keyword,
            self.word(tokens(method)[0]),
            None if name is None else self.word(name),
            self._settings(settings),
        )

    def _declare_test(self, node: Node, span: Span, keyword: Span) -> sx.TestSyntax:
        name, *items = trees(node)
        return sx.TestSyntax(span, keyword, self.plain_text(name), tuple(self._test_item(item) for item in items))

    def _test_item(self, node: Node) -> sx.TestInput | sx.TestText | sx.TestExpect:
        if node.data == "test_input":
            return sx.TestInput(self.word(tokens(node)[0]), self.expression(trees(node)[0]))
        if node.data == "test_expect":
            return sx.TestExpect(self.expression(trees(node)[0]), self.span(node))
        verb, grammar = tokens(node)
        text = trees(node)[0]
        return sx.TestText(
            verb.type == "ACCEPT", self.word(grammar), self.plain_text(text), self.span(text), self.span(node)
        )

    # ---- statements

    def _block(self, node: Node) -> tuple[st.Statement, ...]:
        return tuple(self._statement(item) for item in trees(node))

    def _statement(self, node: Node) -> st.Statement:
        return cast(st.Statement, getattr(self, f"_state_{node.data}")(node, self.span(node)))

    def _state_turn(self, node: Node, span: Span) -> st.Turn:
        return self._turn(node, span, lambda body: (self._state_text(body, self.span(body)),))

    def _state_turn_block(self, node: Node, span: Span) -> st.Turn:
        return self._turn(node, span, self._block)

    def _turn(self, node: Node, span: Span, build: Callable[[Node], tuple[st.Statement, ...]]) -> st.Turn:
        role_node, content = trees(node)
        role = tokens(role_node)[0]
        outer, self.role = self.role, str(role)
        body = build(content)
        self.role = outer
        return st.Turn(span, cast(Any, str(role)), self.span(role), body)

    def _state_text(self, node: Node, span: Span) -> st.Text:
        template = node if node.data == "template" else trees(node)[0]
        return st.Text(span, self._template(template))

    def _state_observe(self, node: Node, span: Span) -> st.Observe:
        return st.Observe(span, self._template(trees(node)[0]))

    def _state_factor(self, node: Node, span: Span) -> st.Factor:
        verb, expression, each, at = cast(Any, node.children)
        return st.Factor(span, cast(Any, str(verb)), self.expression(expression), self._at(at), self._each(each))

    def _state_guide(self, node: Node, span: Span) -> st.Factor:
        expression, at = trees(node)
        return st.Factor(span, "guide", self.expression(expression), self._at(at))

    def _at(self, node: Node | None) -> tuple[st.Boundary, ...]:
        if node is None:
            return ()
        return tuple(st.Boundary(".".join(self.dotted(item)), self.span(item)) for item in trees(node))

    def _each(self, node: Node | None) -> st.Each | None:
        if node is None:
            return None
        variable = tokens(node)[0]
        names = tokens(trees(node)[0])
        source: ex.Name | ex.Field = ex.Name(self.span(names[0]), str(names[0]))
        for name in names[1:]:
            source = ex.Field(source.span.to(self.span(name)), source, str(name), self.span(name))
        return st.Each(str(variable), self.span(variable), source)

    def _state_let(self, node: Node, span: Span) -> st.Let:
        name = tokens(node)[0]
        return st.Let(span, str(name), self.span(name), self.expression(trees(node)[0]))

    def _state_use(self, node: Node, span: Span) -> st.Use:
        path, arguments = trees(node)
        return st.Use(span, self.dotted(path), self.span(path), self.arguments(arguments))

    def _state_break_(self, node: Node, span: Span) -> st.Break:
        if not self.loops:
            self.diagnostics.append(mistakes.break_outside_loop(span))
        return st.Break(span)

    def _state_branch(self, node: Node, span: Span) -> st.Branch:
        condition, then, otherwise = cast(Any, node.children)
        rest: tuple[st.Statement, ...] = ()
        if otherwise is not None:
            rest = (self._statement(otherwise),) if otherwise.data == "branch" else self._block(otherwise)
        return st.Branch(span, self.expression(condition), self._block(then), rest)

    def _state_loop(self, node: Node, span: Span) -> st.Loop:
        ranges = [self.expression(item) for item in trees(node)[:-1]]
        variable = tokens(node)[0]
        self.loops += 1
        body = self._block(trees(node)[-1])
        self.loops -= 1
        last = ranges[1] if len(ranges) > 1 else None
        return st.Loop(span, str(variable), self.span(variable), ranges[0], last, body)

    # ---- texts

    def _template(self, node: Node) -> st.Template:
        token = tokens(node)[0]
        span = self.span(token)
        quoted = open_quotes(self.source.text, span.start, span.end)
        may_hold_holes = self.role in ("assistant", "text")
        pieces = template_pieces(self.source.text, quoted, flag_lone_names=may_hold_holes)
        parts = [part for piece in pieces for part in self._part(piece)]
        return st.Template(tuple(parts), span)

    def _part(self, piece: Piece) -> list[st.Part]:
        span = Span(self.source, piece.start, piece.end)
        if piece.kind == "given":
            return [st.Given(piece.text, span)]
        if piece.kind == "insert":
            return self._insert(piece, span)
        if piece.kind == "hole":
            return self._hole(piece, span)
        self._report_flaw(piece, span)
        return []

    def _insert(self, piece: Piece, span: Span) -> list[st.Part]:
        if not self.source.text[slice(*piece.inner)].strip():
            self.diagnostics.append(mistakes.empty_insert(span))
            return []
        read = self.read_fragment(*piece.inner, "insert")
        if read is None:
            return []
        node, builder = read
        return [st.Insert(builder.expression(trees(node)[0]), span)]

    def _hole(self, piece: Piece, span: Span) -> list[st.Part]:
        if span.text.removesuffix("]]").rstrip().endswith(":"):
            self.diagnostics.append(mistakes.hole_without_grammar(span))
            self.broken.append(span)
            return []
        if self.role in ("system", "user"):
            self.diagnostics.append(mistakes.hole_in_other_turn(span, self.role))
        read = self.read_fragment(*piece.inner, "hole")
        if read is None:
            return []
        node, builder = read
        name, *collects = [token for token in tokens(node) if token.type in ("NAME", "COLLECTS")]
        grammar = builder.grammar(trees(node)[0])
        return [st.Hole(str(name), bool(collects), grammar, span, builder.span(name))]

    def _report_flaw(self, piece: Piece, span: Span) -> None:
        opener = Span(self.source, span.start, min(span.start + 2, span.end))
        if piece.flaw == "escape":
            self.diagnostics.append(mistakes.unknown_escape(span))
            return
        self.broken.append(span)
        if piece.flaw == "lone name":
            self.diagnostics.append(mistakes.hole_without_grammar(span))
            return
        closer = "}" if piece.flaw == "unclosed insert" else "]"
        found = self.source.text.rfind(closer, span.start + 2, span.end)
        single = Span(self.source, found, found + 1) if found >= 0 else None
        report = mistakes.unclosed_insert if closer == "}" else mistakes.unclosed_hole
        self.diagnostics.append(report(opener, single))


def file_root(value: Any) -> Node | None:
    """The result of a parse, if it is a tree."""
    return cast(Node, value) if isinstance(value, Tree) else None
