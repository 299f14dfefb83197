"""Potentials that go wrong."""

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path

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


_asked: list[str] = []


@potential(prefix="none")
def moody(text: str) -> Weight:
    """Says less every time."""
    _asked.append(text)
    return Weight(1 / len(_asked))


@potential(prefix="none", cache=True, version="1")
def kept(text: str) -> Weight:
    """Is kept from run to run."""
    return Weight(0.5)


def spoil() -> str:
    """Somebody else's file where results are kept."""
    folder = Path(os.environ["SMCDSL_CACHE_DIR"])
    with closing(sqlite3.connect(folder / "scores.sqlite")) as connection:
        connection.execute("CREATE TABLE songs (title TEXT)")
    return "t"


@potential(prefix="any")
def picky(text: str) -> Weight:
    """Much for all a."""
    return Weight(6.0 ** text.count("a"))


@potential(prefix="any")
def shorter(text: str) -> Weight:
    """Less for every letter."""
    return Weight(0.5 ** len(text))


@potential(prefix="none")
def slow(text: str) -> Weight:
    """Takes its time."""
    from time import sleep

    sleep(0.5)
    return Weight(0.5)


@potential(prefix="none")
def inside(text: str) -> bool:
    """Fails in code of others, which is told at the line that called it."""
    return bool(json.loads(text))
