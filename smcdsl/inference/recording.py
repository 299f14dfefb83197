"""Records what a model said in a run: the trees of what was written, with the masked law at every node.

A model and a provider of automata are wrapped; the run is what it would have been. Of a law the likeliest
tokens are kept, which is all but a ten-thousandth of it where a model is any good.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smcdsl.log_rows import Allowed, Laws
from smcdsl.models.draft_trees import MaskedLaw, Tree
from smcdsl.prefixes import Prefixes
from smcdsl.protocols import LanguageModel, Session, next_law

KEPT_TOKENS = 1024
"""Of a law at most so many tokens are kept."""


@dataclass
class Recorder:
    """Wraps the model and the automata of runs of one group each, one run after another."""

    _laws: dict[int, MaskedLaw | None] = field(default_factory=dict)
    _masks: dict[bytes, NDArray[np.int32]] = field(default_factory=dict)
    _asked: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    _prefixes: Prefixes | None = None

    def model(self, model: LanguageModel) -> LanguageModel:
        """The model, listened to."""
        return _Listened(model, self)

    def automata(self, provider: Any) -> Any:
        """The provider, its automata listened to."""
        made: dict[int, Any] = {}

        def provide(hole: str, inputs: Mapping[str, Any], following: bytes | None) -> Any:
            automaton = provider(hole, inputs, following)
            return made.setdefault(id(automaton), _Watched(automaton, self))

        return provide

    def tree(self) -> Tree | None:
        """What the last run wrote; None if it asked for nothing. Forgets it."""
        laws, self._laws = self._laws, {}
        return _tree(self._prefixes, laws) if laws and self._prefixes is not None else None

    def begins(self, prefixes: Prefixes) -> None:
        """A run begins."""
        self._prefixes, self._laws = prefixes, {}

    def asks(self, prefixes: NDArray[np.int64]) -> None:
        """The model is asked about prefixes; masks are next."""
        self._asked = prefixes.copy()

    def sees(self, allowed: Allowed, rows: NDArray[np.int64]) -> None:
        """Masks were applied to the rows of prefixes just asked about."""
        for place, row in enumerate(rows.tolist()):
            prefix = int(self._asked[row])
            if prefix in self._laws:
                continue
            part = slice(allowed.starts[place], allowed.starts[place + 1])
            self._laws[prefix] = self._law(allowed.tokens[part], allowed.values[part])

    def _law(self, tokens: NDArray[np.int32], values: NDArray[np.floating[Any]]) -> MaskedLaw | None:
        if len(tokens) < 2 or values.max() == -np.inf:
            return None
        law = np.exp(values.astype(np.float64) - values.max())
        law /= law.sum()
        places = np.arange(len(tokens))
        if len(tokens) > KEPT_TOKENS:
            places = np.sort(np.argpartition(law, -KEPT_TOKENS)[-KEPT_TOKENS:])
        shared = self._masks.setdefault(tokens.tobytes(), tokens)
        return MaskedLaw(shared, places.astype(np.int32), law[places].astype(np.float32))


class _Listened:
    """A model whose sessions say what they are asked."""

    def __init__(self, model: LanguageModel, recorder: Recorder) -> None:
        self._model, self._recorder = model, recorder

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def start(self, prefixes: Prefixes) -> Session:
        self._recorder.begins(prefixes)
        return _ListenedSession(self._model.start(prefixes), self._recorder)


class _ListenedSession:
    def __init__(self, session: Session, recorder: Recorder) -> None:
        self._session, self._recorder = session, recorder

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def next_logprobs(self, prefixes: NDArray[np.int64]) -> NDArray[np.floating[Any]]:
        self._recorder.asks(prefixes)
        return self._session.next_logprobs(prefixes)

    def next_law(self, prefixes: NDArray[np.int64]) -> Laws:
        self._recorder.asks(prefixes)
        return next_law(self._session, prefixes)


class _Watched:
    """An automaton that says what it allowed."""

    def __init__(self, automaton: Any, recorder: Recorder) -> None:
        self._automaton, self._recorder = automaton, recorder

    def __getattr__(self, name: str) -> Any:
        return getattr(self._automaton, name)

    def pick(self, states: NDArray[np.int64], values: Laws, rows: NDArray[np.int64]) -> Allowed:
        allowed: Allowed = self._automaton.pick(states, values, rows)
        self._recorder.sees(allowed, rows)
        return allowed


def _tree(prefixes: Prefixes, laws: Mapping[int, MaskedLaw | None]) -> Tree:
    """The nodes with laws and what lies between them, from what they have in common on."""
    stem = _common(prefixes, list(laws))
    nodes = {stem}
    for prefix in laws:
        while prefix not in nodes:
            nodes.add(prefix)
            prefix = int(prefixes.parents[prefix])
    # A child is made after its parent, so it has the larger number.
    order = sorted(nodes)
    number = {node: place for place, node in enumerate(order)}
    return Tree(
        prompt=tuple(prefixes.sequence(stem)),
        parents=np.array([-1, *(number[int(prefixes.parents[node])] for node in order[1:])]),
        tokens=np.array([-1, *(int(prefixes.tokens[node]) for node in order[1:])]),
        laws=tuple(laws.get(node) for node in order),
        certain=np.array([node in laws and laws[node] is None for node in order]),
    )


def _common(prefixes: Prefixes, nodes: Sequence[int]) -> int:
    """The deepest prefix that all of these extend or are."""
    common, *others = nodes
    for other in others:
        while common != other:
            if prefixes.lengths[common] >= prefixes.lengths[other]:
                common = int(prefixes.parents[common])
            else:
                other = int(prefixes.parents[other])
    return common
