"""Potential declarations: an expression over parameters and inputs, or a Python function with facts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from smcdsl.errors import Span
from smcdsl.language import mistakes, mistakes_transcript, syntax
from smcdsl.language import mistakes_judging as judging
from smcdsl.language.expressions import Scope, check_expression
from smcdsl.language.fitting import is_number, is_yes_or_no
from smcdsl.language.suggestions import closest, closest_path
from smcdsl.language.symbols import ExpressionPotential, Value
from smcdsl.language.type_syntax import read_type
from smcdsl.library.search import LibraryFile
from smcdsl.library.signatures import FACT_NAMES, facts_of, read_functions
from smcdsl.program.expressions import Call, Constant, Duration, Expression, Name
from smcdsl.program.types import Parameter, PotentialFacts, Signature, Type

if TYPE_CHECKING:
    from smcdsl.language.resolver import Module

_RESULTS = ("bool", "weight", "logweight")


def define_potential(declaration: syntax.PotentialSyntax, module: Module) -> ExpressionPotential | Signature | None:
    """The potential, or None after saying what is wrong with it."""
    parameters = read_parameters(declaration.parameters, module)
    result = declaration.result.text
    if result not in _RESULTS:
        near = closest(result, _RESULTS, {"float": "weight", "int": "weight", "number": "weight"})
        module.report.add(mistakes.unknown_result(result, declaration.result.span, near))
        return None
    if isinstance(declaration.expression, Call) and declaration.expression.path == ("py",):
        return _python(declaration, declaration.expression, parameters, module)
    before = len(module.report.diagnostics)
    potential = _expression(declaration, parameters, module)
    if declaration.settings and len(module.report.diagnostics) == before:
        module.report.add(judging.facts_of_an_expression(declaration.settings[0].name.span))
    return potential


def read_parameters(declared: tuple[syntax.ParameterSyntax, ...], module: Module) -> dict[str, Value]:
    """Parameters as values by name."""
    parameters: dict[str, Value] = {}
    for parameter in declared:
        name = parameter.name
        if name.text in parameters:
            module.report.add(mistakes.defined_twice(name.text, parameters[name.text].span, name.span))
        parameters[name.text] = Value(name.text, "parameter", read_type(parameter.type, module.report), name.span)
    return parameters


def _expression(
    declaration: syntax.PotentialSyntax, parameters: dict[str, Value], module: Module
) -> ExpressionPotential | None:
    values = {**module.inputs, **parameters}
    typed = check_expression(declaration.expression, Scope(module.report, module.functions, values, "potential"))
    result, span, name = declaration.result.text, declaration.expression.span, declaration.name
    if result == "bool":
        if not is_yes_or_no(typed.type):
            module.report.add(mistakes.potential_result(name.text, "bool", typed.type, span))
    elif typed.type.name != "bool" and not is_number(typed.type):
        module.report.add(mistakes.potential_result(name.text, result, typed.type, span))
    elif result == "weight" and typed.low < 0 and typed.type.name not in ("any", "json"):
        declared = [(declaration.result.span, "declared here")]
        module.report.add(
            mistakes.may_be_negative("this", span, mistakes.is_a(typed.type), _strength(span), "a `weight`", declared)
        )
    low, high = typed.interval
    if result == "logweight":
        low, high = 0.0, float("inf")
    elif result == "weight":
        low = max(low, 0.0)
    types = tuple((parameter, value.type) for parameter, value in parameters.items())
    return ExpressionPotential(name.text, types, Type(result), typed.expression, low, high, name.span)  # type: ignore[arg-type]


def _strength(span: Span) -> str:
    return f"exp({span.text})" if "\n" not in span.text and len(span.text) < 40 else "exp(...)"


def _python(
    declaration: syntax.PotentialSyntax, call: Call, parameters: dict[str, Value], module: Module
) -> Signature | None:
    values = [argument.value for argument in call.arguments if argument.name is None]
    target = values[0] if len(values) == 1 == len(call.arguments) else None
    if not isinstance(target, Constant) or not isinstance(target.value, str):
        module.report.add(judging.bad_python_reference(call.span, "one text is needed"))
        return None
    path, colon, function = target.value.rpartition(":")
    if not colon or not path.endswith(".py") or not function.isidentifier():
        module.report.add(judging.bad_python_reference(target.span, "a file and a function are needed"))
        return None
    found = _find(path, function, target.span, len(parameters), declaration, module)
    if found is None:
        return None
    facts = _facts(declaration, module) if declaration.settings else found.facts
    return Signature(
        name=declaration.name.text,
        parameters=tuple(Parameter(name, value.type) for name, value in parameters.items()),
        result=Type(declaration.result.text),  # type: ignore[arg-type]
        facts=facts,
        location=found.location,
        batched=_batched(found) if facts.batch else -1,
        declared=declaration.name.span,
    )


def find_python_file(module: Module, path: str, span: Span) -> LibraryFile | None:
    """A Python file named by its path, or None after saying where it was looked for."""
    file = module.search.file(path)
    if file is None:
        where = f"next to {Path(module.tree.source.name).name}, in the project root, and in the installed library"
        near = closest_path(path, module.search.files_like(path))
        module.report.add(mistakes.file_not_found(path, span, where, near))
    return file


def _find(
    path: str, function: str, span: Span, count: int, declaration: syntax.PotentialSyntax, module: Module
) -> Signature | None:
    """The function as its file declares it, checked against how many arguments it takes."""
    try:
        file = find_python_file(module, path, span)
    except (OSError, UnicodeDecodeError) as error:
        module.report.add(mistakes.file_unreadable(path, span, str(error)))
        return None
    if file is None:
        return None
    python = read_functions(file, declaration.name.text)
    module.files.append(file.path or file.name)
    if python.problems:
        module.report.add(*python.problems)
        return None
    found = python.functions.get(function)
    if found is None:
        near = closest(function, python.functions)
        module.report.add(mistakes.no_such_python_function(file.name, function, span, near, tuple(python.functions)))
        return None
    required = sum(parameter.required for parameter in found.parameters)
    if not required <= count <= len(found.parameters):
        takes = str(required) if required == len(found.parameters) else f"{required} to {len(found.parameters)}"
        lacking = [parameter.name for parameter in found.parameters[count:] if parameter.required]
        module.report.add(
            judging.wrong_number_of_arguments(
                declaration.name.text, declaration.name.span, count, takes, found.declared, lacking
            )
        )
    return found


def _batched(found: Signature) -> int:
    """Which parameter of a batch function is the list."""
    if found.batched >= 0:
        return found.batched
    return next((index for index, each in enumerate(found.parameters) if each.type.name == "list"), 0)


def _facts(declaration: syntax.PotentialSyntax, module: Module) -> PotentialFacts:
    values: dict[str, Any] = {}
    places: dict[str, syntax.Setting] = {}
    for setting in declaration.settings:
        name = setting.name.text
        if name not in FACT_NAMES:
            near = closest(name, FACT_NAMES)
            module.report.add(
                mistakes_transcript.unknown_setting("potential", name, setting.name.span, near, FACT_NAMES)
            )
            continue
        if name in places:
            module.report.add(mistakes_transcript.given_twice(name, places[name].name.span, setting.name.span))
        places[name] = setting
        values[name] = _fact_value(setting.value)
    facts, wrong = facts_of(values)
    for name, reason in wrong.items():
        module.report.add(judging.fact_not_understood(name, places[name].value.span, reason))
    if "prefix" in places:
        setting = places["prefix"]
        module.fact_spans[declaration.name.text] = setting.name.span.to(setting.value.span)
    return facts


def _fact_value(value: Expression) -> object:
    if isinstance(value, Name):
        return value.name
    if isinstance(value, Duration):
        return value.seconds
    return value.value if isinstance(value, Constant) else object()
