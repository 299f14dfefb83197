"""Stepping: what an action does to a state, and plans as texts.

A state is the set of atoms that are true. An action's effects are worked out in the state before it; what it
deletes goes before what it adds comes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from smcdsl.potentials._pddl_formula import (
    TRUE,
    Formula,
    bindings,
    holds,
    read_formula,
    read_variables,
    substituted,
)
from smcdsl.potentials._pddl_model import Action, Atom, Domain, Problem, Types, check_atom
from smcdsl.potentials._pddl_reader import Listing, PddlMistake, read_all, read_prefix, show

State = frozenset[Atom]


@dataclass(frozen=True)
class Effect:
    """For all values of `variables` for which `condition` holds, `atom` becomes true or (not `adds`) false."""

    variables: tuple[tuple[str, Types], ...]
    condition: Formula
    atom: Atom
    adds: bool


@dataclass(frozen=True)
class Schema:
    """An action with its condition and effects read."""

    action: Action
    condition: Formula
    effects: tuple[Effect, ...]


@dataclass(frozen=True)
class Step:
    """An action with its arguments."""

    name: str
    arguments: tuple[str, ...]

    def __str__(self) -> str:
        return f"({' '.join((self.name, *self.arguments))})"


class Task:
    """A problem with its domain: all that is asked of them goes through here."""

    def __init__(self, domain: Domain, problem: Problem) -> None:
        self.domain = domain
        self.problem = problem
        self.schemas = {name: read_schema(domain, action) for name, action in domain.actions.items()}
        self._objects_of: dict[Types, list[str]] = {}

    @cached_property
    def goal(self) -> Formula:
        """The problem's own goal. Raises PddlMistake, also where it has none."""
        if self.problem.goal is None:
            raise PddlMistake(f"the problem `{self.problem.name}` has no goal")
        return read_formula(self.domain, self.problem.objects, self.problem.goal)

    @cached_property
    def fluents(self) -> frozenset[str]:
        """The predicates that actions change."""
        return frozenset(effect.atom[0] for schema in self.schemas.values() for effect in schema.effects)

    def objects_of(self, types: Types) -> list[str]:
        """The objects of a type."""
        if types not in self._objects_of:
            self._objects_of[types] = self.problem.of_types(self.domain, types)
        return self._objects_of[types]

    def mistake(self, step: Step) -> str | None:
        """What is wrong with a step whatever the state, or None."""
        schema = self.schemas.get(step.name)
        if schema is None:
            return f"there is no action `{step.name}`"
        parameters = schema.action.parameters
        if len(parameters) != len(step.arguments):
            return f"`{step.name}` takes {len(parameters)} objects, not {len(step.arguments)}"
        for argument, (_, types) in zip(step.arguments, parameters, strict=True):
            own = self.problem.objects.get(argument)
            if own is None:
                return f"there is no object `{argument}`"
            if not self.domain.fits(own, types):
                return f"`{argument}` is a {' or '.join(own)}, and `{step.name}` takes a {' or '.join(types)} there"
        return None

    def unmet(self, state: State, step: Step) -> Formula | None:
        """The first part of the condition that does not hold; the step must fit (`mistake`)."""
        schema = self.schemas[step.name]
        binding = _binding(schema, step)
        parts = schema.condition[1] if schema.condition[0] == "and" else (schema.condition,)
        for part in parts:
            if not holds(part, state, self.objects_of, binding):
                return part
        return None

    def after(self, state: State, step: Step) -> State:
        """The state after a step that is possible."""
        schema = self.schemas[step.name]
        binding = _binding(schema, step)
        added: set[Atom] = set()
        deleted: set[Atom] = set()
        for effect in schema.effects:
            changed = added if effect.adds else deleted
            for each in bindings(effect.variables, self.objects_of, binding) if effect.variables else (binding,):
                if effect.condition is TRUE or holds(effect.condition, state, self.objects_of, each):
                    changed.add(substituted(effect.atom, each))
        return frozenset((state - deleted) | added)

    def run(self, steps: Iterable[Step], state: State | None = None) -> tuple[State, str | None]:
        """Carry out steps from the initial state: where they lead, and why one is impossible, or None.

        The message names the step by its number and text.
        """
        current: State = self.problem.init if state is None else state
        for number, step in enumerate(steps, 1):
            wrong = self.mistake(step)
            if wrong is None and (unmet := self.unmet(current, step)) is not None:
                wrong = f"`{spell(unmet, _binding(self.schemas[step.name], step))}` does not hold"
            if wrong is not None:
                return current, f"step {number}, `{step}`: {wrong}"
            current = self.after(current, step)
        return current, None


def _binding(schema: Schema, step: Step) -> dict[str, str]:
    return {name: value for (name, _), value in zip(schema.action.parameters, step.arguments, strict=True)}


def read_schema(domain: Domain, action: Action) -> Schema:
    """The action with its formulas read. Raises PddlMistake."""
    types_of = {**domain.constants, **dict(action.parameters)}
    condition = TRUE if action.condition is None else read_formula(domain, types_of, action.condition)
    effects = () if action.effect is None else tuple(_effects(domain, types_of, action.effect, (), TRUE))
    return Schema(action, condition, effects)


def _effects(
    domain: Domain,
    types_of: Mapping[str, Types],
    node: Listing,
    variables: tuple[tuple[str, Types], ...],
    condition: Formula,
) -> list[Effect]:
    head, parts = (node[0], node[1:]) if node else ("", [])
    lists = [part for part in parts if isinstance(part, Listing)]
    if head == "and" and len(lists) == len(parts):
        return [effect for part in lists for effect in _effects(domain, types_of, part, variables, condition)]
    if head == "forall" and len(lists) == len(parts) == 2:
        more, inner = read_variables(domain, types_of, lists[0])
        return _effects(domain, inner, lists[1], (*variables, *more), condition)
    if head == "when" and len(lists) == len(parts) == 2:
        wanted = read_formula(domain, types_of, lists[0])
        both = wanted if condition is TRUE else ("and", (condition, wanted))
        return _effects(domain, types_of, lists[1], variables, both)
    adds = head != "not"
    inner_node = node if adds else (lists[0] if len(lists) == len(parts) == 1 else Listing(node.start))
    wrong = check_atom(domain, dict(types_of), inner_node)
    if wrong is not None:
        raise PddlMistake(wrong, node.start)
    return [Effect(variables, condition, tuple(str(word) for word in inner_node), adds)]


def read_steps(text: str, *, complete: bool) -> list[Step]:
    """The steps of a plan as text: `(action object ...)`, one after the other.

    Args:
        complete: if not, the text may end inside a step, which is left out.

    Raises:
        PddlMistake: it is no plan.
    """
    if complete:
        nodes = read_all(text)
    else:
        reading = read_prefix(text)
        if len(reading.open) > 1:
            raise PddlMistake("a step has no lists in it", reading.open[1].start)
        nodes = reading.top[:-1] if reading.open else reading.top
    return [_step(node) for node in nodes]


def as_steps(plan: object) -> list[Step]:
    """A plan given as a text, a file or a list of texts, each with its parentheses or without. Raises PddlMistake."""
    text = getattr(plan, "text", plan)
    if isinstance(text, str):
        return read_steps(text, complete=True)
    if not isinstance(text, list | tuple) or not all(isinstance(item, str) for item in text):
        raise PddlMistake(f"a plan is a text or a list of texts, not {plan!r}")
    steps = []
    for item in text:
        stripped = item.strip()
        steps += read_steps(stripped if stripped.startswith("(") else f"({stripped})", complete=True)
    return steps


def _step(node: object) -> Step:
    if isinstance(node, Listing) and node and all(isinstance(word, str) for word in node):
        return Step(str(node[0]), tuple(str(word) for word in node[1:]))
    raise PddlMistake(f"`{show(node) if isinstance(node, str | Listing) else node}` is no step of a plan")


def spell(formula: Formula, binding: Mapping[str, str]) -> str:
    """A formula as PDDL, its variables bound where they are."""
    match formula:
        case ("atom", atom):
            return f"({' '.join(substituted(atom, binding))})"
        case ("=", left, right):
            return f"(= {binding.get(left, left)} {binding.get(right, right)})"
        case ("not", inner):
            return f"(not {spell(inner, binding)})"
        case ("and" | "or" as head, parts):
            return f"({' '.join((head, *(spell(part, binding) for part in parts)))})"
        case (quantifier, variables, inner):
            names = " ".join(name for name, _ in variables)
            return f"({quantifier} ({names}) {spell(inner, binding)})"
    raise AssertionError(f"no formula: {formula}")
