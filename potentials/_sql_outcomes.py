"""What becomes of a query, whichever engine runs it, and a memory for it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple

_MAX_OUTCOMES = 4096
_MAX_WITH_ROWS = 16


class Outcome(NamedTuple):
    """Why a query failed, or None; what it returned.

    `kinds` has a word for each column: `integer`, `real`, `text`, `blob`, `other`, what its values have in common
    of these (`number`, else `mixed`), or `null` where there is no value.
    `instructions` is how many the engine took, in thousands rounded down, or 0 where it does not count them.
    """

    error: str | None
    num_rows: int = 0
    rows: tuple[tuple[Any, ...], ...] = ()
    kinds: tuple[str, ...] = ()
    instructions: int = 0


class Outcomes:
    """Remembers the outcomes of queries. Thread-safe; the same query may be run twice by two threads at once."""

    def __init__(self, run: Callable[[str, bool], Outcome]) -> None:
        self._run = run
        self._lock = threading.Lock()
        self._plain: OrderedDict[str, Outcome] = OrderedDict()
        self._with_rows: OrderedDict[str, Outcome] = OrderedDict()

    def of(self, query: str, keep_rows: bool) -> Outcome:
        """The outcome of `query`, with its rows if they are asked for."""
        remembered, most = (self._with_rows, _MAX_WITH_ROWS) if keep_rows else (self._plain, _MAX_OUTCOMES)
        with self._lock:
            outcome = remembered.pop(query, None)
            if outcome is not None:
                remembered[query] = outcome
                return outcome
        outcome = self._run(query, keep_rows)
        with self._lock:
            remembered[query] = outcome
            if len(remembered) > most:
                remembered.popitem(last=False)
        return outcome


_WORDS: dict[type, str] = {int: "integer", float: "real", str: "text", bytes: "blob", type(None): "null"}
_ROWS_LOOKED_AT = 1_000


class Kinds:
    """Watches rows go by and tells the kind of each column, from the first thousand rows."""

    def __init__(self, num_columns: int) -> None:
        self._seen: list[set[str]] = [set() for _ in range(num_columns)]
        self._left = _ROWS_LOOKED_AT

    def see(self, row: tuple[Any, ...]) -> None:
        """Take another row into account."""
        if self._left > 0:
            self._left -= 1
            for seen, value in zip(self._seen, row):
                seen.add(_WORDS.get(type(value), "other"))

    def words(self) -> tuple[str, ...]:
        """One word for each column; see `Outcome.kinds`."""
        return tuple(map(_common, self._seen))


def _common(seen: set[str]) -> str:
    kinds = seen - {"null"}
    if len(kinds) == 1:
        return next(iter(kinds))
    return "number" if kinds == {"integer", "real"} else "mixed" if kinds else "null"


def size_of(row: tuple[Any, ...]) -> int:
    """About how many bytes a row takes."""
    return sum(len(value) if isinstance(value, str | bytes) else 8 for value in row)
