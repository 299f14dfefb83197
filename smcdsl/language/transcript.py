"""The transcript: turns, holes, control flow and factors, in the order in which they are written.

The walk carries the names that have a value at each place (`flow`): a value from one arm of a branch,
or from a loop, is known only sometimes afterwards. `use` becomes a `Scope` with the template's body.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from smcdsl.errors import Diagnostic, Span
from smcdsl.language import fitting, mistakes, syntax
from smcdsl.language import mistakes_transcript as wording
from smcdsl.language.expressions import (
    Scope,
    Typed,
    Where,
    check_expression,
    is_capped,
    match_arguments,
    mentioned,
)
from smcdsl.language.factors import FactorChecker, FactorUse
from smcdsl.language.grammars import Grammars, substituted
from smcdsl.language.holes import Holes
from smcdsl.language.potentials import read_parameters
from smcdsl.language.resolver import Module
from smcdsl.language.symbols import Report, Value
from smcdsl.program import statements as st
from smcdsl.program.expressions import Call, Expression
from smcdsl.program.grammar import GrammarExpression
from smcdsl.program.types import ANY, INT, STR, Parameter, Type, list_of

Flow = dict[str, Value]
_NOT_INSERTED = ("sqlite", "grammar")


@dataclass
class Transcript:
    """What the walk over `generate` found."""

    report: Report
    grammars: Grammars
    holes: Holes
    flow: Flow
    later_holes: Mapping[str, Span]
    later_lets: Mapping[str, Span]
    module: Module
    used: set[str] = field(default_factory=set)
    factors: list[FactorUse] = field(default_factory=list)
    first_chat: Span | None = None
    first_raw: Span | None = None
    templates_used: list[syntax.TemplateSyntax] = field(default_factory=list)
    grammar_roots: list[GrammarExpression] = field(default_factory=list)
    """Grammars of templates that no `use` names."""
    _turn: st.Turn | None = None
    _loops: list[Span] = field(default_factory=list)
    _templates: list[syntax.TemplateSyntax] = field(default_factory=list)

    def statements(self, body: Sequence[st.Statement]) -> tuple[st.Statement, ...]:
        """Check statements in order; those that come after a `break` are kept and warned about."""
        checked: list[st.Statement] = []
        before: st.Turn | None = None
        leaving: Span | None = None
        for statement in body:
            if leaving is not None:
                self.report.add(wording.unreachable(statement.span, leaving))
                break
            if isinstance(statement, st.Turn):
                if before is not None and before.role == statement.role != "text":
                    self.report.add(wording.turns_of_one_role(statement.role, statement.role_span, before.role_span))
                before = statement
            elif isinstance(statement, st.Branch | st.Loop | st.Use):
                before = None
            if isinstance(statement, st.Break):
                leaving = statement.span
            checked.append(self._statement(statement))
        return tuple(checked)

    def scope(self, where: Where) -> Scope:
        """What an expression at this place may refer to."""
        return Scope(self.report, self.module.functions, self.flow, where, self._later, self._impossible)

    def expression(self, expression: Expression, where: Where) -> Typed:
        """Check an expression at this place and remember the names it uses."""
        typed = check_expression(expression, self.scope(where))
        self.used |= {name.name for name in mentioned(typed.expression)}
        return typed

    def _later(self, name: str, span: Span) -> Diagnostic | None:
        if name in self.later_holes:
            return mistakes.used_before_generated(name, span, self.later_holes[name])
        if name in self.later_lets:
            return mistakes.used_before_let(name, span, self.later_lets[name])
        return None

    def _impossible(self, value: Value, text: str, span: Span) -> Diagnostic | None:
        return self.holes.impossible(value, text, span)

    def _statement(self, statement: st.Statement) -> st.Statement:
        match statement:
            case st.Turn():
                return self._turn_statement(statement)
            case st.Text(template=template):
                return replace(statement, template=self._template(template, "text"))
            case st.Observe(template=template):
                return replace(statement, template=self._template(template, "observe"))
            case st.Factor():
                checked, use = FactorChecker(self).check(statement)
                self.factors.append(use)
                return checked
            case st.Let():
                return self._let(statement)
            case st.Use():
                return self._use(statement)
            case st.Branch():
                return self._branch(statement)
            case st.Loop():
                return self._loop(statement)
            case _:
                return statement

    # ---- turns and texts

    def _turn_statement(self, turn: st.Turn) -> st.Statement:
        if self._turn is not None:
            outer = self._turn
            self.report.add(wording.turn_inside_turn(turn.role, turn.role_span, outer.role, outer.role_span))
        self._note_kind(turn)
        outer_turn, self._turn = self._turn, turn
        body = self.statements(turn.body)
        self._turn = outer_turn
        return replace(turn, body=body)

    def _note_kind(self, turn: st.Turn) -> None:
        """Chat turns and raw text do not mix (E0601)."""
        if turn.role == "text":
            if self.first_chat is not None and self.first_raw is None:
                self.report.add(wording.chat_and_raw_text(turn.role_span, True, self.first_chat))
            self.first_raw = self.first_raw or turn.role_span
        else:
            if self.first_raw is not None and self.first_chat is None:
                self.report.add(wording.chat_and_raw_text(turn.role_span, False, self.first_raw))
            self.first_chat = self.first_chat or turn.role_span

    def _template(self, template: st.Template, what: str) -> st.Template:
        if self._turn is None:
            self.report.add(wording.text_outside_turn(template.span, "`observe`" if what == "observe" else "text"))
        return replace(template, parts=tuple(self._part(part, what) for part in template.parts))

    def _part(self, part: st.Part, what: str) -> st.Part:
        if isinstance(part, st.Insert):
            typed = self.expression(part.expression, "text")
            if typed.type.name in _NOT_INSERTED:
                help = f"for example its schema: `sql.ddl({part.expression.span.text})`"
                self.report.add(mistakes.cannot_insert(typed.type, part.expression.span, help))
            return replace(part, expression=typed.expression)
        if not isinstance(part, st.Hole):
            return part
        if what == "observe":
            self.report.add(wording.hole_in_observe(part.span))
        elif self._turn is not None and self._turn.role in ("system", "user"):
            self.report.add(wording.hole_outside_model_turn(part.span, self._turn.role))
        return self._hole(part)

    # ---- names that get values

    def _hole(self, hole: st.Hole) -> st.Hole:
        declared = self.holes.declare(hole, self.grammars.resolve(hole.grammar, self.module, self._grammar_values()))
        name = hole.name
        if name != "_":
            known = self.flow.get(name)
            if known is not None and known.kind == "hole" and (hole.collects and known.collects):
                pass
            elif known is not None and known.kind == "hole":
                self.report.add(mistakes.same_hole_twice(name, known.span, hole.name_span, _shown_grammar(hole)))
            elif known is not None:
                self.report.add(mistakes.defined_twice(name, known.span, hole.name_span))
            elif self._loops and not hole.collects:
                self.report.add(mistakes.overwritten_in_loop(name, hole.name_span, self._loops[-1]))
                hole = replace(hole, collects=True)  # what was probably meant
            self._introduce_hole(hole, declared.key, declared.type)
        return declared.hole

    def _introduce_hole(self, hole: st.Hole, key: str, type_: Type) -> None:
        low, high = fitting.natural_interval(type_)
        self.flow[hole.name] = Value(
            hole.name,
            "hole",
            list_of(type_) if hole.collects else type_,
            hole.name_span,
            generated=True,
            collects=hole.collects,
            hole=key,
            low=low,
            high=high,
        )

    def _grammar_values(self) -> Mapping[str, Value]:
        """Values that a hole's grammar may mention; those of the run are refused by the resolver."""
        return self.flow

    def _let(self, statement: st.Let) -> st.Statement:
        typed = self.expression(statement.expression, "let")
        known = self.flow.get(statement.name)
        if known is not None and (known.kind != "let" or not known.condition):
            self.report.add(mistakes.defined_twice(statement.name, known.span, statement.name_span))
        self.flow[statement.name] = Value(
            statement.name,
            "let",
            typed.type,
            statement.name_span,
            generated=typed.generated,
            constant=self._constant(typed.expression),
            low=typed.low,
            high=typed.high,
        )
        return replace(statement, expression=typed.expression)

    def _constant(self, expression: Expression) -> Expression | None:
        """The expression over inputs alone that a `let` or argument stands for, if there is one."""
        constants: dict[str, Expression] = {}
        for name in mentioned(expression):
            value = self.flow.get(name.name)
            if value is None or value.kind == "input":
                continue
            if value.constant is None:
                return None
            constants[name.name] = value.constant
        return substituted(expression, constants)

    def _use(self, statement: st.Use) -> st.Statement:
        found = self.module.find_template(statement.path, statement.path_span)
        arguments = tuple(argument for argument in statement.arguments)
        if found is None:
            for argument in arguments:
                self.expression(argument.value, "text")  # type: ignore[attr-defined]
            return st.Scope(statement.span, (), ())
        module, template = found
        self.templates_used.append(template)
        name = ".".join(statement.path)
        if any(template is outer for outer in self._templates):
            self.report.add(mistakes.refers_to_itself("template", name, statement.path_span))
            return st.Scope(statement.span, (), ())
        declared = read_parameters(template.parameters, Module(module.tree, module.search, Report()))
        parameters = tuple(Parameter(each.name, each.type) for each in declared.values())
        call = Call(statement.span, statement.path, statement.path_span, arguments)  # type: ignore[arg-type]
        matched = match_arguments(call, name, parameters, template.name.span, self.scope("text"))
        if matched is None:
            return st.Scope(statement.span, (), ())
        given = dict(zip(declared, (each for each in matched if each is not None), strict=True))
        for typed in given.values():
            self.used |= {each.name for each in mentioned(typed.expression)}
        values = {
            parameter: replace(
                value, generated=given[parameter].generated, constant=self._constant(given[parameter].expression)
            )
            for parameter, value in declared.items()
        }
        body = self._template_body(module, template, values)
        bindings = tuple((parameter, typed.expression) for parameter, typed in given.items())
        return st.Scope(statement.span, bindings, body)

    def _template_body(
        self, module: Module, template: syntax.TemplateSyntax, values: Mapping[str, Value]
    ) -> tuple[st.Statement, ...]:
        """The body under its own names: its parameters and its own file's inputs; holes stay afterwards."""
        outer_flow, outer_module = self.flow, self.module
        hidden = {name: value for name, value in outer_flow.items() if value.kind not in ("input", "hole")}
        self.flow = {name: value for name, value in outer_flow.items() if name not in hidden}
        if module is not outer_module:
            self.flow = {name: value for name, value in self.flow.items() if value.kind == "hole"} | module.inputs
        self.flow |= values
        self.module = module
        self._templates.append(template)
        body = self.statements(template.body)
        self._templates.pop()
        self.module = outer_module
        left = {name: value for name, value in self.flow.items() if value.kind == "hole" and name not in values}
        self.flow = {**outer_flow, **left}
        return body

    def check_template(self, template: syntax.TemplateSyntax) -> None:
        """Check a template that nothing uses: its strings may stand in a turn, or it brings turns itself."""
        if not any(isinstance(statement, st.Turn) for statement in _flattened(template.body)):
            self._turn = st.Turn(template.span, "assistant", template.keyword, ())
        self._templates.append(template)
        self.statements(template.body)
        self._templates.pop()

    # ---- control flow

    def _branch(self, branch: st.Branch) -> st.Statement:
        condition = self.expression(branch.condition, "condition")
        if not fitting.is_yes_or_no(condition.type):
            self.report.add(mistakes.condition_needs_yes_or_no("if", condition.type, branch.condition.span))
        before = dict(self.flow)
        then = self.statements(branch.then)
        after_then = self.flow
        self.flow = dict(before)
        otherwise = self.statements(branch.otherwise)
        after_otherwise = self.flow
        shown = _shown(branch.condition.span)
        self.flow = _merged(
            before,
            (after_then, f"when {shown}", _leaves(branch.then)),
            (after_otherwise, f"unless {shown}", _leaves(branch.otherwise)),
        )
        return replace(branch, condition=condition.expression, then=then, otherwise=otherwise)

    def _loop(self, loop: st.Loop) -> st.Statement:
        first, last, item = self._bounds(loop)
        known = self.flow.get(loop.variable)
        if known is not None:
            self.report.add(mistakes.defined_twice(loop.variable, known.span, loop.variable_span))
        before = dict(self.flow)
        generated = first.generated or (last is not None and last.generated)
        self.flow[loop.variable] = Value(loop.variable, "loop", item, loop.variable_span, generated)
        self._collect_ahead(loop.body)
        with self._inside_loop(loop.span):
            body = self.statements(loop.body)
        inside = {name: value for name, value in self.flow.items() if name != loop.variable}
        self.flow = _merged(before, (inside, "in the rounds of a loop", False), (before, "", False))
        return replace(loop, first=first.expression, last=None if last is None else last.expression, body=body)

    @contextmanager
    def _inside_loop(self, span: Span) -> Iterator[None]:
        self._loops.append(Span(span.source, span.start, span.start + len("for")))
        yield
        self._loops.pop()

    def _collect_ahead(self, body: Sequence[st.Statement]) -> None:
        """A `name[]` hole of a loop is a list from the start of the loop: empty in its first round."""
        for hole in holes_in(body):
            if hole.collects and hole.name not in self.flow:
                self.flow[hole.name] = Value(
                    hole.name, "hole", list_of(STR), hole.name_span, generated=True, collects=True
                )

    def _bounds(self, loop: st.Loop) -> tuple[Typed, Typed | None, Type]:
        """The checked list or bounds of a loop, and the type of its variable."""
        first = self.expression(loop.first, "bound")
        if loop.last is None:
            if first.type.name == "list" and not first.type.optional:
                return first, None, first.type.item or ANY
            if first.type.name not in ("any", "json"):
                self.report.add(wording.cannot_loop_over(loop.first.span, mistakes.is_a(first.type)))
            elif first.generated:
                self.report.add(wording.may_run_for_ever(loop.first.span, f"`{loop.first.span.text}`", is_list=True))
            return first, None, ANY
        last = self.expression(loop.last, "bound")
        for typed, written in ((first, loop.first), (last, loop.last)):
            if not fitting.fits(typed.type, INT):
                self.report.add(wording.bounds_are_whole_numbers(written.span, mistakes.is_a(typed.type)))
            elif typed.generated and not is_capped(typed.expression, self.flow):
                named = [each for each in mentioned(typed.expression) if self._is_generated(each.name)]
                what = f"`{named[0].name}`" if named else "this"
                self.report.add(wording.may_run_for_ever(written.span, what))
        return first, last, INT

    def _is_generated(self, name: str) -> bool:
        return name in self.flow and self.flow[name].generated


def _flattened(body: Sequence[st.Statement]) -> list[st.Statement]:
    """Statements and those inside their control flow, turns as a whole."""
    found: list[st.Statement] = []
    for statement in body:
        found.append(statement)
        if isinstance(statement, st.Branch):
            found += [*_flattened(statement.then), *_flattened(statement.otherwise)]
        elif isinstance(statement, st.Loop):
            found += _flattened(statement.body)
    return found


def holes_in(body: Sequence[st.Statement]) -> list[st.Hole]:
    """Every hole written in statements, those of templates apart."""
    found: list[st.Hole] = []
    for statement in body:
        match statement:
            case st.Text(template=template) | st.Observe(template=template):
                found += [part for part in template.parts if isinstance(part, st.Hole)]
            case st.Branch(then=then, otherwise=otherwise):
                found += [*holes_in(then), *holes_in(otherwise)]
            case st.Turn(body=inner) | st.Loop(body=inner) | st.Scope(body=inner):
                found += holes_in(inner)
    return found


def lets_in(body: Sequence[st.Statement]) -> list[st.Let]:
    """Every `let` written in statements, those of templates apart."""
    found: list[st.Let] = []
    for statement in body:
        match statement:
            case st.Let():
                found.append(statement)
            case st.Branch(then=then, otherwise=otherwise):
                found += [*lets_in(then), *lets_in(otherwise)]
            case st.Turn(body=inner) | st.Loop(body=inner) | st.Scope(body=inner):
                found += lets_in(inner)
    return found


def _leaves(body: Sequence[st.Statement]) -> bool:
    """Whether an arm always ends in `break`."""
    if not body:
        return False
    last = body[-1]
    if isinstance(last, st.Branch):
        return _leaves(last.then) and _leaves(last.otherwise)
    return isinstance(last, st.Break)


def _merged(before: Flow, *arms: tuple[Flow, str, bool]) -> Flow:
    """What is known after one of two arms: (its flow, when it runs, whether it leaves the loop)."""
    going_on = [flow for flow, _, leaves in arms if not leaves] or [flow for flow, _, _ in arms]
    merged = dict(before)
    for flow, condition, _ in arms:
        for name, value in flow.items():
            if name in before:
                continue
            everywhere = all(name in other and not other[name].condition for other in going_on)
            if everywhere or value.collects:
                known = merged.get(name)
                type_ = value.type if known is None else fitting.joined(known.type, value.type)
                merged[name] = replace(value, type=type_, constant=None)
            elif name not in merged:
                merged[name] = replace(value, condition=value.condition or condition, constant=None)
    return merged


def _shown(span: Span) -> str:
    text = " ".join(span.text.split())
    return f"`{text}`" if len(text) <= 60 else "a condition holds"


def _shown_grammar(hole: st.Hole) -> str:
    text = hole.grammar.span.text if hole.grammar.span is not None else ""
    return text if text and len(text) <= 40 and "\n" not in text else "..."
