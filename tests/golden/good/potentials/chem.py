"""Potentials for the good programs: read, never run."""

from smcdsl.protocols import LogWeight, Weight, potential


@potential(prefix="closed", cost="1ms")
def valence_ok(smiles: str) -> bool:
    """Whether every atom may have its bonds."""
    raise AssertionError("checking runs nothing")


@potential()
def qed(smiles: str) -> Weight:
    """Drug-likeness, from 0 to 1."""
    raise AssertionError("checking runs nothing")


@potential()
def logp(smiles: str) -> float:
    """Partition coefficient, of either sign."""
    raise AssertionError("checking runs nothing")


@potential(prefix="any", cost="1800ms")
def docking_ok(smiles: str, target: str) -> bool:
    """Whether it fits a pocket."""
    raise AssertionError("checking runs nothing")


@potential(prefix="any")
def core_progress(smiles: str, core: str) -> Weight:
    """How much of the core is there."""
    raise AssertionError("checking runs nothing")


@potential()
def energy(smiles: str) -> LogWeight:
    """An energy."""
    raise AssertionError("checking runs nothing")


def canonical(smiles: str) -> str:
    """A helper, which may be called anywhere."""
    raise AssertionError("checking runs nothing")
