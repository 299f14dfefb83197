"""Molecules as SMILES: can it be one, how drug-like is it, what does it contain?

    import smiles

    grammar molecule = smiles.molecule(aromatic: true) where chars <= 90
    ...
    require smiles.valence_ok(m) at atom
    score   smiles.qed(m) ^ 3

Of a molecule `m`:

| | |
|---|---|
| `valence_ok` | it is one; of its beginning: no atom has more bonds than it can, aromatic rings can be drawn |
| `qed` | drug-likeness from 0 to 1 (Bickerton and others 2012) |
| `synthesizable` | ease of synthesis from 0 to 1, made of `sa` |
| `contains` | a SMARTS pattern is in it |
| `core_progress` | how much of a SMARTS pattern is in it, above 0 to 1, for guides |
| `similar` | Tanimoto similarity to another molecule, of Morgan fingerprints of radius 2 |
| `novel` | it is none of some molecules, however they are written |
| `logp`, `weight` | Crippen's log P, average molecular weight in g/mol |
| `sa` | synthetic accessibility from 1 to 10 (Ertl and Schuffenhauer 2009) |
| `canonical` | its canonical SMILES |

A beginning is judged by rules of this library, which keep what they read of shorter ones. Whole molecules are
RDKit's to decide. Since it fails to read some molecules that it wrote itself, `valence_ok(m, authority: "rules")`
leaves it out.

RDKit is asked about texts of the grammar's alphabet only, since it reads `CCO some text` as `CCO`, and about molecules
of 400 characters, 120 atoms and 40 ring bonds at most, since some larger ones keep it busy for minutes; a larger one is
none. A weight of what is no molecule is 0; `logp`, `weight`, `sa` and `canonical` raise ValueError for it. A program
that has `require smiles.valence_ok(m)` never asks them: it costs less, so it is judged first.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache
from typing import Any

from smcdsl.potentials._smiles_prefixes import problem

from smcdsl.errors import Diagnostic, UsageError
from smcdsl.program.grammar import Alternatives, Grammar, Reference
from smcdsl.protocols import Weight, potential

_ALPHABET = re.compile(r"[A-Za-z0-9@+\-\[\]()=#$:/\\%.*]+")
_AROMATIC = ("AROMATIC", "BRACKETED_AROMATIC")


def specialize(grammar: Grammar, rule: str, arguments: dict[str, Any]) -> Grammar:
    """Bind the grammar `smiles.molecule`: with `aromatic: false` no atom is written small.

    Raises:
        UsageError: E0802, `aromatic` is neither true nor false.
    """
    aromatic = arguments.get("aromatic", True)
    if not isinstance(aromatic, bool):
        raise UsageError(Diagnostic("E0802", f"`aromatic` is true or false, not {aromatic!r}"))
    if aromatic:
        return grammar
    atom = grammar.rules["atom"]
    assert isinstance(atom, Alternatives), "the rule `atom` has alternatives"
    kept = tuple(item for item in atom.items if not (isinstance(item, Reference) and item.name in _AROMATIC))
    terminals = {name: terminal for name, terminal in grammar.terminals.items() if name not in _AROMATIC}
    return replace(grammar, rules={**grammar.rules, "atom": replace(atom, items=kept)}, terminals=terminals)


@potential(prefix="closed", cost="100us", prefix_form="_valence_so_far", explanation="_why_not")
def valence_ok(m: str, authority: str = "rdkit") -> bool:
    """Whether `m` is a molecule: rings close, atoms have bonds that they can have, aromatic systems can be drawn.

    Args:
        m: the text.
        authority: who has the last word about a whole molecule that the rules of this library find right: `rdkit`,
            or `rules`, which are right about it then.

    Raises:
        ValueError: `authority` is neither.
    """
    return _mistake(m, authority) is None


def _valence_so_far(m: str, authority: str = "rdkit") -> bool:
    """`valence_ok` for a beginning: no if no continuation is a molecule."""
    return problem(m, complete=False) is None


def _why_not(m: str, authority: str = "rdkit", *, prefix: bool) -> str | None:
    return problem(m, complete=False) if prefix else _mistake(m, authority)


@potential(prefix="closed", cost="400us", prefix_form="_qed_so_far")
def qed(m: str) -> Weight:
    """Drug-likeness, 0 to 1: the weighted geometric mean of eight desirabilities. 0 if `m` is no molecule.

    Source: Bickerton et al. (2012), "Quantifying the chemical beauty of drugs".
    """
    from smcdsl.potentials import _smiles_qed

    molecule = _molecule(m)
    return 0.0 if molecule is None else _smiles_qed.qed(m, molecule)


def _qed_so_far(m: str) -> float | None:
    """`qed` of what is written, with open branches ended, isotopes aside; None where that cannot be drawn."""
    from rdkit.Chem import QED
    from smcdsl.potentials._smiles_parts import sketch

    molecule = sketch(m)
    return None if molecule is None else float(QED.qed(molecule))  # type: ignore[no-untyped-call]


@potential(prefix="none", cost="200us")
def synthesizable(m: str) -> Weight:
    """Ease of synthesis, 0 to 1: 1 for an `sa` of 1, 0 for one of 10 and for what is no molecule."""
    return 0.0 if _molecule(m) is None else (10.0 - sa(m)) / 9.0


@potential(prefix="none", cost="100us")
def contains(m: str, pattern: str) -> bool:
    """Whether the SMARTS `pattern` is in `m`. (A SMILES of a part, such as `c1ccccc1`, is one.)

    Raises:
        ValueError: `pattern` is no SMARTS.
    """
    from smcdsl.potentials._smiles_parts import growing

    whole = growing(pattern)[-1]
    molecule = _molecule(m)
    return molecule is not None and bool(molecule.HasSubstructMatch(whole))


@potential(prefix="closed", cost="300us")
def core_progress(m: str, core: str) -> Weight:
    """How much of the SMARTS pattern `core` is in `m` so far, as it is written: 1 for all of it, never 0.

    (1 + the atoms of the largest part found) / (1 + all atoms); parts grow atom by atom in one order. For `guide`.

    Raises:
        ValueError: `core` is no SMARTS.
    """
    from smcdsl.potentials._smiles_parts import growing, share

    size = len(growing(core))
    return (1 + size * share(m, core)) / (1 + size)


@potential(prefix="none", cost="150us")
def similar(m: str, other: str) -> Weight:
    """Tanimoto similarity, 0 to 1, of the Morgan fingerprints (radius 2, 2048 bits) of two molecules.

    Raises:
        ValueError: `other` is no molecule.
    """
    from rdkit.DataStructs import TanimotoSimilarity

    wanted = _fingerprint(other)
    if wanted is None:
        raise ValueError(f"the molecule to compare with is none: {_mistake(other)}")
    found = _fingerprint(m)
    return 0.0 if found is None else float(TanimotoSimilarity(found, wanted))


@potential(prefix="none", cost="100us")
def novel(m: str, known: list[str]) -> bool:
    """Whether `m` is a molecule, and none of `known`, however these are written; those that are none do not count."""
    found = _canonical(m)
    return found is not None and found not in _canonicals(tuple(known))


@potential(prefix="none", cost="200us")
def logp(m: str) -> float:
    """Crippen's estimate of the octanol-water partition coefficient, of either sign.

    Source: Wildman and Crippen (1999), "Prediction of physicochemical parameters by atomic contributions".

    Raises:
        ValueError: `m` is no molecule.
    """
    from rdkit.Chem import Crippen

    return float(Crippen.MolLogP(_required(m)))  # type: ignore[attr-defined]


@potential(prefix="none", cost="200us")
def weight(m: str) -> float:
    """The average molecular weight in g/mol, hydrogens included. Raises ValueError if `m` is no molecule."""
    from rdkit.Chem import Descriptors

    return float(Descriptors.MolWt(_required(m)))  # type: ignore[attr-defined]


@potential(prefix="none", cost="200us")
def sa(m: str) -> float:
    """Synthetic accessibility from 1, easy, to 10.

    Source: Ertl and Schuffenhauer (2009), "Estimation of synthetic accessibility score of drug-like molecules".

    Raises:
        ValueError: `m` is no molecule.
    """
    from rdkit.Contrib.SA_Score import sascorer

    return float(sascorer.calculateScore(_required(m)))


def canonical(m: str) -> str:
    """The canonical SMILES, the same for all ways to write a molecule. Raises ValueError if `m` is none."""
    _required(m)
    return str(_canonical(m))


def _mistake(m: str, authority: str = "rdkit") -> str | None:
    """Why a text is no molecule."""
    if authority not in ("rdkit", "rules"):
        raise ValueError(f'the authority is "rdkit" or "rules", not {authority!r}')
    if not _ALPHABET.fullmatch(m):
        return "there are characters in it that SMILES does not have" if m else "it is empty"
    if (wrong := problem(m, complete=True)) is not None:
        return wrong
    return "RDKit does not read it" if authority == "rdkit" and _read(m) is None else None


def _molecule(m: str) -> Any:
    """RDKit's molecule, None if there is none."""
    return None if _mistake(m, "rules") is not None else _read(m)


@lru_cache(maxsize=4096)
def _read(m: str) -> Any:
    """RDKit's molecule of what the rules of this library find right; None if it does not read it."""
    from rdkit import Chem, rdBase

    with rdBase.BlockLogs():
        return Chem.MolFromSmiles(m)


def _required(m: str) -> Any:
    molecule = _molecule(m)
    if molecule is None:
        raise ValueError(f"`{m}` is no molecule: {_mistake(m)}")
    return molecule


@lru_cache(maxsize=4096)
def _canonical(m: str) -> str | None:
    from rdkit import Chem

    molecule = _molecule(m)
    return None if molecule is None else str(Chem.MolToSmiles(molecule))


@lru_cache(maxsize=16)
def _canonicals(known: tuple[str, ...]) -> frozenset[str]:
    return frozenset(filter(None, map(_canonical, known)))


@lru_cache(maxsize=4096)
def _fingerprint(m: str) -> Any:
    molecule = _molecule(m)
    return None if molecule is None else _generator().GetFingerprint(molecule)


@lru_cache(maxsize=1)
def _generator() -> Any:
    from rdkit.Chem import rdFingerprintGenerator

    return rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048)
