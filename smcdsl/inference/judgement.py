"""What factors say: their final values, and previews of them while a hole is written.

Everything here is a generator that yields the calls of potentials it needs and takes their results, so
that the calls of all particles go out in one batch.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Hashable, Iterable, Mapping, Set
from dataclasses import dataclass, field
from typing import Any, TypeVar

from smcdsl.errors import Diagnostic, Label, PotentialError
from smcdsl.inference.particles import Watch
from smcdsl.plan import PlannedFactor
from smcdsl.program.evaluation import (
    UNKNOWN,
    EvaluationError,
    MissingResult,
    PotentialCall,
    Undetermined,
    certain_value,
    evaluate,
    free_names,
    freeze,
    log_value,
    potential_calls,
)
from smcdsl.program.expressions import Expression

T = TypeVar("T")
Calling = Generator[list[PotentialCall], list[Any], T]
"""Yields calls that it needs, receives their results, returns its value."""

LOG_FLOOR = math.log(1e-6)
"""The log of what stands for a preview of zero that promises nothing: with zero, mass would be lost for good."""

_REMEMBERED_REFUSALS = 16


def value_of(expression: Expression, environment: Mapping[str, Any]) -> Calling[Any]:
    """The value of an expression."""
    results: dict[Hashable, Any] = {}
    while True:
        calls = potential_calls(expression, environment, results)
        results.update((yield from _made(calls)))
        try:
            return evaluate(expression, environment, results)
        except MissingResult:
            # An argument was a call itself, or decided that the right side of an `and` counts.
            continue


def _made(calls: list[PotentialCall]) -> Calling[dict[Hashable, Any]]:
    """The results of calls by their keys."""
    if not calls:
        return {}
    distinct = {call.key: call for call in calls}
    values = yield list(distinct.values())
    return dict(zip(distinct, values, strict=True))


@dataclass(frozen=True)
class Verdict:
    """A factor's log value; for a zero, where in the text it fell and the arguments of its calls."""

    log_weight: float
    calls: tuple[PotentialCall, ...] = ()


def weigh(
    factor: PlannedFactor, environment: Mapping[str, Any], unfinished: Set[str] = frozenset()
) -> Calling[Verdict]:
    """The log value of a factor's expression: 0 or -inf for `require`.

    With `unfinished` holes it is a preview's: -inf only where every completion is sure to get zero, and 0 where
    a potential cannot tell yet; the next boundary asks again.
    """
    asked: list[PotentialCall] = []
    results: dict[Hashable, Any] = {}
    while True:
        calls = potential_calls(factor.expression, environment, results, unfinished)
        asked += calls
        results.update((yield from _made(calls)))
        try:
            log_weight = _log_weight(factor, environment, results, unfinished)
            break
        except MissingResult:
            continue
        except Undetermined:
            return Verdict(0.0)
    if log_weight == -math.inf and unfinished:
        certain = certain_value(factor.expression, environment, results, unfinished)
        if factor.verb == "guide" or certain is UNKNOWN or certain:
            return Verdict(LOG_FLOOR)
    return Verdict(log_weight, tuple(asked) if log_weight == -math.inf else ())


def _log_weight(
    factor: PlannedFactor,
    environment: Mapping[str, Any],
    results: Mapping[Hashable, Any],
    unfinished: Set[str],
) -> float:
    if factor.verb != "require":
        return log_value(factor.expression, environment, results, unfinished)
    value = evaluate(factor.expression, environment, results, unfinished)
    if value is UNKNOWN:
        raise Undetermined
    if not isinstance(value, bool):
        raise EvaluationError(f"`require` needs a yes or no, and this is {value!r}", factor.expression.span)
    return 0.0 if value else -math.inf


def occurrence_spans(sites: Iterable[Any], text: bytes, rule: str) -> list[tuple[int, int]]:
    """(start, end) of the sites of a boundary in a text, in order of their ends."""
    if rule == "line":
        return line_spans(text)
    if rule == "end":
        return [(0, len(text))]
    return [(site.start, site.end) for site in sites if site.rule == rule]


def line_spans(text: bytes) -> list[tuple[int, int]]:
    """The lines of a finished text, without their newlines; a final newline opens no further line."""
    spans, start = [], 0
    while (end := text.find(b"\n", start)) >= 0:
        spans.append((start, end))
        start = end + 1
    if start < len(text):
        spans.append((start, len(text)))
    return spans


def whole_characters(text: bytes) -> str:
    """The text up to its last whole character: a token may end inside one."""
    for length in range(min(len(text), 4) + 1):
        try:
            return text[: len(text) - length].decode()
        except UnicodeDecodeError as error:
            if error.reason != "unexpected end of data":
                raise
    raise AssertionError("more than a character is incomplete")


def reach(watch: Watch, text: bytes, sites: Iterable[Any]) -> int | None:
    """The length of the text up to the last site of the watch's boundaries; None before the first."""
    ends = [site.end for site in sites if site.rule in watch.boundaries and site.end <= len(text)]
    if "token" in watch.boundaries:
        ends.append(len(text))
    if "line" in watch.boundaries and b"\n" in text:
        ends.append(text.rindex(b"\n"))
    return max(ends, default=None)


@dataclass
class Refusals:
    """Spot check of the promise that a preview's no makes (R0905): prefixes refused, compared with finished texts."""

    _prefixes: dict[Hashable, list[str]] = field(default_factory=dict)

    def remember(self, factor: PlannedFactor, hole: str, environment: Mapping[str, Any], text: str) -> None:
        """A preview of `factor` refused `text`."""
        prefixes = self._prefixes.setdefault(_case(factor, hole, environment), [])
        if len(prefixes) < _REMEMBERED_REFUSALS and text not in prefixes:
            prefixes.append(text)

    def check(
        self, factor: PlannedFactor, hole: str, environment: Mapping[str, Any], text: str, looks: frozenset[int] | None
    ) -> None:
        """`factor` accepts the finished `text`, in which previews looked after `looks` bytes (None: anywhere).

        A refused prefix that ends where this text has no site was judged as another text's finished part.

        Raises:
            PotentialError: R0905, a prefix of it was refused.
        """
        for prefix in self._prefixes.get(_case(factor, hole, environment), ()):
            if text.startswith(prefix) and (looks is None or len(prefix.encode()) in looks):
                raise contradiction(factor, prefix, text)


def _case(factor: PlannedFactor, hole: str, environment: Mapping[str, Any]) -> Hashable:
    names = sorted(free_names(factor.expression) - {hole})
    return factor.index, hole, tuple(freeze(environment.get(name)) for name in names)


def contradiction(factor: PlannedFactor, prefix: str, text: str) -> PotentialError:
    """R0905."""
    said = f'said no to the prefix "{prefix}" but yes to the finished "{text}"'
    note = "a preview may only say no if every completion is impossible; otherwise valid results are lost"
    diagnostic = Diagnostic(
        "R0905",
        f"`{factor.name}` contradicts itself",
        (Label(factor.span, said, primary=True),),
        (note,),
        'declare `prefix="none"` or relax the prefix form',
    )
    return PotentialError(diagnostic, factor.name, (prefix, text))
