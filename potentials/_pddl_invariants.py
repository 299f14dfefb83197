"""What follows from a goal in every state that can be reached.

Three kinds of invariants are read off a domain's actions, each proved by induction over them:

- *groups*: of the atoms that match one of some patterns, exactly one is true. In blocksworld, for each block b:
  `(clear b)`, `(holding b)`, `(on * b)`. An action keeps that if it adds one exactly where it deletes another that
  its condition asks for (Edelkamp and Helmert 1999; Helmert 2009, section 5).
- *acyclic relations*: `(on x y)` comes to be only where a group says that there is no `(on * x)`.
- *static* predicates: no action changes them.

Whether a group or relation is right in the initial state is looked at for each problem. Unit propagation then draws
conclusions from a goal's literals; a contradiction means that no state that can be reached has them all. What is not
found to follow may still do so: the answers are sound, not complete.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import combinations, islice

from smcdsl.potentials._pddl_formula import TRUE, Formula, Literal, conjuncts, literal_of, substituted
from smcdsl.potentials._pddl_model import Atom, Domain
from smcdsl.potentials._pddl_steps import Schema, Task

Pattern = tuple[str, int]
"""A predicate, and the position of its argument that the group is about; -1 for none."""
Key = tuple[int, str]
"""A group: its number and the object it is about, empty for none."""

_MOST_CANDIDATES = 3000
"""Groups that are tried for a domain, small ones first."""
_MOST_TERMS = 7
"""Of a schema. One with more parameters could take them for one another in too many ways, and what it changes is
left out of all invariants."""


@dataclass(frozen=True)
class _Change:
    """What a schema, with some parameters taken for one another, asks for, adds and deletes."""

    asked: tuple[Atom, ...]
    added: tuple[Atom, ...]
    deleted: tuple[Atom, ...]


@dataclass(frozen=True)
class Invariants:
    """Of a domain: candidates that hold in every state that can be reached from one in which they hold."""

    groups: tuple[frozenset[Pattern], ...]
    acyclic: dict[str, frozenset[int]]
    """Relations -> the groups that their proof uses, by number."""
    fluents: frozenset[str]


def find_invariants(domain: Domain, schemas: Iterable[Schema]) -> Invariants:
    """The invariants of a domain's actions. Conditional effects make their predicates part of none."""
    schemas = list(schemas)
    effects = [effect for schema in schemas for effect in schema.effects]
    fluents = frozenset(effect.atom[0] for effect in effects)
    unclear = {effect.atom[0] for effect in effects if effect.variables or effect.condition is not TRUE}
    small = [schema for schema in schemas if len(_terms(schema)) <= _MOST_TERMS]
    unclear |= {effect.atom[0] for schema in schemas if schema not in small for effect in schema.effects}
    changes = [change for schema in small for change in _changes(schema)]
    usable = [name for name in domain.predicates if name in fluents and name not in unclear]
    groups = tuple(_minimal(_groups(domain, usable, changes)))
    relations = [name for name in usable if len(domain.predicates[name]) == 2]
    proofs = {name: _proof_of_acyclicity(name, groups, changes) for name in relations}
    return Invariants(groups, {name: used for name, used in proofs.items() if used is not None}, fluents)


def _terms(schema: Schema) -> list[str]:
    """The parameters, and the constants that are spoken of."""
    asked = [part[1] for part in conjuncts(schema.condition) if part[0] == "atom"]
    atoms = [*asked, *(effect.atom for effect in schema.effects)]
    constants = {term for atom in atoms for term in atom[1:] if not term.startswith("?")}
    return [*(name for name, _ in schema.action.parameters), *sorted(constants)]


def _changes(schema: Schema) -> list[_Change]:
    """The schema with its parameters different and the same, in all ways."""
    asked = tuple(part[1] for part in conjuncts(schema.condition) if part[0] == "atom")
    added = tuple(effect.atom for effect in schema.effects if effect.adds)
    deleted = tuple(effect.atom for effect in schema.effects if not effect.adds)
    names = [name for name, _ in schema.action.parameters]
    constants = _terms(schema)[len(names) :]
    found = []
    for binding in _mergers(names, constants):
        parts = (tuple(dict.fromkeys(substituted(a, binding) for a in atoms)) for atoms in (asked, added, deleted))
        found.append(_Change(*parts))
    return found


def _mergers(names: list[str], constants: list[str]) -> Iterator[dict[str, str]]:
    """All ways to let parameters be one another, or constants."""

    def extend(index: int, binding: dict[str, str], blocks: list[str]) -> Iterator[dict[str, str]]:
        if index == len(names):
            yield dict(binding)
            return
        name = names[index]
        for target in (name, *blocks):
            binding[name] = target
            yield from extend(index + 1, binding, [*blocks, name] if target == name else blocks)
        del binding[name]

    yield from extend(0, {}, list(constants))


def _groups(domain: Domain, usable: list[str], changes: list[_Change]) -> Iterator[frozenset[Pattern]]:
    for candidate in islice(_candidates(domain, usable), _MOST_CANDIDATES):
        if all(_keeps(candidate, change) for change in changes):
            yield candidate


def _candidates(domain: Domain, usable: list[str]) -> Iterator[frozenset[Pattern]]:
    """Sets of patterns about one object, and about none, the smaller first."""
    about = [(name, position) for name in usable for position in range(len(domain.predicates[name]))]
    whole = [(name, -1) for name in usable]
    for size in range(1, max(len(about), len(whole)) + 1):
        for patterns in (about, whole):
            yield from map(frozenset, combinations(patterns, size))


def _minimal(groups: Iterable[frozenset[Pattern]]) -> list[frozenset[Pattern]]:
    """Groups without smaller ones inside: exactly one of more follows from exactly one of fewer only by none."""
    found: list[frozenset[Pattern]] = []
    for group in groups:
        if not any(smaller < group for smaller in found):
            found.append(group)
    return found


def _members(group: frozenset[Pattern], atoms: Iterable[Atom]) -> Iterator[tuple[str, Atom]]:
    """(the term the group is about, atom) of the atoms that match one of its patterns."""
    for atom in atoms:
        for name, position in group:
            if atom[0] == name:
                yield ("" if position < 0 else atom[1 + position]), atom


def _keeps(group: frozenset[Pattern], change: _Change) -> bool:
    """Whether exactly one member stays exactly one."""
    asked, added, deleted = (list(_members(group, atoms)) for atoms in (change.asked, change.added, change.deleted))
    terms = [term for term, _ in asked]
    if len(set(terms)) < len(terms):
        return True  # it asks for two members at once: impossible where the invariant holds
    for about in {term for term, _ in (*added, *deleted)}:
        added_here = [atom for term, atom in added if term == about]
        deleted_here = [atom for term, atom in deleted if term == about]
        asked_here = [atom for term, atom in asked if term == about]
        if len(added_here) != 1 or len(deleted_here) != 1 or deleted_here != asked_here:
            return False
    return True


def _proof_of_acyclicity(
    name: str, groups: tuple[frozenset[Pattern], ...], changes: list[_Change]
) -> frozenset[int] | None:
    """The groups by which every added edge begins where none ends, or ends where none begins, and is no loop."""
    used: set[int] = set()
    for change in changes:
        edges = [atom for atom in change.added if atom[0] == name]
        if not edges:
            continue
        reason = next((number for number, group in enumerate(groups) if _is_impossible(group, change)), None)
        if reason is None and len(edges) == 1 and edges[0][1] != edges[0][2]:
            reason = next(
                (number for number, group in enumerate(groups) if _is_free(name, edges[0], group, change)), None
            )
        if reason is None:
            return None
        used.add(reason)
    return frozenset(used)


def _is_impossible(group: frozenset[Pattern], change: _Change) -> bool:
    terms = [term for term, _ in _members(group, change.asked)]
    return len(set(terms)) < len(terms)


def _is_free(name: str, edge: Atom, group: frozenset[Pattern], change: _Change) -> bool:
    """Whether another member of a group shows that no edge ends where this one begins, or none begins where it ends."""
    return any(
        (name, other) in group
        and any(term == end and member[0] != name for term, member in _members(group, change.asked))
        for end, other in ((edge[1], 1), (edge[2], 0))
    )


@dataclass
class Conclusions:
    """What is known of a state: atoms true and false, and the contradiction that was met, if any."""

    true: set[Atom] = field(default_factory=set)
    false: set[Atom] = field(default_factory=set)
    wrong: str | None = None

    def copy(self) -> Conclusions:
        """One to go on from."""
        return Conclusions(set(self.true), set(self.false), self.wrong)


class Closure:
    """Draws conclusions for one problem.

    Args:
        reachable: atoms outside which none is ever true, where they are known.
    """

    def __init__(self, task: Task, reachable: frozenset[Atom] | None) -> None:
        self._task = task
        self._reachable = reachable
        self._invariants = find_invariants(task.domain, task.schemas.values())
        self._valid = self._keys()
        self._acyclic = frozenset(
            name
            for name, used in self._invariants.acyclic.items()
            if all(map(self._holds_for_all, used)) and self._is_acyclic(name)
        )
        self.after = lru_cache(maxsize=4096)(self._after)

    def _keys(self) -> set[Key]:
        """The groups that have exactly one member in the initial state."""
        counts: dict[Key, int] = {}
        for atom in self._task.problem.init:
            for key in self._keys_of(atom):
                counts[key] = counts.get(key, 0) + 1
        return {key for key, count in counts.items() if count == 1}

    def _keys_of(self, atom: Atom) -> Iterator[Key]:
        for number, group in enumerate(self._invariants.groups):
            for name, position in group:
                if atom[0] == name:
                    yield number, ("" if position < 0 else atom[1 + position])

    def _holds_for_all(self, number: int) -> bool:
        """Whether a group has exactly one member for every object that it could be about."""
        return all(
            (number, "" if position < 0 else atom[1 + position]) in self._valid
            for name, position in self._invariants.groups[number]
            for atom in self._instances(name)
        )

    def _is_acyclic(self, name: str) -> bool:
        edges: dict[str, list[str]] = {}
        for atom in self._task.problem.init:
            if atom[0] == name:
                edges.setdefault(atom[1], []).append(atom[2])
        return not any(_reaches(edges, following, start) for start in edges for following in edges[start])

    @cached_property
    def _atoms(self) -> dict[Key, list[Atom]]:
        """All atoms of each group, of the right types."""
        found: dict[Key, list[Atom]] = {}
        names = {name for group in self._invariants.groups for name, _ in group}
        for name in names:
            for atom in self._instances(name):
                if name in self._acyclic and atom[1] == atom[2]:
                    continue
                for key in self._keys_of(atom):
                    if key in self._valid:
                        found.setdefault(key, []).append(atom)
        return found

    def _instances(self, name: str) -> Iterator[Atom]:
        atoms: list[Atom] = [(name,)]
        for types in self._task.domain.predicates[name]:
            atoms = [(*atom, value) for atom in atoms for value in self._task.objects_of(types)]
        return (atom for atom in atoms if self._reachable is None or atom in self._reachable)

    def _after(self, literals: tuple[Literal, ...]) -> Conclusions:
        """What follows from these literals together. Remembered, and built on for longer tuples.

        Not to be changed by the caller.
        """
        if not literals:
            return Conclusions()
        known = self.after(literals[:-1])
        if known.wrong is not None:
            return known
        atom, is_positive = literals[-1]
        if atom in (known.true if is_positive else known.false):
            return known
        found = known.copy()
        self._add(found, atom, is_positive)
        return found

    def _add(self, known: Conclusions, atom: Atom, is_positive: bool) -> None:
        agenda = [(atom, is_positive)]
        while agenda and known.wrong is None:
            current, positive = agenda.pop()
            own, other = (known.true, known.false) if positive else (known.false, known.true)
            if current in own:
                continue
            own.add(current)
            known.wrong = self._contradiction(current, positive, other)
            if known.wrong is None:
                agenda += self._following(known, current, positive)

    def _contradiction(self, atom: Atom, is_positive: bool, other: set[Atom]) -> str | None:
        text = _spelled(atom)
        if atom in other:
            return f"{text} can be neither true nor false beside the rest"
        if atom[0] not in self._invariants.fluents and (atom in self._task.problem.init) != is_positive:
            return f"no action changes `{atom[0]}`, and {text} is {'false' if is_positive else 'true'} at the start"
        if is_positive and self._reachable is not None and atom not in self._reachable:
            return f"no action ever makes {text} true"
        if is_positive and atom[0] in self._acyclic and atom[1] == atom[2]:
            return f"{text} cannot be"
        return None

    def _following(self, known: Conclusions, atom: Atom, is_positive: bool) -> Iterator[Literal]:
        for key in self._keys_of(atom):
            if key not in self._valid:
                continue
            members = self._atoms[key]
            if is_positive:
                yield from ((member, False) for member in members if member != atom and member not in known.false)
            else:
                left = [member for member in members if member not in known.false]
                if len(left) == 1:
                    yield left[0], True
                elif not left:
                    known.wrong = f"one of {', '.join(map(_spelled, members))} must hold"
                    return
        if is_positive and atom[0] in self._acyclic:
            yield from self._back_edges(known, atom)

    def _back_edges(self, known: Conclusions, edge: Atom) -> Iterator[Literal]:
        """Edges that would close a cycle with the new one: from what it leads to, to what leads to it."""
        name = edge[0]
        forward: dict[str, list[str]] = {}
        backward: dict[str, list[str]] = {}
        for atom in known.true:
            if atom[0] == name:
                forward.setdefault(atom[1], []).append(atom[2])
                backward.setdefault(atom[2], []).append(atom[1])
        for low in _reached(forward, edge[2]):
            for high in _reached(backward, edge[1]):
                yield (name, low, high), False


def _spelled(atom: Atom) -> str:
    return f"`({' '.join(atom)})`"


def _reached(edges: dict[str, list[str]], start: str) -> set[str]:
    seen, agenda = {start}, [start]
    while agenda:
        new = set(edges.get(agenda.pop(), ())) - seen
        seen |= new
        agenda += new
    return seen


def _reaches(edges: dict[str, list[str]], start: str, goal: str) -> bool:
    return goal in _reached(edges, start)


def literals_of(formulas: Iterable[Formula]) -> Iterator[Literal]:
    """The literals among formulas."""
    for formula in formulas:
        literal = literal_of(formula)
        if literal is not None:
            yield literal
