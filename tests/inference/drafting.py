"""Sources of drafts for tests: as plain as can be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from smcdsl.inference.drafts.drafting import Drafted, Laws, Requests, Surroundings
from smcdsl.inference.draws import Purpose


@dataclass
class Plain:
    """Drafts particle by particle, token by token.

    `law` gives the draft's law over allowed tokens, as {token: probability}, from the tokens so far; a law of one
    token is a point mass. `goes_on` ends drafts early; it sees the tokens so far and how many were drafted.
    """

    surroundings: Surroundings
    law: Callable[[list[int], list[int]], dict[int, float]]
    goes_on: Callable[[list[int], int], bool] = lambda tokens, drafted: True
    name: str = "plain"
    deterministic: bool = False
    asked: list[int] = field(default_factory=list)
    known: dict[Any, dict[int, float]] = field(default_factory=dict)

    def propose(self, requests: Requests) -> Drafted:
        self.asked.append(len(requests.rows))
        tokens: list[list[int]] = [[] for _ in requests.rows]
        states: list[list[int]] = [[] for _ in requests.rows]
        laws: list[list[int]] = [[] for _ in requests.rows]
        table: list[dict[int, float]] = []
        for own, row in enumerate(requests.rows.tolist()):
            automaton: Any = self.surroundings.automata[int(requests.automata[row])]
            state = int(requests.states[row])
            before = self.surroundings.prefixes.sequence(int(requests.prefixes[row]))
            for drafted in range(int(requests.room[own])):
                if automaton.finished(np.array([state]))[0] or not self.goes_on(before, drafted):
                    break
                law = self._law(automaton, state, before)
                token = self._draw(requests, own, drafted, law)
                tokens[own].append(token)
                laws[own].append(len(table) if len(law) > 1 else -1)
                table += [law] if len(law) > 1 else []
                state = int(automaton.advance(np.array([state]), np.array([token]))[0])
                states[own].append(state)
                before = [*before, token]
        plain = Drafted.certain(tokens, states)
        numbers = np.array([number for own in laws for number in own], dtype=np.int64)
        return Drafted(plain.starts, plain.tokens, plain.states, numbers, _table(table))

    def _law(self, automaton: Any, state: int, before: list[int]) -> dict[int, float]:
        key = (id(automaton), state, *before)
        if key not in self.known:
            size = len(self.surroundings.model.vocabulary)
            bits = np.unpackbits(automaton.masks(np.array([state])).view(np.uint8), bitorder="little")[:size]
            self.known[key] = dict(sorted(self.law(before, np.flatnonzero(bits).tolist()).items()))
        return self.known[key]

    def _draw(self, requests: Requests, own: int, drafted: int, law: dict[int, float]) -> int:
        if len(law) == 1:
            return next(iter(law))
        edges = np.cumsum(list(law.values()))
        (number,) = self.surroundings.draws.uniforms(
            Purpose.DRAFT,
            requests.steps[own : own + 1] + drafted,
            requests.groups[own : own + 1],
            requests.slots[own : own + 1],
            lambda _: iter([edges]),
        )
        return list(law)[min(int(np.searchsorted(edges, number, side="right")), len(law) - 1)]

    def retain(self, prefixes: Any) -> None:
        self.retained = prefixes

    def close(self) -> None:
        self.closed = True


def _table(laws: list[dict[int, float]]) -> Laws:
    starts = np.cumsum([0, *map(len, laws)], dtype=np.int64)
    tokens = np.array([token for law in laws for token in law], dtype=np.int32)
    return Laws(starts, tokens, np.array([mass for law in laws for mass in law.values()], dtype=np.float64))


def drawn(share: float = 0.5, seed: int = 0) -> Any:
    """A draft model: the target's law under the mask, mixed with a random one."""

    def make(surroundings: Surroundings) -> Plain:
        def law(before: list[int], allowed: list[int]) -> dict[int, float]:
            own = _target(surroundings, before)[allowed]
            other = np.random.default_rng([seed, *before]).dirichlet(np.full(len(allowed), 0.8))
            mixed = (1 - share) * own / own.sum() + share * other if own.sum() > 0 else other
            return dict(zip(allowed, mixed.tolist(), strict=True))

        return Plain(surroundings, law)

    return make


def named(seed: int = 0, wrong: float = 0.3) -> Any:
    """Point masses: the target's best token, or now and then another one."""

    def make(surroundings: Surroundings) -> Plain:
        def law(before: list[int], allowed: list[int]) -> dict[int, float]:
            chance = np.random.default_rng([seed, *before])
            if chance.random() < wrong:
                return {int(chance.choice(allowed)): 1.0}
            return {max(allowed, key=lambda token: _target(surroundings, before)[token]): 1.0}

        return Plain(surroundings, law, deterministic=True)

    return make


def mixed(seed: int = 0) -> Any:
    """Point masses after every other token, else draws; drafts end early now and then."""

    def make(surroundings: Surroundings) -> Plain:
        one, other = named(seed)(surroundings), drawn(0.6, seed)(surroundings)

        def law(before: list[int], allowed: list[int]) -> dict[int, float]:
            return (one if len(before) % 2 else other).law(before, allowed)

        return Plain(surroundings, law, lambda tokens, drafted: drafted == 0 or sum(tokens) % 3 > 0)

    return make


def _target(surroundings: Surroundings, before: list[int]) -> Any:
    model: Any = surroundings.model
    context = tuple(([-1] * model.order + before)[-model.order :]) if model.order else ()
    return np.exp(model.log_rows[model.row_of(context)])
