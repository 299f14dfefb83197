"""Consistency mode: whether functions that are declared pure give the same results when asked again.

All calls of a run are made once more at its end, last first and in batches of other sizes, so that a result
that depends on what was asked before, on its neighbours in a batch, or on chance, differs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Any

from smcdsl.errors import Diagnostic, Label, PotentialError
from smcdsl.inference.factors.answers import shown, shown_arguments
from smcdsl.program.evaluation import UNKNOWN, PotentialCall

TOLERANCE = 1e-4
"""How far results may be apart: models on batches of other sizes round differently."""

_SIZES = (1, 2, 3)


def regrouped(
    wanted: Mapping[Hashable, PotentialCall], batch_key: Callable[[PotentialCall, Hashable], Hashable]
) -> Iterator[list[Hashable]]:
    """The calls in order, those that may go together in batches of one, two, three, one, ... texts."""
    groups: dict[Hashable, list[Hashable]] = {}
    for key, call in wanted.items():
        groups.setdefault(batch_key(call, key), []).append(key)
    for keys in groups.values():
        start = number = 0
        while start < len(keys):
            size = _SIZES[number % len(_SIZES)]
            yield keys[start : start + size]
            start, number = start + size, number + 1


def same(call: PotentialCall, first: Any, second: Any) -> bool:
    """Whether two results are the same, up to rounding."""
    if first is UNKNOWN or second is UNKNOWN or isinstance(first, bool) or isinstance(second, bool):
        return type(first) is type(second) and bool(first == second)
    if isinstance(first, int | float) and isinstance(second, int | float):
        is_log = call.signature.result.name == "logweight"
        return math.isclose(first, second, rel_tol=TOLERANCE, abs_tol=TOLERANCE if is_log else 0.0)
    return bool(first == second)


def contradiction(call: PotentialCall, first: Any, second: Any) -> PotentialError:
    """R0908."""
    name = call.signature.name
    said = f"gave {_shown(first)}, then {_shown(second)}, for {shown_arguments(call)}"
    note = "it counts as pure; all calls were made again, last first and in batches of other sizes"
    fix = "make it depend on its arguments alone"
    if call.signature.is_potential:
        fix += ", or declare `pure: false`"
    labels = (Label(call.site, said, primary=True),)
    diagnostic = Diagnostic("R0908", f"`{name}` gives another result when it is asked again", labels, (note,), fix)
    return PotentialError(diagnostic, name, call.arguments)


def _shown(value: Any) -> str:
    return "no answer yet" if value is UNKNOWN else shown(value)
