"""Runtime: what the sweeps of one run share, and the samplers that are made of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import Literal

import numpy as np

from smcdsl.errors import Diagnostic, UsageError
from smcdsl.inference.advance import Interpreter
from smcdsl.inference.course import Arrival
from smcdsl.inference.drafts.drafting import Chain, DraftSource, Maker, Surroundings
from smcdsl.inference.draws import CounterDraws, Draws
from smcdsl.inference.events import Listener
from smcdsl.inference.factors.calls import Functions, PotentialCalls
from smcdsl.inference.holes import Automata, Automaton
from smcdsl.inference.line import Begun
from smcdsl.inference.lookahead.budget import with_budget
from smcdsl.inference.lookahead.guides import Guides
from smcdsl.inference.lookahead.learning import Recorder
from smcdsl.inference.particles import Particles
from smcdsl.inference.proposals import Lookahead, Lookaheads, Seconds, TokenRule, no_lookahead
from smcdsl.inference.rules import Rules
from smcdsl.inference.sampler import Sampler
from smcdsl.inference.settings import RunRequest, Settings
from smcdsl.inference.speculation.gamma import gamma_of
from smcdsl.inference.speculation.speculation import Speculation
from smcdsl.inference.suitability import ChosenProposal, choose_proposal, late_factors
from smcdsl.inference.telling import Teller
from smcdsl.inference.token_checks import TokenChecks
from smcdsl.plan import Plan
from smcdsl.prefixes import Prefixes
from smcdsl.protocols import LanguageModel, Session
from smcdsl.workers import WorkerPools

Notices = Callable[[str], None]


@dataclass
class Runtime:
    """A run's model session, its potentials' results and its trie of prefixes; `draws` gives randomness by round."""

    requests: list[RunRequest]
    settings: Settings
    interpreter: Interpreter
    session: Session
    calls: PotentialCalls
    rules: Rules
    draws: Callable[[int, int], Draws]
    proposal: ChosenProposal
    teller: Teller | None
    begun: Begun
    width: int | None = None
    """How many groups of `settings.particles` are in flight at a time; None for all."""
    lookaheads: Lookaheads = no_lookahead
    drafts: Sequence[Maker] = ()
    recorder: Recorder | None = None
    sources: list[DraftSource] = field(default_factory=list)
    """Every source of drafts that a sampler has; they end with the run."""
    notices: Notices | None = None
    """Is told in words what somebody who waits should know before the run is over."""
    arrivals: dict[tuple[int, int], tuple[Arrival, Counter[str]]] = field(default_factory=dict)

    @property
    def seeds(self) -> list[int]:
        """One a group."""
        return [request.seed for request in self.requests]

    @property
    def began(self) -> float:
        """When the run did."""
        return self.begun.began

    def sampler(
        self, salt: int, size: int | None = None, rules: Rules | None = None, speculates: bool = True
    ) -> Sampler:
        """A sampler at the program's start, with randomness of its own for every `salt`."""
        size = self.settings.particles if size is None else size
        checks = None
        if self.interpreter.checked:
            checks = TokenChecks(self.interpreter, self.calls, self.proposal.size, size)
        starts = np.array([self.interpreter.begin(request.inputs) for request in self.requests], dtype=np.int64)
        draws, seconds = self.draws(salt, size), Seconds()
        tilts = None
        if self.proposal.is_guided:
            tilts = Guides(self.interpreter, self.calls, seconds, self.proposal.size).log_tilts
        return Sampler(
            self.interpreter,
            self.session,
            self.calls,
            rules or self.rules,
            Particles.at(starts, size),
            draws,
            self.begun,
            self.teller,
            self.lookaheads,
            self.began,
            width=None if self.width is None else max(self.width * self.settings.particles // size, 1),
            comes_back=has_sweeps(self.settings),
            arrivals=self.arrivals,
            seconds=seconds,
            checks=checks,
            tilts=tilts,
            speculation=self._speculation(draws) if speculates else None,
        )

    def _speculation(self, draws: Draws) -> Speculation | None:
        """How a sampler drafts tokens; None where it takes them one by one."""
        rules, interpreter = self.rules, self.interpreter
        if not self.drafts or rules.tokens.kind != "mask" or rules.selection:
            return None
        around = Surroundings(
            interpreter.model,
            interpreter.prefixes,
            interpreter.frames,
            interpreter.automata,
            draws,
            interpreter.plan.program.model.temperature,
            rules.tokens,
            self.lookaheads,
        )
        source = Chain([maker(around) for maker in self.drafts], around)
        self.sources.append(source)
        return Speculation(source, gamma_of(self.settings.gamma), self.settings.lenience if rules.normalizes else 1.0)


@contextmanager
def opened(
    plan: Plan,
    model: LanguageModel,
    requests: Sequence[RunRequest],
    *,
    automata: Automata,
    functions: Functions,
    settings: Settings,
    listener: Listener | None = None,
    draws: Callable[[int, int], Draws] | None = None,
    pools: WorkerPools | None = None,
    lookahead: Callable[[Automaton], Lookahead | None] | None = None,
    drafts: Sequence[Maker] = (),
    recorder: Recorder | None = None,
    notices: Notices | None = None,
    width: int | None = None,
) -> Iterator[Runtime]:
    """A runtime for some groups; see `methods.run` for what it is made of."""
    began = perf_counter()
    prefixes = Prefixes()
    proposal = choose_proposal(plan, settings, drafted=bool(drafts))
    interpreter = Interpreter(
        plan,
        model,
        prefixes,
        automata,
        applies_factors=settings.method != "lcd",
        previews=settings.method in ("smc", "beam"),
        late=frozenset(late_factors(plan)) if settings.previews == "late" else frozenset(),
        checked=proposal.checks,
    )
    seeds = [request.seed for request in requests]
    rules = rules_of(settings, plan.program.model.power)
    calls = PotentialCalls(functions, pools=pools, checks=settings.check_potentials)
    session = model.start(prefixes)
    chosen = draws or (lambda salt, size: CounterDraws(seeds, size, salt))
    twists: dict[int, Lookahead | None] = {}

    def lookaheads(number: int) -> Lookahead | None:
        if number not in twists:
            automaton = interpreter.automata[number]
            found = None if lookahead is None else lookahead(automaton)
            # Where the law of the tokens is the result itself, they are drawn as the mask has them.
            twists[number] = with_budget(automaton, found) if settings.method in ("smc", "is") else found
        return twists[number]

    runtime = Runtime(
        list(requests),
        settings,
        interpreter,
        session,
        calls,
        rules,
        chosen,
        proposal,
        None if listener is None else Teller(listener, seeds, settings.method),
        Begun.none_of(len(requests), settings.timeout_seconds, began),
        width,
        lookaheads,
        drafts,
        recorder,
        notices=notices,
    )
    try:
        yield runtime
    finally:
        calls.close()
        for source in runtime.sources:
            source.close()
        session.close()


def has_sweeps(settings: Settings) -> bool:
    """Whether a group may be swept more than once."""
    return settings.method == "rejection" or bool(settings.grow or settings.retry or settings.refine)


def rules_of(settings: Settings, power: float) -> Rules:
    """What a method is made of, for a target of some power of the model. Raises UsageError (E0708)."""
    selection = _selection(settings)
    return Rules(
        tokens=TokenRule(
            kind="lm" if settings.method == "rejection" or settings.proposal == "lm" else "mask",
            power=power,
            temperature=settings.proposal_temperature if settings.method in ("smc", "is") else 1.0,
            # Rejection counts independent draws, and what the biased methods give are samples.
            stratified=settings.stratified and settings.method in ("smc", "is"),
        ),
        normalizes=settings.method not in ("lcd", "rerank"),
        ess_threshold=settings.ess_threshold if settings.method == "smc" and not selection else None,
        selection=selection,
        scheme=settings.resample,
        max_tokens=settings.max_tokens,
        temper=settings.temper,
    )


def _selection(settings: Settings) -> Literal["", "thin", "best"]:
    """How successors are selected, if they are.

    Raises:
        UsageError: E0708, a method that draws one token a particle is told to select.
    """
    if settings.method == "beam":
        return "best"
    if settings.proposal != "select":
        return ""
    if settings.method != "smc":
        message = f"`{settings.method}` draws one token a particle, and `proposal: select` does not"
        raise UsageError(Diagnostic("E0708", message, context="proposal: select", help="use `infer smc`"))
    return "thin"
