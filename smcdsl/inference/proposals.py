"""Proposals: extend unfinished holes by one token, with the correction that keeps the weight proper.

A step has a local target g over the tokens that the automaton allows (g = p^power, times psi'/psi where a lookahead
psi is given), a proposal q whose support has g's in it, and the factor g/q for the weight:

| proposal | q | factor |
|---|---|---|
| `mask` | g / Z, Z the sum of g (fully adapted) | Z |
| `mask` with a lookahead | (1 - eps) g / Z + eps p^power / Z' | g / q |
| `mask` with guides t | (1 - eps) g t / Z + eps p^power / Z' | g / q |
| `mask` at a temperature T | (1 - eps) g^(1/T) / Z'' + eps p^power / Z' | g / q |
| `mask` at `auto` | the same, T = 1 + 0.6 exp(-H), H the entropy of g / Z | g / q |
| `lm` | p over the whole vocabulary | p^(power - 1) if the token is allowed, else 0 |

The weight is kept without psi, which is a number of its own (`Drawn.log_twists`), overwritten with every token.
One row of logprobs decides both the draw and the weight.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache, partial
from time import perf_counter
from typing import Any, Literal, NamedTuple, Protocol, TypeVar, cast, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from smcdsl.automaton.applying import cumulate, draw, mix, shift
from smcdsl.automaton.distinct import distinct, ranks
from smcdsl.inference.draws import Draws, Purpose, shares
from smcdsl.inference.holes import Automaton
from smcdsl.log_rows import Allowed, Laws

SUREST = 0.6
"""What `temperature: auto` adds to 1 for a row with a single outcome."""
_FAINT = -60.0
"""Log-probabilities below which float32 has no room for sums of many that are smaller still."""
_CHUNK_ENTRIES = 1 << 20
"""Rows times vocabulary that are worked on at a time, so that the processor's cache holds them."""


@dataclass
class Seconds:
    """Time by part."""

    model: float = 0.0
    masks: float = 0.0
    sampling: float = 0.0
    potentials: float = 0.0
    drafts: float = 0.0
    bookkeeping: float = 0.0


class Lookahead(Protocol):
    """A twist psi of one automaton's states: positive, fixed for the run; behind a hole's end it is 1 again."""

    def log_values(self, states: NDArray[np.int64]) -> NDArray[np.float64]:
        """(n,) log psi."""
        ...

    def log_successors(self, states: NDArray[np.int64], allowed: Allowed) -> NDArray[np.float64]:
        """(K,) log psi after each of the tokens that (D,) states allow."""
        ...


@runtime_checkable
class Remembering(Protocol):
    """A lookahead that knows of some texts what became of them."""

    def log_remembered(
        self, histories: NDArray[np.uint64], states: NDArray[np.int64], allowed: Allowed
    ) -> NDArray[np.float64]:
        """`log_successors`, given a hash of all tokens so far, (D,), see `Prefixes.histories`."""
        ...


@runtime_checkable
class Occasional(Protocol):
    """A lookahead that is 1 at most places."""

    def acts(self, states: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(n,) whether it is anything else after some token of a state."""
        ...

    def shares(self, states: NDArray[np.int64]) -> NDArray[np.float64]:
        """(n,) the share of the plain law that proposals from these states keep; NaN for the rule's."""
        ...


@cache
def _offers(kind: type, protocol: Any) -> bool:
    """`isinstance`, asked once for each class: a protocol takes long to look a class through."""
    return issubclass(kind, protocol)


AnyLaws = TypeVar("AnyLaws", bound=Laws)
Chosen = slice | NDArray[np.int64]
"""Some of the entries of arrays."""
Lookaheads = Callable[[int], Lookahead | None]
"""The twist of the automaton of a number, where there is one."""


def no_lookahead(automaton: int) -> None:
    """Psi is 1."""


@dataclass(frozen=True)
class TokenRule:
    """How tokens are drawn.

    `temperature` is the proposal's: it draws from g^(1 / temperature), and the weight makes up for it; `auto` flattens
    rows by their entropy, those that leave nearly no choice most. `power` is the
    target's exponent on the model's probabilities. `stratified`: particles of a group with one prefix
    draw from strata of one distribution function. `defensive`: the share eps of the plain masked law in a proposal
    with a lookahead, which bounds what a bad psi can do.

    Source of the defensive mixture: Hesterberg (1995), "Weighted average importance sampling and defensive mixture
    distributions", Technometrics 37(2).
    """

    kind: Literal["mask", "lm"] = "mask"
    power: float = 1.0
    temperature: float | Literal["auto"] = 1.0
    stratified: bool = True
    defensive: float = 0.1


class Places(NamedTuple):
    """(D,) frames and prefixes, by number."""

    frames: NDArray[np.int64]
    prefixes: NDArray[np.int64]


@dataclass(frozen=True)
class Rows:
    """D distinct situations: a row of model output each, an automaton, and its state; for `awrs` where they are.

    With `histories`, hashes of the tokens so far, a lookahead may go by texts as well.
    """

    logprobs: NDArray[np.int64]
    automata: NDArray[np.int64]
    states: NDArray[np.int64]
    places: Places | None = None
    histories: NDArray[np.uint64] | None = None

    def part(self, chosen: Chosen) -> Rows:
        """Some of them."""
        places = None
        if self.places is not None:
            places = Places(self.places.frames[chosen], self.places.prefixes[chosen])
        histories = None if self.histories is None else self.histories[chosen]
        return Rows(self.logprobs[chosen], self.automata[chosen], self.states[chosen], places, histories)


def used(rows: Rows, which: NDArray[np.int64]) -> tuple[Rows, NDArray[np.int64]]:
    """Those of the rows that (n,) particles are on, and which of these each is on."""
    first, which_used = distinct(which)
    return rows.part(which[first]), which_used


@dataclass(frozen=True)
class Drawn:
    """(n,) tokens, the logs to add to the weights (-inf kills), and log psi of the states that the tokens lead to."""

    tokens: NDArray[np.int64]
    log_weights: NDArray[np.float64]
    log_twists: NDArray[np.float64]

    @classmethod
    def of_parts(cls, size: int, parts: Iterable[tuple[NDArray[np.int64], Drawn]]) -> Drawn:
        """What was drawn for `size` particles in parts, each with the places of its own."""
        found = cls(np.empty(size, dtype=np.int64), np.empty(size), np.empty(size))
        for own, part in parts:
            found.tokens[own], found.log_weights[own] = part.tokens, part.log_weights
            found.log_twists[own] = part.log_twists
        return found


@dataclass(frozen=True)
class Particular:
    """Which particle draws: (n,) its row in `Rows`, its group, its slot in the group, the step of its number.

    Particles of a group with one row are at the same step.
    """

    rows: NDArray[np.int64]
    groups: NDArray[np.int64]
    slots: NDArray[np.int64]
    steps: NDArray[np.int64]

    def part(self, chosen: Chosen) -> Particular:
        """Some of them."""
        return Particular(self.rows[chosen], self.groups[chosen], self.slots[chosen], self.steps[chosen])


class Local(NamedTuple):
    """The local target of D rows: their outcomes, one row after another.

    Attributes:
        starts: (D + 1,) where each row's outcomes begin.
        tokens: (K,).
        log_target: (K,) log p^power of each, without psi.
        log_twists: (K,) log psi after each, and (D,) now; None where no row has a lookahead.
        shares: (D,) of the plain law in the proposal; None, or NaN, for the rule's.
        log_tilts: (K,) by how much guides tilt the proposal alone; None without.
    """

    starts: NDArray[np.int64]
    tokens: NDArray[np.int32]
    log_target: NDArray[np.floating[Any]]
    log_twists: tuple[NDArray[np.float64], NDArray[np.float64]] | None
    shares: NDArray[np.float64] | None = None
    log_tilts: NDArray[np.float64] | None = None

    def log_twisted(self) -> NDArray[np.floating[Any]]:
        """(K,) log g, psi included."""
        if self.log_twists is None:
            return self.log_target
        after, now = self.log_twists
        return self.log_target + after - np.repeat(now, np.diff(self.starts))

    def log_wanted(self) -> NDArray[np.floating[Any]]:
        """(K,) log of what to propose by, an array of its own: g as guides tilt it, up to a factor of each row."""
        wanted = self.log_target.copy() if self.log_twists is None else self.log_target + self.log_twists[0]
        return wanted if self.log_tilts is None else wanted + self.log_tilts


Tilts = Callable[[Local, Rows], NDArray[np.float64]]
"""(K,) by how much guides tilt the proposals of rows, as logs."""


def log_probabilities(logprobs: AnyLaws, temperature: float) -> AnyLaws:
    """The model's law after the program's temperature; normalised anew in float64 where that is not 1."""
    if temperature == 1.0:
        return logprobs
    laws: Any = logprobs
    if not isinstance(laws, np.ndarray):
        return cast(AnyLaws, laws.tempered(temperature))
    rows = laws.astype(np.float64)
    rows /= temperature
    rows -= rows.max(axis=1, keepdims=True)
    rows -= np.log(np.exp(rows).sum(axis=1, keepdims=True))
    return cast(AnyLaws, rows)


def local_targets(
    log_rows: Laws,
    automata: list[Automaton],
    rows: Rows,
    power: float = 1.0,
    lookaheads: Lookaheads = no_lookahead,
) -> Local:
    """What the automata allow of each row, and the local target there.

    Args:
        log_rows: (M, V) log p.
        rows: D situations on them.
    """
    numbers = sorted(set(rows.automata.tolist()))
    if len(numbers) == 1:
        local = _local(log_rows, automata, rows, numbers[0], lookaheads)
    else:
        places = [np.flatnonzero(rows.automata == number) for number in numbers]
        parts = [
            _local(log_rows, automata, rows.part(own), number, lookaheads)
            for number, own in zip(numbers, places, strict=True)
        ]
        local = in_order(parts, places)
    if power != 1.0:
        local = local._replace(log_target=power * local.log_target.astype(np.float64))
    return local


def _local(log_rows: Laws, automata: list[Automaton], rows: Rows, number: int, lookaheads: Lookaheads) -> Local:
    """Rows of one automaton."""
    allowed = automata[number].pick(rows.states, log_rows, rows.logprobs)
    lookahead: Any = lookaheads(number)
    if not acts(lookahead, rows.states).any():
        return Local(*allowed, None)
    if rows.histories is not None and _offers(type(lookahead), Remembering):  # type: ignore[arg-type]
        after = lookahead.log_remembered(rows.histories, rows.states, allowed)
    else:
        after = lookahead.log_successors(rows.states, allowed)
    if not after.any():
        return Local(*allowed, None)
    is_occasional = _offers(type(lookahead), Occasional)  # type: ignore[arg-type]
    shares = lookahead.shares(rows.states) if is_occasional else None
    return Local(*allowed, (after, lookahead.log_values(rows.states)), shares)


def acts(lookahead: Any, states: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(n,) whether a lookahead, if there is one, may have a say after a state."""
    if lookahead is not None and _offers(type(lookahead), Occasional):  # type: ignore[arg-type]
        return np.asarray(lookahead.acts(states))
    return np.full(len(states), lookahead is not None)


def in_order(parts: list[Local], places: list[NDArray[np.int64]]) -> Local:
    """One `Local` of several, the rows of each part at its places."""
    place = np.argsort(np.concatenate(places))
    sizes = np.concatenate([np.diff(part.starts) for part in parts])
    found = starts_of(sizes)
    starts = starts_of(sizes[place])
    gather = np.repeat(found[:-1][place] - starts[:-1], sizes[place]) + np.arange(starts[-1])
    tokens = np.concatenate([part.tokens for part in parts])[gather]
    log_target = np.concatenate([part.log_target for part in parts])[gather]
    twists = shares = None
    if any(part.shares is not None for part in parts):
        every = [np.full(len(p.starts) - 1, np.nan) if p.shares is None else p.shares for p in parts]
        shares = np.concatenate(every)[place]
    if any(part.log_twists is not None for part in parts):
        pairs = [part.log_twists or (np.zeros(len(part.tokens)), np.zeros(len(part.starts) - 1)) for part in parts]
        twists = (
            np.concatenate([after for after, _ in pairs])[gather],
            np.concatenate([now for _, now in pairs])[place],
        )
    return Local(starts, tokens, log_target, twists, shares)


def propose(
    rule: TokenRule,
    log_rows: Laws,
    automata: list[Automaton],
    rows: Rows,
    who: Particular,
    draws: Draws,
    seconds: Seconds,
    lookaheads: Lookaheads = no_lookahead,
    forced: NDArray[np.int64] | None = None,
    tilts: Tilts | None = None,
) -> Drawn:
    """One token for every particle; those with a token in `forced` (else -1) take it, with the weight of a draw."""

    def drawn(here: Rows, own: Particular, particles: Chosen) -> Drawn:
        started = perf_counter()
        if rule.kind == "mask":
            local = local_targets(log_rows, automata, here, rule.power, lookaheads)
        else:
            local = _everything(log_rows[here.logprobs])
        between = drawing = perf_counter()
        if tilts is not None:
            local = local._replace(log_tilts=tilts(local, here))
            drawing = perf_counter()
        found = _draw(local, rule, own, draws, None if forced is None else forced[particles])
        done = perf_counter()
        seconds.masks += between - started
        seconds.sampling += done - drawing
        if rule.kind == "lm":
            found = _after_model(found, rule.power, log_rows, automata, here, own, lookaheads)
            seconds.masks += perf_counter() - done
        return found

    return by_chunks(drawn, rows, who, log_rows.shape[1])


def _draw(local: Local, rule: TokenRule, own: Particular, draws: Draws, forced: NDArray[np.int64] | None) -> Drawn:
    """Draw from the proposal, and weigh by the local target."""
    proposal = proposal_of(local, rule)
    return weighed(proposal, own.rows, _places(proposal, rule, own, draws, forced))


class Proposal(NamedTuple):
    """The law that tokens of D rows are drawn from, over the outcomes of `local`.

    Attributes:
        local: the target; where the law is the target itself, its `log_target` has been written over.
        law: (K,) not normalised.
        edges: (K,) its sums from each row's start on.
        is_target: whether the law is the target itself.
    """

    local: Local
    law: NDArray[np.floating[Any]]
    edges: NDArray[np.float64]
    is_target: bool

    def totals(self) -> NDArray[np.float64]:
        """(D,) the law's mass of every row; 0 where nothing can be drawn."""
        return _last_edges(self.edges, self.local.starts)


def weighed(proposal: Proposal, rows: NDArray[np.int64], places: NDArray[np.int64]) -> Drawn:
    """Outcomes at `places` of `rows`, -1 where there was none, with what they are worth under the local target."""
    local = proposal.local
    some: Chosen = slice(None) if places.min(initial=0) >= 0 else np.flatnonzero(places >= 0)
    found, ends = places[some], local.starts[rows + 1][some] - 1
    tokens = np.zeros(len(places), dtype=np.int64)
    log_weights, log_twists = np.full(len(places), -np.inf), np.zeros(len(places))
    tokens[some] = local.tokens[found]
    with np.errstate(divide="ignore"):
        log_weights[some] = np.log(proposal.edges[ends])
    if local.log_twists is not None:
        log_twists[some] = local.log_twists[0][found]
    if not proposal.is_target:
        alive = np.flatnonzero(log_weights > -np.inf)
        # The edges' last is the proposal's total, so log q is the log of what was summed less its log.
        with np.errstate(divide="ignore"):
            log_weights[alive] += local.log_target[places[alive]] - np.log(proposal.law[places[alive]])
    return Drawn(tokens, log_weights, log_twists)


def _places(
    proposal: Proposal, rule: TokenRule, own: Particular, draws: Draws, forced: NDArray[np.int64] | None
) -> NDArray[np.int64]:
    """(n,) the outcome that each particle draws, or is told to take; -1 where there is none."""
    local, edges = proposal.local, proposal.edges
    places = np.empty(len(own.rows), dtype=np.int64)
    if forced is None:
        laws = partial(breakpoints_of, proposal.law, local.starts, own.rows)
        numbers = token_numbers(rule, len(local.starts) - 1, own, draws, laws)
        draw(edges, local.starts, own.rows, numbers, places)
        return places
    free = np.flatnonzero(forced < 0)
    places[free] = _places(proposal, rule, own.part(free), draws, None)
    for index in np.flatnonzero(forced >= 0).tolist():
        places[index] = _place(local, int(own.rows[index]), int(forced[index]))
    return places


def _place(local: Local, row: int, token: int) -> int:
    """Where a token stands among the outcomes of its row; -1 where it does not."""
    start = int(local.starts[row])
    found = np.flatnonzero(local.tokens[start : local.starts[row + 1]] == token)
    return start + int(found[0]) if len(found) else -1


def proposal_of(local: Local, rule: TokenRule) -> Proposal:
    """What to draw from. Without a lookahead or a temperature it is the target itself.

    float32 terms, float64 sums: log normalisers within 2e-6. Rows that float32 might not hold are done in float64.
    """
    edges = np.empty(len(local.tokens))
    if _is_faint(local):
        local = local._replace(log_target=local.log_target.astype(np.float64))
    if local.log_twists is None and local.log_tilts is None and rule.temperature == 1.0:
        # In place: rows of a large vocabulary are long, and nothing needs the logs any more.
        law = np.exp(local.log_target, out=local.log_target)
        cumulate(law, local.starts, edges)
        return Proposal(local, law, edges, True)
    plain = np.exp(local.log_target.astype(np.float64))
    wanted = local.log_wanted().astype(np.float64, copy=False)
    if rule.temperature == "auto":
        shift(wanted, local.starts)
        wanted /= np.repeat(_temperatures(wanted, local.starts, edges), np.diff(local.starts))
    elif rule.temperature != 1.0:
        wanted /= rule.temperature
    shift(wanted, local.starts)
    np.exp(wanted, out=wanted)
    kept = np.full(len(local.starts) - 1, rule.defensive)
    if local.shares is not None:
        kept = np.where(np.isnan(local.shares), rule.defensive, local.shares)
    law = np.empty(len(local.tokens))
    mix(wanted, plain, kept, local.starts, law, edges)
    return Proposal(local, law, edges, False)


def _is_faint(local: Local) -> bool:
    """Whether masks leave so little of some row that its mass might be nothing in float32."""
    some = local.starts[:-1][np.diff(local.starts) > 0]
    return bool(len(some)) and bool(np.maximum.reduceat(local.log_target, some).min() < _FAINT)


def _temperatures(
    log_masses: NDArray[np.floating[Any]], starts: NDArray[np.int64], edges: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(D,) the temperature of each row by its entropy: a row that is sure of itself is flattened most.

    Args:
        log_masses: (K,) of outcomes, shifted so that they neither vanish nor overflow.
        edges: is written over.
    """
    sizes = np.diff(starts)
    law = np.exp(log_masses)
    law /= np.repeat(_totals(law, starts, edges), sizes)
    surprise = np.where(law > 0, -law * np.log(np.where(law > 0, law, 1.0)), 0.0)
    cumulate(surprise, starts, edges)
    return 1.0 + SUREST * np.exp(-_last_edges(edges, starts))


def _totals(values: NDArray[np.float64], starts: NDArray[np.int64], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """(D,) sums of rows; 1 for those that are empty or have no mass. `edges` is written over."""
    cumulate(values, starts, edges)
    totals = _last_edges(edges, starts)
    return np.where(totals > 0, totals, 1.0)


def _last_edges(edges: NDArray[np.float64], starts: NDArray[np.int64]) -> NDArray[np.float64]:
    """(D,) the last of each row's running sums; 0 for those that are empty."""
    totals = np.zeros(len(starts) - 1)
    some = np.flatnonzero(np.diff(starts))
    totals[some] = edges[starts[1:][some] - 1]
    return totals


def token_numbers(
    rule: TokenRule, num_rows: int, own: Particular, draws: Draws, laws: Callable[[], Iterator[NDArray[np.object_]]]
) -> NDArray[np.float64]:
    """(n,) numbers on [0, 1) that tokens are drawn by: independent, or in strata.

    k particles of a group with one row get one stratum of width 1/k each, the strata going round by one random
    rotation. Each number alone is uniform, so weights stay proper; together they spread.

    Args:
        num_rows: D.
        laws: for each particle where what it draws changes (`draws.Breakpoints`).
    """
    found = _strata(own, draws, num_rows) if rule.stratified else None
    if found is None:
        return draws.uniforms(Purpose.TOKEN, own.steps, own.groups, own.slots, lambda _: laws())
    strata, counts = found
    numbers = draws.uniforms(
        Purpose.TOKEN,
        own.steps,
        own.groups,
        own.slots,
        lambda _: (
            breaks if count == 1 else breaks * count - stratum
            for breaks, count, stratum in zip(laws(), counts.tolist(), strata.tolist(), strict=True)
        ),
    )
    return (strata + numbers) / counts


def _strata(own: Particular, draws: Draws, num_rows: int) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """(n,) each particle's stratum, and how many there are; None where each is alone."""
    first, cells = distinct(own.groups * num_rows + own.rows)
    if len(first) == len(cells):
        return None
    before, sizes = ranks(cells, len(first))
    shared = np.flatnonzero(sizes > 1)
    leaders = first[shared]
    numbers = draws.uniforms(
        Purpose.ROTATE,
        own.steps[leaders],
        own.groups[leaders],
        own.slots[leaders],
        lambda _: (np.arange(1, size) / size for size in sizes[shared].tolist()),
    )
    turns = np.zeros_like(sizes)
    turns[shared] = numbers * sizes[shared]
    counts = sizes[cells]
    return (before + turns[cells]) % counts, counts


def _after_model(
    drawn: Drawn,
    power: float,
    log_rows: Laws,
    automata: list[Automaton],
    rows: Rows,
    own: Particular,
    lookaheads: Lookaheads,
) -> Drawn:
    """What tokens drawn from the model are worth under the local target."""
    log_weights = np.zeros(len(own.rows))
    log_twists = np.zeros(len(own.rows))
    if power != 1.0:
        log_weights = (power - 1.0) * log_rows[rows.logprobs[own.rows], drawn.tokens].astype(np.float64)
    numbers, states = rows.automata[own.rows], rows.states[own.rows]
    for number in np.unique(numbers).tolist():
        chosen = np.flatnonzero(numbers == number)
        after = automata[number].advance(states[chosen], drawn.tokens[chosen])
        log_weights[chosen[after < 0]] = -np.inf
        lookahead = lookaheads(number)
        if lookahead is not None and (after >= 0).any():
            log_twists[chosen[after >= 0]] = lookahead.log_values(after[after >= 0])
    return Drawn(drawn.tokens, log_weights, log_twists)


def _everything(rows: NDArray[np.floating[Any]]) -> Local:
    """All tokens of (D, V) rows."""
    count, size = rows.shape
    tokens = np.broadcast_to(np.arange(size, dtype=np.int32), rows.shape).ravel()
    return Local(starts_of(np.full(count, size)), tokens, rows.ravel(), None)


def starts_of(sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where parts of these sizes begin, one after another, and where the last ends."""
    starts = np.zeros(len(sizes) + 1, dtype=np.int64)
    np.cumsum(sizes, out=starts[1:])
    return starts


def breakpoints_of(
    law: NDArray[np.floating[Any]], starts: NDArray[np.int64], rows: NDArray[np.int64]
) -> Iterator[NDArray[np.object_]]:
    """Where draws from the law of each of (n,) rows change."""
    return (shares(law[starts[row] : starts[row + 1]]) for row in rows.tolist())


def by_chunks(
    drawn: Callable[[Rows, Particular, Chosen], Drawn],
    rows: Rows,
    who: Particular,
    vocab_size: int,
    entries: int = _CHUNK_ENTRIES,
) -> Drawn:
    """What is drawn for all particles, for as many rows at a time as fit in memory together."""
    size = max(entries // vocab_size, 1)
    if len(rows.states) <= size:
        return drawn(rows, who, slice(None))

    def parts() -> Iterator[tuple[NDArray[np.int64], Drawn]]:
        for start in range(0, len(rows.states), size):
            inside = np.flatnonzero((who.rows >= start) & (who.rows < start + size))
            own = who.part(inside)
            yield inside, drawn(rows.part(slice(start, start + size)), replace(own, rows=own.rows - start), inside)

    return Drawn.of_parts(len(who.rows), parts())
