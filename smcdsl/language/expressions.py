"""Expressions: names resolved, calls matched with what they call, types and bounds found.

One walk does all of it and returns a `Typed` expression. After a mistake the type is `any`, which fits
everything, so that one mistake gives one message.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from smcdsl.errors import Diagnostic, Span
from smcdsl.language import fitting, mistakes
from smcdsl.language import mistakes_judging as judging
from smcdsl.language.fitting import EVERYTHING, Interval
from smcdsl.language.suggestions import closest
from smcdsl.language.symbols import ExpressionPotential, Report, Value
from smcdsl.program import expressions as tree
from smcdsl.program.builtins import Builtin
from smcdsl.program.evaluation import children
from smcdsl.program.expressions import Argument, Expression
from smcdsl.program.types import (
    ANY,
    BOOL,
    FLOAT,
    INT,
    NULL,
    STR,
    Parameter,
    Signature,
    Type,
    choice_of,
    list_of,
)

Callee = Builtin | Signature | ExpressionPotential
Where = Literal[
    "factor", "condition", "text", "let", "return", "bound", "limit", "default", "potential", "expect", "key"
]
_JUDGING: tuple[Where, ...] = ("factor", "potential", "expect", "key")
_PLACES: Mapping[str, str] = {
    "text": "inserted text",
    "let": "a `let`",
    "return": "`return`",
    "bound": "the bounds of a loop",
    "default": "a default",
}

FILE_FIELDS: Mapping[str, Type] = {"text": STR, "path": STR, "lines": list_of(STR)}


@dataclass(frozen=True)
class Typed:
    """A resolved expression with its type, its bounds if it is a number, and whether the model decides it."""

    expression: Expression
    type: Type
    interval: Interval = EVERYTHING
    generated: bool = False
    collects: bool = False
    """It is the list of a `name[]` hole itself."""

    @property
    def low(self) -> float:
        """The least it can be."""
        return self.interval[0]

    @property
    def high(self) -> float:
        """The most it can be."""
        return self.interval[1]


class Scope:
    """What an expression may refer to: functions of its file, and values at this place.

    `later` tells of names that have no value yet; it returns the mistake, or None if nothing is known.
    """

    def __init__(
        self,
        report: Report,
        functions: Functions,
        values: Mapping[str, Value],
        where: Where,
        later: Callable[[str, Span], Diagnostic | None] | None = None,
        text_of: Callable[[Value, str, Span], Diagnostic | None] | None = None,
    ) -> None:
        self.report = report
        self.functions = functions
        self.values = values
        self.where = where
        self.later = later
        self.text_of = text_of


@dataclass
class Functions:
    """The functions a file can call, by how it writes them: `("chars",)`, `("sql", "runs")`."""

    report: Report
    resolve: Callable[[tuple[str, ...], Span], Callee | None]
    describe: Callable[[str], str | None]
    """What a name is that is no value (`a grammar`, `an import`, ...), if anything."""
    input_names: Sequence[str] = field(default_factory=tuple)


def check_expression(expression: Expression, scope: Scope) -> Typed:
    """Resolve and type an expression; mistakes go to the scope's report."""
    match expression:
        case tree.Constant():
            return _constant(expression)
        case tree.Duration():
            return Typed(expression, FLOAT)
        case tree.Name():
            return _name(expression, scope)
        case tree.Field():
            return _field(expression, scope)
        case tree.Index():
            return _index(expression, scope)
        case tree.Call():
            return _call(expression, scope)
        case tree.Unary():
            return _unary(expression, scope)
        case tree.Binary():
            return _binary(expression, scope)
        case tree.Maybe():
            return _maybe(expression, scope)
        case tree.Record(fields=fields):
            return _record(expression, fields, scope)
        case tree.ListOf(items=items):
            return _list(expression, items, scope)
        case _:
            return Typed(expression, ANY)


def mentioned(expression: Expression) -> list[tree.Name]:
    """Names in an expression, in reading order; parameters of inlined potentials are not among them."""
    if isinstance(expression, tree.Name):
        return [expression]
    if isinstance(expression, tree.Inlined):
        return [name for argument in expression.arguments for name in mentioned(argument)]
    return [name for child in children(expression) for name in mentioned(child)]


def _constant(expression: tree.Constant) -> Typed:
    value = expression.value
    if value is None:
        return Typed(expression, NULL)
    if isinstance(value, bool):
        return Typed(expression, BOOL, (float(value), float(value)))
    if isinstance(value, str):
        return Typed(expression, choice_of((value,)))
    return Typed(expression, INT if isinstance(value, int) else FLOAT, (float(value), float(value)))


def _name(expression: tree.Name, scope: Scope) -> Typed:
    value = scope.values.get(expression.name)
    if value is None:
        _unknown_name(expression, scope)
        return Typed(expression, ANY)
    if value.condition:
        scope.report.add(mistakes.not_always_generated(value.name, expression.span, value.condition, value.span))
        return Typed(expression, ANY, generated=True)
    interval = (value.low, value.high)
    if interval == EVERYTHING:
        interval = fitting.natural_interval(value.type)
    return Typed(expression, value.type, interval, value.generated, value.collects)


def _unknown_name(expression: tree.Name, scope: Scope) -> None:
    name = expression.name
    if name in scope.report.silent:
        return
    later = scope.later(name, expression.span) if scope.later else None
    what = scope.functions.describe(name)
    if later is not None:
        scope.report.add(later)
    elif what is not None:
        scope.report.add(mistakes.function_as_value(name, expression.span, what))
    else:
        near = closest(name, scope.values)
        kinds = {"input": "an input", "let": "a `let`", "loop": "a loop variable", "parameter": "a parameter"}
        kind = kinds.get(scope.values[near].kind, "a hole") if near else ""
        scope.report.add(mistakes.unknown_value(name, expression.span, near, kind))


def _field(expression: tree.Field, scope: Scope) -> Typed:
    path = _path(expression)
    if path is not None and path[0] not in scope.values and scope.functions.describe(path[0]) == "an import":
        if scope.functions.resolve(path, expression.name_span) is not None:
            scope.report.add(mistakes.function_as_value(".".join(path), expression.span, "a function"))
        return Typed(expression, ANY)
    base = check_expression(expression.base, scope)
    resolved = replace(expression, base=base.expression)
    known: Mapping[str, Type] = {}
    if base.type.name == "file":
        known = FILE_FIELDS
    elif base.type.name == "record":
        known = dict(base.type.fields)
    elif base.type.name in ("any", "json"):
        return Typed(resolved, ANY, generated=base.generated)
    if expression.name not in known:
        near = closest(expression.name, known)
        scope.report.add(mistakes.no_field(expression.name, base.type, expression.name_span, near, tuple(known)))
        return Typed(resolved, ANY)
    return Typed(resolved, known[expression.name], generated=base.generated)


def _path(expression: Expression) -> tuple[str, ...] | None:
    """`a.b.c` as names, if it is nothing else."""
    if isinstance(expression, tree.Name):
        return (expression.name,)
    if isinstance(expression, tree.Field):
        base = _path(expression.base)
        return None if base is None else (*base, expression.name)
    return None


def _index(expression: tree.Index, scope: Scope) -> Typed:
    base = check_expression(expression.base, scope)
    index = check_expression(expression.index, scope)
    resolved = replace(expression, base=base.expression, index=index.expression)
    generated = base.generated or index.generated
    if base.type.name == "list":
        if not fitting.fits(index.type, INT):
            scope.report.add(mistakes.needs_a_number("an index", index.type, expression.index.span))
        return Typed(resolved, base.type.item or ANY, generated=generated)
    if base.type.name not in ("any", "json"):
        scope.report.add(mistakes.cannot_index(base.type, expression.base.span))
    return Typed(resolved, ANY, generated=generated)


def _unary(expression: tree.Unary, scope: Scope) -> Typed:
    operand = check_expression(expression.operand, scope)
    resolved = replace(expression, operand=operand.expression)
    if expression.operator == "not":
        if not fitting.is_yes_or_no(operand.type):
            scope.report.add(mistakes.condition_needs_yes_or_no("not", operand.type, expression.operand.span))
        return Typed(resolved, BOOL, (0.0, 1.0), operand.generated)
    if not fitting.is_number(operand.type):
        scope.report.add(mistakes.needs_a_number("`-`", operand.type, expression.operand.span))
        return Typed(resolved, ANY)
    type_ = operand.type if operand.type.name in ("int", "any", "json") else FLOAT
    return Typed(resolved, type_, (-operand.high, -operand.low), operand.generated)


def _binary(expression: tree.Binary, scope: Scope) -> Typed:
    left = check_expression(expression.left, scope)
    right = check_expression(expression.right, scope)
    resolved = replace(expression, left=left.expression, right=right.expression)
    generated = left.generated or right.generated
    operator = expression.operator
    if operator in ("and", "or"):
        for side, place in ((left, expression.left), (right, expression.right)):
            if not fitting.is_yes_or_no(side.type):
                scope.report.add(mistakes.condition_needs_yes_or_no(operator, side.type, place.span))
        return Typed(resolved, BOOL, (0.0, 1.0), generated)
    if operator in ("==", "!=", "<", "<=", ">", ">=", "in"):
        _comparison(expression, left, right, scope)
        return Typed(resolved, BOOL, (0.0, 1.0), generated)
    return _arithmetic(resolved, expression, left, right, scope)


def _arithmetic(resolved: Expression, expression: tree.Binary, left: Typed, right: Typed, scope: Scope) -> Typed:
    generated = left.generated or right.generated
    if expression.operator == "+" and left.type.name == "str" == right.type.name and not _optional(left, right):
        return Typed(resolved, STR, generated=generated)
    if not (fitting.is_number(left.type) and fitting.is_number(right.type)):
        _operands(expression, left, right, scope)
        return Typed(resolved, ANY, generated=generated)
    whole = left.type.name == "int" == right.type.name and expression.operator in ("+", "-", "*")
    interval = fitting.arithmetic_interval(expression.operator, left.interval, right.interval)
    dynamic = {"any", "json"} & {left.type.name, right.type.name}
    return Typed(resolved, INT if whole else ANY if dynamic else FLOAT, interval, generated)


def _optional(*sides: Typed) -> bool:
    return any(side.type.optional for side in sides)


def _operands(expression: tree.Binary, left: Typed, right: Typed, scope: Scope) -> None:
    places = (expression.left.span, expression.right.span)
    scope.report.add(
        mistakes.operands_do_not_fit(
            expression.operator, _widened(left.type), _widened(right.type), expression.operator_span, places
        )
    )


def _comparison(expression: tree.Binary, left: Typed, right: Typed, scope: Scope) -> None:
    operator = expression.operator
    if operator == "in":
        _membership(expression, left, right, scope)
    elif operator in ("==", "!="):
        if not fitting.comparable(left.type, right.type):
            if left.collects or right.collects:
                _list_for_item(expression, left, right, scope)
            else:
                outcome = "false" if operator == "==" else "true"
                label = f"{mistakes.in_words(left.type)} is never {mistakes.in_words(right.type)}"
                scope.report.add(mistakes.always_the_same(outcome, expression.span, label))
        else:
            _impossible_text(expression, left, right, operator, scope)
    else:
        numbers = fitting.is_number(left.type) and fitting.is_number(right.type)
        texts = left.type.name == "str" == right.type.name and not _optional(left, right)
        if not (numbers or texts):
            _operands(expression, left, right, scope)


def _list_for_item(expression: tree.Binary, left: Typed, right: Typed, scope: Scope) -> None:
    side, place = (left, expression.left) if left.collects else (right, expression.right)
    if isinstance(place, tree.Name):
        scope.report.add(mistakes.list_where_item_needed(place.name, side.type.item or STR, place.span))


def _membership(expression: tree.Binary, left: Typed, right: Typed, scope: Scope) -> None:
    """`x in list`, `"part" in text`."""
    whole = right.type
    if (
        whole.optional
        or whole.name not in ("list", "str", "any", "json")
        or (whole.name == "str" and not fitting.fits(left.type, STR))
    ):
        _operands(expression, left, right, scope)
    elif whole.name == "list" and isinstance(expression.right, tree.ListOf):
        for item in expression.right.items:
            typed = _constant(item) if isinstance(item, tree.Constant) else None
            if typed is not None:
                pair = tree.Binary(expression.span, "==", expression.left, item, expression.operator_span)
                _impossible_text(pair, left, typed, "==", scope)


def _impossible_text(expression: tree.Binary, left: Typed, right: Typed, operator: str, scope: Scope) -> None:
    """E0305: a comparison with a text that the other side can never be."""
    sides = ((expression.left, left, expression.right), (expression.right, right, expression.left))
    for place, typed, other in sides:
        if not isinstance(other, tree.Constant) or not isinstance(other.value, str):
            continue
        value = scope.values.get(place.name) if isinstance(place, tree.Name) else None
        outcome = "false" if operator == "==" else "true"
        if typed.type.choices and other.value not in typed.type.choices and value is not None:
            label = f"`{value.name}` is one of {typed.type}"
            near = closest(other.value, typed.type.choices)
            scope.report.add(mistakes.always_the_same(outcome, other.span, label, near=near))
        elif value is not None and value.hole and scope.text_of is not None:
            problem = scope.text_of(value, other.value, other.span)
            if problem is not None:
                scope.report.add(replace(problem, message=problem.message.replace("false", outcome)))


def _maybe(expression: tree.Maybe, scope: Scope) -> Typed:
    """`e?`: the one place where a value that is not always generated may stand."""
    values = {name: replace(value, condition="") for name, value in scope.values.items()}
    inner = Scope(scope.report, scope.functions, values, scope.where, scope.later, scope.text_of)
    operand = check_expression(expression.operand, inner)
    named = isinstance(expression.operand, tree.Name | tree.Field | tree.Index)
    absent = any(scope.values[name.name].condition for name in mentioned(operand.expression) if name.name in values)
    type_ = replace(operand.type, optional=True) if named and absent and operand.type != ANY else operand.type
    return replace(operand, expression=replace(expression, operand=operand.expression), type=type_)


def _record(expression: tree.Record, fields: Sequence[tuple[str, Expression]], scope: Scope) -> Typed:
    typed = [(name, check_expression(value, scope)) for name, value in fields]
    seen: set[str] = set()
    for name, value in fields:
        if name in seen:
            scope.report.add(mistakes.defined_twice(name, None, value.span, f"the record has two fields `{name}`"))
        seen.add(name)
    return Typed(
        replace(expression, fields=tuple((name, value.expression) for name, value in typed)),
        Type("record", fields=tuple((name, _widened(value.type)) for name, value in typed)),
        generated=any(value.generated for _, value in typed),
    )


def _list(expression: tree.ListOf, items: Sequence[Expression], scope: Scope) -> Typed:
    typed = [check_expression(item, scope) for item in items]
    item_type = ANY
    for index, item in enumerate(typed):
        item_type = _widened(item.type) if index == 0 else fitting.joined(item_type, _widened(item.type))
    return Typed(
        replace(expression, items=tuple(item.expression for item in typed)),
        list_of(item_type),
        generated=any(item.generated for item in typed),
    )


def _widened(type_: Type) -> Type:
    """A literal text's type is `str`, once it is part of something."""
    return STR if type_.name == "str" and len(type_.choices) == 1 and not type_.optional else type_


# ---- calls


def _call(expression: tree.Call, scope: Scope) -> Typed:
    name = ".".join(expression.path)
    if expression.path == ("py",):
        scope.report.add(judging.python_outside_potential(expression.path_span))
        return Typed(expression, ANY)
    callee = scope.functions.resolve(expression.path, expression.path_span)
    arguments = (
        [
            replace(argument, value=typed.expression)
            for argument in expression.arguments
            for typed in (check_expression(argument.value, scope),)
        ]
        if callee is None
        else []
    )
    if callee is None:
        return Typed(replace(expression, arguments=tuple(arguments)), ANY)
    runs_code = _is_potential(callee) or (scope.where == "limit" and isinstance(callee, Signature))
    if runs_code and scope.where not in _JUDGING:
        _misplaced(expression, scope)
        return Typed(expression, ANY)
    if isinstance(callee, Builtin):
        return _builtin_call(expression, callee, scope)
    if isinstance(callee, ExpressionPotential):
        return _inlined_call(expression, name, callee, scope)
    matched = match_arguments(expression, name, callee.parameters, callee.declared, scope)
    if matched is None:
        return Typed(expression, ANY)
    resolved = tree.FunctionCall(
        expression.span, callee, tuple(None if each is None else each.expression for each in matched)
    )
    result = Type("weight") if callee.result.name == "logweight" else callee.result
    generated = any(each.generated for each in matched if each is not None)
    return Typed(resolved, result, fitting.natural_interval(result), generated)


def _is_potential(callee: Callee) -> bool:
    return isinstance(callee, ExpressionPotential) or (isinstance(callee, Signature) and callee.is_potential)


def _misplaced(expression: tree.Call, scope: Scope) -> None:
    if scope.where == "condition":
        scope.report.add(judging.potential_decides_a_branch(expression.span))
    elif scope.where == "limit":
        scope.report.add(judging.where_calls_a_potential(expression.path_span, expression.span.text))
    else:
        scope.report.add(judging.potential_outside_factor(expression.span, _PLACES[scope.where]))


def _builtin_call(expression: tree.Call, callee: Builtin, scope: Scope) -> Typed:
    # Built-ins have a value for null, so `e?` may stand wherever `e` may.
    parameters = tuple(replace(each, type=replace(each.type, optional=True)) for each in callee.parameters)
    if callee.variadic:
        parameters = parameters * max(len(expression.arguments), 1)
    matched = match_arguments(expression, callee.name, parameters, None, scope, by_name=False)
    if matched is None:
        return Typed(expression, ANY)
    given = [each for each in matched if each is not None]
    resolved = tree.BuiltinCall(expression.span, callee.name, tuple(each.expression for each in given))
    interval = fitting.builtin_interval(callee.name, [each.interval for each in given])
    result = callee.result([each.type for each in given])
    return Typed(resolved, result, interval, any(each.generated for each in given))


def _inlined_call(expression: tree.Call, name: str, callee: ExpressionPotential, scope: Scope) -> Typed:
    parameters = tuple(Parameter(parameter, type_) for parameter, type_ in callee.parameters)
    matched = match_arguments(expression, name, parameters, callee.declared, scope)
    if matched is None:
        return Typed(expression, ANY)
    resolved = tree.Inlined(
        expression.span,
        name,
        tuple(parameter.name for parameter in parameters),
        tuple(each.expression for each in matched if each is not None),
        callee.body,
        callee.result.name == "logweight",
    )
    result = Type("weight") if callee.result.name == "logweight" else callee.result
    generated = any(each.generated for each in matched if each is not None)
    return Typed(resolved, result, (callee.low, callee.high), generated)


def match_arguments(
    expression: tree.Call,
    name: str,
    parameters: Sequence[Parameter],
    declared: Span | None,
    scope: Scope,
    *,
    by_name: bool = True,
) -> list[Typed | None] | None:
    """Arguments in the order of the parameters, None where a default stays; None if they do not fit in number."""
    given: list[Argument | None] = [None] * len(parameters)
    sound = True
    positional = [argument for argument in expression.arguments if argument.name is None]
    for index, argument in enumerate(positional[: len(parameters)]):
        given[index] = argument
    names = [parameter.name for parameter in parameters] if by_name else []
    for argument in expression.arguments:
        if argument.name is None or argument.name_span is None:
            continue
        if argument.name not in names:
            near = closest(argument.name, names)
            shown = f"{name}({', '.join(f'{each.name}: {each.type}' for each in parameters)})"
            scope.report.add(mistakes.unknown_parameter(name, argument.name, argument.name_span, near, shown))
            sound = False
        elif given[names.index(argument.name)] is not None:
            scope.report.add(mistakes.given_twice(name, argument.name, argument.name_span))
            sound = False
        else:
            given[names.index(argument.name)] = argument
    missing = [
        parameter.name for parameter, each in zip(parameters, given, strict=True) if each is None and parameter.required
    ]
    if sound and (len(positional) > len(parameters) or missing):
        scope.report.add(
            judging.wrong_number_of_arguments(
                name, expression.span, len(expression.arguments), _takes(parameters), declared, missing
            )
        )
        sound = False
    if not sound:
        for argument in expression.arguments:
            check_expression(argument.value, scope)
        return None
    return [_argument(name, parameter, each, scope) for parameter, each in zip(parameters, given, strict=True)]


def _takes(parameters: Sequence[Parameter]) -> str:
    required = sum(parameter.required for parameter in parameters)
    if required == len(parameters):
        return str(required)
    return f"{required} to {len(parameters)}" if len(parameters) - required > 1 else f"{required} or {len(parameters)}"


def _argument(callee: str, parameter: Parameter, argument: Argument | None, scope: Scope) -> Typed | None:
    if argument is None:
        return None
    typed = check_expression(argument.value, scope)
    problem = argument_mistake(callee, parameter, typed, argument.value, scope)
    if problem is not None:
        scope.report.add(problem)
        return replace(typed, type=ANY)
    return typed


def argument_mistake(
    callee: str, parameter: Parameter, typed: Typed, written: Expression, scope: Scope
) -> Diagnostic | None:
    """What is wrong with a value for a parameter, if anything."""
    if fitting.fits(typed.type, parameter.type):
        return None
    item = typed.type.item
    if typed.collects and isinstance(written, tree.Name) and item is not None and fitting.fits(item, parameter.type):
        return mistakes.list_where_item_needed(written.name, item, written.span)
    candidates = [
        value.name
        for value in scope.values.values()
        if value.kind == "input" and value.type.name == parameter.type.name and parameter.type.name != "str"
    ]
    actual = _widened(typed.type)
    return mistakes.wrong_argument(callee, parameter.type, actual, written.span, parameter.name, candidates)


def is_capped(expression: Expression, values: Mapping[str, Value]) -> bool:
    """Whether a loop bound has a most that the model does not choose: `min(n, 10)`, `len(notes)`."""
    if isinstance(expression, tree.Name):
        return expression.name not in values or not values[expression.name].generated
    if isinstance(expression, tree.BuiltinCall) and expression.arguments:
        first = expression.arguments[0]
        if expression.function == "min" and len(expression.arguments) > 1:
            return any(is_capped(argument, values) for argument in expression.arguments)
        if expression.function == "len" and isinstance(first, tree.Name) and first.name in values:
            return values[first.name].collects or not values[first.name].generated
    return all(is_capped(child, values) for child in children(expression))
