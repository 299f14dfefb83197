"""Closing grammars: from what a program says to one `Grammar` without free names.

References to the program's own grammars become rules of one scannerless grammar, inputs are put into
limits and arguments, `.lark` files are loaded and fitted to their arguments. Restrictions that stand
outside everything (`sql.select(...) where tokens <= 200`, `- "x"`, `& /r/`) become the grammar's
`conditions` and `filters`; a lexed grammar that is only a part becomes `Embedded`.

The same walk without an environment (`outline_of`) tells what does not depend on inputs: the names of
the boundaries, and the mistakes that need no automaton.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from smcdsl.errors import CompileError, Diagnostic, Label, Span
from smcdsl.library import standard
from smcdsl.library.functions import load_specializer
from smcdsl.library.lark_files import load_rules
from smcdsl.program.evaluation import evaluate, free_names, freeze
from smcdsl.program.expressions import Expression
from smcdsl.program.grammar import (
    Alternatives,
    Concatenation,
    Condition,
    Difference,
    Embedded,
    Grammar,
    GrammarExpression,
    Intersection,
    Limit,
    Pattern,
    Reference,
    Repeat,
    Restricted,
)
from smcdsl.program.program import GrammarDeclaration, Program
from smcdsl.program.references import DeclaredReference, LibraryReference, StandardReference
from smcdsl.program.types import STR, Type
from smcdsl.workers import quiet

RESERVED_BOUNDARIES = ("token", "line", "end")
"""Boundaries that every hole has; no rule of these names is one."""

Declarations = Mapping[str, GrammarDeclaration]
Environment = Mapping[str, Any]

_CACHE_SIZE = 256
_cache: dict[Hashable, tuple[weakref.ref[Program], Grammar]] = {}


def bind_hole(program: Program, hole_key: str, environment: Environment) -> Grammar:
    """The grammar of a hole under the values of the program's inputs.

    Raises:
        CompileError: the values do not fit, or the grammar they make is wrong.
    """
    hole = program.holes[hole_key]
    if hole.closed is not None:
        return hole.closed
    return _bind(program, f"hole {hole_key}", hole.name, hole.grammar, environment)


def bind_grammar(program: Program, name: str, environment: Environment) -> Grammar:
    """A declared grammar without parameters, under the values of the program's inputs.

    Raises:
        CompileError: as `bind_hole`.
    """
    declaration = program.grammars[name]
    reference = DeclaredReference(name, "", span=declaration.span)
    return _bind(program, f"grammar {name}", name, reference, environment)


def _bind(program: Program, key: str, name: str, expression: GrammarExpression, environment: Environment) -> Grammar:
    names = expression_names(expression, program.grammars)
    used = {used: environment[used] for used in sorted(names) if used in environment}
    cache_key = (id(program), key, tuple((used_name, _stamped(value)) for used_name, value in used.items()))
    found = _cache.get(cache_key)
    if found is not None and found[0]() is program:
        return found[1]
    grammar = close(expression, program.grammars, used, name)
    while len(_cache) >= _CACHE_SIZE:
        _cache.pop(next(iter(_cache)))
    _cache[cache_key] = (weakref.ref(program), grammar)
    return grammar


def _stamped(value: Any) -> Hashable:
    """A value as a key; what may be a file's path with that file's size and time."""
    frozen = freeze(value)
    if isinstance(value, str) and 0 < len(value) < 4096 and "\n" not in value and "\0" not in value:
        try:
            stat = Path(value).stat()
        except OSError:
            return frozen
        return (frozen, stat.st_mtime_ns, stat.st_size)
    return frozen


def close(expression: GrammarExpression, declarations: Declarations, environment: Environment, name: str) -> Grammar:
    """The closed grammar of a resolved expression.

    Raises:
        CompileError: with all mistakes found on the way.
    """
    closing = _Closing(declarations, environment)
    grammar = closing.grammar(expression, name)
    if closing.problems:
        raise CompileError(closing.problems)
    return grammar


@dataclass(frozen=True)
class Outline:
    """What of a grammar needs no inputs."""

    boundaries: tuple[str, ...]
    parts: tuple[str, ...]
    """Boundaries that are not just names of the whole text."""
    is_lexed: bool
    library: str
    """The name of the library's rule that gives the boundaries, such as `sql.select`; else empty."""
    value_type: Type
    conditions: tuple[Condition, ...]
    """Limits of the whole text; bounds that depend on inputs are None."""
    problems: tuple[Diagnostic, ...]


def outline_of(expression: GrammarExpression, declarations: Declarations) -> Outline:
    """Boundaries and structural mistakes of a resolved expression."""
    closing = _Closing(declarations, None)
    grammar = closing.grammar(expression, "")
    is_lexed = grammar.lexing != "scannerless"
    value_type = grammar.value_type or STR
    parts = tuple(name for name in grammar.boundaries if name not in closing.whole)
    return Outline(
        grammar.boundaries, parts, is_lexed, closing.library, value_type, grammar.conditions, tuple(closing.problems)
    )


def is_settled(expression: GrammarExpression, declarations: Declarations) -> bool:
    """Whether the grammar can be closed now: it takes no input, and no code runs to fit it to its arguments."""
    seen: set[str] = set()

    def runs_code(node: GrammarExpression) -> bool:
        for part in node.parts:
            if isinstance(part, LibraryReference) and part.specialize:
                return True
            if isinstance(part, DeclaredReference) and part.declaration not in seen:
                seen.add(part.declaration)
                if any(runs_code(rule) for rule in declarations[part.declaration].rules.values()):
                    return True
        return False

    return not expression_names(expression, declarations) and not runs_code(expression)


def expression_names(expression: GrammarExpression, declarations: Declarations) -> frozenset[str]:
    """Inputs whose values the grammar takes."""
    names: set[str] = set()
    seen: set[str] = set()

    def visit(node: GrammarExpression, bound: frozenset[str]) -> None:
        for part in node.parts:
            for value in _values(part):
                names.update(free_names(value) - bound)
            if isinstance(part, DeclaredReference) and part.declaration not in seen:
                seen.add(part.declaration)
                declaration = declarations[part.declaration]
                parameters = frozenset(parameter.name for parameter in declaration.parameters)
                for rule in declaration.rules.values():
                    visit(rule, parameters)

    visit(expression, frozenset())
    return frozenset(names)


def _values(node: GrammarExpression) -> list[Expression]:
    """The ordinary expressions directly inside a grammar expression."""
    match node:
        case DeclaredReference(arguments=arguments) | LibraryReference(arguments=arguments):
            return [value for _, value in arguments]
        case StandardReference(argument=argument) if argument is not None:
            return [argument]
        case Restricted(conditions=conditions):
            bounds = [bound for limit in conditions if isinstance(limit, Limit) for bound in (limit.least, limit.most)]
            return [bound for bound in bounds if isinstance(bound, Expression)]
        case _:
            return []


def is_recursive(expression: GrammarExpression, declarations: Declarations) -> bool:
    """Whether it reaches a rule that reaches itself, or a `.lark` grammar, which counts as one."""
    path: set[tuple[str, str]] = set()
    sound: set[tuple[str, str]] = set()

    def visit(node: GrammarExpression) -> bool:
        for part in node.parts:
            if isinstance(part, LibraryReference):
                return True
            if not isinstance(part, DeclaredReference):
                continue
            key = (part.declaration, part.rule or declarations[part.declaration].start)
            if key in path:
                return True
            if key not in sound:
                path.add(key)
                if visit(declarations[key[0]].rules[key[1]]):
                    return True
                path.discard(key)
                sound.add(key)
        return False

    return visit(expression)


@dataclass
class _Closing:
    """One walk from an expression to a closed grammar; without an environment, to its outline."""

    declarations: Declarations
    environment: Environment | None
    rules: dict[str, GrammarExpression] = field(default_factory=dict)
    names: dict[Hashable, str] = field(default_factory=dict)
    boundaries: list[str] = field(default_factory=list)
    instances: dict[tuple[str, str], str] = field(default_factory=dict)
    boundary_of: dict[str, str] = field(default_factory=dict)
    problems: list[Diagnostic] = field(default_factory=list)
    library: str = ""
    whole: tuple[str, ...] = ()
    """Names of the whole text, the outermost first."""

    def grammar(self, expression: GrammarExpression, name: str) -> Grammar:
        """The grammar of a whole hole."""
        scope: Environment = self.environment or {}
        conditions: list[Condition] = []
        filters: list[tuple[GrammarExpression, bool]] = []
        span = expression.span
        value_type = self._value_type(expression)
        outer: list[str] = []
        while True:
            match expression:
                case Restricted(item=item, conditions=more):
                    conditions += self._conditions(more, scope)
                    expression = item
                case Difference(left=left, right=right):
                    filters.append((self._inlined(right, scope, "right side of `-`", left), False))
                    expression = left
                case Intersection(left=left, right=right):
                    if is_recursive(right, self.declarations):
                        left, right = right, left
                    filters.append((self._inlined(right, scope, "one side of `&`"), True))
                    expression = left
                case DeclaredReference() if not self._returns_to_itself(expression):
                    outer.append(self._name_of(expression, scope))
                    scope, expression = self._opened(expression, scope)
                case LibraryReference():
                    found = self._library(expression, scope)
                    return replace(
                        found,
                        name=name,
                        conditions=(*found.conditions, *conditions),
                        filters=(*found.filters, *filters),
                        value_type=value_type,
                        span=span,
                    )
                case _:
                    break
        self.whole = tuple(outer)
        start = self._start(outer, expression, scope)
        return Grammar(
            name=name,
            start=start,
            rules=self.rules,
            boundaries=tuple(self.boundaries),
            boundary_of=self.boundary_of,
            conditions=tuple(conditions),
            filters=tuple(filters),
            value_type=value_type,
            span=span,
        )

    def _start(self, outer: list[str], expression: GrammarExpression, scope: Environment) -> str:
        """Define the rules that name the whole text, the outermost first, and return the start."""
        if not outer:
            outer = [self._unique("_start", "_start", boundary=False)]
        for name, inner in pairwise(outer):
            self.rules[name] = Reference((inner,))
        self.rules[outer[-1]] = self._expression(expression, scope)
        return outer[0]

    def _returns_to_itself(self, reference: DeclaredReference) -> bool:
        """Whether the rule reaches itself: its restrictions then hold inside too, not only for the whole."""
        body = self._body(reference)
        seen: set[tuple[str, str]] = set()
        target = self._key(reference)
        pending = [body]
        while pending:
            for part in pending.pop().parts:
                if isinstance(part, DeclaredReference):
                    key = self._key(part)
                    if key == target:
                        return True
                    if key not in seen:
                        seen.add(key)
                        pending.append(self._body(part))
        return False

    def _key(self, reference: DeclaredReference) -> tuple[str, str]:
        return (reference.declaration, reference.rule or self.declarations[reference.declaration].start)

    def _body(self, reference: DeclaredReference) -> GrammarExpression:
        declaration, rule = self._key(reference)
        return self.declarations[declaration].rules[rule]

    def _opened(self, reference: DeclaredReference, scope: Environment) -> tuple[Environment, GrammarExpression]:
        """The body of what is referred to, and the values its names have."""
        declaration = self.declarations[reference.declaration]
        if not reference.rule and declaration.start != reference.declaration.rpartition(".")[2]:
            # A block's name stands for its first rule, which is a boundary of its own.
            return scope, replace(reference, rule=declaration.start)
        return self._scope(reference, scope), self._body(reference)

    def _scope(self, reference: DeclaredReference, scope: Environment) -> Environment:
        if self.environment is None:
            return {}
        values = {name: evaluate(value, scope, {}) for name, value in reference.arguments}
        return {**self.environment, **values}

    def _name_of(self, reference: DeclaredReference, scope: Environment) -> str:
        """The name of the instance of a rule that a reference means."""
        return self.names.setdefault(*self._instance(reference, scope))

    def _instance(self, reference: DeclaredReference, scope: Environment) -> tuple[Hashable, str]:
        key = (reference.declaration, reference.rule, self._arguments_key(reference, scope))
        if key in self.names:
            return key, self.names[key]
        plain = reference.rule or reference.declaration
        name = self._unique(plain.rpartition(".")[2], f"{reference.declaration}.{reference.rule}".rstrip("."))
        first = self.instances.setdefault((reference.declaration, reference.rule), name)
        if name != first and first in self.boundaries:  # with other arguments, but the rule that `at` names
            self.boundary_of[name] = first
        return key, name

    def _arguments_key(self, reference: DeclaredReference, scope: Environment) -> Hashable:
        if self.environment is None:
            return reference.arguments
        return tuple((name, freeze(evaluate(value, scope, {}))) for name, value in reference.arguments)

    def _unique(self, name: str, qualified: str, boundary: bool = True) -> str:
        """The name itself if it is free, else a longer one, which no `at` can name."""
        taken = set(self.names.values()) | self.rules.keys()
        if name not in taken:
            if boundary and name not in RESERVED_BOUNDARIES:
                self.boundaries.append(name)
            return name
        number = 2
        while (candidate := qualified if number == 2 else f"{qualified}#{number}") in taken:
            number += 1
        return candidate

    def _expression(self, node: GrammarExpression, scope: Environment) -> GrammarExpression:
        """A part of the grammar with references made rules."""
        match node:
            case DeclaredReference():
                return replace_span(Reference((self._rule(node, scope),)), node)
            case StandardReference():
                return replace_span(Reference((self._standard(node, scope),)), node)
            case LibraryReference():
                return Embedded(self._library(node, scope), span=node.span)
            case Restricted(item=item, conditions=conditions):
                self._refuse_tokens(conditions)
                return Restricted(self._expression(item, scope), self._conditions(conditions, scope), span=node.span)
            case Difference(left=left, right=right):
                self._require_regular(right, "right side of `-`", left)
            case Intersection(left=left, right=right):
                if is_recursive(left, self.declarations):
                    self._require_regular(right, "one side of `&`")
        return _mapped(node, lambda child: self._expression(child, scope))

    def _rule(self, reference: DeclaredReference, scope: Environment) -> str:
        """Make sure that the instance exists, and return its name."""
        name = self._name_of(reference, scope)
        if name not in self.rules:
            self.rules[name] = Concatenation(())  # taken; filled in below
            inner, body = self._opened(reference, scope)
            self.rules[name] = self._expression(body, inner)
        return name

    def _standard(self, node: StandardReference, scope: Environment) -> str:
        text = self._standard_text(node, scope)
        key = (standard.NAME, node.rule, text)
        if key not in self.names:
            name = self._unique(node.rule, f"{standard.NAME}.{node.rule}")
            self.names[key] = name
            self.rules[name] = replace_span(standard.rule_expression(node.rule, text), node)
        return self.names[key]

    def _standard_text(self, node: StandardReference, scope: Environment) -> str | None:
        if node.argument is None:
            return None
        if self.environment is None:
            return "?"
        value = evaluate(node.argument, scope, {})
        text = getattr(value, "text", value)
        if not isinstance(text, str) or not text:
            message = "`substring_of` needs a text that is not empty"
            self.problems.append(_mistake("E0403", message, node.argument.span, "this is empty" if text == "" else ""))
            return "?"
        return text

    def _library(self, node: LibraryReference, scope: Environment) -> Grammar:
        if self.environment is None:
            self.library = self.library or node.signature.name
            return Grammar(node.signature.name, "", {}, lexing="longest", boundaries=node.boundaries)
        values = {parameter.name: parameter.default for parameter in node.signature.parameters}
        values |= {name: evaluate(value, scope, {}) for name, value in node.arguments}
        start = values.get("start") or node.signature.rule
        grammar = load_rules(node.file, str(start))
        if node.specialize:
            with quiet():
                grammar = load_specializer(node.specialize, node.file)(grammar, node.signature.rule, values)
        return replace(grammar, span=node.span)

    def _conditions(self, conditions: tuple[Condition, ...], scope: Environment) -> tuple[Condition, ...]:
        return tuple(
            replace(limit, least=self._bound(limit.least, scope), most=self._bound(limit.most, scope))
            if isinstance(limit, Limit)
            else limit
            for limit in conditions
        )

    def _bound(self, bound: int | Expression | None, scope: Environment) -> int | None:
        if not isinstance(bound, Expression):
            return bound
        if self.environment is None:
            return None
        value = evaluate(bound, scope, {})
        if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
            self.problems.append(
                _mistake("E0301", "a length limit needs a whole number", bound.span, f"this is {value!r}")
            )
            return None
        return int(value // 1)

    def _refuse_tokens(self, conditions: tuple[Condition, ...]) -> None:
        for limit in conditions:
            if isinstance(limit, Limit) and limit.unit == "tokens" and limit.span is not None:
                message = "`tokens` can only limit a whole hole"
                label = "this stands inside a larger grammar, whose parts have no tokens of their own"
                self.problems.append(replace(_mistake("E0416", message, limit.span, label), help="limit `chars` here"))

    def _inlined(
        self, node: GrammarExpression, scope: Environment, side: str, other: GrammarExpression | None = None
    ) -> GrammarExpression:
        """A regular expression without any reference."""
        if not self._require_regular(node, side, other):
            return Pattern("")
        return self._expanded(node, scope)

    def _expanded(self, node: GrammarExpression, scope: Environment) -> GrammarExpression:
        match node:
            case DeclaredReference():
                inner, body = self._opened(node, scope)
                return self._expanded(body, inner)
            case StandardReference():
                return standard.rule_expression(node.rule, self._standard_text(node, scope))
            case Restricted(item=item, conditions=conditions):
                self._refuse_tokens(conditions)
                return Restricted(self._expanded(item, scope), self._conditions(conditions, scope), span=node.span)
        return _mapped(node, lambda child: self._expanded(child, scope))

    def _require_regular(self, node: GrammarExpression, side: str, other: GrammarExpression | None = None) -> bool:
        if not is_recursive(node, self.declarations):
            return True
        if node.span is not None:
            message = f"the {side} must be a regular expression"
            mistake = _mistake("E0404", message, node.span, "this grammar is recursive")
            if other is not None:
                kept = other.span.text if other.span is not None and "\n" not in other.span.text else "..."
                mistake = replace(mistake, help=f"exclude by pattern instead: `{kept} where excludes /.../`")
            self.problems.append(mistake)
        return False

    def _value_type(self, node: GrammarExpression) -> Type | None:
        while True:
            match node:
                case Restricted(item=inner) | Difference(left=inner):
                    node = inner
                case DeclaredReference(declaration=name):
                    return self.declarations[name].value_type
                case _:
                    return None


def _mapped(node: GrammarExpression, transform: Callable[[GrammarExpression], GrammarExpression]) -> GrammarExpression:
    """The node with everything directly inside it transformed."""
    match node:
        case Concatenation(items=items):
            return Concatenation(tuple(map(transform, items)), span=node.span)
        case Alternatives(items=items):
            return Alternatives(tuple(map(transform, items)), span=node.span)
        case Repeat(item=item):
            return replace(node, item=transform(item))
        case Intersection(left=left, right=right):
            return Intersection(transform(left), transform(right), span=node.span)
        case Difference(left=left, right=right):
            return Difference(transform(left), transform(right), span=node.span)
        case _:
            return node


def replace_span(node: GrammarExpression, original: GrammarExpression) -> GrammarExpression:
    """The node at the place of `original`."""
    return replace(node, span=original.span)


def _mistake(code: str, message: str, span: Span, label: str) -> Diagnostic:
    return Diagnostic(code, message, (Label(span, label, primary=True),))
