"""Ground actions: all that could ever be possible, found by relaxed reachability.

Deletions are left out: what is reached then includes whatever any plan reaches (Hoffmann and Nebel 2001). Conditions
are brought into disjunctive normal form; an action with a disjunction becomes several that do the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from smcdsl.potentials._pddl_formula import Formula, bindings, conjuncts, substituted
from smcdsl.potentials._pddl_model import Atom
from smcdsl.potentials._pddl_steps import Schema, Task

MOST_JOINS = 400_000
"""Steps of looking for bindings, a second or less."""
MOST_TERMS = 256
"""Of a disjunctive normal form."""

Term = tuple[frozenset[Atom], frozenset[Atom]]
"""Atoms that must be true, and false."""


class PlanningLimit(RuntimeError):
    """The planner gave up within its bounds; nothing is known."""


@dataclass(frozen=True)
class GroundEffect:
    """Under `term`, `atom` becomes true or (not `adds`) false."""

    term: Term
    atom: Atom
    adds: bool


@dataclass(frozen=True)
class GroundAction:
    """An action with its arguments, for one term of its condition."""

    name: str
    arguments: tuple[str, ...]
    term: Term
    effects: tuple[GroundEffect, ...]


@dataclass(frozen=True)
class Grounding:
    """What can be reached when nothing is ever deleted."""

    atoms: frozenset[Atom]
    actions: tuple[GroundAction, ...]


def terms_of(task: Task, formula: Formula, binding: Mapping[str, str], positive: bool = True) -> list[Term]:
    """The disjunctive normal form of a formula, static atoms and equality decided. No term: it is never true.

    Raises:
        PlanningLimit: more than 256 terms.
    """
    match formula:
        case ("atom", atom):
            ground = substituted(atom, binding)
            if ground[0] not in task.fluents:
                return [_EMPTY] if (ground in task.problem.init) == positive else []
            one = frozenset((ground,))
            return [(one, frozenset())] if positive else [(frozenset(), one)]
        case ("=", left, right):
            return [_EMPTY] if (binding.get(left, left) == binding.get(right, right)) == positive else []
        case ("not", inner):
            return terms_of(task, inner, binding, not positive)
        case ("and" | "or" as head, parts):
            lists = (terms_of(task, part, binding, positive) for part in parts)
            return _all_of(lists) if (head == "and") == positive else _any_of(lists)
        case (quantifier, variables, inner):
            each = bindings(variables, task.objects_of, binding)
            lists = (terms_of(task, inner, one, positive) for one in each)
            return _all_of(lists) if (quantifier == "forall") == positive else _any_of(lists)
    raise AssertionError(f"no formula: {formula}")


_EMPTY: Term = (frozenset(), frozenset())


def _any_of(lists: Iterator[list[Term]]) -> list[Term]:
    found: dict[Term, None] = {}
    for terms in lists:
        found.update(dict.fromkeys(terms))
        if len(found) > MOST_TERMS:
            raise PlanningLimit(f"a condition has more than {MOST_TERMS} alternatives")
    return list(found)


def _all_of(lists: Iterator[list[Term]]) -> list[Term]:
    found = [_EMPTY]
    for terms in lists:
        joined = {(a | c, b | d): None for a, b in found for c, d in terms if not (a & d or b & c)}
        found = list(joined)
        if len(found) > MOST_TERMS:
            raise PlanningLimit(f"a condition has more than {MOST_TERMS} alternatives")
    return found


def ground(task: Task) -> Grounding:
    """All actions that relaxed reachability finds.

    Raises:
        PlanningLimit: there are too many.
    """
    return _Grounder(task).run()


class _Grounder:
    def __init__(self, task: Task) -> None:
        self._task = task
        self._atoms: set[Atom] = set(task.problem.init)
        self._joins = 0
        self._plans = {name: _asked(schema) for name, schema in task.schemas.items()}
        self._done: set[tuple[str, tuple[str, ...]]] = set()
        self._actions: dict[GroundAction, None] = {}
        self._waiting: dict[tuple[str, tuple[str, ...]], list[GroundAction]] = {}

    def run(self) -> Grounding:
        grown = True
        while grown:
            before = (len(self._atoms), len(self._actions))
            index = self._index()
            for name, schema in self._task.schemas.items():
                types = dict(schema.action.parameters)
                for binding in self._bindings(schema, self._plans[name], 0, {}, index, types):
                    self._instantiate(schema, binding)
            for actions in list(self._waiting.values()):
                for action in actions:
                    self._reach(action)
            for action in self._actions:
                self._add_effects(action)
            grown = before != (len(self._atoms), len(self._actions))
        return Grounding(frozenset(self._atoms), tuple(self._actions))

    def _index(self) -> dict[tuple[str, int, str], list[Atom]]:
        """Atoms by predicate (position -1), and by the object at each position."""
        index: dict[tuple[str, int, str], list[Atom]] = {}
        for atom in self._atoms:
            index.setdefault((atom[0], -1, ""), []).append(atom)
            for position, term in enumerate(atom[1:], 1):
                index.setdefault((atom[0], position, term), []).append(atom)
        return index

    def _bindings(
        self,
        schema: Schema,
        asked: list[Atom],
        number: int,
        binding: dict[str, str],
        index: Mapping[tuple[str, int, str], list[Atom]],
        types: Mapping[str, tuple[str, ...]],
    ) -> Iterator[dict[str, str]]:
        """Bindings for which every atom that the condition asks for is reached."""
        if number == len(asked):
            yield from self._fill(schema, binding)
            return
        pattern = asked[number]
        for atom in _candidates(pattern, binding, index):
            self._count()
            extended = dict(binding)
            for term, value in zip(pattern[1:], atom[1:], strict=True):
                if extended.get(term, term if term[0] != "?" else value) != value:
                    break
                if term[0] == "?":
                    extended[term] = value
            else:
                if all(self._fits(extended[name], types[name]) for name in extended.keys() - binding.keys()):
                    yield from self._bindings(schema, asked, number + 1, extended, index, types)

    def _fill(self, schema: Schema, binding: dict[str, str]) -> Iterator[dict[str, str]]:
        free = tuple(pair for pair in schema.action.parameters if pair[0] not in binding)
        for filled in bindings(free, self._task.objects_of, binding) if free else (binding,):
            self._count()
            yield filled

    def _fits(self, name: str, types: tuple[str, ...]) -> bool:
        return self._task.domain.fits(self._task.problem.objects[name], types)

    def _count(self) -> None:
        self._joins += 1
        if self._joins > MOST_JOINS:
            raise PlanningLimit(f"grounding the actions takes more than {MOST_JOINS:,} steps")

    def _instantiate(self, schema: Schema, binding: dict[str, str]) -> None:
        arguments = tuple(binding[name] for name, _ in schema.action.parameters)
        key = (schema.action.name, arguments)
        if key in self._done:
            return
        self._done.add(key)
        effects: list[GroundEffect] = []
        for effect in schema.effects:
            for each in bindings(effect.variables, self._task.objects_of, binding):
                self._count()
                terms = terms_of(self._task, effect.condition, each)
                effects += [GroundEffect(term, substituted(effect.atom, each), effect.adds) for term in terms]
        waiting = []
        for term in terms_of(self._task, schema.condition, binding):
            action = GroundAction(*key, term, tuple(effects))
            self._reach(action)
            if action not in self._actions:
                waiting.append(action)
        if waiting:
            self._waiting[key] = waiting

    def _reach(self, action: GroundAction) -> None:
        if action.term[0] <= self._atoms:
            self._actions.setdefault(action)

    def _add_effects(self, action: GroundAction) -> None:
        for effect in action.effects:
            if effect.adds and effect.term[0] <= self._atoms:
                self._atoms.add(effect.atom)


def _asked(schema: Schema) -> list[Atom]:
    """The atoms a condition asks for, each next to those it shares variables with where possible."""
    left = [part[1] for part in conjuncts(schema.condition) if part[0] == "atom"]
    ordered: list[Atom] = []
    bound: set[str] = set()
    while left:
        best = max(left, key=lambda atom: (len(bound & set(atom[1:])) - len(set(atom[1:]) - bound), -left.index(atom)))
        left.remove(best)
        ordered.append(best)
        bound |= {term for term in best[1:] if term.startswith("?")}
    return ordered


def _candidates(
    pattern: Atom, binding: Mapping[str, str], index: Mapping[tuple[str, int, str], list[Atom]]
) -> list[Atom]:
    """The shortest list that holds all atoms that may match."""
    best = index.get((pattern[0], -1, ""), [])
    for position, term in enumerate(pattern[1:], 1):
        value = binding.get(term, term)
        if value[0] != "?":
            found = index.get((pattern[0], position, value), [])
            best = found if len(found) < len(best) else best
    return best


