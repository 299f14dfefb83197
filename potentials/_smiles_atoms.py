"""Atoms as SMILES writes them, and what each of them may be bound to.

Bonds are counted in halves of an order, since one of an aromatic system counts one and a half. The most that an atom
can have follows RDKit's rules (from 2024.9 on): an ion has the valence of the element with as many electrons, and an
aromatic atom may go one and a half beyond the highest valence.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

UNLIMITED = 1_000

_BRACKETED = re.compile(
    r"\[[0-9]{0,3}"
    r"(?P<symbol>A[cglmrstu]|B[aehikr]?|C[adeflmnorsu]?|D[bsy]|E[rsu]|F[elmr]?|G[ade]|H[efgos]?|I[nr]?|Kr?|L[airuv]"
    r"|M[dgnot]|N[abdeiop]?|O[gs]?|P[abdmortu]?|R[abefghnu]|S[bcegimnr]?|T[abcehilms]|U|V|W|Xe|Yb?|Z[nr]"
    r"|se|as|[bcnops]|\*)"
    r"(?:@@?|@(?:TH|AL|SP|TB|OH)[0-9]{0,2})?"
    r"(?:H(?P<hydrogens>[0-9]?))?(?P<charge>\+\+|--|[-+](?:1[0-5]|[0-9])?)?(?::[0-9]{1,4})?\]"
)

_BEGUN = re.compile(
    r"%[0-9]?|\[[0-9]{0,3}(?:[A-Z]?|[as]?"
    r"|(?:[A-Z][a-z]?|se|as|[bcnops]|\*)(?:@(?:@|[ASTO]|(?:TH|AL|SP|TB|OH)[0-9]{0,2})?)?"
    r"(?:H[0-9]?)?(?:[-+][0-9]{0,2}|\+\+|--)?(?::[0-9]{0,4})?)"
)

_BARE = frozenset("B C N O P S F Cl Br I b c n o p s *".split())
_BARE_LIMITS = {"B": 3, "C": 4, "N": 5, "O": 2, "P": 5, "S": 6, "F": 1, "Cl": 7, "Br": 7, "I": 7}
"""Orders without brackets; those of N and of halogens are subject to `exception`."""

_ION_LIMITS: dict[str, tuple[int | None, ...]] = {
    # Charges from -2 to 3. None: any.
    "B": (3, 4, 3, 2, None, 0),
    "C": (2, 3, 4, 3, 2, None),
    "N": (1, 2, 5, 4, 3, 2),
    "O": (0, 1, 2, 3, 4, 3),
    "F": (None, 0, 1, 2, 3, 4),
    "Si": (6, 5, 4, 3, None, None),
    "P": (None, 6, 5, 4, 3, None),
    "S": (None, 5, 6, 5, 4, 3),
    "Cl": (None, None, 7, 6, 5, 4),
    "As": (None, 6, 5, 4, 3, None),
    "Se": (None, 5, 6, 5, 4, 3),
    "Br": (None, None, 7, 6, 5, 4),
    "I": (None, 6, 7, 6, 5, 4),
}
"""Orders in brackets, hydrogens included. Elements that are not here may have any."""

_NO_METALS = frozenset("H He B C N O F Ne Si P S Cl Ar As Se Br Kr Te I Xe At Rn *".split())
_NO_DONORS = frozenset("H B C F *".split())
_AROMATIC_VALENCES = {"B": 3, "C": 4, "N": 3, "O": 2, "P": 3, "S": 2, "As": 3, "Se": 2}
_HYPERVALENT = frozenset("P S As Se".split())


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """What is known of an atom from its own text. Kinds are the same if they are one object: they are asked for often.

    Attributes:
        symbol: the element's, as in `Cl`; `*` for any.
        limit: half orders that it has at most, `UNLIMITED` if that is open.
        hydrogens, charge: those written in its brackets.
        is_aromatic: written small.
        valence: orders of an aromatic atom without a double bond in the ring; 0 if that is not known.
        is_hypervalent: its valence may be higher by two.
        is_bare: written without brackets, so that hydrogens are added.
        is_metal, is_donor: a single bond from a donor to a metal may cost the donor nothing.
        exception: which rule `Kind.limit` is subject to: `H`, `N`, `halogen` or none.
    """

    symbol: str
    limit: int
    hydrogens: int
    charge: int
    is_aromatic: bool
    valence: int
    is_hypervalent: bool
    is_bare: bool
    is_metal: bool
    is_donor: bool
    exception: str


@lru_cache(maxsize=4096)
def atom_kind(text: str) -> Kind | None:
    """The kind of an atom, brackets included; None if it is none."""
    if text.startswith("["):
        found = _BRACKETED.fullmatch(text)
        if found is None:
            return None
        hydrogens = 0 if found["hydrogens"] is None else int(found["hydrogens"] or 1)
        return _kind(found["symbol"], hydrogens, _charge(found["charge"] or ""), is_bare=False)
    return _kind(text, 0, 0, is_bare=True) if text in _BARE else None


def may_be_atom(text: str) -> bool:
    """Whether a text that begins with `[` or `%` may become an atom or a ring bond."""
    return _BEGUN.fullmatch(text) is not None


def _charge(text: str) -> int:
    sign = -1 if text.startswith("-") else 1
    return sign * (len(text) if text in ("", "+", "-", "++", "--") else int(text[1:]))


def _kind(written: str, hydrogens: int, charge: int, *, is_bare: bool) -> Kind:
    symbol = written.capitalize()
    is_aromatic = written.islower()
    orders = _BARE_LIMITS.get(symbol) if is_bare else _bracketed_limit(symbol, charge)
    if is_aromatic and symbol == "N" and charge == 0:
        orders = 3
    limit = UNLIMITED if orders is None else 2 * orders + 3 * is_aromatic
    exception = ""
    if charge == 0 and symbol in ("H", "N", "Cl", "Br", "I"):
        exception = symbol if symbol in ("H", "N") else "halogen"
        # An aromatic nitrogen may have an oxygen as well, and is read as an ion then.
        limit += is_aromatic
    return Kind(
        symbol=symbol,
        limit=limit,
        hydrogens=hydrogens,
        charge=charge,
        is_aromatic=is_aromatic,
        valence=_aromatic_valence(symbol, charge) if is_aromatic else 0,
        is_hypervalent=symbol in _HYPERVALENT,
        is_bare=is_bare,
        is_metal=symbol not in _NO_METALS,
        is_donor=not is_aromatic and (symbol not in _NO_DONORS or (symbol == "B" and charge < 0)),
        exception=exception,
    )


def _bracketed_limit(symbol: str, charge: int) -> int | None:
    limits = _ION_LIMITS.get(symbol)
    return limits[charge + 2] if limits is not None and -2 <= charge <= 3 else None


def _aromatic_valence(symbol: str, charge: int) -> int:
    valence = _AROMATIC_VALENCES[symbol]
    if charge == 0:
        return valence
    if symbol == "C" and abs(charge) == 1:
        return 3
    if symbol in ("N", "O") and abs(charge) == 1:
        return valence + charge
    return 0
