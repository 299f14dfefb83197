"""Reads SMILES atom by atom: what no continuation can mend shows at once.

Every count is a lower bound and every limit an upper one, so a no is final: an open ring bond counts as a single one,
an opened branch and a bond without its second atom are counted already, and a single bond from an atom with a lone
pair to a metal, which may be the pair's, costs the atom nothing. RDKit reads `N(=O)=O` and `Cl(=O)(=O)=O` as their
charged forms; other bonds beyond the valence are refused at once.

Stricter than RDKit in one thing: carbon has no fifth bond, not to a metal either (`CC(C)(C)(C)[Fe]`).
"""

from __future__ import annotations

from smcdsl.potentials._smiles_aromatic import (
    AROMATIC_BOND,
    CANNOT,
    MAY,
    MUST,
    Bonds,
    cover,
    role_of,
)
from smcdsl.potentials._smiles_atoms import Kind, atom_kind
from smcdsl.potentials._smiles_exceptions import HALVES, beyond_valence, is_allowed, unpaired

MOST_ATOMS, MOST_RING_BONDS = 120, 40
"""Of a molecule; some larger ones keep RDKit busy for minutes."""

_DIGITS = "0123456789"
_ORDERS = {"": 1, "-": 1, "/": 1, "\\": 1, ":": 0, "=": 2, "#": 3, "$": 4}


class Reading:
    """What was read of a text.

    Attributes:
        end: how far the text was read.
        last: the atom that the next one is bound to, -1 for none.
        bond: as written, where the second atom is still to come.
        branches: (atom, first atom in it) of those that are open.
        rings: open ring bonds: the atom and the bond as written.
        num_rings: ring bonds opened so far.
        kinds, used, bonds, parents, roles, mates, in_ring: of every atom: half orders of bonds, neighbours, the atom
            before it, part in its aromatic system, partner of a double bond, whether a ring is closed through it.
        wrong: why the text is no beginning of a molecule.
    """

    __slots__ = (
        "bond",
        "bonds",
        "branches",
        "end",
        "in_ring",
        "kinds",
        "last",
        "mates",
        "num_rings",
        "parents",
        "rings",
        "roles",
        "used",
        "wrong",
    )

    def __init__(self) -> None:
        self.end = self.num_rings = 0
        self.last = -1
        self.bond = ""
        self.branches: tuple[tuple[int, int], ...] = ()
        self.rings: dict[int, tuple[int, str]] = {}
        self.kinds: list[Kind] = []
        self.used: list[int] = []
        self.bonds: list[Bonds] = []
        self.parents: list[int] = []
        self.roles: list[int] = []
        self.mates: list[int] = []
        self.in_ring = bytearray()
        self.wrong: str | None = None

    def copy(self) -> Reading:
        """One that can be changed by itself."""
        new = Reading.__new__(Reading)
        new.end, new.num_rings, new.last, new.bond = self.end, self.num_rings, self.last, self.bond
        new.branches, new.wrong = self.branches, self.wrong
        new.rings, new.in_ring = self.rings.copy(), self.in_ring[:]
        new.kinds, new.used, new.bonds = self.kinds[:], self.used[:], self.bonds[:]
        new.parents, new.roles, new.mates = self.parents[:], self.roles[:], self.mates[:]
        return new

    def read(self, text: str) -> None:
        """Read on to the end of the text, or to where an atom or a ring bond is unfinished."""
        position, length = self.end, len(text)
        while position < length and self.wrong is None:
            letter = text[position]
            size = 1
            if letter in "().":
                self._bracket_or_dot(letter)
            elif letter in _ORDERS:
                self._bond(letter)
            elif letter in _DIGITS:
                self._ring(int(letter))
            elif letter == "%":
                size = self._two_digits(text[position + 1 : position + 3])
            else:
                size = self._one_atom(text, position)
            if not size:
                break
            position += size
        self.end = position

    def _two_digits(self, number: str) -> int:
        """Read the ring bond after `%`. Returns the length of both, 0 if the number is unfinished."""
        if not all(digit in _DIGITS for digit in number):
            self.wrong = f"`%{number}` is no ring bond"
        elif len(number) < 2:
            return 0
        else:
            self._ring(int(number))
        return 1 + len(number)

    def _one_atom(self, text: str, position: int) -> int:
        """Read an atom. Returns its length, 0 if its brackets are unfinished."""
        size = _atom_size(text, position)
        if size:
            atom = text[position : position + size]
            kind = atom_kind(atom)
            if kind is None:
                self.wrong = f"`{atom}` is no atom"
            else:
                self._atom(kind)
        return size

    def finished(self) -> str | None:
        """Why it is no molecule if nothing comes after it."""
        if self.rings:
            return f"ring bond {min(self.rings)} is not closed"
        if self.branches:
            return "a branch is not closed"
        if self.bond:
            return f"nothing is bound by the last `{self.bond}`"
        if self.last < 0:
            return "nothing follows the last dot" if self.kinds else "it is empty"
        # All other atoms have had their last bond before; rings could be closed through them until now.
        new = self.copy()
        new.last = -1
        for atom, is_in_ring in enumerate(new.in_ring):
            if not is_in_ring:
                new._check_ring(atom)
        new._close_atom(self.last)
        return new.wrong

    def _atom(self, kind: Kind) -> None:
        number, before = len(self.kinds), self.last
        if number >= MOST_ATOMS:
            self.wrong = f"it has more than {MOST_ATOMS} atoms, the most that are looked at"
            return
        self.kinds.append(kind)
        self.used.append(2 * kind.hydrogens)
        self.bonds.append(())
        self.parents.append(before)
        self.roles.append(MAY if kind.is_aromatic or kind.symbol == "*" else CANNOT)
        self.mates.append(-1)
        self.in_ring.append(0)
        self.last = number
        if before < 0:
            self._check(number, 0)
        else:
            self._tie(before, number, self.bond)
            self.bond = ""
            self._close_atom(before)

    def _tie(self, one: int, other: int, written: str) -> None:
        first, second = self.kinds[one], self.kinds[other]
        order = _ORDERS[written]
        # RDKit takes atoms that `:` binds for aromatic ones, and a bond with a direction between these for theirs.
        if written == ":" or (written in ("", "/", "\\") and first.is_aromatic and second.is_aromatic):
            order = AROMATIC_BOND
        self._add_bond(one, other, order)
        self._add_bond(other, one, order)
        self._check(one, 0)
        self._check(other, 0)
        for atom in (one, other):
            if self.mates[atom] >= 0:
                self._reconsider(atom)

    def _add_bond(self, atom: int, other: int, order: int) -> None:
        kind = self.kinds[atom]
        self.bonds[atom] += ((other, order),)
        if order == AROMATIC_BOND and not kind.is_aromatic:
            self.roles[atom] = MAY
        elif order > 1 or not (kind.is_donor and self.kinds[other].is_metal):
            self.used[atom] += HALVES[order]

    def _check(self, atom: int, more: int) -> None:
        """Whether an atom can have its bonds and `more` half orders."""
        kind, used = self.kinds[atom], self.used[atom] + more
        if used > kind.limit:
            self.wrong = self.wrong or f"atom {atom + 1} has {used / 2:g} bonds and can have {kind.limit // 2}"
        elif kind.exception and self.wrong is None and not is_allowed(atom, used, self.kinds, self.bonds):
            self.wrong = f"atom {atom + 1}, {kind.symbol}, has {used / 2:g} bonds and may not have these"

    def _bond(self, written: str) -> None:
        if self.bond:
            self.wrong = f"`{written}` follows a bond"
        self.bond = written
        if self.last < 0:
            self.wrong = f"`{written}` stands before any atom"
        else:
            self._reserve(_ORDERS[written])

    def _reserve(self, order: int) -> None:
        """A bond of the last atom whose other atom is still to come."""
        if order > 1 and not self._is_branch_empty():
            # A ring bond that was opened with another bond may be closed here, and that one counts.
            order = min([order, *(_ORDERS[written] for _, written in self.rings.values() if written)])
        if self.wrong is None and order and (order > 1 or not self.kinds[self.last].is_donor):
            self._check(self.last, 2 * order)

    def _ring(self, number: int) -> None:
        here, bond = self.last, self.bond
        self.bond = ""
        if here < 0 or self._is_branch_empty():
            self.wrong = f"ring bond {number} stands before any atom"
        elif number not in self.rings:
            self._open_ring(number, here, bond)
        else:
            there, written = self.rings.pop(number)
            self.used[there] -= 2
            self._close_ring(there, here, written, bond)

    def _open_ring(self, number: int, here: int, bond: str) -> None:
        self.num_rings += 1
        if self.num_rings > MOST_RING_BONDS:
            self.wrong = f"it has more than {MOST_RING_BONDS} ring bonds, the most that are looked at"
            return
        self.rings[number] = here, bond
        self.used[here] += 2
        self._check(here, 0)

    def _close_ring(self, there: int, here: int, *written: str) -> None:
        if there == here:
            self.wrong = f"atom {here + 1} is bound to itself"
            return
        if any(other == here for other, _ in self.bonds[there]):
            self.wrong = f"atoms {there + 1} and {here + 1} are bound twice"
            return
        # RDKit lets the two ends of a ring bond differ.
        both = [each for each in written if each]
        self._tie(there, here, min(both, key=lambda each: _ORDERS[each], default=""))
        self._mark_ring(there, here)
        self._close_atom(there)

    def _mark_ring(self, one: int, other: int) -> None:
        """All atoms between two are in a ring. An atom comes after the one it is bound to."""
        while one != other:
            if one < other:
                one, other = other, one
            self.in_ring[one] = 1
            one = self.parents[one]
            if one < 0:
                # Two parts that only ring bonds tie together: what is between is not followed.
                self._ring_through_dots()
                return
        if one >= 0:
            self.in_ring[one] = 1

    def _ring_through_dots(self) -> None:
        self.in_ring[:] = b"\1" * len(self.in_ring)

    def _bracket_or_dot(self, letter: str) -> None:
        if self.bond:
            self.wrong = f"`{letter}` follows a bond"
        elif letter == "(":
            self._open_branch()
        elif letter == ")":
            self._close_branch()
        elif self.last < 0 or self._is_branch_empty():
            self.wrong = "a dot stands before any atom"
        else:
            last, self.last = self.last, -1
            self._close_atom(last)

    def _is_branch_empty(self) -> bool:
        return bool(self.branches) and self.branches[-1][1] == len(self.kinds)

    def _open_branch(self) -> None:
        if self.last < 0 or self._is_branch_empty():
            self.wrong = "a branch stands before any atom"
            return
        self.branches += ((self.last, len(self.kinds)),)
        self._reserve(1)

    def _close_branch(self) -> None:
        if not self.branches:
            self.wrong = "a `)` closes no branch"
            return
        last, (self.last, first) = self.last, self.branches[-1]
        self.branches = self.branches[:-1]
        if first == len(self.kinds) or last < 0:
            self.wrong = "a branch is empty" if last >= 0 else "nothing follows the last dot of a branch"
            return
        self._close_atom(last)
        if not any(atom >= first for atom, _ in self.rings.values()):
            for atom in range(first, len(self.kinds)):
                if not self.in_ring[atom]:
                    self._check_ring(atom)

    def _is_open(self, atom: int) -> bool:
        """Whether an atom may still get bonds."""
        # Loops, not `any`: asked for at every atom.
        if atom == self.last:
            return True
        for each, _ in self.branches:
            if each == atom:
                return True
        for each, _ in self.rings.values():  # noqa: SIM110
            if each == atom:
                return True
        return False

    def _close_atom(self, atom: int) -> None:
        """After an atom's last bond, if it was that."""
        kind = self.kinds[atom]
        if not kind.is_aromatic:
            if kind.exception and self.wrong is None and not self._is_open(atom):
                self.wrong = unpaired(atom, self.used[atom], self.kinds, self.bonds)
            return
        if self.wrong is not None or self._is_open(atom):
            return
        if not self.rings and not self.branches:
            self._check_ring(atom)
        if self.wrong is None:
            self.wrong = beyond_valence(atom, self.kinds, self.bonds)
        role = self.roles[atom] = role_of(atom, self.kinds, self.bonds, is_open=False)
        if role == CANNOT:
            self._release(atom)
        elif role == MUST and self.mates[atom] < 0:
            self._cover(atom)

    def _check_ring(self, atom: int) -> None:
        """No ring can be closed through the atom any more."""
        if self.kinds[atom].is_aromatic and not self.in_ring[atom] and self.wrong is None:
            self.wrong = f"atom {atom + 1} is aromatic and in no ring"

    def _reconsider(self, atom: int) -> None:
        """After a bond more, an atom with a partner may be none that can have one."""
        self.roles[atom] = role_of(atom, self.kinds, self.bonds, is_open=True)
        if self.roles[atom] == CANNOT:
            self._release(atom)

    def _release(self, atom: int) -> None:
        mate = self.mates[atom]
        if mate >= 0:
            self.mates[atom] = self.mates[mate] = -1
            if self.roles[mate] == MUST:
                self._cover(mate)

    def _cover(self, atom: int) -> None:
        if self.wrong is None and not cover(atom, self.kinds, self.bonds, self.roles, self.mates):
            self.wrong = f"the aromatic system of atom {atom + 1} cannot be drawn with single and double bonds"


def _atom_size(text: str, position: int) -> int:
    """The length of the atom at a position, 0 for brackets that are not closed."""
    if text[position] == "[":
        return max(text.find("]", position) + 1 - position, 0)
    return 2 if text.startswith(("Cl", "Br"), position) else 1
