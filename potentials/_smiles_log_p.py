"""What each atom adds to Crippen's log P, by RDKit's table of patterns: an atom is of the class of the first that fits.

The table that comes with RDKit as a file is not all that its compiled code goes by: of a hydrogen, the atoms before it
count as well here, and a class of hydrogens has the number that RDKit gives the first one of it. Where RDKit is seen to
give an atom another number than its class has, classes are not to be trusted.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from smcdsl.potentials._smiles_queries import HYDROGEN, ByAtom, Facts, Graph, Pattern


class Contributions:
    """Contributions of ordinary molecules' atoms.

    `are_classes_right` turns false when RDKit is seen to give an atom another number than its class has.

    Raises:
        ValueError: the table asks what is not known here.
    """

    def __init__(self) -> None:
        from rdkit.Chem import Crippen

        order, by_symbol = Crippen._ReadPatts(Crippen.defaultPatternFileName)  # type: ignore[no-untyped-call]
        rows = [row for symbol in order for row in by_symbol[symbol]]
        self._patterns = [Pattern(query) for _, query, *_ in rows]
        if not all(pattern.is_exact for pattern in self._patterns):
            raise ValueError("there are other conditions in the table")
        numbered = enumerate(self._patterns)
        self._candidates = ByAtom((pattern.steps[0].atom, (number, pattern)) for number, pattern in numbered)
        self._of_hydrogen = self._candidates.of(HYDROGEN)
        self._numbers: dict[Hashable, float] = {number: log_p for number, (_, _, log_p, _) in enumerate(rows)}
        self.are_classes_right = True

    def look_far(self, facts: Facts) -> bool:
        """Whether those of such an atom and its hydrogens may depend on more than its neighbours."""
        own = any(pattern.radius > 1 for _, pattern in self._candidates.of(facts))
        behind = (pattern for _, pattern in self._of_hydrogen if facts.hydrogens and pattern.radius > 2)
        return own or any(pattern.steps[1].atom.may_hold(facts) for pattern in behind)

    def of(self, atom: int, written: Graph, molecule: Any) -> float:
        """That of an atom with its hydrogens.

        Args:
            atom: its number.
            written: the molecule `with_hydrogens`.
            molecule: RDKit's, without hydrogens.
        """
        count = written.atoms[atom].hydrogens
        hydrogen = count * self._number(written.neighbours[atom][-1][0], written, molecule) if count else 0.0
        return self._number(atom, written, molecule) + hydrogen

    def _number(self, atom: int, written: Graph, molecule: Any) -> float:
        name = self._class(written, atom)
        if name not in self._numbers:
            self._compare(written, molecule)
        return self._numbers[name]

    def _class(self, written: Graph, atom: int) -> Hashable:
        """The first pattern that begins at an atom; of a hydrogen also the atoms before it if patterns ask for them."""
        facts = written.atoms[atom]
        first = next((number for number, pattern in self._candidates.of(facts) if pattern.may_be_at(written, atom)), -1)
        if facts is not HYDROGEN:
            return first
        parent = written.neighbours[atom][0][0]
        bound = written.atoms[parent]
        is_asked = any(pattern.radius > 1 and pattern.steps[1].atom.may_hold(bound) for _, pattern in self._of_hydrogen)
        behind = sorted([written.atoms[other].type for other, _ in written.neighbours[parent]]) if is_asked else ()
        return first, bound.type, *behind

    def _compare(self, written: Graph, molecule: Any) -> None:
        """Take RDKit's numbers of new classes, and look whether it agrees about the others."""
        from rdkit import Chem
        from rdkit.Chem import rdMolDescriptors

        found = rdMolDescriptors._CalcCrippenContribs(Chem.AddHs(molecule))
        for atom, (log_p, _) in enumerate(found):
            known = self._numbers.setdefault(self._class(written, atom), log_p)
            self.are_classes_right &= abs(known - log_p) < 1e-9


def with_hydrogens(graph: Graph) -> Graph:
    """A graph with its hydrogens as atoms, after the others, as RDKit adds them."""
    atoms, neighbours = list(graph.atoms), [list(around) for around in graph.neighbours]
    for atom, facts in enumerate(graph.atoms):
        for _ in range(facts.hydrogens):
            neighbours[atom].append((len(atoms), 1))
            neighbours.append([(atom, 1)])
            atoms.append(HYDROGEN)
    return Graph(atoms, neighbours)
