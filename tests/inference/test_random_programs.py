"""Random programs: the exact mean evidence of smc and is equals the mass that enumeration finds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from building import (
    NOWHERE,
    Functions,
    binary,
    branch,
    constant,
    each,
    expression,
    factor,
    hole,
    insert,
    leave,
    let,
    loop,
    observe,
    program,
    text,
    turn,
)
from hypothesis import HealthCheck, assume, event, given, note, settings
from hypothesis import strategies as st
from oracles.enumerated import Language, language, letters_of, runs_of
from running import enumerated, exact_evidence, toy

from smcdsl.compiler.compile import compile_program
from smcdsl.program.expressions import BuiltinCall, Name
from smcdsl.program.statements import Scope
from smcdsl.program.types import BOOL

WORDS = ["a", "b", "ab", "ba", "bb", "aab"]
TOKENS = ["a", "b", ";", "ab", "b;"]
MOST_PATHS = 3_000


def functions_of() -> tuple[Functions, dict[str, Any]]:
    functions = Functions()
    made = {
        "few": functions.add("few", lambda q: q.count("b") < 2, BOOL, prefix="any"),
        "rich": functions.add("rich", lambda q: (0.5 + q.count("a")) ** 2, prefix="any"),
        "ends": functions.add("ends", lambda q: 0.0 if q.endswith("a") else 1.5),
        "liked": functions.add("liked", lambda c: {"a": 1.5, "b": 0.25, "bb": 0.0}.get(c, 0.75)),
        "fits": functions.add("fits", lambda c, q: len(c) + len(q) < 5, BOOL, parameters=2, prefix="any"),
    }
    return functions, made


@dataclass
class Writer:
    """Draws statements; `known` are holes with a value at this point."""

    draw: Any
    made: dict[str, Any]
    languages: dict[str, Language] = field(default_factory=dict)
    names: int = 0

    def fresh(self) -> str:
        self.names += 1
        return f"x{self.names}"

    def block(self, known: list[str], depth: int, size: int) -> list[Any]:
        """Statements that may stand in a `text` block; `known` grows by the holes that are always written."""
        body: list[Any] = []
        for _ in range(self.draw(st.integers(1, size))):
            kinds = ["hole", "given", "observe"] + (["factor", "let", "each"] if known else [])
            kinds += ["branch", "loop", "scope"] if depth and known else []
            body += getattr(self, self.draw(st.sampled_from(kinds)))(known, depth)
        return body

    def hole(self, known: list[str], depth: int) -> list[Any]:
        name = self.write()
        known.append(name)
        return [text(hole(name), ";")] + (self.factor([name], depth) if self.draw(st.booleans()) else [])

    def write(self) -> str:
        name = self.fresh()
        words = self.draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=3, unique=True))
        letters, runs = letters_of("ab"), runs_of("ab")
        self.languages[name] = language(words, ("letter", "run"), lambda q: letters(q) + runs(q))
        return name

    def given(self, known: list[str], depth: int) -> list[Any]:
        return [text(self.draw(st.sampled_from(["a", "b;", "ab"])))]

    def observe(self, known: list[str], depth: int) -> list[Any]:
        return [observe("a", insert(self.draw(st.sampled_from(known))))] if known else [observe("b")]

    def factor(self, known: list[str], depth: int) -> list[Any]:
        name = self.draw(st.sampled_from(known))
        verb, potential = self.draw(
            st.sampled_from(
                [("require", "few"), ("score", "rich"), ("score", "ends"), ("guide", "rich"), ("score", "liked")]
            )
        )
        places = [f"{name}.{rule}" for rule in ("token", "letter", "run")] if potential in ("few", "rich") else []
        chosen = self.draw(st.lists(st.sampled_from(places), max_size=2, unique=True)) if places else []
        if verb == "guide" and not chosen:
            chosen = [f"{name}.letter"]
        return [factor(verb, self.made[potential](name), *chosen)]

    def each(self, known: list[str], depth: int) -> list[Any]:
        name = self.draw(st.sampled_from(known))
        rule = self.draw(st.sampled_from(["letter", "run"]))
        if self.draw(st.booleans()):
            return [each("score", self.made["liked"]("c"), "c", f"{name}.{rule}")]
        return [each("require", self.made["fits"]("c", name), "c", f"{name}.{rule}")]

    def let(self, known: list[str], depth: int) -> list[Any]:
        name, source = self.fresh(), self.draw(st.sampled_from(known))
        return [let(name, source), factor("score", self.made["rich"](name))]

    def branch(self, known: list[str], depth: int) -> list[Any]:
        condition = binary(self.draw(st.sampled_from(known)), "==", constant(self.draw(st.sampled_from(WORDS))))
        arms = [self.block(list(known), depth - 1, 2), self.block(list(known), depth - 1, 1)]
        return [branch(condition, *arms)]

    def loop(self, known: list[str], depth: int) -> list[Any]:
        name = self.write()
        body: list[Any] = [text(hole(name, collects=True), ";")]
        latest = self.fresh()
        body.append(let(latest, BuiltinCall(NOWHERE, "last", (Name(NOWHERE, name),))))
        body += self.factor([latest], depth) if self.draw(st.booleans()) else []
        if self.draw(st.booleans()):
            body.append(branch(binary(latest, "==", constant(self.draw(st.sampled_from(WORDS)))), [leave()]))
        if self.draw(st.booleans()):
            body.append(each("score", self.made["liked"]("c"), "c", f"{name}.letter"))
        return [loop("i", constant(1), constant(2), *body)]

    def scope(self, known: list[str], depth: int) -> list[Any]:
        name = self.fresh()
        inner = [text(insert(name)), *self.factor([name], 0)]
        return [Scope(NOWHERE, ((name, expression(self.draw(st.sampled_from(known)))),), tuple(inner))]


@st.composite
def programs(draw: Any) -> tuple[Any, dict[str, Language], Functions]:
    functions, made = functions_of()
    writer = Writer(draw, made)
    known: list[str] = []
    first = writer.hole(known, 0)
    body = first + writer.block(known, 1, 3)
    if draw(st.booleans()):
        body += [text("a", hole(writer.write()))]
    outside = writer.factor(known, 0) if draw(st.booleans()) else []
    return program(turn("text", *body), *outside, returns=known[0]), writer.languages, functions


@pytest.mark.parametrize("method", ["is", "smc"])
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(programs(), st.integers(0, 5))
def test_the_mean_evidence_is_the_enumerated_mass(method: str, case: Any, seed: int) -> None:
    made, languages, functions = case
    model = toy(TOKENS, seed=seed, zeros=0.3 * (seed % 2))
    note(str(compile_program(made)))
    expected = enumerated(made, model, languages, functions)
    how: dict[str, Any] = {"method": "is", "particles": 1}
    if method == "smc":
        schemes = ["systematic", "stratified", "residual", "multinomial"]
        how = {"method": "smc", "particles": 2, "ess_threshold": 1.0, "resample": schemes[seed % 4]}
    try:
        found = exact_evidence(made, model, languages, functions, limit=MOST_PATHS, **how)
    except AssertionError as error:
        assume("too many paths" not in str(error))
        raise
    event("some mass" if expected["Z"] else "no mass")
    assert found.keys() == expected.keys()
    for name, mass in expected.items():
        assert found[name] == pytest.approx(mass, rel=1e-12, abs=0.0), name
