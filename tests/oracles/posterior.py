"""The measure that a program denotes, by enumeration over token sequences (language reference, 2.2.2).

Slow and obvious: it walks the statements, not a plan, and tries every token in every hole. It shares
with the product only the tree of the program and the value of an expression.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from oracles.enumerated import Language, splits

from smcdsl.errors import Source, Span
from smcdsl.prefixes import Prefixes
from smcdsl.program.evaluation import evaluate, freeze, potential_calls, render
from smcdsl.program.expressions import Expression, Name
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
    Scope,
    Text,
    Turn,
)


@dataclass(frozen=True)
class Close:
    role: str


@dataclass(frozen=True)
class LoopEnd:
    loop: Loop
    items: tuple[Any, ...]


@dataclass(frozen=True)
class Unbind:
    values: tuple[tuple[str, Any], ...]


MISSING = object()


def given(text: str) -> Given:
    span = Span(Source("", ""), 0, 0)
    return Given(text, span)


@dataclass(frozen=True)
class State:
    context: tuple[int, ...]
    values: Mapping[str, Any]
    texts: Mapping[str, tuple[tuple[str, bytes], ...]]
    weight: float = 1.0
    pending: bytes = b""
    ended: bool = False
    roles: tuple[str, ...] = ()


class Enumeration:
    """All ways through a program, for one model and given inputs."""

    def __init__(
        self,
        program: Program,
        model: Any,
        languages: Mapping[str, Language],
        functions: Callable[[Any], Any],
    ) -> None:
        self.program, self.model, self.languages, self.functions = program, model, languages, functions
        self.prefixes = Prefixes()
        self.session = model.start(self.prefixes)
        self._rows: dict[tuple[int, ...], Any] = {}

    def states(self, inputs: Mapping[str, Any]) -> list[State]:
        """Final states with their weights; zero weights left out."""
        return list(self.run(self.program.body, State((), dict(inputs), {})))

    def total(self, inputs: Mapping[str, Any]) -> float:
        return math.fsum(state.weight for state in self.states(inputs))

    def masses(self, inputs: Mapping[str, Any]) -> dict[Any, float]:
        """Mass by the value of the return expression."""
        found: dict[Any, float] = {}
        for state in self.states(inputs):
            value = freeze(self.value(self.program.returns.expression, state.values))
            found[value] = found.get(value, 0.0) + state.weight
        return found

    def value(self, expression: Expression, values: Mapping[str, Any]) -> Any:
        results: dict[Any, Any] = {}
        while calls := potential_calls(expression, values, results):
            for call in calls:
                function = self.functions(call.signature)
                function = getattr(function, "function", function)
                if call.signature.batched >= 0:
                    arguments = list(call.arguments)
                    arguments[call.signature.batched] = [arguments[call.signature.batched]]
                    results[call.key] = function(*arguments)[0]
                else:
                    results[call.key] = function(*call.arguments)
        return evaluate(expression, values, results)

    def row(self, context: tuple[int, ...]) -> Any:
        if context not in self._rows:
            prefix = self.prefixes.extend(0, context)
            logprobs = self.session.next_logprobs(np.array([prefix]))[0].astype(np.float64)
            law = np.exp(logprobs / self.program.model.temperature)
            law = law if self.program.model.temperature == 1.0 else law / law.sum()
            self._rows[context] = law**self.program.model.power
        return self._rows[context]

    def run(self, todo: tuple[Any, ...], state: State) -> Iterator[State]:
        if state.weight == 0:
            return
        if not todo:
            yield state
            return
        item, rest = todo[0], todo[1:]
        if isinstance(item, Hole):
            for after in self.hole(item, rest, self.flush(state)):
                yield from self.run(rest, after)
            return
        todo, state = self.step(item, rest, state)
        yield from self.run(todo, state)

    def step(self, item: Any, rest: tuple[Any, ...], state: State) -> tuple[tuple[Any, ...], State]:
        match item:
            case Turn(role=role, body=body):
                if role == "text":
                    context = state.context or tuple(self.model.begin_text())
                else:
                    context = state.context + self.model.turn(state.roles, role).opening
                return (*body, Close(role), *rest), replace(state, context=context)
            case Close(role=role):
                return rest, self.close(role, state)
            case Text(template=template):
                return (*template.parts, *rest), state
            case Given(text=text):
                return rest, replace(state, pending=state.pending + text.encode())
            case Insert(expression=expression):
                text = render(self.value(expression, state.values))
                return rest, replace(state, pending=state.pending + text.encode())
            case Observe(template=template):
                return rest, self.observe(template, self.flush(state))
            case Factor():
                return rest, replace(state, weight=state.weight * self.factor(item, state))
            case Let(name=name, expression=expression):
                value = self.value(expression, state.values)
                return rest, replace(state, values={**state.values, name: value})
            case Scope(bindings=bindings, body=body):
                new = {name: self.value(expression, state.values) for name, expression in bindings}
                old = tuple((name, state.values.get(name, MISSING)) for name in new)
                return (*body, Unbind(old), *rest), replace(state, values={**state.values, **new})
            case Unbind(values=values):
                kept = {**state.values, **dict(values)}
                return rest, replace(state, values={k: v for k, v in kept.items() if v is not MISSING})
            case Branch(condition=condition, then=then, otherwise=otherwise):
                body = then if self.value(condition, state.values) else otherwise
                return (*body, *rest), state
            case Loop(first=first, last=last):
                start = self.value(first, state.values)
                items = tuple(start) if last is None else tuple(range(start, self.value(last, state.values) + 1))
                return (LoopEnd(item, items), *rest), state
            case LoopEnd(loop=loop, items=items):
                if not items:
                    return rest, state
                values = {**state.values, loop.variable: items[0]}
                return (*loop.body, LoopEnd(loop, items[1:]), *rest), replace(state, values=values)
            case Break():
                while not isinstance(rest[0], LoopEnd):
                    left, rest = rest[0], rest[1:]
                    if isinstance(left, Close):
                        state = self.close(left.role, state)
                return rest[1:], state
        raise AssertionError(item)

    def close(self, role: str, state: State) -> State:
        if role == "text":
            return state
        state = self.flush(state)
        closing = self.model.turn(state.roles, role).closing
        context = state.context + (closing[1:] if state.ended else closing)
        return replace(state, context=context, ended=False, roles=(*state.roles, role))

    def flush(self, state: State) -> State:
        if not state.pending:
            return state
        tokens = self.model.encode(state.pending.decode(), starts_text=not state.context)
        return replace(state, context=state.context + tuple(tokens), pending=b"")

    def observe(self, template: Any, state: State) -> State:
        text = "".join(
            part.text if isinstance(part, Given) else render(self.value(part.expression, state.values))
            for part in template.parts
        )
        weight, context = state.weight, state.context
        for token in self.model.encode(text, starts_text=not context):
            weight *= self.row(context)[token]
            context += (token,)
        return replace(state, weight=weight, context=context)

    def following(self, hole: Hole, rest: tuple[Any, ...], state: State) -> bytes | None:
        """The given text right after the hole; None if its turn ends there."""
        text = ""
        unknown = {hole.name}
        for item in rest:
            parts = item.template.parts if isinstance(item, Text) else (item,)
            for part in parts:
                if isinstance(part, Given):
                    text += part.text
                elif isinstance(part, Insert):
                    try:
                        values = {name: value for name, value in state.values.items() if name not in unknown}
                        text += render(self.value(part.expression, values))
                    except Exception:
                        return text.encode()
                elif isinstance(part, Factor) or (isinstance(part, Close) and part.role == "text"):
                    pass
                elif isinstance(part, Turn) and part.role == "text":
                    index = rest.index(item)
                    return self.following(hole, (*map(given, [text]), *part.body, *rest[index + 1 :]), state)
                elif isinstance(part, Close):
                    return text.encode() or None
                elif isinstance(part, Let | Unbind):
                    return text.encode() or None if text else self.following(hole, rest[rest.index(item) + 1 :], state)
                elif text or isinstance(part, Hole | Observe | Turn):
                    return text.encode()
                elif isinstance(part, LoopEnd | Branch | Loop):
                    # Nothing is given before the branch: whichever way, the turn must end.
                    return None
        return text.encode() or None

    def hole(self, hole: Hole, rest: tuple[Any, ...], state: State) -> Iterator[State]:
        language = self.languages[hole.key or hole.name]
        following = self.following(hole, rest, state)
        for text, written, context, weight in self.admissible(language, following, state.context):
            values, texts = dict(state.values), dict(state.texts)
            if hole.name != "_":
                value: Any = self.convert(hole, text.decode())
                own = ((hole.key or hole.name, text),)
                values[hole.name] = [*values.get(hole.name, ()), value] if hole.collects else value
                texts[hole.name] = (*texts.get(hole.name, ()), *own) if hole.collects else own
            skip = written if following else 0
            yield Skipping.skip(
                replace(
                    state,
                    context=context,
                    values=values,
                    texts=texts,
                    weight=state.weight * weight,
                    ended=following is None,
                ),
                skip,
            )

    def convert(self, hole: Hole, text: str) -> Any:
        declared = self.program.holes[hole.key or hole.name].type
        name = declared.item.name if declared.name == "list" and declared.item else declared.name
        return {"int": int, "float": float}.get(name, str)(text)

    def admissible(
        self, language: Language, following: bytes | None, context: tuple[int, ...]
    ) -> Iterator[tuple[bytes, int, tuple[int, ...], float]]:
        """(hole's text, bytes of `following` written, context, probability) of every admissible sequence."""
        vocabulary = self.model.vocabulary
        stack = [(b"", context, 1.0)]
        while stack:
            text, context, weight = stack.pop()
            row = self.row(context)
            for token in np.flatnonzero(row > 0).tolist():
                after, probability = (*context, token), weight * row[token]
                if token in vocabulary.end_of_turn:
                    if following is None and text in language.texts:
                        yield text, 0, after, probability
                    continue
                longer = text + vocabulary.token_bytes[token]
                if longer == text:
                    continue
                ends = [] if following is None else splits(language.texts, following, longer)
                if ends:
                    yield longer[: min(ends)], len(longer) - min(ends), after, probability
                elif any((other + (following or b"")).startswith(longer) for other in language.texts):
                    stack.append((longer, after, probability))

    def factor(self, factor: Factor, state: State) -> float:
        if factor.verb == "guide":
            return 1.0
        if factor.each is None:
            return float(self.value(factor.expression, state.values))
        product = 1.0
        if isinstance(factor.each.source, Name):
            for item in state.values[factor.each.source.name]:
                product *= float(self.value(factor.expression, {**state.values, factor.each.variable: item}))
            return product
        hole, rule = factor.each.source.base.name, factor.each.source.name
        for key, text in state.texts.get(hole, ()):
            for site in self.languages[key].sites_of(text):
                if site.rule == rule:
                    values = {**state.values, factor.each.variable: text[site.start : site.end].decode()}
                    product *= float(self.value(factor.expression, values))
        return product


class Skipping(bytes):
    """Pending text that drops its first bytes: the model has written them."""

    missing: int = 0

    @classmethod
    def skip(cls, state: State, number: int) -> State:
        pending = cls()
        pending.missing = number
        return replace(state, pending=pending)

    def __add__(self, more: bytes) -> bytes:
        dropped = min(self.missing, len(more))
        longer = type(self)(bytes(self) + more[dropped:])
        longer.missing = self.missing - dropped
        return longer
