"""Sites on which all derivations of a beginning agree: whatever comes, they are in the derivation of the whole.

A beginning is read byte by byte in all ways that the rules allow, Earley's way with the automata of regular parts for
terminals: a *call* is a rule being read from some byte on, with the places it was called from; a *branch* is a state of
a regular part, the rest of the rule behind it, and the call it is in. With every branch goes what all its histories
have closed within its call, with every call what all have closed before it; where two branches meet that is what both
have. A site that all branches have, one way or the other, is announced and forgotten.

More ways than the grammar has do no harm (`rests`): fewer sites are certain then, and none that is announced is wrong.
"""

from __future__ import annotations

from typing import NamedTuple

from smcdsl.automaton.derivations import Rules
from smcdsl.automaton.rests import Rest, Rests
from smcdsl.automaton.site import Site, order
from smcdsl.automaton.tables import RegularTables

_MOST_STARTS = 30
"""Bytes at which rules of branches began; with more, a text may be cut in too many ways, and its end is waited for."""
_MOST_PLACES = 1000
"""Places between two parts at one byte; with more, too."""
_MOST_HELD = 400
"""Sites that are not certain yet, of one branch; beyond them it forgets them, and they are found at the end."""
_MOST_CLOSED = 8
"""Rules that are closed ahead of the byte behind them: all of a list that is nested as deep as it is long may end."""

Sites = frozenset[Site]
_NONE: Sites = frozenset()


class Call:
    """A rule being read from byte `start` on. Nothing changes in it once the next byte has been read."""

    __slots__ = ("agreed", "empty", "rule", "sources", "start")

    def __init__(self, rule: int, start: int) -> None:
        self.rule, self.start = rule, start
        self.sources: dict[tuple[Rest, Call], Sites] = {}
        """(what comes behind the rule, the call that is in) -> what that call had closed."""
        self.agreed: Sites | None = _NONE
        """What all histories have closed before the call; None while nothing is known of them."""
        self.empty: Sites | None = None
        """What is closed in it where the rule is read as nothing; None if it was not."""


Branch = tuple[int, Rest, Call]
"""A state of a regular part or 0 for none, what is left of the rule behind it, the call."""


class Announced:
    """Sites that are certain: some new ones, and those before."""

    __slots__ = ("_all", "count", "new", "previous")

    def __init__(self, previous: Announced | None, new: Sites) -> None:
        self.previous, self.new = previous, new
        self.count: int = len(new) + (0 if previous is None else previous.count)
        self._all: tuple[Site, ...] | None = None

    def all(self) -> tuple[Site, ...]:
        """In order of their end, longer ones after those they contain."""
        if self._all is None:
            last: Announced | None = self
            found: list[Site] = []
            while last is not None and last._all is None:
                found += last.new
                last = last.previous
            self._all = _in_order(() if last is None or last._all is None else last._all, found)
        return self._all

    def since(self, before: Announced) -> list[Site]:
        """Those that a beginning of the same text did not have."""
        found: list[Site] = []
        last: Announced | None = self
        while last is not None and last.count > before.count:
            found += last.new
            last = last.previous
        return found


class Reading(NamedTuple):
    """What is known after so many bytes."""

    position: int
    branches: dict[Branch, Sites]
    """Each with what it has closed in its call; none where the text has become too much."""
    announced: Announced
    captured: Sites
    """Sites that calls hold, and that may not be certain yet."""
    stale: Sites
    """Those of them that have been announced since."""


class Agreement:
    """Reads beginnings of texts of one grammar over bytes."""

    def __init__(self, rules: Rules, leaves: RegularTables | None) -> None:
        self._rests = Rests(rules, leaves)
        start = self._rests.known(self._rests.start)
        nowhere = Call(len(rules.bodies), 0)
        self.start = Reading(0, {(0, start, nowhere): _NONE}, Announced(None, _NONE), _NONE, _NONE)

    def read(self, reading: Reading, text: bytes) -> Reading:
        """What is known after some more bytes."""
        for byte in text:
            reading = self._stepped(reading, byte)
        return reading

    def _stepped(self, reading: Reading, byte: int) -> Reading:
        if not reading.branches:
            return reading
        rests = self._rests
        if len(reading.branches) == 1:
            (((state, rest, call), held),) = reading.branches.items()
            onward = rests.row(state)[byte] if state else 0
            if onward and not rests.is_final[onward] and not (rests.accepting[state] and byte in rest.takes):
                return reading._replace(position=reading.position + 1, branches={(onward, rest, call): held})
        step = _Step(rests, reading, byte)
        step.read(reading.branches)
        step.settle()
        return _announced(reading, step)


class _Step:
    """What becomes of branches at one byte. Sites of what meets again, smaller, are handed on again."""

    def __init__(self, rests: Rests, reading: Reading, byte: int) -> None:
        self._rests, self._position, self._byte = rests, reading.position, byte
        self.captured = reading.captured
        self.after: dict[Branch, Sites] = {}
        self.calls: dict[int, Call] = {}
        """By rule, those made here."""
        self._waiting: dict[tuple[Rest, Call], Sites] = {}
        """Places between two parts, before the byte, that may lead on."""
        self._agenda: list[tuple[Rest, Call]] = []

    def read(self, branches: dict[Branch, Sites]) -> None:
        """Read the byte."""
        rests, byte = self._rests, self._byte
        for (state, rest, call), held in branches.items():
            if state and (onward := rests.row(state)[byte]):
                self._add((onward, rest, call), held)
            if not state or rests.accepting[state]:
                self._wait(rest, call, held)
        visits = 0
        while self._agenda:
            visits += 1
            if visits > _MOST_PLACES:
                self.after = {}
                return
            rest, call = self._agenda.pop()
            held = self._waiting[rest, call]
            leaves, calls, may_end = rests.onward(rest, byte)
            for onward, then in leaves:
                self._add((onward, then, call), held)
            for rule, then in calls:
                self._enter(rule, then, call, held)
            if may_end:
                self._leave(call, held)
        if self.calls:
            self._look_back()

    def settle(self) -> None:
        """Close what can only be closed behind the byte."""
        is_final, nothing = self._rests.is_final, 0
        agenda = [(branch, held) for branch, held in self.after.items() if is_final[branch[0]]]
        if not agenda:
            return
        for branch, _ in agenda:
            del self.after[branch]
        closed: dict[Call, Sites] = {}
        while agenda:
            (_, rest, call), held = agenda.pop()
            if not rest.is_over or not call.sources or len(closed) == _MOST_CLOSED:
                self._add((nothing, rest, call), held)
                continue
            held = self._with_site(call, held, self._position + 1)
            before = closed.get(call)
            closed[call] = held if before is None else held & before
            if before is None or len(closed[call]) < len(before):
                agenda += [((nothing, *source), had | closed[call]) for source, had in call.sources.items()]

    def _add(self, branch: Branch, held: Sites) -> None:
        before = self.after.get(branch)
        self.after[branch] = held if before is None else held & before

    def _wait(self, rest: Rest, call: Call, held: Sites) -> None:
        if self._byte not in rest.takes:
            return
        place = (rest, call)
        before = self._waiting.get(place)
        if before is not None:
            held &= before
            if len(held) == len(before):
                return
        self._waiting[place] = held
        self._agenda.append(place)

    def _enter(self, rule: int, then: Rest, caller: Call, held: Sites) -> None:
        call = self.calls.get(rule)
        if call is None:
            call = self.calls[rule] = Call(rule, self._position)
            call.agreed = None
            self._wait(self._rests.body(rule), call, _NONE)
        before = call.sources.get((then, caller))
        if before is not None:
            held &= before
            if len(held) == len(before):
                return
        call.sources[then, caller] = held
        if held:
            self.captured |= held
        if call.empty is not None:
            self._wait(then, caller, held | call.empty)

    def _leave(self, call: Call, held: Sites) -> None:
        held = self._with_site(call, held, self._position)
        if call.start == self._position:
            if call.empty is not None:
                held &= call.empty
                if len(held) == len(call.empty):
                    return
            call.empty = held
        for (then, caller), had in call.sources.items():
            self._wait(then, caller, had | held)

    def _with_site(self, call: Call, held: Sites, end: int) -> Sites:
        name = self._rests.boundaries[call.rule]
        if len(held) >= _MOST_HELD:
            held = _NONE
        return held if name is None else held | {Site(name, call.start, end)}

    def _look_back(self) -> None:
        """Find out what all histories of the new calls have closed."""
        unsettled = True
        while unsettled:
            unsettled = False
            for call in self.calls.values():
                agreed: Sites | None = None
                for (_, caller), had in call.sources.items():
                    if caller is call:
                        continue  # Recursion at one place has closed no less.
                    if caller.agreed is None:
                        unsettled = True
                        continue
                    history = had | caller.agreed if caller.agreed else had
                    agreed = history if agreed is None else agreed & history
                if agreed != call.agreed:
                    unsettled |= call.agreed is not None
                    call.agreed = agreed


def _announced(reading: Reading, step: _Step) -> Reading:
    """What is known after a step: sites that are certain now are announced, and no branch holds them any more."""
    branches, captured, stale = step.after, step.captured, reading.stale
    if len(branches) > _MOST_STARTS and len({call.start for _, _, call in branches}) > _MOST_STARTS:
        branches = {}
    new = _agreed(branches) - stale
    announced = reading.announced
    if new:
        stale, captured = stale | (new & captured), captured - new
        known = new | stale
        branches = {branch: held - known for branch, held in branches.items()}
        announced = Announced(announced, new)
    return Reading(reading.position + 1, branches, announced, captured, stale)


def _agreed(branches: dict[Branch, Sites]) -> Sites:
    """What all branches have closed."""
    common: Sites | None = None
    for (_, _, call), held in branches.items():
        assert call.agreed is not None, "each call has a history"
        history = held | call.agreed if call.agreed else held
        common = history if common is None else common & history
        if not common:
            return _NONE
    return common or _NONE


def _in_order(sites: tuple[Site, ...], more: list[Site]) -> tuple[Site, ...]:
    """All together, some in order already: more belong at the end, or not far from it."""
    if not more:
        return sites
    more.sort(key=order)
    first, length = order(more[0]), len(sites)
    while length and order(sites[length - 1]) > first:
        length -= 1
    return (*sites[:length], *sorted((*sites[length:], *more), key=order))
