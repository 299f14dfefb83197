"""How large a run can get: every program ends, and what it may write and ask is bounded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from smcdsl.library.binding import outline_of
from smcdsl.program.expressions import BuiltinCall, Constant, Expression
from smcdsl.program.facts import GrammarFacts
from smcdsl.program.grammar import Limit
from smcdsl.program.program import Program
from smcdsl.program.statements import Factor, Hole, Loop, Statement, Text
from smcdsl.report.density import inner_bodies, one_line


@dataclass(frozen=True)
class _Times:
    """How often something comes: a number, for each item of some lists."""

    count: int = 1
    lists: tuple[str, ...] = ()

    def __str__(self) -> str:
        times = "" if self.count == 1 else f", {self.count} times"
        return times + "".join(f" for each of `{each}`" for each in self.lists)


@dataclass
class _Counts:
    """Holes by key, factors, and how often each may come."""

    holes: list[tuple[str, _Times]] = field(default_factory=list)
    factors: list[tuple[Factor, _Times]] = field(default_factory=list)


def bounds(program: Program, facts: GrammarFacts) -> list[str]:
    """Lengths of what is written, and judgements of a particle, at most."""
    counts = _Counts()
    _count(program.body, _Times(), counts)
    tokens = {key: _tokens(program, key) for key, _ in counts.holes}
    if all(most is not None for most in tokens.values()) and not any(times.lists for _, times in counts.holes):
        number = sum(times.count for _, times in counts.holes)
        total = sum((tokens[key] or 0) * times.count for key, times in counts.holes)
        lines = [f"at most {total} tokens in {number} hole{'s' if number > 1 else ''}"]
    else:
        lines = [
            f"{program.holes[key].name}: {_length(program, key, tokens[key], facts)}{times}"
            for key, times in counts.holes
        ]
    return lines + _judgements(counts, tokens, program)


def _judgements(counts: _Counts, tokens: dict[str, int | None], program: Program) -> list[str]:
    if not counts.factors:
        return []
    keys: dict[str, str] = {}
    for key, hole in program.holes.items():
        keys.setdefault(hole.name, key)
    looks = [
        (times, tokens.get(keys.get(boundary.hole or "", "")))
        for factor, times in counts.factors
        for boundary in factor.boundaries
        if boundary.name != "end"
    ]
    if any(most is None or times.lists for times, most in looks):
        early = "a preview at each site, at most one a token"
    else:
        previews = sum(times.count * (most or 0) for times, most in looks)
        early = f"at most {previews} previews" if previews else "no previews"
    final = [times for factor, times in counts.factors if factor.verb != "guide" and factor.each is None]
    number = sum(times.count for times in final)
    lists = "".join(dict.fromkeys(str(_Times(1, times.lists)) for times in final if times.lists))
    each = ", and one for each site of an `each`" if any(factor.each for factor, _ in counts.factors) else ""
    return [f"{early}, and {number} judgement{'s' if number != 1 else ''} at the end{lists}{each}, per particle"]


def _count(body: Sequence[Statement], times: _Times, counts: _Counts) -> None:
    for statement in body:
        inner = times
        if isinstance(statement, Loop):
            rounds = _rounds(statement)
            over = one_line(statement.first) + (f"..{one_line(statement.last)}" if statement.last is not None else "")
            inner = (
                _Times(times.count * rounds, times.lists)
                if rounds is not None
                else _Times(times.count, (*times.lists, over))
            )
        elif isinstance(statement, Text):
            for part in statement.template.parts:
                if isinstance(part, Hole):
                    counts.holes.append((part.key or part.name, times))
        elif isinstance(statement, Factor):
            counts.factors.append((statement, times))
        for block in inner_bodies(statement):
            _count(block, inner, counts)


def _rounds(loop: Loop) -> int | None:
    """How often a loop goes round at most; None where inputs say so."""
    if loop.last is None:
        return None
    first, last = _number(loop.first), _number(loop.last)
    return None if first is None or last is None else max(last - first + 1, 0)


def _number(expression: Expression) -> int | None:
    """A number that the expression cannot exceed."""
    match expression:
        case Constant(value=int(value)):
            return value
        case BuiltinCall(function="min", arguments=arguments):
            known = [value for value in map(_number, arguments) if value is not None]
            return min(known, default=None)
    return None


def _tokens(program: Program, key: str) -> int | None:
    """The most tokens that a hole's limits allow."""
    outline = outline_of(program.holes[key].grammar, program.grammars)
    limits = [limit for limit in outline.conditions if isinstance(limit, Limit) and limit.unit == "tokens"]
    return min([limit.most for limit in limits if isinstance(limit.most, int)], default=None)


def _length(program: Program, key: str, tokens: int | None, facts: GrammarFacts) -> str:
    """How long the text of a hole may be."""
    if tokens is not None:
        return f"at most {tokens} tokens"
    hole = program.holes[key]
    outline = outline_of(hole.grammar, program.grammars)
    most = [
        limit.most
        for limit in outline.conditions
        if isinstance(limit, Limit) and limit.unit == "chars" and isinstance(limit.most, int)
    ]
    least, longest = (hole.closed and facts.char_lengths(hole.closed)) or (0, None)
    longest = min([*most, *([] if longest is None else [longest])], default=None)
    if longest is None:
        return "as long as `max:` or the model's context allows"
    written = f"{longest} character{'s' if longest != 1 else ''}"
    return written if least == longest else f"at most {written}"
