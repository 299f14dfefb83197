"""Instances of the battery made otherwise: with compiled grammars, or with potentials that worker processes judge.

The masses are those of the plain instances, enumerated without any of it.
"""

from __future__ import annotations

import atexit
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import clause_potentials
from battery import instance
from building import Functions, factor, hole
from oracles.instances import Instance, asked

from smcdsl.automaton.automaton import TokenAutomaton
from smcdsl.automaton.contexts import contexts_of
from smcdsl.compiler.assemble import compile_grammar
from smcdsl.compiler.compile import compile_program
from smcdsl.inference.lookahead.counts import Counts
from smcdsl.inference.lookahead.learning import Recorder
from smcdsl.inference.lookahead.twists import Twist
from smcdsl.inference.methods import RunRequest, Settings, run
from smcdsl.notations.lark import load_lark
from smcdsl.program.expressions import FunctionCall, Name
from smcdsl.program.grammar import Limit
from smcdsl.program.types import BOOL, STR, WEIGHT, Parameter, PotentialFacts, PythonLocation, Signature
from smcdsl.protocols import Facts, Potential
from smcdsl.workers import WorkerPools

LARK = {
    "dyck": 'start: group+\ngroup: "(" group* ")"',
    "clauses": "// smcdsl: boundaries clause\nstart: clause | clause clause | clause clause clause\n"
    'clause: WORD ";"\nWORD: /a|b|ab|ba|c|cc/',
    "tokens": "",
}
"""Grammars with the texts of the instances; where there is none, one terminal spells them all."""


@dataclass
class Remade(Instance):
    """An instance that runs in another way; `plain` has its masses."""

    plain: Instance = field(kw_only=True)
    tokens: TokenAutomaton | None = field(kw_only=True, default=None)

    @cached_property
    def masses(self) -> dict[Any, float]:
        return self.plain.masses

    def provide(self, key: str, inputs: Any, following: bytes | None) -> Any:
        return self.plain.automaton if self.tokens is None else self.tokens


@cache
def written(name: str) -> Remade:
    """An instance whose texts a compiled grammar says."""
    plain = instance(name)
    texts = sorted((text.decode() for text in plain.language.texts), key=lambda text: (-len(text), text))
    grammar = load_lark(LARK[name] or f"start: WORD\nWORD: /{'|'.join(texts)}/")
    if name == "dyck":
        grammar = replace(grammar, conditions=(Limit("chars", None, 8),))
    automaton = TokenAutomaton(compile_grammar(grammar, plain.model.vocabulary), None)
    return Remade(
        f"written {name}", plain.program, plain.model, plain.language, plain.functions, plain=plain, tokens=automaton
    )


@cache
def counts_of(name: str, runs: int, particles: int) -> Counts:
    """What some runs learn of a written instance, on seeds that no test has."""
    problem = written(name)
    recorder = Recorder(lambda known: None)
    run(
        compile_program(problem.program),
        problem.model,
        [RunRequest({}, 2**63 + seed) for seed in range(runs)],
        automata=problem.provide,
        functions=problem.functions,
        settings=Settings(particles=particles),
        recorder=recorder,
    )
    ((_, counts),) = recorder.after
    return counts


@cache
def twist(name: str, amount: str) -> Twist:
    """Learned from `much`, or from so `little` that the compiled masses stand for most contexts."""
    counts = counts_of(name, 4, 32) if amount == "much" else counts_of(name, 1, 3)
    tokens = written(name).tokens
    assert tokens is not None
    return Twist(contexts_of(tokens), counts, 1.0)


class LateFunctions(Functions):
    """Potentials that two worker processes judge."""

    def judged(self, name: str, result: Any, prefix: str) -> FunctionCall:
        function = getattr(clause_potentials, name)
        self.functions[name] = Potential(function, Facts(prefix=prefix), name)
        path = str(Path(clause_potentials.__file__))
        facts = PotentialFacts(workers=1, prefix=prefix)
        made = Signature(name, (Parameter("q", STR),), result, facts, PythonLocation(name, path=path), True, -1)
        return FunctionCall(hole("q").span, made, (Name(hole("q").span, "q"),))


@cache
def late(name: str) -> Remade:
    """An instance with clauses whose previews come one clause later."""
    plain, functions = instance(name), LateFunctions()
    factors = [factor("score", functions.judged("score", WEIGHT, "any"), "q.clause")]
    if name == "clauses_zero":
        factors.insert(0, factor("require", functions.judged("fits", BOOL, "closed"), "q.clause"))
    return Remade(f"late {name}", asked(*factors), plain.model, plain.language, functions, plain=plain)


@cache
def pools() -> WorkerPools:
    """The processes of all late instances, until the tests end."""
    made = WorkerPools()
    atexit.register(made.close)
    return made
