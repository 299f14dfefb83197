"""Which columns an aggregating query shows without grouping by them: legal in SQLite, wrong elsewhere.

SQLite takes such a column from an arbitrary row of the group (with a lone min or max, from that row), unless the
group fixes it: the column is a key of GROUP BY, or the primary key of its table is, or either equals a key by a
condition of an inner join or of WHERE.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from smcdsl.potentials._sql_schema import Schema, fold, spelled
from smcdsl.potentials._sql_text import lexemes_of, name_of, read


def ungrouped_column(query: str, schema: Schema) -> str | None:
    """The first column that its group does not fix, as `table.column`, or None.

    Raises:
        ValueError: sqlglot cannot read the query.
    """
    from sqlglot import exp, parse_one
    from sqlglot.errors import SqlglotError
    from sqlglot.optimizer.qualify import qualify
    from sqlglot.optimizer.scope import traverse_scope

    try:
        tree = parse_one(without_legacy_strings(query, schema), dialect="sqlite")
        tree = qualify(
            tree,
            schema=_mapping(schema),
            dialect="sqlite",
            validate_qualify_columns=False,
            quote_identifiers=False,
            identify=False,
        )
        scopes = traverse_scope(tree)
    except (SqlglotError, RecursionError) as error:
        raise ValueError(f"sqlglot cannot read the query: {error}") from error
    for scope in scopes:
        select = scope.expression
        if isinstance(select, exp.Select) and (found := _ungrouped(select, scope.sources, schema)) is not None:
            return found
    return None


def with_dependent_columns(tree: Any, schema: Schema, dialect: str) -> Any | None:
    """The tree with ANY_VALUE around the columns that the primary key of their table fixes in a group.

    As PostgreSQL has it: a key counts only if GROUP BY names its columns. None where nothing is to be done.
    """
    from sqlglot import exp
    from sqlglot.errors import SqlglotError
    from sqlglot.optimizer.qualify import qualify
    from sqlglot.optimizer.scope import traverse_scope

    try:
        tree = qualify(
            tree.copy(),
            schema=_mapping(schema),
            dialect="" if dialect == "ansi" else dialect,
            validate_qualify_columns=False,
            quote_identifiers=False,
            identify=False,
        )
        scopes = traverse_scope(tree)
    except (SqlglotError, RecursionError):
        return None
    changed = False
    for scope in scopes:
        select = scope.expression
        group = select.args.get("group") if isinstance(select, exp.Select) else None
        if group is None:
            continue
        keys = {key.sql("sqlite") for key in group.expressions}
        whole = {alias for alias, source in scope.sources.items() if _key_of(alias, source, schema) <= keys}
        shown = [*select.expressions, *filter(None, (select.args.get("having"), select.args.get("order")))]
        for column in [column for part in shown for column in _bare_columns(part, keys) if column.table in whole]:
            column.replace(exp.AnyValue(this=column.copy()))
            changed = True
    return tree if changed else None


def _ungrouped(select: Any, sources: dict[str, Any], schema: Schema) -> str | None:
    group = select.args.get("group")
    shown = [*select.expressions, *filter(None, (select.args.get("having"), select.args.get("order")))]
    if group is None and not any(_aggregates(part) for part in shown):
        return None
    keys = {key.sql("sqlite") for key in (group.expressions if group is not None else ())}
    keys = _closed(keys, list(_equalities(select)))
    whole = {alias for alias, source in sources.items() if _key_of(alias, source, schema) <= keys}
    for part in shown:
        for column in _bare_columns(part, keys):
            if column.table in sources and column.table not in whole:
                return str(column.sql("sqlite"))
    return None


def _equalities(select: Any) -> Iterator[tuple[str, str]]:
    """Pairs of columns that every row of the query has equal."""
    from sqlglot import exp

    where = select.args.get("where")
    joins = [join for join in select.args.get("joins") or () if not join.side]
    conditions = [join.args.get("on") for join in joins] + [where.this if where is not None else None]
    for condition in filter(None, conditions):
        for equality in condition.flatten() if isinstance(condition, exp.And) else (condition,):
            sides = (equality.this, equality.expression) if isinstance(equality, exp.EQ) else ()
            if sides and all(isinstance(side, exp.Column) for side in sides):
                yield sides[0].sql("sqlite"), sides[1].sql("sqlite")


def _closed(keys: set[str], equalities: list[tuple[str, str]]) -> set[str]:
    """The keys and all that equals one of them."""
    while grown := {name for pair in equalities if keys & set(pair) for name in pair} - keys:
        keys = keys | grown
    return keys


def _key_of(alias: str, source: Any, schema: Schema) -> set[str]:
    """The primary key of a source, qualified as in the query; what no group holds for one without a key."""
    from sqlglot import exp

    if isinstance(source, exp.Table):
        for table in schema.tables:
            if fold(table.name) == fold(source.name) and table.key:
                return {exp.column(fold(name), table=alias).sql("sqlite") for name in table.key}
    return {"no key"}


def _aggregates(node: Any) -> bool:
    return any(_is_aggregate(part) for part in _own_nodes(node))


def _is_aggregate(node: Any) -> bool:
    """Whether `node` folds a group into a value: max(a, b) does not, sum(a) OVER () does not."""
    from sqlglot import exp

    return isinstance(node, exp.AggFunc) and not isinstance(node.parent, exp.Window) and not node.expressions


def _bare_columns(part: Any, keys: set[str]) -> Iterator[Any]:
    """Columns outside aggregates, subqueries and the expressions that are grouped by."""
    from sqlglot import exp

    for node in _own_nodes(part, lambda node: _is_aggregate(node) or node.sql("sqlite") in keys):
        if isinstance(node, exp.Column):
            yield node


def _own_nodes(part: Any, stop: Any = lambda node: False) -> Iterator[Any]:
    """The nodes of an expression but those inside a subquery or below (and at) where `stop` holds."""
    from sqlglot import exp

    if isinstance(part, exp.Query) or stop(part):
        return
    yield part
    for child in part.iter_expressions():
        yield from _own_nodes(child, stop)


@lru_cache(maxsize=16)
def _mapping(schema: Schema) -> Any:
    from sqlglot.schema import MappingSchema

    tables = {
        spelled(table.name): {spelled(c.name): c.type or "TEXT" for c in table.columns} for table in schema.tables
    }
    return MappingSchema(tables, dialect="sqlite")


def without_legacy_strings(query: str, schema: Schema) -> str:
    """The query with each `"text"` that names nothing written as the string SQLite takes it for."""
    known = schema.columns | schema.columns_of.keys() | read(query).declared.keys()
    pieces, end = [], 0
    for lexeme in lexemes_of(query):
        if lexeme.kind == "quoted" and lexeme.text[0] == '"' and name_of(lexeme) not in known:
            inner = lexeme.text[1:-1].replace('""', '"').replace("'", "''")
            pieces += [query[end : lexeme.start], f"'{inner}'"]
            end = lexeme.end
    return "".join(pieces) + query[end:]
