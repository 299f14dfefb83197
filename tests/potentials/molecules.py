"""Molecules for tests: written by hand, and real ones where the test data is."""

from __future__ import annotations

import gzip
import random
from pathlib import Path

from rdkit import Chem, rdBase

from tests.spider import DATA

HAND = """
C N O [H][H] [Na+].[Cl-] C#N C=C CC(=O)Oc1ccccc1C(=O)O CN1C=NC2=C1C(=O)N(C(=O)N2C)C CC(C)Cc1ccc(cc1)C(C)C(=O)O
c1ccc2ccccc2c1 C1CC1 C1CCCCC1 C%10CCCC%10 C1CC2CC1CC2 F/C=C/F F/C=C\\F N[C@@H](C)C(=O)O N[C@H](C)C(=O)O
[nH]1cccc1 n1ccccc1 o1cccc1 s1cccc1 O=n1ccccc1 [O-][n+]1ccccc1 CN(=O)=O C[N+](=O)[O-] CS(=O)(=O)C CS(C)=O
OP(=O)(O)O FS(F)(F)(F)(F)F FP(F)(F)(F)F Cl(=O)(=O)(=O)O [NH4+] [OH3+] [BH4-].[Na+] B(O)(O)O [13CH4] [2H]O[2H]
CC(C)(C)c1ccc2occ(CC(=O)Nc3ccccc3F)c2c1 C[C@@H]1CC(Nc2cncc(-c3nncn3C)c2)C[C@@H](C)C1 *C(=O)* [C@TH1](F)(Cl)(Br)I
C(C(C(C)))C O.O.O [Cu+2].[O-]S(=O)(=O)[O-] [SiH4] C[Si](C)(C)C c1cc[se]c1 [CH3:1][OH:2] C1=CC=CC=C1
C12C3C4C1C5C2C3C45 CC#CC N#N O=C=O [O-]C#N c1ccc(cc1)-c1ccccc1 C(F)(F)(F)C(Cl)Br II N12CCC(CC1)CC2 C=1CCCCC=1 C-1CC=1
""".split()


def real(name: str, count: int) -> list[str]:
    """Some molecules of a file of the test data, always the same."""
    file = DATA / "molecules" / name
    text = gzip.decompress(file.read_bytes()).decode() if file.suffix == ".gz" else file.read_text()
    lines = [line.split()[0] for line in text.splitlines() if line.strip()]
    return random.Random(0).sample(lines, min(count, len(lines)))


def has_data() -> bool:
    return (Path(DATA) / "molecules").is_dir()


def mutants(text: str, count: int, chance: random.Random) -> list[str]:
    """Texts one edit away."""
    alphabet = "CNOScnos()[]=#123%FBrl+-@H."
    found = []
    for _ in range(count):
        at, kind = chance.randrange(len(text)), chance.randrange(3)
        letter = chance.choice(alphabet)
        found.append(text[:at] + ("" if kind == 0 else letter) + text[at + (kind != 1) :])
    return found


def rewritings(text: str, *, all_bonds: bool = True) -> list[str]:
    """Other ways to write a molecule: as RDKit would, in random orders, kekulised, and with all bonds written."""
    molecule = Chem.MolFromSmiles(text)
    forms = [text, Chem.MolToSmiles(molecule)]
    for seed in range(2):
        forms += Chem.MolToRandomSmilesVect(molecule, 1, randomSeed=seed + 1)
        if all_bonds:
            forms += Chem.MolToRandomSmilesVect(molecule, 1, randomSeed=seed + 1, allBondsExplicit=True)
    drawn = Chem.Mol(molecule)
    Chem.Kekulize(drawn, clearAromaticFlags=True)
    forms += Chem.MolToRandomSmilesVect(drawn, 2, randomSeed=1, kekuleSmiles=True)
    # RDKit cannot read everything that it writes.
    with rdBase.BlockLogs():
        return [form for form in dict.fromkeys(forms) if Chem.MolFromSmiles(form) is not None]
