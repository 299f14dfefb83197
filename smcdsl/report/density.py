"""The density of a program, read off its transcript: what a run samples from, as a formula in words.

The meaning is that of the language reference, 2.2: a hole is the model's probability times membership in its grammar,
`require` is an indicator, `score` a factor, `observe` a likelihood; given text and guides are no factors.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from smcdsl.program.expressions import Binary, Expression
from smcdsl.program.program import Program
from smcdsl.program.statements import (
    Branch,
    Break,
    Factor,
    Given,
    Hole,
    Insert,
    Let,
    Loop,
    Observe,
    Part,
    Scope,
    Statement,
    Text,
    Turn,
)
from smcdsl.report.visible import escape, shorten

_LONGEST = 60
TIMES = "  *  "


@dataclass(frozen=True)
class Definition:
    """`let name = expression`: no factor, but a name in those that follow."""

    name: str
    text: str


def density(program: Program) -> list[str]:
    """The factors of the unnormalised density in the order of the program, each on one line."""
    return list(_Walk(program).statements(program.body))


def definitions(body: Sequence[Statement]) -> list[Definition]:
    """The `let`s of a transcript, those of inner blocks too."""
    found = []
    for statement in body:
        if isinstance(statement, Let):
            found.append(Definition(statement.name, one_line(statement.expression)))
        for inner in inner_bodies(statement):
            found += definitions(inner)
    return found


def inner_bodies(statement: Statement) -> tuple[Sequence[Statement], ...]:
    """The blocks inside a statement."""
    match statement:
        case Turn(body=body) | Loop(body=body) | Scope(body=body):
            return (body,)
        case Branch(then=then, otherwise=otherwise):
            return (then, otherwise)
    return ()


def one_line(expression: Expression) -> str:
    """An expression as the program writes it, on one line."""
    return " ".join(expression.span.text.split())


class _Walk:
    """One walk over a transcript; knows whether the model has written anything yet."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.before = "prompt"
        self.end = "end of turn" if program.uses_chat else "end of text"

    def statements(self, body: Sequence[Statement], rest: Sequence[Statement] = ()) -> Iterator[str]:
        """The factors of a block; `rest` is what follows it in its turn."""
        for index, statement in enumerate(body):
            yield from self._statement(statement, [*body[index + 1 :], *rest])

    def _statement(self, statement: Statement, rest: Sequence[Statement]) -> Iterator[str]:
        match statement:
            case Turn(body=body):
                yield from self.statements(body)
            case Scope(body=body):
                yield from self.statements(body, rest)
            case Text(template=template):
                yield from self._parts(template.parts, rest)
            case Observe(template=template):
                text = "".join(_shown(part) for part in template.parts)
                yield f'p_lm("{shorten(text, _LONGEST)}" | {self.before}){self._power}'
                self.before = "text so far"
            case Factor():
                yield from terms(statement)
            case Branch(condition=condition, then=then, otherwise=otherwise):
                yield from self._branch(one_line(condition), then, otherwise, rest)
            case Loop(variable=variable, first=first, last=last, body=body):
                over = one_line(first) + (f"..{one_line(last)}" if last is not None else "")
                inner = TIMES.join(self.statements(body, [statement, *rest]))
                if inner:
                    yield f"product over {variable} in {over} of ({inner})"
            case Break():
                yield "[the loop ends here]"

    def _branch(
        self,
        condition: str,
        then: Sequence[Statement],
        otherwise: Sequence[Statement],
        rest: Sequence[Statement],
    ) -> Iterator[str]:
        before = self.before
        first = TIMES.join(self.statements(then, rest))
        after, self.before = self.before, before
        second = TIMES.join(self.statements(otherwise, rest))
        if self.before == before:
            self.before = after
        if first or second:
            yield f"(if {condition}: {first or '1'}; else: {second or '1'})"

    def _parts(self, parts: Sequence[Part], rest: Sequence[Statement]) -> Iterator[str]:
        for index, part in enumerate(parts):
            if isinstance(part, Hole):
                following = self._following(parts[index + 1 :], rest)
                yield f"p_lm({part.name}, {following} | {self.before}){self._power}"
                yield f"[{part.name} in {self._grammar(part)}]"
                self.before = "text so far"

    def _following(self, parts: Sequence[Part], rest: Sequence[Statement]) -> str:
        """What tells the model that the hole has ended."""
        given = next((part for part in parts if not isinstance(part, Given) or part.text), None)
        if given is None:
            texts = next((each for each in rest if isinstance(each, Text | Branch | Loop | Scope | Observe)), None)
            if texts is None:
                return self.end
            if not isinstance(texts, Text) or not texts.template.parts:
                return "what follows"
            given = texts.template.parts[0]
        return f'"{shorten(_shown(given), 20)}"' if isinstance(given, Given) else _shown(given)

    def _grammar(self, hole: Hole) -> str:
        span = self.program.holes[hole.key or hole.name].grammar.span
        return shorten(" ".join(span.text.split()), _LONGEST) if span is not None else "its grammar"

    @property
    def _power(self) -> str:
        power = self.program.model.power
        return "" if power == 1.0 else f" ^ {power:g}"


def terms(factor: Factor) -> Iterator[str]:
    """What a factor multiplies by, on one line; nothing for a guide."""
    if factor.verb == "guide":
        return
    text = one_line(factor.expression)
    if factor.verb == "require":
        text = f"[{text}]"
    elif isinstance(factor.expression, Binary) and factor.expression.operator != "^":
        text = f"({text})"
    if factor.each is None:
        yield text
    else:
        yield f"product over {factor.each.variable} in {one_line(factor.each.source)} of {text}"


def _shown(part: Part) -> str:
    match part:
        case Given(text=text):
            return escape(text)
        case Insert(expression=expression):
            return f"{{{{ {one_line(expression)} }}}}"
        case Hole(name=name):
            return f"[[{name}]]"
