"""Aromatic systems: the matching equals trying everything. What was read before changes no verdict."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from smcdsl.potentials import _smiles_prefixes as prefixes
from smcdsl.potentials._smiles_aromatic import AROMATIC_BOND, CANNOT, MAY, MUST, cover
from smcdsl.potentials._smiles_atoms import atom_kind

from tests.potentials.molecules import HAND, mutants

CARBON = atom_kind("c")


def coverable(wanted: list[int], edges: list[tuple[int, int]], roles: list[int]) -> bool:
    """Whether a matching covers all wanted atoms: every choice is tried."""
    if not wanted:
        return True
    first, *rest = wanted
    for one, other in edges:
        partner = other if one == first else one if other == first else -1
        if partner >= 0 and roles[partner] != CANNOT:
            left = [edge for edge in edges if first not in edge and partner not in edge]
            if coverable([atom for atom in rest if atom != partner], left, roles):
                return True
    return False


@st.composite
def systems(draw):
    size = draw(st.integers(1, 11))
    pairs = [(one, other) for other in range(size) for one in range(other)]
    edges = draw(st.lists(st.sampled_from(pairs), unique=True, max_size=16)) if pairs else []
    roles = draw(st.lists(st.sampled_from([CANNOT, MAY, MUST, MUST]), min_size=size, max_size=size))
    order = draw(st.permutations([atom for atom in range(size) if roles[atom] == MUST]))
    return edges, roles, order


def bonds_of(edges: list[tuple[int, int]], size: int) -> list[tuple[tuple[int, int], ...]]:
    bonds = [[] for _ in range(size)]
    for one, other in edges:
        bonds[one].append((other, AROMATIC_BOND))
        bonds[other].append((one, AROMATIC_BOND))
    return [tuple(each) for each in bonds]


@given(systems())
def test_the_matching_covers_what_can_be_covered(system):
    edges, roles, order = system
    bonds, mates, covered = bonds_of(edges, len(roles)), [-1] * len(roles), []
    # Atoms that may still get bonds need no partner yet.
    roles = [min(role, MAY) for role in roles]
    for atom in order:
        roles[atom] = MUST
        found = mates[atom] >= 0 or cover(atom, [CARBON] * len(roles), bonds, roles, mates)
        possible = coverable([*covered, atom], edges, roles)
        assert found is possible
        if found:
            covered.append(atom)
        else:
            roles[atom] = MAY
        check_matching(mates, edges, roles, covered)


def check_matching(mates, edges, roles, covered):
    for atom, mate in enumerate(mates):
        if mate >= 0:
            assert mates[mate] == atom
            assert (min(atom, mate), max(atom, mate)) in edges
            assert CANNOT not in (roles[atom], roles[mate])
    assert all(mates[atom] >= 0 for atom in covered)


@pytest.mark.parametrize(
    ("text", "drawn"),
    [
        ("c1ccccc1", True),
        ("c1cccc1", False),
        ("[nH]1cccc1", True),
        ("n1cccc1", False),
        ("c1cc2cccc2c1", True),  # two odd rings: no bond of the matching is forced by one ring alone
        ("c1cc2ccccc2c1", False),
        ("c1cc2ccc3cccc4ccc(c1)c2c34", True),
        ("c1ccc(=O)cc1", False),
        ("O=c1cccccc1", True),
        ("n1(=O)ccccc1", True),
        ("[O-][n+]1ccccc1", True),
        ("*1ccccc1", True),
        ("c1ccsc1", True),
        ("s1ccccc1", False),
        ("C1=CC=CC=C1", True),
        ("[Fe][cH]1[cH][cH]s[cH]1", True),
        ("C1=CC=oC1=C", True),
    ],
)
def test_systems_are_drawn_or_not(text, drawn):
    assert (prefixes.problem(text, complete=True) is None) is drawn


def test_a_system_is_refused_as_soon_as_nothing_can_mend_it():
    assert prefixes.problem("c1cccc1", complete=False) is None  # `=O` may follow
    assert prefixes.problem("c1cccc1C", complete=False) is not None
    assert prefixes.problem("Cc(", complete=False) is None
    assert prefixes.problem("Cc(C)C", complete=False) == "atom 2 is aromatic and in no ring"
    assert prefixes.problem("C(cc)", complete=False) is not None


def fresh_verdict(text: str, *, complete: bool) -> str | None:
    kept, prefixes._KEPT = prefixes._KEPT, prefixes._Kept()
    try:
        return prefixes.problem(text, complete=complete)
    finally:
        prefixes._KEPT = kept


@pytest.mark.parametrize("kept", [prefixes.KEPT, 3])
def test_what_was_read_before_changes_no_verdict(kept, monkeypatch):
    monkeypatch.setattr(prefixes, "KEPT", kept)
    chance = random.Random(3)
    texts = [mutant for text in HAND for mutant in (text, *mutants(text, 2, chance))]
    asked = [text[: chance.randrange(len(text) + 1)] for text in texts for _ in range(6)] + texts
    chance.shuffle(asked)
    for text in asked:
        complete = chance.random() < 0.3
        assert prefixes.problem(text, complete=complete) == fresh_verdict(text, complete=complete), text
    assert len(prefixes._KEPT.younger) <= prefixes.KEPT or kept == 3


def test_states_are_not_changed_by_what_is_read_after_them():
    prefixes.problem("c1ccccc1C(", complete=False)
    before = prefixes.reading_of("c1ccccc1C(")
    shown = [getattr(before, name) for name in before.__slots__]
    copies = [list(value) if isinstance(value, list) else value for value in shown]
    for more in ("C)C", "=O)N", "c1ccccc1)", "C", "Cl)"):
        prefixes.problem("c1ccccc1C(" + more, complete=False)
    after = prefixes.reading_of("c1ccccc1C(")
    assert after is before
    assert [getattr(after, name) for name in after.__slots__] == copies


def test_letters_of_chlorine_are_not_read_as_carbon_for_good():
    assert prefixes.problem("FC", complete=False) is None
    assert prefixes.problem("FCl", complete=True) is None
    assert prefixes.problem("FClC", complete=False) is not None
    assert prefixes.problem("FCC", complete=True) is None
    assert prefixes.problem("FB", complete=False) is None
    assert prefixes.problem("FBr", complete=True) is None


def test_the_bond_that_opened_a_ring_counts():
    for end in range(len("C-1C#C=1") + 1):
        assert prefixes.problem("C-1C#C=1"[:end], complete=False) is None
    assert prefixes.problem("C-1C#C=1", complete=True) is None
    assert prefixes.problem("CC#C=1", complete=False) is not None


def test_carbon_gives_no_bond_to_a_metal_and_others_may():
    assert prefixes.problem("CC(C)(C)(C)[Fe]", complete=True) is not None
    for text in ("CN(C)(C)[Fe]", "CO(C)[Zn]", "[BH4-][Na+]", "CCl[Pt]", "[Fe](C)(C)(C)(C)C"):
        assert prefixes.problem(text, complete=True) is None


def test_aromatic_nitrogen_and_oxygen_beyond_their_valence():
    assert prefixes.problem("c1ccn(C)(C)cc1", complete=False) is not None
    assert prefixes.problem("c1cco(C)c1", complete=False) is not None
    assert prefixes.problem("c1ccn(=O)cc1", complete=True) is None


def test_halogens_and_nitrogen_beyond_their_valence_are_ions():
    for text in ("Cl(=O)(=O)(=O)O", "CN(=O)=O", "CN=N#N", "CIC", "OBr(=O)=O"):
        assert prefixes.problem(text, complete=True) is None
    for text in ("CClC", "CN(C)(C)C", "CBr(=O)=O", "N(C)(C)(C)(C)C", "C[H]C"):
        assert prefixes.problem(text, complete=True) is not None
