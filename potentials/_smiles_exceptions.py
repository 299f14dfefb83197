"""Bonds beyond the usual valence: which of them RDKit reads, mostly as bonds of ions."""

from __future__ import annotations

from collections.abc import Sequence

from smcdsl.potentials._smiles_aromatic import AROMATIC_BOND, Bonds, has_oxide, orders_of
from smcdsl.potentials._smiles_atoms import Kind

HALVES = (0, 2, 4, 6, 8, 3)
"""Half orders of a bond's order; `AROMATIC_BOND` is the last."""


def is_allowed(atom: int, used: int, kinds: Sequence[Kind], bonds: Sequence[Bonds]) -> bool:
    """Whether an atom of an exceptional kind may have `used` half orders of bonds, its own and some to come.

    Hydrogen has one neighbour. A halogen with more than its valence is an acid's: all neighbours are oxygen. Nitrogen
    with more has an oxygen by a double bond or a nitrogen by a triple one.
    """
    kind, own = kinds[atom], bonds[atom]
    if kind.exception == "H":
        return len(own) < 2
    if kind.exception == "halogen":
        if used <= (10 if kind.symbol == "I" else 2):
            return True
        return all(kinds[other].symbol == "O" or kinds[other].is_metal for other, _ in own)
    if used <= (9 if kind.is_aromatic else 6):
        return True
    # A bond that is still to come may be the one to oxygen or nitrogen.
    if used > 2 * kind.hydrogens + sum(HALVES[order] for _, order in own):
        return True
    return any((kinds[other].symbol, order) in (("O", 2), ("N", 3)) for other, order in own)


def unpaired(atom: int, used: int, kinds: Sequence[Kind], bonds: Sequence[Bonds]) -> str | None:
    """Why the finished bonds of an exceptional atom are wrong.

    Nitrogen has three orders or five, chlorine and bromine one, three, five or seven.
    """
    symbol = kinds[atom].symbol
    beyond = {"N": 6, "Cl": 2, "Br": 2}.get(symbol, used)
    if used <= beyond or used % 4 or any(kinds[other].is_metal for other, _ in bonds[atom]):
        return None
    return f"atom {atom + 1}, {symbol}, has {used / 2:g} bonds and may have one more or one less"


def beyond_valence(atom: int, kinds: Sequence[Kind], bonds: Sequence[Bonds]) -> str | None:
    """Why the finished bonds of an aromatic oxygen or nitrogen are wrong: only `n=O` goes beyond the valence.

    RDKit drops the hydrogen of `[nH]` and reads some multiple bonds of aromatic atoms as single ones.
    """
    kind = kinds[atom]
    if kind.symbol != "O" and not (kind.symbol == "N" and kind.is_bare):
        return None
    _, orders = orders_of(atom, kinds, bonds)
    if not orders > kind.valence > 0 or has_oxide(atom, kinds, bonds):
        return None
    if any(1 < order < AROMATIC_BOND for _, order in bonds[atom]):
        return None
    return f"atom {atom + 1} is aromatic, has {orders} bonds and can have {kind.valence}"
