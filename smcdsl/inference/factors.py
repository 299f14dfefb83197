"""Calls of potentials: one batch, without repeats, cached, counted, with time limits and failure policy.

Results of pure potentials are kept for the whole run and shared by all its groups; an impure one is
called for every particle (language reference, 2.2.7). Exceptions of the user's code end here: they
become R0903, or what the policy says, counted.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smcdsl.errors import Diagnostic, Label, PotentialError, Source, Span, shown_path
from smcdsl.program.evaluation import PotentialCall, freeze
from smcdsl.program.types import Signature
from smcdsl.protocols import Potential
from smcdsl.workers import Outcome, ProcessPool, ThreadRunner, attempt

Functions = Callable[[Signature], Potential | Callable[..., Any]]
"""Gives the Python function of a signature: `library.resolve_function`."""


class DeadlinePassed(Exception):
    """The run's time is up while a call is being made."""


@dataclass
class CallCounts:
    """`n` results asked for, `cached` of them without calling; failures as the policy counted them."""

    n: int = 0
    cached: int = 0
    errors: int = 0
    timeouts: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Request:
    """A call that `count` particles need."""

    call: PotentialCall
    count: int = 1


class PotentialCalls:
    """Makes the calls of one run. Close it after use.

    Args:
        functions: gives the Python function of a signature.
        deadline: on the monotonic clock; calls do not outlast it.
    """

    def __init__(self, functions: Functions, deadline: float | None = None) -> None:
        self.deadline = deadline
        self.counts: dict[str, CallCounts] = {}
        self._functions = functions
        self._resolved: dict[Signature, Potential | Callable[..., Any]] = {}
        self._results: dict[Hashable, Any] = {}
        self._succeeded: Counter[str] = Counter()
        self._thread = ThreadRunner()
        self._pools: dict[Hashable, ProcessPool] = {}

    def answer(self, requests: Sequence[Request]) -> list[Any]:
        """The results of requests, in order; every distinct call of a pure potential is made once.

        Raises:
            PotentialError: R0903 where a call failed and the policy is `fail`, R0904 for a result that
                is not what the potential declares.
            DeadlinePassed: the run's time is up.
        """
        wanted: dict[Hashable, PotentialCall] = {}
        keys: list[Hashable] = []
        for number, request in enumerate(requests):
            call = request.call
            key = call.key if call.signature.facts.pure else (call.key, number)
            keys.append(key)
            made = key not in self._results and key not in wanted
            if made:
                wanted[key] = call
            if call.signature.is_potential:
                counts = self.counts.setdefault(call.signature.name, CallCounts())
                counts.n += request.count
                counts.cached += request.count - made
        fresh = self._make(wanted)
        self._results.update((key, value) for key, value in fresh.items() if wanted[key].signature.facts.pure)
        return [fresh[key] if key in fresh else self._results[key] for key in keys]

    def explain(self, call: PotentialCall) -> str:
        """What the potential says of why it gave zero; empty where it cannot say."""
        potential = self._resolve(call.signature)
        if not isinstance(potential, Potential):
            return ""
        outcome = attempt(lambda *arguments: potential.explain(arguments, prefix=call.prefix), call.arguments)
        return str(outcome.value) if outcome.kind == "value" and outcome.value else ""

    def close(self) -> None:
        """End threads and processes."""
        self._thread.close()
        for pool in self._pools.values():
            pool.close()

    def _resolve(self, signature: Signature) -> Potential | Callable[..., Any]:
        found = self._resolved.get(signature)
        if found is None:
            found = self._resolved[signature] = self._functions(signature)
        return found

    def _make(self, wanted: dict[Hashable, PotentialCall]) -> dict[Hashable, Any]:
        """Results of distinct calls; those that one call of the function can answer go together."""
        groups: dict[Hashable, list[Hashable]] = {}
        for key, call in wanted.items():
            groups.setdefault(_batch_key(call, key), []).append(key)
        results: dict[Hashable, Any] = {}
        pooled: dict[Hashable, list[list[Hashable]]] = {}
        for keys in groups.values():
            signature = wanted[keys[0]].signature
            if signature.facts.workers:
                pooled.setdefault((signature.name, wanted[keys[0]].prefix), []).append(keys)
                continue
            self._settle([keys], wanted, results, self._call_here)
        for batches in pooled.values():
            self._settle(batches, wanted, results, self._call_workers)
        return results

    def _settle(
        self,
        batches: list[list[Hashable]],
        wanted: dict[Hashable, PotentialCall],
        results: dict[Hashable, Any],
        make: Callable[[list[list[PotentialCall]]], list[Outcome]],
    ) -> None:
        calls = [[wanted[key] for key in keys] for keys in batches]
        started = time.perf_counter()
        outcomes = make(calls)
        if calls[0][0].signature.is_potential:
            self.counts[calls[0][0].signature.name].seconds += time.perf_counter() - started
        for keys, group, outcome in zip(batches, calls, outcomes, strict=True):
            values = self._values(group, outcome)
            results.update(zip(keys, values, strict=True))

    def _call_here(self, batches: list[list[PotentialCall]]) -> list[Outcome]:
        outcomes = []
        for calls in batches:
            signature = calls[0].signature
            resolved = self._resolve(signature)
            function: Callable[..., Any] = resolved
            if isinstance(resolved, Potential):
                function = resolved.prefix_function if calls[0].prefix else resolved.function
            limit = self._limit(signature)
            arguments = _arguments(calls)
            if limit is None:
                outcomes.append(attempt(function, arguments))
            else:
                outcomes.append(self._thread.call(function, arguments, limit))
        return outcomes

    def _limit(self, signature: Signature) -> float | None:
        """The seconds that a call may take."""
        limit = signature.facts.timeout_seconds
        if self.deadline is None:
            return limit
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise DeadlinePassed
        return left if limit is None else min(limit, left)

    def _call_workers(self, batches: list[list[PotentialCall]]) -> list[Outcome]:
        call = batches[0][0]
        signature = call.signature
        name = signature.location.function
        if call.prefix:
            resolved = self._resolve(signature)
            name = (resolved.prefix_form if isinstance(resolved, Potential) else None) or name
        key = (signature.location, name)
        pool = self._pools.get(key)
        if pool is None:
            pool = self._pools[key] = ProcessPool(signature.location, name, signature.facts.workers)
        return pool.call_all([_arguments(calls) for calls in batches], self._limit(signature))

    def _values(self, calls: list[PotentialCall], outcome: Outcome) -> list[Any]:
        signature = calls[0].signature
        if outcome.kind == "value":
            values = outcome.value if signature.batched >= 0 else [outcome.value]
            self._succeeded[signature.name] += len(calls)
            if not isinstance(values, list | tuple) or len(values) != len(calls):
                message = f"`{signature.name}` must return a list of {len(calls)} results for as many texts"
                raise _wrong_result(calls[0], message)
            return [_checked(call, value) for call, value in zip(calls, values, strict=True)]
        if outcome.kind == "timeout" and self.deadline is not None and time.monotonic() >= self.deadline:
            raise DeadlinePassed
        counts = self.counts.setdefault(signature.name, CallCounts())
        counts.errors += (outcome.kind == "error") * len(calls)
        counts.timeouts += (outcome.kind == "timeout") * len(calls)
        facts = signature.facts
        policy = facts.on_error if outcome.kind == "error" else facts.on_timeout
        if policy == "fail" or not signature.is_potential:
            raise self._failure(calls[0], outcome)
        return [_policy_value(signature, policy)] * len(calls)

    def _failure(self, call: PotentialCall, outcome: Outcome) -> PotentialError:
        name, facts = call.signature.name, call.signature.facts
        labels = [Label(call.site, f"for {_shown_arguments(call)}", primary=True)]
        facts_shown: tuple[str, ...] = ()
        if outcome.kind == "timeout":
            message = f"`{name}` took longer than {facts.timeout_seconds:g} s"
            policy = "on_timeout"
        else:
            message = f"`{name}` raised an exception"
            policy = "on_error"
            place = _place(outcome)
            if place is None:
                facts_shown = (outcome.error,)
            else:
                labels.append(Label(place, outcome.error))
        note = f"{self._succeeded[name]} earlier calls succeeded; the policy is `{policy}: fail`"
        fix = f"fix the function, or choose what a failure means: {{ {policy}: zero }}"
        diagnostic = Diagnostic("R0903", message, tuple(labels), (note,), fix, facts=facts_shown)
        return PotentialError(diagnostic, name, call.arguments)


def _batch_key(call: PotentialCall, key: Hashable) -> Hashable:
    batched = call.signature.batched
    if batched < 0:
        return key
    others = tuple(freeze(value) for index, value in enumerate(call.arguments) if index != batched)
    return (call.signature.name, call.signature.location, call.prefix, others)


def _arguments(calls: list[PotentialCall]) -> list[Any]:
    arguments = list(calls[0].arguments)
    batched = calls[0].signature.batched
    if batched >= 0:
        arguments[batched] = [call.arguments[batched] for call in calls]
    return arguments


def _checked(call: PotentialCall, value: Any) -> Any:
    """The result as a plain value, if it is what the signature declares."""
    if hasattr(value, "item") and getattr(value, "shape", None) == ():
        value = value.item()
    result = call.signature.result.name
    name = call.signature.name
    if result == "bool":
        if not isinstance(value, bool):
            raise _wrong_result(call, f"`{name}` returned {_shown(value)}, not a yes or no")
    elif result in ("weight", "logweight", "float", "int"):
        if not isinstance(value, int | float):
            raise _wrong_result(call, f"`{name}` returned {_shown(value)}, not a number")
        if math.isnan(value):
            raise _wrong_result(call, f"`{name}` returned NaN")
        if value == math.inf or (result == "weight" and value < 0):
            raise _wrong_result(call, f"`{name}` returned {_shown(value)}")
    return value


def _wrong_result(call: PotentialCall, message: str) -> PotentialError:
    label = Label(call.site, f"for {_shown_arguments(call)}", primary=True)
    fix = "a weight must be a finite number that is zero or larger"
    if call.signature.result.name == "bool":
        fix = "a potential for `require` returns True or False"
    elif call.signature.result.name == "logweight":
        fix = "a log-weight must be a number below infinity"
    return PotentialError(Diagnostic("R0904", message, (label,), help=fix), call.signature.name, call.arguments)


def _policy_value(signature: Signature, policy: str) -> Any:
    one = policy == "one"
    if signature.result.name == "bool":
        return one
    if signature.result.name == "logweight":
        return 0.0 if one else -math.inf
    return 1.0 if one else 0.0


def _shown_arguments(call: PotentialCall) -> str:
    pairs = zip(call.signature.parameters, call.arguments, strict=False)
    return ", ".join(f"{parameter.name} = {_shown(value)}" for parameter, value in pairs)


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    text = '"' + value.replace("\n", "\\n") + '"' if isinstance(value, str) else repr(value)
    return text if len(text) <= 80 else "..." + text[-77:]


def _place(outcome: Outcome) -> Span | None:
    """The line that raised, where its file can be read."""
    try:
        path = Path(outcome.file)
        source = Source(shown_path(path), path.read_text(encoding="utf-8"))
        start = source.line_starts[outcome.line - 1]
    except (OSError, UnicodeDecodeError, IndexError):
        return None
    text = source.line(outcome.line)
    indent = len(text) - len(text.lstrip())
    return Span(source, start + indent, start + len(text))
