"""The mass of a program by walking every text that a model can write, and what its potentials say on the way.

Texts grow token by token, all of one length side by side, as long as there are few enough. Each is followed twice:
once as the program means it, with factors at their ends; once as a run looks at it, with previews at its boundaries.
Where a preview refuses a text that then ends with mass, a promise is broken. Weights, resampling and proposals have
no part in it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from smcdsl.errors import Diagnostic, PotentialError
from smcdsl.inference.advance import Interpreter
from smcdsl.inference.course import Arrival, Death
from smcdsl.inference.factors.answers import shown
from smcdsl.inference.factors.calls import PotentialCalls
from smcdsl.inference.holes import Automata
from smcdsl.inference.judgement import contradiction, value_of
from smcdsl.inference.particles import DEAD, FINISHED
from smcdsl.plan import Plan, Write
from smcdsl.prefixes import Prefixes
from smcdsl.program.evaluation import freeze
from smcdsl.protocols import LanguageModel
from smcdsl.verify.stepping import settle

MOST_NODES = 4000
"""Beginnings of texts that are looked at; longer texts than those of the last whole layer are left out."""
LONGEST = 24
"""Tokens of the longest texts."""


@dataclass(frozen=True)
class Place:
    """Where a text stands: frame, prefix and the automaton's state."""

    frame: int
    prefix: int
    state: int


@dataclass(frozen=True)
class Node:
    """A beginning with its mass so far.

    `looking` is where a run would stand that looks at it; None after a preview refused it or failed.
    """

    place: Place
    log_mass: float
    looking: int | None
    refused: Death | None = None


@dataclass
class Enumerated:
    """What an enumeration found. `masses` and `texts` are by frozen value; `tokens` is the longest text's length.

    `whole` says that there are no longer texts; `findings` are what is wrong, each once.
    """

    masses: dict[Hashable, float] = field(default_factory=dict)
    texts: dict[Hashable, str] = field(default_factory=dict)
    num_texts: int = 0
    num_previews: int = 0
    tokens: int = 0
    whole: bool = True
    findings: list[Diagnostic] = field(default_factory=list)

    @property
    def log_z(self) -> float:
        """Log of the total mass."""
        total = math.fsum(self.masses.values())
        return math.log(total) if total > 0 else -math.inf


class Enumeration:
    """One enumeration; `run` does it."""

    def __init__(
        self, plan: Plan, model: LanguageModel, automata: Automata, calls: PotentialCalls, most_nodes: int = MOST_NODES
    ) -> None:
        self.calls = calls
        self.found = Enumerated()
        self._most_nodes = most_nodes
        prefixes = Prefixes()
        self._plain = Interpreter(plan, model, prefixes, automata, previews=False)
        self._looking = Interpreter(plan, model, prefixes, automata, previews=True)
        self._session = model.start(prefixes)
        self._newlines = np.array([b"\n" in token for token in model.vocabulary.token_bytes])
        self._first = 0
        self._seen: Counter[tuple[str, str]] = Counter()

    def run(self, inputs: Mapping[str, Any]) -> Enumerated:
        """Walk all texts; what fails on the way is a finding."""
        start = Node(Place(self._plain.begin(inputs), 0, 0), 0.0, self._looking.begin(inputs))
        layer = self._advanced([(start, True)])
        self._first = layer[0].place.prefix if layer else 0
        nodes = 0
        while layer:
            layer = self._observed(layer)
            nodes += len(layer)
            if self.found.tokens == LONGEST or nodes > self._most_nodes:
                self.found.whole = False
                break
            grown = list(self._grown(layer))
            if nodes + len(grown) > self._most_nodes:
                self.found.whole = False
                break
            layer = self._advanced(grown)
            self.found.tokens += 1
        try:
            self.calls.check()
        except PotentialError as error:
            self._note(error, "")
        return self.found

    # ---- one more token

    def _law(self, prefix: int) -> Any:
        """(1, V) log of what each token multiplies into the mass: the program's temperature and power in it."""
        row = self._session.next_logprobs(np.array([prefix], dtype=np.int64)).astype(np.float64)
        model = self._plain.plan.program.model
        if model.temperature != 1.0:
            row = row / model.temperature
            row = row - np.log(np.exp(row - row.max()).sum()) - row.max()
        return model.power * row

    def _grown(self, layer: list[Node]) -> Iterator[tuple[Node, bool]]:
        """Every beginning with each token that is allowed and possible, and whether its hole has ended."""
        for node in layer:
            hole = self._plain.frames[node.place.frame].hole
            assert hole is not None
            automaton: Any = self._plain.automata[hole.automaton]
            state = np.array([node.place.state], dtype=np.int64)
            allowed = automaton.pick(state, self._law(node.place.prefix), np.zeros(1, dtype=np.int64))
            tokens = allowed.tokens.astype(np.int64)
            logs = np.asarray(allowed.values, dtype=np.float64)
            for token, log in zip(tokens[logs > -np.inf].tolist(), logs[logs > -np.inf].tolist()):
                after = int(automaton.advance(state, np.array([token]))[0])
                if after < 0:
                    continue
                prefix = self._plain.prefixes.extend(node.place.prefix, [token])
                grown = replace(node, place=Place(node.place.frame, prefix, after), log_mass=node.log_mass + log)
                ended = bool(automaton.finished(np.array([after]))[0])
                if not ended and node.looking is not None and self._stops(node, automaton, token):
                    grown = self._looked(grown)
                yield grown, ended

    def _stops(self, node: Node, automaton: Any, token: int) -> bool:
        """Whether a run would stop after this token to look."""
        frames, frame = self._looking.frames, node.looking
        assert frame is not None
        if frames.every_token[frame] or (frames.every_line[frame] and self._newlines[token]):
            return True
        watched = int(frames.watched[frame])
        if not watched:
            return False
        place = node.place
        text_before = self._plain.text_before(np.array([place.frame]), np.array([place.prefix]))
        noticed = automaton.noticed(np.array([place.state]), np.array([token]), text_before)
        return bool(int(noticed[0]) & watched)

    def _looked(self, node: Node) -> Node:
        """After previews at a boundary."""
        assert node.looking is not None
        self.found.num_previews += 1
        (arrival,) = settle([self._looking.advance(node.looking, node.place.prefix, node.place.state)], self.calls)
        if isinstance(arrival, PotentialError):
            self._note(arrival, self._text(node.place.prefix))
            return replace(node, looking=None)
        if arrival.status == DEAD:
            return replace(node, looking=None, refused=arrival.death)
        return replace(node, looking=arrival.frame)

    def _observed(self, layer: list[Node]) -> list[Node]:
        """Beginnings that stand in holes: observed texts are taken as they are, at their probability."""
        while any(self._plain.frames[node.place.frame].hole is None for node in layer):
            standing: list[Node] = []
            moving: list[Node] = []
            for node in layer:
                observing = self._plain.frames[node.place.frame].observing
                (moving if observing else standing).append(node)
            done = []
            for node in moving:
                prefix, log_mass = node.place.prefix, node.log_mass
                observing = self._plain.frames[node.place.frame].observing
                for token in observing:
                    log_mass += float(self._law(prefix)[0, token])
                    prefix = self._plain.prefixes.extend(prefix, [token])
                if log_mass > -math.inf:
                    place = Place(node.place.frame, prefix, len(observing))
                    done.append((replace(node, place=place, log_mass=log_mass), True))
            layer = standing + self._advanced(done)
        return layer

    # ---- through the plan

    def _advanced(self, nodes: list[tuple[Node, bool]]) -> list[Node]:
        """Those that go on: what has ended a hole runs to the next stop, twice; what ends the program is counted."""
        ending = [node for node, ended in nodes if ended]
        courses = [self._plain.advance(n.place.frame, n.place.prefix, n.place.state) for n in ending]
        arrivals = settle(courses, self.calls)
        looks = [node for node in ending if node.looking is not None]
        looking = settle(
            [self._looking.advance(n.looking or 0, n.place.prefix, n.place.state) for n in looks], self.calls
        )
        looked = {id(node): arrival for node, arrival in zip(looks, looking, strict=True)}
        going = [node for node, ended in nodes if not ended]
        for node, arrival in zip(ending, arrivals, strict=True):
            after = self._arrived(node, arrival)
            if after is None:
                continue
            look = looked.get(id(node))
            if isinstance(look, PotentialError):
                self._note(look, self._text(node.place.prefix))
            alive = look.frame if isinstance(look, Arrival) and look.status != DEAD else None
            after = replace(after, looking=alive)
            if arrival.status == FINISHED:
                self._finish(after)
            else:
                going.append(after)
        return going

    def _arrived(self, node: Node, arrival: Arrival | PotentialError) -> Node | None:
        if isinstance(arrival, PotentialError):
            self._note(arrival, self._text(node.place.prefix))
            return None
        if arrival.status == DEAD:
            return None
        place = Place(arrival.frame, arrival.prefix, arrival.state)
        return replace(node, place=place, log_mass=node.log_mass + arrival.log_weight)

    def _finish(self, node: Node) -> None:
        environment = self._plain.environments[self._plain.frames[node.place.frame].environment]
        (value,) = settle([value_of(self._plain.plan.program.returns.expression, environment)], self.calls)
        text = self._text(node.place.prefix)
        if isinstance(value, PotentialError):
            self._note(value, text)
            return
        self.found.num_texts += 1
        key = freeze(value)
        self.found.masses[key] = self.found.masses.get(key, 0.0) + math.exp(node.log_mass)
        self.found.texts.setdefault(key, value if isinstance(value, str) else text)
        if node.refused is not None:
            factor = self._plain.plan.factors[node.refused.factor]
            whole = self._whole(environment, node.refused.text) or text
            self._note(contradiction(factor, node.refused.text, whole), "")

    def _whole(self, environment: Mapping[str, Any], beginning: str) -> str:
        """The finished text of a hole that begins so."""
        names = dict.fromkeys(each.name for each in self._plain.plan.instructions if isinstance(each, Write))
        for name in names:
            for _, text in environment.get(f"\0texts {name}", ()):
                if text.decode().startswith(beginning):
                    return str(text.decode())
        return ""

    def _text(self, prefix: int) -> str:
        """What is written behind the prompt."""
        tokens = self._plain.prefixes.sequence(prefix)
        first = len(self._plain.prefixes.sequence(self._first)) if self._first else 0
        return self._plain.model.vocabulary.spell(tokens[first:]).decode(errors="replace")

    def _note(self, error: PotentialError, text: str) -> None:
        """Remember a failure; the first of its kind and potential."""
        diagnostic = error.diagnostics[0]
        key = (diagnostic.code, error.potential or diagnostic.message)
        self._seen[key] += 1
        if self._seen[key] > 1:
            return
        if text:
            diagnostic = replace(diagnostic, notes=(*diagnostic.notes, f"on the text {shown(text)}"))
        self.found.findings.append(diagnostic)
