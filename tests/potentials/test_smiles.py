"""What is said of molecules is what RDKit says, and nothing is refused that something after it could mend."""

from __future__ import annotations

import math
import random
import re

import pytest
from rdkit import Chem, rdBase
from rdkit.Chem import QED, Crippen, Descriptors
from smcdsl.potentials import smiles
from smcdsl.potentials._smiles_prefixes import problem

from smcdsl.errors import UsageError
from tests.potentials.molecules import HAND, has_data, mutants, real

needs_data = pytest.mark.skipif(not has_data(), reason="needs the molecules of the test data (SMCDSL_DATA)")
ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"


def rdkit_reads(text: str) -> bool:
    with rdBase.BlockLogs():
        return Chem.MolFromSmiles(text) is not None


def check_prefixes(texts: list[str]) -> None:
    for text in texts:
        assert smiles.valence_ok(text), (text, smiles._why_not(text, prefix=False))
        for end in range(len(text) + 1):
            assert problem(text[:end], complete=False) is None, text[:end]


def test_hand_written_molecules_and_all_their_beginnings():
    check_prefixes(HAND)


@needs_data
@pytest.mark.parametrize("name", ["qm9_gdb9.smi.gz", "zinc250k_part.smi.gz", "gdb17_sample30.smi"])
def test_real_molecules_and_all_their_beginnings(name):
    check_prefixes(real(name, 400))


def texts_with_mutants() -> list[str]:
    chance = random.Random(1)
    texts = [*HAND, *(real("zinc250k_part.smi.gz", 200) if has_data() else [])]
    return [mutant for text in texts for mutant in mutants(text, 10, chance)]


def test_what_is_refused_is_no_molecule():
    refused = wrong = 0
    for text in texts_with_mutants():
        if not rdkit_reads(text):
            wrong += 1
            refused += problem(text, complete=True) is not None
        elif text:
            assert problem(text, complete=False) is None, text
            assert problem(text, complete=True) is None, text
    assert wrong > 300
    assert refused >= 0.98 * wrong, (refused, wrong)


def test_rdkit_decides_about_whole_texts():
    for text in texts_with_mutants():
        assert smiles.valence_ok(text) is (rdkit_reads(text) and text != "" and text.isascii()), text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it is empty"),
        ("CCO and more", "characters in it"),
        ("CC\nC", "characters in it"),
        ("Cé", "characters in it"),
        ("C1CC", "ring bond 1 is not closed"),
        ("C(C", "a branch is not closed"),
        ("C)C", "closes no branch"),
        ("1CC", "before any atom"),
        ("C11", "bound to itself"),
        ("C1C1", "bound twice"),
        ("CC(C)(C)(C)C", "atom 2 has 5 bonds and can have 4"),
        ("C" * 401, "401 characters"),
        ("C" * 121, "more than 120 atoms"),
        ("[U]" + "".join(f"%{number}" for number in range(10, 51)), "more than 40 ring bonds"),
        ("c1cccc1", "the aromatic system of atom 5 cannot be drawn"),
        ("[13CH-4]", "RDKit does not read it"),
    ],
)
def test_reasons(text, reason):
    assert smiles.valence_ok(text) is False
    assert reason in smiles._why_not(text, prefix=False)


def test_beginnings_that_may_go_on():
    for text in ["C1CC", "C(C", "c1ccc", "CC=", "C%1", ""]:
        assert smiles.valence_ok.prefix_function(text) is True
    assert smiles._why_not("FFF", prefix=True) == "atom 2 has 2 bonds and can have 1"


def test_numbers_are_rdkits():
    molecule = Chem.MolFromSmiles(ASPIRIN)
    assert smiles.qed(ASPIRIN) == pytest.approx(QED.qed(molecule))
    assert smiles.logp(ASPIRIN) == pytest.approx(Crippen.MolLogP(molecule))
    assert smiles.weight(ASPIRIN) == pytest.approx(Descriptors.MolWt(molecule))
    assert smiles.sa(ASPIRIN) == pytest.approx(1.58, abs=0.01)  # as published with the score's code
    assert smiles.synthesizable(ASPIRIN) == pytest.approx((10 - smiles.sa(ASPIRIN)) / 9)
    assert smiles.similar(ASPIRIN, "OC(=O)c1ccccc1OC(C)=O") == 1
    assert 0 < smiles.similar(ASPIRIN, "CCO") < 0.3


def test_parts_and_novelty():
    assert smiles.contains(ASPIRIN, "c1ccccc1")
    assert smiles.contains(ASPIRIN, "[CX3](=O)[OX2H1]")
    assert not smiles.contains(ASPIRIN, "N")
    assert not smiles.novel(ASPIRIN, ["CCO", "OC(=O)c1ccccc1OC(C)=O"])
    assert smiles.novel(ASPIRIN, ["CCO", "no molecule"])
    assert smiles.canonical("OCC") == smiles.canonical("CCO")


def test_no_molecule_has_no_weight():
    for judge in (smiles.qed, smiles.synthesizable):
        assert judge("c1cccc1") == 0
    assert smiles.similar("C(", ASPIRIN) == 0
    assert smiles.contains("C(", "C") is False
    assert smiles.novel("C(", []) is False
    for number in (smiles.logp, smiles.weight, smiles.sa, smiles.canonical):
        with pytest.raises(ValueError, match="is no molecule: RDKit does not read it"):
            number("[13CH-4]")


def test_arguments_that_are_none():
    with pytest.raises(ValueError, match="`C1` is no SMARTS"):
        smiles.contains(ASPIRIN, "C1")
    with pytest.raises(ValueError, match="no SMARTS"):
        smiles.contains(ASPIRIN, "")
    with pytest.raises(ValueError, match="the molecule to compare with is none: a branch"):
        smiles.similar(ASPIRIN, "C(")
    with pytest.raises(UsageError, match="aromatic"):
        smiles.specialize(None, "molecule", {"aromatic": "yes"})


def test_rdkit_writes_nothing(capfd):
    for text in ("c1cccc1", "C(C)(C)(C)(C)C", "[CH9]", "F=F"):
        smiles.valence_ok(text)
        smiles.qed(text)
    with pytest.raises(ValueError):
        smiles.contains("C", "((")
    assert capfd.readouterr() == ("", "")


def test_every_number_is_finite():
    for text in HAND:
        assert all(math.isfinite(judge(text)) for judge in (smiles.qed, smiles.logp, smiles.weight, smiles.sa)), text


@pytest.mark.parametrize("text", [text for text in HAND if rdkit_reads(text) and not re.search(r"\[[0-9]", text)])
def test_the_drug_likeness_so_far_is_that_of_what_is_written(text):
    assert qed_of(text) == pytest.approx(smiles.qed(text), abs=1e-9)
    for end in range(len(text)):
        found = qed_of(text[:end])
        assert found is None or 0 < found <= 1, text[:end]


@pytest.mark.parametrize(
    ("beginning", "drawn"),
    [
        ("CC(=O)Oc1ccccc1C(", "CC(=O)Oc1ccccc1C"),
        ("C1CCC", "CCCC"),
        ("c1cc", "CCC"),
        ("CC%1", "CC"),
        ("C[N", "C"),
        ("CO.", "CO"),
    ],
)
def test_open_branches_end_and_open_rings_are_left_open(beginning, drawn):
    assert qed_of(beginning) == pytest.approx(smiles.qed(drawn), abs=1e-9)


@pytest.mark.parametrize("beginning", ["", "[C"])
def test_before_the_first_atom_there_is_no_drug_likeness(beginning):
    assert qed_of(beginning) is None


def qed_of(beginning):
    return smiles._qed_so_far(beginning)
