"""Plan -> Posterior: `run`, and the methods as settings of the one sampler.

| method | draws from | weight | resamples | target |
|---|---|---|---|---|
| `smc` | mask (or awrs, lm) | local normalisers, factors, previews | when the ESS is low | exact |
| `is` | mask (or awrs, lm) | local normalisers, factors | never | exact |
| `rejection` | lm, accepted with probability weight | one | never | exact |
| `rerank` | mask | factors only | never | biased |
| `lcd` | mask | one | never | biased |
| `beam` | nothing: the heaviest successors | the model, factors, previews | never | biased |

`smc` with `proposal: select` keeps successors by their exact weights in place of drawing one a particle
(`inference/selection`), and needs no resampling; its target is exact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from time import perf_counter

from smcdsl.collector import collector_eased
from smcdsl.errors import Diagnostic, PotentialError
from smcdsl.inference.attempts import attempt, in_order
from smcdsl.inference.drafts.drafting import Maker
from smcdsl.inference.draws import Draws
from smcdsl.inference.events import Listener
from smcdsl.inference.factors.calls import Functions, PotentialCalls
from smcdsl.inference.holes import Automata, Automaton
from smcdsl.inference.islands import IslandDraws, combine, combine_each, listener_of, requests_of
from smcdsl.inference.lookahead.learning import Recorder
from smcdsl.inference.proposals import Lookahead
from smcdsl.inference.refining import refine
from smcdsl.inference.rejection import reject
from smcdsl.inference.results.health import idle_previews, slow_potentials
from smcdsl.inference.results.posterior import Posterior
from smcdsl.inference.runtime import Notices, Runtime, opened
from smcdsl.inference.settings import Interrupted, RunRequest, Settings
from smcdsl.inference.suitability import ChosenProposal, late_factors
from smcdsl.inference.telling import finished
from smcdsl.plan import Plan
from smcdsl.protocols import LanguageModel
from smcdsl.workers import WorkerPools

__all__ = ["Interrupted", "RunRequest", "Settings", "run", "run_each"]


def run(
    plan: Plan,
    model: LanguageModel,
    groups: Sequence[RunRequest],
    *,
    automata: Automata,
    functions: Functions,
    settings: Settings,
    events: Listener | None = None,
    draws: Callable[[int], Draws] | None = None,
    pools: WorkerPools | None = None,
    lookahead: Callable[[Automaton], Lookahead | None] | None = None,
    recorder: Recorder | None = None,
    drafts: Sequence[Maker] = (),
    notices: Notices | None = None,
) -> list[Posterior]:
    """Run a plan for independent groups, all at a time; a posterior a group. See `run_each`."""
    results = run_each(
        plan,
        model,
        groups,
        automata=automata,
        functions=functions,
        settings=settings,
        events=events,
        draws=draws,
        pools=pools,
        lookahead=lookahead,
        recorder=recorder,
        drafts=drafts,
        notices=notices,
    )
    return in_order(results)


def run_each(
    plan: Plan,
    model: LanguageModel,
    groups: Sequence[RunRequest],
    *,
    automata: Automata,
    functions: Functions,
    settings: Settings,
    events: Listener | None = None,
    draws: Callable[[int], Draws] | None = None,
    pools: WorkerPools | None = None,
    lookahead: Callable[[Automaton], Lookahead | None] | None = None,
    recorder: Recorder | None = None,
    drafts: Sequence[Maker] = (),
    notices: Notices | None = None,
    width: int | None = None,
) -> Iterator[tuple[int, Posterior]]:
    """Run a plan for independent groups in one batch.

    Args:
        plan: from `compiler.compile.compile_program`.
        model: where tokens come from.
        groups: inputs and seeds; a group's result does not depend on the others.
        automata: makes the token automaton of a hole.
        functions: gives the Python function of a signature.
        settings: the method and its numbers.
        events: is told what happens.
        draws: randomness by round, in place of the groups' seeds (tests).
        pools: worker processes that outlive the run; without it they end with it.
        lookahead: gives the twist of an automaton, where there is one.
        recorder: is told of every row of the model's output, and of the particles at the end.
        drafts: make the sources of drafts, the cheapest first. Methods that draw from the model's own law do without.
        notices: is told in words what somebody who waits should know before the run is over.
        width: how many groups are in flight at a time, the next one from where one has ended; None for all.

    Yields:
        The number of a group and its posterior: as soon as there is one, or without a width in order, once there are
        all. What failed in a group alone (no survivors, budget) is its `failure`. With a width, a run that has
        become large (`inference.line`) leaves out the groups that it has not begun.

    Raises:
        PotentialError: a potential failed and the policy is to fail; `partial` has a posterior a group.
        ModelError: the model failed.
        UsageError: the inputs do not fit the program or the model.
        Interrupted: Ctrl-C.
    """
    assert width is None or not (settings.check_potentials or recorder), "what is done at a run's end is about all"
    count = settings.islands
    with (
        collector_eased(),
        opened(
            plan,
            model,
            requests_of(groups, count),
            automata=automata,
            functions=functions,
            settings=settings,
            listener=None if events is None else listener_of(events, count),
            draws=None if draws is None else lambda salt, size: IslandDraws(draws(salt), count, size),
            pools=pools,
            lookahead=lookahead,
            recorder=recorder,
            drafts=drafts,
            notices=notices,
            width=None if width is None else width * count,
        ) as runtime,
    ):
        results = _swept(runtime) if count == 1 else _without_islands(runtime, count)
        if width is None:
            results = _checked(runtime.calls, results)
        left = len(groups)
        for number, result in results:
            left -= 1
            if runtime.proposal.reason and settings.method in ("smc", "is"):
                result = replace(result, proposal=str(runtime.proposal))
            if not left:
                # Once, not for every group.
                result = replace(result, warnings=(*result.warnings, *_warnings(plan, runtime, result)))
            if events is not None and runtime.teller is not None:
                population = runtime.teller.populations[number * count]
                events(finished(number, perf_counter() - runtime.began, population, result))
            yield number, result


def _swept(runtime: Runtime) -> Iterator[tuple[int, Posterior]]:
    """The results of all groups, islands each by itself."""
    if runtime.settings.method == "rejection":
        return reject(runtime)
    if runtime.settings.refine:
        return _refined(runtime)
    return attempt(runtime)


def _refined(runtime: Runtime) -> Iterator[tuple[int, Posterior]]:
    yield from enumerate(refine(runtime, in_order(attempt(runtime))))


def _warnings(plan: Plan, runtime: Runtime, result: Posterior) -> Iterator[Diagnostic]:
    """What there is to say of the run as a whole; `result` is the last one."""
    yield from _without_effect(plan, runtime.settings, runtime.proposal)
    yield from runtime.calls.warnings
    yield from idle_previews(runtime.interpreter)
    slow = slow_potentials(plan, [result])
    if slow is not None:
        yield slow


def _without_islands(runtime: Runtime, count: int) -> Iterator[tuple[int, Posterior]]:
    """The results of requests, and what stops a run told of requests too."""
    try:
        yield from combine_each(_swept(runtime), count)
    except (Interrupted, PotentialError) as error:
        if error.partial is not None:
            error.partial = combine(error.partial, count)
        raise


def _without_effect(plan: Plan, settings: Settings, proposal: ChosenProposal) -> Iterator[Diagnostic]:
    """W0720 and W0721, where the program's own text has not had them."""
    profiles = plan.program.profiles
    if proposal.kind == "awrs" and not proposal.checks and all(each.proposal != "awrs" for each in profiles):
        yield Diagnostic(
            "W0720",
            "nothing here can be checked token by token, so `awrs` is the same as `mask`",
            help="it takes `require P(...) at` a boundary; P is pure, judges prefixes, and says yes or no",
        )
    if (
        settings.previews == "late"
        and not any(True for _ in late_factors(plan))
        and all(each.previews != "late" for each in profiles)
    ):
        yield Diagnostic(
            "W0721",
            "no preview here runs in worker processes, so none can be late",
            help="declare `workers` for a slow potential that is judged `at` a boundary",
        )


def _checked(calls: PotentialCalls, results: Iterable[tuple[int, Posterior]]) -> Iterator[tuple[int, Posterior]]:
    """All results in order, once consistency mode, where it is on, has nothing against them."""
    found = in_order(results)
    try:
        calls.check()
    except PotentialError as error:
        error.partial = found
        raise
    yield from enumerate(found)
