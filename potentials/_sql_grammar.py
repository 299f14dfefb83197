"""Binding `grammars/sql.lark` to a schema: the library's `specialize` hook.

A lexeme is one terminal whatever stands around it, but a word can be a column here and a table there. So words are
sorted by the set of *roles* they can play (column, table, function, ...), each set that occurs becomes one
terminal, and a naming rule lists the terminals whose words have its role. Words in no list are SHORT_NAME (a letter
or three, perhaps digits: `t1`, `s`, `acs`) or NAME.

What a context-free grammar can know of declared names, it learns from left to right:

- As long as nothing was declared ("plain"), a column is one of the schema's (or `rowid`), a table one of the
  schema's, and what stands before a dot is a table of the schema or a short name, since that may yet become an alias.
- Once a select list has an alias, GROUP BY, HAVING, WINDOW and ORDER BY of that query take any name as a column.
- Once FROM has a subquery or a long alias, so do its later ON conditions and everything after it.
- After WITH, everything takes any name, tables included. So a computed column is reached through WITH or from a
  clause that follows its declaration; the one thing given up is the select list of `SELECT n FROM (SELECT 1 AS n)`.

The second, looser set of rules is a copy of the file's, its names ending in `__declared`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, replace
from string import ascii_letters
from typing import Any

from smcdsl.potentials._sql_dialects import Dialect
from smcdsl.potentials._sql_notation import Reader, text_of
from smcdsl.potentials._sql_schema import Schema, fold, is_bare, quoted

from smcdsl.errors import Diagnostic, UsageError
from smcdsl.program.grammar import (
    Alternatives,
    Concatenation,
    Grammar,
    GrammarExpression,
    LiteralText,
    Pattern,
    Reference,
    Repeat,
    Terminal,
)

DECLARED = "__declared"
BOUNDARIES = ("clause", "column", "table", "literal", "subquery")

_CLAUSES = frozenset(
    """select_clause from_clause where_clause group_clause having_clause window_clause order_clause limit_clause
    plain_select declaring_select plain_from declaring_from""".split()
)
_BINDING = frozenset({"column_name", "table_name", "qualifier"})

# `?` is optional; capitals and signs are the file's terminals, by their text.
_RULES = """
query: body | with_clause__declared body__declared
body: plain order_clause? limit_clause?
    | declaring order_clause__declared? limit_clause?
plain: plain_core | plain set_operator plain_core
declaring: declaring_core | plain set_operator declaring_core | declaring set_operator any_core
any_core: plain_core | declaring_core
plain_core: plain_select plain_from? where_clause? group_clause? having_clause? window_clause?
declaring_core: declaring_select plain_from? where_clause?
      group_clause__declared? having_clause__declared? window_clause__declared?
    | plain_select declaring_from declared_tail | declaring_select declaring_from declared_tail
declared_tail: where_clause__declared?
      group_clause__declared? having_clause__declared? window_clause__declared?
plain_select: SELECT quantifier? plain_items
declaring_select: SELECT quantifier? declaring_items
plain_items: plain_item | plain_items , plain_item
declaring_items: declaring_item | plain_items , declaring_item
    | declaring_items , plain_item | declaring_items , declaring_item
plain_item: star | expr
declaring_item: expr alias
plain_from: FROM plain_join
declaring_from: FROM declaring_join
plain_join: plain_source | plain_join join_operator plain_source join_constraint?
declaring_join: declaring_source | plain_join join_operator declaring_source join_constraint__declared?
    | declaring_join join_operator plain_source join_constraint__declared?
    | declaring_join join_operator declaring_source join_constraint__declared?
plain_source: table | table AS short_name | table short_name | ( plain_join )
declaring_source: table AS long_name | table AS STRING | table long_name | subquery alias?
    | ( declaring_join ) alias? | ( plain_join ) alias
alias: AS any_name | AS STRING | bare_alias
alias_name: any_name
"""


def bind(grammar: Grammar, dialect: Dialect, schema: Schema | None, start: str) -> Grammar:
    """The file's grammar in a dialect, with its reserved words, sites of `clause` and, given a schema, its names.

    Raises:
        ValueError: no rule `start`.
        UsageError: E0802, a schema without tables.
    """
    bound = _without_unreachable(_in_dialect(grammar, dialect))
    if start not in bound.rules:
        raise ValueError(f"the grammar `sql.select` has no rule `{start}`")
    bound = replace(bound, start=start)
    if schema is not None:
        bound = _bind_names(bound, dialect, schema)
    bound = _without_unreachable(bound)
    boundary_of = _boundary_of(bound)
    boundaries = tuple(name for name in BOUNDARIES if name in bound.rules or name in boundary_of.values())
    terminals = {
        name: replace(terminal, definition=_ascii_cased(terminal.definition))
        for name, terminal in _with_dead_ends(bound.terminals, dialect.reserved).items()
    }
    return replace(bound, terminals=terminals, boundaries=boundaries, boundary_of=boundary_of)


def _in_dialect(grammar: Grammar, dialect: Dialect) -> Grammar:
    """The grammar with the dialect's rules and terminals in place of the file's."""
    if dialect.is_sqlite:
        return grammar
    reader = Reader(dict(grammar.terminals))
    rules = dict(grammar.rules) | reader.rules(dialect.rules)
    terminals = reader.terminals
    for name, regex in dialect.terminals:
        order = terminals[name].order if name in terminals else len(terminals)
        terminals[name] = Terminal(name, Pattern(regex), order=order)
    for rule, words in (("function_name", dialect.functions), ("type_word", dialect.types)):
        reserved = [word.upper() for word in words if word in dialect.reserved]
        extra = reader.rules(f"{rule}: {' | '.join(f'{chr(34)}{word}{chr(34)}' for word in reserved)}")[rule]
        rules[rule] = Alternatives((rules[rule], extra))
    return replace(grammar, rules=rules, terminals=terminals)


def _bind_names(grammar: Grammar, dialect: Dialect, schema: Schema) -> Grammar:
    if not schema.tables:
        raise UsageError(
            Diagnostic("E0802", "the schema of `sql.select` has no tables", help="give the database in question")
        )
    roles = _roles(schema, dialect)
    terminals, naming = _name_terminals(grammar, dialect, roles)
    rules = dict(grammar.rules)
    rules |= _declared_copy(rules)
    texts = {text_of(terminal): name for name, terminal in grammar.terminals.items()}
    own = _RULES if dialect.is_sqlite else _standard(_RULES)
    if "LATERAL" in texts:
        own = own.replace("subquery alias", "subquery alias | LATERAL subquery alias")
    rules |= _parse_rules(own, texts)
    rules |= _naming_rules(naming, set() if dialect.is_sqlite else set(texts.values()))
    if not dialect.is_sqlite:
        return replace(grammar, rules=rules, terminals=terminals)
    # SQLite reads a name in double quotes that is no column as a string; much SQL in the wild relies on it.
    strings = [name for name in naming["q"] if name not in naming["c"]]
    rules["literal"] = Alternatives((rules["literal"], *map(_reference, strings)))
    return replace(grammar, rules=rules, terminals=terminals)


def _standard(rules: str) -> str:
    """The rules for a dialect where a join without a condition says so, a subquery in FROM has an alias, none of the

    sources is in parentheses, and no string is a name.
    """
    rules = re.sub(
        r"(\w+) join_operator (\w+) (join_constraint\w*)\?",
        r"\1 free_operator \2 | \1 join_operator \2 \3",
        rules,
    )
    rules = rules.replace("subquery alias?", "subquery alias").replace(" | ( plain_join ) alias", "")
    rules = rules.replace("\n    | ( declaring_join ) alias?", "").replace(" | ( plain_join )", "")
    return re.sub(r" \| (table )?AS STRING", "", rules)


def _roles(schema: Schema, dialect: Dialect) -> dict[str, set[str]]:
    """Folded word -> the roles it can play, each a letter: Column, Table, Function, tYpe, collatioN."""
    roles: dict[str, set[str]] = {}
    columns = [column.name for table in schema.tables for column in table.columns]
    columns += ["rowid"] if dialect.is_sqlite else []
    listed = (
        ("c", columns),
        ("t", [table.name for table in schema.tables]),
        ("f", dialect.functions),
        ("y", dialect.types),
        ("n", dialect.collations),
    )
    for role, names in listed:
        for name in names:
            roles.setdefault(fold(name), set()).add(role)
    return roles


def _name_terminals(
    grammar: Grammar, dialect: Dialect, roles: Mapping[str, set[str]]
) -> tuple[dict[str, Terminal], dict[str, list[str]]]:
    """All terminals of the bound grammar, and role -> terminals whose words have it.

    Three roles are of spellings, not of words: `s` may be used as an alias before it is declared, `l` may not,
    `q` is in double quotes.
    """
    keywords = {text_of(t): t.name for t in grammar.terminals.values() if t.is_keyword}
    quoted_names = [name for name, _ in dialect.quotes]
    words: dict[str, list[GrammarExpression]] = {}
    naming: dict[str, list[str]] = {role: [] for role in "ctfynslq"}
    for word in sorted(roles):
        bare = is_bare(word, dialect.reserved)
        is_keyword = word.upper() in keywords
        for spelling, kinds in _spellings(word, roles[word], bare and not is_keyword, dialect):
            words.setdefault(f"NAME_{''.join(sorted(kinds)).upper()}", []).append(
                LiteralText(spelling, ignore_case=True)
            )
        if is_keyword:
            for role in roles[word] | {"l"} if bare else roles[word] & _UNRESERVED:
                naming[role].append(keywords[word.upper()])
    classes = [Terminal(name, Alternatives(tuple(spellings))) for name, spellings in words.items()]
    for terminal in classes:
        for role in terminal.name.removeprefix("NAME_").lower():
            naming[role].append(terminal.name)
    naming["s"].append("SHORT_NAME")
    naming["l"] += ["NAME", *quoted_names]
    if "DOUBLE_QUOTED" in quoted_names:
        naming["q"].append("DOUBLE_QUOTED")
    short = Terminal("SHORT_NAME", Pattern(_SHORT))
    return _ordered(grammar.terminals, classes, short, quoted_names), naming


_SHORT = "[A-Za-z]{1,3}[0-9]{0,2}"
_UNRESERVED = frozenset("fyn")
"""Roles that a reserved word may have all the same, since their place tells."""


def _spellings(word: str, roles: set[str], bare: bool, dialect: Dialect) -> Iterator[tuple[str, set[str]]]:
    """How a query may write `word`, each with its roles and `s` or `l`; `q` marks double quotes."""
    if bare:
        yield word, roles | {"s" if re.fullmatch(_SHORT, word) else "l"}
    if named := roles & {"c", "t"}:
        marks = dict(dialect.quotes).values()
        if '"' in marks:
            yield quoted(word), named | {"l", "q"}
        if "[" in marks and "]" not in word:
            yield f"[{word}]", named | {"l"}
        if "`" in marks and "`" not in word:
            yield f"`{word}`", named | {"l"}


def _ordered(
    old: Mapping[str, Terminal], classes: list[Terminal], short: Terminal, quoted_names: list[str]
) -> dict[str, Terminal]:
    """Keywords before words of the schema before what any name matches: the order of ties."""
    general = ("NAME", *quoted_names)
    ranked = sorted((t for t in old.values() if t.name not in general), key=lambda t: t.order)
    ranked += [*classes, short, *(old[name] for name in general)]
    return {terminal.name: replace(terminal, order=order) for order, terminal in enumerate(ranked)}


def _naming_rules(naming: Mapping[str, list[str]], only_after_as: set[str]) -> dict[str, GrammarExpression]:
    everything = list(dict.fromkeys([*naming["s"], *naming["l"]]))
    columns = [name for name in everything if name in naming["c"] or name not in naming["q"]]
    lists = {
        "column_name": naming["c"],
        "table_name": naming["t"],
        "qualifier": list(dict.fromkeys(naming["t"] + naming["s"])),
        "function_name": naming["f"],
        "type_word": naming["y"],
        "collation": naming["n"] or naming["q"] or naming["l"],
        "short_name": naming["s"],
        "long_name": naming["l"],
        "any_name": everything,
        "bare_alias": [name for name in everything if name not in only_after_as],
        "cte_name": everything,
        "window_name": everything,
        "column_name__declared": columns,
        "table_name__declared": everything,
        "qualifier__declared": everything,
    }
    return {rule: Alternatives(tuple(_reference(name) for name in names)) for rule, names in lists.items()}


def _declared_copy(rules: Mapping[str, GrammarExpression]) -> dict[str, GrammarExpression]:
    """The rules that depend on names, once more with `__declared` at the end of their names."""
    uses = {rule: set(_references(expression)) for rule, expression in rules.items()}
    dependent = set(_BINDING)
    while grown := {rule for rule, used in uses.items() if rule not in dependent and used & dependent}:
        dependent |= grown
    return {rule + DECLARED: _renamed(rules[rule], dependent) for rule in rules if rule in dependent - _BINDING}


def _renamed(expression: GrammarExpression, names: set[str]) -> GrammarExpression:
    match expression:
        case Reference():
            return _reference(expression.name + DECLARED) if expression.name in names else expression
        case Concatenation(items=items) | Alternatives(items=items):
            return replace(expression, items=tuple(_renamed(item, names) for item in items))
        case Repeat(item=item):
            return replace(expression, item=_renamed(item, names))
        case _:
            return expression


def _references(expression: GrammarExpression) -> Iterator[str]:
    if isinstance(expression, Reference):
        yield expression.name
    for field in fields(expression):
        value = getattr(expression, field.name)
        for part in value if isinstance(value, tuple) else (value,):
            if isinstance(part, GrammarExpression):
                yield from _references(part)


def _parse_rules(text: str, terminal_of: Mapping[str, str]) -> dict[str, GrammarExpression]:
    rules: dict[str, GrammarExpression] = {}
    for line in text.strip().replace("\n ", " ").splitlines():
        name, _, body = line.partition(":")
        alternatives = [_sequence(words.split(), terminal_of) for words in body.split(" | ")]
        rules[name] = Alternatives(tuple(alternatives))
    return rules


def _sequence(words: Iterable[str], terminal_of: Mapping[str, str]) -> GrammarExpression:
    items: list[GrammarExpression] = []
    for word in words:
        symbol = word.removesuffix("?")
        reference = _reference(terminal_of.get(symbol, symbol))
        items.append(Repeat(reference, 0, 1) if word.endswith("?") else reference)
    return Concatenation(tuple(items))


def _reference(name: str) -> Reference:
    return Reference((name,))


def _without_unreachable(grammar: Grammar) -> Grammar:
    reached: set[str] = set()
    waiting = [grammar.start]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            if name in grammar.rules:
                waiting += _references(grammar.rules[name])
    rules = {name: expression for name, expression in grammar.rules.items() if name in reached}
    kept = reached | set(grammar.ignored)
    terminals = {name: terminal for name, terminal in grammar.terminals.items() if name in kept}
    return replace(grammar, rules=rules, terminals=terminals)


def _with_dead_ends(terminals: Mapping[str, Terminal], reserved_words: Iterable[str]) -> dict[str, Terminal]:
    """Add what the dialect's lexer takes and no query can hold: other reserved words, names that begin as numbers."""
    used = {text_of(terminal) for terminal in terminals.values()} | _words_of(terminals)
    # LEFT, LIKE and their kin are in the grammar; the rest of these may be names in places.
    lenient = {"INDEXED", "RAISE"}
    words = sorted({word.upper() for word in reserved_words} - used - lenient)
    reserved = Terminal(
        "RESERVED",
        Alternatives(tuple(LiteralText(word, ignore_case=True) for word in words)),
        order=-1,
        is_keyword=True,
    )
    malformed = Terminal("MALFORMED_NUMBER", Pattern(_MALFORMED), order=len(terminals) + 1)
    return {**terminals, "RESERVED": reserved, "MALFORMED_NUMBER": malformed}


def _words_of(terminals: Mapping[str, Terminal]) -> set[str]:
    """Words of the schema's terminals, in capitals: a reserved word among them is a function or a type."""
    found = set()
    for terminal in terminals.values():
        items = terminal.definition.items if isinstance(terminal.definition, Alternatives) else ()
        found |= {item.text.upper() for item in items if isinstance(item, LiteralText)}
    return found


_MALFORMED = r"([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?[A-Za-z_$\u0080-\U0010ffff][A-Za-z0-9_$\u0080-\U0010ffff]*"


def _ascii_cased(expression: GrammarExpression) -> GrammarExpression:
    """The expression with any casing of ASCII letters, and of no others, as SQLite compares names.

    Ignoring case as Unicode does would take the Kelvin sign for a k, and costs a second to prepare.
    """
    match expression:
        case LiteralText(text=text, ignore_case=True):
            return Pattern("".join(f"[{c.lower()}{c.upper()}]" if c in _LETTERS else re.escape(c) for c in text))
        case Alternatives(items=items):
            return replace(expression, items=tuple(map(_ascii_cased, items)))
        case _:
            return expression


_LETTERS = frozenset(ascii_letters)


def _boundary_of(grammar: Grammar) -> dict[str, str]:
    found: dict[str, str] = {}
    for rule in grammar.rules:
        plain = rule.removesuffix(DECLARED)
        boundary = "clause" if plain in _CLAUSES else plain
        if boundary in BOUNDARIES and boundary != rule:
            found[rule] = boundary
    return found


_SHAPE = 'write it as {"table": ["column", "column"]}'


def schema_argument(value: Any) -> Schema | None:
    """The schema behind an argument of `sql.select`: a database's path, {"table": ["column", ...]}, or null.

    Raises:
        UsageError: E0802, the path is not a SQLite database, or JSON is of another shape.
    """
    from smcdsl.potentials._sql_database import database
    from smcdsl.potentials._sql_schema import schema_of_names

    if value is None:
        return None
    if isinstance(value, Mapping):
        if all(
            isinstance(columns, list | tuple) and all(isinstance(c, str) for c in columns) for columns in value.values()
        ):
            return schema_of_names(value)
        raise UsageError(
            Diagnostic("E0802", "the schema of `sql.select` is not a list of columns for each table", help=_SHAPE)
        )
    return database(str(getattr(value, "path", value))).schema
