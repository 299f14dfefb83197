"""Is a name in a query, or in a prefix of one, a name of the schema or of what the query declares?"""

from __future__ import annotations

from smcdsl.potentials._sql_schema import Schema
from smcdsl.potentials._sql_text import Name, Reading, lexemes_of, name_of, read


def known_table(t: str, q: str, schema: Schema, *, complete: bool) -> bool:
    """Whether `t` names a table or view of the schema or a CTE of `q`.

    Of a prefix (not `complete`), the rest may still declare it where the prefix ends inside a WITH.
    """
    reading = read(q)
    frame = reading.frame
    while frame.parent is not None and frame.clause != "WITH":
        frame = frame.parent
    if not complete and frame.clause == "WITH":
        return True
    name = next((name_of(lexeme) for lexeme in lexemes_of(t) if lexeme.kind in ("word", "quoted")), "")
    return name in schema.columns_of or name in reading.declared


def known_column(c: str, q: str, schema: Schema, *, complete: bool) -> bool:
    """Whether `c` names a column of the schema or one that `q`, perhaps a prefix, declares or may yet declare."""
    names = [name_of(lexeme) for lexeme in lexemes_of(c) if lexeme.kind in ("word", "quoted")]
    if not names or len(names) > 2:
        return False
    *qualifier, name = names
    columns_of = schema.columns_of
    if not qualifier and (name in schema.columns or name == "rowid"):
        return True
    reading = read(q)
    wanted = (qualifier[0] if qualifier else "", name)
    uses = [use for use in reading.columns if (use.qualifier, use.name) == wanted]
    return all(_known_use(use, reading, columns_of, complete) for use in uses) if uses else name in reading.declared


def _known_use(use: Name, reading: Reading, columns_of: dict[str, frozenset[str]], complete: bool) -> bool:
    """Whether one use of a column is of the schema or declared before it, or after it where that may be seen."""
    if use.may_see_more and not complete:
        return True

    def declared(name: str) -> bool:
        where = reading.declared.get(name)
        return where is not None and (use.may_see_more or where < use.start)

    if not use.qualifier:
        return declared(use.name)
    tables = reading.aliases.get(use.qualifier, set()) if declared(use.qualifier) else set()
    tables = tables | ({use.qualifier} & columns_of.keys())
    if not tables:  # an alias of a query in parentheses, or a CTE
        everywhere = frozenset().union(*columns_of.values())
        return declared(use.qualifier) and (use.name in everywhere or use.name == "rowid" or declared(use.name))
    known = {column for table in tables for column in columns_of.get(table, ())} | {"rowid"}
    return use.name in known or any(table not in columns_of for table in tables)
