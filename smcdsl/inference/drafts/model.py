"""Drafts from another model: its own session, the same trie, and the same masks, power and twists as the target's.

Token by token, all particles in one pass of the drafting model. A token that the mask leaves no choice about costs no
pass. A chain ends where it is unlikely to be kept any longer, judged by what was drafted and by how sure the drafting
model is there, so nothing but the prefix decides (block verification needs no more, INFERENCE 2.2).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smcdsl.automaton.applying import cumulate, draw
from smcdsl.inference.drafts.acceptance import Acceptances, Followed
from smcdsl.inference.drafts.drafting import Drafted, Laws, Requests, Surroundings
from smcdsl.inference.drafts.forced import Choices
from smcdsl.inference.drafts.text import FREE_ROWS, floors
from smcdsl.inference.draws import Breakpoints, Purpose, shares
from smcdsl.inference.proposals import Local, Rows, local_targets, log_probabilities, starts_of
from smcdsl.protocols import Session

_SURE = np.array([0.3, 0.5, 0.7, 0.85, 0.95, 0.99])
"""Edges of how sure the drafting model is of its likeliest token: kinds of guesses."""
_PRIORS: dict[Hashable, float] = dict(enumerate((0.3, 0.45, 0.6, 0.75, 0.88, 0.95, 0.99)))


def model_acceptances() -> Acceptances:
    """Running acceptance that begins with what to expect of a draft model before anything is known."""
    return Acceptances(_PRIORS)


@dataclass
class ModelDrafts:
    """The source of a drafting model; see the module.

    Args:
        session: of the drafting model, over the run's trie and the target's token ids.
        name: for reports.
    """

    surroundings: Surroundings
    session: Session
    name: str = "model"
    acceptances: Acceptances = field(default_factory=model_acceptances)
    free_rows: float = FREE_ROWS
    deterministic: bool = field(default=False, init=False)
    passes: int = field(default=0, init=False)
    """Passes of the drafting model."""
    _choices: dict[int, Choices] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._followed = Followed(self.surroundings.prefixes, self.acceptances)

    def propose(self, requests: Requests) -> Drafted:
        """See `DraftSource`."""
        self._followed.settle(requests)
        course = _Course.of(requests)
        of_groups = floors(requests, self.free_rows, by_group=True)
        floor = np.array([of_groups[group] for group in requests.groups.tolist()])
        while len(course.active):
            self._draft_one(course, requests, floor)
        drafted, kinds = course.drafted()
        self._followed.expect(requests, kinds)
        return drafted

    def retain(self, prefixes: NDArray[np.int64]) -> None:
        """See `DraftSource`."""
        self.session.retain(prefixes)

    def close(self) -> None:
        """See `DraftSource`."""
        self.session.close()

    def _draft_one(self, course: _Course, requests: Requests, floor: NDArray[np.float64]) -> None:
        """One more token for every active particle, or its end."""
        active = course.active
        keys = np.stack([course.prefixes[active], course.automata[active], course.states[active]])
        distinct, rows = np.unique(keys, axis=1, return_inverse=True)
        rows = rows.reshape(-1)
        laws = self._laws(*distinct)
        sure = np.array([part.max() if len(part) else 0.0 for part in _parts(laws)])
        only = np.diff(laws.starts) == 1
        kinds = np.searchsorted(_SURE, sure).tolist()
        groups = requests.groups[active].tolist()
        expected = [1.0 if only[row] else self.acceptances[group][kinds[row]] for row, group in zip(rows, groups)]
        course.kept[active] *= np.array(expected)
        goes_on = (course.kept[active] >= floor[active]) & (np.diff(laws.starts)[rows] > 0)
        chosen, own = active[goes_on], rows[goes_on]
        if not len(chosen):
            course.active = chosen
            return
        edges = np.empty(len(laws.probabilities))
        cumulate(laws.probabilities, laws.starts, edges)
        numbers = self.surroundings.draws.uniforms(
            Purpose.DRAFT,
            requests.steps[chosen] + course.depth,
            requests.groups[chosen],
            requests.slots[chosen],
            _breakpoints(laws, own),
        )
        places = np.empty(len(own), dtype=np.int64)
        draw(edges, laws.starts, own, numbers, places)
        tokens = laws.tokens[places].astype(np.int64)
        number_of = np.where(only[own], -1, own)
        course.extend(self.surroundings, chosen, tokens, number_of, laws, [kinds[row] for row in own.tolist()])

    def _laws(self, prefixes: NDArray[np.int64], automata: NDArray[np.int64], states: NDArray[np.int64]) -> Laws:
        """The drafting model's law under the target's mask, power and twist in each of D situations."""
        only = np.array([self._only(*where) for where in zip(automata.tolist(), states.tolist())], dtype=np.int64)
        clear, unclear = np.flatnonzero(only >= 0), np.flatnonzero(only < 0)
        around, local = self.surroundings, None
        if len(unclear):
            asked, rows = np.unique(prefixes[unclear], return_inverse=True)
            self.passes += 1
            logprobs = log_probabilities(self.session.next_logprobs(asked), around.temperature)
            situations = Rows(rows, automata[unclear], states[unclear])
            local = local_targets(logprobs, around.automata, situations, around.rule.power, around.lookaheads)
        return _laws_of(clear, only[clear], unclear, local)

    def _only(self, number: int, state: int) -> int:
        """The token that the mask leaves no choice about, or -1."""
        choices = self._choices.get(number)
        if choices is None:
            automaton: Any = self.surroundings.automata[number]
            choices = self._choices[number] = Choices(automaton)
        return choices.only(state)


@dataclass
class _Course:
    """What particles have drafted so far in a round. All arrays are by particle."""

    active: NDArray[np.int64]
    prefixes: NDArray[np.int64]
    automata: NDArray[np.int64]
    states: NDArray[np.int64]
    kept: NDArray[np.float64]
    room: NDArray[np.int64]
    depth: int = 0
    tokens: list[list[int]] = field(default_factory=list)
    after: list[list[int]] = field(default_factory=list)
    numbers: list[list[int]] = field(default_factory=list)
    kinds: list[list[tuple[int, Hashable]]] = field(default_factory=list)
    tables: list[Laws] = field(default_factory=list)
    num_laws: int = 0

    @classmethod
    def of(cls, requests: Requests) -> _Course:
        """Before the first token."""
        rows, count = requests.rows, len(requests.rows)
        return cls(
            active=np.flatnonzero(requests.room > 0),
            prefixes=requests.prefixes[rows],
            automata=requests.automata[rows],
            states=requests.states[rows],
            kept=np.ones(count),
            room=requests.room,
            tokens=[[] for _ in range(count)],
            after=[[] for _ in range(count)],
            numbers=[[] for _ in range(count)],
            kinds=[[] for _ in range(count)],
        )

    def extend(
        self,
        surroundings: Surroundings,
        chosen: NDArray[np.int64],
        tokens: NDArray[np.int64],
        numbers: NDArray[np.int64],
        laws: Laws,
        kinds: list[int],
    ) -> None:
        """Write down one token each of the chosen particles, from laws by number (-1: it was the only one)."""
        ended = np.zeros(len(chosen), dtype=np.bool_)
        for automaton in np.unique(self.automata[chosen]).tolist():
            own = np.flatnonzero(self.automata[chosen] == automaton)
            machine = surroundings.automata[automaton]
            after = machine.advance(self.states[chosen[own]], tokens[own])
            self.states[chosen[own]] = after
            ended[own] = machine.finished(after)
        self.prefixes[chosen] = surroundings.prefixes.extend_each(self.prefixes[chosen], tokens)
        for place, particle in enumerate(chosen.tolist()):
            number = int(numbers[place])
            self.tokens[particle].append(int(tokens[place]))
            self.after[particle].append(int(self.states[particle]))
            self.numbers[particle].append(number + self.num_laws if number >= 0 else -1)
            self.kinds[particle].append((int(tokens[place]), kinds[place] if number >= 0 else None))
        self.tables.append(laws)
        self.num_laws += len(laws.starts) - 1
        self.depth += 1
        self.active = chosen[~ended & (self.depth < self.room[chosen])]

    def drafted(self) -> tuple[Drafted, list[list[tuple[int, Hashable]]]]:
        """All of it, and the kinds of the tokens."""
        plain = Drafted.certain(self.tokens, self.after)
        numbers = np.array([number for own in self.numbers for number in own], dtype=np.int64)
        table = _stacked(self.tables)
        return Drafted(plain.starts, plain.tokens, plain.states, numbers, table), self.kinds


def _laws_of(
    clear: NDArray[np.int64], tokens_there: NDArray[np.int64], unclear: NDArray[np.int64], local: Local | None
) -> Laws:
    """Normalised laws in order of situations: those of one token, and those that local targets are in proportion to."""
    sizes = np.ones(len(clear) + len(unclear), dtype=np.int64)
    if local is not None:
        sizes[unclear] = np.diff(local.starts)
    starts = starts_of(sizes)
    tokens, law = np.empty(starts[-1], dtype=np.int32), np.ones(starts[-1])
    tokens[starts[clear]] = tokens_there
    if local is not None:
        values = local.log_twisted().astype(np.float64)
        for place, row in enumerate(unclear.tolist()):
            source, target = slice(*local.starts[place : place + 2]), slice(*starts[row : row + 2])
            tokens[target], law[target] = local.tokens[source], _normalized(values[source])
    return Laws(starts, tokens, law)


def _normalized(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """A law from logs; even where the model gives all of them nothing."""
    if not len(values):
        return values
    highest = values.max()
    if highest == -np.inf:
        return np.full(len(values), 1 / len(values))
    law = np.exp(values - highest)
    return law / law.sum()


def _stacked(tables: list[Laws]) -> Laws:
    starts = np.zeros(1, dtype=np.int64)
    for table in tables:
        starts = np.concatenate([starts, starts[-1] + table.starts[1:]])
    return Laws(
        starts,
        np.concatenate([np.empty(0, dtype=np.int32), *(table.tokens for table in tables)]),
        np.concatenate([np.empty(0), *(table.probabilities for table in tables)]),
    )


def _parts(laws: Laws) -> Iterator[NDArray[np.float64]]:
    return (laws.probabilities[laws.starts[row] : laws.starts[row + 1]] for row in range(len(laws.starts) - 1))


def _breakpoints(laws: Laws, rows: NDArray[np.int64]) -> Breakpoints:
    return lambda _: (shares(laws.probabilities[laws.starts[row] : laws.starts[row + 1]]) for row in rows.tolist())
