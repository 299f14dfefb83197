"""Bad molecules, numbered as in the list of bad inputs: refused in time, for a reason, and never RDKit's to hang on."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations

import pytest
from rdkit import Chem, rdBase
from smcdsl.potentials import smiles
from smcdsl.potentials._smiles_prefixes import problem

from tests.potentials.molecules import HAND, has_data, mutants, real, rewritings

needs_data = pytest.mark.skipif(not has_data(), reason="needs the molecules of the test data (SMCDSL_DATA)")


def is_alive(prefix: str) -> bool:
    return smiles.valence_ok.prefix_function(prefix)


def test_41_the_empty_text_is_no_molecule():
    assert smiles.valence_ok("") is False
    assert smiles.valence_ok("", authority="rules") is False
    assert is_alive("")


@pytest.fixture
def rdkit_is_not_asked(monkeypatch):
    def asked(*arguments, **named):
        raise AssertionError("RDKit was asked")

    monkeypatch.setattr(Chem, "MolFromSmiles", asked)


@pytest.mark.parametrize(
    "text", ["CCO ignore this", "CC\nC", "Cé", "C\0C", "C\tC", "C²", "\ud800", "C\N{CYRILLIC SMALL LETTER ES}"]
)
def test_42_other_characters_never_reach_rdkit(text, rdkit_is_not_asked):
    smiles._read.cache_clear()
    for authority in ("rdkit", "rules"):
        assert smiles.valence_ok(text, authority) is False
    assert smiles.qed(text) == 0
    with pytest.raises(ValueError, match="characters in it that SMILES does not have"):
        smiles.logp(text)


@pytest.mark.parametrize("prefix", ["C%", "C%1", "[N", "[", "[13", "[C@", "CB", "C", "[nH", "[Fe+", "[O-:1"])
def test_43_unfinished_atoms_and_ring_bonds_are_alive(prefix):
    assert is_alive(prefix)
    assert smiles.valence_ok(prefix) is (prefix in ("C", "CB"))


def test_43_letters_go_on():
    for prefix, rest in (("CB", "r"), ("C", "l"), ("C%1", "0CC%10")):
        assert is_alive(prefix)
        assert smiles.valence_ok(prefix + rest)


@pytest.mark.parametrize(
    "prefix", ["CC(C)(C)(C)(", "CC(C)(C)(=", "CC(C)(C)(#", "CC#C(=", "CF(", "CC(C)(C)(C)-", "C(C)(C)(C)(C)("]
)
def test_44_an_opened_branch_and_a_bond_are_counted_at_once(prefix):
    assert not is_alive(prefix)
    assert is_alive(prefix[:-1])


def test_45_a_ring_of_five_carbons_cannot_be_drawn():
    assert is_alive("c1cc")
    assert smiles.valence_ok("c1cccc1") is False
    assert smiles.valence_ok("c1cccc1", authority="rules") is False
    assert not is_alive("c1cccc1C")


@pytest.mark.parametrize(
    "text",
    [
        "C11",
        "C12CC12",
        "C-=C",
        "()",
        "C)",
        "C(",
        "C((C))C",
        "C(.C)C",
        "C()C",
        "(C)C",
        "1C",
        "C(1C)",
        "=C",
        ".C",
        "C..C",
    ],
)
def test_46_wrong_forms(text):
    assert smiles.valence_ok(text) is False
    assert text == "C(" or not is_alive(text)


@pytest.mark.parametrize("text", ["[C+999999999]", "[999999999999C]", "[CH999]", "[C+16]", "[X]", "[]", "[C:99999]"])
def test_47_numbers_without_end(text, rdkit_is_not_asked):
    assert smiles.valence_ok(text) is False
    assert not is_alive(text)


def clique(size: int) -> str:
    """A text of `size` atoms, any two of which are bound by a ring bond; its numbers need not be valid."""
    names = {pair: f"%{10 + number % 90}" for number, pair in enumerate(combinations(range(size), 2))}
    return ".".join("*" + "".join(name for pair, name in names.items() if atom in pair) for atom in range(size))


HUGE = {
    "100,000 carbons": "C" * 100_000,
    "50,000 components": ".".join("C" * 50_000),
    "aromatic ring of 6,000": "c1" + "c" * 5_998 + "c1",
    "24-clique": clique(24),
    "40-clique": clique(40),
    "atoms": "C" * 121,
    "ring bonds": "[U]" + "".join(f"%{number}" for number in range(10, 51)),
    "100,000 brackets": "(" * 100_000,
    "one long bracket": "[" + "C" * 100_000,
}


@pytest.mark.parametrize("text", HUGE.values(), ids=HUGE)
def test_48_what_is_too_large_is_refused_by_the_caps(text, rdkit_is_not_asked):
    assert not is_alive(text)
    for authority in ("rdkit", "rules"):
        assert smiles.valence_ok(text, authority) is False
    assert smiles.qed(text) == 0
    assert "most that are looked at" in smiles._why_not(text, prefix=True) or text.startswith("*")


def test_48_the_largest_that_are_looked_at():
    for text in ("C" * 120, "[U]" + "".join(f"%{number}" for number in range(10, 50)), "CO" * 60, "[13CH2]" * 57):
        assert is_alive(text)
    assert smiles.valence_ok("C" * 120)


@pytest.mark.parametrize("text", ["[CH3]", "[Fe+2]", "ClP(Cl)(Cl)(Cl)Cl", "c1cc[se]c1", "[O-][n+]1ccccc1", "[2H]C"])
def test_49_radicals_ions_and_high_valences_are_molecules(text):
    assert smiles.valence_ok(text)
    assert all(is_alive(text[:end]) for end in range(len(text) + 1))


def check_50(texts: list[str]) -> None:
    for text in texts:
        for form in rewritings(text):
            assert problem(form, complete=True) is None, form
            for end in range(len(form) + 1):
                assert problem(form[:end], complete=False) is None, form[:end]


def test_50_all_ways_to_write_a_molecule_are_alive():
    check_50(HAND)


@needs_data
@pytest.mark.parametrize("name", ["qm9_gdb9.smi.gz", "zinc250k_part.smi.gz", "gdb17_sample30.smi"])
def test_50_all_ways_to_write_real_molecules_are_alive(name):
    check_50(real(name, 60))


@needs_data
@pytest.mark.long
@pytest.mark.parametrize("name", ["qm9_gdb9.smi.gz", "zinc250k_part.smi.gz"])
def test_50_in_full(name):
    check_50(real(name, 4_000))


def test_51_a_thousand_rejects_write_nothing(capfd):
    smiles._read.cache_clear()
    chance = random.Random(51)
    texts = [mutant for text in HAND for mutant in mutants(text, 40, chance)]
    with rdBase.BlockLogs():
        rejected = [text for text in texts if Chem.MolFromSmiles(text) is None]
    # Those that only RDKit refuses are the ones that it may complain about.
    rejected += [f"[{mass}CH-4]" for mass in range(1, 300)]
    assert len(rejected) > 1_000
    assert not any(map(smiles.valence_ok, rejected))
    assert not any(map(smiles.qed, rejected))
    assert capfd.readouterr() == ("", "")


def test_52_two_threads_get_the_same_answers():
    chance = random.Random(52)
    texts = [mutant for text in HAND for mutant in (text, *mutants(text, 3, chance))] * 3
    chance.shuffle(texts)

    def answers(own: list[str]) -> dict[str, tuple]:
        found = {}
        for text in own:
            alive = tuple(is_alive(text[:end]) for end in range(len(text) + 1))
            found[text] = (alive, smiles.valence_ok(text), smiles.qed(text), smiles.similar(text, "c1ccccc1"))
        return found

    alone = answers(texts)
    smiles._read.cache_clear()
    with ThreadPoolExecutor(2) as pool:
        for found in pool.map(answers, [texts, texts[::-1]]):
            assert found == alone


def test_the_authority_is_one_of_two():
    assert smiles.valence_ok("[13CH-4]", authority="rules") is True
    assert smiles.valence_ok("[13CH-4]") is False
    with pytest.raises(ValueError, match="the authority is"):
        smiles.valence_ok("C", authority="me")
