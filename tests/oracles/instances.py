"""Small problems whose mass is known by enumeration, each hard in a way of its own.

| instance | stresses |
|---|---|
| `coin` | can be followed by hand |
| `trap` | the likely beginning leads to dead ends; whole runs die |
| `ngram_dfa` | a random automaton under a chain of order 2 |
| `dyck` | brackets: the model likes to open them, the mask knows how many can still be closed |
| `dyck_kill` | the same target where the mask knows nothing of the limit: what is too long dies at the end |
| `clauses` | a score with previews at every clause |
| `clauses_token` | the same, where particles meet after every token |
| `clauses_zero` | a requirement whose previews kill |
| `clauses_power` | the square of the model's law |
| `guided` | guides that are taken back at the end |
| `checked` | a requirement that is asked at every token, before it is written or after |
| `tokens` | many tokenisations of each text |

Where a text has no boundaries of its own, a guide of one at every token lets particles meet, and be resampled, there.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from building import Functions, factor, hole, program, text, turn
from oracles.enumerated import Language, Site, language
from oracles.posterior import Enumeration
from oracles.tabulated import TabulatedAutomaton

from smcdsl.models.toy import ToyModel
from smcdsl.program.program import Program
from smcdsl.program.statements import Factor
from smcdsl.program.types import BOOL


class Moments(NamedTuple):
    """What importance sampling of whole sequences has: how many, log Z, distance of its law from the target, CV^2."""

    sequences: int
    log_z: float
    total_variation: float
    squared_cv: float


@dataclass
class Instance:
    """A program with one hole `q` that ends its turn, and all that it runs on."""

    name: str
    program: Program
    model: ToyModel
    language: Language
    functions: Functions = field(default_factory=Functions)

    @cached_property
    def masses(self) -> dict[Any, float]:
        """The mass of every text, by enumeration over token sequences."""
        return self._enumeration.masses({})

    @cached_property
    def automaton(self) -> TabulatedAutomaton:
        return TabulatedAutomaton(self.language, self.model.vocabulary, None)

    def provide(self, key: str, inputs: Mapping[str, Any], following: bytes | None) -> TabulatedAutomaton:
        assert following is None
        return self.automaton

    @cached_property
    def _enumeration(self) -> Enumeration:
        return Enumeration(self.program, self.model, {"q": self.language}, self.functions)

    def moments(self) -> Moments:
        """By walking every token sequence of the masked law."""
        masses, laws = [], []
        enumeration = self._enumeration
        start = tuple(enumeration.model.encode("".join(self._given())))
        stack = [(start, self.automaton.start, 1.0, 1.0)]
        while stack:
            context, state, law, weight = stack.pop()
            if self.automaton.finished(np.array([state]))[0]:
                value = self.automaton._states[state][0].decode()
                density = law * weight * self._factors(value)
                masses.append(density)
                laws.append(law)
                continue
            row = enumeration.row(context)
            self.automaton._know(np.array([state]))
            allowed = self.automaton._allowed[state]
            normalizer = float(row[allowed].sum())
            for token in allowed.tolist():
                if row[token] > 0:
                    after = int(self.automaton.advance(np.array([state]), np.array([token]))[0])
                    stack.append(((*context, token), after, law * row[token] / normalizer, weight * normalizer))
        target, law = np.array(masses), np.array(laws)
        total = target.sum()
        distance = (np.abs(law - target / total).sum() + 1 - law.sum()) / 2
        squared = float((target**2 / law).sum() / total**2 - 1)
        return Moments(int((target > 0).sum()), float(np.log(total)), float(distance), squared)

    def _given(self) -> list[str]:
        turn_ = self.program.body[0]
        return [part.text for part in turn_.body[0].template.parts if hasattr(part, "text")]

    def _factors(self, value: str) -> float:
        product = 1.0
        for statement in self.program.body:
            if isinstance(statement, Factor) and statement.verb != "guide":
                product *= float(self._enumeration.value(statement.expression, {"q": value}))
        return product


def chain(tokens: list[str], order: int, law: Callable[[tuple[int, ...]], Any]) -> ToyModel:
    """A chain whose law after each context is `law(context)`, made to sum to one."""
    size = len(tokens) + 1
    rows = []
    for context in itertools.product(range(-1, size), repeat=order):
        weights = np.asarray(law(context), dtype=float)
        rows.append([list(context), (weights / weights.sum()).tolist()])
    return ToyModel({"vocab": [*tokens, "<end>"], "eos": size - 1, "lm": {"order": order, "table": rows}})


def dirichlet(seed: int, size: int, concentration: float) -> Callable[[tuple[int, ...]], Any]:
    generator = np.random.default_rng(seed)
    return lambda context: generator.dirichlet(np.full(size, concentration)) + 1e-3


def asked(*factors: Any, **settings: Any) -> Program:
    return program(turn("text", text(hole("q"))), *factors, **settings)


def synchronous(
    name: str, model: ToyModel, spoken: Language, *factors: Any, known: Functions | None = None
) -> Instance:
    """Particles meet after every token."""
    known = known or Functions()
    one = known.add("one", lambda q: 1.0, prefix="any")
    return Instance(name, asked(factor("guide", one("q"), "q.token"), *factors), model, spoken, known)


def coin() -> Instance:
    laws = {-1: [0.6, 0.3, 0.1], 0: [0.01, 0.2, 0.79], 1: [0.1, 0.5, 0.4], 2: [1, 1, 1]}
    return Instance("coin", asked(), chain(["a", "b"], 1, lambda c: laws[c[0]]), language(["aa", "ab", "ba", "bbb"]))


def trap() -> Instance:
    """After `a` only `d`s may come, which the model hardly ever writes, and never twice in a row."""

    def law(context: tuple[int, ...]) -> list[float]:
        last = context[-1]
        if last == -1:
            return [0.9, 0.06, 0.02, 0.01, 0.01]
        if last in (0, 3):
            return [0.3, 0.3, 0.3, 0.05 * (last == 0), 0.1]
        return [0.2, 0.3 + 0.1 * (context[0] == 2), 0.2, 0.1, 0.2]

    texts = ["addddd", *("b" + "".join(rest) for size in range(1, 8) for rest in itertools.product("bc", repeat=size))]
    return synchronous("trap", chain(["a", "b", "c", "d"], 2, law), language(texts))


def ngram_dfa() -> Instance:
    generator = np.random.default_rng(11)
    table, accepts = generator.integers(0, 5, size=(5, 3)), generator.random(5) < 0.4

    def is_accepted(word: str) -> bool:
        state = 0
        for letter in word:
            state = int(table[state, "abc".index(letter)])
        return bool(accepts[state])

    words = ("".join(word) for size in range(1, 6) for word in itertools.product("abc", repeat=size))
    model = chain(["a", "b", "c"], 2, dirichlet(5, 4, 0.5))
    return synchronous("ngram_dfa", model, language(filter(is_accepted, words)))


def balanced(longest: int) -> list[str]:
    found, edge = [], {""}
    for _ in range(longest):
        edge = {word + letter for word in edge for letter in "()"}
        edge = {word for word in edge if _depth(word) is not None and _depth(word) <= longest - len(word)}
        found += sorted(word for word in edge if _depth(word) == 0)
    return found


def _depth(word: str) -> int | None:
    depth = 0
    for letter in word:
        depth += 1 if letter == "(" else -1
        if depth < 0:
            return None
    return depth


def _openers(context: tuple[int, ...]) -> list[float]:
    return {-1: [0.9, 0.0, 0.09, 0.01], 0: [0.55, 0.3, 0.1, 0.05], 1: [0.35, 0.3, 0.15, 0.2]}.get(
        context[0], [0.3, 0.25, 0.2, 0.25]
    )


def dyck() -> Instance:
    return synchronous("dyck", chain(["(", ")", "()"], 1, _openers), language(balanced(8)))


def dyck_kill() -> Instance:
    functions = Functions()
    short = functions.add("short", lambda q: len(q) <= 8, BOOL)
    model = chain(["(", ")", "()"], 1, _openers)
    return synchronous("dyck_kill", model, language(balanced(12)), factor("require", short("q")), known=functions)


CLAUSES = ["a;", "b;", "ab;", "ba;", "c;", "cc;"]


def clause_sites(text_: bytes) -> tuple[Site, ...]:
    found, start = [], 0
    for end, byte in enumerate(text_, 1):
        if byte == ord(";"):
            found.append(Site("clause", start, end))
            start = end
    return tuple(found)


def _clauses(name: str, made: Program, functions: Functions) -> Instance:
    texts = ["".join(word) for size in (1, 2, 3) for word in itertools.product(CLAUSES, repeat=size)]
    model = chain(["a", "b", "c", ";", "ab"], 1, dirichlet(21, 6, 0.9))
    return Instance(name, made, model, language(texts, ("clause",), clause_sites), functions)


def _clause_score(q: str) -> float:
    return (0.2 + q.count("a")) ** 2 * (2.5 if "cc" in q else 0.4)


def clauses(boundary: str = "clause", name: str = "clauses", **settings: Any) -> Instance:
    functions = Functions()
    score = functions.add("score", _clause_score, prefix="any")
    return _clauses(name, asked(factor("score", score("q"), f"q.{boundary}"), **settings), functions)


def clauses_token() -> Instance:
    return clauses("token", "clauses_token")


def clauses_zero() -> Instance:
    functions = Functions()
    score = functions.add("score", _clause_score, prefix="any")
    fits = functions.add("fits", lambda q: "b;b" not in q and not q.startswith("c;"), BOOL, prefix="closed")
    factors = (factor("require", fits("q"), "q.clause"), factor("score", score("q"), "q.clause"))
    return _clauses("clauses_zero", asked(*factors), functions)


def clauses_power() -> Instance:
    return clauses("clause", "clauses_power", power=2.0)


def guided() -> Instance:
    functions = Functions()
    hope = functions.add("hope", lambda q: 3.0 if q.endswith("a;") else 0.5, prefix="any")
    return _clauses("guided", asked(factor("guide", hope("q"), "q.clause")), functions)


def checked() -> Instance:
    functions = Functions()
    fits = functions.add("fits", lambda q: "bab" not in q and "aaa" not in q, BOOL, prefix="any")
    texts = ["".join(word) for size in range(2, 6) for word in itertools.product("ab", repeat=size)]
    model = chain(["a", "b", "ab", "ba", "bb"], 1, dirichlet(41, 6, 0.7))
    return Instance("checked", asked(factor("require", fits("q"), "q.token")), model, language(texts), functions)


def tokens() -> Instance:
    texts = ["".join(word) for size in range(2, 7) for word in itertools.product("ab", repeat=size)]
    spoken = [word for word in texts if "bbb" not in word and not word.endswith("aa")]
    model = chain(["a", "b", "ab", "ba", "aab", "bb"], 1, dirichlet(33, 7, 0.6))
    return synchronous("tokens", model, language(spoken))


INSTANCES: dict[str, Callable[[], Instance]] = {
    make.__name__: make
    for make in (
        coin,
        trap,
        ngram_dfa,
        dyck,
        dyck_kill,
        clauses,
        clauses_token,
        clauses_zero,
        clauses_power,
        guided,
        checked,
        tokens,
    )
}
