"""Values that a program writes out: defaults of inputs and what tests give them."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

from smcdsl.errors import CompileError, PotentialError, Span
from smcdsl.language import fitting, mistakes
from smcdsl.language.expressions import Scope, check_expression
from smcdsl.language.resolver import Module
from smcdsl.program.evaluation import evaluate
from smcdsl.program.expressions import Call, Expression
from smcdsl.program.types import Type

_BY_PATH = ("file", "sqlite")


def written_value(name: str, type_: Type, expression: Expression, module: Module) -> Any:
    """The value for an input; None after saying why it does not fit.

    Inputs of type `file` and `sqlite` are given by path; the path is the value.
    """
    before = len(module.report.diagnostics)
    typed = check_expression(expression, Scope(module.report, module.functions, {}, "default"))
    # A function that a broken line may have introduced is passed over in silence, and has no value.
    if len(module.report.diagnostics) > before or _has_calls(typed.expression):
        return None
    is_path = type_.name in _BY_PATH and typed.type.name == "str"
    if not is_path and not fitting.fits(typed.type, type_):
        module.report.add(mistakes.wrong_default(name, type_, typed.type, expression.span))
        return None
    try:
        value = evaluate(typed.expression, {}, {})
    except (PotentialError, CompileError) as error:
        module.report.add(*error.diagnostics)
        return None
    if type_.name == "float" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value


def _has_calls(part: Any) -> bool:
    """Whether a call of something unknown is left in an expression."""
    if isinstance(part, Call):
        return True
    if isinstance(part, tuple | list):
        return any(_has_calls(each) for each in part)
    if is_dataclass(part) and not isinstance(part, Span):
        return any(_has_calls(getattr(part, each.name)) for each in fields(part))
    return False
