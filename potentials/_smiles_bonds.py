"""Reads SMILES atom by atom and counts the bonds of each: what no continuation can mend shows at once.

Every count is a lower bound and every limit an upper one, so a no is final: bonds of an aromatic atom count 1, as does
an open ring bond, limits are those of the atom's highest valence (RDKit reads `N(=O)=O` and
`Cl(=O)(=O)=O` as their charged forms), and elements whose valence is open have none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_TOKEN = re.compile(
    r"(?P<atom>Cl|Br|[BCNOPSFIbcnops*]|\[[^\]]*\])|(?P<bond>[-=#$:/\\])|(?P<ring>%[0-9]{2}|[0-9])"
    r"|(?P<open>\()|(?P<close>\))|(?P<dot>\.)"
)
_BRACKETED = re.compile(
    r"\[[0-9]*(?P<symbol>[A-Z][a-z]?|[a-z]{1,2}|\*)"
    r"(?:@(?:@|TH[12]|AL[12]|SP[1-3]|TB[0-9]{1,2}|OH[0-9]{1,2})?)?(?:H(?P<hydrogens>[0-9]?))?(?:[-+]1?)?(?::[0-9]+)?\]"
)

_BEGUN = re.compile(r"%[0-9]?|\[[^\]]*")

_ORDERS = {"=": 2, "#": 3, "$": 4}
_MOST_BONDS = {"B": 3, "C": 4, "N": 5, "O": 2, "P": 7, "S": 6, "F": 1, "Cl": 7, "Br": 7, "I": 7}
"""Orders of bonds that an atom without brackets has at most, hydrogens not counted."""
_MOST_BRACKETED = {"B": 4, "C": 4, "N": 5, "O": 3, "F": 2, "P": 7, "S": 7, "Cl": 7, "Br": 7, "I": 7}
"""The same with hydrogens, for charges from -1 to 1; other elements and ions may have any."""


@dataclass
class _Atom:
    limit: int | None
    used: int
    is_aromatic: bool = False
    neighbours: set[int] = field(default_factory=set)


@dataclass
class _Reading:
    atoms: list[_Atom] = field(default_factory=list)
    rings: dict[int, tuple[int, str]] = field(default_factory=dict)
    """Open ring bonds: the atom, and the bond that is written."""
    last: int | None = None
    bond: str = ""
    branches: list[int | None] = field(default_factory=list)


def problem(text: str, *, complete: bool) -> str | None:
    """What is wrong with a text of the grammar `smiles.molecule` or its beginning, that nothing after it can mend.

    Args:
        text: any; of one that ends inside an atom or a ring bond these are left out.
        complete: nothing comes after it, so rings must be closed.
    """
    reading = _Reading()
    position = 0
    while position < len(text):
        found = _TOKEN.match(text, position)
        if found is None and not complete and _BEGUN.fullmatch(text, position):
            return None
        if found is None:
            return f"`{text[position : position + 10]}` is no SMILES"
        position = found.end()
        wrong = _STEPS[found.lastgroup or ""](reading, found.group())
        if wrong:
            return wrong
    if complete and reading.rings:
        return f"ring bond {min(reading.rings)} is not closed"
    return "a branch is not closed" if complete and reading.branches else None


def _atom(reading: _Reading, text: str) -> str | None:
    number = len(reading.atoms)
    atom = _new_atom(text)
    reading.atoms.append(atom)
    wrong = None if reading.last is None else _tie(reading, reading.last, number, reading.bond)
    reading.last, reading.bond = number, ""
    return wrong or _check(reading, number)


def _new_atom(text: str) -> _Atom:
    if not text.startswith("["):
        return _Atom(_MOST_BONDS.get(text.capitalize()), 0, text.islower())
    found = _BRACKETED.fullmatch(text)
    if found is None:
        return _Atom(None, 0)
    symbol, hydrogens = found["symbol"], found["hydrogens"]
    count = 0 if hydrogens is None else int(hydrogens or 1)
    return _Atom(_MOST_BRACKETED.get(symbol.capitalize()), count, symbol.islower())


def _tie(reading: _Reading, one: int, other: int, bond: str) -> str | None:
    if one == other:
        return f"atom {one + 1} is bound to itself"
    first, second = reading.atoms[one], reading.atoms[other]
    if other in first.neighbours:
        return f"atoms {one + 1} and {other + 1} are bound twice"
    first.neighbours.add(other)
    second.neighbours.add(one)
    for atom in (first, second):
        # RDKit takes whatever is written between aromatic atoms for a bond of their system.
        atom.used += 1 if atom.is_aromatic else _ORDERS.get(bond, 1)
    return _check(reading, one) or _check(reading, other)


def _check(reading: _Reading, number: int) -> str | None:
    atom = reading.atoms[number]
    if atom.limit is not None and atom.used > atom.limit:
        return f"atom {number + 1} has {atom.used} bonds and can have {atom.limit}"
    return None


def _bond(reading: _Reading, text: str) -> str | None:
    reading.bond = text
    return None


def _ring(reading: _Reading, text: str) -> str | None:
    number = int(text.lstrip("%"))
    bond, reading.bond = reading.bond, ""
    here = reading.last
    if here is None:
        return f"ring bond {number} stands before any atom"
    if number not in reading.rings:
        reading.rings[number] = here, bond
        reading.atoms[here].used += 1
        return _check(reading, here)
    there, written = reading.rings.pop(number)
    reading.atoms[there].used -= 1
    # RDKit lets the two ends of a ring bond differ.
    both = [each for each in (bond, written) if each]
    return _tie(reading, there, here, min(both, key=lambda each: _ORDERS.get(each, 1), default=""))


def _open(reading: _Reading, text: str) -> str | None:
    reading.branches.append(reading.last)
    return None


def _close(reading: _Reading, text: str) -> str | None:
    if not reading.branches:
        return "a `)` closes no branch"
    reading.last, reading.bond = reading.branches.pop(), ""
    return None


def _dot(reading: _Reading, text: str) -> str | None:
    reading.last, reading.bond = None, ""
    return None


_STEPS = {"atom": _atom, "bond": _bond, "ring": _ring, "open": _open, "close": _close, "dot": _dot}
