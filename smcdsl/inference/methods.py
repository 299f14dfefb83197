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

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from time import perf_counter

from smcdsl.errors import Diagnostic, PotentialError
from smcdsl.inference.attempts import attempt
from smcdsl.inference.drafts.drafting import Maker
from smcdsl.inference.draws import Draws
from smcdsl.inference.events import Listener
from smcdsl.inference.factors.calls import Functions, PotentialCalls
from smcdsl.inference.holes import Automata, Automaton
from smcdsl.inference.islands import IslandDraws, combine, listener_of, requests_of
from smcdsl.inference.lookahead.learning import Recorder
from smcdsl.inference.proposals import Lookahead
from smcdsl.inference.refining import refine
from smcdsl.inference.rejection import reject
from smcdsl.inference.results.health import idle_previews, slow_potentials
from smcdsl.inference.results.posterior import Posterior
from smcdsl.inference.runtime import Notices, opened
from smcdsl.inference.settings import Interrupted, RunRequest, Settings
from smcdsl.inference.suitability import ChosenProposal, late_factors
from smcdsl.inference.telling import finished
from smcdsl.plan import Plan
from smcdsl.protocols import LanguageModel
from smcdsl.workers import WorkerPools

__all__ = ["Interrupted", "RunRequest", "Settings", "run"]


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

    Returns:
        A posterior a group. What failed in a group alone (no survivors, budget) is its `failure`.

    Raises:
        PotentialError: a potential failed and the policy is to fail; `partial` has a posterior a group.
        ModelError: the model failed.
        UsageError: the inputs do not fit the program or the model.
        Interrupted: Ctrl-C.
    """
    count = settings.islands
    requests = requests_of(groups, count)
    with opened(
        plan,
        model,
        requests,
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
    ) as runtime:
        with _islands_combined(count):
            results = reject(runtime) if settings.method == "rejection" else refine(runtime, attempt(runtime))
        results = combine(results, count)
        _check(runtime.calls, results)
        if runtime.proposal.reason and settings.method in ("smc", "is"):
            results = [replace(result, proposal=str(runtime.proposal)) for result in results]
        slow = slow_potentials(plan, results)
        warnings = (
            *_without_effect(plan, settings, runtime.proposal),
            *runtime.calls.warnings,
            *idle_previews(runtime.interpreter),
            *(() if slow is None else (slow,)),
        )
        if results and warnings:
            # Once, not for every group.
            results[0] = replace(results[0], warnings=(*results[0].warnings, *warnings))
    if events is not None and runtime.teller is not None:
        populations = runtime.teller.populations
        for number, result in enumerate(results):
            events(finished(number, perf_counter() - runtime.began, populations[number * count], result))
    return results


@contextmanager
def _islands_combined(count: int) -> Iterator[None]:
    """What stops a run tells of requests, not of their islands."""
    try:
        yield
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


def _check(calls: PotentialCalls, results: list[Posterior]) -> None:
    """Consistency mode, where it is on."""
    try:
        calls.check()
    except PotentialError as error:
        error.partial = results
        raise
