"""SMARTS patterns, asked in Python: what RDKit has read of them, as conditions on facts about atoms and bonds.

A condition that is not known here counts as met: then "not found" is still certain, and `is_exact` is false.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

T = TypeVar("T")

AROMATIC = 12
"""The order of an aromatic bond; others are 1 to 4."""


AROMATIC_TYPE = 1_000
"""Is added to the atomic number in the type of an aromatic atom."""

NO_RING = 1_000
"""The size of the smallest ring where there is none."""


class Facts(NamedTuple):
    """What conditions ask about an atom whose hydrogens are all implicit."""

    type: int
    number: int
    is_aromatic: bool
    charge: int
    hydrogens: int
    degree: int
    total_degree: int
    valence: int
    rings: int
    is_in_ring: bool


def facts_of(
    number: int,
    degree: int,
    hydrogens: int = 0,
    *,
    valence: int,
    is_aromatic: bool = False,
    charge: int = 0,
    rings: int = 0,
) -> Facts:
    """Facts of an atom; `degree` is without its hydrogens."""
    kind = number + AROMATIC_TYPE * is_aromatic
    connected = degree + hydrogens
    return Facts(kind, number, is_aromatic, charge, hydrogens, degree, connected, valence, rings, rings > 0)


HYDROGEN = facts_of(1, 1, valence=1)
"""A hydrogen that is written out for a pattern."""


class Graph(NamedTuple):
    """A molecule: facts of its atoms, of each its (neighbour, order) pairs, and the size of the smallest ring."""

    atoms: Sequence[Facts]
    neighbours: Sequence[Sequence[tuple[int, int]]]
    smallest_ring: int = NO_RING


class _Tree(NamedTuple):
    """A condition that was read.

    Attributes:
        is_exact: `judge` always knows.
        judge: whether facts, or a bond's order, meet it; None if that is not known.
        types: of atoms that may meet it; None for any.
    """

    is_exact: bool
    judge: Callable[[Any], bool | None]
    types: frozenset[int] | None = None


class Condition:
    """A condition on an atom or a bond, with remembered answers.

    Attributes:
        is_exact: it is always known whether it is met.
        types: of atoms that may meet it; None for any.
    """

    def __init__(self, described: str) -> None:
        self.is_exact, self._judge, self.types = _read(described)
        self._known: dict[Any, bool] = {}

    def may_hold(self, facts: Facts | int) -> bool:
        """Whether it is met, or that is not known."""
        found = self._known.get(facts)
        if found is None:
            found = self._known[facts] = self._judge(facts) is not False
        return found


class ByAtom(Generic[T]):
    """Things that depend on an atom's condition: for facts, those whose condition may hold, in order."""

    def __init__(self, items: Iterable[tuple[Condition, T]]) -> None:
        self._items = list(items)
        self._known: dict[Facts, list[T]] = {}

    def of(self, facts: Facts) -> list[T]:
        """Those of an atom; not to be changed."""
        known = self._known.get(facts)
        if known is None:
            kind = facts.type
            near = (
                (condition, item)
                for condition, item in self._items
                if condition.types is None or kind in condition.types
            )
            known = self._known[facts] = [item for condition, item in near if condition.may_hold(facts)]
        return known


class Step(NamedTuple):
    """A pattern's atom and its bonds to those of earlier steps; without any, it may be anywhere."""

    atom: Condition
    ties: tuple[tuple[int, Condition], ...]


class Pattern:
    """The part of a SMARTS pattern that hangs together with its first atom, from that one on.

    Attributes:
        is_exact: what is found is really there.
        radius: bonds from the first atom to the one that is farthest from it.
    """

    def __init__(self, query: Any) -> None:
        atoms, around = read_query(query)
        distances = {0: 0}
        order = [0]
        for atom in order:
            for other, _ in around[atom]:
                if other not in distances:
                    distances[other] = distances[atom] + 1
                    order.append(other)
        self.radius = max(distances.values())
        places = {atom: number for number, atom in enumerate(order)}
        self.steps = tuple(
            Step(
                atoms[atom],
                tuple(sorted((places[other], bond) for other, bond in around[atom] if places[other] < number)),
            )
            for number, atom in enumerate(order)
        )
        self.is_exact = len(order) == len(atoms) and all(condition.is_exact for condition in _conditions_of(self.steps))

    def may_be_at(self, graph: Graph, root: int) -> bool:
        """Whether it is in a molecule, its first atom at `root`, as far as its conditions are known."""
        return self.steps[0].atom.may_hold(graph.atoms[root]) and self._go_on(graph, [root])

    def _go_on(self, graph: Graph, found: list[int]) -> bool:
        if len(found) == len(self.steps):
            return True
        atom, ((before, bond), *others) = self.steps[len(found)]
        for neighbour, order in graph.neighbours[found[before]]:
            if neighbour in found or not bond.may_hold(order) or not atom.may_hold(graph.atoms[neighbour]):
                continue
            if others and not all(_are_tied(graph, found[other], neighbour, tie) for other, tie in others):
                continue
            found.append(neighbour)
            if self._go_on(graph, found):
                return True
            found.pop()
        return False


def _are_tied(graph: Graph, one: int, other: int, tie: Condition) -> bool:
    return any(neighbour == other and tie.may_hold(order) for neighbour, order in graph.neighbours[one])


def _conditions_of(steps: Sequence[Step]) -> Iterator[Condition]:
    for step in steps:
        yield step.atom
        yield from (bond for _, bond in step.ties)


def read_query(query: Any) -> tuple[list[Condition], list[list[tuple[int, Condition]]]]:
    """Conditions on each atom of RDKit's query; of each the atoms that it is bound to, with conditions on the bonds."""
    # By their numbers: RDKit's sequences take longer to go through.
    atoms = [_condition(query.GetAtomWithIdx(number)) for number in range(query.GetNumAtoms())]
    around: list[list[tuple[int, Condition]]] = [[] for _ in atoms]
    for number in range(query.GetNumBonds()):
        bond = query.GetBondWithIdx(number)
        one, other, condition = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx(), _condition(bond)
        around[one].append((other, condition))
        around[other].append((one, condition))
    return atoms, around


def _condition(asked: Any) -> Condition:
    described = asked.DescribeQuery()
    if described not in _conditions:
        _conditions[described] = Condition(described)
    return _conditions[described]


_conditions: dict[str, Condition] = {}


def _read(described: str) -> _Tree:
    """A condition as RDKit describes it: one line, or `AtomAnd` or `AtomOr` over lines that are indented more."""
    parts: list[tuple[int, _Tree]] = []
    for line in reversed(described.splitlines()):
        head = line.strip()
        indent = len(line) - len(line.lstrip())
        inner = []
        while head and parts and parts[-1][0] > indent:
            inner.append(parts.pop()[1])
        if head:
            parts.append((indent, _joined(head, inner) if inner else _leaf(head)))
    return parts[0][1] if len(parts) == 1 else _leaf("")


def _joined(head: str, inner: list[_Tree]) -> _Tree:
    if head not in ("AtomAnd", "AtomOr", "BondAnd", "BondOr"):
        return _leaf("")
    judges = [each.judge for each in inner]
    decided = head.endswith("Or")

    def judge(facts: Any) -> bool | None:
        is_known = True
        for each in judges:
            answer = each(facts)
            if answer is decided:
                return decided
            is_known &= answer is not None
        return not decided if is_known else None

    known = [each.types for each in inner if each.types is not None]
    types = frozenset.intersection(*known) if known else None
    if decided:
        types = frozenset().union(*known) if len(known) == len(inner) else None
    return _Tree(all(each.is_exact for each in inner), judge, types)


def _leaf(line: str) -> _Tree:
    """One question, such as `AtomHCount 2 = val`."""
    words = line.split()
    if words in (["AtomNull"], ["BondNull"]):
        return _Tree(True, lambda _: True)
    if len(words) != 4 or words[2] not in ("=", "!=") or words[3] != "val" or not words[1].lstrip("-").isdigit():
        return _Tree(False, lambda _: None)
    name, value, wanted = words[0], int(words[1]), words[2] == "="
    if name == "BondOrder":
        return _Tree(True, lambda order: (order == value) is wanted)
    if name == "SingleOrAromaticBond" and value == 1:
        return _Tree(True, lambda order: (order in (1, AROMATIC)) is wanted)
    if name == "AtomIsotope":
        return _Tree(True, lambda _: (value == 0) is wanted)
    if name == "AtomInNRings" and value < 0:
        name, value = "AtomInRing", 1
    if name == "AtomIsAliphatic":
        name, wanted = "AtomIsAromatic", not wanted
    if name not in _FIELDS:
        return _Tree(False, lambda _: None)
    field = _FIELDS[name]
    if not wanted:
        return _Tree(True, lambda facts: bool(facts[field] != value))
    types = {"AtomType": (value,), "AtomAtomicNum": (value, value + AROMATIC_TYPE)}.get(name)
    return _Tree(True, lambda facts: bool(facts[field] == value), None if types is None else frozenset(types))


_FIELDS = {
    name: Facts._fields.index(field)
    for name, field in {
        "AtomType": "type",
        "AtomAtomicNum": "number",
        "AtomIsAromatic": "is_aromatic",
        "AtomFormalCharge": "charge",
        "AtomHCount": "hydrogens",
        "AtomExplicitDegree": "degree",
        "AtomTotalDegree": "total_degree",
        "AtomTotalValence": "valence",
        "AtomInNRings": "rings",
        "AtomInRing": "is_in_ring",
    }.items()
}
