"""Functions for the good programs: read, never run."""

from smcdsl.protocols import potential


@potential(prefix="closed", batch=True, cost="cheap")
def small(terms: list[str], most: int = 100) -> list[bool]:
    """Whether each term is at most `most`."""
    raise AssertionError("checking runs nothing")


def spelled(number: int) -> str:
    """A helper: the number in words."""
    raise AssertionError("checking runs nothing")
