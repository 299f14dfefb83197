"""Random queries, mostly right, that mark where their clauses end.

`queries()` draws a query of SQLite over `TABLES`. Names are drawn from the scope, now and then from elsewhere, so that
about half of the queries are right and the others wrong in all the ways in which names, calls and widths can be.
`MARK` stands behind each finished clause: a test needs no parser to know the boundaries.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from hypothesis import strategies as st

MARK = "\x01"

TABLES = {
    "singer": ("id", "name", "country", "age"),
    "concert": ("cid", "name", "stadium_id", "year"),
    "stadium": ("stadium_id", "name", "capacity"),
    "sic": ("cid", "singer_id"),
}

Sources = tuple[tuple[str, tuple[str, ...]], ...]
"""(qualifier, columns) of what FROM lists."""


@dataclass(frozen=True)
class Scope:
    """What a query may name: its own sources, those of the queries around it, tables and CTEs, declared columns."""

    tables: Sources = tuple(TABLES.items())
    own: Sources = ()
    outer: Sources = ()
    declared: tuple[str, ...] = ()


def boundaries(marked: str) -> tuple[str, list[str]]:
    """The query, and its prefixes that end where a clause ends."""
    pieces = marked.split(MARK)
    prefixes = ["".join(pieces[: count + 1]) for count in range(len(pieces) - 1)]
    return "".join(pieces), prefixes


def queries() -> st.SearchStrategy[str]:
    """Queries with marks."""
    return selects(2, Scope()).map(lambda drawn: drawn[0])


def one_in(number: int) -> st.SearchStrategy[bool]:
    return st.integers(1, number).map(lambda drawn: drawn == number)


@st.composite
def columns(draw: st.DrawFn, scope: Scope) -> str:
    if draw(one_in(60)):
        return draw(st.sampled_from(["nam", "T1.name", "T2.id", "year", "singer.age", "rowid", "n", "c1.n", "name"]))
    if scope.declared and draw(one_in(4)):
        return draw(st.sampled_from(scope.declared))
    sources = scope.own + (scope.outer if scope.outer and draw(one_in(4)) else ())
    visible = [(qualifier, name) for qualifier, names in sources for name in names]
    if not visible:
        return draw(st.sampled_from(["1", "2", "'x'"]))
    qualifier, name = draw(st.sampled_from(visible))
    is_only = sum(name in names for _, names in scope.own + scope.outer) == 1
    return name if is_only or not qualifier or draw(one_in(40)) else f"{qualifier}.{name}"


@st.composite
def expressions(draw: st.DrawFn, depth: int, scope: Scope, aggregates: bool = False) -> str:
    column = draw(columns(scope))
    inner = replace(scope, own=(), outer=scope.own + scope.outer, declared=())
    subquery = selects(depth - 1, inner, width=2 if draw(one_in(30)) else 1).map(lambda drawn: drawn[0])
    plain = [
        column,
        f"{column} > 3",
        f"{column} BETWEEN 1 AND 3",
        f"substr({column}, 1)",
        f"{column} = 1 AND {draw(columns(scope))} = 2",
        f"{column} LIKE 'it''s WHERE ('",
        f"{column} IN ()",
        '"x"',
    ]
    counted = ["count(*)", f"max({column})", f"count(DISTINCT {column})", f"sum({column}) OVER w", "rank() OVER ()"]
    if depth > 0 and draw(one_in(3)):
        return draw(
            st.one_of(
                subquery.map(lambda text: f"{column} IN ({text})"),
                subquery.map(lambda text: f"{column} IN ({text}) AND 0"),
                subquery.map(lambda text: f"EXISTS ({text})"),
                subquery.map(lambda text: f"{column} = ({text})"),
                subquery.map(lambda text: f"max(({text}), 2)"),
                subquery.map(lambda text: f"({column}, ({text})) = (1, 2)"),
                subquery.map(lambda text: f"CASE WHEN ({text}) > 1 THEN {column} ELSE 2 END"),
                selects(depth - 1, inner, width=2).map(lambda drawn: f"({drawn[0]}) = (1, 2)"),
            )
        )
    return draw(st.sampled_from(plain + (counted if aggregates or draw(one_in(60)) else [])))


@st.composite
def sources(draw: st.DrawFn, depth: int, scope: Scope, alias: str) -> tuple[str, tuple[str, tuple[str, ...]]]:
    if depth > 0 and draw(one_in(5)):
        text, names = draw(selects(depth - 1, replace(scope, own=(), declared=()), width=draw(st.integers(1, 2))))
        return f"({text}) AS {alias}", (alias, names)
    table, names = draw(st.sampled_from(scope.tables))
    table = draw(st.sampled_from(["singr", "later"])) if draw(one_in(80)) else table
    written = draw(st.sampled_from([f" AS {alias}", f" {alias}", ""]))
    return table + written, (alias if written else table, names)


@st.composite
def joins(draw: st.DrawFn, depth: int, scope: Scope) -> tuple[str, Sources]:
    letter = draw(st.sampled_from("Tst"))
    joined, first = draw(sources(depth, scope, f"{letter}1"))
    found: Sources = (first,)
    for number in range(2, 2 + draw(st.sampled_from([0, 0, 1, 2]))):
        how = draw(st.sampled_from([", ", " JOIN ", " LEFT JOIN ", " NATURAL JOIN "]))
        text, source = draw(sources(depth, scope, f"{letter}{number}"))
        joined += how + text
        shared = [name for name in source[1] if sum(name in names for _, names in found) == 1]
        found = (*found, source)
        if how == " NATURAL JOIN ":
            found = tuple(("" if draw(one_in(2)) else qualifier, names) for qualifier, names in found)
        elif how != ", ":
            using = f" USING ({draw(st.sampled_from(shared))})" if shared else ""
            on = f" ON {draw(expressions(depth, replace(scope, own=found, declared=())))}"
            joined += draw(st.sampled_from(["", using, on]))
    return (f"({joined})" if draw(one_in(8)) else joined), found


@st.composite
def cores(draw: st.DrawFn, depth: int, scope: Scope, width: int) -> tuple[str, tuple[str, ...], Scope]:
    """The text of one SELECT, the names of its columns, and what its ORDER BY may name."""
    text = ""
    if draw(one_in(8)):
        scope = replace(scope, own=(), declared=())
    else:
        joined, own = draw(joins(depth, replace(scope, declared=())))
        scope = replace(scope, own=own, declared=())
        text = f" FROM {joined}{MARK}"
    items, names = [], []
    for number in range(width):
        item = draw(expressions(depth, scope, aggregates=draw(one_in(4))))
        name = draw(st.sampled_from(["n", "m", f"n{number}"]))
        as_ = draw(st.sampled_from(["", " AS ", " "]))
        items.append(item + (as_ + name if as_ else ""))
        names += [name] if as_ else [item.split(".")[-1]] if item.replace(".", "_").isidentifier() else []
    text = f"SELECT {draw(st.sampled_from(['', 'DISTINCT ']))}{', '.join(items)}{MARK}{text}"
    scope = replace(scope, declared=tuple(name for name in names if names.count(name) == 1))
    if draw(one_in(2)):
        text += f" WHERE {draw(expressions(depth, replace(scope, declared=())))}{MARK}"
    if draw(one_in(3)):
        text += f" GROUP BY {draw(columns(scope))}{MARK}"
        if draw(one_in(2)):
            text += f" HAVING {draw(expressions(depth, scope, aggregates=True))}{MARK}"
    if "OVER w" in text or draw(one_in(9)):
        text += f" WINDOW w AS (ORDER BY {draw(columns(replace(scope, declared=())))}){MARK}"
    return text, tuple(names), scope


@st.composite
def selects(draw: st.DrawFn, depth: int, scope: Scope, width: int = 1) -> tuple[str, tuple[str, ...]]:
    """The text of a query and the names of its columns."""
    text = ""
    if depth > 0 and draw(one_in(5)):
        text, scope = draw(ctes(depth, scope))
    core, names, order_scope = draw(cores(depth, scope, width))
    text += core
    if draw(one_in(6)):
        other, _, _ = draw(cores(depth, scope, width + draw(one_in(20))))
        text += f" {draw(st.sampled_from(['UNION', 'UNION ALL', 'EXCEPT']))} {other}"
        order_scope = replace(order_scope, own=(), outer=())
    if draw(one_in(4)):
        text += f" ORDER BY {draw(columns(order_scope))}{MARK}"
    if draw(one_in(6)):
        text += f" LIMIT 3{MARK}"
    return text, names


@st.composite
def ctes(draw: st.DrawFn, depth: int, scope: Scope) -> tuple[str, Scope]:
    text = "WITH " + draw(st.sampled_from(["", "RECURSIVE "]))
    inner = replace(scope, own=(), declared=())
    for number, name in enumerate(draw(st.sampled_from([["c1"], ["c1", "c2"], ["c2", "c1"], ["later"], ["singer"]]))):
        body, names = draw(selects(depth - 1, inner))
        listed = draw(one_in(3))
        text += f"{', ' if number else ''}{name}{'(n)' if listed else ''} AS ({body})"
        inner = replace(inner, tables=(*inner.tables, (name, ("n",) if listed else names)))
    return text + " ", replace(scope, tables=inner.tables)
