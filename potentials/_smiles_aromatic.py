"""Can an aromatic system be drawn with single and double bonds?

Every aromatic atom that must have a double bond needs a partner of its own: a matching that covers these atoms, while
others may be in it. It is kept while a molecule grows. An atom that can still get bonds may do either, so a no is
final.

Source: Edmonds (1965), "Paths, trees, and flowers", in the form with bases of blossoms.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from smcdsl.potentials._smiles_atoms import Kind

CANNOT, MAY, MUST = 0, 1, 2
"""Roles: have a double bond within the system."""

AROMATIC_BOND = 5
"""The order of a bond between aromatic atoms that is not written, or as `:`."""

Bonds = tuple[tuple[int, int], ...]
"""An atom's neighbours and the orders of the bonds to them."""


def role_of(atom: int, kinds: Sequence[Kind], bonds: Sequence[Bonds], *, is_open: bool) -> int:
    """The role of an atom; `is_open`: it may still get bonds."""
    kind = kinds[atom]
    if not kind.is_aromatic:
        return MAY if kind.symbol == "*" or any(order == AROMATIC_BOND for _, order in bonds[atom]) else CANNOT
    valence = kind.valence
    if valence == 0 or (is_open and kind.is_hypervalent) or any(kinds[other].is_metal for other, _ in bonds[atom]):
        return MAY
    in_system, orders = orders_of(atom, kinds, bonds)
    if kind.is_hypervalent:
        # The highest valence that is not more than the bonds, one and a half each within the system.
        found = (in_system + 2 * orders) // 4 * 2 + valence % 2
        valence = max(valence, min(found if 2 * found <= in_system + 2 * orders else found - 2, valence + 4))
    if has_oxide(atom, kinds, bonds):
        if is_open:
            return MAY
        if orders > valence:
            orders, valence = orders - 1, valence + 1
    if orders < valence:
        # Hydrogens are added to what stands without brackets; in these an atom may be a radical.
        is_certain = in_system > 0 if kind.is_bare else orders >= valence - 2
        return MUST if is_certain and not is_open else MAY
    return CANNOT


def orders_of(atom: int, kinds: Sequence[Kind], bonds: Sequence[Bonds]) -> tuple[int, int]:
    """How many bonds of the system an atom has, and its orders with these as single ones, hydrogens included."""
    in_system, orders = 0, kinds[atom].hydrogens
    for _, order in bonds[atom]:
        if order == AROMATIC_BOND:
            in_system += 1
            orders += 1
        else:
            orders += order
    return in_system, orders


def has_oxide(atom: int, kinds: Sequence[Kind], bonds: Sequence[Bonds]) -> bool:
    """Whether it is `n=O`, which is read as `[n+][O-]`."""
    kind = kinds[atom]
    return kind.exception == "N" and any(order == 2 and kinds[other].symbol == "O" for other, order in bonds[atom])


def cover(root: int, kinds: Sequence[Kind], bonds: Sequence[Bonds], roles: list[int], mates: list[int]) -> bool:
    """Find a partner for the atom `root`, which must have one and has none; no other atom that must loses its own.

    Args:
        root: the atom.
        kinds, bonds, roles: of all atoms.
        mates: partners, -1 for none; changed.

    Returns:
        Whether there is one; if not, `mates` is as before.
    """
    for neighbour in _partners(root, kinds, bonds, roles):
        if mates[neighbour] < 0:
            mates[root], mates[neighbour] = neighbour, root
            return True
    return _Search(root, kinds, bonds, roles, mates).run()


def _partners(atom: int, kinds: Sequence[Kind], bonds: Sequence[Bonds], roles: Sequence[int]) -> list[int]:
    """Neighbours that there may be a double bond to."""
    is_any = kinds[atom].symbol == "*"
    return [
        other
        for other, order in bonds[atom]
        if roles[other] and (order == AROMATIC_BOND or (order == 1 and (is_any or kinds[other].symbol == "*")))
    ]


class _Search:
    """A search for an alternating path from `root` to an atom without a partner, or to one that may lose its own."""

    def __init__(
        self, root: int, kinds: Sequence[Kind], bonds: Sequence[Bonds], roles: Sequence[int], mates: list[int]
    ) -> None:
        self.root, self.kinds, self.bonds, self.roles, self.mates = root, kinds, bonds, roles, mates
        self.parents = [-1] * len(mates)
        self.bases = list(range(len(mates)))
        self.is_outer = bytearray(len(mates))
        self.queue = deque([root])

    def run(self) -> bool:
        self.is_outer[self.root] = True
        while self.queue:
            atom = self.queue.popleft()
            for other in _partners(atom, self.kinds, self.bonds, self.roles):
                if self.bases[atom] == self.bases[other] or self.mates[atom] == other:
                    continue
                if other == self.root or (self.mates[other] >= 0 and self.parents[self.mates[other]] >= 0):
                    self._contract(atom, other)
                elif self.parents[other] < 0:
                    self.parents[other] = atom
                    if self.mates[other] < 0:
                        return self._flip(other)
                    self._reach(self.mates[other])
                freed = self._optional()
                if freed >= 0:
                    end = self.mates[freed]
                    self.mates[freed] = -1
                    return self._flip(end)
        return False

    def _reach(self, atom: int) -> None:
        self.is_outer[atom] = True
        self.queue.append(atom)

    def _optional(self) -> int:
        """An atom at the end of an even path that needs no partner, or -1. Only what was reached last is looked at."""
        for atom in reversed(self.queue):
            if self.roles[atom] == MAY and atom != self.root:
                return atom
        return -1

    def _flip(self, end: int) -> bool:
        while end >= 0:
            before = self.parents[end]
            after = self.mates[before]
            self.mates[end], self.mates[before] = before, end
            end = after
        return True

    def _contract(self, one: int, other: int) -> None:
        """Make one atom of an odd cycle: both ends of the bond are at even distance from the root."""
        base = self._common_base(one, other)
        in_blossom = bytearray(len(self.bases))
        self._mark(one, base, other, in_blossom)
        self._mark(other, base, one, in_blossom)
        for atom, current in enumerate(self.bases):
            if in_blossom[current]:
                self.bases[atom] = base
                if not self.is_outer[atom]:
                    self._reach(atom)

    def _mark(self, atom: int, base: int, child: int, in_blossom: bytearray) -> None:
        while self.bases[atom] != base:
            mate = self.mates[atom]
            in_blossom[self.bases[atom]] = in_blossom[self.bases[mate]] = True
            self.parents[atom] = child
            child, atom = mate, self.parents[mate]

    def _common_base(self, one: int, other: int) -> int:
        seen = set()
        while True:
            one = self.bases[one]
            seen.add(one)
            if one == self.root or self.mates[one] < 0:
                break
            one = self.parents[self.mates[one]]
        while True:
            other = self.bases[other]
            if other in seen:
                return other
            other = self.parents[self.mates[other]]
