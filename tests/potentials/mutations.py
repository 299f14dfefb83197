"""Right queries made wrong in one name."""

from __future__ import annotations

import random
import re

_WORD = re.compile(r"'[^']*'|\"[^\"]*\"|[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)?")


def names_in(query: str, wanted: set[str]) -> list[tuple[int, int]]:
    """Places of words, or of what follows the dot of `t.word`, that are in `wanted` (lower case)."""
    places = []
    for found in _WORD.finditer(query):
        start = found.start() + found[0].rfind(".") + 1
        if query[start : found.end()].lower() in wanted and not query[found.end() :].lstrip().startswith("("):
            places.append((start, found.end()))
    return places


def mutate(kind: str, query: str, schema: dict[str, list[str]], chance: random.Random) -> str | None:
    """The query with one name replaced, or None where it has no such name.

    Kinds: `no such column`, `column of another table`, `no such table`, `undeclared alias`.
    """
    columns = {column.lower() for names in schema.values() for column in names} - {table.lower() for table in schema}
    if kind == "no such column":
        places, new = names_in(query, columns), "no_such_column"
    elif kind == "column of another table":
        places = names_in(query, columns)
        used = {query[a:b].lower() for a, b in names_in(query, {table.lower() for table in schema})}
        inside = {name.lower() for table, names in schema.items() if table.lower() in used for name in names}
        new = chance.choice(sorted(columns - inside) or [""])
    elif kind == "no such table":
        tables = {table.lower() for table in schema}
        places = [p for p in names_in(query, tables) if re.search(r"(FROM|JOIN)\s+$", query[: p[0]], re.IGNORECASE)]
        new = "no_such_table"
    else:
        places = [found.span(1) for found in re.finditer(r"\b(T\d)\.", query, re.IGNORECASE)]
        new = "T9"
    if not places or not new:
        return None
    start, end = chance.choice(places)
    return query[:start] + new + query[end:]


_BOUNDARY = re.compile(
    r"'(?:[^']|'')*'|\"[^\"]*\"|\b(?:WHERE|GROUP\s+BY|HAVING|ORDER\s+BY|LIMIT|UNION|INTERSECT|EXCEPT|AND|OR)\b|\)",
    re.IGNORECASE,
)


def cuts(query: str) -> list[str]:
    """The prefixes that end with a word that begins a clause or condition, or with a parenthesis that closes."""
    return [query[: found.end()] for found in _BOUNDARY.finditer(query) if found[0][0] not in "'\""]
