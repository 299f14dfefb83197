"""Test cases of programs: read from a program's input, and compared outside the jail."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

_RELATIVE = 1e-9


@dataclass(frozen=True)
class Case:
    """An expression to evaluate after the program, and the JSON value that it should have."""

    call: str
    want: Any


def read_cases(cases: Any) -> list[Case]:
    """The cases of a list of `{ call, want }`.

    Raises:
        ValueError: it is something else; the message says which item.
    """
    if not isinstance(cases, list) or not cases:
        raise ValueError("the cases are a list of { call, want } with one at least")
    read = []
    for number, case in enumerate(cases, 1):
        if not isinstance(case, dict) or set(case) != {"call", "want"} or not isinstance(case["call"], str):
            raise ValueError(f"case {number} is not {{ call: text, want: value }}")
        read.append(Case(case["call"], case["want"]))
    return read


def same(found: Any, wanted: Any) -> bool:
    """Whether two JSON values are equal: numbers to nine digits, NaN to itself, true not to 1."""
    if isinstance(found, bool) or isinstance(wanted, bool):
        return found is wanted
    if isinstance(found, int | float) and isinstance(wanted, int | float):
        return _same_number(found, wanted)
    if isinstance(found, list) and isinstance(wanted, list):
        return len(found) == len(wanted) and all(map(same, found, wanted))
    if isinstance(found, dict) and isinstance(wanted, dict):
        return found.keys() == wanted.keys() and all(same(found[key], wanted[key]) for key in wanted)
    return type(found) is type(wanted) and bool(found == wanted)


def _same_number(found: float, wanted: float) -> bool:
    if isinstance(found, int) and isinstance(wanted, int):
        return found == wanted
    try:
        return math.isclose(found, wanted, rel_tol=_RELATIVE) or (math.isnan(found) and math.isnan(wanted))
    except OverflowError:
        return False
