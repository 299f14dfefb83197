"""Calls of potentials: one batch, without repeats, cached, counted, with time limits and failure policy.

Results of pure potentials are kept for the whole run and shared by all its groups, and on disk where the
potential asks for it; an impure one is called for every particle (language reference, 2.2.7). A call has one
of three outcomes, never mixed: a result, *undetermined* (None of a prefix form), and a failure. Exceptions of
the user's code end here: they become R0903, or what the policy says, counted.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from smcdsl.errors import Diagnostic, PotentialError
from smcdsl.inference.factors.answers import checked, failure, policy_value, refused, values_of
from smcdsl.inference.factors.begun import BegunCalls
from smcdsl.inference.factors.consistency import contradiction, regrouped, same
from smcdsl.inference.factors.score_cache import ScoreCache
from smcdsl.inference.factors.score_keys import Unkeepable, key_of, source_hash
from smcdsl.program.evaluation import UNKNOWN, PotentialCall, freeze
from smcdsl.program.types import PythonLocation, Signature
from smcdsl.protocols import Potential
from smcdsl.workers import Interest, Outcome, ThreadRunner, WorkerPools, attempt, quiet

Functions = Callable[[Signature], Potential | Callable[..., Any]]
"""Gives the Python function of a signature: `library.resolve_function`."""

_CLOCK_SECONDS = 1e-3


class DeadlinePassed(Exception):
    """The run's time is up while a call is being made."""


@dataclass
class CallCounts:
    """`n` results asked for, `cached` of them without calling.

    Of the calls made: how many were undetermined, and how many failed and got what the policy says.
    """

    n: int = 0
    cached: int = 0
    undetermined: int = 0
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
        pools: worker processes of somebody else, who closes them; without it own ones.
        checks: remember every call for `check`.
    """

    def __init__(
        self,
        functions: Functions,
        deadline: float | None = None,
        *,
        pools: WorkerPools | None = None,
        checks: bool = False,
    ) -> None:
        self.deadline = deadline
        self.counts: dict[str, CallCounts] = {}
        self.scores = ScoreCache()
        self._functions = functions
        # By the signature's id, since all of it takes long to hash; kept with it, so that its id stays its own.
        self._resolved: dict[int, tuple[Signature, Potential | Callable[..., Any]]] = {}
        self._results: dict[Hashable, Any] = {}
        self._succeeded: Counter[str] = Counter()
        self._thread = ThreadRunner()
        self._begun = BegunCalls()
        self._owns_pools = pools is None
        self._pools = pools or WorkerPools()
        self._sources: dict[PythonLocation, str | None] = {}
        self._to_check: dict[Hashable, tuple[PotentialCall, Any]] | None = {} if checks else None

    @property
    def warnings(self) -> tuple[Diagnostic, ...]:
        """What there is to say about kept results."""
        return tuple(self.scores.warnings)

    def answer(self, requests: Sequence[Request]) -> list[Any]:
        """The results of requests, in order; every distinct call of a pure potential is made once.

        `UNKNOWN` is the result of a prefix form that cannot tell yet.

        Raises:
            PotentialError: R0903 where a call failed and the policy is `fail`, R0904 for a result that
                is not what the potential declares; `request` is the number of the request. What was
                answered before stays known.
            DeadlinePassed: the run's time is up.
        """
        wanted: dict[Hashable, PotentialCall] = {}
        keys: list[Hashable] = []
        for number, request in enumerate(requests):
            call = request.call
            key = call.key if call.signature.facts.pure else (call.key, number)
            keys.append(key)
            made = key not in self._results and key not in wanted and not self._recall(call)
            if made:
                wanted[key] = call
                made = key not in self._begun
            if call.signature.is_potential:
                counts = self._counts(call.signature)
                counts.n += request.count
                counts.cached += request.count - made
        if not wanted:
            return [self._results[key] for key in keys]
        fresh = _Round(wanted)
        try:
            with quiet():
                self._make(fresh)
        except PotentialError as error:
            if error.request is None:
                error.request = keys.index(fresh.failed) if fresh.failed in keys else None
            raise
        finally:
            self._keep(fresh)
        return [fresh.results[key] if key in fresh.results else self._results[key] for key in keys]

    def begin(self, calls: Iterable[PotentialCall]) -> None:
        """Begin calls whose results will be asked for later: those of pure functions with workers.

        A failure is one when the result is asked for. Counted as asked for now; then the results are known ones.
        """
        wanted = {call.key: call for call in calls if call.signature.facts.pure and call.signature.facts.workers}
        wanted = {
            key: call
            for key, call in wanted.items()
            if not (key in self._results or key in self._begun or self._recall(call))
        }
        for batches in self._shares(wanted):
            made = [[wanted[key] for key in keys] for keys in batches]
            signature = made[0][0].signature
            if signature.is_potential:
                self._counts(signature).n += sum(map(len, made))
            with quiet():
                pool, call_all = self._worker_calls(made)
            self._begun.begin(pool, [{key: wanted[key] for key in keys} for keys in batches], call_all)

    def known(self, calls: Sequence[PotentialCall]) -> list[Any] | None:
        """The results of calls if all are there without calling."""
        if any(call.key not in self._results for call in calls):
            return None
        return [self._results[call.key] for call in calls]

    def check(self) -> None:
        """Make every distinct call of a pure function again, in another order and other batches.

        Raises:
            PotentialError: R0908, the result is another one; or what `answer` raises.
        """
        made, self._to_check = self._to_check or {}, None
        again = _Round({key: call for key, (call, _) in reversed(made.items())})
        self.deadline = None
        with quiet():
            for batches in _pooled(list(regrouped(again.wanted, _batch_key)), again.wanted):
                self._settle(batches, again)
        for key, (call, first) in made.items():
            if key in again.genuine and not same(call, first, again.results[key]):
                raise contradiction(call, first, again.results[key])

    def explain(self, call: PotentialCall) -> str:
        """What the potential says of why it gave zero; empty where it cannot say."""
        potential = self._resolve(call.signature)
        if not isinstance(potential, Potential):
            return ""
        with quiet():
            outcome = attempt(lambda *arguments: potential.explain(arguments, prefix=call.prefix), call.arguments)
        return str(outcome.value) if outcome.kind == "value" and outcome.value else ""

    def close(self) -> None:
        """End threads, and processes if they are of this run alone."""
        self._begun.close()
        self._thread.close()
        self.scores.close()
        if self._owns_pools:
            self._pools.close()

    def _counts(self, signature: Signature) -> CallCounts:
        found = self.counts.get(signature.name)
        if found is None:
            found = self.counts[signature.name] = CallCounts()
        return found

    def _resolve(self, signature: Signature) -> Potential | Callable[..., Any]:
        found = self._resolved.get(id(signature))
        if found is None:
            with quiet():
                found = self._resolved[id(signature)] = signature, self._functions(signature)
        return found[1]

    # Kept results.

    def _recall(self, call: PotentialCall) -> bool:
        """Whether the result is on disk; then it is known from now on."""
        key = self._lasting_key(call)
        found = None if key is None else self.scores.get(key)
        if found is None:
            return False
        self._results[call.key] = found[0]
        if self._to_check is not None:
            self._to_check[call.key] = call, found[0]
        return True

    def _keep(self, fresh: _Round) -> None:
        rows = {}
        for key, result in fresh.results.items():
            call = fresh.wanted[key]
            if not call.signature.facts.pure:
                continue
            self._results[key] = result
            if key not in fresh.genuine:
                continue
            if self._to_check is not None:
                self._to_check[key] = call, result
            lasting = self._lasting_key(call)
            if lasting is not None:
                rows[lasting] = result
        if rows:
            self.scores.put(rows)

    def _lasting_key(self, call: PotentialCall) -> bytes | None:
        facts, location = call.signature.facts, call.signature.location
        if not (facts.cache and facts.pure and call.signature.is_potential):
            return None
        try:
            if location not in self._sources:
                # None for one that has no file.
                self._sources[location] = None
                self._sources[location] = source_hash(location)
            source = self._sources[location]
            return None if source is None else key_of(call, source)
        except Unkeepable:
            return None

    # Calls.

    def _make(self, fresh: _Round) -> None:
        """Results of distinct calls; those that one call of the function can answer go together."""
        self._collect(fresh)
        missing = {key: call for key, call in fresh.wanted.items() if key not in fresh.results}
        for batches in self._shares(missing):
            self._settle(batches, fresh)

    def _shares(self, wanted: Mapping[Hashable, PotentialCall]) -> list[list[list[Hashable]]]:
        """Keys of calls by batches; batches that go together, for every worker gets its share of a batch."""
        groups: dict[Hashable, list[Hashable]] = {}
        for key, call in wanted.items():
            groups.setdefault(_batch_key(call, key), []).append(key)
        batches = []
        for keys in groups.values():
            share = -(-len(keys) // (wanted[keys[0]].signature.facts.workers or 1))
            batches += [keys[start : start + share] for start in range(0, len(keys), share)]
        return _pooled(batches, wanted)

    def _collect(self, fresh: _Round) -> None:
        """What was begun before, of what is wanted now."""
        started = time.perf_counter()
        for batch, outcome in self._begun.collect(fresh.wanted.keys()):
            keys = list(batch)
            if outcome.kind == "value":
                fresh.wanted.update(batch)
            else:
                keys = [key for key in keys if key in fresh.wanted]
            signature = batch[keys[0]].signature
            if signature.is_potential:
                self._counts(signature).seconds += time.perf_counter() - started
            self._sort_out([(keys, outcome, len(batch))], fresh)
            started = time.perf_counter()

    def _settle(self, batches: list[list[Hashable]], fresh: _Round) -> None:
        """Make calls of one function, each for some texts."""
        signature = fresh.wanted[batches[0][0]].signature
        started = time.perf_counter()
        try:
            outcomes = self._call(batches, fresh)
            self._sort_out(zip(batches, outcomes, map(len, batches)), fresh)
        finally:
            if signature.is_potential:
                self._counts(signature).seconds += time.perf_counter() - started

    def _sort_out(self, outcomes: Iterable[tuple[list[Hashable], Outcome, int]], fresh: _Round) -> None:
        """What calls of one function for some texts gave; after a failure they are made once more, text by text.

        So a text that fails is known by itself, and takes no other with it. Each comes with the size of its batch.
        """
        again: list[tuple[Hashable, Outcome, int]] = []
        for keys, outcome, size in outcomes:
            if outcome.kind == "value":
                self._take(keys, outcome, fresh)
            elif outcome.refusal is not None:
                raise refused(fresh.wanted[keys[0]], outcome.refusal)
            elif self._is_worth_another(outcome, fresh.wanted[keys[0]].signature, size):
                again += [(key, outcome, size) for key in keys]
            else:
                self._fail(keys[0], outcome, fresh)
        if again:
            self._retry(again, fresh)

    def _is_worth_another(self, outcome: Outcome, signature: Signature, size: int) -> bool:
        if outcome.kind == "timeout":
            self._check_deadline()
            return size > 1 or signature.facts.on_timeout == "fail"
        return outcome.died or (size > 1 and not outcome.unloaded)

    def _retry(self, again: list[tuple[Hashable, Outcome, int]], fresh: _Round) -> None:
        signature = fresh.wanted[again[0][0]].signature
        outcomes = self._call([[key] for key, *_ in again], fresh)
        all_went_well = True
        for (key, first, size), outcome in zip(again, outcomes, strict=True):
            if outcome.kind == "value":
                self._take([key], outcome, fresh)
            else:
                all_went_well = False
                self._fail(key, outcome, fresh, tries=2 if size == 1 or first.kind == "timeout" or first.died else 1)
        for key, first, size in again:
            raised = first.kind == "error" and not first.died
            if raised and all_went_well and signature.facts.on_error == "fail":
                # Together they fail, or not always: a fault of the function, which must not go unseen.
                self._fail(key, first, fresh, together=size)

    def _take(self, keys: list[Hashable], outcome: Outcome, fresh: _Round) -> None:
        calls = [fresh.wanted[key] for key in keys]
        signature = calls[0].signature
        fresh.failed = keys[0]
        values = []
        for fresh.failed, call, value in zip(keys, calls, values_of(calls, outcome.value), strict=True):
            values.append(checked(call, value))
        fresh.failed = None
        self._succeeded[signature.name] += len(calls)
        undetermined = sum([value is UNKNOWN for value in values])
        if undetermined and signature.is_potential:
            self._counts(signature).undetermined += undetermined
        fresh.results.update(zip(keys, values, strict=True))
        fresh.genuine.update(keys)

    def _fail(self, key: Hashable, outcome: Outcome, fresh: _Round, *, tries: int = 1, together: int = 1) -> None:
        """What the policy says of a call that failed for good."""
        if outcome.kind == "timeout":
            self._check_deadline()
        call = fresh.wanted[key]
        signature = call.signature
        counts = self._counts(signature)
        counts.errors += outcome.kind == "error"
        counts.timeouts += outcome.kind == "timeout"
        policy = signature.facts.on_error if outcome.kind == "error" else signature.facts.on_timeout
        if policy == "fail" or outcome.unloaded or not signature.is_potential:
            fresh.failed = key
            raise failure(call, outcome, self._succeeded[signature.name], tries=tries, together=together)
        fresh.results[key] = policy_value(signature, policy)

    def _check_deadline(self) -> None:
        if self.deadline is not None and time.monotonic() >= self.deadline - _CLOCK_SECONDS:
            raise DeadlinePassed

    def _call(self, batches: list[list[Hashable]], fresh: _Round) -> Iterable[Outcome]:
        calls = [[fresh.wanted[key] for key in keys] for keys in batches]
        return self._call_workers(calls) if calls[0][0].signature.facts.workers else self._call_here(calls)

    def _call_here(self, batches: list[list[PotentialCall]]) -> Iterator[Outcome]:
        """Outcomes one by one, so that what came of a call is kept though a later one fails."""
        first = batches[0][0]
        resolved = self._resolve(first.signature)
        function: Callable[..., Any] = resolved
        if isinstance(resolved, Potential):
            function = resolved.prefix_function if first.prefix else resolved.function
        for calls in batches:
            limit = self._limit(first.signature)
            arguments = _arguments(calls)
            if limit is None:
                yield attempt(function, arguments)
            else:
                yield self._thread.call(function, arguments, limit)

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
        pool, call_all = self._worker_calls(batches)
        for batch, outcome in self._begun.make_room(pool):
            early = _Round(batch)
            # A result that is none will be made again where it is asked for, and refused there.
            with suppress(PotentialError):
                self._take(list(batch), outcome, early)
            self._keep(early)
        return call_all(None)

    def _worker_calls(
        self, batches: list[list[PotentialCall]]
    ) -> tuple[Hashable, Callable[[Interest | None], list[Outcome]]]:
        """What makes calls of one function in its worker processes, and which processes these are."""
        call = batches[0][0]
        signature = call.signature
        name = signature.location.function
        if call.prefix:
            resolved = self._resolve(signature)
            name = (resolved.prefix_form if isinstance(resolved, Potential) else None) or name
        self._limit(signature)
        pool = self._pools.pool(signature.location, name, signature.facts.workers)
        arguments = [_arguments(calls) for calls in batches]
        until = float("inf") if self.deadline is None else self.deadline
        timeout = signature.facts.timeout_seconds

        def call_all(interest: Interest | None) -> list[Outcome]:
            return pool.call_all(arguments, timeout, until=until, retries_deaths=False, interest=interest)

        return id(pool), call_all


def _pooled(batches: list[list[Hashable]], wanted: Mapping[Hashable, PotentialCall]) -> list[list[list[Hashable]]]:
    """Batches of a function go together, functions without workers first."""
    alone: dict[Hashable, list[list[Hashable]]] = {}
    pooled: dict[Hashable, list[list[Hashable]]] = {}
    for keys in batches:
        call = wanted[keys[0]]
        together = pooled if call.signature.facts.workers else alone
        together.setdefault((call.signature.name, call.prefix), []).append(keys)
    return [*alone.values(), *pooled.values()]


class _Round:
    """Calls to make and what came of them; `genuine` ones were answered by the potential and not by its policy."""

    def __init__(self, wanted: dict[Hashable, PotentialCall]) -> None:
        self.wanted = wanted
        self.results: dict[Hashable, Any] = {}
        self.genuine: set[Hashable] = set()
        self.failed: Hashable = None


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
