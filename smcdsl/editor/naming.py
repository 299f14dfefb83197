"""Finding what the names of a file stand for: one walk over its syntax tree."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence

from smcdsl.editor.grammar_rules import Rules
from smcdsl.editor.names import Key, NameKind, Names, Occurrence
from smcdsl.editor.written import names_in, parts_of, uses_in, word_spans
from smcdsl.errors import Span
from smcdsl.language import syntax as sx
from smcdsl.language.resolver import Module
from smcdsl.language.transcript import holes_in, lets_in
from smcdsl.program import expressions as ex
from smcdsl.program import grammar as gr
from smcdsl.program import statements as st
from smcdsl.program.builtins import BUILTINS

Meaning = tuple[Key, NameKind]
Locals = Mapping[str, Meaning]


def names_of(module: Module, file: str) -> tuple[Names, Rules]:
    """The names of a file, whose imports have been read; `file` is what its keys are known by."""
    walk = _Walk(module, file)
    return Names(tuple(walk.declarations())), walk.rules


class _Walk:
    """Yields occurrences; `local` are the names of parameters, loops and `each`, innermost last."""

    def __init__(self, module: Module, file: str) -> None:
        self.module = module
        self.file = file
        self.rules = Rules(module, file)
        self.values: dict[str, Meaning] = {}
        self._collect_values()

    # ---- what has a value

    def _collect_values(self) -> None:
        for declaration in self.module.tree.declarations:
            if isinstance(declaration, sx.Generate):
                self._bind(declaration.body, self.file, self.module)
        for declaration in self.module.tree.declarations:
            if isinstance(declaration, sx.InputSyntax):
                self.values[declaration.name.text] = self._own("value", declaration.name.text), "input"

    def _bind(self, body: Sequence[st.Statement], file: str, module: Module, seen: tuple[str, ...] = ()) -> None:
        """Names that a transcript gives values to, those of the templates it uses included."""
        for hole in holes_in(tuple(body)):
            self.values.setdefault(hole.name, (Key(file, "value", hole.name), "hole"))
            self.rules.holes.setdefault(hole.name, (hole.grammar, module, file))
        if not seen:
            for let in lets_in(tuple(body)):
                self.values.setdefault(let.name, (Key(file, "value", let.name), "let"))
        for use in uses_in(body):
            found = self.rules.template(use.path, module, file)
            if found is not None and ".".join(use.path) not in seen:
                template, inner, inner_file = found
                self._bind(template.body, inner_file, inner, (*seen, ".".join(use.path)))

    def _own(self, scope: str, name: str) -> Key:
        return Key(self.file, scope, name)

    # ---- declarations

    def declarations(self) -> Iterator[Occurrence]:
        """All names of the file."""
        for declaration in self.module.tree.declarations:
            match declaration:
                case sx.Import():
                    yield from self._import(declaration)
                case sx.InputSyntax():
                    yield self._declares(declaration.name, "value", "input")
                    if declaration.default is not None:
                        yield from self._expression(declaration.default, {})
                case sx.ModelBlock():
                    pass
                case sx.GrammarSyntax():
                    yield from self._grammar_declaration(declaration)
                case sx.PotentialSyntax():
                    yield self._declares(declaration.name, "potential", "potential")
                    local = yield from self._parameters(declaration.parameters, f"potential {declaration.name.text}")
                    yield from self._expression(declaration.expression, local)
                case sx.TemplateSyntax():
                    yield from self._template(declaration)
                case sx.Generate():
                    yield from self._statements(declaration.body, {})
                case sx.ReturnSyntax():
                    for part in (declaration.samples, declaration.expression, declaration.key):
                        yield from self._expression(part, {}) if part is not None else ()
                case sx.Infer():
                    if declaration.name is not None:
                        yield self._declares(declaration.name, "profile", "profile")
                case sx.TestSyntax():
                    yield from self._test(declaration)

    def _declares(self, word: sx.Word, scope: str, kind: NameKind) -> Occurrence:
        return Occurrence(word.span, self._own(scope, word.text), kind, defines=True)

    def _import(self, declaration: sx.Import) -> Iterator[Occurrence]:
        word = declaration.alias or declaration.target
        if declaration.alias is not None or declaration.kind == "library":
            yield Occurrence(word.span, self._own("import", word.text), "import", defines=True)

    def _parameters(
        self, parameters: Sequence[sx.ParameterSyntax], scope: str
    ) -> Generator[Occurrence, None, dict[str, Meaning]]:
        """Their names, which it returns too."""
        local: dict[str, Meaning] = {}
        for parameter in parameters:
            yield self._declares(parameter.name, scope, "parameter")
            local[parameter.name.text] = self._own(scope, parameter.name.text), "parameter"
        return local

    def _grammar_declaration(self, declaration: sx.GrammarSyntax) -> Iterator[Occurrence]:
        name = declaration.name.text
        yield self._declares(declaration.name, "grammar", "grammar")
        local = yield from self._parameters(declaration.parameters, f"grammar {name}")
        rules = {word.text: self._own(f"rules of {name}", word.text) for word, _ in declaration.rules}
        for word, expression in declaration.rules:
            yield self._declares(word, f"rules of {name}", "rule")
            yield from self._grammar(expression, local, rules)
        if declaration.expression is not None:
            yield from self._grammar(declaration.expression, local, {})

    def _template(self, declaration: sx.TemplateSyntax) -> Iterator[Occurrence]:
        name = declaration.name.text
        yield self._declares(declaration.name, "template", "template")
        local = yield from self._parameters(declaration.parameters, f"template {name}")
        for hole in holes_in(declaration.body):
            local.setdefault(hole.name, (self._own("value", hole.name), "hole"))
        for let in lets_in(declaration.body):
            local.setdefault(let.name, (self._own(f"let in {name}", let.name), "let"))
        yield from self._statements(declaration.body, local)

    def _test(self, declaration: sx.TestSyntax) -> Iterator[Occurrence]:
        for item in declaration.items:
            if isinstance(item, sx.TestInput):
                yield Occurrence(item.name.span, self._own("value", item.name.text), "input")
                yield from self._expression(item.value, {})
            elif isinstance(item, sx.TestText):
                yield Occurrence(item.grammar.span, self._own("grammar", item.grammar.text), "grammar")
            else:
                yield from self._expression(item.expression, {})

    # ---- the transcript

    def _statements(self, body: Sequence[st.Statement], local: Locals) -> Iterator[Occurrence]:
        for statement in body:
            yield from self._statement(statement, local)

    def _statement(self, statement: st.Statement, local: Locals) -> Iterator[Occurrence]:
        match statement:
            case st.Turn(body=body):
                yield from self._statements(body, local)
            case st.Text(template=template) | st.Observe(template=template):
                for part in template.parts:
                    if isinstance(part, st.Insert):
                        yield from self._expression(part.expression, local)
                    elif isinstance(part, st.Hole):
                        yield from self._hole(part, local)
            case st.Factor():
                yield from self._factor(statement, local)
            case st.Let():
                key, kind = local.get(statement.name) or (self._own("value", statement.name), "let")
                yield Occurrence(statement.name_span, key, kind, defines=True)
                yield from self._expression(statement.expression, local)
            case st.Use():
                yield from self._use(statement, local)
            case st.Branch():
                yield from self._expression(statement.condition, local)
                yield from self._statements((*statement.then, *statement.otherwise), local)
            case st.Loop():
                for bound in (statement.first, statement.last):
                    yield from self._expression(bound, local) if bound is not None else ()
                key = self._own(f"loop at {statement.span.start}", statement.variable)
                yield Occurrence(statement.variable_span, key, "loop", defines=True)
                yield from self._statements(statement.body, {**local, statement.variable: (key, "loop")})

    def _hole(self, hole: st.Hole, local: Locals) -> Iterator[Occurrence]:
        if hole.name != "_":
            key, kind = local.get(hole.name) or (self._own("value", hole.name), "hole")
            yield Occurrence(hole.name_span, key, kind, defines=True)
        yield from self._grammar(hole.grammar, local, {})

    def _use(self, use: st.Use, local: Locals) -> Iterator[Occurrence]:
        found = self.rules.template(use.path, self.module, self.file)
        target = None
        if found is not None:
            template, _, file = found
            target = Key(file, "template", template.name.text)
        yield from self._path(use.path_span, target, "template")
        scope = f"template {target.name}" if target is not None else ""
        arguments = [each for each in use.arguments if isinstance(each, ex.Argument)]
        yield from self._arguments(arguments, target.file if target is not None else "", scope, local)

    def _factor(self, factor: st.Factor, local: Locals) -> Iterator[Occurrence]:
        inner = dict(local)
        if factor.each is not None:
            each = factor.each
            key = self._own(f"each at {factor.span.start}", each.variable)
            yield Occurrence(each.variable_span, key, "occurrence", defines=True)
            inner[each.variable] = key, "occurrence"
            source = each.source
            if isinstance(source, ex.Field) and isinstance(source.base, ex.Name):
                yield from self._value(source.base.name, source.base.span, local)
                yield from self._boundary(source.base.name, source.name, source.name_span)
            elif isinstance(source, ex.Name):
                yield from self._value(source.name, source.span, local)
        yield from self._expression(factor.expression, inner)
        mentioned = [each.name for each in names_in(factor.expression) if each.name in self.rules.holes]
        for boundary in factor.boundaries:
            *before, last = word_spans(boundary.span) or [boundary.span]
            for span in before[:1]:
                yield from self._value(span.text, span, local)
            hole = before[0].text if before else (mentioned or [""])[-1]
            yield from self._boundary(hole, last.text, last)

    def _boundary(self, hole: str, name: str, span: Span) -> Iterator[Occurrence]:
        found = self.rules.boundaries(hole).get(name)
        if found is not None:
            yield Occurrence(span, *found)

    # ---- expressions

    def _value(self, name: str, span: Span, local: Locals) -> Iterator[Occurrence]:
        found = local.get(name) or self.values.get(name)
        if found is not None:
            yield Occurrence(span, *found)

    def _expression(self, expression: ex.Expression, local: Locals) -> Iterator[Occurrence]:
        match expression:
            case ex.Name():
                yield from self._value(expression.name, expression.span, local)
            case ex.Call():
                yield from self._call(expression, local)
            case _:
                for child in parts_of(expression):
                    yield from self._expression(child, local)

    def _call(self, call: ex.Call, local: Locals) -> Iterator[Occurrence]:
        target, kind = self._callee(call.path)
        yield from self._path(call.path_span, target, kind)
        scope = f"{kind} {target.name}" if target is not None and kind == "potential" else ""
        yield from self._arguments(call.arguments, target.file if target is not None else "", scope, local)

    def _callee(self, path: tuple[str, ...]) -> tuple[Key | None, NameKind]:
        if len(path) == 1:
            if path[0] in self.module.potentials:
                return self._own("potential", path[0]), "potential"
            return (Key("", "builtin", path[0]), "builtin") if path[0] in BUILTINS else (None, "builtin")
        alias, name = self.rules.alias(path, self.module)
        if alias in self.module.modules:
            return Key(self.rules.file_of_module(alias, self.module), "potential", name), "potential"
        if alias in self.module.libraries:
            return Key(self.module.libraries[alias].name, "function", name), "function"
        return None, "function"

    def _path(self, span: Span, target: Key | None, kind: NameKind) -> Iterator[Occurrence]:
        """The alias and the last word of `alias.name`."""
        words = word_spans(span)
        if len(words) > 1:
            alias, _ = self.rules.alias(tuple(word.text for word in words), self.module)
            count = len(alias.split(".")) if alias else 0
            if count:
                whole = words[0].to(words[count - 1])
                yield Occurrence(whole, self._own("import", alias), "import")
        if target is not None and words:
            yield Occurrence(words[-1], target, kind)

    def _arguments(
        self, arguments: Sequence[ex.Argument], file: str, scope: str, local: Locals
    ) -> Iterator[Occurrence]:
        for argument in arguments:
            if argument.name is not None and argument.name_span is not None and scope:
                yield Occurrence(argument.name_span, Key(file, scope, argument.name), "parameter")
            yield from self._expression(argument.value, local)

    # ---- grammar expressions

    def _grammar(
        self, expression: gr.GrammarExpression, local: Locals, rules: Mapping[str, Key]
    ) -> Iterator[Occurrence]:
        if isinstance(expression, gr.Reference):
            yield from self._reference(expression, local, rules)
        if isinstance(expression, gr.Restricted):
            for condition in expression.conditions:
                for bound in (condition.least, condition.most) if isinstance(condition, gr.Limit) else ():
                    yield from self._expression(bound, local) if isinstance(bound, ex.Expression) else ()
        for child in gr.children(expression):
            yield from self._grammar(child, local, rules)

    def _reference(self, node: gr.Reference, local: Locals, rules: Mapping[str, Key]) -> Iterator[Occurrence]:
        assert node.span is not None, "references of a file have places"
        head = Span(node.span.source, node.span.start, node.span.end)
        if node.arguments is not None:
            cut = head.text.find("(")
            head = Span(head.source, head.start, head.start + cut) if cut > 0 else head
        target: Key | None = None
        kind: NameKind = "grammar"
        if len(node.path) == 1:
            if node.path[0] in rules:
                target, kind = rules[node.path[0]], "rule"
            elif node.path[0] in self.module.grammars:
                target = self._own("grammar", node.path[0])
        else:
            target, kind = self.rules.library_grammar(node.path, self.module)
        yield from self._path(head, target, kind)
        scope = f"grammar {target.name}" if target is not None and kind == "grammar" else ""
        yield from self._arguments(node.arguments or (), target.file if target is not None else "", scope, local)
