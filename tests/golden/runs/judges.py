"""Potentials that go wrong."""

from smcdsl import potential
from smcdsl.protocols import Weight


@potential(prefix="none")
def never(text: str) -> bool:
    """No."""
    return False


@potential(prefix="none")
def broken(text: str) -> Weight:
    """Raises."""
    raise FileNotFoundError("no such interpreter")


@potential(prefix="none")
def nothing(text: str) -> Weight:
    """NaN."""
    return Weight(float("nan"))


@potential(prefix="any")
def fickle(text: str) -> bool:
    """Says no to what it likes later."""
    return len(text) != 2
