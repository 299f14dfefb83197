"""Comparing the rows of queries with each other and with what a user expects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

from smcdsl.potentials._sql_outcomes import Outcome
from smcdsl.potentials._sql_text import Lexeme, lexemes_of

KINDS = ("any", "number", "integer", "real", "text", "blob")
_FITS = {
    "number": ("number", "integer", "real"),
    "real": ("number", "real"),
}


def same_rows(found: Outcome, wanted: Outcome, *, ordered: bool) -> bool:
    """Whether both have the same rows, as often, and in the same order if that counts. Floats: to ten digits."""
    if len(found.rows) != len(wanted.rows):
        return False
    rows, wanted_rows = ([tuple(map(_comparable, row)) for row in outcome.rows] for outcome in (found, wanted))
    return rows == wanted_rows if ordered else Counter(rows) == Counter(wanted_rows)


def rows_key(found: Outcome, *, ordered: bool) -> str:
    """A text that outcomes share exactly if `same_rows` holds for them: `4 rows, 1a2b...`."""
    rows = [repr([_spelled(_comparable(value)) for value in row]) for row in found.rows]
    digest = blake2b("\n".join(rows if ordered else sorted(rows)).encode("utf-8", "surrogatepass"), digest_size=16)
    return f"{len(rows)} row{'' if len(rows) == 1 else 's'}, {digest.hexdigest()}"


def _spelled(value: Any) -> str:
    """Equal values alike: 1 and 1.0 are equal."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return f"{type(value).__name__} {value!r}"


def is_ordered(query: str) -> bool:
    """Whether the query, and not only one inside it, has an ORDER BY."""
    return any(lexeme.upper == "ORDER" for lexeme in _top_level(query))


def kinds_share(found: Sequence[str], wanted: Sequence[str]) -> float:
    """The share of columns that are of the wanted kind, column for column; surplus and missing ones are not.

    A column without a value fits every kind.
    """
    if unknown := [kind for kind in wanted if kind not in KINDS]:
        raise ValueError(f"a kind is one of {', '.join(KINDS)}, not {unknown[0]!r}")
    fitting = sum(
        kind == "any" or seen in ("null", *_FITS.get(kind, (kind,))) for seen, kind in zip(found, wanted, strict=False)
    )
    return fitting / max(len(found), len(wanted), 1)


def recall(rows: Sequence[tuple[Any, ...]], examples: Any) -> float:
    """The share of examples for which a row has all their values, in any columns."""
    if not isinstance(examples, list | tuple) or not all(isinstance(example, list | tuple) for example in examples):
        raise ValueError("example rows are a list of lists of values")
    if not examples:
        return 1.0
    bags = [Counter(map(_comparable, row)) for row in rows]
    wanted = [Counter(map(_comparable, example)) for example in examples]
    return sum(any(example <= bag for bag in bags) for example in wanted) / len(wanted)


def _comparable(value: Any) -> Any:
    return float(f"{value:.10g}") if isinstance(value, float) else value


def _top_level(query: str) -> list[Lexeme]:
    depth, found = 0, []
    for lexeme in lexemes_of(query):
        depth += (lexeme.text == "(") - (lexeme.text == ")")
        if depth == 0:
            found.append(lexeme)
    return found
