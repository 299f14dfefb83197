"""Grammar declarations and grammar expressions: references resolved, arguments and limits checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from smcdsl.errors import Span
from smcdsl.language import mistakes, syntax
from smcdsl.language import mistakes_judging as judging
from smcdsl.language.expressions import Scope, argument_mistake, check_expression, mentioned
from smcdsl.language.potentials import read_parameters
from smcdsl.language.resolver import Module
from smcdsl.language.suggestions import closest, closest_path
from smcdsl.language.symbols import Report, Value
from smcdsl.language.type_syntax import read_type
from smcdsl.library import standard
from smcdsl.library.lark_files import NOTATIONS, LibraryGrammar, own_grammar
from smcdsl.program import evaluation
from smcdsl.program import expressions as tree
from smcdsl.program.expressions import Argument, Expression
from smcdsl.program.grammar import (
    Alternatives,
    Concatenation,
    Condition,
    Difference,
    GrammarExpression,
    Intersection,
    Limit,
    Reference,
    Repeat,
    Restricted,
    children,
)
from smcdsl.program.program import GrammarDeclaration
from smcdsl.program.references import (
    DeclaredReference,
    LibraryReference,
    NamedArguments,
    Notation,
    StandardReference,
)
from smcdsl.program.types import FLOAT, STR, GrammarSignature, Parameter, Type

_VALUE_TYPES: Mapping[str, Type] = {"int": Type("int"), "float": FLOAT, "json": Type("json"), "str": STR}


@dataclass
class Grammars:
    """All grammar declarations of a program and its modules, by the keys of `Program.grammars`."""

    declarations: dict[str, GrammarDeclaration] = field(default_factory=dict)
    spans: dict[tuple[str, str], Span] = field(default_factory=dict)
    """Where each rule's name stands."""
    own: list[str] = field(default_factory=list)
    """Keys of the program's own declarations, whose rules should all be used."""
    unresolved: set[str] = field(default_factory=set)
    """Keys of declarations in which something could not be resolved."""

    def declare(self, module: Module) -> None:
        """Resolve every grammar of a file and of what it imports."""
        for inner in module.modules.values():
            self.declare(inner)
        for declaration in module.grammars.values():
            key = module.prefix + declaration.name.text
            if key not in self.declarations:
                problems = len(module.report.diagnostics)
                self.declarations[key] = self._declaration(declaration, key, module)
                if len(module.report.diagnostics) > problems:
                    self.unresolved.add(key)
                if module.tree.kind == "program":
                    self.own.append(key)

    def resolve(
        self, node: GrammarExpression, module: Module, values: Mapping[str, Value] | None = None
    ) -> GrammarExpression:
        """A hole's grammar expression; `values` are those at the hole, inputs if left out."""
        return _Resolver(self, module, module.inputs if values is None else values).expression(node)

    def unused(self, roots: list[GrammarExpression]) -> list[tuple[str, Span]]:
        """Rules of the program that nothing refers to: (name, place)."""
        used = self._reached(roots)
        for key, declaration in self.declarations.items():
            for rule, expression in declaration.rules.items():
                if (key, rule) not in used:
                    used |= self._referred(expression) - {(key, rule)}
        found = []
        for key in self.own:
            declaration = self.declarations[key]
            names = list(declaration.rules)
            if len(names) == 1 or (key, declaration.start) not in used:
                names = [declaration.start] if (key, declaration.start) not in used else []
            for rule in names:
                if (key, rule) not in used:
                    whole = rule == declaration.start
                    found.append((declaration.name if whole else rule, self.spans[(key, "" if whole else rule)]))
        return found

    def _reached(self, roots: list[GrammarExpression]) -> set[tuple[str, str]]:
        reached: set[tuple[str, str]] = set()
        pending = [key for root in roots for key in self._referred(root)]
        while pending:
            key = pending.pop()
            if key not in reached and key[0] in self.declarations:
                reached.add(key)
                rule = self.declarations[key[0]].rules.get(key[1])
                pending += self._referred(rule) if rule is not None else ()
        return reached

    def _referred(self, expression: GrammarExpression) -> set[tuple[str, str]]:
        return {
            (part.declaration, part.rule or self.declarations[part.declaration].start)
            for part in expression.parts
            if isinstance(part, DeclaredReference) and part.declaration in self.declarations
        }

    def _declaration(self, declaration: syntax.GrammarSyntax, key: str, module: Module) -> GrammarDeclaration:
        parameters = read_parameters(declaration.parameters, module)
        name = declaration.name.text
        self.spans[(key, "")] = declaration.name.span
        written = declaration.rules or ((declaration.name, declaration.expression),)
        local: dict[str, Span] = {}
        for word, _ in declaration.rules:
            if word.text in local:
                module.report.add(mistakes.defined_twice(word.text, local[word.text], word.span))
            local[word.text] = word.span
            self.spans[(key, word.text)] = word.span
        values = {**module.inputs, **parameters}
        resolver = _Resolver(self, module, values, key, local, tuple(parameters))
        rules = {word.text: resolver.expression(expression) for word, expression in written if expression is not None}
        start = name if not declaration.rules else "start" if "start" in rules else declaration.rules[0][0].text
        return GrammarDeclaration(
            name=name,
            parameters=tuple(Parameter(each.name, each.type) for each in parameters.values()),
            start=start,
            rules=rules,
            value_type=_value_type(declaration, module),
            span=declaration.name.span,
        )


def _value_type(declaration: syntax.GrammarSyntax, module: Module) -> Type:
    word = declaration.as_type
    if word is None:
        return STR
    if word.text not in _VALUE_TYPES:
        module.report.add(mistakes.unknown_value_type(word.text, word.span))
        return STR
    return _VALUE_TYPES[word.text]


class _Resolver:
    """Resolves the references of one declaration or hole."""

    def __init__(
        self,
        grammars: Grammars,
        module: Module,
        values: Mapping[str, Value],
        key: str = "",
        local: Mapping[str, Span] | None = None,
        parameters: tuple[str, ...] = (),
    ) -> None:
        self.grammars = grammars
        self.module = module
        self.report = module.report
        self.values = values
        self.key = key
        self.local = local or {}
        self.parameters = parameters

    def expression(self, node: GrammarExpression) -> GrammarExpression:
        """The expression with every reference resolved."""
        match node:
            case Reference():
                return self._reference(node)
            case Restricted(item=item, conditions=conditions):
                return replace(node, item=self.expression(item), conditions=tuple(map(self._condition, conditions)))
            case Concatenation(items=items) | Alternatives(items=items):
                return replace(node, items=tuple(map(self.expression, items)))
            case Repeat(item=item):
                return replace(node, item=self.expression(item))
            case Intersection(left=left, right=right) | Difference(left=left, right=right):
                return replace(node, left=self.expression(left), right=self.expression(right))
            case _:
                assert not children(node), f"{type(node).__name__} is not resolved"
                return node

    def _condition(self, condition: Condition) -> Condition:
        if not isinstance(condition, Limit):
            return condition
        return replace(condition, least=self._bound(condition.least), most=self._bound(condition.most))

    def _bound(self, bound: int | Expression | None) -> int | Expression | None:
        if not isinstance(bound, Expression):
            return bound
        before = self.report.told
        typed = check_expression(bound, self._scope())
        if typed.type.name not in ("int", "any", "json"):
            self.report.add(mistakes.limits_are_whole_numbers(typed.type, bound.span))
        resolved = self._settled(typed.expression)
        if self.report.told > before or not self._is_resolved(resolved):
            return None
        return resolved.value if isinstance(resolved, tree.Constant) and isinstance(resolved.value, int) else resolved

    def _scope(self) -> Scope:
        return Scope(self.report, self.module.functions, self.values, "limit")

    def _settled(self, expression: Expression) -> Expression:
        """The expression with `let`s and template parameters replaced; says which names cannot be."""
        constants: dict[str, Expression] = {}
        for name in mentioned(expression):
            value = self.values.get(name.name)
            if value is None or value.kind == "input" or value.name in self.parameters:
                continue
            if value.constant is None:
                self.report.add(judging.grammar_depends_on_the_run(name.name, name.span, value.span))
            else:
                constants[name.name] = value.constant
        return substituted(expression, constants) if constants else expression

    def _reference(self, node: Reference) -> GrammarExpression:
        span = node.span
        assert span is not None, "references of a program have places"
        path = node.path
        notation = next((known for known in NOTATIONS if known == node.name), None)
        if notation is not None and node.arguments is not None and not self._is_imported(path):
            return self._external(notation, node.arguments, span)
        if len(path) == 1:
            return self._own(node, span)
        found = self.module.find_grammar(path, _head(span, node.name))
        if found is None:
            self._check_arguments(node.arguments)
            return _gap(span)
        if isinstance(found, LibraryGrammar):
            return self._library(found, node, span)
        if isinstance(found, str):
            return self._standard(found, node, span)
        module, name = found
        return self._declared(module.grammars[name], module.prefix + name, node, span)

    def _own(self, node: Reference, span: Span) -> GrammarExpression:
        name = node.path[0]
        if name in self.local:
            if node.arguments:
                self.report.add(judging.arguments_for_plain_rule(name, span))
            passed = tuple((each, tree.Name(span, each)) for each in self.parameters)
            return DeclaredReference(self.key, name, passed, span=span)
        if name in self.module.grammars:
            return self._declared(self.module.grammars[name], self.module.prefix + name, node, span)
        if name not in self.report.silent:
            self._undefined(name, _head(span, name))
        self._check_arguments(node.arguments)
        return _gap(span)

    def _undefined(self, name: str, span: Span) -> None:
        places = {known: declared.name.span for known, declared in self.module.grammars.items()} | dict(self.local)
        near = closest(name, places)
        line = None
        if near is not None:
            line, _ = places[near].source.position(places[near].start)
        self.report.add(judging.undefined_rule(name, span, near, line))

    def _declared(self, declared: syntax.GrammarSyntax, key: str, node: Reference, span: Span) -> GrammarExpression:

        quiet = Report()  # its own declaration complains about its types
        parameters = tuple(Parameter(each.name.text, read_type(each.type, quiet)) for each in declared.parameters)
        signature = GrammarSignature(node.name, declared.name.text, parameters)
        arguments = self._arguments(signature, node, span)
        return _gap(span) if arguments is None else DeclaredReference(key, "", arguments, span=span)

    def _library(self, found: LibraryGrammar, node: Reference, span: Span) -> GrammarExpression:
        arguments = self._arguments(found.signature, node, span)
        if arguments is None:
            return _gap(span)
        return LibraryReference(found.signature, found.file, arguments, found.boundaries, found.specialize, span=span)

    def _standard(self, rule: str, node: Reference, span: Span) -> GrammarExpression:
        signature = replace(standard.RULES[rule], name=node.name)
        arguments = self._arguments(signature, node, span)
        if arguments is None:
            return _gap(span)
        text = dict(arguments).get("text")
        # About an argument in a broken line something has been said.
        is_lacking = text is None and any(parameter.name == "text" for parameter in signature.parameters)
        return _gap(span) if is_lacking else StandardReference(rule, text, span=span)

    def _is_imported(self, path: tuple[str, ...]) -> bool:
        """Whether an imported library offers what is also the name of a notation."""
        library = self.module.libraries.get(path[0])
        return library is not None and len(path) == 2 and path[1] in library.grammars

    def _external(self, notation: Notation, arguments: tuple[Argument, ...], span: Span) -> GrammarExpression:
        """`lark("file.lark", start: "rule")`, `gbnf("file.gbnf")`, `json.schema("file.json")`."""
        texts: dict[str, tree.Constant] = {}
        option = NOTATIONS[notation].option
        for index, argument in enumerate(arguments):
            name = argument.name or "path"
            if argument.name_span is not None and name != option:
                near = closest(name, (option,))
                shown = f"{notation}(path, {option}: str)"
                self.report.add(mistakes.unknown_parameter(notation, name, argument.name_span, near, shown))
            elif not isinstance(argument.value, tree.Constant) or not isinstance(argument.value.value, str):
                label = "this is no written text"
                self.report.add(judging.bad_notation_argument(notation, option, argument.value.span, label))
            elif index and argument.name is None:
                label = f"this needs a name: `{option}: ...`"
                self.report.add(judging.bad_notation_argument(notation, option, argument.value.span, label))
            else:
                texts[name] = argument.value
        if "path" not in texts:
            if not arguments:
                self.report.add(judging.bad_notation_argument(notation, option, span, "the path is missing"))
            return _gap(span)
        start = self._option(notation, texts.get(option))
        return _gap(span) if start is None else self._file(notation, start, texts["path"], span)

    def _option(self, notation: Notation, given: tree.Constant | None) -> str | None:
        """The value of a notation's option; None after saying that it has no such value."""
        signature = NOTATIONS[notation]
        if given is None:
            return signature.default
        value = str(given.value)
        if signature.values and value not in signature.values:
            self.report.add(judging.bad_notation_option(signature.option, value, signature.values, given.span))
            return None
        return value

    def _file(self, notation: Notation, rule: str, path: tree.Constant, span: Span) -> GrammarExpression:
        name, place = str(path.value), path.span
        try:
            file = self.module.search.file(name)
        except (OSError, UnicodeDecodeError) as error:
            self.report.add(mistakes.file_unreadable(name, place, str(error)))
            return _gap(span)
        if file is None:
            where = "next to the program, in the project root, and in the installed library"
            near = closest_path(name, self.module.search.files_like(name))
            self.report.add(mistakes.file_not_found(name, place, where, near))
            return _gap(span)
        self.module.files.append(file.path or file.name)
        found, problems = own_grammar(file, notation, rule)
        self.report.add(*problems)
        if found is None:
            return _gap(span)
        return LibraryReference(found.signature, found.file, (), found.boundaries, span=span)

    def _arguments(self, signature: GrammarSignature, node: Reference, span: Span) -> NamedArguments | None:
        """Values by parameter name; None after saying what is wrong with them."""
        names = [parameter.name for parameter in signature.parameters]
        shown = str(signature) if signature.parameters else ""
        before = self.report.told
        given: dict[str, Expression] = {}
        for index, argument in enumerate(node.arguments or ()):
            name = argument.name if argument.name is not None else (names[index] if index < len(names) else None)
            place = argument.name_span or argument.value.span
            typed = check_expression(argument.value, self._scope())
            if not names:
                self.report.add(judging.arguments_for_plain_rule(signature.name, span))
            elif name is None or name not in names:
                near = closest(name, names) if name else None
                self.report.add(mistakes.unknown_parameter(signature.name, name or "...", place, near, shown))
            elif name in given:
                self.report.add(mistakes.given_twice(signature.name, name, place))
            else:
                parameter = signature.parameters[names.index(name)]
                problem = argument_mistake(signature.name, parameter, typed, argument.value, self._scope())
                self.report.add(*([problem] if problem is not None else []))
                given[name] = self._settled(typed.expression)
        missing = [each.name for each in signature.parameters if each.required and each.name not in given]
        if missing and self.report.told == before:
            self.report.add(mistakes.missing_parameter(signature.name, missing, span, shown))
        sound = self.report.told == before and all(map(self._is_resolved, given.values()))
        return tuple(given.items()) if sound else None

    def _is_resolved(self, expression: Expression) -> bool:
        """Whether every name and call was understood; about those of broken lines nothing was said."""
        if isinstance(expression, tree.Call):
            return False
        if isinstance(expression, tree.Name):
            return expression.name in self.values
        return all(map(self._is_resolved, evaluation.children(expression)))

    def _check_arguments(self, arguments: tuple[Argument, ...] | None) -> None:
        for argument in arguments or ():
            check_expression(argument.value, self._scope())


def _gap(span: Span) -> GrammarExpression:
    """What stands in place of something that could not be resolved."""
    return Concatenation((), span=span)


def _head(span: Span, name: str) -> Span:
    """The name at the start of a reference, without its arguments."""
    head = Span(span.source, span.start, span.start + len(name))
    return head if head.text == name else span


def substituted(expression: Expression, values: Mapping[str, Expression]) -> Expression:
    """The expression with names replaced by expressions."""
    match expression:
        case tree.Name(name=name):
            return values.get(name, expression)
        case tree.Field(base=base):
            return replace(expression, base=substituted(base, values))
        case tree.Index(base=base, index=index):
            return replace(expression, base=substituted(base, values), index=substituted(index, values))
        case tree.Unary(operand=operand) | tree.Maybe(operand=operand):
            return replace(expression, operand=substituted(operand, values))
        case tree.Binary(left=left, right=right):
            return replace(expression, left=substituted(left, values), right=substituted(right, values))
        case tree.BuiltinCall(arguments=arguments):
            return replace(expression, arguments=tuple(substituted(each, values) for each in arguments))
        case tree.ListOf(items=items):
            return replace(expression, items=tuple(substituted(each, values) for each in items))
        case tree.Record(fields=fields):
            return replace(expression, fields=tuple((name, substituted(value, values)) for name, value in fields))
        case _:
            return expression
