"""Which of many patterns may be in a molecule, by its atoms with their neighbours alone.

A pattern's atom with the bonds and neighbours that it must have is a *star*, one such bond and neighbour an *arm*. All
of a pattern's stars are in a molecule that has the pattern, and a ring no larger than its smallest one. Arms and stars
are numbered, sets of them are bits. That two different arms may need the same neighbour, and two stars different atoms,
is not seen.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import lru_cache
from typing import Any

from smcdsl.potentials._smiles_queries import NO_RING, ByAtom, Condition, Facts, read_query

_Arms = tuple[int, int, int]
"""Arms that a star has at least once, twice, and three times."""


class Stars:
    """The stars of patterns.

    Args:
        queries: RDKit's molecules of the patterns.
    """

    def __init__(self, queries: Sequence[Any]) -> None:
        self._arms: dict[tuple[Condition, Condition], int] = {}
        self._stars: dict[tuple[Condition, _Arms], int] = {}
        self._patterns = [self._read(query) for query in queries]
        self._with_root = ByAtom((root, (1 << number, arms)) for (root, arms), number in self._stars.items())
        self._with_end = ByAtom((end, 1 << number) for (_, end), number in self._arms.items())
        self._along = lru_cache(maxsize=16)(self._find_along)
        self._ending_at = lru_cache(maxsize=4096)(self._find_ending_at)

    def at(self, facts: Facts, around: Sequence[tuple[int, Facts]]) -> int:
        """The stars that may be at an atom; `around` are its bonds' orders and its neighbours."""
        once = twice = thrice = 0
        for order, neighbour in around:
            own = self._along(order) & self._ending_at(neighbour)
            thrice |= twice & own
            twice |= once & own
            once |= own
        found = 0
        for star, (first, second, third) in self._with_root.of(facts):
            if first & once == first and second & twice == second and third & thrice == third:
                found |= star
        return found

    def patterns(self, found: int, smallest_ring: int) -> list[tuple[int, bool]]:
        """Numbers of the patterns that may be in a molecule with these stars, and whether they are there for sure.

        Args:
            found: stars.
            smallest_ring: the size of the molecule's.
        """
        return [
            (number, is_sure)
            for number, (stars, ring, is_sure) in enumerate(self._patterns)
            if stars & found == stars and smallest_ring <= ring
        ]

    def _read(self, query: Any) -> tuple[int, int, bool]:
        """A pattern's stars, its smallest ring, and whether one star is all of it."""
        from rdkit import Chem

        atoms, around = read_query(query)
        stars = 0
        for root, bonds in zip(atoms, around, strict=True):
            arms = [0, 0, 0]
            for other, bond in bonds:
                own = _bit((bond, atoms[other]), self._arms)
                # A fourth one like the others is let go.
                number = sum(own & each > 0 for each in arms[:2])
                arms[number] |= own
            stars |= _bit((root, tuple(arms)), self._stars)
        ring = min(map(len, Chem.GetSSSR(query)), default=NO_RING)
        is_sure = len(atoms) == 1 + len(around[0]) <= 2 and all(atom.is_exact for atom in atoms)
        return stars, ring, is_sure and all(bond.is_exact for _, bond in around[0])

    def _find_ending_at(self, facts: Facts) -> int:
        return sum(self._with_end.of(facts))

    def _find_along(self, order: int) -> int:
        return sum(bond.may_hold(order) << number for (bond, _), number in self._arms.items())


def _bit(item: Hashable, numbers: dict[Any, int]) -> int:
    return 1 << numbers.setdefault(item, len(numbers))
