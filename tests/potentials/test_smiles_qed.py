"""Drug-likeness is RDKit's to the last digits, whatever the molecule and whatever is in RDKit's tables."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rdkit import Chem, rdBase
from rdkit.Chem import QED, Crippen
from smcdsl.potentials import _smiles_qed, smiles
from smcdsl.potentials._smiles_graph import graph_of
from smcdsl.potentials._smiles_log_p import with_hydrogens
from smcdsl.potentials._smiles_queries import Condition, Pattern, facts_of

from tests.potentials.molecules import HAND, has_data, mutants, real, rewritings

needs_data = pytest.mark.skipif(not has_data(), reason="needs the molecules of the test data (SMCDSL_DATA)")

UNUSUAL = """
[Na+].[Cl-] CC(=O)[O-].[Na+] F.F.F.F C[CH2] [CH2] [O] C[N]C [13CH4] C[13C](=O)O [15NH3] C[18OH] [2H]O[2H] [H][H]
[H]C([H])([H])O [OH][n+]1ccccc1 O=n1ccccc1 CN(=O)=O CN=N#N [N-]=[N+]=NC N#N Cl(=O)(=O)(=O)O OS(=O)(=O)[O-] CS(C)(=O)=O
CS(C)=O C[S+](C)C [C-]#[O+] CP(=O)(O)O B(O)O C[Si](C)(C)F c1cc[se]c1 [nH]1cccc1 C1=CNC=C1 C1=CC=CC=C1 C1=CC=C1 c1ccc1
c1ccc2c(c1)C(=O)c1ccccc1C2=O CC1CO1 C1CN1 C1CCCCCCC1 C12C3C4C1C5C2C3C45 C1CC2CCC1CC2 O=C1C=CC(=O)C=C1 C=C=C O=C=O C*C
[CH3:1]C C:C OO COO CSSC NN c1ccccc1-c1ccccc1 O=c1cc[nH]c(=O)[nH]1 Cn1cnc2c1c(=O)n(C)c(=O)n2C c1ccc2[nH]c3ccccc3c2c1
C[N+](C)(C)CC([O-])=O [NH4+] O C N S [OH-] [H+] [Fe] CC[Mg]Br
""".split()
PARTS = """
C N O S F Cl Br I c1ccccc1 c1ccncc1 c1cc[nH]c1 C(=O)O C(=O)N [N+](=O)[O-] N(=O)=O S(=O)(=O) [NH2+] [O-] C#N C=C [CH2]
[13CH2] [H] [2H] . [Na+] P(=O)(O) B(O) c1ccsc1 C1CC1 N=N [C+] [n+]1ccccc1 [CH] [OH] [SH] =O #N ( ) 1 2 = -
""".split()

NAMES = ["qm9_gdb9.smi.gz", "zinc250k_part.smi.gz", "gdb17_sample30.smi"]


def rdkits(text: str) -> Chem.Mol | None:
    with rdBase.BlockLogs():
        return Chem.MolFromSmiles(text)


def check(texts: list[str]) -> int:
    """Compare; how many were molecules."""
    count = 0
    for text in texts:
        if smiles.valence_ok(text):
            count += 1
            assert abs(smiles.qed(text) - QED.qed(rdkits(text))) <= 1e-12, text
    return count


def ours(text: str):
    return _smiles_qed._shortcut().properties(text, rdkits(text))


def test_of_hand_written_and_unusual_molecules():
    texts = [*HAND, *UNUSUAL]
    assert check(texts) > 0.9 * len(texts)


@needs_data
@pytest.mark.parametrize("name", NAMES)
def test_of_real_molecules(name):
    assert check(real(name, 500)) >= 30


@needs_data
@pytest.mark.parametrize("name", NAMES)
def test_of_real_molecules_every_property(name):
    texts = real(name, 200)
    found = [(ours(text), QED.properties(rdkits(text))) for text in texts]
    for text, (our, their) in zip(texts, found, strict=True):
        assert our is None or our == pytest.approx(their, rel=1e-12, abs=1e-12), text
    # RDKit's own function is for the few that are not ordinary.
    assert sum(our is None for our, _ in found) <= 0.05 * len(texts)


def test_of_molecules_that_are_written_otherwise():
    texts = [*HAND, *(real("zinc250k_part.smi.gz", 40) if has_data() else [])]
    assert check([form for text in texts for form in rewritings(text)]) > len(texts)


def test_of_molecules_with_an_error():
    chance = random.Random(3)
    texts = [*HAND, *UNUSUAL, *(real("zinc250k_part.smi.gz", 100) if has_data() else [])]
    assert check([mutant for text in texts for mutant in mutants(text, 5, chance)]) > 100


@given(st.lists(st.sampled_from(PARTS), min_size=1, max_size=7).map("".join))
def test_of_what_is_put_together_at_random(text):
    check([text])


@pytest.fixture
def fresh(monkeypatch):
    """Tables are read anew, in the test and after it."""
    _smiles_qed._shortcut.cache_clear()
    yield monkeypatch
    _smiles_qed._shortcut.cache_clear()


SOME = ["CC(=O)Oc1ccccc1C(=O)O", "C1CC1CN", "NCCS(=O)(=O)c1ccc(Cl)cc1", "O=C1CCC2OC2C1"]


def test_other_alerts_acceptors_and_weights_are_rdkits(fresh):
    before = [smiles.qed(text) for text in SOME]
    _smiles_qed._shortcut.cache_clear()
    more = [Chem.MolFromSmarts(pattern) for pattern in ("C1CC1", "c[Cl]", "[$(CN)]", "[r3]", "N.C")]
    fresh.setattr(QED, "StructuralAlerts", QED.StructuralAlerts[10:] + more)
    fresh.setattr(QED, "Acceptors", [*QED.Acceptors[:-2], Chem.MolFromSmarts("[Cl]"), Chem.MolFromSmarts("[#6]=O")])
    fresh.setitem(QED.adsParameters, "MW", QED.adsParameters["MW"]._replace(A=2.0))
    assert _smiles_qed._shortcut() is not None
    assert [smiles.qed(text) for text in SOME] != before
    check(SOME)


@pytest.mark.parametrize(
    ("owner", "name", "value"),
    [
        (QED, "AliphaticRings", Chem.MolFromSmarts("[A;R]")),
        (QED, "properties", lambda molecule: QED.QEDproperties(*range(1, 9))),
        (QED, "StructuralAlerts", None),
        (Crippen, "_ReadPatts", lambda name: (["C"], {"C": [("[$(CC)]", Chem.MolFromSmarts("[$(CC)]"), 0.1, 0.1)]})),
        (Crippen, "defaultPatternFileName", "no such file"),
    ],
)
def test_where_tables_have_another_form_rdkit_does_it_all(fresh, owner, name, value):
    fresh.setattr(owner, name, value)
    assert _smiles_qed._shortcut() is None
    if value is not None:
        check(SOME)


def test_without_a_table_of_contributions_they_are_rdkits(fresh):
    fresh.setattr(Crippen, "_ReadPatts", lambda name: ([], {}))
    check(SOME)


def test_where_classes_of_atoms_are_wrong_log_p_is_rdkits(fresh):
    shortcut = _smiles_qed.Shortcut()
    shortcut._contributions.are_classes_right = False
    text = "OCC(=O)Nc1ccccc1"
    molecule = rdkits(text)
    shortcut._known.clear()
    assert Crippen.MolLogP(molecule) == shortcut.properties(text, molecule).ALOGP


def test_classes_that_rdkit_tells_apart_are_noticed():
    contributions = _smiles_qed.Contributions()
    number = next(number for number, pattern in enumerate(contributions._patterns) if not pattern.radius)
    contributions._numbers[number] += 0.5
    molecule = rdkits("C")
    written = with_hydrogens(graph_of("C", molecule))
    contributions.of(0, written, molecule)
    assert contributions.are_classes_right is False


def patterns() -> list[Chem.Mol]:
    order, by_symbol = Crippen._ReadPatts(Crippen.defaultPatternFileName)
    contributions = [query for symbol in order for _, query, *_ in by_symbol[symbol]]
    extra = [
        "[!#6;!#1]",
        "[C,N;R0]",
        "[R2]",
        "C@C",
        "C!@C",
        "[D3]",
        "[X4]",
        "[v4]",
        "[r5]",
        "[$(CO)]",
        "C~*~O",
        "C1CC1",
    ]
    return [*QED.StructuralAlerts, *QED.Acceptors, *contributions, *map(Chem.MolFromSmarts, extra)]


def test_what_patterns_do_not_find_is_not_there():
    texts = [*HAND, *UNUSUAL, *(real("zinc250k_part.smi.gz", 60) if has_data() else [])]
    graphs = [(text, molecule, graph_of(text, molecule)) for text in texts if (molecule := rdkits(text)) is not None]
    read = [(Pattern(query), query) for query in patterns()]
    compared = 0
    for text, molecule, graph in graphs:
        for pattern, query in read if graph is not None else []:
            found = any(pattern.may_be_at(graph, atom) for atom in range(len(graph.atoms)))
            is_there = molecule.HasSubstructMatch(query)
            assert found or not is_there, (text, Chem.MolToSmarts(query))
            assert not found or is_there or not pattern.is_exact, (text, Chem.MolToSmarts(query))
            compared += pattern.is_exact
    assert compared > 5_000


@pytest.mark.parametrize(
    "described",
    [
        "",
        "AtomRingSize 3 = val",
        "AtomHCount 2 < val",
        "AtomHCount two = val",
        "AtomXor\n  AtomType 7 = val\n  AtomType 6 = val",
    ],
)
def test_a_condition_that_is_not_known_may_hold(described):
    condition = Condition(described)
    assert condition.may_hold(facts_of(6, 2, 2, valence=4))
    assert not condition.is_exact


def test_conditions_are_joined():
    methylene, nitrogen = facts_of(6, 2, 2, valence=4), facts_of(7, 2, 1, valence=3)
    both = Condition("AtomAnd\n  AtomOr\n    AtomType 6 = val\n    AtomType 8 = val\n  AtomHCount 2 = val\n")
    assert both.is_exact
    assert both.types == {6, 8}
    assert (both.may_hold(methylene), both.may_hold(nitrogen)) == (True, False)
    half = Condition("AtomAnd\n  AtomType 6 = val\n  AtomRingSize 3 = val\n")
    assert (half.is_exact, half.may_hold(methylene), half.may_hold(nitrogen)) == (False, True, False)


def test_atoms_that_are_not_ordinary_have_no_graph():
    for text in ("C[13CH3]", "CN(=O)=O", "C*", "[Fe]", "[H][H]", "CP", "[CH3:1]C"):
        assert graph_of(text, rdkits(text)) is None, text
    graph = graph_of("CC(=O)[O-].C[NH3+]", rdkits("CC(=O)[O-].C[NH3+]"))
    assert [facts.hydrogens for facts in graph.atoms] == [3, 0, 0, 0, 3, 3]
    assert [facts.charge for facts in graph.atoms] == [0, 0, 0, -1, 0, 1]


def test_numbers_are_finite():
    assert all(math.isfinite(smiles.qed(text)) for text in UNUSUAL)
