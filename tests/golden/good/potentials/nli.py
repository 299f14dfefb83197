"""A potential for the bad programs: read, never run."""

from smcdsl.protocols import Weight, potential


@potential(prefix="none", cost="40ms")
def entails(premise: str, hypothesis: str) -> Weight:
    """How strongly the premise entails the hypothesis."""
    raise AssertionError("checking runs nothing")
