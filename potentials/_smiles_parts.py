"""Molecules that are still being written: as RDKit sees them, and how much of a pattern is in them."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from smcdsl.potentials._smiles_aromatic import AROMATIC_BOND
from smcdsl.potentials._smiles_prefixes import reading_of


@lru_cache(maxsize=64)
def growing(pattern: str) -> tuple[Any, ...]:
    """A SMARTS pattern's first atom, its first two, and so on, in an order in which each is bound to one before it.

    Raises:
        ValueError: `pattern` is no SMARTS.
    """
    from rdkit import Chem, rdBase

    with rdBase.BlockLogs():
        whole = Chem.MolFromSmarts(pattern) if pattern else None
    if whole is None:
        raise ValueError(f"`{pattern}` is no SMARTS")
    order = _connected_order(whole)
    parts = []
    for size in range(1, len(order)):
        part = Chem.RWMol(whole)
        for atom in sorted(order[size:], reverse=True):
            part.RemoveAtom(atom)
        parts.append(part.GetMol())
    return (*parts, whole)


def _connected_order(molecule: Any) -> list[int]:
    order: list[int] = []
    for first in range(molecule.GetNumAtoms()):
        waiting = [first]
        while waiting:
            atom = waiting.pop()
            if atom not in order:
                order.append(atom)
                waiting += [other.GetIdx() for other in molecule.GetAtomWithIdx(atom).GetNeighbors()]
    return order


def share(text: str, pattern: str) -> float:
    """The largest part of a pattern that a text has, over its atoms, from 0 to 1. Parts grow in one fixed order."""
    parts = growing(pattern)
    molecule = _drawn(text)
    low, high = 0, len(parts)
    while low < high:
        middle = (low + high + 1) // 2
        if molecule.HasSubstructMatch(parts[middle - 1]):
            low = middle
        else:
            high = middle - 1
    return low / len(parts)


def sketch(text: str) -> Any:
    """RDKit's molecule of what is written: open branches end, open ring bonds are left out; None if there is none.

    What is not yet aromatic is drawn with single bonds.
    """
    from rdkit import Chem, rdBase

    drawn = _drawn(text)
    if not drawn.GetNumAtoms():
        return None
    with rdBase.BlockLogs():
        for molecule in (drawn, _without_aromaticity(drawn)):
            if Chem.SanitizeMol(molecule, catchErrors=True) == Chem.SanitizeFlags.SANITIZE_NONE:
                return molecule
    return None


def _without_aromaticity(molecule: Any) -> Any:
    from rdkit import Chem

    plain = Chem.RWMol(molecule)
    for atom in plain.GetAtoms():
        atom.SetIsAromatic(False)
    for bond in plain.GetBonds():
        if bond.GetIsAromatic():
            bond.SetIsAromatic(False)
            bond.SetBondType(Chem.BondType.SINGLE)
    return plain


def _drawn(text: str) -> Any:
    """RDKit's molecule of the atoms and bonds that are written, as they are written."""
    from rdkit import Chem

    orders = {
        1: Chem.BondType.SINGLE,
        2: Chem.BondType.DOUBLE,
        3: Chem.BondType.TRIPLE,
        4: Chem.BondType.QUADRUPLE,
        AROMATIC_BOND: Chem.BondType.AROMATIC,
    }
    reading = reading_of(text)
    molecule = Chem.RWMol()
    for kind in reading.kinds:
        atom = Chem.Atom(0 if kind.symbol == "*" else kind.symbol)
        atom.SetIsAromatic(kind.is_aromatic)
        atom.SetFormalCharge(kind.charge)
        atom.SetNumExplicitHs(kind.hydrogens)
        atom.SetNoImplicit(not kind.is_bare)
        molecule.AddAtom(atom)
    for number, bonds in enumerate(reading.bonds):
        for other, order in bonds:
            if other < number:
                molecule.AddBond(other, number, orders[order])
                if order == AROMATIC_BOND:
                    molecule.GetBondBetweenAtoms(other, number).SetIsAromatic(True)
    molecule.UpdatePropertyCache(strict=False)
    Chem.FastFindRings(molecule)
    return molecule
