"""Ordinary molecules as graphs with facts about their atoms: what was read of the text, with RDKit's bonds."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from smcdsl.potentials._smiles_aromatic import AROMATIC_BOND
from smcdsl.potentials._smiles_atoms import Kind
from smcdsl.potentials._smiles_prefixes import reading_of
from smcdsl.potentials._smiles_queries import AROMATIC, NO_RING, Facts, Graph, facts_of

_UNUSUAL = re.compile(r"\[[0-9]|[*:$]")
"""Isotopes, any atom, classes of atoms and bonds that are rare."""

_VALENCES = {"C": (4,), "N": (3,), "O": (2,), "F": (1,), "S": (2, 4, 6), "Cl": (1,), "Br": (1,), "I": (1,)}
_ORDERS = {1.0: 1, 1.5: AROMATIC, 2.0: 2, 3.0: 3}


def graph_of(text: str, molecule: Any) -> Graph | None:
    """The graph of a molecule; None of one that is not sure to be as it is written.

    Its atoms are C, N, O, S and halogens with their usual valences, without isotopes; their mass is RDKit's.

    Args:
        text: its SMILES.
        molecule: RDKit's molecule of that.
    """
    from rdkit import Chem

    reading = reading_of(text)
    size = len(reading.kinds)
    if (
        _UNUSUAL.search(text)
        or molecule.GetNumAtoms() != size
        or 2 * molecule.GetNumBonds() != sum(map(len, reading.bonds))
    ):
        return None
    rows = Chem.GetAdjacencyMatrix(molecule, useBO=True).tolist()
    rings, smallest_ring = [0] * size, NO_RING
    for ring in molecule.GetRingInfo().AtomRings():
        smallest_ring = min(smallest_ring, len(ring))
        for atom in ring:
            rings[atom] += 1
    atoms, neighbours = [], []
    for kind, written, row, count in zip(reading.kinds, reading.bonds, rows, rings, strict=True):
        own = [(other, _ORDERS.get(row[other], 0)) for other, _ in written]
        facts = _facts(kind, tuple([order for _, order in written]), tuple([order for _, order in own]), count)
        if facts is None:
            return None
        atoms.append(facts)
        neighbours.append(own)
    return Graph(atoms, neighbours, smallest_ring)


@lru_cache(maxsize=4096)
def _facts(kind: Kind, written: tuple[int, ...], orders: tuple[int, ...], rings: int) -> Facts | None:
    """What is known of an atom from its text, its bonds as they are written, and as RDKit sees them."""
    hydrogens = _hydrogens(kind, written)
    if hydrogens is None or 0 in orders:
        return None
    is_aromatic = AROMATIC in orders
    return facts_of(
        _atomic_number(kind.symbol),
        len(orders),
        hydrogens,
        valence=_VALENCES[kind.symbol][0] + kind.charge if is_aromatic else sum(orders) + hydrogens,
        is_aromatic=is_aromatic,
        charge=kind.charge,
        rings=rings,
    )


def _hydrogens(kind: Kind, written: tuple[int, ...]) -> int | None:
    """How many hydrogens an atom has; None of one that is not ordinary."""
    valences = _VALENCES.get(kind.symbol)
    if valences is None or abs(kind.charge) > 1:
        return None
    if kind.is_aromatic:
        if (
            AROMATIC_BOND not in written
            or kind.symbol not in "CNOS"
            or (any(1 < order < AROMATIC_BOND for order in written) and kind.symbol != "C")
        ):
            return None
        bare = max(3 - len(written), 0) if kind.symbol == "C" else 0
        return bare if kind.is_bare else kind.hydrogens
    if AROMATIC_BOND in written:
        return None
    orders = sum(written) + kind.hydrogens
    if kind.is_bare:
        return next((valence - orders for valence in valences if valence >= orders), None)
    return kind.hydrogens if kind.charge or orders <= valences[-1] else None


@lru_cache(maxsize=16)
def _atomic_number(symbol: str) -> int:
    from rdkit import Chem

    return int(Chem.GetPeriodicTable().GetAtomicNumber(symbol))
