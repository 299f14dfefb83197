"""The value of an expression in an environment, in two steps, so that potentials are called in batches.

`potential_calls` says which calls an expression needs under an environment, given the results there are;
somebody makes them, all particles' in one batch; `evaluate` then takes their results. Where arguments
are calls themselves, a second round of `potential_calls` asks for the outer ones. Helper functions of
libraries go the same way as potentials.

`certain_value` answers what a *preview* may conclude: the value that every completion of an unfinished
hole gives, or `UNKNOWN`. A zero of a potential that declared `prefix` is inherited by completions
(language reference, 2.2.5); nothing else said of an unfinished text is.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Hashable, Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from smcdsl.errors import Diagnostic, Label, PotentialError, Span
from smcdsl.program.builtins import call_builtin
from smcdsl.program.expressions import (
    Binary,
    BuiltinCall,
    Call,
    Constant,
    Duration,
    Expression,
    Field,
    FunctionCall,
    Index,
    Inlined,
    ListOf,
    Maybe,
    Name,
    Record,
    Unary,
)
from smcdsl.program.types import Signature

Environment = Mapping[str, Any]


@dataclass(frozen=True)
class InputFile:
    """An input of type `file`: its path as given and its text."""

    path: str
    text: str = field(repr=False)

    @property
    def lines(self) -> list[str]:
        """The text's lines without their endings."""
        return self.text.splitlines()

    @classmethod
    def read(cls, path: str) -> InputFile:
        """The UTF-8 file at `path`. Raises OSError and UnicodeDecodeError."""
        return cls(path, Path(path).read_text(encoding="utf-8"))


@dataclass(frozen=True)
class PotentialCall:
    """One call that an expression needs: equal calls have equal results and are made once.

    `prefix` says that an argument is the unfinished text of a hole. `site` is where the program calls.
    """

    signature: Signature = field(compare=False)
    arguments: tuple[Any, ...] = field(compare=False)
    prefix: bool
    key: Hashable = field(repr=False)
    site: Span = field(repr=False, compare=False)


class _Marker:
    """A value that stands for the lack of one and passes through every operation."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


MISSING = _Marker("MISSING")
"""Depends on a call whose result is not there yet."""
UNKNOWN = _Marker("UNKNOWN")
"""Depends on how an unfinished text goes on: also the result of a potential that cannot tell yet."""


class MissingResult(Exception):
    """A call is needed whose result is not there; `potential_calls` says which."""


class Undetermined(Exception):
    """A weight depends on a potential that cannot tell yet."""


class EvaluationError(PotentialError):
    """An expression has no value here: a division by zero, an index out of range (R0904, exit code 5)."""

    def __init__(self, message: str, span: Span) -> None:
        label = Label(span, "while computing this", primary=True)
        super().__init__(Diagnostic("R0904", message, (label,)), potential="")


def freeze(value: Any) -> Hashable:
    """A hashable key of a value: equal keys are equal values of equal types."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return (type(value).__name__, value)
    if isinstance(value, Mapping):
        return ("record", *((name, freeze(item)) for name, item in value.items()))
    if isinstance(value, list | tuple):
        return ("list", *map(freeze, value))
    try:
        hash(value)
    except TypeError:
        return ("object", id(value))
    return cast(Hashable, value)


def render(value: Any) -> str:
    """The text that `{{ value }}` inserts."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return ""
    if hasattr(value, "text") and hasattr(value, "path"):
        return str(value.text)
    if isinstance(value, list | tuple | Mapping):
        return json.dumps(value, ensure_ascii=False, default=render)
    return str(value)


def free_names(expression: Expression, *, certain: bool = False) -> frozenset[str]:
    """Names whose values an expression takes; with `certain` those only that must be there, not `e?`."""
    # Asked for at every call of a potential. The tree is kept, so its id stays its own.
    key = (id(expression), certain)
    known = _free_names.get(key)
    if known is None:
        if len(_free_names) >= _REMEMBERED_TREES:
            _free_names.clear()
        known = _free_names[key] = (expression, _find_names(expression, certain))
    return known[1]


_free_names: dict[tuple[int, bool], tuple[Expression, frozenset[str]]] = {}
_REMEMBERED_TREES = 4096


def _find_names(expression: Expression, certain: bool) -> frozenset[str]:
    if isinstance(expression, Name):
        return frozenset({expression.name})
    if isinstance(expression, Maybe) and certain:
        return frozenset()
    if isinstance(expression, Inlined):
        outer = [free_names(argument, certain=certain) for argument in expression.arguments]
        inner = free_names(expression.body, certain=certain) - set(expression.parameters)
        return inner.union(*outer)
    return frozenset().union(*(free_names(child, certain=certain) for child in children(expression)))


def children(expression: Expression) -> list[Expression]:
    """The expressions directly inside one."""
    match expression:
        case Field(base=inner) | Maybe(operand=inner) | Unary(operand=inner):
            return [inner]
        case Index(base=base, index=index):
            return [base, index]
        case Binary(left=left, right=right):
            return [left, right]
        case BuiltinCall(arguments=arguments):
            return list(arguments)
        case FunctionCall(arguments=optional):
            return [argument for argument in optional if argument is not None]
        case Inlined(arguments=arguments, body=body):
            return [*arguments, body]
        case Record(fields=fields):
            return [value for _, value in fields]
        case ListOf(items=items):
            return list(items)
        case _:
            return []


def function_calls(expression: Expression) -> list[FunctionCall]:
    """Every call of a potential or helper in an expression, in reading order."""
    own = [expression] if isinstance(expression, FunctionCall) else []
    return own + [call for child in children(expression) for call in function_calls(child)]


def potential_calls(
    expression: Expression,
    environment: Environment,
    results: Mapping[Hashable, Any],
    unfinished: Set[str] = frozenset(),
) -> list[PotentialCall]:
    """The calls that come next on the way to the value; none if `results` suffices.

    Args:
        expression: after the resolver.
        environment: values by name.
        results: results there are, by `PotentialCall.key`.
        unfinished: names whose values are text that a hole has not finished.
    """
    evaluator = _Evaluator(results, unfinished)
    evaluator.value(expression, environment)
    return evaluator.missing


def evaluate(
    expression: Expression,
    environment: Environment,
    results: Mapping[Hashable, Any],
    unfinished: Set[str] = frozenset(),
) -> Any:
    """The value.

    Raises:
        EvaluationError: there is no value.
        MissingResult: a call that it needs is not in `results`.

    It is `UNKNOWN` where it depends on a result that is.
    """
    value = _Evaluator(results, unfinished).value(expression, environment)
    if value is MISSING:
        raise MissingResult
    return value


def log_value(
    expression: Expression,
    environment: Environment,
    results: Mapping[Hashable, Any],
    unfinished: Set[str] = frozenset(),
) -> float:
    """The natural logarithm of a weight, without leaving logs where the expression is written in them.

    Products, quotients, powers, `exp` and `logweight` results stay logs, so exp(-2000) is not zero.

    Raises:
        EvaluationError: there is no value, or it is not a weight (finite and not negative; a bool is 0 or 1).
        MissingResult: a call that it needs is not in `results`.
        Undetermined: it depends on a result that is `UNKNOWN`.
    """
    return _Evaluator(results, unfinished).log_value(expression, environment)


def certain_value(
    expression: Expression,
    environment: Environment,
    results: Mapping[Hashable, Any],
    unfinished: Set[str],
) -> Any:
    """The value that every completion of the unfinished texts gives, or `UNKNOWN`."""
    return _Evaluator(results, unfinished, certain=True).value(expression, environment)


class _Evaluator:
    """One walk over an expression; `missing` collects the calls that had no result."""

    def __init__(self, results: Mapping[Hashable, Any], unfinished: Set[str], certain: bool = False) -> None:
        self.results = results
        self.unfinished = unfinished
        self.certain = certain
        self.missing: list[PotentialCall] = []

    def value(self, expression: Expression, environment: Environment) -> Any:
        """The value, MISSING or UNKNOWN."""
        match expression:
            case Constant(value=value):
                return value
            case Duration(seconds=seconds):
                return seconds
            case Name(name=name):
                return self._name(name, expression, environment)
            case Binary(operator="and" | "or"):
                return self._logic(expression, environment)
            case FunctionCall():
                return self._call(expression, environment)
            case Inlined():
                return self._inlined(expression, environment)
            case Maybe(operand=operand):
                if not free_names(operand) <= environment.keys():
                    return None
                return self.value(operand, environment)
            case Record(fields=fields):
                values = [self.value(value, environment) for _, value in fields]
                return _marker(values) or dict(zip((name for name, _ in fields), values, strict=True))
            case Call(path=path):
                raise AssertionError(f"{'.'.join(path)} was not resolved")
            case _:
                values = [self.value(child, environment) for child in children(expression)]
                marker = _marker(values)
                if marker is UNKNOWN and getattr(expression, "operator", "") == "*" and 0 in values:
                    return 0
                return marker if marker is not None else _apply(expression, values)

    def log_value(self, expression: Expression, environment: Environment) -> float:
        """See `log_value` above."""
        match expression:
            case Binary(operator="*", left=left, right=right):
                return self._log_product(left, right, environment)
            case Binary(operator="^", left=left, right=right):
                power = self.value(right, environment)
                if isinstance(power, int | float) and power > 0:
                    return self.log_value(left, environment) * power
            case BuiltinCall(function="exp", arguments=(argument,)):
                return _checked_log(self.value(argument, environment), expression.span)
            case FunctionCall(signature=signature) if signature.result.name == "logweight":
                return _checked_log(self._call_result(expression, environment), expression.span)
            case Inlined(body=body, log=log):
                inner = self._bind(expression, environment)
                if inner is MISSING:
                    raise MissingResult
                with self._inside(expression):
                    if log:
                        return _checked_log(self.value(body, inner), expression.span)
                    return self.log_value(body, inner)
            case _:
                pass
        return log_of_weight(self.value(expression, environment), expression.span)

    def _log_product(self, left: Expression, right: Expression, environment: Environment) -> float:
        """Zero if one side is, though the other is not known."""
        known = []
        for side in (left, right):
            try:
                known.append(self.log_value(side, environment))
            except Undetermined:
                continue
        if -math.inf in known:
            return -math.inf
        if len(known) < 2:
            raise Undetermined
        return sum(known)

    def _name(self, name: str, expression: Expression, environment: Environment) -> Any:
        if self.certain and name in self.unfinished:
            return UNKNOWN
        if name not in environment:
            raise EvaluationError(f"`{name}` has no value here", expression.span)
        return environment[name]

    def _logic(self, expression: Expression, environment: Environment) -> Any:
        assert isinstance(expression, Binary)
        decided = expression.operator == "or"
        left = self.value(expression.left, environment)
        if left is MISSING:
            return MISSING
        if left is not UNKNOWN and _truth(left, expression.left) is decided:
            return decided
        right = self.value(expression.right, environment)
        if isinstance(right, _Marker):
            return right
        right = _truth(right, expression.right)
        return UNKNOWN if left is UNKNOWN and right is not decided else right

    def _inlined(self, expression: Inlined, environment: Environment) -> Any:
        inner = self._bind(expression, environment)
        if inner is MISSING:
            return MISSING
        with self._inside(expression):
            value = self.value(expression.body, inner)
        if expression.log and not isinstance(value, _Marker):
            return call_builtin("exp", [_number(value, expression)])
        return value

    @contextmanager
    def _inside(self, expression: Inlined) -> Iterator[None]:
        """A parameter bound to an unfinished text is unfinished itself."""
        outer = self.unfinished
        bound = zip(expression.parameters, expression.arguments, strict=True)
        inner = {name for name, argument in bound if free_names(argument) & outer}
        self.unfinished = inner | (outer - set(expression.parameters))
        try:
            yield
        finally:
            self.unfinished = outer

    def _bind(self, expression: Inlined, environment: Environment) -> Any:
        actual = _Evaluator(self.results, self.unfinished) if self.certain else self
        values = [actual.value(argument, environment) for argument in expression.arguments]
        if any(value is MISSING for value in values):
            return MISSING
        return {**environment, **dict(zip(expression.parameters, values, strict=True))}

    def _call(self, expression: FunctionCall, environment: Environment) -> Any:
        result = self._call_result(expression, environment)
        if self.certain and free_names(expression) & self.unfinished:
            promised = expression.signature.is_potential and expression.signature.facts.prefix != "none"
            zero = result == -math.inf if expression.signature.result.name == "logweight" else not result
            if not (promised and zero):
                return UNKNOWN
        if expression.signature.result.name == "logweight" and not isinstance(result, _Marker):
            return call_builtin("exp", [_number(result, expression)])
        return result

    def _call_result(self, expression: FunctionCall, environment: Environment) -> Any:
        actual = _Evaluator(self.results, self.unfinished) if self.certain else self
        values = []
        for argument, parameter in zip(expression.arguments, expression.signature.parameters, strict=True):
            values.append(parameter.default if argument is None else actual.value(argument, environment))
        marker = _marker(values)
        if marker is not None:
            return marker
        call = self._described(expression, tuple(values))
        if call.key in self.results:
            return self.results[call.key]
        self.missing.append(call)
        return MISSING

    def _described(self, expression: FunctionCall, values: tuple[Any, ...]) -> PotentialCall:
        signature = expression.signature
        prefix = bool(signature.is_potential and self.unfinished and free_names(expression) & self.unfinished)
        # Plain values: the key is looked up often, and that hashes them fastest.
        place = signature.location
        key = (signature.name, place.function, place.module, place.path, prefix, *map(freeze, values))
        return PotentialCall(signature, values, prefix, key, expression.span)


def _marker(values: list[Any]) -> _Marker | None:
    for marker in (MISSING, UNKNOWN):
        if any(value is marker for value in values):
            return marker
    return None


def _refuse_markers(value: Any) -> None:
    if value is MISSING:
        raise MissingResult
    if value is UNKNOWN:
        raise Undetermined


def log_of_weight(value: Any, span: Span) -> float:
    """The logarithm of a weight.

    Raises:
        EvaluationError: not a finite number that is zero or larger.
        MissingResult: the value was not there.
        Undetermined: it is not known yet.
    """
    _refuse_markers(value)
    if isinstance(value, bool):
        return 0.0 if value else -math.inf
    number = float(value) if isinstance(value, int | float) or hasattr(value, "__float__") else math.nan
    if not 0.0 <= number < math.inf:
        raise EvaluationError(f"this weight is {_shown(value)}", span)
    return math.log(number) if number > 0 else -math.inf


def _checked_log(value: Any, span: Span) -> float:
    _refuse_markers(value)
    number = float(value) if isinstance(value, int | float) or hasattr(value, "__float__") else math.nan
    if math.isnan(number) or number == math.inf:
        raise EvaluationError(f"this logarithm of a weight is {_shown(value)}", span)
    return number


def _shown(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "infinite" if value > 0 else "minus infinity"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _truth(value: Any, expression: Expression) -> bool:
    if isinstance(value, bool) or type(value).__name__ == "bool":
        return bool(value)
    raise EvaluationError(f"a yes or no is needed here, not {_shown(value)}", expression.span)


def _number(value: Any, expression: Expression) -> Any:
    if isinstance(value, int | float) or hasattr(value, "__float__"):
        return value
    raise EvaluationError(f"a number is needed here, not {_shown(value)}", expression.span)


def _apply(expression: Expression, values: list[Any]) -> Any:
    """The value of an expression from the values of what is directly inside it."""
    try:
        match expression:
            case Field(name=name):
                return _field(values[0], name, expression)
            case Index():
                return values[0][values[1]]
            case Unary(operator="not"):
                return not _truth(values[0], expression)
            case Unary():
                return -_number(values[0], expression)
            case BuiltinCall(function=function):
                return call_builtin(function, values)
            case Binary(operator=operator):
                return _OPERATORS[operator](*values)
            case ListOf():
                return values
    except ZeroDivisionError:
        raise EvaluationError("this divides by zero", expression.span) from None
    except (KeyError, IndexError):
        wanted = expression.name if isinstance(expression, Field) else values[-1]
        raise EvaluationError(f"there is no {wanted!r} in this value", expression.span) from None
    except OverflowError:
        raise EvaluationError("this number is too large", expression.span) from None
    except (TypeError, ValueError, AttributeError):
        kinds = " and ".join(_kind(value) for value in values)
        raise EvaluationError(f"this does not work with {kinds}", expression.span) from None
    raise AssertionError(f"no value for {type(expression).__name__}")


def _field(base: Any, name: str, expression: Expression) -> Any:
    if isinstance(base, Mapping):
        return base[name]
    if name in ("text", "path", "lines") and hasattr(base, name):
        return getattr(base, name)
    raise EvaluationError(f"{_kind(base)} has no field `{name}`", expression.span)


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    names = {"str": "text", "int": "a number", "float": "a number", "bool": "a yes or no", "list": "a list"}
    return names.get(type(value).__name__, "a JSON object" if isinstance(value, Mapping) else "a value")


def _power(base: Any, exponent: Any) -> Any:
    result = base**exponent
    if isinstance(result, complex):
        raise ValueError("a negative number has no such power")
    return result


def _contained(part: Any, whole: Any) -> bool:
    return part in whole


_OPERATORS: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": lambda left, right: left / right,
    "^": _power,
    "==": lambda left, right: left == right,
    "!=": lambda left, right: left != right,
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
    "in": _contained,
}
