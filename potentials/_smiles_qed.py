"""Drug-likeness as RDKit has it, at a fraction of the cost.

The value is that of `rdkit.Chem.QED.qed`, whose tables are read: patterns, parameters, weights. Of an ordinary molecule
(`_smiles_graph`) most of what RDKit finds by matching patterns one after the other is decided by an atom and those
around it: what its hydrogens and it add to log P, whether it is an acceptor, which structural alerts may be at it.
That is remembered by these surroundings. RDKit is asked for alerts that may be there; for everything where a molecule
is not ordinary or the tables have a form that is not known here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import count
from typing import Any, NamedTuple

from smcdsl.potentials._smiles_alerts import Stars
from smcdsl.potentials._smiles_graph import graph_of
from smcdsl.potentials._smiles_log_p import Contributions, with_hydrogens
from smcdsl.potentials._smiles_queries import ByAtom, Facts, Graph, Pattern

_KEPT = 65_536
"""Surroundings of atoms that are remembered."""

_PROPERTIES = ("MW", "ALOGP", "HBA", "HBD", "PSA", "ROTB", "AROM", "ALERTS")
_ALIPHATIC_RINGS = "[$([A&R][!a])]"
_TRIALS = ("N#CC(=O)C=CC1CC1S(=O)(=O)[O-]", "O=C(O)Cn1c(=O)[nH]c2cc(OCC(O)C[NH2+]C)ccc21")
"""Molecules whose properties are compared with RDKit's own before ours are used."""


class _Kind(NamedTuple):
    """What follows from an atom's own facts: a number of its own, and how many acceptors it is.

    `looks_far` says that its part of log P may depend on more than its neighbours.
    """

    number: int
    acceptors: int
    looks_far: bool


class _Surroundings(NamedTuple):
    """What follows from those around an atom as well: its part of log P, and the stars of alerts that may be there."""

    log_p: float
    stars: int


class Shortcut:
    """Properties that QED is made of, of ordinary molecules.

    Raises:
        ValueError: RDKit's tables have another form than the one known here.
    """

    def __init__(self) -> None:
        from rdkit import Chem
        from rdkit.Chem import QED

        if QED.QEDproperties._fields != _PROPERTIES or Chem.MolToSmarts(QED.AliphaticRings) != _ALIPHATIC_RINGS:
            raise ValueError("QED is made of other properties")
        self._contributions = Contributions()
        acceptors = [(Pattern(query), query) for query in QED.Acceptors]
        known = [pattern for pattern, _ in acceptors if pattern.is_exact and not pattern.radius]
        self._acceptors = ByAtom((pattern.steps[0].atom, pattern) for pattern in known)
        self._other_acceptors = [query for pattern, query in acceptors if pattern not in known]
        self._alerts = list(QED.StructuralAlerts)
        self._stars = Stars(self._alerts)
        self._kinds: dict[Facts, _Kind] = {}
        # Not their number so far: two threads could take the same.
        self._numbers = count()
        self._known: dict[tuple[Any, ...], _Surroundings] = {}

    def properties(self, text: str, molecule: Any) -> Any:
        """RDKit's `QEDproperties` of a molecule; None if it is not an ordinary one."""
        from rdkit.Chem import QED, rdMolDescriptors

        graph = graph_of(text, molecule)
        weight = rdMolDescriptors._CalcMolWt(molecule)
        # The mass would give away a hydrogen too many or too few.
        if graph is None or not math.isclose(weight, _mass(graph), abs_tol=1e-3):
            return None
        kinds = [self._kind(facts) for facts in graph.atoms]
        around = self._look_around(graph, kinds, molecule)
        log_p = math.fsum([each.log_p for each in around])
        if not self._contributions.are_classes_right:
            log_p = rdMolDescriptors.CalcCrippenDescriptors(molecule)[0]
        acceptors = sum([kind.acceptors for kind in kinds])
        return QED.QEDproperties(  # type: ignore[no-untyped-call]
            MW=weight,
            ALOGP=log_p,
            HBA=acceptors + sum(len(molecule.GetSubstructMatches(query)) for query in self._other_acceptors),
            HBD=rdMolDescriptors.CalcNumHBD(molecule),
            PSA=rdMolDescriptors.CalcTPSA(molecule),
            ROTB=rdMolDescriptors.CalcNumRotatableBonds(molecule, rdMolDescriptors.NumRotatableBondsOptions.Strict),
            AROM=num_aromatic_rings(graph),
            ALERTS=self._num_alerts(around, graph.smallest_ring, molecule),
        )

    def _kind(self, facts: Facts) -> _Kind:
        known = self._kinds.get(facts)
        if known is None:
            known = self._kinds[facts] = _Kind(
                number=next(self._numbers),
                acceptors=len(self._acceptors.of(facts)),
                looks_far=self._contributions.look_far(facts),
            )
        return known

    def _look_around(self, graph: Graph, kinds: Sequence[_Kind], molecule: Any) -> list[_Surroundings]:
        """What there is to know of each atom."""
        stars = [
            (kind.number, *sorted([1_000 * kinds[other].number + order for other, order in bonds]))
            for kind, bonds in zip(kinds, graph.neighbours, strict=True)
        ]
        if len(self._known) > _KEPT:
            self._known.clear()
        found, written = [], None
        for atom, kind in enumerate(kinds):
            key: tuple[Any, ...] = stars[atom]
            if kind.looks_far:
                key = (key, *sorted([stars[other] for other, _ in graph.neighbours[atom]]))
            known = self._known.get(key)
            if known is None:
                written = written or with_hydrogens(graph)
                log_p = self._contributions.of(atom, written, molecule)
                neighbours = [(order, graph.atoms[other]) for other, order in graph.neighbours[atom]]
                known = self._known[key] = _Surroundings(log_p, self._stars.at(graph.atoms[atom], neighbours))
            found.append(known)
        return found

    def _num_alerts(self, around: Sequence[_Surroundings], smallest_ring: int, molecule: Any) -> int:
        stars = 0
        for each in around:
            stars |= each.stars
        patterns = self._stars.patterns(stars, smallest_ring)
        return sum([is_sure or molecule.HasSubstructMatch(self._alerts[number]) for number, is_sure in patterns])


def qed(text: str, molecule: Any) -> float:
    """`rdkit.Chem.QED.qed`.

    Args:
        text: a SMILES that `_smiles_prefixes` finds right.
        molecule: RDKit's molecule of that.
    """
    from rdkit.Chem import QED

    shortcut = _shortcut()
    properties = None if shortcut is None else shortcut.properties(text, molecule)
    return float(QED.qed(molecule, qedProperties=properties))  # type: ignore[no-untyped-call]


@lru_cache(maxsize=1)
def _shortcut() -> Shortcut | None:
    """The shortcut if it gives what RDKit gives."""
    try:
        shortcut = Shortcut()
        return shortcut if all(_is_right(shortcut, text) for text in _TRIALS) else None
    except (AttributeError, LookupError, OSError, TypeError, ValueError):
        # Another version of RDKit.
        return None


def _is_right(shortcut: Shortcut, text: str) -> bool:
    from rdkit import Chem
    from rdkit.Chem import QED

    molecule = Chem.MolFromSmiles(text)
    ours, theirs = shortcut.properties(text, molecule), QED.properties(molecule)  # type: ignore[no-untyped-call]
    pairs = zip(ours, theirs, strict=True)
    return all(math.isclose(our, their, rel_tol=1e-12, abs_tol=1e-12) for our, their in pairs)


def _mass(graph: Graph) -> float:
    return sum([_weight(facts.number, facts.hydrogens) for facts in graph.atoms])


@lru_cache(maxsize=256)
def _weight(number: int, hydrogens: int) -> float:
    from rdkit import Chem

    table = Chem.GetPeriodicTable()
    return float(table.GetAtomicWeight(number) + hydrogens * table.GetAtomicWeight(1))


def num_aromatic_rings(graph: Graph) -> int:
    """Independent rings without those aliphatic atoms of rings that a single bond ties to another aliphatic atom."""
    atoms, neighbours, _ = graph
    group = [-1] * len(atoms)
    for atom, facts in enumerate(atoms):
        is_tied = any(order == 1 and not atoms[other].is_aromatic for other, order in neighbours[atom])
        if facts.is_aromatic or not facts.is_in_ring or not is_tied:
            group[atom] = atom
    rings = 0
    for atom, bonds in enumerate(neighbours):
        for other, _ in bonds:
            if other < atom and group[atom] >= 0 and group[other] >= 0:
                one, two = _head(group, atom), _head(group, other)
                rings += one == two
                group[one] = two
    return rings


def _head(group: list[int], atom: int) -> int:
    while group[atom] != atom:
        group[atom] = atom = group[group[atom]]
    return atom
