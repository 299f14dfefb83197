"""Judgements of this project. `smcdsl check` reads this file and does not run it."""

import math

from smcdsl import Weight, potential


@potential(cost="100us")
def near(m: str, atoms: int) -> Weight:
    """How near the number of heavy atoms is to what is wanted: 1 if equal, less by a factor e for each three off."""
    from rdkit import Chem

    molecule = Chem.MolFromSmiles(m)
    return 0.0 if molecule is None else math.exp(-abs(molecule.GetNumHeavyAtoms() - atoms) / 3)
