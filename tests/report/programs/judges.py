"""What the traced program judges by."""

from smcdsl import potential
from smcdsl.protocols import Weight


@potential(prefix="any")
def calm(x: str) -> Weight:
    """Less for every c."""
    return Weight(1 / (1 + 3 * x.count("c")))


@potential(prefix="any")
def few(x: str) -> bool:
    """At most two of b."""
    return x.count("b") < 3
