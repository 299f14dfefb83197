"""Verdicts on beginnings of molecules, each for the cost of what was added to a beginning that was read before.

What was read is kept by its text. States are never changed once they are kept, so that threads may share them.
"""

from __future__ import annotations

from smcdsl.potentials._smiles_atoms import may_be_atom
from smcdsl.potentials._smiles_bonds import Reading

MOST_CHARACTERS = 400
"""Of a molecule; of atoms and ring bonds see `_smiles_bonds`."""

KEPT = 4_096
"""States in each of two generations, some two kilobytes each."""


class _Kept:
    """States by their texts, in two generations: when the younger is full, the elder is forgotten."""

    def __init__(self) -> None:
        self.younger: dict[str, Reading] = {}
        self.elder: dict[str, Reading] = {}

    def longest(self, text: str) -> Reading:
        """The state of the longest beginning that is kept; not to be changed."""
        younger, elder = self.younger, self.elder
        for end in range(len(text), 0, -1):
            start = text[:end]
            found = younger.get(start) or elder.get(start)
            if found is not None and text[end - 1 : end + 1] not in ("Cl", "Br"):
                return found
        return _EMPTY

    def keep(self, text: str, reading: Reading) -> None:
        if len(self.younger) >= KEPT:
            self.elder, self.younger = self.younger, {}
        self.younger[text] = reading


_EMPTY = Reading()
_KEPT = _Kept()


def reading_of(text: str) -> Reading:
    """What was read of a text, which may end before its end; not to be changed."""
    known = _KEPT.longest(text)
    if known.end == len(text) or known.wrong is not None:
        return known
    reading = known.copy()
    reading.read(text)
    if reading.end > known.end:
        _KEPT.keep(text[: reading.end], reading)
    return reading


def problem(text: str, *, complete: bool) -> str | None:
    """What is wrong with a text of the grammar `smiles.molecule` or its beginning, that nothing after it can mend.

    Args:
        text: any; of one that ends inside an atom or a ring bond these are left out.
        complete: nothing comes after it, so rings must be closed.
    """
    if len(text) > MOST_CHARACTERS:
        return f"it has {len(text)} characters, and {MOST_CHARACTERS} are the most that are looked at"
    reading = reading_of(text)
    if reading.wrong is not None:
        return reading.wrong
    rest = text[reading.end :]
    if complete and rest:
        return f"`{rest}` is unfinished"
    if rest and not may_be_atom(rest):
        return f"`{rest}` begins no atom"
    return reading.finished() if complete else None
