"""Plan: a program lowered to flat instructions with jumps, its factors by the place where they are judged.

Control flow is data: a particle carries its position in `Plan.instructions` and an environment. Names
that begin with a NUL character are the plan's own (loop counters, shadowed names) and never the user's.
A plan knows no vocabulary; token automata are made for its holes when inputs are known.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Literal

from smcdsl.errors import Span
from smcdsl.program.evaluation import function_calls
from smcdsl.program.expressions import Expression
from smcdsl.program.program import Program
from smcdsl.program.statements import Given, Insert, TurnRole


@dataclass(frozen=True)
class Instruction:
    """Base of the instructions; execution goes on with the next one unless they say otherwise."""

    span: Span | None = field(repr=False, compare=False)


@dataclass(frozen=True)
class OpenTurn(Instruction):
    """The chat template's opening of a turn; nothing but a begin-of-text token for `text`."""

    role: TurnRole


@dataclass(frozen=True)
class CloseTurn(Instruction):
    """The chat template's closing, but for the token that a hole has ended itself with; nothing for `text`."""

    role: TurnRole


@dataclass(frozen=True)
class Emit(Instruction):
    """Given text. It is encoded together with the given text that follows, up to a hole or the turn's end."""

    parts: tuple[Given | Insert, ...]


@dataclass(frozen=True)
class Write(Instruction):
    """The model writes hole `key` and binds `name` (appends with `collects`; forgets `_`)."""

    key: str
    name: str
    collects: bool


@dataclass(frozen=True)
class ObserveText(Instruction):
    """Given text whose probability under the model is a factor."""

    parts: tuple[Given | Insert, ...]


@dataclass(frozen=True)
class Assign(Instruction):
    """Bind `name`; with `shadows`, keep the old value for `Restore`."""

    name: str
    expression: Expression
    shadows: bool = False


@dataclass(frozen=True)
class Restore(Instruction):
    """Give `names` the values they had before they were shadowed, or none."""

    names: tuple[str, ...]


@dataclass(frozen=True)
class StartLoop(Instruction):
    """Fix what loop number `loop` ranges over: the items of a list, or first..last."""

    loop: int
    variable: str
    first: Expression
    last: Expression | None


@dataclass(frozen=True)
class NextItem(Instruction):
    """Bind the loop's variable to its next item, or jump to `exit` where there is none."""

    loop: int
    variable: str
    exit: int


@dataclass(frozen=True)
class Jump(Instruction):
    """Go on at `target`."""

    target: int


@dataclass(frozen=True)
class JumpUnless(Instruction):
    """Go on at `target` if `condition` is false."""

    condition: Expression
    target: int


@dataclass(frozen=True)
class Judge(Instruction):
    """Multiply the final value of a factor into the weight and take its preview back."""

    factor: int


@dataclass(frozen=True)
class Occurrences:
    """`each variable in hole.rule`; `rule` is empty where the source is a list (`each x in notes`)."""

    variable: str
    hole: str
    rule: str


@dataclass(frozen=True)
class PlannedFactor:
    """A `require`, `score` or `guide`.

    `boundaries` are (hole name, boundary name). `name` is what counts and messages call it: the
    potential's name where it calls exactly one, else its text.
    """

    index: int
    verb: Literal["require", "score", "guide"]
    expression: Expression
    boundaries: tuple[tuple[str, str], ...]
    each: Occurrences | None
    name: str
    cost_seconds: float
    span: Span = field(repr=False, compare=False)

    def __str__(self) -> str:
        text = f"{self.verb} {_written(self.expression)}"
        if self.each is not None:
            return f"{text} each {self.each.variable} in {self.each.hole}.{self.each.rule}".rstrip(".")
        places = ", ".join(f"{hole}.{boundary}" for hole, boundary in self.boundaries)
        return f"{text} at {places}" if places else text

    @property
    def is_pure(self) -> bool:
        """Whether equal arguments give equal values (language reference, 2.2.7)."""
        return all(call.signature.facts.pure for call in function_calls(self.expression))


@dataclass(frozen=True)
class Plan:
    """What `inference` runs. The last instruction is followed by the end of the program."""

    program: Program = field(repr=False)
    instructions: tuple[Instruction, ...]
    factors: tuple[PlannedFactor, ...]

    @property
    def is_pure(self) -> bool:
        """Whether every factor is."""
        return all(factor.is_pure for factor in self.factors)

    def __str__(self) -> str:
        """One line an instruction, expressions as the program writes them."""
        lines = (self._line(instruction) for instruction in self.instructions)
        return "\n".join(f"{position:4d}  {line}" for position, line in enumerate(lines))

    def _line(self, instruction: Instruction) -> str:
        match instruction:
            case OpenTurn(role=role):
                return f"open {role}"
            case CloseTurn(role=role):
                return f"close {role}"
            case Emit(parts=parts):
                return f"give {_shown(parts)}"
            case Write(name=name, collects=collects):
                return f"write {name}{'[]' if collects else ''}"
            case ObserveText(parts=parts):
                return f"observe {_shown(parts)}"
            case Assign(name=name, expression=expression):
                return f"let {name.removeprefix(chr(0))} = {_written(expression)}"
            case Restore(names=names):
                return f"restore {', '.join(names)}"
            case StartLoop(loop=loop, first=first, last=last):
                return f"loop {loop} over {_written(first)}{'' if last is None else '..' + _written(last)}"
            case NextItem(loop=loop, variable=variable, exit=target):
                return f"next {variable} of loop {loop}, else go to {target}"
            case Jump(target=target):
                return f"go to {target}"
            case JumpUnless(condition=condition, target=target):
                return f"unless {_written(condition)} go to {target}"
            case Judge(factor=factor):
                return f"judge {self.factors[factor]}"
            case _:
                raise AssertionError(f"unknown instruction {type(instruction).__name__}")


def _shown(parts: tuple[Given | Insert, ...]) -> str:
    texts = (part.text if isinstance(part, Given) else "{{ " + _written(part.expression) + " }}" for part in parts)
    return json.dumps("".join(texts), ensure_ascii=False)


def _written(expression: Expression) -> str:
    return " ".join(expression.span.text.split()) or type(expression).__name__
