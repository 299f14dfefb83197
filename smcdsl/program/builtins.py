"""Built-in functions: pure, total, deterministic (language reference, 2.16).

Total means that no argument of the declared type raises: `first` and `last` of an empty list and `min`
and `max` of one are null; text functions read null as the empty text and number functions null as 0;
`log` of zero or less is minus infinity, and `exp` beyond the largest float is infinity. The counts are
those of `where`: `chars` are Unicode code points, `words` maximal runs without white space, `lines`
pieces between newlines, where a final newline opens no further line. `tokens` is the exception: it
knows no tokenizer, so it is an estimate, while `where tokens` counts the tokens that are emitted.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from smcdsl.program.types import ANY, BOOL, FLOAT, INT, STR, WEIGHT, Parameter, Type, list_of, union_of

Number = int | float


def chars(text: str | None) -> int:
    """Unicode code points."""
    return len(text or "")


def words(text: str | None) -> int:
    """Maximal runs of characters that are not white space."""
    return len((text or "").split())


def lines(text: str | None) -> int:
    """Pieces between newlines: 0 for the empty text; a final newline opens no further line."""
    text = text or ""
    return text.count("\n") + (text != "" and not text.endswith("\n"))


_PIECE = re.compile(r"\w+|[^\w\s]")


def tokens(text: str | None) -> int:
    """About how many tokens: one for four letters of a word or a part of them, one a punctuation mark."""
    return sum(-(-len(piece) // 4) for piece in _PIECE.findall(text or ""))


def first(items: Sequence[Any] | None) -> Any:
    """The first item; null without one."""
    return items[0] if items else None


def last(items: Sequence[Any] | None) -> Any:
    """The last item; null without one."""
    return items[-1] if items else None


def length(value: Any) -> int:
    """Items of a list, entries of a JSON object, code points of a text; 0 for null."""
    return len(value) if isinstance(value, Sequence | Mapping) else 0


def join(items: Sequence[Any] | None, separator: str | None = "") -> str:
    """The items' texts with `separator` between them."""
    return (separator or "").join("" if item is None else str(item) for item in items or ())


def smallest(*values: Any) -> Any:
    """The least of the arguments, or of the one list; null without any."""
    return min(_numbers(values), default=None)


def largest(*values: Any) -> Any:
    """The greatest of the arguments, or of the one list; null without any."""
    return max(_numbers(values), default=None)


def _numbers(values: Sequence[Any]) -> list[Number]:
    if len(values) == 1 and isinstance(values[0], Sequence) and not isinstance(values[0], str):
        values = values[0]
    return [value for value in values if value is not None]


def absolute(number: Number | None) -> Number:
    """The number without its sign."""
    return abs(number or 0)


def exp(number: Number | None) -> float:
    """e to the power of the number; infinity where a float cannot hold it."""
    try:
        return math.exp(number or 0)
    except OverflowError:
        return math.inf


def log(number: Number | None) -> float:
    """The natural logarithm; minus infinity for zero and less."""
    if number is None or number <= 0:
        return -math.inf
    return math.log(number)


def starts_with(text: str | None, start: str | None) -> bool:
    """Whether `text` begins with `start`."""
    return (text or "").startswith(start or "")


def ends_with(text: str | None, end: str | None) -> bool:
    """Whether `text` ends with `end`."""
    return (text or "").endswith(end or "")


def contains(whole: Any, part: Any) -> bool:
    """Whether a text has `part` in it, or a list has it as an item."""
    if isinstance(whole, str):
        return isinstance(part, str) and part in whole
    return part in (whole or ())


def lower(text: str | None) -> str:
    """In lower case."""
    return (text or "").lower()


def upper(text: str | None) -> str:
    """In upper case."""
    return (text or "").upper()


def strip(text: str | None) -> str:
    """Without white space at either end."""
    return (text or "").strip()


def parse_json(text: str | None) -> Any:
    """The value that a JSON text stands for; null where it is none. Numbers as JSON has them: no NaN, no infinity."""
    try:
        return json.loads(text or "", parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None


def _refuse(word: str) -> Any:
    raise ValueError(word)


@dataclass(frozen=True)
class Builtin:
    """A built-in as the checker and the evaluator see it.

    `result` takes the argument types. A `variadic` built-in takes any number of its one parameter.
    """

    name: str
    parameters: tuple[Parameter, ...]
    result: Callable[[Sequence[Type]], Type]
    function: Callable[..., Any]
    variadic: bool = False


def _item(types: Sequence[Type]) -> Type:
    return types[0].item or ANY if types else ANY


def _numeric(types: Sequence[Type]) -> Type:
    items = [type_.item or ANY if type_.name == "list" else type_ for type_ in types]
    return INT if items and all(item.name == "int" for item in items) else FLOAT


def _builtin(function: Callable[..., Any], result: Type, name: str = "", **parameters: Type) -> Builtin:
    declared = tuple(Parameter(parameter, type_) for parameter, type_ in parameters.items())
    return Builtin(name or function.__name__, declared, lambda _: result, function)


_NUMBERS = union_of((FLOAT, list_of(FLOAT)))
_LISTS = list_of(ANY)
_MEASURED = union_of((STR, _LISTS, Type("json")))

BUILTINS: Mapping[str, Builtin] = {
    builtin.name: builtin
    for builtin in (
        _builtin(chars, INT, text=STR),
        _builtin(words, INT, text=STR),
        _builtin(lines, INT, text=STR),
        _builtin(tokens, INT, text=STR),
        Builtin("last", (Parameter("items", _LISTS),), _item, last),
        Builtin("first", (Parameter("items", _LISTS),), _item, first),
        _builtin(length, INT, "len", value=_MEASURED),
        Builtin(
            "join",
            (Parameter("items", _LISTS), Parameter("separator", STR, required=False, default="")),
            lambda _: STR,
            join,
        ),
        Builtin("min", (Parameter("values", _NUMBERS),), _numeric, smallest, variadic=True),
        Builtin("max", (Parameter("values", _NUMBERS),), _numeric, largest, variadic=True),
        Builtin("abs", (Parameter("number", FLOAT),), _numeric, absolute),
        _builtin(exp, WEIGHT, number=FLOAT),
        _builtin(log, FLOAT, number=FLOAT),
        _builtin(starts_with, BOOL, text=STR, start=STR),
        _builtin(ends_with, BOOL, text=STR, end=STR),
        _builtin(contains, BOOL, whole=union_of((STR, _LISTS)), part=ANY),
        _builtin(lower, STR, text=STR),
        _builtin(upper, STR, text=STR),
        _builtin(strip, STR, text=STR),
        _builtin(parse_json, ANY, text=STR),
    )
}


def call_builtin(name: str, arguments: Sequence[Any]) -> Any:
    """The value of built-in `name`; the checker has made sure that the arguments fit."""
    return BUILTINS[name].function(*arguments)
