"""Speculation in a sweep: particles take several tokens for one pass of the target, each at its own pace.

A round drafts for all running particles, asks the target for its laws at all nodes of the drafts, and takes every
particle as far as these go: to a token that leaves the draft, to a boundary, or to the end of its hole.

- Particles whose drafts were deterministic draw their tokens as without drafts, from the same laws with the same
  numbers; where a law is known the draw needs no pass. So they end up with the same tokens.
- Particles whose drafts were drawn verify them in blocks (`speculation`). What was verified and lies behind a
  boundary is kept for when they go on; where a particle is copied, one copy keeps it and the others draw afresh.
- Laws behind a boundary stay known until the group has met, so that copies find them there.

With lenience what a token weighs depends on how it was drafted. Then particles use nothing that others' drafts
have shown, for resampling must not see what is hidden yet.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from smcdsl.inference.drafts.drafting import MOST_DRAFTED, Drafted, Laws, Requests
from smcdsl.inference.particles import RUNNING, WAITING
from smcdsl.inference.proposals import AnyLaws, Drawn, Proposal, Rows, local_targets, proposal_of, weighed
from smcdsl.inference.speculation.known import KnownLaws, VerifiedTokens
from smcdsl.inference.speculation.speculation import Speculation
from smcdsl.inference.speculation.tally import Tally
from smcdsl.inference.speculation.verification import (
    Chains,
    Place,
    Verified,
    places_of,
    ranges,
    verify_blocks,
    verify_leniently,
)
from smcdsl.inference.tokens import Situations, Tokens
from smcdsl.protocols import next_law


class Rounds:
    """The rounds of one sweep."""

    def __init__(self, sampler: Tokens, speculation: Speculation) -> None:
        self.sampler, self.speculation = sampler, speculation
        particles = sampler.particles
        self.tally = Tally(particles.num_groups, particles.num_particles, speculation.gamma)
        self._known = KnownLaws()
        self._queue = VerifiedTokens(len(particles.status), speculation.gamma.most)
        self._numbers = np.zeros(particles.num_groups, dtype=np.int64)
        self._seen = np.zeros(1024, dtype=np.bool_)

    def take(self, active: NDArray[np.int64]) -> None:
        """One round of running particles, or less if some of their groups can meet already."""
        status = self.sampler.particles.status
        if not self._known.is_empty or self._queue.is_filled(active).any():
            self._go_on(active)
        if self._some_group_has_arrived() or (self.sampler.room()[status == RUNNING] <= 0).any():
            return
        active = active[status[active] == RUNNING]
        if len(active):
            self._ask(active)
            if not self._known.is_empty:
                self._go_on(active)

    def copied(self, slots: NDArray[np.int64], sources: NDArray[np.int64]) -> None:
        """Resampling made `slots` copies of `sources`."""
        self._queue.copied(slots, sources)
        self.tally.copied(slots, sources)

    def _groups(self, slots: NDArray[np.int64]) -> NDArray[np.int64]:
        return slots // self.sampler.particles.num_particles

    def _some_group_has_arrived(self) -> bool:
        particles = self.sampler.particles
        status = particles.status.reshape(-1, particles.num_particles)
        return bool(((status == WAITING).any(axis=1) & ~(status == RUNNING).any(axis=1)).any())

    def _go_on(self, active: NDArray[np.int64]) -> None:
        """Take particles as far as what is verified and known goes."""
        sampler, particles = self.sampler, self.sampler.particles
        while True:
            running = active[(particles.status[active] == RUNNING) & (sampler.room()[active] > 0)]
            queued = self._queue.is_filled(running)
            walking = running[~queued]
            if self.speculation.lenience < 1.0:
                walking = walking[sampler.interpreter.frames.automata[particles.frames[walking]] < 0]
            walking = walking[self._known.has(self._groups(walking), particles.prefixes[walking])]
            if queued.any():
                self._take_verified(running[queued])
            if len(walking):
                self._walk(walking)
            if not (queued.any() or len(walking)):
                return

    def _take_verified(self, slots: NDArray[np.int64]) -> None:
        """The next verified token of particles that have one."""
        sampler, particles = self.sampler, self.sampler.particles
        drawn = self._queue.next(slots)
        frames, rows = particles.frames[slots], np.arange(len(slots))
        situation = Rows(rows, sampler.interpreter.frames.automata[frames], particles.states[slots])
        prefixes = particles.prefixes[slots]
        self.tally.wrote(slots)
        sampler.extend(slots, rows, frames, prefixes, situation, drawn.tokens, sampler.write(slots, drawn))

    def _walk(self, slots: NDArray[np.int64]) -> None:
        """The next token of particles behind whose prefixes the target's law is known."""
        sampler = self.sampler
        situations = sampler.situations(slots)
        places = situations.places
        groups = np.empty(len(places.states), dtype=np.int64)
        groups[situations.rows] = self._groups(slots)
        log_rows, rows = self._known.find(groups, situations.prefixes)
        situations = replace(situations, places=replace(places, logprobs=rows))
        writing = places.automata[situations.rows] >= 0
        sampler.take_one(slots, situations, log_rows)
        self.tally.wrote(slots[writing])
        self.tally.walked(slots[writing], sampler.particles.prefixes[slots[writing]])

    def _ask(self, active: NDArray[np.int64]) -> None:
        """Draft, and ask the target for its laws."""
        sampler, particles = self.sampler, self.sampler.particles
        self.tally.close_round()
        situations = sampler.situations(active)
        writing = situations.places.automata[situations.rows] >= 0
        writers = active[writing]
        gamma = 0
        if len(writers):
            rows = int((situations.places.automata >= 0).sum())
            gamma = self.speculation.gamma.choose(len(writers), rows)
        is_new = self._has_unseen_text(situations.asked)
        if not gamma and writing.all():
            self._take_plainly(active, situations, is_new)
            return
        began = perf_counter()
        drafted = self._draft(writers, gamma)
        chains = self._nodes(particles.prefixes[writers], drafted)
        ends = self._ended(writers, drafted)
        draft_seconds = perf_counter() - began
        sampler.seconds.drafts += draft_seconds
        observed = [self._observed(slot) for slot in active[~writing].tolist()]
        wanted = np.concatenate([particles.prefixes[active], chains[~ends], *observed])
        asked = np.unique(wanted)
        slots = [
            np.repeat(writers, drafted.lengths)[~ends],
            np.repeat(active[~writing], [len(own) for own in observed]),
        ]
        groups = self._groups(np.concatenate([active, *slots]))
        self._forget_known()
        logprobs, target_seconds = self._pass(sampler.session.next_logprobs, asked)
        self._known.add(groups, wanted, asked, sampler.law_rows(logprobs))
        self.tally.open_round(gamma, writers, drafted, chains, (len(situations.asked), len(asked)))
        began = perf_counter()
        self._settle(writers, drafted, chains, ends)
        other_seconds = perf_counter() - began
        sampler.seconds.sampling += other_seconds
        if not is_new:
            self.tally.time_round(target_seconds, draft_seconds, other_seconds)

    def _take_plainly(self, writers: NDArray[np.int64], situations: Situations, is_new: bool) -> None:
        """One token for every writer, as without drafts."""
        self._forget_known()
        law, seconds = self._pass(partial(next_law, self.sampler.session), situations.asked)
        self.tally.plain_round(writers, len(situations.asked), None if is_new else seconds)
        self.sampler.take_one(writers, situations, self.sampler.law_rows(law))

    def _forget_known(self) -> None:
        """Keep only what particles that wait will find behind them."""
        if self._known.is_empty:
            return
        if self.speculation.lenience < 1.0:
            self._known.forget()
            return
        particles = self.sampler.particles
        waiting = np.flatnonzero(particles.status == WAITING)
        prefixes = self.sampler.interpreter.prefixes
        self._known.keep_behind(self._groups(waiting), particles.prefixes[waiting], prefixes)

    def _pass(self, ask: Callable[[NDArray[np.int64]], AnyLaws], asked: NDArray[np.int64]) -> tuple[AnyLaws, float]:
        """The target's laws behind (U,) ascending prefixes, and the seconds it took."""
        began = perf_counter()
        laws = ask(asked)
        seconds = perf_counter() - began
        self.sampler.seconds.model += seconds
        while len(self._seen) <= asked[-1]:
            self._seen = np.concatenate([self._seen, np.zeros_like(self._seen)])
        self._seen[asked] = True
        return laws, seconds

    def _draft(self, writers: NDArray[np.int64], gamma: int) -> Drafted:
        """What the source says."""
        sampler, particles = self.sampler, self.sampler.particles
        groups, slots = np.divmod(writers, particles.num_particles)
        self._numbers[np.unique(groups)] += 1
        # Behind the draft comes one more token.
        room = np.clip(sampler.room()[writers] - 1, 0, gamma)
        if not room.any():
            return Drafted.nothing(len(writers))
        situations = sampler.situations(writers)
        alive = np.flatnonzero(particles.status <= WAITING)
        requests = Requests(
            rows=situations.rows,
            groups=groups,
            slots=slots,
            room=room,
            steps=self._numbers[groups] * MOST_DRAFTED,
            frames=situations.frames,
            prefixes=situations.prefixes,
            automata=situations.places.automata,
            states=situations.places.states,
            visible=particles.prefixes[alive],
            visible_groups=alive // particles.num_particles,
        )
        drafted = self.speculation.source.propose(requests)
        assert (drafted.lengths <= room).all(), "a source drafts no more than there is room for"
        return drafted

    def _nodes(self, prefixes: NDArray[np.int64], drafted: Drafted) -> NDArray[np.int64]:
        """(m,) the prefix behind each drafted token."""
        found = np.empty(len(drafted.tokens), dtype=np.int64)
        here, lengths = prefixes.copy(), drafted.lengths
        for depth in range(int(lengths.max(initial=0))):
            longer = np.flatnonzero(lengths > depth)
            entries = drafted.starts[longer] + depth
            tokens = drafted.tokens[entries]
            here[longer] = found[entries] = self.sampler.interpreter.prefixes.extend_each(here[longer], tokens)
        return found

    def _ended(self, writers: NDArray[np.int64], drafted: Drafted) -> NDArray[np.bool_]:
        """(m,) whether the hole has ended behind each drafted token."""
        interpreter = self.sampler.interpreter
        own = interpreter.frames.automata[self.sampler.particles.frames[writers]]
        automata = np.repeat(own, drafted.lengths)
        ended = np.zeros(len(drafted.tokens), dtype=np.bool_)
        for number in np.unique(automata).tolist():
            chosen = np.flatnonzero(automata == number)
            ended[chosen] = interpreter.automata[number].finished(drafted.states[chosen])
        return ended

    def _observed(self, slot: int) -> NDArray[np.int64]:
        """The prefixes behind the tokens of an observed text that its particle has before it, but for the last."""
        particles, interpreter = self.sampler.particles, self.sampler.interpreter
        tokens = interpreter.frames[int(particles.frames[slot])].observing[int(particles.states[slot]) : -1]
        room = int(self.sampler.room()[slot]) - 1
        found, prefix = [], int(particles.prefixes[slot])
        for token in tokens[: min(room, MOST_DRAFTED)]:
            prefix = interpreter.prefixes.extend(prefix, (token,))
            found.append(prefix)
        return np.array(found, dtype=np.int64)

    def _has_unseen_text(self, roots: NDArray[np.int64]) -> bool:
        """Whether the target reads given text in this pass, so that its time says nothing of others'."""
        prefixes = self.sampler.interpreter.prefixes
        parents = prefixes.parents[roots]
        return bool((parents >= len(self._seen)).any()) or not bool(self._seen[parents].all())

    def _settle(
        self, writers: NDArray[np.int64], drafted: Drafted, nodes: NDArray[np.int64], ends: NDArray[np.bool_]
    ) -> None:
        """Verify the drafts that were drawn; others need nothing but the laws."""
        if self.speculation.lenience == 1.0:
            drawn = np.zeros(len(writers), dtype=np.bool_)
            drawn[np.repeat(np.arange(len(writers)), drafted.lengths)[drafted.laws >= 0]] = True
            if drawn.any():
                self._verify(writers, drafted, nodes, ends, np.flatnonzero(drawn))
        elif len(drafted.tokens):
            self._verify(writers, drafted, nodes, ends, np.arange(len(writers)))
        elif len(writers):
            self._walk(writers)

    def _verify(
        self,
        writers: NDArray[np.int64],
        drafted: Drafted,
        nodes: NDArray[np.int64],
        ends: NDArray[np.bool_],
        chosen: NDArray[np.int64],
    ) -> None:
        """Verify the drafts of some writers, and queue what they keep."""
        slots = writers[chosen]
        lengths = drafted.lengths[chosen]
        entries = ranges(drafted.starts[chosen], lengths)
        proposal, before, leaves = self._laws(slots, lengths, drafted, entries, nodes, ends)
        totals = proposal.totals()
        # A chain is cut where the target allows nothing: whoever gets there dies.
        starts = np.concatenate([[0], np.cumsum(lengths)])
        depths = np.arange(len(entries)) - np.repeat(starts[:-1], lengths)
        owners = np.repeat(np.arange(len(slots)), lengths)
        kept = lengths.copy()
        blocked = totals[before] <= 0
        np.minimum.at(kept, owners[blocked], depths[blocked])
        dies = (kept < lengths) | ((leaves >= 0) & (totals[leaves] <= 0))
        inside = depths < kept[owners]
        chains = Chains(
            starts=np.concatenate([[0], np.cumsum(kept)]),
            tokens=drafted.tokens[entries][inside],
            nodes=before[inside],
            laws=drafted.laws[entries][inside],
            leaves=np.where(dies, -1, leaves),
            target=_normalized(proposal, totals),
            draft=drafted.table,
        )
        groups, own = np.divmod(slots, self.sampler.particles.num_particles)
        place = Place(groups, own, self._numbers[groups])
        if self.speculation.lenience == 1.0:
            verified = verify_blocks(chains, place, self.sampler.draws)
        else:
            verified = verify_leniently(chains, self.speculation.lenience, place, self.sampler.draws)
        self._keep(slots, chains, verified, proposal, dies)
        self.tally.verified(slots, kept, verified.accepted)

    def _laws(
        self,
        slots: NDArray[np.int64],
        lengths: NDArray[np.int64],
        drafted: Drafted,
        entries: NDArray[np.int64],
        nodes: NDArray[np.int64],
        ends: NDArray[np.bool_],
    ) -> tuple[Proposal, NDArray[np.int64], NDArray[np.int64]]:
        """The target's laws at all nodes, and the row before each drafted token and behind each chain (-1: ended)."""
        sampler, particles = self.sampler, self.sampler.particles
        starts = np.cumsum(lengths + 1) - lengths - 1
        size = int((lengths + 1).sum())
        automata = np.repeat(sampler.interpreter.frames.automata[particles.frames[slots]], lengths + 1)
        prefixes, states = np.empty(size, dtype=np.int64), np.empty(size, dtype=np.int64)
        ended = np.zeros(size, dtype=np.bool_)
        behind = ranges(starts + 1, lengths)
        prefixes[starts], states[starts] = particles.prefixes[slots], particles.states[slots]
        prefixes[behind], states[behind], ended[behind] = nodes[entries], drafted.states[entries], ends[entries]
        some = np.flatnonzero(~ended)
        groups = np.repeat(self._groups(slots), lengths + 1)
        keys, own = np.unique(np.stack([groups, prefixes, automata, states])[:, some], axis=1, return_inverse=True)
        rows = np.full(size, -1, dtype=np.int64)
        rows[some] = own.reshape(-1)
        log_rows, places = self._known.find(keys[0], keys[1])
        rule = sampler.rules.tokens
        local = local_targets(
            log_rows, sampler.interpreter.automata, Rows(places, keys[2], keys[3]), rule.power, sampler.lookaheads
        )
        return proposal_of(local, rule), rows[ranges(starts, lengths)], rows[starts + lengths]

    def _keep(
        self,
        slots: NDArray[np.int64],
        chains: Chains,
        verified: Verified,
        proposal: Proposal,
        dies: NDArray[np.bool_],
    ) -> None:
        """Queue accepted tokens and what was drawn behind them; -1 as a token's place is death."""
        accepted, owners = verified.accepted, np.repeat(np.arange(len(slots)), chains.lengths)
        taken = np.flatnonzero(chains.depths < accepted[owners])
        places = places_of(chains.target, chains.nodes[taken], chains.tokens[taken])
        drawn = weighed(proposal, chains.nodes[taken], places)
        self._queue.start(slots)
        self._queue.append(slots[owners[taken]], chains.depths[taken], _corrected(drawn, verified.corrections[taken]))
        final = np.flatnonzero(verified.finals >= 0)
        rows = np.searchsorted(chains.target.starts, verified.finals[final], side="right") - 1
        drawn = weighed(proposal, rows, verified.finals[final])
        self._queue.append(slots[final], accepted[final], _corrected(drawn, verified.final_corrections[final]))
        dead = np.flatnonzero(dies & (accepted == chains.lengths))
        nowhere = np.zeros(len(dead))
        last = Drawn(nowhere.astype(np.int64), nowhere - np.inf, nowhere)
        self._queue.append(slots[dead], accepted[dead], last)


def _corrected(drawn: Drawn, log_weights: NDArray[np.float64]) -> Drawn:
    return replace(drawn, log_weights=drawn.log_weights + log_weights)


def _normalized(proposal: Proposal, totals: NDArray[np.float64]) -> Laws:
    """The law of every row; rows without mass stay without."""
    starts = proposal.local.starts
    sums = np.repeat(np.where(totals > 0, totals, 1.0), np.diff(starts))
    return Laws(starts, proposal.local.tokens, proposal.law.astype(np.float64) / sums)
