"""Functions that judge without saying so: read, never run."""

from smcdsl.protocols import potential


def nice(text):
    raise AssertionError("checking runs nothing")


def long_enough(text: str, least: int) -> bool:
    raise AssertionError("checking runs nothing")


@potential()
def graded(text, by: str):
    raise AssertionError("checking runs nothing")


def letters(text: str) -> int:
    """A helper: its value is compared."""
    raise AssertionError("checking runs nothing")
