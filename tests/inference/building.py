"""Programs by hand: a few words for the nodes that the parser and the resolver make."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from smcdsl.errors import Source, Span
from smcdsl.program.evaluation import PotentialCall, freeze
from smcdsl.program.expressions import Binary, Constant, Expression, Field, FunctionCall, Name
from smcdsl.program.grammar import LiteralText
from smcdsl.program.program import HoleDeclaration, ModelSettings, Program, Return
from smcdsl.program.statements import (
    Boundary,
    Branch,
    Break,
    Each,
    Factor,
    Given,
    Hole,
    Insert,
    Let,
    Loop,
    Observe,
    Statement,
    Template,
    Text,
    Turn,
)
from smcdsl.program.types import (
    STR,
    WEIGHT,
    Parameter,
    PotentialFacts,
    PythonLocation,
    Signature,
    Type,
    list_of,
)
from smcdsl.protocols import Facts, Potential

NOWHERE = Span(Source("test.smc", "test"), 0, 4)


def at(name: str) -> Span:
    """A span whose text is `name`."""
    return Span(Source("test.smc", name), 0, len(name))


class Functions:
    """Potentials of one test by name; also resolves their signatures."""

    def __init__(self) -> None:
        self.functions: dict[str, Any] = {}
        self.calls: dict[str, int] = {}

    def add(
        self,
        name: str,
        function: Callable[..., Any],
        result: Type = WEIGHT,
        parameters: int = 1,
        batched: int = -1,
        is_potential: bool = True,
        **facts: Any,
    ) -> Callable[..., FunctionCall]:
        def counted(*arguments: Any) -> Any:
            self.calls[name] = self.calls.get(name, 0) + 1
            return function(*arguments)

        self.functions[name] = Potential(counted, Facts(**facts), name)
        signature = Signature(
            name,
            tuple(Parameter(f"p{number}", STR) for number in range(parameters)),
            result,
            PotentialFacts(**facts),
            PythonLocation(name),
            is_potential,
            batched,
        )
        return lambda *arguments: FunctionCall(at(name), signature, tuple(map(expression, arguments)))

    def __call__(self, signature: Signature) -> Any:
        return self.functions[signature.name]


def expression(value: Any) -> Expression:
    return value if isinstance(value, Expression) else Name(at(value), value)


def constant(value: Any) -> Constant:
    return Constant(NOWHERE, value)


def binary(left: Any, operator: Any, right: Any) -> Binary:
    return Binary(NOWHERE, operator, expression(left), expression(right), NOWHERE)


def hole(name: str, collects: bool = False, key: str = "") -> Hole:
    return Hole(name, collects, LiteralText(""), at(name), NOWHERE, key or name)


def insert(value: Any) -> Insert:
    return Insert(expression(value), NOWHERE)


def template(*parts: Any) -> Template:
    made = tuple(Given(part, NOWHERE) if isinstance(part, str) else part for part in parts)
    return Template(made, NOWHERE)


def text(*parts: Any) -> Text:
    return Text(NOWHERE, template(*parts))


def turn(role: Any, *body: Any) -> Turn:
    made = tuple(item if isinstance(item, Statement) else text(item) for item in body)
    return Turn(NOWHERE, role, NOWHERE, made)


def observe(*parts: Any) -> Observe:
    return Observe(NOWHERE, template(*parts))


def factor(verb: Any, value: Any, *boundaries: str) -> Factor:
    made = tuple(Boundary(name.split(".")[1], NOWHERE, name.split(".")[0]) for name in boundaries)
    return Factor(NOWHERE, verb, expression(value), made)


def each(verb: Any, value: Any, variable: str, source: str) -> Factor:
    name, _, rule = source.partition(".")
    if not rule:
        return Factor(NOWHERE, verb, expression(value), (), Each(variable, NOWHERE, Name(NOWHERE, name)))
    return Factor(
        NOWHERE,
        verb,
        expression(value),
        (),
        Each(variable, NOWHERE, Field(NOWHERE, Name(NOWHERE, name), rule, NOWHERE)),
    )


def let(name: str, value: Any) -> Let:
    return Let(NOWHERE, name, NOWHERE, expression(value))


def branch(condition: Expression, then: Sequence[Statement], otherwise: Sequence[Statement] = ()) -> Branch:
    return Branch(NOWHERE, condition, tuple(then), tuple(otherwise))


def loop(variable: str, first: Any, last: Any, *body: Statement) -> Loop:
    return Loop(NOWHERE, variable, NOWHERE, expression(first), None if last is None else expression(last), body)


def leave() -> Break:
    return Break(NOWHERE)


def holes_of(statements: Sequence[Any]) -> list[Hole]:
    found = []
    for item in statements:
        if isinstance(item, Text):
            found += [part for part in item.template.parts if isinstance(part, Hole)]
        elif isinstance(item, Branch):
            found += holes_of(item.then) + holes_of(item.otherwise)
        elif hasattr(item, "body"):
            found += holes_of(item.body)
    return found


def program(
    *body: Statement,
    returns: Any = None,
    temperature: float = 1.0,
    power: float = 1.0,
    types: dict[str, Type] | None = None,
) -> Program:
    holes = holes_of(body)
    declared = {
        item.key: HoleDeclaration(
            item.name,
            item.collects,
            item.grammar,
            None,
            (),
            (types or {}).get(item.name, list_of(STR) if item.collects else STR),
            NOWHERE,
        )
        for item in holes
    }
    returned = Return("posterior", expression(returns or holes[0].name), None, STR)
    return Program(
        name="test",
        summary="",
        edition=1,
        source=NOWHERE.source,
        inputs=(),
        model=ModelSettings(temperature=temperature, power=power),
        grammars={},
        signatures={},
        holes=declared,
        body=tuple(body),
        returns=returned,
        profiles=(),
        tests=(),
    )


def call(made: Signature, *arguments: Any, prefix: bool = False) -> PotentialCall:
    """A call of a potential, keyed by its arguments."""
    return PotentialCall(made, arguments, prefix, (made.name, prefix, *map(freeze, arguments)), NOWHERE)
